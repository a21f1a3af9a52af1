//! Several devices under test in one process: each has its own socket, memory, ledger and faults.

use control_api::FunctionName;
use control_api::ledger::ViolationKind;
use control_api::request::{
    BufferDeclare, BufferDirection, BufferUndeclare, DmaOp, DmaPath, DmaSubmit, FunctionReset,
    LedgerClear, LedgerRead, MappingsSummary, MappingsWait, Sabotage, SabotageClear, SabotageList,
    SabotageSet, Status,
};
use control_api::response::DmaStatus;
use control_api::rpc::CODE_BAD_PARAMS;
use dmarig_abi::Iova;
use dmarig_abi::registers::{DUT_ID_VALUE, REG_ID, REG_SCRATCH};
use guest_memory::SharedMemory;

use crate::support::{Bench, Harness, MockQemu, PATIENCE};

const DUTS: [FunctionName; 2] = [FunctionName::DUT0, FunctionName::Dut(1)];

/// Two devices; each has its own memory, at IOVA 0x10000 and 0x20000.
fn two() -> (Bench, [MockQemu; 2], Harness, [SharedMemory; 2]) {
    let mut bench = Bench::with(|options| {
        let second = options.socket[0].with_file_name("dut1");
        options.socket.push(second);
    });
    let mut index = 0;
    let memories = DUTS.map(|_| SharedMemory::create_sealed("ram", 0x4000).expect("memory"));
    let qemus = DUTS.map(|name| {
        let mut qemu = bench.connect(name);
        qemu.map(&mut bench, &memories[index], base(name), true);
        qemu.enable_bus_master(&mut bench);
        index += 1;
        qemu
    });
    let harness = bench.harness();
    (bench, qemus, harness, memories)
}

fn base(name: FunctionName) -> u64 {
    match name {
        FunctionName::Dut(number) => 0x1_0000 * (u64::from(number) + 1),
        FunctionName::Control => 0,
    }
}

fn fill(function: FunctionName, iova: u64, seed: u64) -> DmaSubmit {
    DmaSubmit {
        function,
        op: DmaOp::Fill,
        path: DmaPath::Default,
        iova: Iova::new(iova),
        destination: None,
        length: 0x100,
        seed,
    }
}

fn byte(memory: &SharedMemory, offset: u64) -> u8 {
    let mut byte = [0];
    memory
        .range(offset, 1)
        .expect("inside")
        .read_into(&mut byte);
    byte[0]
}

#[test]
fn each_device_writes_its_own_memory_and_misses_that_of_the_other() {
    let (mut bench, mut qemus, mut harness, memories) = two();
    for (name, seed) in DUTS.into_iter().zip([0x11, 0x22]) {
        let outcome = harness.call(&mut bench, &fill(name, base(name), seed));
        assert_eq!(outcome.status, DmaStatus::Success, "{name}");
    }
    assert_eq!([byte(&memories[0], 0), byte(&memories[1], 0)], [0x11, 0x22]);

    let stranger = fill(DUTS[1], base(DUTS[0]), 0x33);
    let pending = harness.client.send(&stranger, PATIENCE).expect("send");
    bench.pump();
    let message = qemus[1].next_dma();
    assert_eq!(message.iova, base(DUTS[0]), "asked by its own socket");
    qemus[1].refuse_dma(&mut bench, &message);
    let outcome = harness.client.wait(pending, PATIENCE).expect("answer");
    assert_ne!(outcome.status, DmaStatus::Success);
    assert!(qemus[0].waiting_dma().is_none());
    assert_eq!(byte(&memories[0], 0), 0x11);
}

#[test]
fn ledgers_buffers_and_faults_are_apart() {
    let (mut bench, _qemus, mut harness, memories) = two();
    let declare = |function| BufferDeclare {
        function,
        name: format!("of {function}"),
        iova: Iova::new(base(function)),
        length: 0x100,
        direction: BufferDirection::ToDevice,
    };
    let ids = DUTS.map(|name| harness.call(&mut bench, &declare(name)).id);
    harness.call(&mut bench, &fill(DUTS[1], base(DUTS[1]), 1));

    let read = |function| LedgerRead {
        function,
        from: 0,
        limit: 80,
    };
    let pages = DUTS.map(|name| harness.call(&mut bench, &read(name)));
    assert_eq!(pages[0].records.len(), 0);
    assert_eq!(pages[1].records.len(), 1);
    assert_eq!(pages[1].records[0].function, DUTS[1]);
    assert_eq!(pages[1].records[0].declared.as_deref(), Some("of dut1"));
    assert_eq!(pages[1].violations[0].kind, ViolationKind::WrongDirection);
    assert_eq!(pages[1].violations[0].function, DUTS[1]);
    assert_eq!(pages[1].violations[0].declared.as_deref(), Some("of dut1"));
    harness.call(&mut bench, &LedgerClear {});
    let page = harness.call(&mut bench, &read(DUTS[1]));
    assert!(page.records.is_empty(), "cleared with the others");
    for (function, id) in DUTS.into_iter().zip(ids) {
        harness.call(&mut bench, &BufferUndeclare { function, id });
    }

    let set = SabotageSet {
        function: DUTS[1],
        name: Sabotage::DeviceSkipWrite,
        times: None,
    };
    harness.call(&mut bench, &set);
    for name in DUTS {
        harness.call(&mut bench, &fill(name, base(name), 0x77));
    }
    assert_eq!([byte(&memories[0], 0), byte(&memories[1], 0)], [0x77, 1]);
    let list = |function| SabotageList { function };
    let struck = DUTS.map(|name| harness.call(&mut bench, &list(name)).sabotages.len());
    assert_eq!(struck, [0, 1]);
    harness.call(&mut bench, &SabotageClear {});
    let left = harness.call(&mut bench, &list(DUTS[1]));
    assert!(left.sabotages.is_empty());
}

#[test]
fn epochs_resets_and_connections_are_apart() {
    let (mut bench, qemus, mut harness, _memories) = two();
    let [mut first, mut second] = qemus;
    let summary = |function| MappingsSummary { function };
    let epoch = harness.call(&mut bench, &summary(DUTS[1])).epoch;
    let wait = MappingsWait {
        function: DUTS[1],
        epoch,
        timeout_ms: 60_000,
    };
    let pending = harness.client.send(&wait, PATIENCE).expect("send");
    first.unmap(&mut bench, base(DUTS[0]), 0x4000);
    let waits = harness.client.send(&Status {}, PATIENCE).expect("send");
    bench.pump();
    harness.client.wait(waits, PATIENCE).expect("an answer");
    second.unmap(&mut bench, base(DUTS[1]), 0x4000);
    let answer = harness.client.wait(pending, PATIENCE).expect("an answer");
    assert!(answer.epoch > epoch);

    for qemu in [&mut first, &mut second] {
        qemu.write(&mut bench, 0, REG_SCRATCH, &[7; 4]);
    }
    let reset = FunctionReset { function: DUTS[1] };
    harness.call(&mut bench, &reset);
    assert_eq!(first.read(&mut bench, 0, REG_SCRATCH, 4), [7; 4]);
    assert_eq!(second.read(&mut bench, 0, REG_SCRATCH, 4), [0; 4]);

    drop(first);
    bench.pump();
    let status = harness.call(&mut bench, &Status {});
    let connected = DUTS.map(|name| status.functions[&name].connected);
    assert_eq!(connected, [false, true]);
    let id = second.read(&mut bench, 0, REG_ID, 4);
    assert_eq!(id, DUT_ID_VALUE.to_le_bytes());
    assert_eq!(status.counters.connections, 2);
}

#[test]
fn device_that_is_not_there_is_named_with_those_that_are() {
    let (mut bench, _qemus, mut harness, _memories) = two();
    let ask = MappingsSummary {
        function: FunctionName::Dut(2),
    };
    let (code, text) = harness.refused(&mut bench, &ask);
    assert_eq!(code, CODE_BAD_PARAMS);
    assert!(text.contains("there is dut0, dut1"), "{text}");
}
