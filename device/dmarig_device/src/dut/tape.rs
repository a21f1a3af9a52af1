//! [`Tape`]: what the platform tells a device is written down, or comes from what was written down.
//!
//! It lies where the device meets its platform: below faults and everything else that the device does
//! with an answer.

use std::fmt;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use dmarig_abi::Iova;
use endpoint::{MessageError, Ticket};
use recording::log::{
    Event, Irqs, LogError, LogReader, LogWriter, MappingFile, ReplyFailure, SubmitFailure,
};
use rustix::fs::fstat;
use vfio_user::{IrqAction, IrqData, IrqSet, RegionIndex};

use crate::replay::Input;

/// Most files that are told apart; more are not mapped at a time either.
const MAX_FILES: usize = 4096;

/// How long an event may wait to be written: what a kill costs at most.
const MAX_DELAY: Duration = Duration::from_millis(20);

/// Where the platform's answers go to or come from.
#[derive(Debug, Default)]
pub(super) enum Tape {
    /// Nobody writes them down.
    #[default]
    Off,
    /// They are written down.
    Recording(Box<Recorder>),
    /// They were written down, and there is no platform.
    Replaying(Box<Player>),
}

impl Tape {
    /// Whether the platform alone matters: the only test where nothing is recorded.
    #[inline]
    pub(super) const fn is_off(&self) -> bool {
        matches!(self, Self::Off)
    }

    pub(super) const fn is_replaying(&self) -> bool {
        matches!(self, Self::Replaying(_))
    }

    /// Writes an event down.
    #[inline]
    pub(super) fn note(&mut self, event: impl FnOnce() -> Event<'static>) {
        if let Self::Recording(recorder) = self {
            recorder.log.note(&event());
        }
    }

    /// Writes down what was read of memory that others write, or brings what was read then.
    pub(super) fn exchange(&mut self, iova: Iova, buffer: &mut [u8]) {
        match self {
            Self::Recording(recorder) => recorder.log.note_bytes(buffer),
            Self::Replaying(player) => player.bytes(iova, buffer),
            Self::Off => {}
        }
    }

    /// Writes an access down.
    #[inline]
    pub(super) fn note_region_write(&mut self, region: RegionIndex, offset: u64, data: &[u8]) {
        if let Self::Recording(recorder) = self {
            recorder.log.note(&Event::RegionWrite {
                region: region.get(),
                offset,
                data,
            });
        }
    }

    /// Writes a setting of interrupts down.
    pub(super) fn note_irqs(&mut self, note: Option<IrqNote>) {
        if let (Self::Recording(recorder), Some(note)) = (self, note) {
            recorder.log.note(&Event::SetIrqs(Irqs {
                flags: note.flags.as_deref(),
                ..note.irqs
            }));
        }
    }

    /// Writes the answer to a message down.
    pub(super) fn note_reply(&mut self, ticket: Ticket, answer: Result<&[u8], MessageError>) {
        if let Self::Recording(recorder) = self {
            let outcome = answer.map_err(|error| match error {
                MessageError::Timeout => ReplyFailure::TimedOut,
                MessageError::Disconnected => ReplyFailure::Disconnected,
                // The others are made by faults, above this: a platform only refuses.
                _ => ReplyFailure::Refused,
            });
            let ticket = ticket.0;
            recorder.log.note(&Event::DmaReply { ticket, outcome });
        }
    }

    pub(super) fn recorder(&mut self) -> Option<&mut Recorder> {
        match self {
            Self::Recording(recorder) => Some(recorder),
            Self::Off | Self::Replaying(_) => None,
        }
    }

    pub(super) fn player(&mut self) -> Option<&mut Player> {
        match self {
            Self::Replaying(player) => Some(player),
            Self::Off | Self::Recording(_) => None,
        }
    }
}

/// A setting of interrupts without its descriptors.
pub(super) struct IrqNote {
    irqs: Irqs<'static>,
    flags: Option<Vec<u8>>,
}

impl IrqNote {
    /// Keeps what is to be written down, if anything is.
    pub(super) fn new(tape: &Tape, set: &IrqSet) -> Option<Self> {
        if !matches!(tape, Tape::Recording(_)) {
            return None;
        }
        let (flags, eventfds) = match &set.data {
            IrqData::None => (None, None),
            IrqData::Flags(flags) => (Some(flags.iter().copied().map(u8::from).collect()), None),
            IrqData::EventFds(fds) => (None, Some(u32::try_from(fds.len()).unwrap_or(u32::MAX))),
        };
        Some(Self {
            irqs: Irqs {
                index: set.index.get(),
                start: set.start,
                count: set.count,
                action: match set.action {
                    IrqAction::Mask => 0,
                    IrqAction::Unmask => 1,
                    IrqAction::Trigger => 2,
                },
                flags: None,
                eventfds,
            },
            flags,
        })
    }
}

/// Writes a log.
#[derive(Debug)]
pub(super) struct Recorder {
    pub(super) log: LogWriter,
    /// Device and inode of each file seen, by number.
    files: Vec<(u64, u64)>,
    /// When what is kept back is written at the latest.
    checkpoint_at: Option<Instant>,
}

impl Recorder {
    pub(super) const fn new(log: LogWriter) -> Self {
        Self {
            log,
            files: Vec::new(),
            checkpoint_at: None,
        }
    }

    /// Whether what is kept back is to be written now.
    pub(super) fn is_checkpoint_due(&mut self, now: Instant) -> bool {
        if !self.log.is_dirty() {
            return false;
        }
        let at = *self.checkpoint_at.get_or_insert(now + MAX_DELAY);
        let is_due = at <= now;
        if is_due {
            self.checkpoint_at = None;
        }
        is_due
    }

    pub(super) const fn checkpoint_at(&self) -> Option<Instant> {
        self.checkpoint_at
    }

    /// The number and size of a file; `None` if the system does not tell, or there are too many.
    pub(super) fn identify(&mut self, fd: &OwnedFd) -> Option<MappingFile> {
        let status = fstat(fd).ok()?;
        let identity = (status.st_dev, status.st_ino);
        let known = self.files.iter().position(|file| *file == identity);
        let number = match known {
            Some(number) => number,
            None if self.files.len() < MAX_FILES => {
                self.files.push(identity);
                self.files.len() - 1
            }
            None => return None,
        };
        Some(MappingFile {
            number: u32::try_from(number).ok()?,
            size: u64::try_from(status.st_size).ok()?,
        })
    }
}

/// The device asked for something else than what was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// The event, from 1, that should have been the answer.
    pub event: u64,
    /// What was recorded there.
    pub recorded: String,
    /// What the device asked for now.
    pub asked: String,
}

/// Reads a log.
pub(super) struct Player {
    pub(super) log: LogReader<Box<dyn Read + Send>>,
    divergence: Option<Divergence>,
    error: Option<LogError>,
}

impl Player {
    pub(super) const fn new(log: LogReader<Box<dyn Read + Send>>) -> Self {
        Self {
            log,
            divergence: None,
            error: None,
        }
    }

    /// What a read of mapped memory at `iova` brings. Zeros, once device and log have parted.
    pub(super) fn bytes(&mut self, iova: Iova, buffer: &mut [u8]) {
        buffer.fill(0);
        if self.has_parted() {
            return;
        }
        let recorded = match self.log.next_event() {
            Ok(Some(Event::Bytes(data))) if data.len() == buffer.len() => {
                buffer.copy_from_slice(data);
                return;
            }
            Ok(Some(Event::Fill { byte, length }))
                if usize::try_from(length) == Ok(buffer.len()) =>
            {
                buffer.fill(byte);
                return;
            }
            Ok(event) => describe(event.as_ref()),
            Err(error) => {
                self.error = Some(error);
                return;
            }
        };
        self.divergence = Some(Divergence {
            event: self.log.position().event,
            recorded,
            asked: format!("a read of {:#x} bytes at IOVA {iova}", buffer.len()),
        });
    }

    /// Whether the message that the device wants to send could not be sent then.
    pub(super) fn submit_failure(&mut self) -> Option<SubmitFailure> {
        if self.has_parted() {
            return Some(SubmitFailure::Unavailable);
        }
        match self.log.peek() {
            Ok(Some(Event::SubmitFailed(failure))) => {
                // Peeked at, so it is there.
                self.log.next_event().ok();
                Some(failure)
            }
            Ok(_) => None,
            Err(error) => {
                self.error = Some(error);
                Some(SubmitFailure::Unavailable)
            }
        }
    }

    /// Whether the log answers no longer.
    pub(super) const fn has_parted(&self) -> bool {
        self.divergence.is_some() || self.error.is_some()
    }

    /// The next input; `None` at the end, and where an answer lies that was not asked for.
    pub(super) fn next_input(&mut self) -> Result<Option<Input>, LogError> {
        let event = self.log.next_event()?;
        let input = event.as_ref().and_then(Input::of);
        if let (None, Some(event)) = (&input, &event) {
            let recorded = describe(Some(event));
            self.divergence = Some(Divergence {
                event: self.log.position().event,
                recorded,
                asked: "nothing more in this step".into(),
            });
        }
        Ok(input)
    }

    /// Events that were used.
    pub(super) const fn events(&self) -> u64 {
        self.log.position().event
    }

    pub(super) fn take_error(&mut self) -> Option<LogError> {
        self.error.take()
    }

    pub(super) const fn divergence(&self) -> Option<&Divergence> {
        self.divergence.as_ref()
    }
}

/// An event in a few words.
fn describe(event: Option<&Event<'_>>) -> String {
    match event {
        None => "the end of the log".into(),
        Some(Event::Bytes(data)) => format!("a read of {:#x} bytes", data.len()),
        Some(Event::Fill { length, .. }) => format!("a read of {length:#x} bytes"),
        Some(Event::RegionWrite {
            region,
            offset,
            data,
        }) => format!(
            "a write of {} bytes to region {region} at {offset:#x}",
            data.len()
        ),
        Some(Event::DmaReply { ticket, outcome }) => match outcome {
            Ok(data) => format!("the answer to message {ticket}, {:#x} bytes", data.len()),
            Err(error) => format!("the answer to message {ticket}, {error:?}"),
        },
        Some(event) => format!("{event:?}"),
    }
}

impl fmt::Debug for Player {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Player")
            .field("position", &self.log.position())
            .field("divergence", &self.divergence)
            .finish_non_exhaustive()
    }
}
