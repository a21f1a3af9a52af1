//! DMA_READ and DMA_WRITE: our requests to the client.

mod support;

use std::time::{Duration, Instant};

use support::{Rig, far};
use vfio_user::client::{Incoming, encode, read_payload};
use vfio_user::message::{Command, DmaAccess, TYPE_REPLY};
use vfio_user::{
    DmaError, Errno, MAX_DMA_BYTES, MAX_DMA_READ, MAX_DMA_REQUESTS, MAX_DMA_WRITE, SubmitError,
};
use zerocopy::{FromBytes, IntoBytes};

/// Submits a read and returns the request as the client sees it.
fn requested(rig: &mut Rig, iova: u64, len: usize) -> Incoming {
    rig.server.submit_read(iova, len, far()).expect("a place");
    rig.server.flush(&mut rig.device).expect("flush");
    rig.client.receive().expect("a request")
}

fn last_outcome(rig: &Rig) -> Result<Vec<u8>, DmaError> {
    rig.device.dma.last().expect("an outcome").1.clone()
}

#[test]
fn read_asks_with_an_eight_byte_count_and_takes_the_data() {
    let mut rig = Rig::new();
    let request = requested(&mut rig, 0xfeed_0000_1000, 5);

    assert_eq!(request.header.command, 11);
    assert_eq!(request.header.flags, 0);
    let access = DmaAccess::read_from_bytes(&request.payload).expect("16 bytes");
    assert_eq!((access.address, access.count), (0xfeed_0000_1000, 5));

    let reply = [&request.payload[..], b"hello"].concat();
    rig.client.reply(&request.header, &reply).expect("send");
    rig.pump();
    assert_eq!(last_outcome(&rig), Ok(b"hello".to_vec()));
    assert_eq!(rig.server.outstanding_dma(), 0);
}

#[test]
fn write_carries_its_data_32_bytes_into_the_message() {
    let mut rig = Rig::new();
    rig.server
        .submit_write(0x2000, &[1, 2, 3], far())
        .expect("a place");
    rig.server.flush(&mut rig.device).expect("flush");

    let request = rig.client.receive().expect("a request");
    assert_eq!(request.header.command, 12);
    assert_eq!(request.header.size, 16 + 16 + 3);
    assert_eq!(request.payload[16..], [1, 2, 3]);

    rig.client
        .reply(&request.header, &request.payload[..16])
        .expect("send");
    rig.pump();
    assert_eq!(last_outcome(&rig), Ok(vec![]));
}

#[test]
fn refusal_reaches_the_device_and_errno_zero_is_not_success() {
    let mut rig = Rig::new();
    for (sent, errno) in [(19, Errno::ENODEV), (0, Errno::EIO)] {
        let request = requested(&mut rig, 0x1000, 4);
        rig.client.reply_error(&request.header, sent).expect("send");
        rig.pump();
        assert_eq!(last_outcome(&rig), Err(DmaError::Refused(errno)));
    }
}

#[test]
fn request_of_the_client_is_answered_while_dma_is_outstanding() {
    let mut rig = Rig::new();
    let request = requested(&mut rig, 0x1000, 4);

    rig.assert_in_step();

    let reply = [&request.payload[..], &[1, 2, 3, 4]].concat();
    rig.client.reply(&request.header, &reply).expect("send");
    rig.pump();
    assert_eq!(last_outcome(&rig), Ok(vec![1, 2, 3, 4]));
}

#[test]
fn ids_of_both_directions_do_not_mix() {
    let mut rig = Rig::new();
    let request = requested(&mut rig, 0x1000, 1);
    let id = request.header.message_id;
    let reply = [&request.payload[..], &[0x77]].concat();

    let segment = [
        encode(id, Command::REGION_READ, 0, &read_payload(0, 3, 1)),
        encode(id, Command::DMA_READ, TYPE_REPLY, &reply),
        encode(id, Command::REGION_READ, 0, &read_payload(0, 4, 1)),
    ];
    rig.feed(&segment.concat());

    for byte in [3, 4] {
        let answer = rig.client.receive().expect("reply");
        assert_eq!((answer.header.message_id, answer.payload[16]), (id, byte));
    }
    assert_eq!(last_outcome(&rig), Ok(vec![0x77]));
}

#[test]
fn replies_that_do_not_fit_fail_the_request_and_keep_the_stream_in_step() {
    let mut rig = Rig::new();
    let access = |address: u64, count: u64| DmaAccess { address, count }.as_bytes().to_vec();
    for (command, reply) in [
        (11, vec![]),
        (11, access(0x1000, 4)),
        (11, [access(0x1000, 4), vec![0; 3]].concat()),
        (11, [access(0x1000, 4), vec![0; 5]].concat()),
        (11, [access(0x1004, 4), vec![0; 4]].concat()),
        (11, [access(0x1000, 5), vec![0; 4]].concat()),
        (12, [access(0x1000, 4), vec![0; 4]].concat()),
        (11, [access(0x1000, 4), vec![0; 60_000]].concat()),
    ] {
        let request = requested(&mut rig, 0x1000, 4);
        let id = request.header.message_id;
        rig.feed(&encode(id, Command(command), TYPE_REPLY, &reply));
        assert_eq!(
            last_outcome(&rig),
            Err(DmaError::MalformedReply),
            "{} bytes",
            reply.len()
        );
    }
    assert_eq!(rig.server.counters().malformed_replies, 8);
    rig.assert_in_step();
}

#[test]
fn replies_to_nothing_are_dropped_and_counted() {
    let mut rig = Rig::new();

    rig.feed(&encode(1, Command::DMA_READ, TYPE_REPLY, &[0; 100]));
    rig.feed(&encode(2, Command::REGION_READ, TYPE_REPLY, &[]));

    assert_eq!(rig.server.counters().unknown_replies, 2);
    assert!(rig.device.dma.is_empty());
    rig.assert_in_step();
}

#[test]
fn number_of_requests_is_bounded_and_a_reply_makes_room() {
    let mut rig = Rig::new();
    for index in 0..MAX_DMA_REQUESTS {
        rig.server
            .submit_read(index as u64 * 64, 64, far())
            .expect("a place");
    }

    let refused = rig.server.submit_read(0, 64, far());

    assert_eq!(
        refused,
        Err(SubmitError::Busy {
            outstanding: 64,
            bytes: 64 * 64
        })
    );
    rig.server.flush(&mut rig.device).expect("flush");
    let request = rig.client.receive().expect("a request");
    rig.client.reply_error(&request.header, 19).expect("send");
    rig.pump();
    rig.server.submit_read(0, 64, far()).expect("a place again");
}

#[test]
fn bytes_outstanding_are_bounded() {
    let mut rig = Rig::new();
    for _ in 0..MAX_DMA_BYTES / MAX_DMA_READ {
        rig.server
            .submit_read(0, MAX_DMA_READ, far())
            .expect("a place");
    }

    let busy = SubmitError::Busy {
        outstanding: 8,
        bytes: MAX_DMA_BYTES,
    };
    assert_eq!(rig.server.submit_read(0, 1, far()), Err(busy));
    assert_eq!(rig.server.submit_write(0, &[1], far()), Err(busy));
}

#[test]
fn requests_that_no_message_can_carry_are_refused() {
    let mut rig = Rig::new();
    let length = |len, max| Err(SubmitError::Length { len, max });

    assert_eq!(rig.server.submit_read(0, 0, far()), length(0, MAX_DMA_READ));
    assert_eq!(
        rig.server.submit_read(0, MAX_DMA_READ + 1, far()),
        length(MAX_DMA_READ + 1, MAX_DMA_READ)
    );
    assert_eq!(
        rig.server
            .submit_write(0, &vec![0; MAX_DMA_WRITE + 1], far()),
        length(MAX_DMA_WRITE + 1, MAX_DMA_WRITE)
    );
    assert_eq!(
        rig.server.submit_read(u64::MAX, 2, far()),
        Err(SubmitError::Wraps {
            iova: u64::MAX,
            len: 2
        })
    );
    rig.server
        .submit_read(u64::MAX, 1, far())
        .expect("the last byte of the space");
    let early = Rig::unnegotiated().server.submit_read(0, 1, far());
    assert_eq!(early, Err(SubmitError::NotNegotiated));
}

#[test]
fn deadline_fails_the_request_once_and_the_late_reply_is_dropped() {
    let mut rig = Rig::new();
    let start = Instant::now();
    let soon = start + Duration::from_secs(1);
    let later = start + Duration::from_secs(2);
    let ticket = rig.server.submit_read(0x1000, 4, soon).expect("a place");
    rig.server.submit_read(0x2000, 4, later).expect("a place");
    rig.server.flush(&mut rig.device).expect("flush");
    let request = rig.client.receive().expect("a request");
    rig.client.receive().expect("the other request");
    assert_eq!(rig.server.next_dma_deadline(), Some(soon));

    rig.server.expire_dma(start, &mut rig.device);
    assert!(rig.device.dma.is_empty());
    rig.server.expire_dma(soon, &mut rig.device);
    rig.server.expire_dma(soon, &mut rig.device);

    assert_eq!(rig.device.dma, [(ticket, Err(DmaError::TimedOut))]);
    assert_eq!(rig.server.next_dma_deadline(), Some(later));
    assert_eq!(rig.server.outstanding_dma(), 2, "its reply may still come");
    let reply = [&request.payload[..], &[1, 2, 3, 4]].concat();
    rig.client.reply(&request.header, &reply).expect("send");
    rig.pump();
    assert_eq!(rig.device.dma.len(), 1);
    assert_eq!(rig.server.counters().late_replies, 1);
    assert_eq!(rig.server.outstanding_dma(), 1);
    rig.assert_in_step();
}

#[test]
fn disconnect_fails_everything_outstanding_and_tells_the_device_once() {
    let mut rig = Rig::new();
    let tickets = [1, 2, 3].map(|page| rig.server.submit_read(page << 12, 4, far()).expect("ok"));
    rig.server.flush(&mut rig.device).expect("flush");
    rig.client
        .stream()
        .shutdown(std::net::Shutdown::Both)
        .expect("shutdown");

    rig.try_pump().expect("an orderly end");
    rig.try_pump().expect("still over");

    let failed = tickets.map(|ticket| (ticket, Err(DmaError::Disconnected)));
    assert_eq!(rig.device.dma, failed);
    assert_eq!(rig.device.n_disconnects, 1);
    assert_eq!(
        rig.server.submit_read(0, 1, far()),
        Err(SubmitError::NotNegotiated)
    );
}

#[test]
fn ids_wrap_round_without_meeting_one_that_is_taken() {
    let mut rig = Rig::new();
    let first = requested(&mut rig, 0x9000, 1);
    for _ in 0..u32::from(u16::MAX) + 5 {
        let request = requested(&mut rig, 0x1000, 1);
        assert_ne!(request.header.message_id, first.header.message_id);
        rig.client.reply_error(&request.header, 19).expect("send");
        rig.pump();
    }

    let reply = [&first.payload[..], &[0x42]].concat();
    rig.client.reply(&first.header, &reply).expect("send");
    rig.pump();

    assert_eq!(last_outcome(&rig), Ok(vec![0x42]));
}
