//! Many channels: registers, interrupts, and fair shares.

mod mock;

use dma_engine::{EndpointEvent, TURN_BYTES};
use dmarig_abi::descriptor::*;
use dmarig_abi::registers::*;
use mock::{Command, Permit, Rig, register};
use proptest::prelude::*;

const DATA: u64 = 0x10_0000;

#[test]
fn every_one_of_64_channels_has_registers_cause_and_vector() {
    let mut rig = Rig::with_channels(64);
    rig.bus.map(DATA, 1, Permit::ReadWrite);
    assert_eq!(rig.read_32(REG_CAPABILITIES) & 0xff, 64);
    rig.write_32(REG_INTERRUPT_ENABLE, u32::MAX);
    rig.write_32(REG_INTERRUPT_ENABLE_HIGH, u32::MAX);
    for channel in 0..64 {
        let command = Command {
            opcode: DMA_OP_FILL,
            flags: DESCRIPTOR_FLAG_INTERRUPT,
            destination: DATA,
            length_bytes: 8,
            ..Command::default()
        };
        rig.command(channel, command);
    }
    rig.settle();
    let mut vectors = rig.vectors();
    vectors.sort_unstable();
    assert_eq!(vectors, (0..64).collect::<Vec<u16>>());
    assert_eq!(rig.read_32(REG_INTERRUPT_CAUSE), u32::MAX);
    assert_eq!(rig.read_32(REG_INTERRUPT_CAUSE_HIGH), u32::MAX);
    rig.write_32(REG_INTERRUPT_CAUSE_HIGH, 1 << 31);
    assert_eq!(rig.read_32(REG_INTERRUPT_CAUSE_HIGH), u32::MAX >> 1);
    assert_eq!(rig.read_32(REG_INTERRUPT_CAUSE), u32::MAX);
    assert!(rig.engine.is_intx_asserted());
}

#[test]
fn enabling_late_in_the_upper_half_raises_what_stands() {
    let mut rig = Rig::with_channels(64);
    rig.write_32(REG_INTERRUPT_ENABLE, 0);
    let command = Command {
        opcode: DMA_OP_NOP,
        flags: DESCRIPTOR_FLAG_INTERRUPT,
        ..Command::default()
    };
    rig.command(40, command);
    rig.settle();
    assert!(rig.vectors().is_empty());
    rig.write_32(REG_INTERRUPT_ENABLE, 1 << 8);
    rig.settle();
    assert!(
        rig.vectors().is_empty(),
        "bit 8 of the lower half is channel 8"
    );
    rig.write_32(REG_INTERRUPT_ENABLE_HIGH, 1 << 8);
    rig.settle();
    assert_eq!(rig.vectors(), [40]);
}

#[test]
fn default_has_four_channels() {
    let rig = Rig::new();
    assert_eq!(rig.read_32(REG_CAPABILITIES) & 0xff, 4);
    assert_eq!(rig.read_64(register(4, CH_MISMATCH_OFFSET)), 0);
    assert_eq!(rig.read_64(register(3, CH_MISMATCH_OFFSET)), u64::MAX);
}

/// Gives each channel one request, lets the engine work for `slices` slices, and tells how many bytes
/// each channel has moved by then.
fn share(lengths: &[u64], slices: u32) -> Vec<u64> {
    let channels = u8::try_from(lengths.len()).expect("at most 64");
    let mut rig = Rig::with_channels(channels);
    rig.bus.default_permit = Permit::ReadWrite;
    for (channel, length_bytes) in lengths.iter().enumerate() {
        let command = Command {
            opcode: DMA_OP_CRC,
            source: DATA + channel as u64 * 100,
            length_bytes: *length_bytes,
            ..Command::default()
        };
        rig.command(channel as u64, command);
    }
    rig.engine.run(&mut rig.bus, slices);
    rig.engine.reset(1);
    let mut done = vec![0; lengths.len()];
    for event in rig.engine.take_events() {
        if let EndpointEvent::RequestDone(record) = event {
            done[record.channel.index()] += record.done_bytes;
        }
    }
    done
}

#[test]
fn sixty_four_busy_channels_move_alike() {
    let done = share(&[1 << 30; 64], 8);
    let (least, most) = (done.iter().min().unwrap(), done.iter().max().unwrap());
    assert!(*least > 0 && most - least <= TURN_BYTES, "{done:?}");
}

#[test]
fn short_requests_of_others_wait_for_one_turn_of_a_long_one() {
    let done = share(&[1 << 30, 64, 64, 64], 1);
    assert_eq!(done[1..], [64, 64, 64]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Requests longer than the slice, so that every channel has work all the time.
    #[test]
    fn no_channel_is_ahead_by_more_than_a_turn_and_an_access(
        lengths in prop::collection::vec((1_u64 << 20)..(3 << 20), 2..9),
    ) {
        let done = share(&lengths, 1);
        let (least, most) = (done.iter().min().unwrap(), done.iter().max().unwrap());
        prop_assert!(most - least <= TURN_BYTES + (32 << 10), "{:?}", done);
    }
}
