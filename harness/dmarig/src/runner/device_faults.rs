//! The device's rules of a run: loaded before QEMU starts, and asked for what they did when a boot is
//! over. Nothing here may hide the verdict of a boot: rules that cannot be read are told as such.

use std::path::Path;
use std::time::Duration;

use contract::Remapping;
use control_api::request::{FaultsLoad, FaultsRecord, FaultsStatus};
use control_api::response::FaultRule;
use control_api::{Client, ClientError, FunctionName};
use fault_injection::{FaultPlan, Rule};

use crate::event::{CaseResult, FindingRecord, Verdict};
use crate::faults::Faults;

/// How long one call may take.
const DEADLINE: Duration = Duration::from_secs(2);
/// Most pages of rules; a device that always says "more" must not hold us.
const PAGES_MAX: u32 = 64;

/// What a rule has done in one device under test during a boot.
#[derive(Clone, Debug)]
pub struct SeenRule {
    /// Number of the boot.
    pub boot: u32,
    /// The device under test, where the boot had several.
    pub function: Option<FunctionName>,
    /// What it did.
    pub rule: FaultRule,
}

/// Loads the device's rules into each device under test, if there are any; has the points counted that the
/// start of the first passes, if that is asked for.
pub fn load(client: &mut Client, faults: &Faults, n_duts: u16) -> Result<(), ClientError> {
    if faults.record_points {
        let record = FaultsRecord {
            function: FunctionName::DUT0,
            on: true,
        };
        client.call(&record, DEADLINE)?;
    }
    if faults.rules.plan.rules.is_empty() {
        return Ok(());
    }
    (0..n_duts).try_for_each(|number| {
        let load = FaultsLoad {
            function: FunctionName::Dut(number),
            rules: faults.text.clone(),
        };
        client.call(&load, DEADLINE).map(|_| ())
    })
}

/// What each rule has done in each device under test, over a connection of its own.
pub fn read(socket: &Path, boot: u32, n_duts: u16) -> Result<Vec<SeenRule>, ClientError> {
    let mut client = Client::connect(socket)?;
    let mut seen = Vec::new();
    for function in (0..n_duts).map(FunctionName::Dut) {
        let rules = read_one(&mut client, function)?;
        seen.extend(rules.into_iter().map(|rule| SeenRule {
            boot,
            function: (n_duts > 1).then_some(function),
            rule,
        }));
    }
    Ok(seen)
}

fn read_one(client: &mut Client, function: FunctionName) -> Result<Vec<FaultRule>, ClientError> {
    let mut rules = Vec::new();
    let mut from = 0;
    for _ in 0..PAGES_MAX {
        let page = client.call(&FaultsStatus { function, from }, DEADLINE)?;
        rules.extend(page.rules);
        match page.next {
            Some(next) => from = next,
            None => break,
        }
    }
    Ok(rules)
}

/// The plan in words, for the report: one line a rule.
#[must_use]
pub fn describe(plan: &FaultPlan) -> Vec<String> {
    let line = |rule: &Rule| {
        let trigger = rule.trigger;
        let times = trigger
            .times
            .map_or("always".to_owned(), |times| format!("{times} times"));
        format!(
            "fault {:?}: {} at {}{}, from hit {} every {}, {times}{}{}",
            rule.name,
            rule.effect.name(),
            rule.event,
            rule.condition
                .function
                .map_or(String::new(), |number| format!(" of dut{number}")),
            trigger.nth,
            trigger.interval,
            if trigger.probability < 1.0 {
                format!(
                    ", probability {} with seed {}",
                    trigger.probability, plan.seed
                )
            } else {
                String::new()
            },
            if rule.is_optional { ", optional" } else { "" },
        )
    };
    plan.rules.iter().map(line).collect()
}

/// What a rule has done over all boots, as a check of its own: one that never struck shows nothing.
#[must_use]
pub fn verdict(rule: &Rule, seen: &[SeenRule], boot: u32, remapping: Remapping) -> CaseResult {
    let fired: u64 = seen.iter().map(|seen| seen.rule.fired).sum();
    let hits: u64 = seen.iter().map(|seen| seen.rule.hits).sum();
    let observations = seen.iter().flat_map(|seen| {
        let boot = seen.boot;
        let function = seen
            .function
            .map_or(String::new(), |function| format!("{function}, "));
        seen.rule.channels.iter().map(move |channel| {
            let place = channel.channel.map_or("no channel".to_owned(), |channel| {
                format!("channel {channel}")
            });
            let last = match channel.last_fired_hit {
                0 => "none".to_owned(),
                hit => format!("the last at hit {hit}"),
            };
            format!(
                "boot {boot}, {function}{place}: struck {} of {} hits, {last}",
                channel.fired, channel.hits
            )
        })
    });
    let verdict = if fired > 0 {
        Verdict::Passed
    } else if rule.is_optional {
        Verdict::Skipped {
            reason: format!("it never struck ({hits} hits), and is optional"),
        }
    } else {
        Verdict::Failed {
            findings: vec![FindingRecord {
                view: "faults".into(),
                what: format!(
                    "the rule {:?} ({} at {})",
                    rule.name,
                    rule.effect.name(),
                    rule.event
                ),
                buffer: None,
                logical_address: None,
                expected: "at least one strike, or `optional = true`".into(),
                seen: format!("{hits} hits and no strike"),
            }],
        }
    };
    CaseResult {
        boot,
        id: format!("FAULT/{}", rule.name),
        rule: "FAULT".into(),
        title: format!("{} at {} strikes", rule.effect.name(), rule.event),
        remapping: remapping.into(),
        verdict,
        duration_ms: 0.0,
        observations: observations.collect(),
        buffer_history: None,
    }
}

#[cfg(test)]
mod tests {
    use control_api::response::FaultHits;
    use fault_injection::{Effect, Point};

    use super::*;

    fn seen(hits: u64, fired: u64) -> SeenRule {
        let channel = FaultHits {
            channel: Some(1),
            hits,
            fired,
            last_fired_hit: fired,
        };
        let rule = FaultRule {
            name: "a".into(),
            event: "dma-write".into(),
            effect: "drop".into(),
            optional: false,
            hits,
            fired,
            channels: vec![channel],
        };
        SeenRule {
            boot: 3,
            function: None,
            rule,
        }
    }

    #[test]
    fn rule_that_never_struck_is_red_unless_it_is_optional() {
        let mut rule = Rule::new("a", Point::DmaWrite, Effect::Drop);
        let verdict_of = |rule: &Rule, seen: &[_]| verdict(rule, seen, 3, Remapping::On).verdict;
        assert_eq!(
            verdict_of(&rule, &[seen(7, 0), seen(2, 1)]),
            Verdict::Passed
        );
        assert!(verdict_of(&rule, &[seen(7, 0)]).is_red());
        assert!(verdict_of(&rule, &[]).is_red());
        rule.is_optional = true;
        assert!(!verdict_of(&rule, &[]).is_red());
    }

    #[test]
    fn strikes_are_told_by_boot_and_channel() {
        let rule = Rule::new("a", Point::DmaWrite, Effect::Drop);
        let result = verdict(&rule, &[seen(7, 2)], 3, Remapping::On);
        assert_eq!(
            result.observations,
            ["boot 3, channel 1: struck 2 of 7 hits, the last at hit 2"]
        );
    }

    #[test]
    fn strikes_are_told_by_device_where_there_are_several() {
        let rule = Rule::new("a", Point::DmaWrite, Effect::Drop);
        let at = |number, fired| SeenRule {
            function: Some(FunctionName::Dut(number)),
            ..seen(7, fired)
        };
        let result = verdict(&rule, &[at(0, 0), at(1, 2)], 3, Remapping::On);
        assert_eq!(result.verdict, Verdict::Passed, "one of them is enough");
        assert_eq!(
            result.observations,
            [
                "boot 3, dut0, channel 1: struck 0 of 7 hits, none",
                "boot 3, dut1, channel 1: struck 2 of 7 hits, the last at hit 2"
            ]
        );
    }

    #[test]
    fn plan_is_told_in_words() {
        let mut rule = Rule::new("a", Point::DmaWrite, Effect::Drop);
        rule.trigger.times = Some(2);
        rule.trigger.probability = 0.5;
        let plan = FaultPlan {
            seed: 9,
            rules: vec![rule],
            ..FaultPlan::default()
        };
        assert_eq!(
            describe(&plan),
            [
                "fault \"a\": drop at dma-write, from hit 1 every 1, 2 times, probability 0.5 with seed 9"
            ]
        );
    }
}
