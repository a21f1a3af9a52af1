//! What a device does with addresses that it cannot use.

mod mock;

use dma_engine::{AddressRules, Breach, Crossing, EngineConfig};
use dmarig_abi::completion::*;
use dmarig_abi::descriptor::*;
use dmarig_abi::registers::*;
use mock::rings::{DATA, RING, extents, rig_with, run};
use mock::{pattern, register, write_descriptor};

fn truncating() -> EngineConfig {
    EngineConfig {
        addresses: AddressRules {
            alignment_bytes: 16,
            breach: Breach::Truncate,
            ..AddressRules::of_width(24)
        },
        ..EngineConfig::default()
    }
}

#[test]
fn truncating_device_writes_where_its_lines_lead() {
    let mut rig = rig_with(truncating());
    let record = rig.run_command(mock::Command {
        opcode: DMA_OP_WRITE_PATTERN,
        destination: 0x7_0000_0000 + DATA + 5,
        length_bytes: 64,
        seed: 3,
        ..mock::Command::default()
    });
    assert_eq!(record.status, DMA_STATUS_SUCCESS);
    assert_eq!(rig.bus.peek(DATA, 64), pattern(3, 64));
    let runs = record.runs.expect("the bytes went elsewhere");
    assert_eq!(extents(&runs.destination), [(DATA, 64)]);
    let mut ring = rig.enable_ring(0, RING, 8);
    rig.write_64(register(0, CH_RING_BASE), 0x5500_0000_0000 + RING);
    rig.write_32(register(0, CH_RING_CONTROL), RING_ENABLE);
    assert_eq!(
        run(&mut rig, &mut ring, write_descriptor(1, DATA, 8)).status,
        DMA_STATUS_SUCCESS
    );
}

#[test]
fn refusing_device_says_why() {
    let mut rig = rig_with(EngineConfig {
        addresses: AddressRules {
            alignment_bytes: 16,
            boundary_bytes: 0x1000,
            crossing: Crossing::Refuse,
            ..AddressRules::of_width(24)
        },
        ..EngineConfig::default()
    });
    let mut check = |destination, status| {
        let record = rig.run_command(mock::Command {
            opcode: DMA_OP_FILL,
            destination,
            length_bytes: 64,
            ..mock::Command::default()
        });
        assert_eq!(
            (record.status, record.done_bytes),
            (status, if status == 1 { 64 } else { 0 })
        );
    };
    check(DATA, DMA_STATUS_SUCCESS);
    check(DATA + 8, DMA_STATUS_ALIGNMENT);
    check(DATA + 0xff0, DMA_STATUS_BOUNDARY);
    check(0x100_0000 + DATA, DMA_STATUS_ADDRESS);
}

#[test]
fn wrapping_device_stays_in_its_block() {
    let mut rig = rig_with(EngineConfig {
        addresses: AddressRules {
            boundary_bytes: 0x1000,
            crossing: Crossing::Wrap,
            ..AddressRules::default()
        },
        ..EngineConfig::default()
    });
    let record = rig.run_command(mock::Command {
        opcode: DMA_OP_WRITE_PATTERN,
        destination: DATA + 0xff0,
        length_bytes: 64,
        seed: 8,
        ..mock::Command::default()
    });
    assert_eq!((record.status, record.done_bytes), (DMA_STATUS_SUCCESS, 64));
    let expected = pattern(8, 64);
    assert_eq!(rig.bus.peek(DATA + 0xff0, 16), expected[..16]);
    assert_eq!(rig.bus.peek(DATA, 48), expected[16..]);
    assert_eq!(rig.bus.peek(DATA + 0x1000, 48), vec![0; 48]);
    let written = extents(&record.runs.expect("it was cut").destination);
    assert_eq!(written, [(DATA + 0xff0, 16), (DATA, 48)]);
}
