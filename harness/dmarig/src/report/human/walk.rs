//! What a person reads of a fault walk: a table by kind and routine, as it grows, and the sums.

use crate::event::{Event, WalkResult, WalkSums, WalkVerdict};

/// Text of one of its events; `last` is the kind of the row before.
pub(super) fn text(event: &Event, last: &mut Option<String>) -> String {
    match event {
        Event::WalkStarted { n_points, n_known } => {
            *last = None;
            let known = match n_known {
                0 => String::new(),
                n => format!(", {n} of them known from before"),
            };
            format!("\nthe golden run has {n_points} fault points{known}; each fails once")
        }
        Event::WalkPoint(result) => {
            let head = if last.as_deref() == Some(result.kind.as_str()) {
                String::new()
            } else {
                *last = Some(result.kind.clone());
                format!("\n{}\n", title(&result.kind))
            };
            head + &row(result)
        }
        Event::WalkEnded(sums) => ended(sums),
        _ => String::new(),
    }
}

fn title(kind: &str) -> &str {
    match kind {
        "import" => "imports",
        "dma-operation" => "DMA operations",
        "framework" => "framework functions",
        "device" => "device",
        other => other,
    }
}

fn row(result: &WalkResult) -> String {
    let at = result.symbol.as_ref().unwrap_or(&result.place);
    let place = if result.symbol.is_some() {
        format!(" ({})", result.place)
    } else {
        String::new()
    };
    let met = result.case.as_ref().unwrap_or(&result.phase);
    let mut text = format!(
        "{:>12}  {:<38} {at}{place}, {met}",
        result.verdict.name(),
        result.name
    );
    text.push_str("\n              ");
    text.push_str(&result.detail.replace('\n', "\n              "));
    if let Some(file) = &result.rule_file {
        text.push_str(&format!("\n              again: --faults {file}"));
    }
    text
}

fn ended(sums: &WalkSums) -> String {
    let counts: Vec<String> = WalkVerdict::ALL
        .iter()
        .filter_map(|verdict| {
            let count = sums.verdicts.get(verdict.name())?;
            Some(format!("{count} {}", verdict.name()))
        })
        .collect();
    let mut text = format!("\n{} fault points: {}", sums.n_points, counts.join(", "));
    if sums.not_tried > 0 {
        text.push_str(&format!(
            "\n{} not tried; --resume goes on with them",
            sums.not_tried
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Mode;

    fn result(kind: &str, verdict: WalkVerdict) -> Event {
        Event::WalkPoint(WalkResult {
            number: 1,
            kind: kind.into(),
            name: "IoAllocateMdl".into(),
            place: "dmarig.sys+0x68b1".into(),
            symbol: Some("op_mdl_allocate+0x41".into()),
            phase: "running".into(),
            case: Some("CM-1/nonpaged-pool".into()),
            profile: "default".into(),
            remapping: Mode::On,
            verdict,
            detail: "reported: NULL".into(),
            duration_ms: 1,
            rule_file: (verdict != WalkVerdict::Survived).then(|| "walk/001.toml".into()),
        })
    }

    #[test]
    fn rows_stand_under_their_kind_and_name_call_site_and_rule_file() {
        let mut last = None;
        let first = text(&result("import", WalkVerdict::Survived), &mut last);
        assert!(
            first.starts_with("\nimports\n    survived  IoAllocateMdl"),
            "{first}"
        );
        let second = text(&result("import", WalkVerdict::Leaked), &mut last);
        assert!(
            second.starts_with("      leaked  IoAllocateMdl"),
            "{second}"
        );
        assert!(second.contains("op_mdl_allocate+0x41 (dmarig.sys+0x68b1), CM-1/nonpaged-pool"));
        assert!(second.ends_with("again: --faults walk/001.toml"));
    }

    #[test]
    fn sums_leave_out_what_did_not_come() {
        let sums = WalkSums {
            n_points: 3,
            verdicts: [("survived".to_owned(), 1), ("hung".to_owned(), 1)].into(),
            not_tried: 1,
        };
        let seen = text(&Event::WalkEnded(sums), &mut None);
        assert!(
            seen.contains("3 fault points: 1 survived, 1 hung\n1 not tried"),
            "{seen}"
        );
    }
}
