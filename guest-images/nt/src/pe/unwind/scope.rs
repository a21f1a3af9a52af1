//! The scope table of `__C_specific_handler`: which `__try` holds an address.

use super::{Memory, UnwindError, read_u32};

/// One `__try` block; all addresses are RVAs, end is exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope {
    /// First byte of the guarded code.
    pub begin: u32,
    /// First byte behind it.
    pub end: u32,
    /// Filter (1 = always handle), or the termination handler where `target` is 0.
    pub handler: u32,
    /// The `__except` block; 0 for `__finally`.
    pub target: u32,
}

impl Scope {
    /// Whether the block guards the code at `rva`.
    #[must_use]
    pub fn holds(&self, rva: u32) -> bool {
        (self.begin..self.end).contains(&rva)
    }
}

/// Finds the first scope from number `from` on that guards `rva`; answers its number too. `data` is the
/// handler data of the frame.
///
/// # Errors
/// If the table is not readable.
pub fn find_scope(
    memory: &dyn Memory,
    data: u64,
    rva: u32,
    from: u32,
) -> Result<Option<(u32, Scope)>, UnwindError> {
    let word = |address| read_u32(memory, address).ok_or(UnwindError::Memory { address });
    let n_scopes = word(data)?;
    for idx in from..n_scopes {
        let address = data + 4 + u64::from(idx) * 16;
        let scope = Scope {
            begin: word(address)?,
            end: word(address + 4)?,
            handler: word(address + 8)?,
            target: word(address + 12)?,
        };
        if scope.holds(rva) {
            return Ok(Some((idx, scope)));
        }
    }
    Ok(None)
}
