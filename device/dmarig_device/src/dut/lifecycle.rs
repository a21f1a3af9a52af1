//! What happens to the device as a whole: resets, and a link that goes down.

use pci_function::ResetKind;
use recording::trace::{self, TraceRecord};

use super::Dut;
use super::control_change::ControlChange;
use super::faults::ResetFate;
use crate::pci_front::Link;

impl Dut {
    /// Resets the function as a bus reset does.
    pub fn reset_function(&mut self, kind: ResetKind) {
        self.ledger.note(|| TraceRecord::Reset {
            kind: match kind {
                ResetKind::Conventional => trace::ResetKind::Conventional,
                ResetKind::FunctionLevel => trace::ResetKind::FunctionLevel,
                ResetKind::PowerManagement => trace::ResetKind::PowerManagement,
            },
        });
        let (fate, effect) = self.strike_reset(kind);
        if fate == ResetFate::Ignored {
            return;
        }
        self.report_live_references("saw a reset");
        self.front.reset(kind);
        self.endpoint.reset(self.moment());
        if kind == ResetKind::Conventional && self.built_in_unit.is_some() {
            self.renew_built_in_unit();
        }
        self.stop_faults();
        self.follow_config();
        self.take_events();
        self.after_reset(kind, effect);
    }

    /// Brings the link down, as when the device is pulled out: all reads give ones, writes are dropped,
    /// there is no DMA and no interrupt. A link that comes up again resets the function (section 2.9.1).
    ///
    /// QEMU answers some reads by itself and shows them unchanged: addresses of the BARs, the capability
    /// pointers, MSI and MSI-X. What lies on the way as a message comes back and is dropped.
    pub fn set_link(&mut self, link: Link) {
        self.note_change(|| ControlChange::SetLink(link));
        let was = self.front.link();
        if was != link {
            let up = link == Link::Up;
            self.ledger.note(|| TraceRecord::Link { up });
        }
        self.front.set_link(link);
        match (was, link) {
            (Link::Down, Link::Up) => self.reset_function(ResetKind::Conventional),
            (_, Link::Down) => {
                self.endpoint.disconnected();
                self.endpoint.reset(self.moment());
                self.stop_faults();
                self.follow_config();
                self.take_events();
            }
            (Link::Up, Link::Up) => {}
        }
    }

    /// Reports every live reference, at an event before which a driver stops the device.
    pub(super) fn report_live_references(&mut self, why: &str) {
        let live = self.live_references();
        let who = self.requester();
        for reference in &live {
            let one = std::slice::from_ref(reference);
            self.ledger.dangling(who, reference.range, one, why);
        }
    }
}
