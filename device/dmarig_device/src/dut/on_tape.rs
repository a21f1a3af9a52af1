//! What a [`Dut`] does to be recorded and replayed.

use std::cell::Ref;
use std::io::Read;
use std::time::Instant;

use endpoint::{MessageError, Ticket};
use recording::log::{Event, LogError, LogReader, LogWriter, ResetInput};
use recording::trace::{Trace, TraceSummary};
use vfio_user::RegionIndex;

use super::Dut;
use super::control_change::ControlChange;
use super::tape::{Divergence, Player, Recorder, Tape};
use crate::replay::Input;

/// The event of a read; what it brings is the device's answer.
pub(super) fn region_read(region: RegionIndex, offset: u64, len: usize) -> Event<'static> {
    Event::RegionRead {
        region: region.get(),
        offset,
        length: u32::try_from(len).unwrap_or(u32::MAX),
    }
}

impl Dut {
    /// From now on every input is written down. To be called before the first one.
    pub fn record(&mut self, log: LogWriter) {
        *self.memory.tape_mut() = Tape::Recording(Box::new(Recorder::new(log)));
    }

    /// From now on every record goes to this trace. To be called before the first input.
    pub fn set_trace(&mut self, trace: Trace) {
        self.ledger.set_trace(trace);
    }

    /// Number of records so far and their hash; nothing if there is no trace.
    #[must_use]
    pub fn trace_summary(&self) -> Option<TraceSummary> {
        self.ledger.trace().map(Trace::summary)
    }

    /// Sees to it that nothing is kept back for long. To be called after each step.
    pub fn follow_recording(&mut self, now: Instant) {
        let Some(recorder) = self.memory.tape_mut().recorder() else {
            return;
        };
        if recorder.is_checkpoint_due(now) {
            self.checkpoint();
        }
    }

    /// When [`Self::follow_recording`] is to be called at the latest.
    #[must_use]
    pub fn next_checkpoint(&self) -> Option<Instant> {
        match &*self.memory.tape() {
            Tape::Recording(recorder) => recorder.checkpoint_at(),
            Tape::Off | Tape::Replaying(_) => None,
        }
    }

    /// Writes down where the trace stands, and everything that was kept back: what is written then
    /// outlives the process.
    pub fn checkpoint(&mut self) {
        let summary = self.trace_summary();
        if let Some(recorder) = self.memory.tape_mut().recorder() {
            if let Some(TraceSummary { records, hash }) = summary {
                recorder.log.note(&Event::Checkpoint { records, hash });
            }
            recorder.log.flush();
        }
        self.ledger.flush_trace();
    }

    /// Writes the log's last word.
    pub fn end_recording(&mut self) {
        let summary = self.trace_summary();
        if let Some(recorder) = self.memory.tape_mut().recorder() {
            match summary {
                Some(TraceSummary { records, hash }) => {
                    recorder.log.end(&Event::End { records, hash });
                }
                None => recorder.log.flush(),
            }
        }
        self.ledger.flush_trace();
    }

    /// Whether the log has come to its bound, or could not be written.
    #[must_use]
    pub fn is_log_cut(&self) -> bool {
        match &*self.memory.tape() {
            Tape::Recording(recorder) => !recorder.log.is_open(),
            Tape::Off | Tape::Replaying(_) => false,
        }
    }

    /// From now on the platform's answers come from this log.
    pub(crate) fn play(&mut self, log: LogReader<Box<dyn Read + Send>>) {
        *self.memory.tape_mut() = Tape::Replaying(Box::new(Player::new(log)));
    }

    /// The next input of the log; `None` at its end, and where an answer lies that was not asked for.
    pub(crate) fn next_input(&mut self) -> Result<Option<Input>, LogError> {
        let Some(player) = self.memory.tape_mut().player() else {
            return Ok(None);
        };
        player.next_input()
    }

    /// Events of the log that were used.
    pub(crate) fn events_played(&self) -> u64 {
        self.player().map_or(0, |player| player.events())
    }

    /// Where device and log have parted.
    pub(crate) fn divergence(&self) -> Option<Divergence> {
        self.player()?.divergence().cloned()
    }

    /// Whether the log answers no longer.
    pub(crate) fn has_parted(&self) -> bool {
        self.player().is_some_and(|player| player.has_parted())
    }

    /// Why the log could not be read on while the device worked.
    pub(crate) fn take_log_error(&mut self) -> Option<LogError> {
        self.memory.tape_mut().player()?.take_error()
    }

    /// Works for one slice; what is sent goes nowhere.
    pub(crate) fn work_without_platform(&mut self) {
        // Nothing is sent, so no deadline comes of it.
        self.work(None, Instant::now());
    }

    /// Takes the answer to the message of that ticket.
    pub(crate) fn message_answered(&mut self, ticket: Ticket, answer: Result<&[u8], MessageError>) {
        self.memory.tape_mut().note_reply(ticket, answer);
        if !self.faults.awaits_replies() {
            return self.endpoint.message_done(ticket, answer);
        }
        if let Some(answer) = self.faults.reply(ticket, answer) {
            let outcome = answer.outcome.as_deref().map_err(|error| *error);
            self.endpoint.message_done(answer.ticket, outcome);
        }
    }

    /// Resets the function as the control socket asks.
    pub fn reset_by_control(&mut self) {
        self.memory
            .tape_mut()
            .note(|| Event::Reset(ResetInput::Control));
        self.reset_function(pci_function::ResetKind::Conventional);
    }

    /// Does what a recorded call of the control socket asked.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub(crate) fn change_by_text(&mut self, text: &str) -> Result<(), String> {
        let change: ControlChange = serde_json::from_str(text)
            .map_err(|error| format!("a control call that is none: {error}"))?;
        change.apply(self);
        Ok(())
    }

    /// Writes a call of the control socket down.
    pub(super) fn note_change(&mut self, change: impl FnOnce() -> ControlChange) {
        if let Some(recorder) = self.memory.tape_mut().recorder() {
            let text = serde_json::to_string(&change()).expect("a call is numbers and text");
            recorder.log.note(&Event::Control(&text));
        }
    }

    fn player(&self) -> Option<Ref<'_, Player>> {
        let player = Ref::filter_map(self.memory.tape(), |tape| match tape {
            Tape::Replaying(player) => Some(&**player),
            Tape::Off | Tape::Recording(_) => None,
        });
        player.ok()
    }
}
