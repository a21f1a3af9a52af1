//! [`FaultyBus`]: the layer itself; here the mapped path and what both paths ask.

use dmarig_abi::Iova;
use endpoint::{
    BusFault, BusFaultKind, ChannelId, Direction, DmaBus, InterruptOrder, RequestStart,
    SubmitError, Tick, Ticket,
};
use fault_injection::{AccessDirection, AccessPath, Effect, Facts, Injector, Point, RequestOrigin};

use crate::channel::{Planned, RequestContext, Tail};
use crate::held::{Due, Held, Owner};
use crate::message::Message;
use crate::notice::Notice;
use crate::state::BusFaults;
use crate::verdict::{self, Verdict, flip};

/// A bus with injected faults, for the time of one step.
///
/// An effect that takes time, or ends in an error, sends a mapped access the way of a message: the bus
/// says [`BusFaultKind::MessageOnly`], the endpoint asks by message, and this layer answers. So nothing
/// waits, and nothing is published before all that came before it is answered.
pub struct FaultyBus<'a> {
    pub(crate) inner: &'a mut dyn DmaBus,
    pub(crate) injector: &'a mut Injector,
    pub(crate) faults: &'a mut BusFaults,
    pub(crate) now: Tick,
    /// Whether anything at all is to be looked at.
    pub(crate) is_active: bool,
}

impl<'a> FaultyBus<'a> {
    /// Lays the faults over a bus.
    pub fn new(
        inner: &'a mut dyn DmaBus,
        injector: &'a mut Injector,
        faults: &'a mut BusFaults,
        now: Tick,
    ) -> Self {
        let is_active = BusFaults::is_armed(injector) || !faults.is_idle();
        Self {
            inner,
            injector,
            faults,
            now,
            is_active,
        }
    }

    /// Whether a rule may be about an access of these bytes.
    pub(crate) fn concerns(&mut self, direction: Direction, iova: Iova, len_bytes: u64) -> bool {
        self.is_active
            && (self.is_armed_for(direction, iova, len_bytes)
                || self.faults.has_request_effect
                    && self
                        .faults
                        .context()
                        .request
                        .is_some_and(|it| it.effect.is_some()))
    }

    /// Asks every rule about an access. An access that goes on inside a TLP is no further hit.
    pub(crate) fn judge(
        &mut self,
        direction: Direction,
        iova: Iova,
        len_bytes: u64,
        path: AccessPath,
    ) -> Verdict {
        let granule_bytes = *self.faults.granules.get(direction);
        let context = *self.faults.context();
        let goes_on = context
            .tails
            .get(direction)
            .filter(|tail| tail.end == iova.raw() && !iova.raw().is_multiple_of(granule_bytes));
        let mut verdict = Verdict::default();
        if let Some(tail) = goes_on {
            verdict.access = tail.is_dropped.then_some(Effect::Drop);
        } else {
            let (facts, point) = self.facts(direction, iova, len_bytes, path);
            let facts = match &context.request {
                Some(request) => request.access_facts(facts, direction, iova, granule_bytes),
                None => facts,
            };
            verdict.translation = self.decide(facts, Point::Translate);
            if verdict.translation == Some(Effect::IommuFault) {
                return verdict;
            }
            verdict.access = self.decide(facts, point);
        }
        if verdict.access.is_none()
            && let Some(request) = &mut self.faults.context().request
        {
            verdict.access = verdict::of_request(request, direction, iova, len_bytes);
        }
        verdict
    }

    /// Notes where an access ended that has been made, or is under way.
    pub(crate) fn note_end(
        &mut self,
        direction: Direction,
        iova: Iova,
        len_bytes: u64,
        verdict: Verdict,
    ) {
        let tail = Tail {
            end: iova.raw().wrapping_add(len_bytes),
            is_dropped: verdict.access == Some(Effect::Drop),
        };
        *self.faults.context().tails.get_mut(direction) = Some(tail);
    }

    /// The channel's number, if it is one of the endpoint's own.
    fn channel(&self) -> Option<u8> {
        let number = self.faults.current.number();
        (number < self.faults.n_channels).then_some(number)
    }

    fn is_armed_for(&self, direction: Direction, iova: Iova, len_bytes: u64) -> bool {
        [Point::Translate, point(direction)]
            .into_iter()
            .any(|point| {
                self.injector
                    .is_armed_for(point, self.channel(), iova.raw(), len_bytes)
            })
    }

    fn facts(
        &self,
        direction: Direction,
        iova: Iova,
        len_bytes: u64,
        path: AccessPath,
    ) -> (Facts, Point) {
        let point = point(direction);
        let channel = self.channel();
        let facts = Facts {
            origin: match channel {
                Some(_) => RequestOrigin::Driver,
                None => RequestOrigin::Host,
            },
            channel,
            iova: Some(iova.raw()),
            len_bytes,
            direction: Some(match direction {
                Direction::Read => AccessDirection::Read,
                Direction::Write => AccessDirection::Write,
            }),
            path: Some(path),
            ..Facts::at(point)
        };
        (facts, point)
    }

    fn decide(&mut self, facts: Facts, point: Point) -> Option<Effect> {
        if !self.injector.is_armed(point) {
            return None;
        }
        let decision = self.injector.decide(&Facts { point, ..facts })?;
        Some(decision.effect)
    }

    /// Sends a mapped access the way of a message, where `verdict` waits for it.
    fn plan(&mut self, direction: Direction, iova: Iova, verdict: Verdict) -> BusFault {
        *self.faults.context().planned.get_mut(direction) = Some(Planned { iova, verdict });
        BusFault {
            iova,
            kind: BusFaultKind::MessageOnly,
        }
    }

    /// # Errors
    /// Where the verdict on an access was passed already, it goes by message.
    fn check_planned(&mut self, direction: Direction, iova: Iova) -> Result<(), BusFault> {
        match self.faults.context().planned.get(direction) {
            Some(planned) if planned.iova == iova => Err(BusFault {
                iova,
                kind: BusFaultKind::MessageOnly,
            }),
            _ => Ok(()),
        }
    }

    fn read_mapped(
        &mut self,
        verdict: Verdict,
        iova: Iova,
        buffer: &mut [u8],
    ) -> Result<(), BusFault> {
        match verdict.access {
            None if verdict.translation == Some(Effect::StaleTranslation)
                && self.inner.read_stale(iova, buffer) =>
            {
                Ok(())
            }
            None => self.inner.read(iova, buffer),
            Some(Effect::FlipBit { bit }) => {
                self.inner.read(iova, buffer)?;
                flip(buffer, bit);
                Ok(())
            }
            Some(Effect::Short { bytes }) if usize_of(bytes) < buffer.len() => {
                self.inner.read(iova, &mut buffer[..usize_of(bytes)])?;
                let rest = Iova::new(iova.raw().wrapping_add(bytes.into()));
                let unanswered = Verdict {
                    access: Some(Effect::CompletionTimeout),
                    ..Verdict::default()
                };
                Err(self.plan(Direction::Read, rest, unanswered))
            }
            Some(Effect::Short { .. }) => self.inner.read(iova, buffer),
            Some(_) => Err(self.plan(Direction::Read, iova, verdict)),
        }
    }

    fn write_mapped(&mut self, verdict: Verdict, iova: Iova, data: &[u8]) -> Result<(), BusFault> {
        match verdict.access {
            None if verdict.translation == Some(Effect::StaleTranslation)
                && self.inner.write_stale(iova, data) =>
            {
                Ok(())
            }
            None => self.inner.write(iova, data),
            Some(Effect::FlipBit { bit }) => {
                let mut data = data.to_vec();
                flip(&mut data, bit);
                self.inner.write(iova, &data)
            }
            Some(Effect::Short { bytes }) => {
                let len = usize_of(bytes).min(data.len());
                self.inner.write(iova, &data[..len])
            }
            Some(Effect::Drop) => Ok(()),
            Some(effect @ (Effect::Duplicate | Effect::Torn { .. } | Effect::Mutate { .. }))
                if self.faults.has_room() =>
            {
                let (now, later) = self.split_write(effect, iova, data);
                self.inner.write(iova, now)?;
                self.faults.release_after_write(self.inner, self.now);
                self.faults.held.push(later);
                Ok(())
            }
            Some(Effect::Reorder) if self.faults.has_room() => {
                self.hold_behind_next(iova, data, false);
                Ok(())
            }
            Some(_) => Err(self.plan(Direction::Write, iova, verdict)),
        }
    }

    /// Holds a write until the channel's next one has been made.
    pub(crate) fn hold_behind_next(&mut self, iova: Iova, data: &[u8], by_message: bool) {
        self.faults.release_after_write(self.inner, self.now);
        let due = Due::after_write(self.now);
        let held = Held::write(self.owner(), due, iova, data);
        self.faults.held.push(Held { by_message, ..held });
    }

    /// Whose the accesses are that are made now.
    pub(crate) fn owner(&mut self) -> Owner {
        let request = self.faults.context().request;
        let origin = request.map(|request| request.start.origin);
        Owner::new(self.faults.current, origin)
    }
}

impl DmaBus for FaultyBus<'_> {
    fn mapping_epoch(&self) -> u64 {
        self.inner.mapping_epoch()
    }

    fn enter_channel(&mut self, channel: ChannelId) {
        self.faults.current = channel;
        self.inner.enter_channel(channel);
    }

    fn begin_request(&mut self, request: &RequestStart) -> InterruptOrder {
        let order = self.inner.begin_request(request);
        if !self.is_active {
            return order;
        }
        let mut begun = RequestContext {
            start: *request,
            effect: None,
            has_struck: false,
        };
        let (facts, _) = self.facts(Direction::Read, Iova::new(0), 0, AccessPath::Mapped);
        let facts = begun.facts(Facts {
            path: None,
            ..facts
        });
        begun.effect = self.decide(facts, begun.point());
        let context = self.faults.context();
        *context = Default::default();
        context.request = Some(begun);
        let contexts = self.faults.contexts.iter();
        let mut requests = contexts.filter_map(|context| context.request);
        self.faults.has_request_effect = requests.any(|request| request.effect.is_some());
        match begun.effect {
            Some(Effect::SpuriousInterrupt { vector }) => {
                let notice = Notice::SpuriousInterrupt { vector };
                self.faults.notices.push(notice);
                order
            }
            Some(Effect::LinkDown { microseconds }) => {
                let microseconds = Some(microseconds);
                self.faults.notices.push(Notice::LinkDown { microseconds });
                order
            }
            Some(Effect::SurpriseRemoval) => {
                let microseconds = None;
                self.faults.notices.push(Notice::LinkDown { microseconds });
                order
            }
            Some(Effect::EarlyInterrupt { .. }) => InterruptOrder::First,
            _ => order,
        }
    }

    fn access_bytes(&self, iova: Iova, len_bytes: u64, direction: Direction) -> u64 {
        if !self.is_active {
            return len_bytes;
        }
        let context = self.faults.contexts.get(self.faults.current.index());
        let request = context.and_then(|context| context.request);
        let to_cut = request.and_then(|request| {
            let cut = verdict::cut(request.effect?)?;
            cut.checked_sub(request.offset(direction, iova)?)
        });
        let len_bytes = match to_cut {
            Some(to_cut) if to_cut > 0 => len_bytes.min(to_cut),
            _ => len_bytes,
        };
        if !self.is_armed_for(direction, iova, len_bytes) {
            return len_bytes;
        }
        let granule_bytes = *self.faults.granules.get(direction);
        len_bytes.min(granule_bytes - iova.raw() % granule_bytes)
    }

    fn read_stale(&mut self, iova: Iova, buffer: &mut [u8]) -> bool {
        self.inner.read_stale(iova, buffer)
    }

    fn write_stale(&mut self, iova: Iova, data: &[u8]) -> bool {
        self.inner.write_stale(iova, data)
    }

    fn probe(&self, iova: Iova, len_bytes: u64, direction: Direction) -> Result<u64, BusFault> {
        self.inner.probe(iova, len_bytes, direction)
    }

    fn message_reach(&self, iova: Iova, len_bytes: u64, direction: Direction) -> u64 {
        self.inner.message_reach(iova, len_bytes, direction)
    }

    fn read(&mut self, iova: Iova, buffer: &mut [u8]) -> Result<(), BusFault> {
        let len_bytes = buffer.len() as u64;
        if len_bytes == 0 || !self.concerns(Direction::Read, iova, len_bytes) {
            return self.inner.read(iova, buffer);
        }
        self.check_planned(Direction::Read, iova)?;
        // What the table refuses goes by message, and is counted there.
        self.inner.probe(iova, len_bytes, Direction::Read)?;
        let verdict = self.judge(Direction::Read, iova, len_bytes, AccessPath::Mapped);
        let outcome = if verdict.translation == Some(Effect::IommuFault) {
            Err(self.plan(Direction::Read, iova, verdict))
        } else {
            self.read_mapped(verdict, iova, buffer)
        };
        self.after_mapped(Direction::Read, iova, len_bytes, verdict, outcome)
    }

    fn write(&mut self, iova: Iova, data: &[u8]) -> Result<(), BusFault> {
        let len_bytes = data.len() as u64;
        if len_bytes == 0 || !self.concerns(Direction::Write, iova, len_bytes) {
            let outcome = self.inner.write(iova, data);
            if self.is_active && outcome.is_ok() {
                self.faults.release_after_write(self.inner, self.now);
            }
            return outcome;
        }
        self.check_planned(Direction::Write, iova)?;
        self.inner.probe(iova, len_bytes, Direction::Write)?;
        let verdict = self.judge(Direction::Write, iova, len_bytes, AccessPath::Mapped);
        let outcome = if verdict.translation == Some(Effect::IommuFault) {
            Err(self.plan(Direction::Write, iova, verdict))
        } else {
            self.write_mapped(verdict, iova, data)
        };
        let is_made = verdict
            .access
            .is_none_or(|effect| matches!(effect, Effect::FlipBit { .. } | Effect::Short { .. }));
        if outcome.is_ok() && is_made {
            self.faults.release_after_write(self.inner, self.now);
        }
        self.after_mapped(Direction::Write, iova, len_bytes, verdict, outcome)
    }

    fn submit_read(&mut self, iova: Iova, len_bytes: usize) -> Result<Ticket, SubmitError> {
        self.submit(iova, &Message::Read { len: len_bytes })
    }

    fn submit_write(&mut self, iova: Iova, data: &[u8]) -> Result<Ticket, SubmitError> {
        self.submit(iova, &Message::Write { data })
    }
}

impl FaultyBus<'_> {
    /// Keeps the verdict where the memory turns out to be reached by message only.
    fn after_mapped(
        &mut self,
        direction: Direction,
        iova: Iova,
        len_bytes: u64,
        verdict: Verdict,
        outcome: Result<(), BusFault>,
    ) -> Result<(), BusFault> {
        match outcome {
            Ok(()) => self.note_end(direction, iova, len_bytes, verdict),
            Err(fault) if fault.iova == iova && fault.kind == BusFaultKind::MessageOnly => {
                let planned = self.faults.context().planned.get_mut(direction);
                if planned.is_none_or(|planned| planned.iova != iova) {
                    *planned = Some(Planned { iova, verdict });
                }
            }
            Err(_) => {}
        }
        outcome
    }
}

const fn point(direction: Direction) -> Point {
    match direction {
        Direction::Read => Point::DmaRead,
        Direction::Write => Point::DmaWrite,
    }
}

pub(crate) fn usize_of(bytes: u32) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
