//! KDPC and its queue.

use super::Foreign;
use crate::arch::win64::Routine;

/// KDPC, 0x40 bytes.
#[derive(Debug)]
#[repr(C)]
pub struct Dpc {
    object_type: u8,
    importance: u8,
    number: u16,
    reserved: u32,
    list_entry: u64,
    processor_history: u64,
    deferred_routine: u64,
    deferred_context: u64,
    system_argument1: u64,
    system_argument2: u64,
    dpc_data: u64,
}

/// KeInitializeDpc.
pub fn initialize(_dpc: Foreign<Dpc>, _routine: Routine, _context: u64) {
    todo!()
}

/// KeInsertQueueDpc: false if it is queued already.
pub fn insert(_dpc: Foreign<Dpc>, _argument1: u64, _argument2: u64) -> bool {
    todo!()
}

/// KeRemoveQueueDpc: whether it was queued.
pub fn remove(_dpc: Foreign<Dpc>) -> bool {
    todo!()
}

/// KeFlushQueuedDpcs: returns when all DPCs queued so far have run. PASSIVE_LEVEL.
pub fn flush() {
    todo!()
}
