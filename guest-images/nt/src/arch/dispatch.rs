//! From an interrupt's stub to its handler: IRQL up, handler with interrupts on, end of interrupt, IRQL down.

use super::guarded::Guarded;
use super::{apic, interrupts, irql};

/// Runs the DPC queue: class 2, so that it waits in the local APIC until CR8 drops below DISPATCH_LEVEL, even
/// where a driver lowers CR8 inline.
pub const DISPATCH_VECTOR: u8 = 0x2F;
/// The translation fault of VT-d.
pub const FAULT_VECTOR: u8 = 0xC1;
/// The clock's tick.
pub const CLOCK_VECTOR: u8 = 0xD1;
/// Where the APIC sends what was withdrawn; it wants no end of interrupt.
pub const SPURIOUS_VECTOR: u8 = 0xFF;

/// Handles an interrupt at the IRQL of its vector's class, interrupts on.
pub type Handler = fn(Interrupted);

/// What was interrupted.
#[derive(Clone, Copy, Debug)]
pub struct Interrupted {
    /// The vector.
    pub vector: u8,
    /// The IRQL before it.
    pub old_irql: irql::Irql,
    /// The instruction it came before.
    pub rip: u64,
}

static HANDLERS: Guarded<[Option<Handler>; 256]> = Guarded::new([None; 256]);

/// Sets the handler of a vector; `None` takes it away.
pub fn set_handler(vector: u8, handler: Option<Handler>) {
    HANDLERS.with(|handlers| handlers[usize::from(vector)] = handler);
}

/// Asks for the DPC queue to be run as soon as the IRQL allows.
pub fn request_dispatch() {
    apic::send_to_self(DISPATCH_VECTOR);
}

/// Called by the stub, on the interrupted stack, interrupts off.
pub(super) extern "C" fn interrupt(vector: u64, rip: u64) {
    let vector = vector.to_le_bytes()[0];
    if vector == SPURIOUS_VECTOR {
        return;
    }
    let interrupted = Interrupted {
        vector,
        old_irql: irql::current(),
        rip,
    };
    irql::set(interrupted.old_irql.max(vector >> 4));
    // The queue may switch threads; the APIC must not wait for this thread to come back.
    let ends_early = vector == DISPATCH_VECTOR;
    if ends_early {
        apic::end_of_interrupt();
    }
    if let Some(handler) = HANDLERS.with(|handlers| handlers[usize::from(vector)]) {
        interrupts::enable();
        handler(interrupted);
        interrupts::disable();
    }
    if !ends_early {
        apic::end_of_interrupt();
    }
    irql::set(interrupted.old_irql);
}
