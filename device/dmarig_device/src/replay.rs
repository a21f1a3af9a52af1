//! Runs a device again from its event log: no socket, no guest, no clock.
//!
//! [`replay`] gives a fresh [`Dut`] the same inputs in the same order; reads of guest memory and
//! answers of the platform come from the log. What the device does is compared with the recorded
//! trace line by line, and with the hashes that the log holds.

mod apply;
mod files;
mod folder;
mod input;
pub(crate) mod replay_report;
mod scan;

use std::io::{BufRead, Read, Seek};

use control_api::response::FaultRule;
use recording::log::{LogEnd, LogError, LogReader};
use recording::trace::{Comparison, Difference, Trace, TraceSummary};
use thiserror::Error;

use crate::dut::{Divergence, Dut};
use apply::apply;
use files::Files;
pub(crate) use folder::replay_folder_of;
pub use folder::{ReplayFolderError, replay_folder, replay_folder_with};
pub(crate) use input::Input;
use scan::scan;

/// Why a log cannot be replayed.
#[derive(Debug, Error)]
pub enum ReplayError {
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The log cannot be read twice.
    #[error("the event log cannot be read again from its beginning")]
    Rewind(#[source] std::io::Error),
    /// An event cannot be carried out.
    #[error("event {event} of the log cannot be carried out: {problem}")]
    Event {
        /// The event, from 1.
        event: u64,
        /// What is wrong with it.
        problem: String,
    },
}

/// What a replay has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayReport {
    /// What the device did now, up to where the replay ended.
    pub seen: TraceSummary,
    /// What the log says of its last known place; nothing if it was cut off before the first one.
    pub recorded: Option<TraceSummary>,
    /// Events carried out.
    pub events: u64,
    /// How the log ends; nothing if it is whole.
    pub end: Option<LogEnd>,
    /// The first record that is not the recorded one.
    pub difference: Option<Difference>,
    /// The first answer of the platform that the device did not ask for, or asked for in another way.
    pub divergence: Option<Divergence>,
    /// What the rules did up to there.
    pub rules: Vec<FaultRule>,
}

impl ReplayReport {
    /// Whether everything that could be compared is the same.
    #[must_use]
    pub fn is_identical(&self) -> bool {
        self.difference.is_none()
            && self.divergence.is_none()
            && self.recorded.is_none_or(|recorded| recorded == self.seen)
    }
}

/// Gives `dut`, fresh from power-on, the inputs of `log`, up to the last place whose hash is known.
///
/// # Errors
/// [`ReplayError`] if the log is damaged or holds what no device was ever told. A device that does
/// something else than recorded is no error but the report's matter.
pub fn replay<L, T>(
    mut dut: Dut,
    mut log: L,
    recorded_trace: T,
) -> Result<ReplayReport, ReplayError>
where
    L: Read + Seek + Send + 'static,
    T: BufRead + Send + 'static,
{
    let known = scan(&mut log)?;
    log.rewind().map_err(ReplayError::Rewind)?;
    let comparison = Comparison::new(recorded_trace);
    dut.set_trace(Trace::new(Some(Box::new(comparison.clone()))));
    let log: Box<dyn Read + Send> = Box::new(log);
    dut.play(LogReader::new(log)?);

    let mut files = Files::default();
    let mut is_off = false;
    while dut.events_played() < known.events && !is_off {
        let Some(input) = dut.next_input()? else {
            break;
        };
        if let Input::Position(position) = &input {
            is_off = Some(*position) != dut.trace_summary();
        } else {
            apply(&mut dut, &mut files, input).map_err(|problem| ReplayError::Event {
                event: dut.events_played(),
                problem,
            })?;
        }
        is_off |= comparison.difference().is_some() || dut.has_parted();
    }
    if let Some(error) = dut.take_log_error() {
        return Err(error.into());
    }
    let seen = dut.trace_summary().expect("the trace was set above");
    let difference = comparison.difference().or_else(|| {
        let is_short = known.last.is_some_and(|last| last.records > seen.records);
        (is_short && dut.divergence().is_none()).then(|| Difference {
            record: seen.records + 1,
            expected: comparison.next_recorded(),
            seen: None,
        })
    });
    Ok(ReplayReport {
        seen,
        recorded: known.last,
        events: dut.events_played(),
        end: known.end,
        difference,
        divergence: dut.divergence(),
        rules: dut.fault_rules(),
    })
}
