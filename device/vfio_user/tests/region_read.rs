//! REGION_READ.

mod support;

use support::{BAR0_SIZE, Rig};
use vfio_user::Errno;
use vfio_user::client::{encode, read_payload};
use vfio_user::message::{Command, FLAG_NO_REPLY, MAX_DATA_XFER_SIZE};

#[test]
fn reply_repeats_the_request_and_carries_the_bytes() {
    for count in [1, 2, 4, 8, 3, 4096] {
        let mut rig = Rig::new();
        let request = read_payload(0, 0x41, count);

        let reply = rig.call(Command::REGION_READ, &request).expect("a read");

        assert_eq!(reply[..16], request);
        let expected: Vec<u8> = (0x41..0x41 + count)
            .map(|byte| byte.to_le_bytes()[0])
            .collect();
        assert_eq!(reply[16..], expected);
    }
}

#[test]
fn longest_read_is_answered_whole() {
    let mut rig = Rig::new();
    let len = u32::try_from(MAX_DATA_XFER_SIZE).expect("1 MiB");
    let (_, message) = rig
        .client
        .encode(Command::REGION_READ, 0, &read_payload(0, 0, len));
    rig.client.send_raw(&message, &[]).expect("send");
    let reader = std::thread::spawn({
        let stream = rig.client.stream().try_clone().expect("clone");
        move || {
            vfio_user::client::Client::from_stream(stream)
                .expect("client")
                .receive()
        }
    });

    while !reader.is_finished() {
        rig.pump();
    }

    let reply = reader.join().expect("reader").expect("reply");
    assert_eq!(reply.payload.len(), 16 + MAX_DATA_XFER_SIZE);
    assert_eq!(reply.payload[16..], rig.device.bar0[..MAX_DATA_XFER_SIZE]);
    rig.assert_in_step();
}

#[test]
fn bad_reads_are_refused_and_do_not_reach_the_device() {
    let mut rig = Rig::new();
    rig.device.bar0.clear(); // Any access would panic.
    for (payload, errno) in [
        (vec![], Errno::EINVAL),
        (read_payload(0, 0, 4)[..15].to_vec(), Errno::EINVAL),
        ([read_payload(0, 0, 4), vec![0]].concat(), Errno::EINVAL),
        (read_payload(0, 0, 0), Errno::EINVAL),
        (read_payload(0, BAR0_SIZE, 1), Errno::EINVAL),
        (read_payload(0, BAR0_SIZE - 3, 4), Errno::EINVAL),
        (read_payload(0, u64::MAX, 4), Errno::EINVAL),
        (read_payload(0, u64::MAX - 3, 4), Errno::EINVAL),
        (read_payload(0, 0, 0x10_0001), Errno::E2BIG),
        (read_payload(0, 0, u32::MAX), Errno::E2BIG),
        (read_payload(1, 0, 4), Errno::EINVAL),
        (read_payload(2, 0, 4), Errno::EACCES),
        (read_payload(8, 0, 4), Errno::EINVAL),
        (read_payload(9, 0, 4), Errno::EINVAL),
        (read_payload(u32::MAX, 0, 4), Errno::EINVAL),
    ] {
        assert_eq!(
            rig.call(Command::REGION_READ, &payload),
            Err(errno),
            "{payload:02x?}"
        );
    }
}

#[test]
fn error_of_the_device_reaches_the_client_without_a_payload() {
    let mut rig = Rig::new();
    rig.device.refuse = Some(Errno::EIO);

    let reply = rig.call(Command::REGION_READ, &read_payload(0, 0, 4));

    assert_eq!(reply, Err(Errno::EIO));
    rig.device.refuse = None;
    rig.assert_in_step();
}

#[test]
fn many_requests_in_one_segment_are_answered_in_order() {
    let mut rig = Rig::new();
    let segment: Vec<u8> = (0..32_u16)
        .flat_map(|id| {
            encode(
                id,
                Command::REGION_READ,
                0,
                &read_payload(0, u64::from(id), 1),
            )
        })
        .collect();

    rig.feed(&segment);

    for id in 0..32_u16 {
        let reply = rig.client.receive().expect("reply");
        assert_eq!(reply.header.message_id, id);
        assert_eq!(u16::from(reply.payload[16]), id);
    }
    rig.assert_in_step();
}

#[test]
fn read_that_wants_no_reply_gets_none() {
    let mut rig = Rig::new();

    rig.feed(&encode(
        1,
        Command::REGION_READ,
        FLAG_NO_REPLY,
        &read_payload(0, 0, 4),
    ));

    rig.assert_in_step();
}
