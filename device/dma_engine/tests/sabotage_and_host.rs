//! Each sabotage shows where it should, and the host's own requests run like a guest's.

mod mock;

use dma_engine::{Origin, Request, Sabotage};
use dmarig_abi::completion::*;
use dmarig_abi::descriptor::*;
use dmarig_abi::registers::{
    CH_INDEX_ADDRESS, REG_INTERRUPT_CAUSE, REG_INTERRUPT_ENABLE, RING_ENABLE, RING_INDEX_MODE,
};
use dmarig_abi::{Descriptor, Iova};
use mock::{Command, PAGE, Permit, Rig, pattern, register, rings, write_descriptor};
use zerocopy::IntoBytes;

const DATA: u64 = 0x10_0000;
const LEN: usize = 40_000;

/// Writes a pattern under a sabotage, by mapping and by message, and shows memory and rig.
fn check_both_paths(sabotage: Sabotage, check: impl Fn(&mut Rig, &[u8])) {
    for flags in [0, DESCRIPTOR_FLAG_MESSAGE] {
        let mut rig = Rig::new();
        rig.bus.map(DATA, 16, Permit::ReadWrite);
        rig.engine.set_sabotage(Some(sabotage), 1);
        let command = Command {
            opcode: DMA_OP_WRITE_PATTERN,
            flags,
            destination: DATA,
            length_bytes: LEN as u64,
            seed: 4,
            ..Command::default()
        };
        let record = rig.run_command(command);
        assert_eq!(
            record.status, DMA_STATUS_SUCCESS,
            "the device claims success"
        );
        assert_eq!(record.crc32c, crc32c::crc32c(&pattern(4, LEN)));
        assert_eq!(rig.engine.sabotage_fired(), 1);
        let memory = rig.bus.peek(DATA, LEN + 1);
        check(&mut rig, &memory);

        rig.run_command(command);
        assert_eq!(rig.bus.peek(DATA, LEN), pattern(4, LEN), "it acts once");
        assert_eq!(rig.engine.sabotage_fired(), 1);
    }
}

#[test]
fn flip_bit_changes_exactly_one_bit() {
    check_both_paths(Sabotage::FlipBit, |_, memory| {
        let difference: u32 = memory
            .iter()
            .zip(pattern(4, LEN))
            .map(|(seen, expected)| (seen ^ expected).count_ones())
            .sum();
        assert_eq!(difference, 1);
        assert_eq!(memory[LEN], 0);
    });
}

#[test]
fn skip_write_leaves_a_hole() {
    check_both_paths(Sabotage::SkipWrite, |_, memory| {
        assert_eq!(memory[..32 << 10], vec![0; 32 << 10]);
        assert_eq!(memory[32 << 10..LEN], pattern(4, LEN)[32 << 10..]);
    });
}

#[test]
fn write_past_end_changes_the_next_byte_only() {
    check_both_paths(Sabotage::WritePastEnd, |_, memory| {
        assert_eq!(memory[..LEN], pattern(4, LEN));
        assert_ne!(memory[LEN], 0);
    });
}

#[test]
fn complete_early_shows_success_before_the_last_write_and_makes_it_later() {
    check_both_paths(Sabotage::CompleteEarly, |rig, memory| {
        assert_eq!(
            memory[LEN - 1],
            0,
            "success, and the last byte is not there"
        );
        rig.run_command(Command::default());
        assert_eq!(rig.bus.peek(DATA, LEN), pattern(4, LEN));
    });
}

#[test]
fn complete_early_holds_over_the_completion_entry() {
    let mut rig = Rig::new();
    rig.bus.map(DATA, 16, Permit::ReadWrite);
    rig.bus.map(0x20_0000, 1, Permit::ReadWrite);
    rig.engine.set_sabotage(Some(Sabotage::CompleteEarly), 1);
    let mut ring = rig.enable_ring(0, 0x20_0000, 4);
    rig.post(&mut ring, write_descriptor(4, DATA, 64));
    rig.ring_doorbell(&ring);
    rig.settle();
    assert!(rig.completion(&mut ring).is_some());
    assert_eq!(rig.bus.peek(DATA, 64), [0; 64]);
    assert_eq!(rig.vectors(), [0]);
}

#[test]
fn write_that_is_held_back_does_not_outlive_a_reset() {
    let mut rig = Rig::new();
    rig.bus.map(DATA, 16, Permit::ReadWrite);
    rig.engine.set_sabotage(Some(Sabotage::CompleteEarly), 1);
    rig.run_command(Command {
        opcode: DMA_OP_FILL,
        destination: DATA,
        length_bytes: 16,
        seed: 0xee,
        ..Command::default()
    });
    rig.engine.reset(rig.bus.epoch);
    rig.run_command(Command::default());
    assert_eq!(rig.bus.peek(DATA, 16), [0; 16]);
}

#[test]
fn lost_interrupt_leaves_completion_and_cause_and_raises_neither_vector_nor_line() {
    let mut rig = Rig::new();
    rig.bus.map(0x20_0000, 1, Permit::ReadWrite);
    rig.engine.set_sabotage(Some(Sabotage::LoseInterrupt), 2);
    let ask = Command {
        flags: DESCRIPTOR_FLAG_INTERRUPT,
        ..Command::default()
    };
    assert_eq!(rig.run_command(ask).status, DMA_STATUS_SUCCESS);
    let mut ring = rig.enable_ring(0, 0x20_0000, 4);
    rig.post(&mut ring, write_descriptor(4, 0x20_0800, 64));
    rig.ring_doorbell(&ring);
    rig.settle();
    assert!(rig.completion(&mut ring).is_some());
    assert_eq!(rig.read_32(REG_INTERRUPT_CAUSE), 1);
    assert_eq!(rig.engine.sabotage_fired(), 2);
    rig.write_32(REG_INTERRUPT_ENABLE, 0);
    rig.write_32(REG_INTERRUPT_ENABLE, 1);
    rig.settle();
    assert!(rig.vectors().is_empty(), "enabling does not bring it back");
    assert!(!rig.engine.is_intx_asserted());

    rig.run_command(ask);
    assert_eq!(rig.vectors(), [0], "it was for two times");
    assert!(rig.engine.is_intx_asserted());
}

#[test]
fn interrupt_that_nobody_asked_for_is_not_counted_as_lost() {
    let mut rig = Rig::new();
    rig.engine.set_sabotage(Some(Sabotage::LoseInterrupt), 1);
    rig.run_command(Command::default());
    assert_eq!(rig.engine.sabotage_fired(), 0);
}

#[test]
fn ignored_chain_ends_with_its_first_descriptor() {
    let mut rig = rings::rig();
    rig.engine.set_sabotage(Some(Sabotage::IgnoreChain), 1);
    let second = write_descriptor(5, DATA + PAGE, 64);
    rig.bus.poke(rings::LISTS, second.as_bytes());
    let first = Descriptor {
        flags: DESCRIPTOR_FLAG_CHAIN,
        next: rings::LISTS,
        ..write_descriptor(4, DATA, 64)
    };
    let mut ring = rig.enable_ring(0, rings::RING, 4);
    let entry = rings::run(&mut rig, &mut ring, first);
    let told = (entry.status, entry.done_bytes, entry.chained);
    assert_eq!(told, (DMA_STATUS_SUCCESS, 64, 0));
    assert_eq!(rig.bus.peek(DATA + PAGE, 64), [0; 64]);
    let entry = rings::run(&mut rig, &mut ring, first);
    assert_eq!((entry.done_bytes, entry.chained), (128, 1), "it acts once");
    assert_eq!(rig.engine.sabotage_fired(), 1);
}

#[test]
fn stale_index_is_one_entry_behind() {
    let mut rig = rings::rig();
    rig.engine.set_sabotage(Some(Sabotage::StaleIndex), 1);
    let index = rings::LISTS;
    rig.write_64(register(0, CH_INDEX_ADDRESS), index);
    let mut ring = rig.enable_ring_as(0, rings::RING, 4, RING_ENABLE | RING_INDEX_MODE);
    for (told, tag) in [(0_u32, 7), (2, 8)] {
        rig.post(&mut ring, write_descriptor(tag, DATA, 8));
        rig.ring_doorbell(&ring);
        rig.settle();
        assert_eq!(rig.bus.peek(index, 4), told.to_le_bytes());
    }
    assert_eq!(rig.engine.sabotage_fired(), 1);
}

#[test]
fn fence_that_passes_does_not_wait_for_the_channel_that_hangs() {
    let fence = Descriptor {
        opcode: DMA_OP_FENCE,
        seed: FENCE_ALL_CHANNELS,
        ..Descriptor::default()
    };
    for (sabotage, ends) in [(None, false), (Some(Sabotage::PassFence), true)] {
        let mut rig = rings::rig();
        rig.engine.set_sabotage(sabotage, 1);
        // A message that nobody answers holds channel 1.
        let held = Command {
            opcode: DMA_OP_CRC,
            flags: DESCRIPTOR_FLAG_MESSAGE,
            source: DATA,
            length_bytes: 64,
            ..Command::default()
        };
        rig.command(1, held);
        rig.run();
        let mut ring = rig.enable_ring(0, rings::RING, 4);
        rig.post(&mut ring, fence);
        rig.ring_doorbell(&ring);
        rig.run();
        assert_eq!(rig.completion(&mut ring).is_some(), ends, "{sabotage:?}");
        assert!(rig.is_busy(1));
    }
}

#[test]
fn sabotage_that_never_acts_changes_no_event() {
    let events = |sabotage: Option<Sabotage>| {
        let mut rig = Rig::new();
        rig.bus.map(DATA, 16, Permit::ReadWrite);
        rig.engine.set_sabotage(sabotage, 0);
        let write = Command {
            opcode: DMA_OP_WRITE_PATTERN,
            destination: DATA,
            length_bytes: 5000,
            ..Command::default()
        };
        rig.run_command(write);
        (rig.events, rig.bus.peek(DATA, 5001))
    };
    assert_eq!(events(None), events(Some(Sabotage::FlipBit)));
}

fn host_request(destination: u64) -> Request {
    Request {
        opcode: DMA_OP_FILL,
        destination: Iova::new(destination),
        length_bytes: 16,
        seed: 0xee,
        ..Request::default()
    }
}

#[test]
fn host_requests_run_in_order_and_carry_their_numbers() {
    let mut rig = Rig::new();
    rig.bus.map(DATA, 1, Permit::ReadWrite);
    let first = rig
        .engine
        .submit_host(host_request(DATA))
        .expect("there is room");
    let second = rig
        .engine
        .submit_host(host_request(DATA + PAGE))
        .expect("there is room");
    rig.settle();
    let outcomes: Vec<_> = rig.records().iter().map(|r| (r.origin, r.status)).collect();
    let expected = [
        (Origin::Host { id: first }, DMA_STATUS_SUCCESS),
        (Origin::Host { id: second }, DMA_STATUS_UNMAPPED),
    ];
    assert_eq!(outcomes, expected);
    assert_eq!(rig.bus.peek(DATA, 16), [0xee; 16]);
    assert!(rig.vectors().is_empty());
    assert_eq!(rig.read_32(REG_INTERRUPT_CAUSE), 0);
}

#[test]
fn full_host_queue_says_so_and_a_reset_answers_every_request() {
    let mut rig = Rig::new();
    let mut accepted = 0;
    let error = loop {
        match rig.engine.submit_host(host_request(DATA)) {
            Ok(_) => accepted += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.queued, accepted);
    rig.engine.reset(0);
    rig.settle();
    assert_eq!(rig.records().len(), accepted);
    assert!(
        rig.records()
            .iter()
            .all(|record| record.status == DMA_STATUS_ABORTED)
    );
}
