//! [`BusFaults`]: what injected faults on the bus leave behind between two steps.

use std::collections::BTreeMap;
use std::time::Duration;

use dmarig_abi::Iova;
use endpoint::{ChannelId, DmaBus, MessageError, StopScope, SubmitError, Tick, Ticket};
use fault_injection::Injector;

use crate::channel::{ByDirection, ChannelContext};
use crate::held::{Due, Held, HeldAccess, MAX_HELD, Owner};
use crate::notice::{BusError, Notice};
use crate::settings::BusSettings;
use crate::verdict::flip;

/// Tickets of ours have this bit; the bus below counts from 1 and never gets there.
const OWN_TICKET: u64 = 1 << 63;

/// The end of a message that the endpoint waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Which.
    pub ticket: Ticket,
    /// The bytes of a read, or nothing for a write; or why there are none.
    pub outcome: Result<Vec<u8>, MessageError>,
}

/// What becomes of the platform's answer to a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reply {
    /// Whom it is for; `None` if nobody waits for it.
    pub ticket: Option<Ticket>,
    /// A bit of the data that is turned round.
    pub flipped_bit: Option<u32>,
}

/// The layer's memory. The injector is beside it, as others ask that, too.
#[derive(Debug)]
pub struct BusFaults {
    pub(crate) granules: ByDirection<u64>,
    pub(crate) completion_timeout: Option<Duration>,
    /// Channels from this number on are the host's.
    pub(crate) n_channels: u8,
    pub(crate) contexts: Vec<ChannelContext>,
    pub(crate) current: ChannelId,
    /// Whether a request under way has an effect on it.
    pub(crate) has_request_effect: bool,
    pub(crate) held: Vec<Held>,
    /// Tickets that nobody answers before a reset.
    pub(crate) hung: Vec<(Owner, Ticket)>,
    pub(crate) replies: BTreeMap<u64, Reply>,
    pub(crate) notices: Vec<Notice>,
    answers: Vec<Answer>,
    last_ticket: u64,
}

impl BusFaults {
    /// No faults yet, for an endpoint with so many channels of its own.
    #[must_use]
    pub fn new(n_channels: u8, settings: BusSettings) -> Self {
        Self {
            granules: settings.granules(),
            completion_timeout: settings.completion_timeout,
            n_channels,
            contexts: Vec::new(),
            current: ChannelId::new(0),
            has_request_effect: false,
            held: Vec::new(),
            hung: Vec::new(),
            replies: BTreeMap::new(),
            notices: Vec::new(),
            answers: Vec::new(),
            last_ticket: OWN_TICKET,
        }
    }

    /// Takes what software has set. What waits already goes on waiting as it was.
    pub fn set(&mut self, settings: BusSettings) {
        self.granules = settings.granules();
        self.completion_timeout = settings.completion_timeout;
    }

    /// Whether anything is left that the bus is to look at although no rule is armed.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.held.is_empty()
            && self.hung.is_empty()
            && !self.has_request_effect
            && self.replies.is_empty()
            && self.answers.is_empty()
    }

    /// Answers that are due. Hand each to the endpoint, then let it work.
    pub fn take_answers(&mut self) -> Vec<Answer> {
        std::mem::take(&mut self.answers)
    }

    /// Things for the rest of the device to do.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// When [`Self::run_due`] is to be called at the latest.
    #[must_use]
    pub fn next_tick(&self) -> Option<Tick> {
        self.held.iter().map(|held| held.due.at).min()
    }

    /// Makes the accesses whose time has come.
    pub fn run_due(&mut self, bus: &mut dyn DmaBus, now: Tick) {
        if self.next_tick().is_none_or(|tick| tick > now) {
            return;
        }
        let is_due = |held: &mut Held| held.due.at <= now;
        let due: Vec<_> = self.held.extract_if(.., is_due).collect();
        for held in due {
            self.carry_out(bus, held, now);
        }
    }

    /// Says whom the platform's answer to a message is for, and hands it over as it is to be told;
    /// `None` if nobody waits.
    pub fn reply(
        &mut self,
        ticket: Ticket,
        outcome: Result<&[u8], MessageError>,
    ) -> Option<Answer> {
        let outcome = outcome.map(<[u8]>::to_vec);
        let Some(reply) = self.replies.remove(&ticket.0) else {
            return Some(Answer { ticket, outcome });
        };
        let outcome = outcome.map(|mut data| {
            if let Some(bit) = reply.flipped_bit {
                flip(&mut data, bit);
            }
            data
        });
        let ticket = reply.ticket?;
        Some(Answer { ticket, outcome })
    }

    /// Whether an answer must pass [`Self::reply`].
    #[must_use]
    pub fn awaits_replies(&self) -> bool {
        !self.replies.is_empty()
    }

    /// Forgets what is under way, as a reset of the function does. Who waits is answered; answers of
    /// the platform that are still to come find their way.
    pub fn reset(&mut self) {
        self.drop_held(|_| true);
        self.answer_hung(|_| true);
        self.contexts.clear();
        self.has_request_effect = false;
    }

    /// The driver stopped a channel, or its ring: what is held of its accesses is not made any more.
    pub fn stop(&mut self, channel: ChannelId, scope: StopScope) {
        let is_stopped = |owner: &Owner| {
            owner.channel == channel && (scope == StopScope::Channel || owner.is_of_ring)
        };
        self.drop_held(|held| is_stopped(&held.owner));
        self.answer_hung(is_stopped);
    }

    /// The function may not use the bus any more: what is held is not made. Reads that nobody answers
    /// are under way, and their time goes on.
    pub fn leave_bus(&mut self) {
        self.drop_held(|held| !matches!(held.access, HeldAccess::Unanswered { .. }));
    }

    /// A request of this channel was aborted: what it waits for is answered, so that the channel can go
    /// on.
    pub fn request_aborted(&mut self, channel: ChannelId) {
        self.drop_held(|held| held.owner.channel == channel && held.ticket.is_some());
        self.answer_hung(|owner| owner.channel == channel);
    }

    /// Forgets everything; whoever waits has been told that the connection ended.
    pub fn disconnected(&mut self) {
        self.reset();
        self.replies.clear();
        self.answers.clear();
        self.notices.clear();
    }

    pub(crate) fn next_ticket(&mut self) -> Ticket {
        self.last_ticket += 1;
        Ticket(self.last_ticket)
    }

    pub(crate) fn answer(&mut self, ticket: Ticket, outcome: Result<Vec<u8>, MessageError>) {
        self.answers.push(Answer { ticket, outcome });
    }

    pub(crate) fn has_room(&self) -> bool {
        self.held.len() < MAX_HELD
    }

    /// The context of the channel that was entered last.
    pub(crate) fn context(&mut self) -> &mut ChannelContext {
        let index = self.current.index();
        if self.contexts.len() <= index {
            self.contexts.resize(index + 1, ChannelContext::default());
        }
        &mut self.contexts[index]
    }

    /// Whether any rule looks at DMA.
    pub(crate) fn is_armed(injector: &Injector) -> bool {
        use fault_injection::Point;
        [
            Point::Translate,
            Point::DmaRead,
            Point::DmaWrite,
            Point::DescriptorFetch,
            Point::Payload,
            Point::CompletionEntry,
        ]
        .into_iter()
        .any(|point| injector.is_armed(point))
    }

    /// Makes the held writes that wait for this channel's next write.
    pub(crate) fn release_after_write(&mut self, bus: &mut dyn DmaBus, now: Tick) {
        let channel = self.current;
        let is_due = |held: &mut Held| held.due.after_write && held.owner.channel == channel;
        let due: Vec<_> = self.held.extract_if(.., is_due).collect();
        for held in due {
            self.carry_out(bus, held, now);
        }
    }

    /// Makes a held access: mapped, or by message where that has no way.
    fn carry_out(&mut self, bus: &mut dyn DmaBus, held: Held, now: Tick) {
        bus.enter_channel(held.owner.channel);
        if !held.by_message
            && let Some(bytes) = by_mapped_path(bus, &held.access)
        {
            if let Some(ticket) = held.ticket {
                self.answer(ticket, Ok(bytes));
            }
            self.held.extend(held.following(now));
            return;
        }
        let submitted = match &held.access {
            HeldAccess::Read { iova, len } => bus.submit_read(*iova, *len),
            HeldAccess::Write { iova, data } => bus.submit_write(*iova, data),
            HeldAccess::Unanswered { iova } => return self.give_up(*iova, held.ticket),
        };
        match submitted {
            Ok(ticket) => {
                let reply = Reply {
                    ticket: held.ticket,
                    flipped_bit: None,
                };
                self.replies.insert(ticket.0, reply);
                self.held.extend(held.following(now));
            }
            Err(SubmitError::Busy) => {
                // There is no event for room; a millisecond on is soon enough.
                let due = Due::at(now.after(Duration::from_millis(1)));
                self.held.push(Held { due, ..held });
            }
            Err(SubmitError::Unavailable) => {
                if let Some(ticket) = held.ticket {
                    self.answer(ticket, Err(MessageError::Refused));
                }
            }
        }
    }

    /// The completion timeout has run out.
    fn give_up(&mut self, iova: Iova, ticket: Option<Ticket>) {
        let error = BusError::CompletionTimeout;
        self.notices.push(Notice::Error { error, iova });
        if let Some(ticket) = ticket {
            self.answer(ticket, Err(MessageError::Timeout));
        }
    }

    /// Drops held accesses; who waits for one is answered.
    fn drop_held(&mut self, is_dropped: impl Fn(&Held) -> bool) {
        let dropped: Vec<_> = self.held.extract_if(.., |held| is_dropped(held)).collect();
        for ticket in dropped.into_iter().filter_map(|held| held.ticket) {
            self.answer(ticket, Err(MessageError::Disconnected));
        }
    }

    fn answer_hung(&mut self, is_answered: impl Fn(&Owner) -> bool) {
        let of_those = |(owner, _): &mut (Owner, Ticket)| is_answered(owner);
        let hung: Vec<_> = self.hung.extract_if(.., of_those).collect();
        for (_, ticket) in hung {
            self.answer(ticket, Err(MessageError::Disconnected));
        }
    }
}

/// The bytes of a read, or none for a write; `None` where the mapped path does not reach all.
fn by_mapped_path(bus: &mut dyn DmaBus, access: &HeldAccess) -> Option<Vec<u8>> {
    match access {
        HeldAccess::Read { iova, len } => {
            let mut buffer = vec![0; *len];
            bus.read(*iova, &mut buffer).ok().map(|()| buffer)
        }
        HeldAccess::Write { iova, data } => bus.write(*iova, data).ok().map(|()| Vec::new()),
        HeldAccess::Unanswered { .. } => None,
    }
}
