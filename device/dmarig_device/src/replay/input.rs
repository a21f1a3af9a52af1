//! [`Input`]: an event of the log that is handed to the device from above, with data of its own.

use recording::log::{Event, Mapping, ReplyFailure, ResetInput, Unmapping};
use recording::trace::TraceSummary;

/// One input.
#[derive(Debug)]
pub(crate) enum Input {
    Read {
        region: u32,
        offset: u64,
        length: u32,
    },
    Write {
        region: u32,
        offset: u64,
        data: Vec<u8>,
    },
    Map(Mapping),
    Unmap(Unmapping),
    SetIrqs(Irqs),
    Reset(ResetInput),
    Disconnected,
    Reply {
        ticket: u64,
        outcome: Result<Vec<u8>, ReplyFailure>,
    },
    Control(String),
    Work {
        slices: u64,
    },
    Tick {
        us: u64,
    },
    /// Where the trace stood.
    Position(TraceSummary),
}

/// A setting of interrupts.
#[derive(Debug)]
pub(crate) struct Irqs {
    pub index: u32,
    pub start: u32,
    pub count: u32,
    pub action: u8,
    pub flags: Option<Vec<u8>>,
    pub eventfds: Option<u32>,
}

impl Input {
    /// `None` for an answer of the platform, and for the end of a log that was cut.
    pub(crate) fn of(event: &Event<'_>) -> Option<Self> {
        Some(match *event {
            Event::RegionRead {
                region,
                offset,
                length,
            } => Self::Read {
                region,
                offset,
                length,
            },
            Event::RegionWrite {
                region,
                offset,
                data,
            } => Self::Write {
                region,
                offset,
                data: data.to_vec(),
            },
            Event::Map(mapping) => Self::Map(mapping),
            Event::Unmap(unmapping) => Self::Unmap(unmapping),
            Event::SetIrqs(irqs) => Self::SetIrqs(Irqs {
                index: irqs.index,
                start: irqs.start,
                count: irqs.count,
                action: irqs.action,
                flags: irqs.flags.map(<[u8]>::to_vec),
                eventfds: irqs.eventfds,
            }),
            Event::Reset(reset) => Self::Reset(reset),
            Event::Disconnected => Self::Disconnected,
            Event::DmaReply { ticket, outcome } => Self::Reply {
                ticket,
                outcome: outcome.map(<[u8]>::to_vec),
            },
            Event::Control(text) => Self::Control(text.to_owned()),
            Event::Work { slices } => Self::Work { slices },
            Event::Tick { us } => Self::Tick { us },
            Event::Checkpoint { records, hash } | Event::End { records, hash } => {
                Self::Position(TraceSummary { records, hash })
            }
            Event::Bytes(_) | Event::Fill { .. } | Event::SubmitFailed(_) | Event::Cut => {
                return None;
            }
        })
    }
}
