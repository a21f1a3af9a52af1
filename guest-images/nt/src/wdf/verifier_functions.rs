//! WdfVerifierDbgBreakPoint and WdfVerifierKeBugCheck (indices 367, 368): the driver's own assertions.

use crate::ke::bugcheck;
use crate::ntoskrnl::verifier;

/// `WdfVerifierDbgBreakPoint` (wdfverifier.h). Any IRQL. There is no debugger: a finding.
pub(super) extern "win64" fn break_point(_globals: u64) {
    verifier::finding("break-point", format_args!("WdfVerifierDbgBreakPoint"));
}

/// `WdfVerifierKeBugCheck` (wdfverifier.h). Any IRQL. The bug check that the driver asks for.
pub(super) extern "win64" fn bug_check(
    _globals: u64,
    code: u32,
    first: u64,
    second: u64,
    third: u64,
    fourth: u64,
) {
    bugcheck::raise(code, [first, second, third, fourth]);
}
