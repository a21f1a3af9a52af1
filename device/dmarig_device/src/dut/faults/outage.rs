//! Resets that do not do what they should, and a link that goes away.

use endpoint::Tick;
use fault_injection::{Effect, Facts, LinkSpeed, Point};
use pci_function::{LinkState, ResetKind};
use recording::trace::TraceRecord;

use crate::dut::Dut;
use crate::pci_front::Link;

/// Why the function answers with ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outage {
    /// For some time.
    Until(Tick),
    /// A reset is under way and ends with the next one only.
    UntilReset,
    /// The device was pulled out, until the rules are changed.
    UntilCleared,
}

impl Outage {
    pub(super) const fn ends_at(self) -> Option<Tick> {
        match self {
            Self::Until(tick) => Some(tick),
            Self::UntilReset | Self::UntilCleared => None,
        }
    }
}

/// What a rule makes of a reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dut) enum ResetFate {
    /// It happens.
    Happens,
    /// It does not.
    Ignored,
}

impl Dut {
    /// Asks the rules about a reset that begins.
    pub(in crate::dut) fn strike_reset(&mut self, kind: ResetKind) -> (ResetFate, Option<Effect>) {
        if self.faults.outage == Some(Outage::UntilReset) {
            self.end_outage();
        }
        if !self.faults.injector.is_armed(Point::Reset) {
            return (ResetFate::Happens, None);
        }
        let number = match kind {
            ResetKind::Conventional => 0,
            ResetKind::FunctionLevel => 1,
            ResetKind::PowerManagement => 2,
        };
        let facts = Facts {
            value: Some(number),
            ..Facts::at(Point::Reset)
        };
        match self.decide(&facts).map(|decision| decision.effect) {
            Some(Effect::Drop) => (ResetFate::Ignored, None),
            effect => (ResetFate::Happens, effect),
        }
    }

    /// Does what a rule has left to do behind a reset, and asks about the link that comes up.
    pub(in crate::dut) fn after_reset(&mut self, kind: ResetKind, effect: Option<Effect>) {
        match effect {
            Some(Effect::Delay { microseconds }) => {
                self.lose_link_as(Outage::Until(self.later(microseconds)));
            }
            Some(Effect::Hang) => self.lose_link_as(Outage::UntilReset),
            Some(Effect::LinkDown { microseconds }) => self.lose_link(Some(microseconds)),
            Some(Effect::SurpriseRemoval) => self.lose_link(None),
            Some(Effect::SpuriousInterrupt { vector }) => self.signal(vector),
            Some(Effect::DegradedLink { speed, width }) => self.degrade_link(speed, width),
            _ => {}
        }
        if kind != ResetKind::Conventional || !self.faults.injector.is_armed(Point::Link) {
            return;
        }
        match self.decide(&Facts::at(Point::Link)).map(|it| it.effect) {
            Some(Effect::LinkDown { microseconds }) => self.lose_link(Some(microseconds)),
            Some(Effect::SurpriseRemoval) => self.lose_link(None),
            Some(Effect::DegradedLink { speed, width }) => self.degrade_link(speed, width),
            _ => {}
        }
    }

    /// The link has come up with less than it can.
    fn degrade_link(&mut self, speed: Option<LinkSpeed>, width: Option<u8>) {
        use pci_function::LinkSpeed as Speed;
        let speed = match speed {
            Some(LinkSpeed::Gt2_5) => Speed::Gt2_5,
            Some(LinkSpeed::Gt5) => Speed::Gt5,
            Some(LinkSpeed::Gt8) => Speed::Gt8,
            Some(LinkSpeed::Gt16) => Speed::Gt16,
            Some(LinkSpeed::Gt32) | None => Speed::Gt32,
        };
        let width = width.unwrap_or(u8::MAX);
        self.front.degrade_link(LinkState { speed, width });
    }

    /// Takes the link down, for a time or for good.
    pub(super) fn lose_link(&mut self, microseconds: Option<u32>) {
        let outage = microseconds.map_or(Outage::UntilCleared, |microseconds| {
            Outage::Until(self.later(microseconds))
        });
        self.lose_link_as(outage);
    }

    /// Brings a link back that a rule took down.
    pub(super) fn end_outage(&mut self) {
        if self.faults.outage.take().is_some() {
            self.ledger.note(|| TraceRecord::Link { up: true });
            self.front.set_link(Link::Up);
            self.reset_quietly();
        }
    }

    fn lose_link_as(&mut self, outage: Outage) {
        if self.front.link() == Link::Up {
            self.ledger.note(|| TraceRecord::Link { up: false });
        }
        self.front.set_link(Link::Down);
        self.reset_quietly();
        self.faults.outage = Some(outage);
    }

    /// Brings registers and endpoint to their state after power-on, without asking any rule.
    fn reset_quietly(&mut self) {
        self.front.reset(ResetKind::Conventional);
        self.endpoint.reset(self.moment());
        self.faults.stop(false);
        self.deliver_answers();
        self.follow_config();
        self.take_events();
    }
}
