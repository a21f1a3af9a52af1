//! REGION_WRITE and REGION_WRITE_MULTI.

mod support;

use support::{BAR0_SIZE, Rig};
use vfio_user::Errno;
use vfio_user::client::{encode, write_payload};
use vfio_user::message::{Command, FLAG_NO_REPLY};

#[test]
fn write_reaches_the_device_and_its_reply_has_no_data() {
    let mut rig = Rig::new();
    let request = write_payload(0, 0x100, &[9, 8, 7, 6]);

    let reply = rig.call(Command::REGION_WRITE, &request).expect("a write");

    assert_eq!(reply, request[..16]);
    assert_eq!(rig.device.bar0[0x100..0x104], [9, 8, 7, 6]);
}

#[test]
fn posted_writes_arrive_in_order_and_are_not_answered() {
    let mut rig = Rig::new();
    let segment: Vec<u8> = (0..100_u8)
        .flat_map(|byte| {
            let payload = write_payload(0, 0, &[byte]);
            encode(
                u16::from(byte),
                Command::REGION_WRITE,
                FLAG_NO_REPLY,
                &payload,
            )
        })
        .collect();

    rig.feed(&segment);

    assert_eq!(rig.device.n_writes, 100);
    assert_eq!(rig.device.bar0[0], 99);
    rig.assert_in_step();
}

#[test]
fn bad_writes_are_refused_and_do_not_reach_the_device() {
    let mut rig = Rig::new();
    let mut short = write_payload(0, 0, &[1, 2, 3, 4]);
    short.pop();
    let long = [write_payload(0, 0, &[1]), vec![2]].concat();
    for (payload, errno) in [
        (vec![], Errno::EINVAL),
        (vec![0; 15], Errno::EINVAL),
        (short, Errno::EINVAL),
        (long, Errno::EINVAL),
        (write_payload(0, 0, &[]), Errno::EINVAL),
        (write_payload(0, BAR0_SIZE - 1, &[1, 2]), Errno::EINVAL),
        (write_payload(0, u64::MAX, &[1]), Errno::EINVAL),
        (write_payload(5, 0, &[1]), Errno::EINVAL),
        (write_payload(77, 0, &[1]), Errno::EINVAL),
    ] {
        assert_eq!(
            rig.call(Command::REGION_WRITE, &payload),
            Err(errno),
            "{payload:02x?}"
        );
    }
    assert_eq!(rig.device.n_writes, 0);
    rig.assert_in_step();
}

#[test]
fn failing_posted_write_is_counted_and_not_answered() {
    let mut rig = Rig::new();
    let payload = write_payload(0, BAR0_SIZE, &[1]);

    rig.client
        .send_no_reply(Command::REGION_WRITE, &payload)
        .expect("send");
    rig.pump();

    assert_eq!(rig.server.counters().refused_silently, 1);
    rig.assert_in_step();
}

#[test]
fn write_multi_is_consumed_whole_and_not_answered() {
    let mut rig = Rig::new();

    rig.client
        .send_no_reply(Command::REGION_WRITE_MULTI, &[0x5a; 8 + 24 * 200])
        .expect("send");
    rig.pump();

    assert_eq!(rig.device.n_writes, 0);
    assert_eq!(rig.server.counters().refused_silently, 1);
    rig.assert_in_step();
}
