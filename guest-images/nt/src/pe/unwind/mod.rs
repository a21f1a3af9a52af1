//! Walking the frames of x64 Windows code by its `.pdata` and `.xdata` (Microsoft's "x64 exception
//! handling" page: RUNTIME_FUNCTION, UNWIND_INFO, unwind codes).
//!
//! [`unwind_frame`] undoes one frame on a copy of the registers; it reads through [`Memory`], so that damaged
//! tables and stacks give an error and tests run on plain arrays. [`find_scope`] reads the scope table
//! of `__C_specific_handler`.

mod codes;
mod scope;
#[cfg(test)]
mod tests;

pub use codes::{Frame, FunctionTable, Handler, Registers, UnwindError, unwind_frame};
pub use scope::{Scope, find_scope};

/// Memory as the unwinder sees it.
pub trait Memory {
    /// Fills `bytes` from `address`; `false` if any of it is not there.
    fn read(&self, address: u64, bytes: &mut [u8]) -> bool;
}

fn read_u16(memory: &dyn Memory, address: u64) -> Option<u16> {
    let mut bytes = [0; 2];
    memory
        .read(address, &mut bytes)
        .then(|| u16::from_le_bytes(bytes))
}

fn read_u32(memory: &dyn Memory, address: u64) -> Option<u32> {
    let mut bytes = [0; 4];
    memory
        .read(address, &mut bytes)
        .then(|| u32::from_le_bytes(bytes))
}

fn read_u64(memory: &dyn Memory, address: u64) -> Option<u64> {
    let mut bytes = [0; 8];
    memory
        .read(address, &mut bytes)
        .then(|| u64::from_le_bytes(bytes))
}
