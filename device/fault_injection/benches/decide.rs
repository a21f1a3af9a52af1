//! What a decision costs, for a TLP of 256 bytes and for a whole request.
//!
//! Cases: no rule; one rule and 1,000 rules that match other addresses; 1,000 that match another
//! channel; one that counts every hit and never strikes.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use fault_injection::{Condition, Effect, Facts, FaultPlan, Injector, Pattern, Point, Rule};

fn injector(n_rules: u64, condition: impl Fn(u64) -> Condition) -> Injector {
    let rules = (0..n_rules).map(|number| Rule {
        condition: condition(number),
        ..Rule::new(number.to_string(), Point::DmaWrite, Effect::Drop)
    });
    Injector::new(FaultPlan {
        rules: rules.collect(),
        ..FaultPlan::default()
    })
}

fn decide(criterion: &mut Criterion) {
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
    let cases = [
        ("no rule", Injector::default()),
        ("1 rule elsewhere", injector(1, elsewhere)),
        ("1000 rules elsewhere", injector(1000, elsewhere)),
        (
            "1000 rules of another channel",
            injector(1000, on_channel_1),
        ),
        ("1 rule that counts", Injector::new(counting)),
    ];
    let facts = Facts::at(Point::DmaWrite)
        .on_channel(0)
        .with_range(0x10_0000, 256);
    let mut group = criterion.benchmark_group("decide");
    for (name, mut injector) in cases {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let facts = black_box(&facts);
                if injector.is_armed(facts.point) {
                    injector.decide(facts)
                } else {
                    None
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, decide);
criterion_main!(benches);
