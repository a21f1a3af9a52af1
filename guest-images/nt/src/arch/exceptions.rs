//! Exceptions of the CPU: a driver's become bug checks, the kernel's own end in a panic line.

use x86_64::registers::control::Cr2;

use super::exit::{ExitCode, exit};
use super::guarded::Guarded;
use super::images::{self, Symbolic};
use super::irql;
use super::vectors::{ASSERTION, ExceptionFrame, FAST_FAIL};
use crate::console::Event;
use crate::ke::bugcheck::{self, code};
use crate::ke::thread;

const PAGE_FAULT: u64 = 14;
/// Bits of a page fault's error code.
const FAULT_WRITE: u64 = 1 << 1;
const FAULT_FETCH: u64 = 1 << 4;

/// Decides whether an exception in a driver's code is dealt with; if so it has changed the frame, and the
/// machine goes on there.
pub type ExceptionFilter = fn(&mut ExceptionFrame, u32) -> bool;

/// Is told the address of a page fault and of the instruction in a driver's code before it becomes a bug check, and may end the run
/// for a better reason.
pub type FaultWitness = fn(address: u64, instruction: u64);

static WITNESS: Guarded<Option<FaultWitness>> = Guarded::new(None);
static FILTER: Guarded<Option<ExceptionFilter>> = Guarded::new(None);

/// Registers who may deal with exceptions in drivers' code before they become bug checks. The filter is
/// called on the exception's own stack, interrupts off, with the frame and the NTSTATUS of the exception.
pub fn set_filter(filter: ExceptionFilter) {
    FILTER.with(|slot| *slot = Some(filter));
}

/// Registers who is told of page faults in drivers' code.
pub fn set_witness(witness: FaultWitness) {
    WITNESS.with(|slot| *slot = Some(witness));
}

/// Called by the stub.
pub(super) extern "C" fn handle(frame: &mut ExceptionFrame) {
    let fault_address = Cr2::read_raw();
    if !images::contains(frame.rip) {
        stop_kernel(frame, fault_address);
    }
    if frame.vector == FAST_FAIL {
        let parameters = [frame.rcx, 0, 0, 0];
        bugcheck::raise_at(code::KERNEL_SECURITY_CHECK_FAILURE, parameters, frame.rip);
    }
    let status = status_of(frame);
    if FILTER
        .with(|slot| *slot)
        .is_some_and(|filter| filter(frame, status))
    {
        return;
    }
    raise(frame, status, fault_address);
}

fn raise(frame: &ExceptionFrame, status: u32, fault_address: u64) -> ! {
    if frame.vector != PAGE_FAULT {
        let parameters = [sign_extended(status), frame.rip, 0, 0];
        bugcheck::raise_at(code::KMODE_EXCEPTION_NOT_HANDLED, parameters, frame.rip);
    }
    if let Some(witness) = WITNESS.with(|slot| *slot) {
        witness(fault_address, frame.rip);
    }
    let access = match frame.error_code {
        error if error & FAULT_FETCH != 0 => 8,
        error if error & FAULT_WRITE != 0 => 1,
        _ => 0,
    };
    let level = u64::from(irql::current());
    let (code, parameters) = if level >= u64::from(irql::DISPATCH_LEVEL) {
        let parameters = [fault_address, level, access, frame.rip];
        (code::DRIVER_IRQL_NOT_LESS_OR_EQUAL, parameters)
    } else {
        let access = if access == 8 { 0x10 } else { access * 2 };
        let parameters = [fault_address, access, frame.rip, 0];
        (code::PAGE_FAULT_IN_NONPAGED_AREA, parameters)
    };
    bugcheck::raise_at(code, parameters, frame.rip)
}

/// Writes the panic line of an exception in the kernel's own code; allocates nothing.
fn stop_kernel(frame: &ExceptionFrame, fault_address: u64) -> ! {
    Event::new("panic")
        .display(
            "message",
            &format_args!(
                "exception {:#x} in the kernel, error code {:#x}, address {fault_address:#x}, IRQL {}",
                frame.vector,
                frame.error_code,
                irql::current()
            ),
        )
        .text("thread", thread::current_name())
        .display("location", &Symbolic(frame.rip))
        .display("driver", &Symbolic(bugcheck::nearest_driver_frame(frame.rsp).unwrap_or(0)))
        .display("registers", &Registers(frame))
        .send();
    exit(ExitCode::Panic)
}

struct Registers<'frame>(&'frame ExceptionFrame);

impl core::fmt::Display for Registers<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let frame = self.0;
        write!(
            f,
            "rax={:#x} rbx={:#x} rcx={:#x} rdx={:#x} rsi={:#x} rdi={:#x} rbp={:#x} rsp={:#x} ",
            frame.rax, frame.rbx, frame.rcx, frame.rdx, frame.rsi, frame.rdi, frame.rbp, frame.rsp
        )?;
        write!(
            f,
            "r8={:#x} r9={:#x} r10={:#x} r11={:#x} r12={:#x} r13={:#x} r14={:#x} r15={:#x} rflags={:#x}",
            frame.r8,
            frame.r9,
            frame.r10,
            frame.r11,
            frame.r12,
            frame.r13,
            frame.r14,
            frame.r15,
            frame.rflags
        )
    }
}

/// The NTSTATUS that Windows gives the exception.
fn status_of(frame: &ExceptionFrame) -> u32 {
    match frame.vector {
        0 => 0xC000_0094,
        3 => 0x8000_0003,
        4 => 0xC000_0095,
        6 => 0xC000_001D,
        PAGE_FAULT | 13 => 0xC000_0005,
        16 | 19 => 0xC000_0090,
        17 => 0x8000_0002,
        ASSERTION => 0xC000_0420,
        _ => 0xC000_0001,
    }
}

/// Bug check parameters show an NTSTATUS sign-extended.
fn sign_extended(status: u32) -> u64 {
    u64::from(status) | 0xFFFF_FFFF_0000_0000
}
