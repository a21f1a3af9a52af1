//! Properties: hostile bytes do no harm, and how a stream is cut changes nothing.

mod support;

use proptest::collection::vec;
use proptest::prelude::*;
use support::Rig;
use vfio_user::MAX_BUFFER_BYTES;
use vfio_user::client::{
    QEMU_PROPOSAL, encode, irq_info_payload, map_payload, read_payload, region_info_payload,
    set_irqs_payload, unmap_payload, version_payload, write_payload,
};
use vfio_user::message::{Command, FLAG_NO_REPLY, HEADER_SIZE};

/// Messages with the right frame and anything inside.
fn framed() -> impl Strategy<Value = Vec<u8>> {
    (any::<u16>(), 0..22_u16, 0..3_u32, vec(any::<u8>(), 0..80)).prop_map(
        |(id, command, kind, payload)| {
            let flags = [0, 1, FLAG_NO_REPLY][kind as usize];
            encode(id, Command(command), flags, &payload)
        },
    )
}

/// Requests that are right, or wrong in their numbers only.
fn request() -> impl Strategy<Value = Vec<u8>> {
    let number = prop_oneof![0..0x2000_u64, any::<u64>()];
    let small = prop_oneof![0..10_u32, any::<u32>()];
    let data = vec(any::<u8>(), 0..40);
    (any::<u16>(), 0..9_u8, number.clone(), number, small, data).prop_map(
        |(id, kind, first, second, small, data)| {
            let low = u32::try_from(second & 0xfff).unwrap_or(0);
            let (command, payload) = match kind {
                0 => (Command::REGION_READ, read_payload(small, first, low)),
                1 => (Command::REGION_WRITE, write_payload(small, first, &data)),
                2 => (Command::DMA_MAP, map_payload(3, 0, first, second)),
                3 => (Command::DMA_UNMAP, unmap_payload(small, first, second)),
                4 => (
                    Command::DEVICE_GET_REGION_INFO,
                    region_info_payload(small, low),
                ),
                5 => (Command::DEVICE_GET_IRQ_INFO, irq_info_payload(small)),
                6 => (
                    Command::DEVICE_SET_IRQS,
                    set_irqs_payload(0x21, small, low, 0, &[]),
                ),
                7 => (Command::DEVICE_RESET, vec![]),
                _ => (Command(small.to_le_bytes()[0].into()), data),
            };
            encode(id, command, 0, &payload)
        },
    )
}

/// Feeds a stream in pieces and returns every byte of the answers.
fn answers(stream: &[u8], cuts: &[usize]) -> Vec<u8> {
    let mut rig = Rig::unnegotiated();
    let mut answers = Vec::new();
    let mut start = 0;
    for end in cuts.iter().copied().chain([stream.len()]) {
        rig.feed(&stream[start..end]);
        start = end;
        collect(&mut rig, &mut answers);
    }
    answers
}

fn collect(rig: &mut Rig, answers: &mut Vec<u8>) {
    let mut buffer = vec![0; 1 << 16];
    while rig.has_answer() {
        let flags = rustix::net::RecvFlags::empty();
        let (count, _) = rustix::net::recv(&rig.client, &mut buffer[..], flags).expect("recv");
        if count == 0 {
            return;
        }
        answers.extend_from_slice(&buffer[..count]);
        let _ = rig.try_pump();
    }
}

proptest! {
    #[test]
    fn random_bytes_never_panic(pieces in vec(vec(any::<u8>(), 1..200), 1..20)) {
        let mut rig = Rig::new();
        let mut answers = Vec::new();
        for piece in pieces {
            if rig.client.send_raw(&piece, &[]).is_err() {
                break;
            }
            match rig.try_pump() {
                Ok(_) => collect(&mut rig, &mut answers),
                Err(_) => break,
            }
            prop_assert!(rig.server.buffer_bytes() <= MAX_BUFFER_BYTES);
        }
    }

    #[test]
    fn any_payload_in_a_right_frame_keeps_the_stream_in_step(messages in vec(framed(), 1..40)) {
        let mut rig = Rig::new();
        let mut answers = Vec::new();
        for message in &messages {
            rig.feed(message);
            collect(&mut rig, &mut answers);
        }
        rig.assert_in_step();
    }

    #[test]
    fn how_the_stream_is_cut_does_not_change_the_answers(
        requests in vec(request(), 1..20),
        cuts in vec(any::<prop::sample::Index>(), 0..30),
    ) {
        let version = encode(1, Command::VERSION, 0, &version_payload(0, 0, QEMU_PROPOSAL));
        let stream = [version, requests.concat()].concat();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len())).collect();
        cuts.sort_unstable();

        let whole = answers(&stream, &[]);
        let cut = answers(&stream, &cuts);

        prop_assert!(whole.len() >= HEADER_SIZE * (requests.len() + 1), "all are answered");
        prop_assert_eq!(whole, cut);
    }
}
