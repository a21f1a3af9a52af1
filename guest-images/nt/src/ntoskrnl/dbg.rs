//! Debug output. What drivers print goes to the debug console as text; it cannot forge machine lines.

use core::arch::naked_asm;

use super::c_library::{format_narrow, variadic};
use super::verifier;
use crate::console;

variadic! {
    /// `DbgPrint` (wdm.h): (format, ...). Any IRQL. STATUS_SUCCESS.
    dbg_print => print, "rdx", 1
}

variadic! {
    /// `DbgPrintEx` (wdm.h): (component, level, format, ...). Any IRQL. STATUS_SUCCESS. Nothing is filtered.
    dbg_print_ex => print_ex, "r9", 3
}

extern "win64" fn print(text: u64, slots: u64) -> u32 {
    console::log_text(&format_narrow(text, slots));
    0
}

extern "win64" fn print_ex(_component: u32, _level: u32, text: u64, slots: u64) -> u32 {
    print(text, slots)
}

/// `vDbgPrintEx` (wdm.h): (component, level, format, va_list). Any IRQL. STATUS_SUCCESS.
pub(super) extern "win64" fn v_dbg_print_ex(
    component: u32,
    level: u32,
    text: u64,
    slots: u64,
) -> u32 {
    print_ex(component, level, text, slots)
}

/// `DbgBreakPoint` (wdm.h). Any IRQL. There is no debugger: a finding.
pub(super) extern "win64" fn dbg_break_point() {
    verifier::finding("break-point", format_args!("DbgBreakPoint"));
}
