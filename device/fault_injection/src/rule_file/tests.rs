use std::path::Path;

use super::parse;
use crate::{AccessDirection, Condition, Effect, Pattern, Point, StateScope, Trigger};

fn plan(text: &str) -> crate::FaultPlan {
    parse(Path::new("x.toml"), text).unwrap_or_else(|error| panic!("{error}"))
}

fn parse_error(text: &str) -> String {
    parse(Path::new("x.toml"), text)
        .expect_err("bad file")
        .to_string()
}

#[test]
fn empty_file_is_the_empty_plan() {
    assert_eq!(plan(""), crate::FaultPlan::default());
}

#[test]
fn every_word_of_a_rule_is_read() {
    let plan = plan(
        r#"
seed = "0xffffffffffffffff"
state-scope = "function"

[[rule]]
name = "first"
event = "translate"
match = { channel = 3, iova = { min = 0x1000, max = "0xffffffffffff0000" }, direction = "write" }
nth = 2
interval = 3
times = 4
probability = 0.5
state = "start"
new-state = "later"
optional = true
effect = "iommu-fault"

[[rule]]
name = "second"
event = "mmio-read"
match.offset = 0x18
match.value = { mask = 1, value = 1 }
state = "later"
effect.stuck.ones = 0x80
"#,
    );
    assert_eq!(
        (plan.seed, plan.state_scope),
        (u64::MAX, StateScope::Function)
    );
    let [first, second] = plan.rules.as_slice() else {
        panic!("two rules: {plan:?}");
    };
    let condition = Condition {
        channel: Some(3),
        iova: Some(Pattern::between(0x1000, 0xffff_ffff_ffff_0000)),
        direction: Some(AccessDirection::Write),
        ..Condition::default()
    };
    let trigger = Trigger {
        nth: 2,
        interval: 3,
        times: Some(4),
        probability: 0.5,
    };
    assert_eq!(
        (first.event, first.condition),
        (Point::Translate, condition)
    );
    assert_eq!((first.trigger, first.effect), (trigger, Effect::IommuFault));
    assert_eq!(first.state.as_deref(), Some("start"));
    assert_eq!(first.new_state.as_deref(), Some("later"));
    assert!(first.is_optional);
    assert_eq!(second.condition.offset, Some(Pattern::exactly(0x18)));
    let bit_0 = Pattern {
        mask: 1,
        value: 1,
        ..Pattern::between(0, u64::MAX)
    };
    assert_eq!(second.condition.value, Some(bit_0));
    let stuck = Effect::Stuck {
        zeros: 0,
        ones: 0x80,
    };
    assert_eq!((second.effect, second.is_optional), (stuck, false));
    assert_eq!(second.trigger, Trigger::default());
}

/// A rule with one line more.
fn with(line: &str) -> String {
    format!("[[rule]]\nname = \"a\"\nevent = \"dma-write\"\neffect = \"drop\"\n{line}\n")
}

#[test]
fn wrong_words_and_values_name_line_and_column_and_the_mend() {
    let bad_effect = "[[rule]]\nname = \"a\"\nevent = \"msix\"\neffect = \"poison\"\n";
    let long_delay =
        "[[rule]]\nname = \"a\"\nevent = \"mmio-read\"\neffect.delay.microseconds = 5000000\n";
    for (text, place, message, help) in [
        (
            "seed = -1\n".to_owned(),
            "line 1, column 8",
            "-1 is negative",
            "docs/faults.md",
        ),
        (
            with("time = 1"),
            "line 5, column 1",
            "unknown field `time`",
            "docs/faults.md",
        ),
        (
            with("times = 0"),
            "line 5, column 9",
            "`times` is 0",
            "counted from 1",
        ),
        (
            with("nth = -3"),
            "line 5, column 7",
            "`nth` is -3",
            "counted from 1",
        ),
        (
            with("probability = 1.5"),
            "line 5, column 15",
            "`probability` is 1.5",
            "at most 1",
        ),
        (
            with("state = \"b\""),
            "line 5, column 9",
            "no rule leads to the state",
            "start",
        ),
        (
            with("match.iova = { min = 2, max = 1 }"),
            "line 5",
            "`min` is above `max`",
            "",
        ),
        (
            with("match.iova = \"1000\""),
            "line 5, column 14",
            "no number like",
            "",
        ),
        (
            with("match.value = { mask = 1, value = 2 }"),
            "line 5",
            "bits outside `mask`",
            "",
        ),
        (
            bad_effect.to_owned(),
            "line 4, column 10",
            "`poison` cannot happen at `msix`",
            "dma-read",
        ),
        (
            long_delay.to_owned(),
            "line 4",
            "`microseconds` is 5000000",
            "1 to 2000000",
        ),
        (
            bad_effect.replace("msix", "msiy"),
            "line 3, column 9",
            "unknown variant `msiy`",
            "docs",
        ),
        (
            "[[rule]]\nevent = \"msix\"\neffect = \"drop\"\n".to_owned(),
            "line 1",
            "missing field `name`",
            "docs",
        ),
        (
            format!("{}{}", with(""), with("")),
            "line 7, column 8",
            "two rules are called \"a\"",
            "its own",
        ),
        (
            bad_effect.replace("poison\"", "drop\"\nmatch = { channel = 1 }"),
            "line 5, column 9",
            "`msix` belongs to no channel",
            "leave `channel` out",
        ),
        (
            bad_effect.replace("poison\"", "drop\"\nmatch.function = 8"),
            "line 5, column 1",
            "no device under test is number 8",
            "0 to 7",
        ),
        (
            bad_effect.replace("poison\"", "drop\"\nmatch.function = \"dut1\""),
            "line 5, column 18",
            "expected u16",
            "docs/faults.md",
        ),
        (
            with("").replace("\"a\"", "\"\""),
            "line 2, column 8",
            "no name of a rule",
            "printable ASCII",
        ),
    ] {
        let error = parse_error(&text);
        for wanted in ["rule file x.toml", place, message, "help: ", help] {
            assert!(error.contains(wanted), "{wanted:?} is not in: {error}");
        }
    }
}

#[test]
fn effects_outside_their_ranges_are_refused() {
    for (event, effect) in [
        ("msix", "storm.count = 1"),
        (
            "completion-entry",
            "torn = { bytes = 64, microseconds = 1 }",
        ),
        (
            "completion-entry",
            "mutate = { times = 0, microseconds = 1, bit = 0 }",
        ),
        ("mmio-read", "stuck.ones = 0"),
        ("mmio-read", "stuck = { ones = 3, zeros = 1 }"),
        ("msix", "storm.number = 5"),
    ] {
        let text = format!("[[rule]]\nname = \"a\"\nevent = \"{event}\"\neffect.{effect}\n");
        let error = parse_error(&text);
        assert!(error.contains("line 4, column "), "{error}");
    }
}

#[test]
fn too_many_rules_are_refused_at_the_first_too_many() {
    let text: String = (0..=super::MAX_RULES)
        .map(|n| format!("[[rule]]\nname = \"{n}\"\nevent = \"msix\"\neffect = \"drop\"\n"))
        .collect();
    let error = parse_error(&text);
    assert!(
        error.contains("line 16385, column 1: 4097 rules"),
        "{error}"
    );
}

#[test]
fn calls_of_the_driver_are_read_and_left_out_of_the_devices_plan() {
    let text = r#"
[[call]]
name = "no MDL"
routine = "IoAllocateMdl"
location = "dmarig.sys+0x68b1"
nth = 2
optional = true

[[call]]
name = "no pool"
routine = "ExAllocatePool2"
"#;
    let file = super::parse_all(Path::new("x.toml"), text).expect("a rule file");
    let [first, second] = &file.calls[..] else {
        panic!("{file:?}")
    };
    assert_eq!((first.nth, first.is_optional), (2, true));
    let site = first.location.as_ref().map(ToString::to_string);
    assert_eq!(site.as_deref(), Some("dmarig.sys+0x68b1"));
    assert_eq!((second.nth, &second.location), (1, &None));
    assert_eq!(plan(text), crate::FaultPlan::default());
}

#[test]
fn bad_calls_are_named_with_their_place() {
    let check = |text: &str, expected: &str| {
        let seen = parse_error(text);
        assert!(seen.contains(expected), "{text}: {seen}");
    };
    let call = |rest: &str| format!("[[call]]\nname = \"a\"\nroutine = \"IoAllocateMdl\"\n{rest}");
    check(
        &call("location = \"0x12\""),
        "line 4, column 12: \"0x12\" is no call site",
    );
    check(&call("nth = 0"), "line 4, column 7: `nth` is 0");
    check(&call("times = 1"), "times");
    check(
        "[[call]]\nname = \"a\"\nroutine = \"a b\"",
        "line 3, column 11: \"a b\" is no name of a routine",
    );
    let twice = call("[[rule]]\nname = \"a\"\nevent = \"dma-read\"\neffect = \"drop\"");
    assert!(
        !parse_error(&twice).is_empty(),
        "names are shared with rules"
    );
    check(&call("").repeat(17), "17 calls are more than 16");
}
