//! The message path of [`FaultyBus`], and the answers that it makes itself.

use std::time::Duration;

use dmarig_abi::Iova;
use endpoint::{Direction, MessageError, SubmitError, Ticket};
use fault_injection::{AccessPath, Effect};

use crate::bus::{FaultyBus, usize_of};
use crate::channel::Planned;
use crate::held::{Again, Due, Held, HeldAccess};
use crate::notice::{BusError, Notice};
use crate::state::Reply;
use crate::verdict::{Verdict, flip};

/// What a message carries.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Message<'a> {
    Read { len: usize },
    Write { data: &'a [u8] },
}

impl Message<'_> {
    const fn direction(&self) -> Direction {
        match self {
            Self::Read { .. } => Direction::Read,
            Self::Write { .. } => Direction::Write,
        }
    }

    const fn len_bytes(&self) -> u64 {
        match self {
            Self::Read { len } => *len as u64,
            Self::Write { data } => data.len() as u64,
        }
    }

    fn held(&self, iova: Iova) -> HeldAccess {
        match self {
            Self::Read { len } => HeldAccess::Read { iova, len: *len },
            Self::Write { data } => HeldAccess::Write {
                iova,
                data: data.to_vec(),
            },
        }
    }
}

impl FaultyBus<'_> {
    pub(crate) fn submit(
        &mut self,
        iova: Iova,
        message: &Message<'_>,
    ) -> Result<Ticket, SubmitError> {
        if !self.is_active {
            return self.pass(iova, message);
        }
        let (direction, len_bytes) = (message.direction(), message.len_bytes());
        let planned = self.faults.context().planned.get_mut(direction).take();
        let planned = planned.filter(|planned| planned.iova == iova);
        let verdict = match planned {
            Some(planned) => planned.verdict,
            None if self.concerns(direction, iova, len_bytes) => {
                self.judge(direction, iova, len_bytes, AccessPath::Message)
            }
            None => Verdict::default(),
        };
        let outcome = self.submit_as(verdict, iova, message, planned.is_none());
        match outcome {
            Ok(_) => self.note_end(direction, iova, len_bytes, verdict),
            // The endpoint asks again; the rules have been asked.
            Err(SubmitError::Busy) => {
                *self.faults.context().planned.get_mut(direction) = Some(Planned { iova, verdict });
            }
            Err(SubmitError::Unavailable) => {}
        }
        outcome
    }

    /// What a write does now, and what it does later, for an effect that has both.
    pub(crate) fn split_write<'d>(
        &mut self,
        effect: Effect,
        iova: Iova,
        data: &'d [u8],
    ) -> (&'d [u8], Held) {
        let (owner, now) = (self.owner(), self.now);
        let at = |microseconds: u32| Due::at(now.after(Duration::from_micros(microseconds.into())));
        match effect {
            Effect::Torn {
                bytes,
                microseconds,
            } => {
                let (first, rest) = data.split_at(usize::from(bytes).min(data.len()));
                let behind = Iova::new(iova.raw().wrapping_add(first.len() as u64));
                (first, Held::write(owner, at(microseconds), behind, rest))
            }
            Effect::Mutate {
                times,
                microseconds,
                bit,
            } => {
                let mut changed = data.to_vec();
                flip(&mut changed, bit);
                let again = Again {
                    times_left: times,
                    microseconds,
                    bit,
                };
                let held = Held {
                    again: Some(again),
                    ..Held::write(owner, at(microseconds), iova, &changed)
                };
                (data, held)
            }
            _ => {
                let due = Due::after_write(now);
                (data, Held::write(owner, due, iova, data))
            }
        }
    }

    fn pass(&mut self, iova: Iova, message: &Message<'_>) -> Result<Ticket, SubmitError> {
        match message {
            Message::Read { len } => self.inner.submit_read(iova, *len),
            Message::Write { data } => {
                let ticket = self.inner.submit_write(iova, data)?;
                if self.is_active {
                    self.faults.release_after_write(self.inner, self.now);
                }
                Ok(ticket)
            }
        }
    }

    /// `by_message`: the endpoint wants a message, although the memory may be mapped.
    fn submit_as(
        &mut self,
        verdict: Verdict,
        iova: Iova,
        message: &Message<'_>,
        by_message: bool,
    ) -> Result<Ticket, SubmitError> {
        match verdict.translation {
            Some(Effect::IommuFault) => return Ok(self.answered(Err(MessageError::Refused))),
            Some(effect @ (Effect::StaleTranslation | Effect::AllowUnmapped)) => {
                if let Some(bytes) = self.by_other_translation(effect, iova, message) {
                    return Ok(self.answered(Ok(bytes)));
                }
            }
            _ => {}
        }
        let Some(effect) = verdict.access else {
            return self.pass(iova, message);
        };
        let failed = match effect {
            Effect::UnsupportedRequest => Some((
                BusError::UnsupportedRequest,
                MessageError::UnsupportedRequest,
            )),
            Effect::CompleterAbort => {
                Some((BusError::CompleterAbort, MessageError::CompleterAbort))
            }
            Effect::Poison => Some((BusError::PoisonedTlp, MessageError::Poisoned)),
            _ => None,
        };
        if let Some((error, answer)) = failed {
            self.faults.notices.push(Notice::Error { error, iova });
            return Ok(self.answered(Err(answer)));
        }
        match effect {
            Effect::Hang => Ok(self.hang()),
            Effect::CompletionTimeout => Ok(self.leave_unanswered(iova)),
            Effect::Short { .. } if message.direction() == Direction::Read => {
                Ok(self.leave_unanswered(iova))
            }
            Effect::Delay { microseconds } | Effect::EarlyInterrupt { microseconds }
                if self.faults.has_room() =>
            {
                let delay = Duration::from_micros(microseconds.into());
                let (ticket, owner) = (self.faults.next_ticket(), self.owner());
                self.faults.held.push(Held {
                    owner,
                    due: Due::at(self.now.after(delay)),
                    access: message.held(iova),
                    ticket: Some(ticket),
                    by_message,
                    again: None,
                });
                Ok(ticket)
            }
            _ => match message {
                Message::Read { len } => self.read_as(effect, iova, *len),
                Message::Write { data } => self.write_as(effect, iova, data, by_message),
            },
        }
    }

    fn read_as(&mut self, effect: Effect, iova: Iova, len: usize) -> Result<Ticket, SubmitError> {
        let ticket = self.inner.submit_read(iova, len)?;
        if let Effect::FlipBit { bit } = effect {
            let reply = Reply {
                ticket: Some(ticket),
                flipped_bit: Some(bit),
            };
            self.faults.replies.insert(ticket.0, reply);
        }
        Ok(ticket)
    }

    fn write_as(
        &mut self,
        effect: Effect,
        iova: Iova,
        data: &[u8],
        by_message: bool,
    ) -> Result<Ticket, SubmitError> {
        match effect {
            Effect::Drop => Ok(self.answered(Ok(Vec::new()))),
            Effect::Short { bytes: 0 } => Ok(self.answered(Ok(Vec::new()))),
            Effect::Short { bytes } => {
                let data = &data[..usize_of(bytes).min(data.len())];
                self.pass(iova, &Message::Write { data })
            }
            Effect::FlipBit { bit } => {
                let mut data = data.to_vec();
                flip(&mut data, bit);
                self.pass(iova, &Message::Write { data: &data })
            }
            Effect::Duplicate | Effect::Torn { .. } | Effect::Mutate { .. }
                if self.faults.has_room() =>
            {
                let (now, later) = self.split_write(effect, iova, data);
                let ticket = self.pass(iova, &Message::Write { data: now })?;
                self.faults.held.push(Held {
                    by_message,
                    ..later
                });
                Ok(ticket)
            }
            Effect::Reorder if self.faults.has_room() => {
                self.hold_behind_next(iova, data, by_message);
                Ok(self.answered(Ok(Vec::new())))
            }
            _ => self.pass(iova, &Message::Write { data }),
        }
    }

    /// The access by translations that do not hold: those removed last, or, where unmapped memory is
    /// allowed and nothing else leads there, nowhere. `None`: as if there were no rule.
    fn by_other_translation(
        &mut self,
        effect: Effect,
        iova: Iova,
        message: &Message<'_>,
    ) -> Option<Vec<u8>> {
        let len_bytes = message.len_bytes();
        let is_refused = self
            .inner
            .probe(iova, len_bytes, message.direction())
            .is_err();
        let is_allowed = effect == Effect::AllowUnmapped;
        if is_allowed && !is_refused {
            return None;
        }
        let (is_reached, bytes) = match message {
            Message::Read { len } => {
                let mut bytes = vec![0; *len];
                (self.inner.read_stale(iova, &mut bytes), bytes)
            }
            Message::Write { data } => (self.inner.write_stale(iova, data), Vec::new()),
        };
        (is_reached || is_allowed).then_some(bytes)
    }

    /// Nobody answers before a reset.
    fn hang(&mut self) -> Ticket {
        let (ticket, owner) = (self.faults.next_ticket(), self.owner());
        self.faults.hung.push((owner, ticket));
        ticket
    }

    /// Nobody answers the read; the function gives up when its completion timeout has run out.
    fn leave_unanswered(&mut self, iova: Iova) -> Ticket {
        let Some(timeout) = self.faults.completion_timeout else {
            return self.hang();
        };
        let (ticket, owner) = (self.faults.next_ticket(), self.owner());
        let held = Held {
            owner,
            due: Due::at(self.now.after(timeout)),
            access: HeldAccess::Unanswered { iova },
            ticket: Some(ticket),
            by_message: false,
            again: None,
        };
        // A channel waits for it, and for few at once: there is always room.
        self.faults.held.push(held);
        ticket
    }

    fn answered(&mut self, outcome: Result<Vec<u8>, MessageError>) -> Ticket {
        let ticket = self.faults.next_ticket();
        self.faults.answer(ticket, outcome);
        ticket
    }
}
