//! Looks through a log before it is replayed: is it whole, and how far is its trace known?

use std::io::Read;

use recording::log::{Event, LogEnd, LogReader};
use recording::trace::TraceSummary;

use super::ReplayError;

/// What a log says of itself.
pub(super) struct Known {
    /// Events up to the last place whose hash is known, or all of them if there is none.
    pub events: u64,
    /// The last known hash.
    pub last: Option<TraceSummary>,
    /// How the log ends; nothing if it is whole.
    pub end: Option<LogEnd>,
}

/// Reads all of a log. What lies behind the last known place is left out: the device may have been
/// stopped in the middle of a step there.
pub(super) fn scan(log: impl Read) -> Result<Known, ReplayError> {
    let mut reader = LogReader::new(log)?;
    let mut known = Known {
        events: 0,
        last: None,
        end: Some(LogEnd::Truncated),
    };
    let mut n_events = 0;
    while let Some(event) = reader.next_event()? {
        n_events += 1;
        match event {
            Event::Checkpoint { records, hash } => {
                known.last = Some(TraceSummary { records, hash });
                known.events = n_events;
            }
            Event::End { records, hash } => {
                known.last = Some(TraceSummary { records, hash });
                known.events = n_events;
                known.end = None;
                break;
            }
            Event::Cut => {
                known.end = Some(LogEnd::Cut);
                break;
            }
            _ => {}
        }
    }
    Ok(known)
}
