//! What sharing costs, and whether it is fair: 1, 4 and 64 channels that are busy all the time.
//!
//! Each iteration is one slice of the engine (1 MiB and a bit) over flat memory that translates for
//! nothing. The rings are filled anew after each; the requests are CRCs of 16, 32, 64 and 128 KiB, by
//! channel. Behind each case the bytes of its slowest and its fastest channel are printed: they are to be
//! within a factor of 2.

mod flat_bus;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use dma_engine::{EndpointEvent, Engine, EngineConfig, Origin, SLICE_BYTES};
use dmarig_abi::Descriptor;
use dmarig_abi::descriptor::DMA_OP_CRC;
use dmarig_abi::registers::{
    CH_COMPLETION_BASE, CH_RING_BASE, CH_RING_CONTROL, CH_RING_ENTRIES, CH_RING_HEAD, CH_RING_TAIL,
    CHANNEL_BASE, CHANNEL_STRIDE, RING_ENABLE,
};
use flat_bus::FlatBus;
use zerocopy::IntoBytes;

/// Requests read from address 0 on; the rings of channel n lie at `RINGS + n * RING_STRIDE`.
const RINGS: u64 = 1 << 20;
const RING_STRIDE: u64 = 0x4000;
const MEMORY_SIZE_BYTES: usize = 2 << 20;
const ENTRIES: u32 = 64;
const LENGTHS_BYTES: [u64; 4] = [16 << 10, 32 << 10, 64 << 10, 128 << 10];

fn register(channel: usize, offset: u64) -> u64 {
    CHANNEL_BASE + channel as u64 * CHANNEL_STRIDE + offset
}

fn open_ring(engine: &mut Engine, bus: &mut FlatBus, channel: usize) {
    let base = RINGS + channel as u64 * RING_STRIDE;
    let descriptor = Descriptor {
        opcode: DMA_OP_CRC,
        length_bytes: LENGTHS_BYTES[channel % LENGTHS_BYTES.len()],
        ..Descriptor::default()
    };
    let start = usize::try_from(base).expect("2 MiB");
    for entry in bus.memory[start..].chunks_mut(64).take(ENTRIES as usize) {
        entry.copy_from_slice(descriptor.as_bytes());
    }
    for (offset, value) in [
        (CH_RING_BASE, base),
        (CH_COMPLETION_BASE, base + RING_STRIDE / 2),
    ] {
        engine.write(register(channel, offset), &value.to_le_bytes(), 1);
    }
    for (offset, value) in [(CH_RING_ENTRIES, ENTRIES), (CH_RING_CONTROL, RING_ENABLE)] {
        engine.write(register(channel, offset), &value.to_le_bytes(), 1);
    }
}

/// The driver's part: every entry that the device has taken is filled again.
fn refill(engine: &mut Engine, channel: usize) {
    let mut head = [0; 4];
    engine.read(register(channel, CH_RING_HEAD), &mut head, 1);
    let tail = (u32::from_le_bytes(head) + ENTRIES - 1) % ENTRIES;
    engine.write(register(channel, CH_RING_TAIL), &tail.to_le_bytes(), 1);
}

fn fairness(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fairness");
    group.throughput(Throughput::Bytes(SLICE_BYTES));
    for channels in [1_u8, 4, 64] {
        let mut engine = Engine::new(EngineConfig {
            channels,
            ..EngineConfig::default()
        });
        engine.set_bus_master(true);
        let mut bus = FlatBus::new(MEMORY_SIZE_BYTES);
        let mut done = vec![0; channels.into()];
        for channel in 0..done.len() {
            open_ring(&mut engine, &mut bus, channel);
        }
        group.bench_function(format!("{channels} channels"), |bencher| {
            bencher.iter(|| {
                for channel in 0..done.len() {
                    refill(&mut engine, channel);
                }
                engine.run(&mut bus, 1);
                for event in engine.take_events() {
                    if let EndpointEvent::RequestDone(record) = event
                        && matches!(record.origin, Origin::Ring { .. })
                    {
                        done[record.channel.index()] += record.done_bytes;
                    }
                }
            });
        });
        if let (Some(least), Some(most)) = (done.iter().min(), done.iter().max()) {
            println!("fairness/{channels} channels: slowest {least} B, fastest {most} B");
        }
    }
    group.finish();
}

criterion_group!(benches, fairness);
criterion_main!(benches);
