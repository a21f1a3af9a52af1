//! The mapping table as the control socket shows it.

use std::time::Duration;

use control_api::FunctionName;
use control_api::request::{MappingsList, MappingsSummary, MappingsWait};
use control_api::response::{Backing, MappingRun, Permissions};
use control_api::rpc::{CODE_BAD_PARAMS, CODE_TIMEOUT, MAX_LINE_BYTES};
use dmarig_abi::Iova;
use guest_memory::SharedMemory;

use crate::support::{Bench, Harness, MockQemu, PATIENCE};

const FUNCTION: FunctionName = FunctionName::DUT0;

fn rig() -> (Bench, MockQemu, Harness, SharedMemory) {
    let mut bench = Bench::new();
    let qemu = bench.connect(FUNCTION);
    let harness = bench.harness();
    let ram = SharedMemory::create_sealed("ram", 0x10_0000).expect("memory");
    (bench, qemu, harness, ram)
}

fn list(start: u64, limit: u32) -> MappingsList {
    MappingsList {
        function: FUNCTION,
        start: Iova::new(start),
        limit,
    }
}

fn run(iova: u64, size: u64, permissions: Permissions, file_offset: u64) -> MappingRun {
    MappingRun {
        iova: Iova::new(iova),
        size,
        permissions,
        backing: Backing::Memory { file_offset },
    }
}

#[test]
fn neighbors_join_only_if_address_file_and_permission_go_on() {
    let (mut bench, mut qemu, mut harness, ram) = rig();
    qemu.map_part(&mut bench, &ram, 0x1000, 0x5000..0x6000, true);
    qemu.map_part(&mut bench, &ram, 0x2000, 0x6000..0x8000, true);
    qemu.map_part(&mut bench, &ram, 0x4000, 0x8000..0x9000, false);
    qemu.map_part(&mut bench, &ram, 0x5000, 0x1000..0x2000, false);
    let page = harness.call(&mut bench, &list(0, 100));
    let expected = [
        run(0x1000, 0x3000, Permissions::ReadWrite, 0x5000),
        run(0x4000, 0x1000, Permissions::Read, 0x8000),
        run(0x5000, 0x1000, Permissions::Read, 0x1000),
    ];
    assert_eq!(page.mappings, expected);
    assert_eq!((page.next, page.epoch), (None, 4));
    let summary = harness.call(&mut bench, &MappingsSummary { function: FUNCTION });
    assert_eq!((summary.mappings, summary.bytes), (3, 0x5000));
    assert!(!summary.first_unmap_seen);
    qemu.unmap(&mut bench, 0x2000, 0x1000);
    let summary = harness.call(&mut bench, &MappingsSummary { function: FUNCTION });
    assert_eq!((summary.mappings, summary.bytes), (4, 0x4000));
    assert!(summary.first_unmap_seen);
}

#[test]
fn long_lists_come_in_pages_that_fit_a_line() {
    let (mut bench, mut qemu, mut harness, ram) = rig();
    let top = 0xffff_ffff_ff00_0000_u64;
    for number in 0..450 {
        let iova = top + number * 0x2000;
        qemu.map_part(&mut bench, &ram, iova, 0xf_f000..0x10_0000, true);
    }
    let first = harness.call(&mut bench, &list(0, u32::MAX));
    assert_eq!(first.mappings.len(), 400);
    let text = serde_json::to_string(&first).expect("JSON");
    assert!(text.len() + 100 < MAX_LINE_BYTES, "{}", text.len());
    let next = first.next.expect("more");
    let second = harness.call(&mut bench, &list(next.raw(), u32::MAX));
    assert_eq!((second.mappings.len(), second.next), (50, None));
}

#[test]
fn list_starts_inside_a_run_where_asked() {
    let (mut bench, mut qemu, mut harness, ram) = rig();
    qemu.map(&mut bench, &ram, 0x10_0000, true);
    let page = harness.call(&mut bench, &list(0x14_0000, 1));
    let expected = [run(0x14_0000, 0xc_0000, Permissions::ReadWrite, 0x4_0000)];
    assert_eq!(page.mappings, expected);
}

#[test]
fn wait_ends_with_a_change_or_at_its_deadline() {
    let (mut bench, mut qemu, mut harness, ram) = rig();
    let wait = |epoch| MappingsWait {
        function: FUNCTION,
        epoch,
        timeout_ms: 100,
    };
    let pending = harness.client.send(&wait(0), PATIENCE).expect("send");
    bench.pass(Duration::from_millis(99));
    qemu.map(&mut bench, &ram, 0, true);
    assert_eq!(
        harness
            .client
            .wait(pending, PATIENCE)
            .expect("change")
            .epoch,
        1
    );
    assert_eq!(harness.call(&mut bench, &wait(0)).epoch, 1);
    let pending = harness.client.send(&wait(1), PATIENCE).expect("send");
    bench.pump();
    qemu.unmap(&mut bench, 0x1_0000_0000, 0x1000);
    bench.pass(Duration::from_millis(100));
    let error = harness
        .client
        .wait(pending, PATIENCE)
        .expect_err("no change");
    assert_eq!(error.code(), Some(CODE_TIMEOUT));
}

#[test]
fn only_dut0_has_mappings() {
    let (mut bench, _qemu, mut harness, _ram) = rig();
    for function in [FunctionName::Control, FunctionName::Dut(1)] {
        let (code, text) = harness.refused(&mut bench, &MappingsSummary { function });
        assert_eq!(code, CODE_BAD_PARAMS);
        assert!(text.contains("dut0"), "{text}");
    }
}
