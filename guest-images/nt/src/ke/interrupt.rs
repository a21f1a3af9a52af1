//! KINTERRUPT: which driver routine runs on which vector.

use super::irql::Irql;
use super::spin_lock::SpinLock;
use super::{Foreign, NtStatus};
use crate::arch::win64::Routine;

/// KINTERRUPT; its content is ours.
#[derive(Debug)]
#[repr(C)]
pub struct Interrupt {
    object_type: u16,
    size_bytes: u16,
}

/// The service routine's form.
#[derive(Clone, Copy, Debug)]
pub enum Service {
    /// KSERVICE_ROUTINE(interrupt, context).
    Line(Routine),
    /// KMESSAGE_SERVICE_ROUTINE(interrupt, context, message number).
    Message(Routine, u32),
    /// The kernel's own.
    Kernel(fn(u64)),
}

/// What [`connect`] connects.
#[derive(Clone, Copy, Debug)]
pub struct Connection {
    /// Interrupt vector, above 0x30; its upper 4 bits are the interrupt's own IRQL.
    pub vector: u8,
    /// IRQL the routine runs at: at least that of the vector.
    pub synchronize_irql: Irql,
    /// The routine.
    pub service: Service,
    /// Its context.
    pub context: u64,
    /// The driver's own interrupt spin lock, if it brings one.
    pub lock: Option<Foreign<SpinLock>>,
}

/// Connects a routine to a vector. Several may share one.
///
/// # Errors
/// STATUS_INVALID_PARAMETER for a vector or IRQL that devices cannot have.
pub fn connect(_connection: &Connection) -> Result<Foreign<Interrupt>, NtStatus> {
    todo!()
}

/// Disconnects it; false if `interrupt` is not connected.
pub fn disconnect(_interrupt: Foreign<Interrupt>) -> bool {
    todo!()
}

/// KeSynchronizeExecution: the result of the routine.
pub fn synchronize(_interrupt: Foreign<Interrupt>, _routine: Routine, _context: u64) -> bool {
    todo!()
}

/// KeAcquireInterruptSpinLock: returns the old IRQL.
#[must_use]
pub fn acquire_lock(_interrupt: Foreign<Interrupt>) -> Irql {
    todo!()
}

/// KeReleaseInterruptSpinLock.
pub fn release_lock(_interrupt: Foreign<Interrupt>, _old: Irql) {
    todo!()
}

/// Connected interrupt objects, for the leak report.
#[must_use]
pub fn connected_count() -> usize {
    todo!()
}

/// A free vector of the given device IRQL (3 to 11).
#[must_use]
pub fn allocate_vector(_irql: Irql) -> Option<u8> {
    todo!()
}

/// Gives a vector back.
pub fn free_vector(_vector: u8) {
    todo!()
}
