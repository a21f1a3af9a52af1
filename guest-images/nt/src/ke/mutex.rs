//! KMUTANT, as KMUTEX.

use super::Foreign;
use super::wait::DispatcherHeader;

/// KMUTANT, 0x38 bytes.
#[derive(Debug)]
#[repr(C)]
pub struct Mutex {
    header: DispatcherHeader,
    mutant_list_entry: [u64; 2],
    owner_thread: u64,
    abandoned: u8,
    apc_disable: u8,
}

/// The caller is not the owner (STATUS_MUTANT_NOT_OWNED).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotOwned;

/// KeInitializeMutex.
pub fn initialize(_mutex: Foreign<Mutex>) {
    todo!()
}

/// KeReleaseMutex: returns the previous state.
///
/// # Errors
/// [`NotOwned`]; nothing has changed.
pub fn release(_mutex: Foreign<Mutex>) -> Result<i32, NotOwned> {
    todo!()
}

/// KeReadStateMutex.
#[must_use]
pub fn read_state(_mutex: Foreign<Mutex>) -> i32 {
    todo!()
}
