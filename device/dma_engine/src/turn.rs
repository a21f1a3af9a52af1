//! [`Engine::run`]: how the channels share the device.
//!
//! Deficit round robin: each channel with work has a turn of [`TURN_BYTES`] after the other, and what
//! the last access of a turn took beyond that is missing in the channel's next one. So channels that
//! are busy all the time move the same number of bytes, whatever the size of their requests, up to one
//! turn and one access. A tiny access counts as 4 KiB.

use dmarig_abi::completion::{DMA_STATUS_BUS_MASTER_OFF, DMA_STATUS_POWER_STATE};
use endpoint::{DmaBus, PowerState, Progress};

use crate::channel::Outbox;
use crate::engine::{EVENTS_MAX, Engine};
use crate::transfer::StepContext;

/// Bytes that the engine moves before its owner serves others.
pub const SLICE_BYTES: u64 = 1 << 20;
/// Bytes that a channel moves before it is the next channel's turn.
pub const TURN_BYTES: u64 = 64 << 10;
const TURN_BUDGET_BYTES: i64 = TURN_BYTES.cast_signed();
/// A slice as a budget.
pub(crate) const SLICE_BUDGET_BYTES: i64 = SLICE_BYTES.cast_signed();

impl Engine {
    /// Lets the channels work in turn until nothing is left to do or `slices` slices of
    /// [`SLICE_BYTES`] are used up; the last turn is not cut short.
    pub fn run(&mut self, bus: &mut impl DmaBus, slices: u32) -> Progress {
        let mut left_bytes = SLICE_BUDGET_BYTES.saturating_mul(slices.into());
        let mut idle_in_a_row = 0;
        while idle_in_a_row < self.channels.len() {
            if left_bytes <= 0 || self.events.len() >= EVENTS_MAX {
                return Progress::More;
            }
            let n_events = self.events.len();
            let spent_bytes = self.run_turn(bus);
            left_bytes -= spent_bytes;
            let is_idle = spent_bytes == 0 && self.events.len() == n_events;
            idle_in_a_row = if is_idle { idle_in_a_row + 1 } else { 0 };
        }
        Progress::Idle
    }

    /// The next channel's turn: what it spent, be it to pay a debt.
    fn run_turn(&mut self, bus: &mut impl DmaBus) -> i64 {
        let turn = self.turn;
        self.turn = (turn + 1) % self.channels.len();
        if self.waits_at_fence(turn) {
            return 0;
        }
        let Some(channel) = self.channels.get_mut(turn) else {
            return 0;
        };
        if !channel.has_work(self.now) {
            channel.debt_bytes = 0;
            return 0;
        }
        if channel.debt_bytes >= TURN_BUDGET_BYTES {
            channel.debt_bytes -= TURN_BUDGET_BYTES;
            return TURN_BUDGET_BYTES;
        }
        let budget_bytes = TURN_BUDGET_BYTES - std::mem::take(&mut channel.debt_bytes);
        let mut ctx = StepContext {
            bus,
            scratch: &mut self.scratch,
            sabotage: &mut self.sabotage,
            gate: match (self.power_state, self.is_bus_master) {
                (PowerState::Low, _) => Err(DMA_STATUS_POWER_STATE),
                (PowerState::D0, false) => Err(DMA_STATUS_BUS_MASTER_OFF),
                (PowerState::D0, true) => Ok(()),
            },
            rules: &self.config.addresses,
            now: self.now,
            budget_bytes,
        };
        let mut outbox = Outbox {
            events: &mut self.events,
            interrupts: &mut self.interrupts,
        };
        ctx.bus.enter_channel(channel.id());
        channel.run_turn(&mut ctx, &mut outbox);
        let left_bytes = ctx.budget_bytes;
        channel.debt_bytes = (-left_bytes).max(0);
        budget_bytes - left_bytes
    }
}
