//! What a person reads of a model-based run.

use std::collections::BTreeMap;

use crate::event::{Event, ExploreResult, ReplayEnding};

/// Text of one of its events.
pub(super) fn text(event: &Event) -> String {
    match event {
        Event::ExploreStarted {
            remapping,
            seed,
            n_actions,
            list_crc32c,
        } => format!(
            "remapping {}: seed {seed}, {n_actions} actions, CRC-32C of the list {list_crc32c}",
            remapping.name()
        ),
        Event::ExploreBundle {
            folder,
            n_actions,
            n_unshrunk,
            n_tries,
            is_reproduced,
            listing,
            ..
        } => {
            let how = if *is_reproduced {
                format!("shrunk from {n_unshrunk} to {n_actions} actions in {n_tries} tries")
            } else {
                format!("{n_actions} actions; it did not show again when they were run again")
            };
            let mut text = format!("          {how}:");
            for line in listing {
                text.push_str("\n            ");
                text.push_str(line);
            }
            text.push_str(&format!("\n          run it again: dmarig replay {folder}"));
            text
        }
        Event::ExploreEnded { remapping, result } => ended(remapping.name(), result),
        Event::ReplayEnded { how } => match how {
            ReplayEnding::Same => "it fails the same way".into(),
            ReplayEnding::Other => "it fails, but in another way".into(),
            ReplayEnding::Passed => "it does not fail any more".into(),
            ReplayEnding::BrokenOff => "it could not be run to its end".into(),
        },
        _ => String::new(),
    }
}

fn ended(mode: &str, result: &ExploreResult) -> String {
    let mut text = format!(
        "remapping {mode}: {} actions judged in {:.1} s, {:.0} a second, {} programs",
        result.n_judged,
        result.exploring_ms / 1000.0,
        result.judged_per_second,
        result.n_programs
    );
    for (title, counts) in [
        ("actions", &result.actions),
        ("outcomes", &result.outcomes),
        ("rules", &result.rules),
        ("left out", &result.left_out),
    ] {
        if !counts.is_empty() {
            text.push_str(&format!("\n  {title}: {}", list(counts)));
        }
    }
    text
}

fn list(counts: &BTreeMap<String, u64>) -> String {
    let parts: Vec<String> = counts
        .iter()
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    parts.join(", ")
}
