//! Properties: cutting into chunks keeps every byte, rings wrap, and no guest makes the engine panic.

mod mock;

use dma_engine::{Engine, EngineConfig, PowerState, Sabotage};
use dmarig_abi::completion::*;
use dmarig_abi::descriptor::*;
use dmarig_abi::registers::*;
use mock::{Command, PAGE, Permit, Rig, register, write_descriptor};
use proptest::collection::vec;
use proptest::prelude::*;

const SOURCE: u64 = 0x10_0000;
const DESTINATION: u64 = 0x40_0000;
const PAGES: usize = 24;

fn permit() -> impl Strategy<Value = Permit> {
    prop_oneof![
        12 => Just(Permit::ReadWrite),
        2 => Just(Permit::MessageOnly),
        1 => Just(Permit::Read),
        1 => Just(Permit::Nothing),
    ]
}

fn map_pages(rig: &mut Rig, base: u64, permits: &[Permit]) {
    for (page, permit) in permits.iter().enumerate() {
        rig.bus.map(base + page as u64 * PAGE, 1, *permit);
    }
}

/// Bytes in front of the first page that refuses, and the status.
fn expected_reach(
    start: u64,
    len_bytes: u64,
    base: u64,
    permits: &[Permit],
    is_write: bool,
) -> (u64, u16) {
    for (page, permit) in permits.iter().enumerate() {
        let page_start = base + page as u64 * PAGE;
        let is_touched = page_start < start + len_bytes && page_start + PAGE > start;
        let status = match (permit, is_write) {
            (Permit::Nothing, _) => DMA_STATUS_UNMAPPED,
            (Permit::Read, true) => DMA_STATUS_PERMISSION,
            _ => continue,
        };
        if is_touched {
            return (page_start.saturating_sub(start), status);
        }
    }
    (len_bytes, DMA_STATUS_SUCCESS)
}

/// Settles the rig, answering messages in an order that `choices` picks.
fn settle_in_any_order(rig: &mut Rig, choices: &[usize]) {
    let mut choices = choices.iter().cycle();
    rig.run();
    while !rig.bus.messages.is_empty() {
        let choice = choices
            .next()
            .map_or(0, |choice| choice % rig.bus.messages.len());
        let message = rig
            .bus
            .messages
            .remove(choice)
            .expect("the index is in range");
        rig.bus.answer(&mut rig.engine, &message);
        rig.run();
    }
}

#[derive(Clone, Debug)]
enum GuestAction {
    Write(u64, Vec<u8>),
    Read(u64, usize),
    Poke(u64, Vec<u8>),
    Run(u32),
    Answer(usize),
    Reset,
    BusMaster(bool),
    Power(bool),
    Sabotage(u8),
}

/// Offsets that mostly hit a register, with values that mostly make something happen.
fn guest_action() -> impl Strategy<Value = GuestAction> {
    let offset = prop_oneof![
        6 => (0..5_u64, 0..0x6c_u64).prop_map(|(channel, at)| CHANNEL_BASE + channel * CHANNEL_STRIDE + at),
        2 => 0..0x30_u64,
        1 => any::<u64>(),
    ];
    let word = prop_oneof![
        (0..8_u64, 0..8_u64).prop_map(|(opcode, flags)| opcode | flags << 16),
        (0..PAGES as u64 * PAGE).prop_map(|at| SOURCE + at),
        (0..64_u64).prop_map(|at| SOURCE + at * 64),
        Just(0xfedf_ffff_u64),
        0..5000_u64,
        any::<u64>(),
    ];
    let bytes = prop_oneof![
        4 => word.prop_map(|word| word.to_le_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..20),
    ];
    prop_oneof![
        20 => (offset.clone(), bytes.clone()).prop_map(|(at, bytes)| GuestAction::Write(at, bytes)),
        2 => (offset, 0..40_usize).prop_map(|(at, len)| GuestAction::Read(at, len)),
        4 => ((0..PAGES as u64 * PAGE).prop_map(|at| SOURCE + at), bytes)
            .prop_map(|(at, bytes)| GuestAction::Poke(at, bytes)),
        6 => (0..4_u32).prop_map(GuestAction::Run),
        6 => any::<usize>().prop_map(GuestAction::Answer),
        1 => Just(GuestAction::Reset),
        1 => prop::bool::weighted(0.9).prop_map(GuestAction::BusMaster),
        1 => prop::bool::weighted(0.1).prop_map(GuestAction::Power),
        1 => any::<u8>().prop_map(GuestAction::Sabotage),
    ]
}

fn act(rig: &mut Rig, action: &GuestAction) {
    match action {
        GuestAction::Write(offset, bytes) => rig.engine.write(*offset, bytes, rig.bus.epoch),
        GuestAction::Read(offset, len) => {
            rig.engine.read(*offset, &mut vec![0; *len], rig.bus.epoch);
        }
        GuestAction::Poke(at, bytes) => rig.bus.poke(*at, bytes),
        GuestAction::Run(slices) => {
            rig.engine.run(&mut rig.bus, *slices);
        }
        GuestAction::Answer(choice) if !rig.bus.messages.is_empty() => {
            let choice = choice % rig.bus.messages.len();
            let message = rig
                .bus
                .messages
                .remove(choice)
                .expect("the index is in range");
            rig.bus.answer(&mut rig.engine, &message);
        }
        GuestAction::Answer(_) => {}
        GuestAction::Reset => rig.engine.reset(rig.bus.epoch),
        GuestAction::BusMaster(enabled) => rig.engine.set_bus_master(*enabled),
        GuestAction::Power(is_low) => rig.engine.set_power_state(match is_low {
            true => PowerState::Low,
            false => PowerState::D0,
        }),
        GuestAction::Sabotage(number) => {
            let kind = match number % 6 {
                0 => Some(Sabotage::FlipBit),
                1 => Some(Sabotage::SkipWrite),
                2 => Some(Sabotage::WritePastEnd),
                3 => Some(Sabotage::CompleteEarly),
                4 => Some(Sabotage::LoseInterrupt),
                _ => None,
            };
            rig.engine.set_sabotage(kind, u32::from(number / 6));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..Default::default() })]

    /// Whatever the pages permit and however the bytes travel, a copy moves exactly the bytes in
    /// front of the first refusal, and its record says so.
    #[test]
    fn copy_moves_exactly_the_permitted_prefix(
        source_permits in vec(permit(), PAGES),
        destination_permits in vec(permit(), PAGES),
        start in (0..PAGE, 0..PAGE),
        len in 1..(PAGES as u64 - 1) * PAGE,
        is_forced in any::<bool>(),
        max_messages in 1..10_usize,
        choices in vec(any::<usize>(), 1..8),
    ) {
        let mut rig = Rig::new();
        rig.bus.max_messages = max_messages;
        map_pages(&mut rig, SOURCE, &source_permits);
        map_pages(&mut rig, DESTINATION, &destination_permits);
        let bytes = mock::pattern(77, PAGES * 0x1000);
        rig.bus.poke(SOURCE, &bytes);
        let (source, destination) = (SOURCE + start.0, DESTINATION + start.1);
        rig.command(0, Command {
            opcode: DMA_OP_COPY,
            flags: if is_forced { DESCRIPTOR_FLAG_MESSAGE } else { 0 },
            source,
            destination,
            length_bytes: len,
            seed: 0,
        });
        settle_in_any_order(&mut rig, &choices);

        let read = expected_reach(source, len, SOURCE, &source_permits, false);
        let write = expected_reach(destination, len, DESTINATION, &destination_permits, true);
        let (done, status) = if read.0 <= write.0 { read } else { write };
        let record = rig.records().pop().expect("the request has ended");
        prop_assert_eq!((record.done_bytes, record.status), (done, status));
        let done = usize::try_from(done).expect("small");
        let from = usize::try_from(start.0).expect("small");
        let moved = &bytes[from..from + done];
        prop_assert_eq!(rig.bus.peek(destination, done), moved);
        prop_assert_eq!(record.crc32c, crc32c::crc32c(moved));
        let rest = usize::try_from(len).expect("small") - done + 1;
        prop_assert!(rig.bus.peek(destination + done as u64, rest).iter().all(|byte| *byte == 0));
        prop_assert_eq!(record.fallback, None, "table and platform agree here");
    }

    /// Any batches over any number of laps give one entry for each descriptor, in order.
    #[test]
    fn rings_of_any_size_wrap(
        entries_log2 in 1..8_u32,
        batches in vec(any::<u32>(), 1..12),
        ring_permit in prop_oneof![Just(Permit::ReadWrite), Just(Permit::MessageOnly)],
    ) {
        let entries = 1 << entries_log2;
        let mut rig = Rig::new();
        rig.bus.map(DESTINATION, 1, Permit::ReadWrite);
        rig.bus.map(SOURCE, 4, ring_permit);
        let mut ring = rig.enable_ring(2, SOURCE, entries);
        let mut tag = 0;
        for batch in batches {
            let first = tag;
            for _ in 0..batch % entries {
                rig.post(&mut ring, write_descriptor(tag, DESTINATION, 8));
                tag += 1;
            }
            rig.ring_doorbell(&ring);
            rig.settle();
            for expected in first..tag {
                let entry = rig.completion(&mut ring);
                prop_assert_eq!(entry.map(|entry| (entry.tag, entry.status)), Some((expected, DMA_STATUS_SUCCESS)));
            }
            prop_assert_eq!(rig.completion(&mut ring), None);
        }
    }

    /// No guest and no order of events makes the engine panic, and a reset with all answers given
    /// always brings it back to rest and to work.
    #[test]
    fn hostile_guest_finds_no_panic_and_a_reset_mends_all(
        permits in vec(permit(), PAGES),
        actions in vec(guest_action(), 1..120),
    ) {
        let mut rig = Rig::new();
        map_pages(&mut rig, SOURCE, &permits);
        // Half of the requests find some way: a guest that only fails tests little.
        rig.bus.map(DESTINATION, 1, Permit::ReadWrite);
        for action in &actions {
            act(&mut rig, action);
            rig.events.extend(rig.engine.take_events());
        }
        rig.engine.set_sabotage(None, 0);
        rig.engine.set_bus_master(true);
        rig.engine.set_power_state(PowerState::D0);
        rig.write_32(REG_CONTROL, CONTROL_RESET);
        rig.settle();
        for channel in 0..4 {
            rig.command(channel, Command {
                opcode: DMA_OP_FILL,
                destination: DESTINATION,
                length_bytes: 64,
                seed: channel,
                ..Command::default()
            });
            rig.settle();
            prop_assert_eq!(rig.status(channel), DMA_STATUS_SUCCESS);
            let channel_byte = u8::try_from(channel).expect("small");
            prop_assert_eq!(rig.bus.peek(DESTINATION, 64), vec![channel_byte; 64]);
        }
    }

    /// A wide access is the same as its bytes one by one.
    #[test]
    fn wide_reads_agree_with_single_bytes(
        offset in 0..0x1500_u64,
        len in 0..64_usize,
        values in vec(any::<u64>(), 6),
    ) {
        let mut engine = Engine::new(EngineConfig::default());
        for (value, at) in values.iter().zip([CH_SOURCE, CH_DESTINATION, CH_LENGTH, CH_SEED, CH_RING_BASE]) {
            engine.write(register(1, at), &value.to_le_bytes(), 0);
        }
        let mut wide = vec![0xaa; len];
        engine.read(offset, &mut wide, 3);
        let single = |at: usize| {
            let mut byte = [0xaa];
            engine.read(offset + at as u64, &mut byte, 3);
            byte[0]
        };
        prop_assert_eq!(wide, (0..len).map(single).collect::<Vec<_>>());
    }
}
