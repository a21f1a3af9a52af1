//! DMA from the doorbell to the interrupt, seen by a mock QEMU.

use std::time::Duration;

use crate::support::{Bench, Harness, MockQemu, PATIENCE, eventfd, take_count};
use control_api::FunctionName;
use control_api::ledger::ViolationKind;
use control_api::request::{DmaOp, DmaPath, DmaSubmit, LedgerRead};
use control_api::response::{DmaOutcome, DmaStatus, PathFindingKind};
use dmarig_abi::Iova;
use dmarig_abi::completion::{DMA_STATUS_SUCCESS, DMA_STATUS_UNMAPPED};
use dmarig_abi::descriptor::{DESCRIPTOR_FLAG_INTERRUPT, DMA_OP_NOP, DMA_OP_WRITE_PATTERN};
use dmarig_abi::pattern::fill_pattern;
use dmarig_abi::registers::{
    CH_CRC, CH_DESTINATION, CH_LENGTH, CH_SEED, CH_STATUS, DUT_ID_VALUE, REG_ID,
    REG_INTERRUPT_CAUSE, REG_INTERRUPT_ENABLE,
};
use dmarig_device::{ClientId, Event, Next, Readiness};
use guest_memory::SharedMemory;

const BASE: u64 = 0x1_0000_0000;
const RAM: usize = 0x10_0000;
/// Interrupt status in the low byte of the PCI status register.
const INTERRUPT_STATUS: u8 = 8;
/// Capability ID of MSI-X.
const MSIX_CAPABILITY: u8 = 0x11;

fn rig_with_ram() -> (Bench, MockQemu, Harness, SharedMemory) {
    let mut bench = Bench::new();
    let mut qemu = bench.connect(FunctionName::DUT0);
    let harness = bench.harness();
    let ram = SharedMemory::create_sealed("ram", RAM).expect("memory");
    qemu.map(&mut bench, &ram, BASE, true);
    qemu.enable_bus_master(&mut bench);
    (bench, qemu, harness, ram)
}

fn submit(op: DmaOp, path: DmaPath, iova: u64, length: u64) -> DmaSubmit {
    DmaSubmit {
        function: FunctionName::DUT0,
        op,
        path,
        iova: Iova::new(iova),
        destination: None,
        length,
        seed: 7,
    }
}

fn bytes_at(ram: &SharedMemory, offset: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    ram.range(offset, len)
        .expect("in range")
        .read_into(&mut bytes);
    bytes
}

fn pattern(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    fill_pattern(seed, 0, &mut bytes);
    bytes
}

#[test]
fn doorbell_moves_data_and_signals_its_vector() {
    let (mut bench, mut qemu, _, ram) = rig_with_ram();
    let vector = eventfd();
    qemu.bind_vector(&mut bench, 1, &vector);
    qemu.write(&mut bench, 0, REG_INTERRUPT_ENABLE, &2_u32.to_le_bytes());
    qemu.channel_write(&mut bench, 1, CH_DESTINATION, BASE + 0x123);
    qemu.channel_write(&mut bench, 1, CH_LENGTH, 0x4567);
    qemu.channel_write(&mut bench, 1, CH_SEED, 99);
    assert_eq!(take_count(&vector), 0);

    let flags = u32::from(DESCRIPTOR_FLAG_INTERRUPT) << 16;
    qemu.ring(&mut bench, 1, u32::from(DMA_OP_WRITE_PATTERN) | flags);

    assert_eq!(take_count(&vector), 1);
    let status = qemu.channel_read_u32(&mut bench, 1, CH_STATUS);
    assert_eq!(status, u32::from(DMA_STATUS_SUCCESS));
    let expected = pattern(99, 0x4567);
    assert_eq!(bytes_at(&ram, 0x123, 0x4567), expected);
    assert_eq!(bytes_at(&ram, 0x122, 1), [0]);
    assert_eq!(bytes_at(&ram, 0x123 + 0x4567, 1), [0]);
    assert_eq!(
        qemu.channel_read_u32(&mut bench, 1, CH_CRC),
        crc32c::crc32c(&expected)
    );
}

#[test]
fn pin_stays_up_until_the_cause_is_cleared() {
    let (mut bench, mut qemu, _, _ram) = rig_with_ram();
    let pin = eventfd();
    qemu.bind_pin(&mut bench, &pin);
    qemu.write(&mut bench, 0, REG_INTERRUPT_ENABLE, &1_u32.to_le_bytes());
    qemu.channel_write(&mut bench, 0, CH_DESTINATION, BASE);
    qemu.channel_write(&mut bench, 0, CH_LENGTH, 8);
    let flags = u32::from(DESCRIPTOR_FLAG_INTERRUPT) << 16;
    qemu.ring(&mut bench, 0, u32::from(DMA_OP_WRITE_PATTERN) | flags);
    let is_shown = |bench: &mut Bench, qemu: &mut MockQemu| {
        qemu.read_config(bench, 6, 1)[0] & INTERRUPT_STATUS != 0
    };
    assert_eq!(take_count(&pin), 1);
    assert!(is_shown(&mut bench, &mut qemu));
    qemu.unmask_pin(&mut bench);
    assert_eq!(take_count(&pin), 1, "nobody cleared the cause");
    qemu.write(&mut bench, 0, REG_INTERRUPT_CAUSE, &1_u32.to_le_bytes());
    assert!(!is_shown(&mut bench, &mut qemu));
    qemu.unmask_pin(&mut bench);
    assert_eq!(take_count(&pin), 0);
}

#[test]
fn device_file_with_fewer_vectors_shares_the_last_one() {
    let device = tempfile::NamedTempFile::new().expect("file");
    std::fs::write(device.path(), "[interrupts]\nmsix_vectors = 2\n").expect("file");
    let mut bench = Bench::with(|options| options.device = vec![device.path().into()]);
    let mut qemu = bench.connect(FunctionName::DUT0);
    let vectors = [eventfd(), eventfd()];
    for (number, vector) in (0..).zip(&vectors) {
        qemu.bind_vector(&mut bench, number, vector);
    }
    qemu.write(&mut bench, 0, REG_INTERRUPT_ENABLE, &15_u32.to_le_bytes());
    let flags = u32::from(DESCRIPTOR_FLAG_INTERRUPT) << 16;
    for channel in 0..4 {
        qemu.ring(&mut bench, channel, u32::from(DMA_OP_NOP) | flags);
    }
    assert_eq!(vectors.each_ref().map(take_count), [1, 3]);

    std::fs::write(device.path(), "[interrupts]\nmsix_vectors = 0\n").expect("file");
    let mut bench = Bench::with(|options| options.device = vec![device.path().into()]);
    let mut qemu = bench.connect(FunctionName::DUT0);
    assert_eq!(qemu.find_capability(&mut bench, MSIX_CAPABILITY), None);
}

#[test]
fn other_sockets_are_served_between_slices_of_a_long_request() {
    let (mut bench, mut qemu, mut harness, _) = rig_with_ram();
    let size = 16 << 20;
    let ram = SharedMemory::create_sealed("long", size).expect("memory");
    qemu.map(&mut bench, &ram, 0, true);
    let request = submit(DmaOp::Fill, DmaPath::Default, 0, size as u64);
    let pending = harness.client.send(&request, PATIENCE).expect("send");
    let ready = Readiness {
        readable: true,
        ..Readiness::default()
    };
    let next = bench.step(Event::ControlReady(ClientId::from_number(1), ready));
    assert_eq!(next, Next::Now, "one slice is done, and there is more");
    let payload = vfio_user::client::read_payload(0, REG_ID, 4);
    qemu.client
        .send(vfio_user::message::Command::REGION_READ, &payload, &[])
        .expect("send");
    let next = bench.step(Event::Ready(FunctionName::DUT0, ready));
    assert_eq!(next, Next::Now);
    let reply = qemu.client.receive().expect("an answer in the middle");
    assert_eq!(reply.payload[16..], DUT_ID_VALUE.to_le_bytes());
    assert_eq!(
        bytes_at(&ram, size as u64 - 1, 1),
        [0],
        "it is not through yet"
    );
    bench.pump();
    let outcome = harness.client.wait(pending, PATIENCE).expect("answer");
    assert_eq!(
        (outcome.status, outcome.done_bytes),
        (DmaStatus::Success, size as u64)
    );
}

#[test]
fn host_requests_move_copy_and_compare() {
    let (mut bench, _qemu, mut harness, ram) = rig_with_ram();
    let length = 3 << 18;
    let write = submit(DmaOp::WritePattern, DmaPath::Default, BASE, length);
    let written = harness.call(&mut bench, &write);
    assert_eq!(
        (written.status, written.done_bytes),
        (DmaStatus::Success, length)
    );
    let copy = DmaSubmit {
        destination: Some(Iova::new(BASE + 0xc_0000)),
        length: 0x1000,
        ..submit(DmaOp::Copy, DmaPath::Default, BASE + 8, 0x1000)
    };
    assert_eq!(harness.call(&mut bench, &copy).status, DmaStatus::Success);
    assert_eq!(
        bytes_at(&ram, 0xc_0000, 0x1000),
        pattern(7, 0x2000)[8..0x1008]
    );
    ram.range(0x5001, 1).expect("in range").fill(0xee);
    let verify = submit(DmaOp::VerifyPattern, DmaPath::Default, BASE, length);
    let verified = harness.call(&mut bench, &verify);
    assert_eq!(verified.status, DmaStatus::Mismatch);
    assert_eq!(
        (verified.mismatch_offset, verified.seen),
        (Some(0x5001), 0xee)
    );
    assert!(!verified.by_message);
}

#[test]
fn miss_goes_by_message_and_a_served_one_is_a_finding() {
    let (mut bench, mut qemu, mut harness, _ram) = rig_with_ram();
    let write = submit(DmaOp::WritePattern, DmaPath::Default, 0x5000, 0x100);
    let outcome = by_message(
        &mut bench,
        &mut qemu,
        &mut harness,
        &write,
        |bench, qemu| {
            let command = qemu.next_dma();
            assert!(command.is_write);
            assert_eq!((command.iova, &command.data), (0x5000, &pattern(7, 0x100)));
            qemu.answer_dma(bench, &command, &[]);
        },
    );
    assert_eq!(outcome.status, DmaStatus::Success);
    assert!(outcome.by_message);
    assert_eq!(
        outcome.path_findings[0].kind,
        PathFindingKind::FallbackSucceeded
    );
    let page = harness.call(
        &mut bench,
        &LedgerRead {
            function: FunctionName::DUT0,
            from: 0,
            limit: 10,
        },
    );
    assert_eq!(page.violations[0].kind, ViolationKind::FallbackSucceeded);
}

#[test]
fn miss_that_the_platform_refuses_is_unmapped() {
    let (mut bench, mut qemu, mut harness, _ram) = rig_with_ram();
    let read = submit(DmaOp::Crc, DmaPath::Default, 0x5000, 0x100);
    let outcome = by_message(&mut bench, &mut qemu, &mut harness, &read, |bench, qemu| {
        let command = qemu.next_dma();
        assert!(!command.is_write);
        qemu.refuse_dma(bench, &command);
    });
    assert_eq!(outcome.status, DmaStatus::Unmapped);
    assert_eq!(outcome.fault_iova, Some(Iova::new(0x5000)));
    assert_eq!(outcome.path_findings, []);
}

#[test]
fn asked_for_message_goes_by_message_although_mapped() {
    let (mut bench, mut qemu, mut harness, ram) = rig_with_ram();
    let read = submit(DmaOp::VerifyPattern, DmaPath::Message, BASE, 0x100);
    let outcome = by_message(&mut bench, &mut qemu, &mut harness, &read, |bench, qemu| {
        let command = qemu.next_dma();
        assert_eq!((command.iova, command.count), (BASE, 0x100));
        qemu.answer_dma(bench, &command, &pattern(7, 0x100));
    });
    assert_eq!(outcome.status, DmaStatus::Success);
    assert_eq!(outcome.path_findings, []);
    assert_eq!(bytes_at(&ram, 0, 4), [0; 4]);
}

#[test]
fn probe_touches_nothing_and_sends_nothing() {
    let (mut bench, mut qemu, mut harness, ram) = rig_with_ram();
    let probe = submit(DmaOp::WritePattern, DmaPath::Probe, BASE, RAM as u64);
    assert_eq!(harness.call(&mut bench, &probe).status, DmaStatus::Success);
    let probe = submit(DmaOp::WritePattern, DmaPath::Probe, BASE, RAM as u64 + 1);
    let outcome = harness.call(&mut bench, &probe);
    assert_eq!(outcome.status, DmaStatus::Unmapped);
    assert_eq!(outcome.fault_iova, Some(Iova::new(BASE + RAM as u64)));
    assert_eq!(bytes_at(&ram, 0, 16), [0; 16]);
    let id = qemu.read_config(&mut bench, 0, 2);
    assert_eq!(
        id,
        [0x34, 0x12],
        "the next message is the reply: no DMA message was sent"
    );
}

#[test]
fn read_only_mapping_is_read_directly_and_written_by_message() {
    let (mut bench, mut qemu, mut harness, _) = rig_with_ram();
    let rom = SharedMemory::create_sealed("rom", 0x1000).expect("memory");
    qemu.map(&mut bench, &rom, 0x8000, false);
    let read = submit(DmaOp::Crc, DmaPath::Default, 0x8000, 0x1000);
    assert_eq!(harness.call(&mut bench, &read).status, DmaStatus::Success);
    let write = submit(DmaOp::Fill, DmaPath::Default, 0x8000, 0x1000);
    let outcome = by_message(
        &mut bench,
        &mut qemu,
        &mut harness,
        &write,
        |bench, qemu| {
            let command = qemu.next_dma();
            qemu.refuse_dma(bench, &command);
        },
    );
    assert_eq!(outcome.status, DmaStatus::Permission);
    assert_eq!(bytes_at(&rom, 0, 4), [0; 4]);
}

#[test]
fn memory_without_seal_is_served_by_message() {
    let (mut bench, mut qemu, mut harness, _ram) = rig_with_ram();
    let file = tempfile::tempfile().expect("file");
    file.set_len(0x1000).expect("size");
    let payload = vfio_user::client::map_payload(3, 0, 0x8000, 0x1000);
    let fds = [std::os::fd::AsFd::as_fd(&file)];
    qemu.request(
        &mut bench,
        vfio_user::message::Command::DMA_MAP,
        &payload,
        &fds,
    );
    let read = submit(DmaOp::Crc, DmaPath::Default, 0x8000, 0x10);
    let outcome = by_message(&mut bench, &mut qemu, &mut harness, &read, |bench, qemu| {
        let command = qemu.next_dma();
        qemu.answer_dma(bench, &command, &[1; 16]);
    });
    assert_eq!(outcome.status, DmaStatus::Success);
    assert_eq!(outcome.path_findings, [], "the table knows the mapping");
}

#[test]
fn interrupt_range_and_switched_off_messages_never_fall_back() {
    let (mut bench, _qemu, mut harness, _ram) = rig_with_ram();
    for path in [DmaPath::Default, DmaPath::Message] {
        let write = submit(DmaOp::Fill, path, 0xfee0_0ffc, 8);
        assert_eq!(harness.call(&mut bench, &write).status, DmaStatus::Address);
    }

    let mut bench = Bench::with(|options| options.no_message_dma = true);
    let mut qemu = bench.connect(FunctionName::DUT0);
    let mut harness = bench.harness();
    qemu.enable_bus_master(&mut bench);
    let write = submit(DmaOp::Fill, DmaPath::Default, 0x5000, 8);
    assert_eq!(harness.call(&mut bench, &write).status, DmaStatus::Unmapped);
}

#[test]
fn message_without_answer_times_out_and_the_late_answer_is_dropped() {
    let (mut bench, mut qemu, mut harness, _ram) = rig_with_ram();
    let read = submit(DmaOp::Crc, DmaPath::Message, BASE, 0x10);
    let pending = harness.client.send(&read, PATIENCE).expect("send");
    bench.pump();
    let command = qemu.next_dma();
    bench.pass(Duration::from_secs(5));
    let outcome = harness.client.wait(pending, PATIENCE).expect("answer");
    assert_eq!(outcome.status, DmaStatus::Timeout);
    qemu.answer_dma(&mut bench, &command, &[0; 16]);
    let counters = harness
        .call(&mut bench, &control_api::request::Status {})
        .counters;
    assert_eq!((counters.message_timeouts, counters.late_replies), (1, 1));
    let read = submit(DmaOp::Crc, DmaPath::Default, BASE, 0x10);
    assert_eq!(harness.call(&mut bench, &read).status, DmaStatus::Success);
}

#[test]
fn dma_needs_bus_mastering_and_d0() {
    let (mut bench, mut qemu, mut harness, _ram) = rig_with_ram();
    let write = submit(DmaOp::Fill, DmaPath::Default, BASE, 8);
    let power = qemu.capability(&mut bench, 1) + 4;
    qemu.write_config(&mut bench, power, &[3, 0]);
    assert_eq!(
        harness.call(&mut bench, &write).status,
        DmaStatus::PowerState
    );
    qemu.write_config(&mut bench, power, &[0, 0]);
    assert_eq!(harness.call(&mut bench, &write).status, DmaStatus::Success);
    qemu.write_config(&mut bench, 4, &[2, 0]);
    assert_eq!(
        harness.call(&mut bench, &write).status,
        DmaStatus::BusMasterOff
    );
}

#[test]
fn register_request_to_nowhere_ends_with_unmapped() {
    let (mut bench, mut qemu, _, _ram) = rig_with_ram();
    qemu.channel_write(&mut bench, 0, CH_DESTINATION, u64::MAX - 0xfff);
    qemu.channel_write(&mut bench, 0, CH_LENGTH, 8);
    qemu.ring(&mut bench, 0, DMA_OP_WRITE_PATTERN.into());
    let command = qemu.next_dma();
    qemu.refuse_dma(&mut bench, &command);
    let status = qemu.channel_read_u32(&mut bench, 0, CH_STATUS) & 0xffff;
    assert_eq!(status, u32::from(DMA_STATUS_UNMAPPED));
}

/// Submits a request, lets `serve` play the platform, and takes the outcome.
fn by_message(
    bench: &mut Bench,
    qemu: &mut MockQemu,
    harness: &mut Harness,
    request: &DmaSubmit,
    serve: impl FnOnce(&mut Bench, &mut MockQemu),
) -> DmaOutcome {
    let pending = harness.client.send(request, PATIENCE).expect("send");
    bench.pump();
    serve(bench, qemu);
    harness.client.wait(pending, PATIENCE).expect("answer")
}
