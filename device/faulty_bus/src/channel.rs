//! [`ChannelContext`]: what a channel is about, and where its last TLPs ended.

use dmarig_abi::Iova;
use endpoint::{Direction, Origin, RequestStart};
use fault_injection::{AccessDirection, Effect, Facts, Point, Purpose, RequestOrigin};

use crate::verdict::Verdict;

/// One value for reads, one for writes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ByDirection<T> {
    read: T,
    write: T,
}

impl<T> ByDirection<T> {
    pub(crate) const fn new(read: T, write: T) -> Self {
        Self { read, write }
    }

    pub(crate) const fn get(&self, direction: Direction) -> &T {
        match direction {
            Direction::Read => &self.read,
            Direction::Write => &self.write,
        }
    }

    pub(crate) const fn get_mut(&mut self, direction: Direction) -> &mut T {
        match direction {
            Direction::Read => &mut self.read,
            Direction::Write => &mut self.write,
        }
    }
}

/// Where the last access ended, to tell one that goes on inside a TLP.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tail {
    pub end: u64,
    /// Whether the TLP is dropped.
    pub is_dropped: bool,
}

/// A verdict that waits for the access to be made as a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Planned {
    pub iova: Iova,
    pub verdict: Verdict,
}

/// One channel.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ChannelContext {
    pub request: Option<RequestContext>,
    pub tails: ByDirection<Option<Tail>>,
    pub planned: ByDirection<Option<Planned>>,
}

/// The request under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestContext {
    pub start: RequestStart,
    /// What a rule does to the request as a whole.
    pub effect: Option<Effect>,
    /// Whether an effect that strikes one access has struck.
    pub has_struck: bool,
}

impl RequestContext {
    pub(crate) const fn point(&self) -> Point {
        match self.start.origin {
            Origin::DescriptorFetch { .. } | Origin::ListFetch { .. } => Point::DescriptorFetch,
            Origin::CompletionEntry { .. }
            | Origin::DescriptorRelease { .. }
            | Origin::ProducerIndex { .. } => Point::CompletionEntry,
            Origin::Register | Origin::Ring { .. } | Origin::Host { .. } => Point::Payload,
        }
    }

    const fn purpose(&self) -> Purpose {
        match self.start.origin {
            Origin::DescriptorFetch { .. } | Origin::ListFetch { .. } => Purpose::Descriptor,
            Origin::CompletionEntry { .. }
            | Origin::DescriptorRelease { .. }
            | Origin::ProducerIndex { .. } => Purpose::CompletionEntry,
            Origin::Register | Origin::Ring { .. } | Origin::Host { .. } => Purpose::Payload,
        }
    }

    /// The first address of a side.
    pub(crate) const fn base(&self, direction: Direction) -> Option<Iova> {
        match direction {
            Direction::Read => self.start.source,
            Direction::Write => self.start.destination,
        }
    }

    /// How far into a side an address lies.
    pub(crate) fn offset(&self, direction: Direction, iova: Iova) -> Option<u64> {
        iova.checked_offset_from(self.base(direction)?)
    }

    /// The facts of the request as a whole: its address is that of the side written, if it writes.
    pub(crate) fn facts(&self, facts: Facts) -> Facts {
        let start = &self.start;
        Facts {
            iova: start.destination.or(start.source).map(Iova::raw),
            len_bytes: start.len_bytes,
            offset: Some(0),
            direction: Some(match start.destination {
                Some(_) => AccessDirection::Write,
                None => AccessDirection::Read,
            }),
            ..self.of_request(facts)
        }
    }

    /// The facts of one access of the request.
    pub(crate) fn access_facts(
        &self,
        facts: Facts,
        direction: Direction,
        iova: Iova,
        granule_bytes: u64,
    ) -> Facts {
        let tlp = self.base(direction).map(|base| {
            let number = iova.raw() / granule_bytes - base.raw() / granule_bytes;
            u32::try_from(number).unwrap_or(u32::MAX)
        });
        Facts {
            offset: self.offset(direction, iova),
            tlp,
            ..self.of_request(facts)
        }
    }

    fn of_request(&self, facts: Facts) -> Facts {
        Facts {
            purpose: Some(self.purpose()),
            opcode: (self.start.opcode != 0).then_some(self.start.opcode),
            origin: match self.start.origin {
                Origin::Host { .. } => RequestOrigin::Host,
                _ => facts.origin,
            },
            ..facts
        }
    }
}
