//! Interrupts that are lost, come late, early, twice or in storms.

use std::time::Duration;

use dma_engine::MsixVector;
use fault_injection::{Effect, Facts, Point};
use recording::trace::TraceRecord;

use super::Timed;
use crate::dut::Dut;
use crate::pci_front::InterruptWay;

/// Time between two interrupts of a storm: signals that come closer are one to QEMU.
const STORM_INTERVAL: Duration = Duration::from_micros(200);

/// What the interrupt pin does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pin {
    /// What the endpoint wants, and what that was last.
    Follows { wanted: bool },
    /// It stays down until the endpoint has stopped wanting it.
    Withheld,
}

impl Default for Pin {
    fn default() -> Self {
        Self::Follows { wanted: false }
    }
}

impl Dut {
    /// Raises a vector, unless a rule has it otherwise.
    pub(in crate::dut) fn raise(&mut self, vector: MsixVector) {
        let vector = vector.number();
        let point = match self.front.interrupt_way() {
            InterruptWay::Msix => Point::Msix,
            InterruptWay::Msi => Point::Msi,
            InterruptWay::Pin => return self.signal(vector),
        };
        let held = std::mem::take(&mut self.faults.held_vectors);
        if !self.faults.injector.is_armed(point) {
            return self.signal_all(vector, held);
        }
        let facts = Facts {
            vector: Some(vector),
            ..Facts::at(point)
        };
        match self.decide(&facts).map(|decision| decision.effect) {
            Some(Effect::Drop) => self.signal_all_but(held),
            Some(Effect::Delay { microseconds }) => {
                let tick = self.later(microseconds);
                let late = Timed::Raise { vector, more: 0 };
                if !self.faults.at(tick, late) {
                    self.signal(vector);
                }
                self.signal_all_but(held);
            }
            Some(Effect::Duplicate) => {
                self.signal_all(vector, held);
                self.storm(vector, 1);
            }
            Some(Effect::Storm { count }) => {
                self.signal_all(vector, held);
                self.storm(vector, count.saturating_sub(1));
            }
            Some(Effect::Reorder) if held.is_empty() => self.faults.held_vectors.push(vector),
            _ => self.signal_all(vector, held),
        }
    }

    /// Drives the interrupt pin as the endpoint wants it, unless a rule has it otherwise.
    pub(in crate::dut) fn follow_pin(&mut self) {
        let wanted = self.endpoint.is_intx_asserted();
        let was_wanted = match self.faults.pin {
            Pin::Follows { wanted } => wanted,
            Pin::Withheld => true,
        };
        if wanted && !was_wanted {
            self.faults.pin = Pin::Follows { wanted };
            if self.faults.injector.is_armed(Point::Intx)
                && self.front.interrupt_way() == InterruptWay::Pin
            {
                self.strike_pin();
            }
        } else if !wanted {
            self.faults.pin = Pin::Follows { wanted };
        }
        self.drive_pin(wanted && self.faults.pin != Pin::Withheld);
    }

    /// Raises a vector, whatever the rules say.
    pub(super) fn signal(&mut self, vector: u16) {
        self.ledger.note(|| TraceRecord::Interrupt {
            vector: vector.into(),
        });
        self.front.raise(vector);
    }

    /// The next interrupt of a storm.
    pub(super) fn raise_again(&mut self, vector: u16, more: u16) {
        self.signal(vector);
        self.storm(vector, more);
    }

    /// The pin goes down and up again.
    pub(super) fn toggle_pin(&mut self, more: u16) {
        if !self.endpoint.is_intx_asserted() {
            return;
        }
        self.drive_pin(false);
        self.drive_pin(true);
        self.toggle_later(more);
    }

    fn strike_pin(&mut self) {
        match self.decide(&Facts::at(Point::Intx)).map(|it| it.effect) {
            Some(Effect::Drop) => self.faults.pin = Pin::Withheld,
            Some(Effect::Delay { microseconds }) => {
                let tick = self.later(microseconds);
                if self.faults.at(tick, Timed::Pin) {
                    self.faults.pin = Pin::Withheld;
                }
            }
            Some(Effect::Duplicate) => self.toggle_later(1),
            Some(Effect::Storm { count }) => self.toggle_later(count.saturating_sub(1)),
            _ => {}
        }
    }

    fn storm(&mut self, vector: u16, more: u16) {
        if let Some(more) = more.checked_sub(1) {
            let tick = self.now.after(STORM_INTERVAL);
            self.faults.at(tick, Timed::Raise { vector, more });
        }
    }

    fn toggle_later(&mut self, more: u16) {
        if let Some(more) = more.checked_sub(1) {
            let tick = self.now.after(STORM_INTERVAL);
            self.faults.at(tick, Timed::Toggle { more });
        }
    }

    fn signal_all(&mut self, vector: u16, held: Vec<u16>) {
        self.signal(vector);
        self.signal_all_but(held);
    }

    fn signal_all_but(&mut self, held: Vec<u16>) {
        for vector in held {
            self.signal(vector);
        }
    }

    fn drive_pin(&mut self, level: bool) {
        let was_up = self.front.is_intx_asserted();
        self.front.set_intx(level);
        let asserted = self.front.is_intx_asserted();
        if asserted != was_up {
            self.ledger.note(|| TraceRecord::Pin { asserted });
        }
    }
}
