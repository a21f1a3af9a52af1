//! The stream itself: cut, joined, broken off, too long, never read.

mod support;

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use support::{Rig, far, inode, memfd};
use vfio_user::client::{
    QEMU_PROPOSAL, encode, map_payload, read_payload, region_info_payload, version_payload,
    write_payload,
};
use vfio_user::message::{Command, FLAG_NO_REPLY, Header, MAX_MESSAGE_SIZE};
use vfio_user::{ConnectionError, Errno, MAX_BUFFER_BYTES, Progress, SubmitError};
use zerocopy::{FromBytes, IntoBytes};

fn header(command: u16, size: u32, flags: u32) -> Vec<u8> {
    let header = Header {
        message_id: 7,
        command,
        size,
        flags,
        errno: 0,
    };
    header.as_bytes().to_vec()
}

#[test]
fn messages_that_arrive_byte_by_byte_are_answered() {
    let mut rig = Rig::unnegotiated();
    let stream = [
        encode(
            1,
            Command::VERSION,
            0,
            &version_payload(0, 0, QEMU_PROPOSAL),
        ),
        encode(2, Command::REGION_READ, 0, &read_payload(0, 5, 1)),
    ];

    for byte in stream.concat() {
        rig.feed(&[byte]);
    }

    assert_eq!(rig.client.receive().expect("reply").header.message_id, 1);
    assert_eq!(rig.client.receive().expect("reply").payload[16], 5);
    rig.assert_in_step();
}

#[test]
fn descriptor_of_a_message_that_arrives_in_pieces_is_kept_for_it() {
    let mut rig = Rig::new();
    let memory = memfd(0x1000);
    let message = encode(9, Command::DMA_MAP, 0, &map_payload(3, 0, 0x1000, 0x1000));

    rig.client
        .send_raw(&message[..10], &[memory.as_fd()])
        .expect("send");
    rig.pump();
    rig.feed(&message[10..]);

    assert!(!rig.client.receive().expect("reply").header.is_error());
    assert!(rig.device.maps[0].inode.is_some());
}

#[test]
fn descriptors_with_every_byte_are_refused_without_filling_our_table() {
    let mut rig = Rig::new();
    let memory = memfd(0x1000);
    let open_before = descriptors_of(&memory);
    let message = encode(9, Command::DMA_MAP, 0, &map_payload(3, 0, 0x1000, 0x1000));

    let (last, rest) = message.split_last().expect("a message");
    for byte in rest {
        rig.client
            .send_raw(&[*byte], &[memory.as_fd(); 16])
            .expect("send");
        rig.pump();
        assert!(descriptors_of(&memory) <= open_before + 16);
    }
    rig.feed(&[*last]);

    assert_eq!(
        rig.client.receive().expect("reply").result(),
        Err(Errno::EINVAL)
    );
    assert_eq!(descriptors_of(&memory), open_before);
    assert!(rig.device.maps.is_empty());
    rig.assert_in_step();
}

/// Number of descriptors of this process that lead to the same file. Other tests run in threads
/// of the same process, so a count of all descriptors would tell nothing.
fn descriptors_of(file: &OwnedFd) -> usize {
    let wanted = inode(file.as_fd());
    std::fs::read_dir("/proc/self/fd")
        .expect("proc")
        .filter_map(|entry| std::fs::metadata(entry.ok()?.path()).ok())
        .filter(|metadata| metadata.ino() == wanted)
        .count()
}

#[test]
fn lengths_that_leave_no_next_message_end_the_connection() {
    let too_long = u32::try_from(MAX_MESSAGE_SIZE + 1).expect("about 1 MiB");
    for size in [0, 1, 15, too_long, u32::MAX] {
        let mut rig = Rig::new();
        rig.client.send_raw(&header(9, size, 0), &[]).expect("send");

        let error = rig.try_pump().expect_err("the stream is lost");

        assert!(matches!(error, ConnectionError::MessageSize { size: seen, .. } if seen == size));
        assert_eq!(rig.device.n_disconnects, 1);
        assert_eq!(rig.try_pump().expect("nothing more"), Progress::Open);
        assert!(!rig.server.wants_read() && !rig.server.wants_write());
    }
}

#[test]
fn claim_of_a_long_message_costs_one_message_at_most() {
    let mut rig = Rig::new();
    let longest = u32::try_from(MAX_MESSAGE_SIZE).expect("about 1 MiB");

    rig.feed(&header(9, longest, 0));
    rig.feed(&[0]);

    assert!(rig.server.buffer_bytes() <= MAX_MESSAGE_SIZE + (256 << 10));
}

#[test]
fn unknown_message_types_end_the_connection() {
    for flags in [2, 3, 15] {
        let mut rig = Rig::new();
        rig.client
            .send_raw(&header(9, 16, flags), &[])
            .expect("send");

        let error = rig.try_pump().expect_err("no message of this protocol");

        assert!(matches!(
            error,
            ConnectionError::MessageType { message_id: 7, .. }
        ));
    }
}

#[test]
fn answers_before_a_broken_message_are_lost_with_the_connection_but_were_handled() {
    let mut rig = Rig::new();
    let write = encode(
        1,
        Command::REGION_WRITE,
        FLAG_NO_REPLY,
        &write_payload(0, 0, &[42]),
    );
    rig.client
        .send_raw(&[write, header(9, 3, 0)].concat(), &[])
        .expect("send");

    rig.try_pump().expect_err("the stream is lost");

    assert_eq!(rig.device.bar0[0], 42);
}

#[test]
fn longest_message_is_taken_in_pieces_and_its_room_given_back() {
    let mut rig = Rig::new();
    let data = vec![0xa5; MAX_MESSAGE_SIZE - 32];
    let message = encode(
        1,
        Command::REGION_WRITE,
        FLAG_NO_REPLY,
        &write_payload(0, 0, &data),
    );
    assert_eq!(message.len(), MAX_MESSAGE_SIZE);

    for piece in message.chunks(10_000) {
        rig.feed(piece);
        assert!(rig.server.buffer_bytes() <= MAX_BUFFER_BYTES);
    }

    assert_eq!(rig.device.bar0[..data.len()], data);
    rig.assert_in_step();
    assert!(
        rig.server.buffer_bytes() <= 256 << 10,
        "the room was given back"
    );
}

#[test]
fn peer_that_leaves_between_messages_is_an_orderly_end() {
    let mut rig = Rig::new();
    rig.client
        .stream()
        .shutdown(std::net::Shutdown::Both)
        .expect("shutdown");

    assert_eq!(rig.try_pump().expect("an orderly end"), Progress::Closed);
    assert_eq!(rig.device.n_disconnects, 1);
}

#[test]
fn peer_that_vanishes_mid_message_is_an_error_that_says_where() {
    for sent in [1, 15, 16, 31] {
        let mut rig = Rig::new();
        let message = encode(1, Command::REGION_READ, 0, &read_payload(0, 0, 4));
        rig.client.send_raw(&message[..sent], &[]).expect("send");
        rig.client
            .stream()
            .shutdown(std::net::Shutdown::Write)
            .expect("shutdown");

        let error = rig.try_pump().expect_err("a message was cut off");

        assert!(matches!(error, ConnectionError::PeerVanished { received } if received == sent));
        assert_eq!(rig.device.n_disconnects, 1);
    }
}

#[test]
fn request_before_the_peer_leaves_is_still_handled() {
    let mut rig = Rig::new();
    let write = encode(
        1,
        Command::REGION_WRITE,
        FLAG_NO_REPLY,
        &write_payload(0, 0, &[42]),
    );
    rig.client.send_raw(&write, &[]).expect("send");
    rig.client
        .stream()
        .shutdown(std::net::Shutdown::Both)
        .expect("shutdown");

    assert_eq!(rig.try_pump().expect("an orderly end"), Progress::Closed);

    assert_eq!(rig.device.bar0[0], 42);
}

/// Sends `message` again and again until neither end moves any more, then reads the answers.
fn flood(rig: &mut Rig, message: &[u8]) -> usize {
    rig.client
        .stream()
        .set_nonblocking(true)
        .expect("nonblocking");
    let mut rest: &[u8] = &[];
    loop {
        if rest.is_empty() {
            rest = message;
        }
        match rustix::net::send(&rig.client, rest, rustix::net::SendFlags::NOSIGNAL) {
            Ok(count) => rest = &rest[count..],
            Err(rustix::io::Errno::AGAIN) => {
                let before = rig.server.counters().requests;
                rig.pump();
                assert!(rig.server.buffer_bytes() <= MAX_BUFFER_BYTES);
                if !rig.server.wants_read() && rig.server.counters().requests == before {
                    break;
                }
            }
            Err(error) => panic!("{error}"),
        }
    }
    // What was begun is ended, so that the stream can go on.
    let unfinished = rest.to_vec();
    rig.client
        .stream()
        .set_nonblocking(false)
        .expect("blocking");
    let n_answers = drain(rig);
    rig.feed(&unfinished);
    n_answers
}

/// Reads all answers, each of which must be whole, and returns their number. An answer may be
/// longer than the socket holds, so reading and pumping alternate.
fn drain(rig: &mut Rig) -> usize {
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 1 << 16];
    rig.pump();
    while rig.has_answer() {
        let flags = rustix::net::RecvFlags::empty();
        let (count, _) = rustix::net::recv(&rig.client, &mut buffer[..], flags).expect("recv");
        bytes.extend_from_slice(&buffer[..count]);
        rig.pump();
    }
    let mut rest = &bytes[..];
    let mut n_answers = 0;
    while let Ok((header, _)) = Header::read_from_prefix(rest) {
        let size = usize::try_from(header.size).expect("a length");
        rest = rest.get(size..).expect("a whole answer");
        n_answers += 1;
    }
    assert!(rest.is_empty(), "half a header is left");
    n_answers
}

#[test]
fn peer_that_never_reads_is_stopped_and_served_again_when_it_reads() {
    for message in [
        encode(1, Command::REGION_READ, 0, &read_payload(0, 0, 0x10_0000)),
        encode(1, Command::REGION_READ, 0, &read_payload(0, 0, 4)),
        encode(1, Command(999), 0, &[]),
    ] {
        let mut rig = Rig::new();

        let n_answers = flood(&mut rig, &message) + drain(&mut rig);

        let requests = rig.server.counters().requests;
        assert_eq!(
            n_answers as u64 + 1,
            requests,
            "all but the version exchange"
        );
        rig.assert_in_step();
        assert!(rig.server.wants_read() && !rig.server.wants_write());
        assert!(
            rig.server.buffer_bytes() <= 256 << 10,
            "long messages gave their room back"
        );
    }
}

#[test]
fn requests_held_back_are_answered_without_further_input() {
    let mut rig = Rig::new();
    let payload = region_info_payload(4, 32);
    let request = encode(1, Command::DEVICE_GET_REGION_INFO, 0, &payload);

    // More answers with descriptors than are queued at a time, to a peer that takes them all.
    rig.feed(&request.repeat(50));

    for _ in 0..50 {
        assert_eq!(rig.client.receive().expect("an answer").fds.len(), 1);
    }
    rig.assert_in_step();
}

#[test]
fn descriptors_for_a_peer_that_never_reads_are_bounded() {
    let mut rig = Rig::new();
    let message = encode(
        1,
        Command::DEVICE_GET_REGION_INFO,
        0,
        &region_info_payload(4, 32),
    );

    flood(&mut rig, &message);

    drain(&mut rig);
    rig.assert_in_step();
}

#[test]
fn blocked_connection_takes_no_message_dma() {
    let mut rig = Rig::new();
    let read = encode(1, Command::REGION_READ, 0, &read_payload(0, 0, 0x10_0000));
    rig.feed(&read);
    assert!(
        !rig.server.wants_read(),
        "the answer is above the high-water mark"
    );

    let refused = rig.server.submit_read(0, 4, far());

    assert!(matches!(refused, Err(SubmitError::Busy { .. })));
    drain(&mut rig);
    rig.server.submit_read(0, 4, far()).expect("a place");
}

#[test]
fn peer_that_leaves_while_we_are_blocked_ends_the_connection() {
    let mut rig = Rig::new();
    rig.feed(&encode(
        1,
        Command::REGION_READ,
        0,
        &read_payload(0, 0, 0x10_0000),
    ));
    rig.client
        .stream()
        .shutdown(std::net::Shutdown::Both)
        .expect("shutdown");

    // A loop that reports a hang-up as readable must get an end, not a spin.
    let progress = rig
        .server
        .on_readable(&mut rig.device)
        .expect("an orderly end");

    assert_eq!(progress, Progress::Closed);
    assert_eq!(rig.device.n_disconnects, 1);
}

#[test]
fn flood_of_bad_requests_is_counted() {
    let mut rig = Rig::new();
    for _ in 0..1000 {
        assert_eq!(rig.call(Command(999), &[]), Err(Errno::ENOSYS));
    }
    assert_eq!(rig.server.counters().refused, 1000);
}
