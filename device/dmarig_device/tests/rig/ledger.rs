//! Buffers, accesses and violations as the control socket tells them.

use crate::support::{Bench, Harness, MockQemu, PATIENCE};
use control_api::FunctionName;
use control_api::ledger::{AccessDirection, AccessPath, LedgerPage, Violation, ViolationKind};
use control_api::request::{
    BufferDeclare, BufferDirection, BufferList, BufferUndeclare, DmaOp, DmaPath, DmaSubmit,
    LedgerClear, LedgerRead,
};
use control_api::response::DmaStatus;
use control_api::rpc::CODE_BAD_PARAMS;
use dmarig_abi::Iova;
use dmarig_abi::registers::{
    CH_COMPLETION_BASE, CH_DESTINATION, CH_RING_BASE, CH_RING_CONTROL, CH_RING_ENTRIES,
    CHANNEL_BASE, CONTROL_RESET, REG_CONTROL, RING_ENABLE,
};
use guest_memory::SharedMemory;

const BASE: u64 = 0x20_0000;
/// The number of the power management capability.
const POWER_CAPABILITY: u8 = 1;

fn rig() -> (Bench, MockQemu, Harness) {
    let mut bench = Bench::new();
    let mut qemu = bench.connect(FunctionName::DUT0);
    let harness = bench.harness();
    let ram = SharedMemory::create_sealed("ram", 0x10_0000).expect("memory");
    qemu.map(&mut bench, &ram, BASE, true);
    qemu.enable_bus_master(&mut bench);
    (bench, qemu, harness)
}

fn declare(name: &str, iova: u64, length: u64, direction: BufferDirection) -> BufferDeclare {
    BufferDeclare {
        function: FunctionName::DUT0,
        name: name.into(),
        iova: Iova::new(iova),
        length,
        direction,
    }
}

fn fill(iova: u64, length: u64) -> DmaSubmit {
    DmaSubmit {
        function: FunctionName::DUT0,
        op: DmaOp::Fill,
        path: DmaPath::Default,
        iova: Iova::new(iova),
        destination: None,
        length,
        seed: 1,
    }
}

fn page(bench: &mut Bench, harness: &mut Harness) -> LedgerPage {
    harness.call(
        bench,
        &LedgerRead {
            function: FunctionName::DUT0,
            from: 0,
            limit: 80,
        },
    )
}

fn violations(bench: &mut Bench, harness: &mut Harness) -> Vec<Violation> {
    page(bench, harness).violations
}

fn kinds(bench: &mut Bench, harness: &mut Harness) -> Vec<ViolationKind> {
    let found = violations(bench, harness);
    found.into_iter().map(|violation| violation.kind).collect()
}

#[test]
fn access_of_a_declared_buffer_is_recorded_with_its_name() {
    let (mut bench, _qemu, mut harness) = rig();
    let buffer = declare("ring", BASE, 0x100, BufferDirection::Bidirectional);
    harness.call(&mut bench, &buffer);
    harness.call(&mut bench, &fill(BASE + 1, 0xff));
    let page = page(&mut bench, &mut harness);
    assert_eq!(page.violations, []);
    let record = &page.records[0];
    assert_eq!((record.iova, record.length), (Iova::new(BASE + 1), 0xff));
    assert_eq!(
        (record.direction, record.path),
        (AccessDirection::Write, AccessPath::Mapped)
    );
    assert_eq!((record.status, record.channel), (DmaStatus::Success, None));
    assert_eq!(record.crc32c, Some(crc32c::crc32c(&[1; 0xff])));
    assert_eq!(record.declared.as_deref(), Some("ring"));
}

#[test]
fn outside_wrong_direction_and_after_free_are_told_apart() {
    let (mut bench, _qemu, mut harness) = rig();
    let buffer = declare("in", BASE, 0x100, BufferDirection::ToDevice);
    let id = harness.call(&mut bench, &buffer).id;
    harness.call(&mut bench, &fill(BASE, 0x101));
    harness.call(&mut bench, &fill(BASE, 0x10));
    harness.call(
        &mut bench,
        &BufferUndeclare {
            function: FunctionName::DUT0,
            id,
        },
    );
    harness.call(&mut bench, &fill(BASE, 0x10));
    let expected = [
        ViolationKind::OutsideDeclared,
        ViolationKind::WrongDirection,
        ViolationKind::AfterFree,
    ];
    assert_eq!(kinds(&mut bench, &mut harness), expected);
    harness.call(&mut bench, &LedgerClear {});
    assert_eq!(kinds(&mut bench, &mut harness), []);
}

#[test]
fn unmap_under_a_message_under_way_is_in_flight() {
    let (mut bench, mut qemu, mut harness) = rig();
    let read = DmaSubmit {
        op: DmaOp::Crc,
        path: DmaPath::Message,
        ..fill(BASE, 0x10)
    };
    let pending = harness.client.send(&read, PATIENCE).expect("send");
    bench.pump();
    let command = qemu.next_dma();
    qemu.unmap(&mut bench, BASE, 0x1000);
    qemu.answer_dma(&mut bench, &command, &[0; 16]);
    let outcome = harness.client.wait(pending, PATIENCE).expect("answer");
    assert!(outcome.epoch_complete > outcome.epoch_issue);
    let found = violations(&mut bench, &mut harness);
    assert_eq!(found[0].kind, ViolationKind::InFlightAcrossUnmap);
    assert_eq!(found[0].iova, Iova::new(BASE));
}

fn channel_write_u32(bench: &mut Bench, qemu: &mut MockQemu, register: u64, value: u32) {
    qemu.write(bench, 0, CHANNEL_BASE + register, &value.to_le_bytes());
}

fn enable_ring(bench: &mut Bench, qemu: &mut MockQemu) {
    qemu.channel_write(bench, 0, CH_RING_BASE, BASE);
    qemu.channel_write(bench, 0, CH_COMPLETION_BASE, BASE + 0x1000);
    channel_write_u32(bench, qemu, CH_RING_ENTRIES, 4);
    channel_write_u32(bench, qemu, CH_RING_CONTROL, RING_ENABLE);
}

/// Writes the power state in the power management capability.
fn set_power_state(bench: &mut Bench, qemu: &mut MockQemu, state: u8) {
    let control = qemu.capability(bench, POWER_CAPABILITY) + 4;
    qemu.write_config(bench, control, &[state, 0]);
}

#[test]
fn enabled_ring_dangles_when_the_function_leaves_d0_and_when_the_connection_ends() {
    let (mut bench, mut qemu, mut harness) = rig();
    enable_ring(&mut bench, &mut qemu);
    set_power_state(&mut bench, &mut qemu, 3);
    let found = violations(&mut bench, &mut harness);
    assert_eq!(found.len(), 2);
    let is_told = |found: &Violation| {
        found.kind == ViolationKind::Dangling && found.detail.contains("leave D0")
    };
    assert!(found.iter().all(is_told), "{found:?}");
    set_power_state(&mut bench, &mut qemu, 3);
    set_power_state(&mut bench, &mut qemu, 0);
    assert_eq!(kinds(&mut bench, &mut harness).len(), 2, "one edge");

    harness.call(&mut bench, &LedgerClear {});
    drop(qemu);
    bench.pump();
    let found = violations(&mut bench, &mut harness);
    assert_eq!(found.len(), 2);
    assert!(found[0].detail.contains("connection"), "{found:?}");
}

#[test]
fn engine_that_its_driver_has_reset_dangles_nowhere() {
    let (mut bench, mut qemu, mut harness) = rig();
    enable_ring(&mut bench, &mut qemu);
    harness.call(&mut bench, &fill(BASE + 0x3000, 0x10));
    qemu.channel_write(&mut bench, 0, CH_DESTINATION, BASE + 0x3000);
    qemu.write(&mut bench, 0, REG_CONTROL, &CONTROL_RESET.to_le_bytes());
    // What an idle channel's registers say is no live address.
    qemu.channel_write(&mut bench, 0, CH_DESTINATION, BASE + 0x3000);
    qemu.unmap(&mut bench, BASE, 0x10_0000);
    set_power_state(&mut bench, &mut qemu, 3);
    set_power_state(&mut bench, &mut qemu, 0);
    qemu.reset(&mut bench);
    drop(qemu);
    bench.pump();
    assert_eq!(kinds(&mut bench, &mut harness), []);
}

#[test]
fn enabled_ring_dangles_at_unmap_free_and_reset() {
    let (mut bench, mut qemu, mut harness) = rig();
    let buffer = declare("rings", BASE, 0x2000, BufferDirection::Bidirectional);
    let id = harness.call(&mut bench, &buffer).id;
    qemu.channel_write(&mut bench, 0, CH_RING_BASE, BASE);
    qemu.channel_write(&mut bench, 0, CH_COMPLETION_BASE, BASE + 0x1000);
    channel_write_u32(&mut bench, &mut qemu, CH_RING_ENTRIES, 4);
    qemu.unmap(&mut bench, BASE + 0x8_0000, 0x1000);
    channel_write_u32(&mut bench, &mut qemu, CH_RING_CONTROL, RING_ENABLE);
    qemu.unmap(&mut bench, BASE + 0x9_0000, 0x1000);
    assert_eq!(kinds(&mut bench, &mut harness), []);

    qemu.unmap(&mut bench, BASE + 0x1000, 0x1000);
    let found = violations(&mut bench, &mut harness);
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].kind, found[0].channel),
        (ViolationKind::Dangling, Some(0))
    );
    assert!(
        found[0].detail.contains("CH_COMPLETION_BASE"),
        "{}",
        found[0].detail
    );
    assert_eq!(found[0].declared.as_deref(), Some("rings"));

    harness.call(&mut bench, &LedgerClear {});
    harness.call(
        &mut bench,
        &BufferUndeclare {
            function: FunctionName::DUT0,
            id,
        },
    );
    assert_eq!(
        kinds(&mut bench, &mut harness),
        [ViolationKind::Dangling; 2]
    );
    harness.call(&mut bench, &LedgerClear {});
    qemu.reset(&mut bench);
    assert_eq!(
        kinds(&mut bench, &mut harness),
        [ViolationKind::Dangling; 2]
    );
}

#[test]
fn record_of_a_request_that_failed_tells_what_was_asked_and_what_moved() {
    let (mut bench, qemu, mut harness) = rig();
    drop(qemu);
    bench.pump();
    let mut qemu = bench.connect(FunctionName::DUT0);
    let ram = SharedMemory::create_sealed("ram", 0x1000).expect("memory");
    qemu.map(&mut bench, &ram, BASE, true);
    qemu.enable_bus_master(&mut bench);
    let ask = fill(BASE + 0x800, 0x1000);
    let pending = harness.client.send(&ask, PATIENCE).expect("send");
    bench.pump();
    let command = qemu.next_dma();
    qemu.refuse_dma(&mut bench, &command);
    harness.client.wait(pending, PATIENCE).expect("answer");
    let records = page(&mut bench, &mut harness).records;
    let last = records.last().expect("a record");
    assert_eq!(last.status, DmaStatus::Unmapped);
    assert_eq!((last.length, last.moved), (0x1000, 0x800));
}

#[test]
fn buffers_are_listed_in_pages_and_bad_ones_refused() {
    let (mut bench, _qemu, mut harness) = rig();
    let direction = BufferDirection::Bidirectional;
    for number in 0..250 {
        let name = format!("{}{number}", "n".repeat(60));
        let buffer = declare(&name, u64::MAX - number, 1, direction);
        harness.call(&mut bench, &buffer);
    }
    let first = harness.call(
        &mut bench,
        &BufferList {
            function: FunctionName::DUT0,
            from: 0,
        },
    );
    let from = first.next.expect("more");
    let second = harness.call(
        &mut bench,
        &BufferList {
            function: FunctionName::DUT0,
            from,
        },
    );
    assert_eq!(
        (first.buffers.len() + second.buffers.len(), second.next),
        (250, None)
    );
    let bad = [
        declare("", BASE, 1, direction),
        declare("a\"\n", BASE, 1, direction),
        declare(&"n".repeat(65), BASE, 1, direction),
        declare("empty", BASE, 0, direction),
        declare("wraps", u64::MAX, 2, direction),
    ];
    for buffer in bad {
        assert_eq!(harness.refused(&mut bench, &buffer).0, CODE_BAD_PARAMS);
    }
    let (code, text) = harness.refused(
        &mut bench,
        &BufferUndeclare {
            function: FunctionName::DUT0,
            id: 9999,
        },
    );
    assert_eq!(code, CODE_BAD_PARAMS);
    assert!(text.contains("buffer.list"), "{text}");
}
