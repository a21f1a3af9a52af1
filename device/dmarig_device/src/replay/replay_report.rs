//! A [`ReplayReport`] for people and for the harness.

use std::fmt::Write as _;

use recording::log::LogEnd;
use serde_json::{Value, json};

use super::ReplayReport;

/// Some lines of text, without a last newline.
pub(crate) fn to_text(name: &str, report: &ReplayReport) -> String {
    let mut text = if report.is_identical() {
        format!(
            "{name}: identical: {} records, ledger hash {}",
            report.seen.records, report.seen.hash
        )
    } else {
        format!("{name}: different")
    };
    if let Some(note) = end_note(report) {
        write!(text, "\n  {note}").expect("a string takes text");
    }
    if let Some(difference) = &report.difference {
        let side = |line: &Option<String>| line.clone().unwrap_or_else(|| "nothing".into());
        write!(
            text,
            "\n  record {}\n    expected: {}\n    seen:     {}",
            difference.record,
            side(&difference.expected),
            side(&difference.seen)
        )
        .expect("a string takes text");
    } else if !report.is_identical() && report.divergence.is_none() {
        let recorded = report.recorded.map(|recorded| recorded.hash.to_string());
        write!(
            text,
            "\n  ledger hash\n    expected: {}\n    seen:     {}\n  the recorded trace is cut off before the difference",
            recorded.unwrap_or_else(|| "nothing".into()),
            report.seen.hash
        )
        .expect("a string takes text");
    }
    if let Some(divergence) = &report.divergence {
        write!(
            text,
            "\n  event {} of the log\n    recorded: {}\n    asked:    {}",
            divergence.event, divergence.recorded, divergence.asked
        )
        .expect("a string takes text");
    }
    for rule in &report.rules {
        let (name, hits, fired) = (&rule.name, rule.hits, rule.fired);
        write!(text, "\n  rule {name}: {hits} hits, {fired} strikes").expect("a string takes text");
    }
    text
}

/// One line of JSON.
pub(crate) fn to_json(name: &str, report: &ReplayReport) -> String {
    let difference = report.difference.as_ref().map(|difference| {
        json!({
            "record": difference.record,
            "expected": difference.expected,
            "seen": difference.seen,
        })
    });
    let divergence = report.divergence.as_ref().map(|divergence| {
        json!({
            "event": divergence.event,
            "recorded": divergence.recorded,
            "asked": divergence.asked,
        })
    });
    let value: Value = json!({
        "function": name,
        "identical": report.is_identical(),
        "records": report.seen.records,
        "events": report.events,
        "hash": report.seen.hash.to_string(),
        "recorded_hash": report.recorded.map(|recorded| recorded.hash.to_string()),
        "end": match report.end {
            None => "whole",
            Some(LogEnd::Cut) => "cut",
            Some(LogEnd::Truncated) => "truncated",
        },
        "difference": difference,
        "divergence": divergence,
        "rules": report.rules,
    });
    value.to_string()
}

/// What is to be known of a log that is not whole.
fn end_note(report: &ReplayReport) -> Option<String> {
    let why = match report.end? {
        LogEnd::Truncated => "the log is cut off, as when the device process is killed",
        LogEnd::Cut => "the log had come to its size limit",
    };
    let until = match report.recorded {
        Some(recorded) => format!("compared up to record {}", recorded.records),
        None => "it says nowhere what the trace was".into(),
    };
    Some(format!("{why}; {until}"))
}
