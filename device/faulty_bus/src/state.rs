//! [`BusFaults`]: what injected faults on the bus leave behind between two steps.

use std::collections::BTreeMap;
use std::time::Duration;

use endpoint::{ChannelId, DmaBus, MessageError, SubmitError, Tick, Ticket};
use fault_injection::Injector;

use crate::channel::{ByDirection, ChannelContext};
use crate::held::{Due, Held, HeldAccess, MAX_HELD};
use crate::notice::Notice;
use crate::verdict::flip;

/// Tickets of ours have this bit; the bus below counts from 1 and never gets there.
const OWN_TICKET: u64 = 1 << 63;

/// At which multiples of bytes TLPs end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Granules {
    /// A read's: the least of read request size, 4 KiB and the device's boundary.
    pub read_bytes: u64,
    /// A write's: the least of payload size, 4 KiB and the device's boundary.
    pub write_bytes: u64,
}

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
    /// Channels from this number on are the host's.
    pub(crate) n_channels: u8,
    pub(crate) contexts: Vec<ChannelContext>,
    pub(crate) current: ChannelId,
    /// Whether a request under way has an effect on it.
    pub(crate) has_request_effect: bool,
    pub(crate) held: Vec<Held>,
    /// Tickets that nobody answers before a reset.
    pub(crate) hung: Vec<(ChannelId, Ticket)>,
    pub(crate) replies: BTreeMap<u64, Reply>,
    pub(crate) notices: Vec<Notice>,
    answers: Vec<Answer>,
    last_ticket: u64,
}

impl BusFaults {
    /// No faults yet, for an endpoint with so many channels of its own.
    #[must_use]
    pub fn new(n_channels: u8, granules: Granules) -> Self {
        let mut faults = Self {
            granules: ByDirection::new(1, 1),
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
        };
        faults.set_granules(granules);
        faults
    }

    /// Takes the sizes that software has set.
    pub fn set_granules(&mut self, granules: Granules) {
        self.granules = ByDirection::new(granules.read_bytes.max(1), granules.write_bytes.max(1));
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
        let due = self.held.iter().filter_map(|held| match held.due {
            Due::At(tick) => Some(tick),
            Due::AfterWrite(_) => None,
        });
        due.min()
    }

    /// Makes the accesses whose time has come.
    pub fn run_due(&mut self, bus: &mut dyn DmaBus, now: Tick) {
        if self.next_tick().is_none_or(|tick| tick > now) {
            return;
        }
        let is_due = |held: &mut Held| matches!(held.due, Due::At(tick) if tick <= now);
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
        let waiting = self.held.drain(..).filter_map(|held| held.ticket);
        let hung = self.hung.drain(..).map(|(_, ticket)| ticket);
        let waiting: Vec<_> = waiting.chain(hung).collect();
        for ticket in waiting {
            self.answer(ticket, Err(MessageError::Disconnected));
        }
        self.contexts.clear();
        self.has_request_effect = false;
    }

    /// A request of this channel was aborted: what hangs is answered, so that the channel can go on.
    pub fn request_aborted(&mut self, channel: ChannelId) {
        let is_its = |(on, _): &mut (ChannelId, Ticket)| *on == channel;
        let waiting: Vec<_> = self.hung.extract_if(.., is_its).collect();
        for (_, ticket) in waiting {
            self.answer(ticket, Err(MessageError::Disconnected));
        }
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
        let is_due = |held: &mut Held| held.due == Due::AfterWrite(channel);
        let due: Vec<_> = self.held.extract_if(.., is_due).collect();
        for held in due {
            self.carry_out(bus, held, now);
        }
    }

    /// Makes a held access: mapped, or by message where that has no way.
    fn carry_out(&mut self, bus: &mut dyn DmaBus, held: Held, now: Tick) {
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
                let due = Due::At(now.after(Duration::from_millis(1)));
                self.held.push(Held { due, ..held });
            }
            Err(SubmitError::Unavailable) => {
                if let Some(ticket) = held.ticket {
                    self.answer(ticket, Err(MessageError::Refused));
                }
            }
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
    }
}
