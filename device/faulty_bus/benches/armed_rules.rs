//! What armed rules cost a request: 64 B and 64 KiB filled by the engine over flat memory.
//!
//! Cases: the bus without the layer (the floor); the layer with no rule; 1 and 1,000 rules about other
//! addresses; 1,000 about another channel; one that counts every TLP and never strikes.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use dma_engine::{Engine, EngineConfig};
use dmarig_abi::Iova;
use dmarig_abi::descriptor::DMA_OP_FILL;
use dmarig_abi::registers::{CH_COMMAND, CH_DESTINATION, CH_LENGTH, CHANNEL_BASE};
use endpoint::{BusFault, Direction, DmaBus, SubmitError, Tick, Ticket};
use fault_injection::{Condition, Effect, FaultPlan, Injector, Pattern, Point, Rule};
use faulty_bus::{BusFaults, BusSettings, FaultyBus};

const MEMORY_BYTES: usize = 128 << 10;

/// Memory whose IOVA is the position.
struct FlatBus(Vec<u8>);

impl DmaBus for FlatBus {
    fn mapping_epoch(&self) -> u64 {
        1
    }

    fn probe(&self, _: Iova, len_bytes: u64, _: Direction) -> Result<u64, BusFault> {
        Ok(len_bytes)
    }

    fn read(&mut self, iova: Iova, buffer: &mut [u8]) -> Result<(), BusFault> {
        let start = usize::try_from(iova.raw()).expect("small");
        buffer.copy_from_slice(&self.0[start..start + buffer.len()]);
        Ok(())
    }

    fn write(&mut self, iova: Iova, data: &[u8]) -> Result<(), BusFault> {
        let start = usize::try_from(iova.raw()).expect("small");
        self.0[start..start + data.len()].copy_from_slice(data);
        Ok(())
    }

    fn submit_read(&mut self, _: Iova, _: usize) -> Result<Ticket, SubmitError> {
        Err(SubmitError::Unavailable)
    }

    fn submit_write(&mut self, _: Iova, _: &[u8]) -> Result<Ticket, SubmitError> {
        Err(SubmitError::Unavailable)
    }
}

fn ring(engine: &mut Engine, len: u64) {
    engine.write(CHANNEL_BASE + CH_DESTINATION, &0x1000_u64.to_le_bytes(), 1);
    engine.write(CHANNEL_BASE + CH_LENGTH, &len.to_le_bytes(), 1);
    let command = u32::from(DMA_OP_FILL).to_le_bytes();
    engine.write(CHANNEL_BASE + CH_COMMAND, &command, 1);
}

fn rules(n_rules: u64, condition: impl Fn(u64) -> Condition) -> Injector {
    let rules = (0..n_rules).map(|number| Rule {
        condition: condition(number),
        ..Rule::new(number.to_string(), Point::DmaWrite, Effect::Drop)
    });
    Injector::new(FaultPlan {
        rules: rules.collect(),
        ..FaultPlan::default()
    })
}

fn injectors() -> Vec<(&'static str, Injector)> {
    let elsewhere = |number: u64| Condition {
        iova: Some(Pattern::between(
            (1 << 40) + number * 0x1000,
            (1 << 40) + number * 0x1000 + 0xfff,
        )),
        ..Condition::default()
    };
    let on_channel_1 = |_| Condition {
        channel: Some(1),
        ..Condition::default()
    };
    let mut counting = Rule::new("counting", Point::DmaWrite, Effect::Drop);
    counting.trigger.nth = u64::MAX;
    let counting = FaultPlan {
        rules: vec![counting],
        ..FaultPlan::default()
    };
    vec![
        ("0 rules", Injector::default()),
        ("1 rule elsewhere", rules(1, elsewhere)),
        ("1000 rules elsewhere", rules(1000, elsewhere)),
        ("1000 rules of another channel", rules(1000, on_channel_1)),
        ("1 rule that counts every TLP", Injector::new(counting)),
    ]
}

fn armed_rules(criterion: &mut Criterion) {
    for len in [64_u64, 64 << 10] {
        let mut group = criterion.benchmark_group(format!("fill {len} B"));
        group.throughput(Throughput::Bytes(len));
        let mut engine = Engine::new(EngineConfig::default());
        engine.set_bus_master(true);
        let mut memory = FlatBus(vec![0; MEMORY_BYTES]);
        group.bench_function("no layer", |bencher| {
            bencher.iter(|| {
                ring(&mut engine, len);
                engine.run(black_box(&mut memory), u32::MAX);
                black_box(engine.take_events())
            });
        });
        for (name, mut injector) in injectors() {
            let settings = BusSettings {
                read_granule_bytes: 512,
                write_granule_bytes: 256,
                completion_timeout: Some(Duration::from_millis(10)),
            };
            let mut faults = BusFaults::new(4, settings);
            group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
                bencher.iter(|| {
                    ring(&mut engine, len);
                    let mut bus =
                        FaultyBus::new(&mut memory, &mut injector, &mut faults, Tick::ZERO);
                    engine.run(black_box(&mut bus), u32::MAX);
                    black_box(engine.take_events())
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, armed_rules);
criterion_main!(benches);
