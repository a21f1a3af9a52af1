//! What a rule file makes of a row of accesses, and that nothing but the row itself counts.

use std::path::Path;

use fault_injection::{
    Condition, Effect, Facts, FaultPlan, Injector, Pattern, Point, PointCount, RequestOrigin, Rule,
    Trigger, rule_file,
};
use proptest::prelude::*;

fn plan(text: &str) -> FaultPlan {
    rule_file::parse(Path::new("x.toml"), text).unwrap_or_else(|error| panic!("{error}"))
}

fn write(channel: u8, iova: u64) -> Facts {
    Facts::at(Point::DmaWrite)
        .on_channel(channel)
        .with_range(iova, 0x100)
}

/// The hits, from 1, of a row of writes on channel 0 that are struck.
fn struck(text: &str, n_writes: u64) -> Vec<u64> {
    let mut injector = Injector::new(plan(text));
    (1..=n_writes)
        .filter(|_| injector.decide(&write(0, 0)).is_some())
        .collect()
}

#[test]
fn nth_interval_and_times_choose_hits() {
    let rule = "[[rule]]\nname = \"a\"\nevent = \"dma-write\"\neffect = \"drop\"\n";
    for (lines, expected) in [
        ("", vec![1, 2, 3, 4, 5, 6, 7]),
        ("nth = 3\n", vec![3, 4, 5, 6, 7]),
        ("interval = 3\n", vec![1, 4, 7]),
        ("nth = 2\ninterval = 2\ntimes = 2\n", vec![2, 4]),
        ("times = 1\n", vec![1]),
        ("match.iova = 0x100\n", vec![]),
    ] {
        assert_eq!(struck(&format!("{rule}{lines}"), 7), expected, "{lines}");
    }
}

#[test]
fn first_rule_that_strikes_decides_and_all_count_the_hit() {
    let mut injector = Injector::new(plan(
        "[[rule]]\nname = \"a\"\nevent = \"dma-write\"\nnth = 2\ntimes = 1\neffect = \"drop\"\n\
         [[rule]]\nname = \"b\"\nevent = \"dma-write\"\nnth = 2\ntimes = 1\neffect = \"duplicate\"\n",
    ));
    let effects: Vec<_> = (0..3)
        .map(|_| {
            injector
                .decide(&write(0, 0))
                .map(|decision| decision.effect)
        })
        .collect();
    assert_eq!(effects, [None, Some(Effect::Drop), None]);
    let status = injector.status();
    assert_eq!((status[0].hits(), status[0].fired()), (3, 1));
    assert_eq!((status[1].hits(), status[1].fired()), (3, 0));
    assert_eq!(status[0].channels[0].last_fired_hit, 2);
    let firings = injector.take_firings();
    assert_eq!((firings.len(), firings[0].name.as_str()), (1, "a"));
}

/// Hits, from 1, of a row of writes that strike on this device under test.
fn struck_on(function: u16, text: &str, n_writes: u64) -> Vec<u64> {
    let mut injector = Injector::for_function(function);
    injector.load(plan(text));
    (1..=n_writes)
        .filter(|_| injector.decide(&write(0, 0)).is_some())
        .collect()
}

#[test]
fn rule_for_one_device_does_nothing_at_another() {
    let text =
        "[[rule]]\nname = \"a\"\nevent = \"dma-write\"\nmatch.function = 1\neffect = \"drop\"\n";
    assert_eq!(struck_on(0, text, 3), [0; 0]);
    assert_eq!(struck_on(1, text, 3), [1, 2, 3]);
    let mut injector = Injector::new(plan(text));
    assert!(injector.is_idle(), "nobody looks, so that no TLP is cut");
    injector.decide(&write(0, 0));
    assert_eq!(injector.status()[0].hits(), 0);
}

#[test]
fn devices_draw_for_themselves_and_count_for_themselves() {
    let rule = "[[rule]]\nname = \"a\"\nevent = \"dma-write\"\neffect = \"drop\"\n";
    let by_chance = format!("seed = 7\n{rule}probability = 0.5\n");
    let [first, second] = [0, 1].map(|function| struck_on(function, &by_chance, 64));
    assert_eq!(first, struck(&by_chance, 64), "those of a device alone");
    assert_ne!(first, second);
    for function in [0, 1, 7] {
        assert_eq!(
            struck_on(function, &format!("{rule}nth = 2\ntimes = 1\n"), 5),
            [2]
        );
    }
}

const TWO_STATES: &str = r#"
[[rule]]
name = "arm"
event = "descriptor-fetch"
nth = 2
times = 1
new-state = "armed"
effect.delay.microseconds = 1

[[rule]]
name = "strike"
event = "dma-write"
state = "armed"
new-state = "start"
effect = "drop"
"#;

#[test]
fn state_is_the_channels_own_unless_the_plan_says_otherwise() {
    for (scope, is_struck) in [("channel", [true, false]), ("function", [true, true])] {
        let text = format!("state-scope = \"{scope}\"\n{TWO_STATES}");
        let mut injector = Injector::new(plan(&text));
        let fetch = Facts::at(Point::DescriptorFetch).on_channel(0);
        assert!(injector.decide(&write(0, 0)).is_none(), "not armed yet");
        assert!(injector.decide(&fetch).is_none());
        assert!(injector.decide(&fetch).is_some());
        let on_other = injector.decide(&write(1, 0)).is_some();
        assert_eq!(on_other, is_struck[1], "{scope}");
        let on_own = injector.decide(&write(0, 0)).is_some();
        // With one state for all, channel 1 has brought it back.
        assert_eq!(on_own, !is_struck[1], "{scope}");
        assert!(injector.decide(&write(0, 0)).is_none(), "back at the start");
    }
}

#[test]
fn requests_of_the_host_are_met_only_by_rules_that_ask_for_them() {
    let mut rule = Rule::new("a", Point::DmaWrite, Effect::Drop);
    let host = Facts {
        origin: RequestOrigin::Host,
        channel: None,
        ..write(0, 0)
    };
    let decide = |rule: &Rule| {
        let rules = vec![rule.clone()];
        let mut injector = Injector::new(FaultPlan {
            rules,
            ..FaultPlan::default()
        });
        (
            injector.decide(&host).is_some(),
            injector.decide(&write(0, 0)).is_some(),
        )
    };
    assert_eq!(decide(&rule), (false, true));
    rule.condition.origin = RequestOrigin::Host;
    assert_eq!(decide(&rule), (true, false));
}

#[test]
fn census_counts_what_the_driver_passes_and_each_count_is_a_rule() {
    let mut injector = Injector::default();
    assert!(!injector.is_armed(Point::DmaWrite));
    injector.start_census();
    assert!(injector.is_armed_for(Point::DmaWrite, Some(1), 0, 1));
    for channel in [1, 0, 1] {
        assert!(injector.decide(&write(channel, 0)).is_none());
    }
    let counts: Vec<_> = injector.census().expect("begun above").iter().collect();
    let count = |channel, hits| PointCount {
        point: Point::DmaWrite,
        channel: Some(channel),
        hits,
    };
    assert_eq!(counts, [count(0, 1), count(1, 2)]);
    injector.stop_census();
    let rules = vec![Rule::once(Point::DmaWrite, Some(1), 2, Effect::Drop)];
    injector.load(FaultPlan {
        rules,
        ..FaultPlan::default()
    });
    let struck = [1, 0, 1].map(|channel| injector.decide(&write(channel, 0)).is_some());
    assert_eq!(struck, [false, false, true]);
}

#[test]
fn firings_that_nobody_takes_are_bounded() {
    let mut injector = Injector::new(FaultPlan {
        rules: vec![Rule::new("a", Point::DmaWrite, Effect::Drop)],
        ..FaultPlan::default()
    });
    for _ in 0..=fault_injection::MAX_FIRINGS {
        injector.decide(&write(0, 0));
    }
    assert_eq!(injector.take_firings().len(), fault_injection::MAX_FIRINGS);
}

prop_compose! {
    fn any_rule()(
        number in 0..1000_u32,
        channel in prop::option::of(0..3_u8),
        min in 0..8_u64,
        n_pages in 0..4_u64,
        nth in 1..4_u64,
        interval in 1..4_u64,
        times in prop::option::of(1..4_u64),
        probability in prop_oneof![Just(1.0), 0.01..1.0],
        states in (prop::option::of(0..3_u8), prop::option::of(0..3_u8)),
    ) -> Rule {
        let state = |state: Option<u8>| match state {
            Some(0) => Some(fault_injection::INITIAL_STATE.to_owned()),
            state => state.map(|state| state.to_string()),
        };
        Rule {
            condition: Condition {
                channel,
                iova: Some(Pattern::between(min * 0x1000, (min + n_pages) * 0x1000)),
                ..Condition::default()
            },
            trigger: Trigger { nth, interval, times, probability },
            state: state(states.0),
            new_state: state(states.1),
            ..Rule::new(number.to_string(), Point::DmaWrite, Effect::Drop)
        }
    }
}

fn any_plan() -> impl Strategy<Value = FaultPlan> {
    let rules = prop::collection::vec(any_rule(), 0..12);
    (any::<u64>(), rules).prop_map(|(seed, rules)| FaultPlan {
        seed,
        rules,
        ..FaultPlan::default()
    })
}

fn any_accesses() -> impl Strategy<Value = Vec<(u8, u64)>> {
    prop::collection::vec((0..3_u8, 0..0xa000_u64), 0..120)
}

/// What becomes of one channel's accesses.
fn decisions_of(
    plan: &FaultPlan,
    accesses: &[(u8, u64)],
    channel: u8,
) -> Vec<Option<fault_injection::Decision>> {
    let mut injector = Injector::new(plan.clone());
    let mut decisions = Vec::new();
    for &(on, iova) in accesses {
        let decision = injector.decide(&write(on, iova));
        if on == channel {
            decisions.push(decision);
        }
    }
    decisions
}

proptest! {
    /// A channel's decisions are the same whatever the others do in between.
    #[test]
    fn other_channels_change_no_decision(plan in any_plan(), accesses in any_accesses()) {
        for channel in 0..3 {
            let alone: Vec<_> = accesses.iter().copied().filter(|(on, _)| *on == channel).collect();
            prop_assert_eq!(
                decisions_of(&plan, &accesses, channel),
                decisions_of(&plan, &alone, channel)
            );
        }
    }

    /// The index leaves out no rule that matches: one rule alone counts the same hits as among many.
    #[test]
    fn index_finds_every_rule_that_matches(plan in any_plan(), accesses in any_accesses()) {
        let mut injector = Injector::new(plan.clone());
        let mut expected = vec![0; plan.rules.len()];
        // Without states, what a rule counts hangs on its match alone.
        let stateless: Vec<_> = plan.rules.iter().cloned().map(|rule| Rule { state: None, ..rule }).collect();
        injector.load(FaultPlan { rules: stateless, ..plan.clone() });
        for (channel, iova) in accesses {
            let facts = write(channel, iova);
            let is_armed = injector.is_armed_for(Point::DmaWrite, Some(channel), iova, 0x100);
            let mut is_matched = false;
            for (rule, hits) in plan.rules.iter().zip(&mut expected) {
                *hits += u64::from(rule.condition.matches(&facts));
                is_matched |= rule.condition.matches(&facts);
            }
            prop_assert!(is_armed || !is_matched);
            injector.decide(&facts);
        }
        let hits: Vec<_> = injector.status().iter().map(fault_injection::RuleStatus::hits).collect();
        prop_assert_eq!(hits, expected);
    }

    /// Whether a hit strikes is a function of seed, rule, channel and number; `times` only cuts off.
    #[test]
    fn strikes_are_a_function_of_seed_rule_channel_and_hit(seed: u64, mut rule in any_rule()) {
        rule.state = None;
        rule.condition = Condition::default();
        let plan = FaultPlan { seed, rules: vec![rule.clone()], ..FaultPlan::default() };
        let mut injector = Injector::new(plan);
        let mut fired = 0;
        for hit in 1..=64 {
            let may = rule.trigger.times.is_none_or(|times| fired < times);
            let expected = may && rule.strikes(seed, 0, Some(1), hit);
            fired += u64::from(expected);
            prop_assert_eq!(injector.decide(&write(1, 0)).is_some(), expected);
        }
    }

    /// A plan that never matches is not to be told from an empty one.
    #[test]
    fn plan_that_never_matches_decides_nothing(plan in any_plan(), accesses in any_accesses()) {
        let rules = plan.rules.iter().cloned().map(|mut rule| {
            rule.condition.iova = Some(Pattern::between(1 << 40, 1 << 41));
            rule
        });
        let mut injector = Injector::new(FaultPlan { rules: rules.collect(), ..plan.clone() });
        for (channel, iova) in accesses {
            prop_assert!(!injector.is_armed_for(Point::DmaWrite, Some(channel), iova, 0x100));
            prop_assert_eq!(injector.decide(&write(channel, iova)), None);
        }
        prop_assert!(injector.take_firings().is_empty());
    }

    /// No text makes the parser panic.
    #[test]
    fn any_text_is_a_plan_or_an_error(text in "(\\[\\[rule\\]\\]\n|[a-z.\"= {}0-9\n-]){0,40}") {
        let _ = rule_file::parse(Path::new("x.toml"), &text);
    }
}
