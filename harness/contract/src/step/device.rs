//! Steps that ask the driver about its device.

use dmarig_abi::operation::{self as op, Operation};

use super::{Step, step};

impl Step {
    /// Vectors granted, interrupts serviced, channels served; in `length` the interrupts of one channel.
    #[must_use]
    pub fn interrupt_state(device: u32, channel: u32) -> Self {
        let state = step(op::OP_INTERRUPT_STATE, op::SLOT_NONE, device, 0, [0; 5]);
        Self {
            operation: Operation {
                c: channel,
                ..state.operation
            },
            ..state
        }
    }
}
