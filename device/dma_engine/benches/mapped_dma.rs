//! The engine's own cost on the mapped path, over flat memory that translates for nothing.
//!
//! Cases, each at 64 B, 4 KiB and 64 KiB: `memcpy` (the floor), `copy` (one register-mode request
//! from doorbell to record: read, CRC, write), `crc` (read and CRC), `fill` (write and CRC). What a
//! translation and a real mapping add is measured where those are, in the device.

mod flat_bus;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use dma_engine::{Engine, EngineConfig};
use dmarig_abi::descriptor::{DMA_OP_COPY, DMA_OP_CRC, DMA_OP_FILL};
use dmarig_abi::registers::{CH_COMMAND, CH_DESTINATION, CH_LENGTH, CH_SOURCE, CHANNEL_BASE};
use flat_bus::FlatBus;

const MEMORY_SIZE_BYTES: usize = 1 << 20;
const DESTINATION: u64 = 1 << 19;

fn ring(engine: &mut Engine, opcode: u16, len_bytes: u64) {
    for (register, value) in [
        (CH_SOURCE, 0),
        (CH_DESTINATION, DESTINATION),
        (CH_LENGTH, len_bytes),
    ] {
        engine.write(CHANNEL_BASE + register, &value.to_le_bytes(), 1);
    }
    let command = u32::from(opcode).to_le_bytes();
    engine.write(CHANNEL_BASE + CH_COMMAND, &command, 1);
}

fn mapped_dma(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("mapped_dma");
    let mut engine = Engine::new(EngineConfig::default());
    engine.set_bus_master(true);
    let mut bus = FlatBus::new(MEMORY_SIZE_BYTES);
    for len in [64_usize, 4096, 65_536] {
        group.throughput(Throughput::Bytes(len as u64));
        let source = vec![1_u8; len];
        let mut destination = vec![0_u8; len];
        group.bench_function(format!("memcpy/{len}"), |bencher| {
            bencher.iter(|| destination.copy_from_slice(black_box(&source)));
        });
        for (name, opcode) in [
            ("copy", DMA_OP_COPY),
            ("crc", DMA_OP_CRC),
            ("fill", DMA_OP_FILL),
        ] {
            group.bench_function(format!("{name}/{len}"), |bencher| {
                bencher.iter(|| {
                    ring(&mut engine, opcode, len as u64);
                    engine.run(&mut bus, 64);
                    engine.take_events()
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, mapped_dma);
criterion_main!(benches);
