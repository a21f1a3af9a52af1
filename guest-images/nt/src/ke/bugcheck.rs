//! Bug checks: the code and its parameters go to the harness as data, then the machine ends.

use crate::arch::images::Symbolic;

/// PAGE_FAULT_IN_NONPAGED_AREA and its fellows: the codes this crate raises, by their documented names.
pub mod code {
    /// IRQL_NOT_GREATER_OR_EQUAL.
    pub const IRQL_NOT_GREATER_OR_EQUAL: u32 = 0x09;
    /// IRQL_NOT_LESS_OR_EQUAL.
    pub const IRQL_NOT_LESS_OR_EQUAL: u32 = 0x0A;
    /// SPIN_LOCK_ALREADY_OWNED.
    pub const SPIN_LOCK_ALREADY_OWNED: u32 = 0x0F;
    /// SPIN_LOCK_NOT_OWNED.
    pub const SPIN_LOCK_NOT_OWNED: u32 = 0x10;
    /// KMODE_EXCEPTION_NOT_HANDLED.
    pub const KMODE_EXCEPTION_NOT_HANDLED: u32 = 0x1E;
    /// PAGE_FAULT_IN_NONPAGED_AREA.
    pub const PAGE_FAULT_IN_NONPAGED_AREA: u32 = 0x50;
    /// ATTEMPTED_SWITCH_FROM_DPC.
    pub const ATTEMPTED_SWITCH_FROM_DPC: u32 = 0xB8;
    /// SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION.
    pub const SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION: u32 = 0xC1;
    /// BAD_POOL_CALLER.
    pub const BAD_POOL_CALLER: u32 = 0xC2;
    /// TIMER_OR_DPC_INVALID.
    pub const TIMER_OR_DPC_INVALID: u32 = 0xC7;
    /// IRQL_UNEXPECTED_VALUE.
    pub const IRQL_UNEXPECTED_VALUE: u32 = 0xC8;
    /// DRIVER_IRQL_NOT_LESS_OR_EQUAL.
    pub const DRIVER_IRQL_NOT_LESS_OR_EQUAL: u32 = 0xD1;
    /// KERNEL_SECURITY_CHECK_FAILURE.
    pub const KERNEL_SECURITY_CHECK_FAILURE: u32 = 0x139;
}

/// Raises a bug check; the location is the driver's frame nearest on the stack.
pub fn raise(code: u32, parameters: [u64; 4]) -> ! {
    raise_at(code, parameters, 0)
}

/// Raises a bug check whose cause lies at a known address.
pub fn raise_at(_code: u32, _parameters: [u64; 4], location: u64) -> ! {
    todo!("{}", Symbolic(location))
}
