//! Connections that come, go and misbehave, and resets in the middle.

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use control_api::FunctionName;
use control_api::request::{
    DmaOp, DmaPath, DmaSubmit, FunctionReset, MappingsSummary, Status, Stop,
};
use control_api::response::DmaStatus;
use control_api::rpc::CODE_NOT_CONNECTED;
use dmarig_abi::Iova;
use dmarig_abi::registers::{DUT_ID_VALUE, REG_ID, REG_SCRATCH};
use dmarig_device::{Event, Next};
use guest_memory::SharedMemory;

use crate::support::{Bench, Harness, MockQemu, PATIENCE, eventfd, take_count};

const FUNCTION: FunctionName = FunctionName::DUT0;

fn rig() -> (Bench, MockQemu, Harness) {
    let mut bench = Bench::new();
    let mut qemu = bench.connect(FUNCTION);
    let harness = bench.harness();
    let ram = SharedMemory::create_sealed("ram", 0x1_0000).expect("memory");
    qemu.map(&mut bench, &ram, 0, true);
    qemu.enable_bus_master(&mut bench);
    (bench, qemu, harness)
}

fn read_by_message() -> DmaSubmit {
    DmaSubmit {
        function: FUNCTION,
        op: DmaOp::Crc,
        path: DmaPath::Message,
        iova: Iova::new(0),
        destination: None,
        length: 0x40,
        seed: 0,
    }
}

#[test]
fn disconnect_under_a_message_aborts_it_and_the_next_qemu_is_served() {
    let (mut bench, mut qemu, mut harness) = rig();
    let vector = eventfd();
    qemu.bind_vector(&mut bench, 0, &vector);
    let request = read_by_message();
    let pending = harness.client.send(&request, PATIENCE).expect("send");
    bench.pump();
    qemu.next_dma();
    drop(qemu);
    bench.pump();
    let outcome = harness.client.wait(pending, PATIENCE).expect("answer");
    assert_eq!(outcome.status, DmaStatus::Aborted);
    let summary = harness.call(&mut bench, &MappingsSummary { function: FUNCTION });
    assert_eq!((summary.mappings, summary.first_unmap_seen), (0, false));
    assert_eq!(harness.refused(&mut bench, &request).0, CODE_NOT_CONNECTED);
    assert_eq!(take_count(&vector), 0);

    let mut qemu = bench.connect(FUNCTION);
    let id = qemu.read(&mut bench, 0, REG_ID, 4);
    assert_eq!(id, DUT_ID_VALUE.to_le_bytes());
    let status = harness.call(&mut bench, &Status {});
    assert!(status.functions[&FUNCTION].connected);
    assert_eq!(status.functions[&FUNCTION].bound_vectors, 0);
    assert!(!status.functions[&FUNCTION].bus_master);
    assert_eq!(status.counters.connections, 2);
}

#[test]
fn second_qemu_on_a_socket_is_hung_up_on() {
    let (mut bench, mut qemu, mut harness) = rig();
    let mut second = UnixStream::connect(bench.function_path(FUNCTION)).expect("connect");
    bench.pump();
    assert_eq!(second.read(&mut [0]).expect("end of file"), 0);
    let id = qemu.read(&mut bench, 0, REG_ID, 4);
    assert_eq!(id, DUT_ID_VALUE.to_le_bytes());
    let counters = harness.call(&mut bench, &Status {}).counters;
    assert_eq!(counters.refused_connections, 1);
}

#[test]
fn peer_that_breaks_the_protocol_loses_its_connection_alone() {
    let (mut bench, mut qemu, mut harness) = rig();
    qemu.client.send_raw(&[0xff; 64], &[]).expect("send");
    bench.pump();
    let status = harness.call(&mut bench, &Status {});
    assert!(!status.functions[&FUNCTION].connected);
    assert_eq!(status.counters.protocol_errors, 1);
    bench.connect(FUNCTION);
    bench.connect(FunctionName::Control);
}

#[test]
fn function_level_reset_aborts_and_clears_registers() {
    let (mut bench, mut qemu, mut harness) = rig();
    qemu.write(&mut bench, 0, REG_SCRATCH, &[1, 2, 3, 4]);
    let request = read_by_message();
    let pending = harness.client.send(&request, PATIENCE).expect("send");
    bench.pump();
    let command = qemu.next_dma();
    let control = qemu.capability(&mut bench, 0x10) + 8;
    let mut value = qemu.read_config(&mut bench, control, 2);
    value[1] |= 0x80;
    qemu.write_config(&mut bench, control, &value);
    let outcome = harness.client.wait(pending, PATIENCE).expect("answer");
    assert_eq!(outcome.status, DmaStatus::Aborted);
    assert_eq!(qemu.read(&mut bench, 0, REG_SCRATCH, 4), [0; 4]);
    assert!(!harness.call(&mut bench, &Status {}).functions[&FUNCTION].bus_master);

    qemu.answer_dma(&mut bench, &command, &[0; 0x40]);
    qemu.enable_bus_master(&mut bench);
    let read = DmaSubmit {
        path: DmaPath::Default,
        ..request
    };
    let outcome = harness.call(&mut bench, &read);
    assert_eq!(
        outcome.status,
        DmaStatus::Success,
        "the mappings are still there"
    );
}

#[test]
fn bus_reset_and_reset_by_the_harness_do_the_same() {
    let (mut bench, mut qemu, mut harness) = rig();
    for by_harness in [false, true] {
        qemu.enable_bus_master(&mut bench);
        qemu.write(&mut bench, 0, REG_SCRATCH, &[1, 2, 3, 4]);
        if by_harness {
            harness.call(&mut bench, &FunctionReset { function: FUNCTION });
        } else {
            qemu.reset(&mut bench);
        }
        assert_eq!(qemu.read(&mut bench, 0, REG_SCRATCH, 4), [0; 4]);
        assert!(!harness.call(&mut bench, &Status {}).functions[&FUNCTION].bus_master);
    }
}

#[test]
fn any_access_of_any_size_is_answered() {
    let (mut bench, mut qemu, _) = rig();
    for region in [0, 2, 7] {
        for (offset, count) in [(0, 1), (1, 3), (0xfff, 1), (3, 8), (0, 0x1000), (0x10, 64)] {
            let bytes = qemu.read(&mut bench, region, offset, count);
            assert_eq!(bytes.len(), usize::try_from(count).expect("small"));
            qemu.write(&mut bench, region, offset, &bytes);
        }
    }
    let mut qemu = bench.connect(FunctionName::Control);
    for region in [0, 2, 4, 7] {
        for (offset, count) in [(0, 1), (1, 3), (0xfff, 1), (3, 8), (0, 0x1000)] {
            let bytes = qemu.read(&mut bench, region, offset, count);
            qemu.write(&mut bench, region, offset, &bytes);
        }
    }
}

#[test]
fn stop_is_answered_and_ends_the_rig() {
    let (mut bench, _qemu, mut harness) = rig();
    let pending = harness.client.send(&Stop {}, PATIENCE).expect("send");
    bench.pump();
    harness.client.wait(pending, PATIENCE).expect("answer");
    assert_eq!(bench.step(Event::Tick), Next::Stop);
    bench.rig.shut_down();
}

#[test]
fn signal_ends_the_rig_and_its_sockets_are_removed() {
    let (mut bench, _qemu, _) = rig();
    assert_eq!(bench.step(Event::Signal), Next::Stop);
    let folder = Rc::clone(&bench.folder);
    drop(bench);
    let left: Vec<_> = std::fs::read_dir(folder.path()).expect("folder").collect();
    assert!(left.is_empty(), "{left:?}");
}
