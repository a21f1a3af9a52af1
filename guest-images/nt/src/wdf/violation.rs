//! Bug check 0x10D, WDF_VIOLATION: the framework raises it whether a verifier is on or not, so nt does too. A
//! finding before it says in words what was wrong.

use core::fmt;

use crate::ke::bugcheck;
use crate::ke::irql::{self, Irql};
use crate::ntoskrnl::status::{self, NtStatus};
use crate::ntoskrnl::verifier;

/// WDF_VIOLATION
pub const WDF_VIOLATION: u32 = 0x10D;

/// First parameter of [`WDF_VIOLATION`] (wdfbugcodes.h).
pub mod reason {
    /// WDF_RECURSIVE_LOCK
    pub const RECURSIVE_LOCK: u64 = 0x2;
    /// WDF_VERIFIER_FATAL_ERROR
    pub const VERIFIER_FATAL_ERROR: u64 = 0x3;
    /// WDF_REQUIRED_PARAMETER_IS_NULL
    pub const REQUIRED_PARAMETER_IS_NULL: u64 = 0x4;
    /// WDF_INVALID_HANDLE
    pub const INVALID_HANDLE: u64 = 0x5;
    /// WDF_REQUEST_FATAL_ERROR
    pub const REQUEST_FATAL_ERROR: u64 = 0x6;
    /// WDF_OBJECT_ERROR
    pub const OBJECT_ERROR: u64 = 0x7;
    /// WDF_DMA_FATAL_ERROR
    pub const DMA_FATAL_ERROR: u64 = 0x8;
    /// WDF_INVALID_INTERRUPT
    pub const INVALID_INTERRUPT: u64 = 0x9;
    /// WDF_QUEUE_FATAL_ERROR
    pub const QUEUE_FATAL_ERROR: u64 = 0xA;
    /// WDF_INVALID_LOCK_OPERATION
    pub const INVALID_LOCK_OPERATION: u64 = 0xB;
    /// WDF_PNP_FATAL_ERROR
    pub const PNP_FATAL_ERROR: u64 = 0xC;
    /// WDF_POWER_MULTIPLE_PPO
    pub const POWER_MULTIPLE_PPO: u64 = 0xD;
    /// WDF_VERIFIER_IRQL_MISMATCH
    pub const IRQL_MISMATCH: u64 = 0xE;
}

/// Raises WDF_VIOLATION; `id` and `detail` go out as a finding first.
pub fn raise(id: &str, detail: fmt::Arguments<'_>, parameters: [u64; 4]) -> ! {
    verifier::finding(id, detail);
    bugcheck::raise(WDF_VIOLATION, parameters)
}

/// Requires a pointer or handle that must not be null: else 0x10D/4.
pub fn not_null(function: &str, parameter: &str, value: u64) {
    if value == 0 {
        raise(
            "wdf-parameter-null",
            format_args!("{function}: {parameter} is null"),
            [reason::REQUIRED_PARAMETER_IS_NULL, 0, 0, 0],
        );
    }
}

/// Requires an IRQL of at most `limit`, of a function in which the framework does not look at it: a broken rule
/// without a documented code.
pub fn at_most(function: &str, limit: Irql) {
    let current = irql::current();
    if current > limit {
        verifier::undocumented_violation(
            "wdf-irql",
            format_args!("{function} at IRQL {current}, at most {limit} is allowed"),
        );
    }
}

/// Requires an IRQL of at most `limit`, of a function in which the framework looks at it: a finding, and with
/// `verifier=on` the function fails, as under the framework's own verifier.
///
/// # Errors
/// STATUS_INVALID_DEVICE_REQUEST.
pub fn check_level(function: &str, limit: Irql) -> Result<(), NtStatus> {
    let current = irql::current();
    if current <= limit {
        return Ok(());
    }
    verifier::finding(
        "wdf-irql-refused",
        format_args!("{function} at IRQL {current}, at most {limit} is allowed"),
    );
    if verifier::is_on() {
        return Err(status::INVALID_DEVICE_REQUEST);
    }
    Ok(())
}

/// A callback that came back at another IRQL than it was called at: 0x10D/0xE with the levels before and after.
pub fn check_return_level(callback: &str, before: Irql) {
    let after = irql::current();
    if after != before {
        verifier::violation(
            "wdf-callback-irql",
            format_args!("{callback} was called at IRQL {before} and came back at {after}"),
            verifier::Documented {
                code: WDF_VIOLATION,
                parameters: [reason::IRQL_MISMATCH, before.into(), after.into(), 0],
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ke::irql::{DISPATCH_LEVEL, PASSIVE_LEVEL};

    #[test]
    fn checked_level_fails_the_function_and_never_stops() {
        assert_eq!(check_level("test", PASSIVE_LEVEL), Ok(()));
        let refused = irql::at(DISPATCH_LEVEL, || check_level("test", PASSIVE_LEVEL));
        assert_eq!(refused, Err(status::INVALID_DEVICE_REQUEST));
    }

    #[test]
    #[should_panic(expected = "bug check 0x10d [\n    0xe,\n    0x0,\n    0x2")]
    fn callback_that_leaves_the_irql_raised_is_a_bug_check() {
        let before = irql::current();
        irql::raise(DISPATCH_LEVEL);
        check_return_level("EvtTest", before);
    }

    #[test]
    #[should_panic(expected = "bug check 0x10d [\n    0x4")]
    fn null_is_a_bug_check() {
        not_null("test", "Parameter", 0);
    }
}
