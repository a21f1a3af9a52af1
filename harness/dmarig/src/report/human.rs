//! [`HumanReport`]: one line a case on standard output, progress on a terminal's standard error.

mod explore;
mod walk;

use std::env;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::junit::describe;
use super::{ReportError, Reporter};
use crate::event::{BootEnding, CaseResult, Event, Record, Summary, Verdict};

/// Text for people.
pub struct HumanReport<W> {
    output: W,
    paint: Paint,
    progress: ProgressBar,
    out: PathBuf,
    /// The kind of fault point of the row before.
    walk_kind: Option<String>,
}

impl HumanReport<io::Stdout> {
    /// Writes to standard output. Color only on a terminal that wants it. `out` is the folder named
    /// at the end.
    #[must_use]
    pub fn stdout(out: PathBuf) -> Self {
        let stdout = io::stdout();
        let wants_color = env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            && env::var_os("TERM").is_none_or(|term| term != "dumb");
        let paint = Paint(stdout.is_terminal() && wants_color);
        let target = if io::stderr().is_terminal() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        Self {
            output: stdout,
            paint,
            progress: ProgressBar::with_draw_target(None, target),
            out,
            walk_kind: None,
        }
    }
}

#[cfg(test)]
impl<W: Write> HumanReport<W> {
    fn plain(output: W) -> Self {
        Self {
            output,
            paint: Paint(false),
            progress: ProgressBar::hidden(),
            out: "dmarig-out".into(),
            walk_kind: None,
        }
    }
}

impl<W: Write> Reporter for HumanReport<W> {
    fn record(&mut self, record: &Record) -> Result<(), ReportError> {
        let text = self.text(&record.event);
        self.show_progress(&record.event);
        if text.is_empty() {
            return Ok(());
        }
        let output = &mut self.output;
        self.progress
            .suspend(|| writeln!(output, "{text}").and_then(|()| output.flush()))
            .map_err(|source| ReportError {
                path: "standard output".into(),
                source,
            })
    }
}

impl<W: Write> HumanReport<W> {
    /// What a person reads of this event; may be nothing.
    fn text(&mut self, event: &Event) -> String {
        match event {
            Event::RunStarted { .. } => started(event),
            Event::Note { text } => format!("note: {text}"),
            // A walk's points are told as the rows of its table.
            Event::CaseEnded(result) if result.rule == "WALK" => String::new(),
            Event::CaseEnded(result) => self.case(result),
            Event::WalkStarted { .. } | Event::WalkPoint(_) | Event::WalkEnded(_) => {
                walk::text(event, &mut self.walk_kind)
            }
            Event::Sabotage {
                name,
                device,
                struck: 0,
                ..
            } => {
                let device = device.as_ref();
                let place = device.map_or(String::new(), |device| format!(" on {device}"));
                format!("note: the sabotage {name} never struck{place}")
            }
            // Any other ending is the verdict of a case, and told there.
            Event::BootEnded {
                how: BootEnding::Interrupted,
                detail,
                ..
            } => detail.clone(),
            Event::ExploreStarted { .. }
            | Event::ExploreBundle { .. }
            | Event::ExploreEnded { .. }
            | Event::ReplayEnded { .. } => explore::text(event),
            Event::RegisterCoverage(coverage) => format!("\n{}", coverage.summary()),
            Event::RunEnded(summary) => self.summary(summary),
            _ => String::new(),
        }
    }

    fn case(&self, result: &CaseResult) -> String {
        let (word, color) = match &result.verdict {
            Verdict::Passed => ("pass", Color::Green),
            Verdict::Failed { .. } => ("FAIL", Color::Red),
            Verdict::Broken { .. } => ("BROKEN", Color::Red),
            Verdict::Skipped { .. } => ("skip", Color::Yellow),
            Verdict::NotRun { .. } => ("not run", Color::Yellow),
        };
        let mut text = format!(
            "{} {:>3}  {:<36} {:>7.1} ms",
            self.paint.paint(color, &format!("{word:>7}")),
            result.remapping.name(),
            result.id,
            result.duration_ms
        );
        match &result.verdict {
            // Why a case was not run stands once, where its boot ended.
            Verdict::Passed | Verdict::NotRun { .. } => {}
            Verdict::Failed { findings } => {
                text.push_str(&format!("\n          {}: {}", result.rule, result.title));
                for finding in findings {
                    text.push_str("\n          ");
                    text.push_str(&describe(finding));
                }
            }
            Verdict::Broken { reason } | Verdict::Skipped { reason } => {
                text.push_str("\n          ");
                text.push_str(&reason.replace('\n', "\n          "));
            }
        }
        if result.rule == "FAULT" {
            // Where a rule struck is what its verdict is about.
            for line in &result.observations {
                text.push_str("\n          ");
                text.push_str(line);
            }
        }
        if let Some(history) = &result.buffer_history
            && result.verdict.is_red()
        {
            for line in history.lines() {
                text.push_str("\n          ");
                text.push_str(&line);
            }
        }
        text
    }

    fn summary(&self, summary: &Summary) -> String {
        let color = if summary.exit_code == 0 {
            Color::Green
        } else {
            Color::Red
        };
        let counts = format!(
            "{} passed, {} failed, {} skipped, {} not run",
            summary.passed, summary.failed, summary.skipped, summary.not_run
        );
        let mut text = format!("\n{}", self.paint.paint(color, &counts));
        for problem in &summary.problems {
            text.push_str("\nproblem: ");
            text.push_str(problem);
        }
        if let (Some(first), Some(total)) = (summary.first_verdict_ms, summary.total_ms) {
            text.push_str(&format!(
                "\nfrom start of QEMU: first verdict after {}, end after {}; {} boot{}",
                in_seconds(first),
                in_seconds(total),
                summary.boots,
                if summary.boots == 1 { "" } else { "s" }
            ));
        }
        if let (Some(qemu), Some(device)) =
            (summary.peak_memory.qemu_kib, summary.peak_memory.device_kib)
        {
            text.push_str(&format!(
                "\npeak memory: QEMU {}, device process {}",
                in_mebibytes(qemu),
                in_mebibytes(device)
            ));
        }
        text.push_str(&format!("\nreport and logs: {}", self.out.display()));
        text
    }

    fn show_progress(&self, event: &Event) {
        match event {
            Event::RunStarted { n_cases, .. } => {
                self.progress.set_length(*n_cases as u64);
                if let Ok(style) = ProgressStyle::with_template("[{pos}/{len}] {elapsed} {msg}") {
                    self.progress.set_style(style);
                }
            }
            Event::BootStarted {
                boot, remapping, ..
            } => self.progress.set_message(format!(
                "boot {boot}, remapping {}: waiting for the driver",
                remapping.name()
            )),
            Event::ExploreStarted { n_actions, .. } => {
                self.progress.set_length(*n_actions as u64);
                self.progress.set_position(0);
            }
            Event::ExploreProgress {
                remapping,
                n_judged,
            } => {
                self.progress.set_position(*n_judged);
                self.progress
                    .set_message(format!("actions, remapping {}", remapping.name()));
            }
            Event::ExploreShrinking {
                n_actions, n_tries, ..
            } => self.progress.set_message(format!(
                "shrinking a failure: {n_actions} actions left after {n_tries} tries"
            )),
            Event::WalkStarted { n_points, .. } => {
                self.progress.set_length(*n_points as u64);
                self.progress.set_position(0);
            }
            Event::WalkPoint(result) => self
                .progress
                .set_message(format!("{} at {}", result.name, result.place)),
            Event::CaseStarted { id, .. } => self.progress.set_message(id.clone()),
            Event::CaseEnded(_) => self.progress.inc(1),
            Event::RunEnded(_) => self.progress.finish_and_clear(),
            _ => {}
        }
    }
}

fn started(event: &Event) -> String {
    let Event::RunStarted {
        suite,
        guest,
        driver,
        qemu_version,
        accel,
        cpu,
        sabotage,
        n_cases,
        ..
    } = event
    else {
        return String::new();
    };
    let pinned = cpu.map_or(String::new(), |cpu| format!(", pinned to CPU {cpu}"));
    let sabotage = sabotage
        .as_ref()
        .map_or(String::new(), |name| format!(", sabotage {name}"));
    format!(
        "{suite}: {n_cases} cases, guest {guest}, driver {driver}, QEMU {qemu_version} ({accel}{pinned}){sabotage}"
    )
}

fn in_seconds(milliseconds: u64) -> String {
    format!("{}.{:03} s", milliseconds / 1000, milliseconds % 1000)
}

fn in_mebibytes(kib: u64) -> String {
    format!("{} MiB", kib.div_ceil(1024))
}

#[derive(Clone, Copy)]
enum Color {
    Red,
    Green,
    Yellow,
}

/// Colors text, or does not.
struct Paint(bool);

impl Paint {
    fn paint(&self, color: Color, text: &str) -> String {
        if !self.0 {
            return text.into();
        }
        let code = match color {
            Color::Red => 31,
            Color::Green => 32,
            Color::Yellow => 33,
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

#[cfg(test)]
mod tests;
