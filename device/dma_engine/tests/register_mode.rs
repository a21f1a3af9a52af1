//! Register mode from the driver's side: every operation, every status, every way to misuse it.

mod mock;

use dma_engine::{AccessPath, BusFaultKind, EndpointEvent, MessageError, PowerState, Progress};
use dmarig_abi::Iova;
use dmarig_abi::completion::*;
use dmarig_abi::descriptor::*;
use dmarig_abi::registers::*;
use mock::{Command, PAGE, Permit, Rig, has_message, pattern, register};

fn write(destination: u64, length_bytes: u64) -> Command {
    Command {
        opcode: DMA_OP_WRITE_PATTERN,
        destination,
        length_bytes,
        seed: 9,
        ..Command::default()
    }
}

fn crc(source: u64, length_bytes: u64) -> Command {
    Command {
        opcode: DMA_OP_CRC,
        source,
        length_bytes,
        ..Command::default()
    }
}

fn forced(mut command: Command) -> Command {
    command.flags |= DESCRIPTOR_FLAG_MESSAGE;
    command
}

fn rig_with_pages(pages: u64) -> Rig {
    let mut rig = Rig::new();
    rig.bus.map(0x10_0000, pages, Permit::ReadWrite);
    rig
}

#[test]
fn identity_registers_and_scratch_read_back() {
    let mut rig = Rig::new();
    assert_eq!(rig.read_32(REG_ID), DUT_ID_VALUE);
    assert_eq!(rig.read_32(REG_VERSION), DUT_VERSION_VALUE);
    assert_eq!(rig.read_32(REG_CAPABILITIES), 4 | 64 << 8);
    assert_eq!(rig.read_64(REG_MAPPING_EPOCH), rig.bus.epoch);
    rig.write_32(REG_SCRATCH, 0x1234_5678);
    rig.engine.write(REG_SCRATCH + 1, &[0xff], 0);
    assert_eq!(rig.read_32(REG_SCRATCH), 0x1234_ff78);
    assert_eq!(rig.read_32(register(0, CH_RING_STATUS) + 4), 0);
}

#[test]
fn half_of_a_64_bit_register_takes_effect_alone() {
    let mut rig = Rig::new();
    rig.write_32(register(2, CH_SOURCE) + 4, 0xabcd);
    assert_eq!(rig.read_64(register(2, CH_SOURCE)), 0xabcd_0000_0000);
    assert_eq!(rig.read_64(register(1, CH_SOURCE)), 0);
}

#[test]
fn pattern_written_by_the_device_is_the_drivers_pattern() {
    let mut rig = rig_with_pages(40);
    let record = rig.run_command(write(0x10_0123, 100_000));
    assert_eq!(record.status, DMA_STATUS_SUCCESS);
    assert_eq!(rig.bus.peek(0x10_0123, 100_000), pattern(9, 100_000));
    assert_eq!(rig.bus.peek(0x10_0122, 1), [0]);
    assert_eq!(rig.bus.peek(0x10_0123 + 100_000, 1), [0]);
    assert_eq!(record.crc32c, crc32c::crc32c(&pattern(9, 100_000)));
    assert_eq!(record.path, AccessPath::Mapped);
    assert_eq!(rig.read_32(register(0, CH_CRC)), record.crc32c);
    assert_eq!(rig.read_64(register(0, CH_DONE_BYTES)), 100_000);
    assert_eq!(rig.read_64(register(0, CH_EPOCH)), rig.bus.epoch);
    assert!(rig.bus.sent.is_empty());
}

#[test]
fn verify_names_the_first_differing_byte() {
    let mut rig = rig_with_pages(20);
    rig.bus.poke(0x10_0000, &pattern(5, 70_000));
    let verify = Command {
        opcode: DMA_OP_VERIFY_PATTERN,
        source: 0x10_0000,
        length_bytes: 70_000,
        seed: 5,
        ..Command::default()
    };
    assert_eq!(rig.run_command(verify).status, DMA_STATUS_SUCCESS);

    let expected = pattern(5, 70_000)[40_001];
    rig.bus.poke(0x10_0000 + 40_001, &[!expected]);
    rig.bus.poke(0x10_0000 + 50_000, &[0, 0, 0]);
    let record = rig.run_command(verify);
    assert_eq!(record.status, DMA_STATUS_MISMATCH);
    assert_eq!(record.mismatch_offset, Some(40_001));
    assert_eq!((record.expected, record.seen), (expected, !expected));
    assert_eq!(record.done_bytes, 70_000);
    assert_eq!(rig.read_64(register(0, CH_MISMATCH_OFFSET)), 40_001);
    let bytes = rig.read_32(register(0, CH_MISMATCH_BYTES)).to_le_bytes();
    assert_eq!(bytes, [expected, !expected, 0, 0]);
}

#[test]
fn copy_fill_crc_and_nop_do_what_they_say() {
    let mut rig = rig_with_pages(64);
    rig.bus.poke(0x10_0001, &pattern(1, 50_000));
    let copy = Command {
        opcode: DMA_OP_COPY,
        source: 0x10_0001,
        destination: 0x12_0007,
        length_bytes: 50_000,
        ..Command::default()
    };
    assert_eq!(
        rig.run_command(copy).crc32c,
        crc32c::crc32c(&pattern(1, 50_000))
    );
    assert_eq!(rig.bus.peek(0x12_0007, 50_000), pattern(1, 50_000));

    let fill = Command {
        opcode: DMA_OP_FILL,
        seed: 0x1a5,
        ..write(0x10_0000, 33)
    };
    assert_eq!(rig.run_command(fill).status, DMA_STATUS_SUCCESS);
    assert_eq!(rig.bus.peek(0x10_0000, 33), [0xa5; 33]);

    let record = rig.run_command(crc(0x10_0000, 33));
    assert_eq!(record.crc32c, crc32c::crc32c(&[0xa5; 33]));
    let nop = Command::default();
    assert_eq!(rig.run_command(nop).status, DMA_STATUS_SUCCESS);
}

#[test]
fn bad_requests_end_with_their_status_and_touch_nothing() {
    let check = |command: Command, expected: u16| {
        let mut rig = rig_with_pages(1);
        rig.bus.default_permit = Permit::ReadWrite;
        let record = rig.run_command(command);
        assert_eq!(record.status, expected, "{command:?}");
        assert_eq!((record.done_bytes, record.path), (0, AccessPath::None));
        assert!(rig.bus.sent.is_empty());
    };
    check(write(0x10_0000, 0), DMA_STATUS_LENGTH);
    check(write(0x10_0000, u64::MAX), DMA_STATUS_ADDRESS);
    check(write(u64::MAX, 2), DMA_STATUS_ADDRESS);
    check(crc(u64::MAX - 7, 9), DMA_STATUS_ADDRESS);
    check(
        Command {
            opcode: 6,
            ..write(0x10_0000, 1)
        },
        DMA_STATUS_OPCODE,
    );
    check(
        Command {
            opcode: 0xffff,
            ..write(0x10_0000, 1)
        },
        DMA_STATUS_OPCODE,
    );
    check(
        Command {
            flags: 8,
            ..write(0x10_0000, 1)
        },
        DMA_STATUS_OPCODE,
    );
    check(
        Command {
            flags: 0x8001,
            opcode: 0,
            ..Command::default()
        },
        DMA_STATUS_OPCODE,
    );
}

#[test]
fn range_beyond_the_address_width_is_refused() {
    let mut rig = rig_with_pages(1);
    rig.engine = dma_engine::Engine::new(dma_engine::EngineConfig {
        channels: 1,
        addresses: dma_engine::AddressRules::of_width(32),
    });
    rig.engine.set_bus_master(true);
    rig.bus.default_permit = Permit::ReadWrite;
    assert_eq!(
        rig.run_command(crc(0xffff_ffff, 1)).status,
        DMA_STATUS_SUCCESS
    );
    assert_eq!(
        rig.run_command(crc(0xffff_ffff, 2)).status,
        DMA_STATUS_ADDRESS
    );
}

#[test]
fn dma_is_refused_without_bus_mastering_or_outside_d0() {
    let mut rig = rig_with_pages(1);
    rig.engine.set_bus_master(false);
    assert_eq!(
        rig.run_command(write(0x10_0000, 8)).status,
        DMA_STATUS_BUS_MASTER_OFF
    );
    rig.engine.set_bus_master(true);
    rig.engine.set_power_state(PowerState::Low);
    assert_eq!(
        rig.run_command(write(0x10_0000, 8)).status,
        DMA_STATUS_POWER_STATE
    );
    assert_eq!(rig.bus.peek(0x10_0000, 8), [0; 8]);
}

#[test]
fn refused_page_ends_the_request_at_its_first_byte_after_one_message() {
    let mut rig = rig_with_pages(3);
    rig.bus.map(0x10_1000, 1, Permit::Read);
    let record = rig.run_command(write(0x10_0800, 3 * PAGE));
    assert_eq!(record.status, DMA_STATUS_PERMISSION);
    assert_eq!(record.done_bytes, 0x800);
    assert_eq!(record.fault_iova, Some(Iova::new(0x10_1000)));
    assert_eq!(rig.bus.sent, [(0x10_1000, 0x1000, true)]);
    assert_eq!(record.path, AccessPath::Both);
    assert_ne!(rig.read_32(register(0, CH_STATUS)) & CH_STATUS_MESSAGE, 0);

    let record = rig.run_command(crc(0x10_2ff0, 0x20));
    assert_eq!(
        (record.status, record.done_bytes),
        (DMA_STATUS_UNMAPPED, 0x10)
    );
    assert_eq!(rig.bus.sent[1..], [(0x10_3000, 0x10, false)]);
}

#[test]
fn fall_back_that_succeeds_is_reported_and_the_request_goes_on() {
    let mut rig = rig_with_pages(4);
    rig.bus.map_table(0x10_1000, 1, Permit::Nothing);
    let record = rig.run_command(write(0x10_0000, 4 * PAGE));
    assert_eq!(
        (record.status, record.done_bytes),
        (DMA_STATUS_SUCCESS, 4 * PAGE)
    );
    let fallback = record.fallback.expect("the table was wrong");
    assert_eq!(
        (fallback.iova.raw(), fallback.kind),
        (0x10_1000, BusFaultKind::Unmapped)
    );
    assert_eq!(rig.bus.peek(0x10_0000, 0x4000), pattern(9, 0x4000));
    assert_eq!(rig.bus.sent.len(), 1);
}

#[test]
fn memory_that_cannot_be_mapped_is_reached_by_message_without_a_finding() {
    let mut rig = rig_with_pages(4);
    rig.bus.map(0x10_1000, 2, Permit::MessageOnly);
    let record = rig.run_command(write(0x10_0000, 4 * PAGE));
    assert_eq!((record.status, record.fallback), (DMA_STATUS_SUCCESS, None));
    assert_eq!(rig.bus.peek(0x10_0000, 0x4000), pattern(9, 0x4000));
    assert!(has_message(&record));
    assert_eq!(rig.bus.sent.len(), 1, "one message for both pages");
}

#[test]
fn refused_destination_is_named_although_the_source_ends_there_too() {
    let mut rig = rig_with_pages(1);
    rig.bus.map(0x10_0000, 1, Permit::MessageOnly);
    rig.bus.map(0x20_0000, 1, Permit::Read);
    let copy = Command {
        opcode: DMA_OP_COPY,
        source: 0x10_0fff,
        destination: 0x20_0000,
        length_bytes: 2,
        ..Command::default()
    };
    let record = rig.run_command(copy);
    assert_eq!(
        (record.status, record.done_bytes),
        (DMA_STATUS_PERMISSION, 0)
    );
}

#[test]
fn interrupt_addresses_never_leave_as_messages() {
    let check = |command: Command, done_bytes: u64| {
        let mut rig = Rig::new();
        rig.bus.map_platform(0xfedf_0000, 0x200, Permit::ReadWrite);
        rig.bus.map_table(0xfedf_0000, 16, Permit::ReadWrite);
        let record = rig.run_command(command);
        assert_eq!(
            (record.status, record.done_bytes),
            (DMA_STATUS_ADDRESS, done_bytes)
        );
        let is_outside = |sent: &(u64, usize, bool)| sent.0 + sent.1 as u64 <= 0xfee0_0000;
        assert!(rig.bus.sent.iter().all(is_outside), "{:x?}", rig.bus.sent);
    };
    check(write(0xfee0_0000, 4), 0);
    check(write(0xfedf_ff00, 0x200), 0x100);
    check(forced(write(0xfeef_ffff, 1)), 0);
    check(forced(write(0xfedf_ff00, 0x200)), 0x100);
    check(forced(crc(0xfedf_0000, 0x2_0000)), 0x1_0000);
}

#[test]
fn forced_messages_are_pipelined_and_may_be_answered_in_any_order() {
    let mut rig = rig_with_pages(64);
    rig.bus.poke(0x10_0000, &pattern(3, 200_000));
    rig.command(0, forced(crc(0x10_0000, 200_000)));
    rig.run();
    assert_eq!(rig.bus.messages.len(), 7);
    while let Some(message) = rig.bus.messages.pop_back() {
        assert!(rig.is_busy(0));
        rig.bus.answer(&mut rig.engine, &message);
        rig.run();
    }
    let record = rig.records().pop().expect("the request has ended");
    assert_eq!(record.crc32c, crc32c::crc32c(&pattern(3, 200_000)));
    assert_eq!(
        (record.status, record.path),
        (DMA_STATUS_SUCCESS, AccessPath::Message)
    );
}

#[test]
fn forced_messages_stop_exactly_in_front_of_a_refused_page() {
    let mut rig = rig_with_pages(10);
    rig.bus.map(0x10_5000, 1, Permit::Read);
    let record = rig.run_command(forced(write(0x10_0000, 10 * PAGE)));
    assert_eq!(
        (record.status, record.done_bytes),
        (DMA_STATUS_PERMISSION, 5 * PAGE)
    );
    assert_eq!(record.fault_iova, Some(Iova::new(0x10_5000)));
}

#[test]
fn refusal_against_the_table_is_its_own_status() {
    let mut rig = rig_with_pages(2);
    rig.bus.map_platform(0x10_0000, 2, Permit::Nothing);
    let record = rig.run_command(forced(write(0x10_0000, 16)));
    assert_eq!(record.status, DMA_STATUS_REFUSED);
}

#[test]
fn missing_answer_and_missing_platform_have_their_statuses() {
    let mut rig = rig_with_pages(1);
    rig.command(0, forced(write(0x10_0000, 16)));
    rig.run();
    let message = rig.bus.messages.pop_front().expect("one message");
    rig.engine
        .message_done(message.ticket, Err(MessageError::Timeout));
    rig.run();
    assert_eq!(rig.status(0), DMA_STATUS_TIMEOUT);

    rig.bus.is_available = false;
    assert_eq!(
        rig.run_command(forced(write(0x10_0000, 16))).status,
        DMA_STATUS_REFUSED
    );
    assert_eq!(
        rig.run_command(write(0x10_1000, 16)).status,
        DMA_STATUS_UNMAPPED
    );
}

#[test]
fn short_answer_to_a_read_is_a_refusal_not_a_panic() {
    let mut rig = rig_with_pages(1);
    rig.command(0, forced(crc(0x10_0000, 16)));
    rig.run();
    let message = rig.bus.messages.pop_front().expect("one message");
    rig.engine.message_done(message.ticket, Ok(&[1, 2, 3]));
    rig.run();
    assert_eq!(rig.status(0), DMA_STATUS_REFUSED);
}

#[test]
fn busy_platform_is_asked_again() {
    let mut rig = rig_with_pages(64);
    rig.bus.max_messages = 1;
    let record = rig.run_command(forced(write(0x10_0000, 200_000)));
    assert_eq!(
        (record.status, record.done_bytes),
        (DMA_STATUS_SUCCESS, 200_000)
    );
    assert_eq!(rig.bus.peek(0x10_0000, 200_000), pattern(9, 200_000));
}

#[test]
fn probe_asks_the_table_and_touches_nothing() {
    let mut rig = rig_with_pages(4);
    rig.bus.map(0x10_2000, 1, Permit::Read);
    rig.bus.map(0x10_3000, 1, Permit::Nothing);
    let probe = |mut command: Command| {
        command.flags = DESCRIPTOR_FLAG_PROBE | DESCRIPTOR_FLAG_MESSAGE;
        command
    };
    let mut check = |command: Command, status: u16, done_bytes: u64| {
        let record = rig.run_command(probe(command));
        assert_eq!((record.status, record.done_bytes), (status, done_bytes));
        assert_eq!((record.path, record.crc32c), (AccessPath::Probe, 0));
    };
    check(write(0x10_0000, 2 * PAGE), DMA_STATUS_SUCCESS, 2 * PAGE);
    check(write(0x10_0000, 3 * PAGE), DMA_STATUS_PERMISSION, 2 * PAGE);
    check(crc(0x10_0000, 3 * PAGE), DMA_STATUS_SUCCESS, 3 * PAGE);
    check(
        crc(0x10_0010, 4 * PAGE),
        DMA_STATUS_UNMAPPED,
        3 * PAGE - 0x10,
    );
    assert!(rig.bus.sent.is_empty());
    assert_eq!(rig.bus.peek(0x10_0000, 0x4000), vec![0; 0x4000]);
}

#[test]
fn values_are_latched_at_the_doorbell_and_a_second_doorbell_is_dropped() {
    let mut rig = rig_with_pages(64);
    rig.command(0, forced(write(0x10_0000, 40_000)));
    rig.run();
    // The first request waits for the platform; the driver overwrites everything and rings again.
    rig.command(0, write(0x12_0000, 16));
    assert!(rig.is_busy(0));
    rig.settle();

    let records = rig.request_records();
    assert_eq!(records.len(), 2);
    assert_eq!(records[0].status, DMA_STATUS_BUSY);
    assert_eq!(records[0].destination, Some(Iova::new(0x12_0000)));
    assert_eq!(
        (records[1].status, records[1].done_bytes),
        (DMA_STATUS_SUCCESS, 40_000)
    );
    assert_eq!(rig.status(0), DMA_STATUS_SUCCESS);
    assert_eq!(rig.bus.peek(0x10_0000, 40_000), pattern(9, 40_000));
    assert_eq!(rig.bus.peek(0x12_0000, 16), [0; 16]);
}

#[test]
fn status_cause_and_vector_wait_for_every_write_to_be_answered() {
    let mut rig = rig_with_pages(64);
    let mut command = forced(write(0x10_0000, 100_000));
    command.flags |= DESCRIPTOR_FLAG_INTERRUPT;
    rig.command(0, command);
    rig.run();
    while let Some(message) = rig.bus.messages.pop_back() {
        assert!(rig.is_busy(0));
        assert_eq!(rig.read_32(REG_INTERRUPT_CAUSE), 0);
        assert!(rig.events.is_empty());
        rig.bus.answer(&mut rig.engine, &message);
        rig.run();
    }
    assert!(!rig.is_busy(0));
    assert_eq!(rig.read_32(REG_INTERRUPT_CAUSE), 1);
    assert!(
        matches!(
            rig.events[..],
            [
                EndpointEvent::RequestDone(_),
                EndpointEvent::Interrupt { .. }
            ]
        ),
        "the record, then the vector: {:?}",
        rig.events
    );
}

#[test]
fn writes_of_a_copy_are_sent_in_order_whatever_the_order_of_the_answers() {
    let mut rig = rig_with_pages(64);
    rig.command(
        0,
        forced(Command {
            opcode: DMA_OP_COPY,
            source: 0x10_0000,
            destination: 0x12_0000,
            length_bytes: 100_000,
            ..Command::default()
        }),
    );
    rig.run();
    while let Some(message) = rig.bus.messages.pop_back() {
        rig.bus.answer(&mut rig.engine, &message);
        rig.run();
    }
    let writes: Vec<_> = rig.bus.sent.iter().filter(|sent| sent.2).collect();
    assert_eq!(writes.len(), 4);
    assert!(writes.is_sorted(), "{writes:x?}");
}

#[test]
fn vector_needs_flag_and_enable_and_enabling_late_raises_it() {
    let mut rig = rig_with_pages(1);
    rig.write_32(REG_INTERRUPT_ENABLE, 0);
    let asking = Command {
        flags: DESCRIPTOR_FLAG_INTERRUPT,
        ..Command::default()
    };
    rig.command(2, asking);
    rig.command(1, Command::default());
    rig.settle();
    assert_eq!(rig.read_32(REG_INTERRUPT_CAUSE), 0b110);
    assert!(rig.vectors().is_empty() && !rig.engine.is_intx_asserted());

    rig.write_32(REG_INTERRUPT_ENABLE, 0xf);
    rig.run();
    assert_eq!(rig.vectors(), [2]);
    assert!(rig.engine.is_intx_asserted());
    rig.write_32(REG_INTERRUPT_CAUSE, 0b100);
    assert_eq!(rig.read_32(REG_INTERRUPT_CAUSE), 0b010);
    assert!(!rig.engine.is_intx_asserted());
}

#[test]
fn bus_master_off_half_way_ends_the_request_where_it_stands() {
    let mut rig = Rig::new();
    rig.bus.default_permit = Permit::ReadWrite;
    rig.command(0, crc(0, 8 << 20));
    assert_eq!(rig.engine.run(&mut rig.bus, 1), Progress::More);
    rig.engine.set_bus_master(false);
    rig.settle();
    let record = rig.records().pop().expect("the request has ended");
    assert_eq!(
        (record.status, record.done_bytes),
        (DMA_STATUS_BUS_MASTER_OFF, 1 << 20)
    );
}

#[test]
fn power_down_waits_for_messages_under_way_but_sends_no_more() {
    let mut rig = rig_with_pages(200);
    rig.command(0, forced(write(0x10_0000, 700_000)));
    rig.run();
    let under_way = rig.bus.messages.len();
    rig.engine.set_power_state(PowerState::Low);
    rig.run();
    assert!(rig.is_busy(0));
    rig.settle();
    assert_eq!(rig.status(0), DMA_STATUS_POWER_STATE);
    assert_eq!(rig.bus.sent.len(), under_way);
}

#[test]
fn endless_verify_lets_others_work_and_ends_by_reset() {
    let mut rig = Rig::new();
    rig.bus.default_permit = Permit::ReadWrite;
    rig.command(0, crc(0, 1 << 63));
    rig.command(1, write(0x10_0000, 4096));
    for _ in 0..4 {
        assert_eq!(rig.engine.run(&mut rig.bus, 2), Progress::More);
    }
    assert_eq!(rig.status(1), DMA_STATUS_SUCCESS);
    assert!(rig.is_busy(0));

    rig.write_32(REG_CONTROL, CONTROL_RESET);
    rig.run();
    assert!(!rig.is_busy(0));
    assert_eq!(rig.status(0), DMA_STATUS_ABORTED);
    assert_eq!(rig.status(1), DMA_STATUS_NONE);
    assert_eq!(rig.read_64(register(0, CH_LENGTH)), 0);
    let record = rig.records().pop().expect("a record of the abort");
    assert_eq!(record.status, DMA_STATUS_ABORTED);
    assert!(record.done_bytes >= 4 << 20 && record.done_bytes <= 8 << 20);
}

#[test]
fn probe_of_half_the_address_space_ends_at_once() {
    let mut rig = Rig::new();
    rig.bus.default_permit = Permit::ReadWrite;
    let probe = Command {
        flags: DESCRIPTOR_FLAG_PROBE,
        ..crc(0, 1 << 63)
    };
    assert_eq!(rig.run_command(probe).done_bytes, 1 << 63);
}

#[test]
fn after_a_reset_new_work_waits_for_old_messages_and_their_answers_change_nothing() {
    let mut rig = rig_with_pages(4);
    rig.command(0, forced(write(0x10_0000, 16)));
    rig.run();
    rig.engine.reset(rig.bus.epoch);
    rig.command(0, write(0x10_1000, 16));
    rig.run();
    assert!(rig.is_busy(0), "the old write may still land");
    assert_eq!(rig.records().len(), 1);

    let late = rig.bus.messages.pop_front().expect("one message");
    rig.bus.answer(&mut rig.engine, &late);
    rig.run();
    assert_eq!(rig.status(0), DMA_STATUS_SUCCESS);
    let statuses: Vec<_> = rig.records().iter().map(|record| record.status).collect();
    assert_eq!(statuses, [DMA_STATUS_ABORTED, DMA_STATUS_SUCCESS]);
    assert_eq!(rig.bus.peek(0x10_1000, 16), pattern(9, 16));
}

#[test]
fn disconnection_ends_what_waits_for_answers() {
    let mut rig = rig_with_pages(4);
    rig.command(0, forced(write(0x10_0000, 16)));
    rig.run();
    rig.engine.disconnected();
    rig.run();
    assert_eq!(rig.status(0), DMA_STATUS_ABORTED);
}
