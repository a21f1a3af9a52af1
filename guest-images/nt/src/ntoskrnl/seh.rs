//! Structured exceptions that routines raise: ExRaiseStatus, MmProbeAndLockPages, `__C_specific_handler`.
//!
//! A raising shell captures the driver's registers first. The dispatcher then walks the driver's frames by
//! `.pdata`; each frame's language handler decides. A handler that takes the exception unwinds: the
//! frames below run their `__finally` blocks, the registers of its own frame come back, and control goes
//! to its `__except` block. Rust frames have no `.pdata`: an exception that would cross one ends in bug
//! check 0x1E with a clear text. Faults of the CPU are not exceptions here; they are bug checks.
#![expect(unsafe_code, reason = "captures and restores registers")]

use core::arch::naked_asm;
use core::cell::Cell;

use super::driver;
use super::loader;
use super::mm_mdl::probe_and_lock_pages;
use super::shared::{CellStructure, address_of, read_into, shared};
use super::status::NtStatus;
use crate::ke::bugcheck::{self, code};
use crate::log;
use crate::memory::{self, Access};
use crate::pe::unwind::{Frame, Memory, Registers, Scope, find_scope, unwind_frame};

/// Frames that are walked at most.
const MAX_FRAMES: usize = 512;
const EXCEPTION_NONCONTINUABLE: u32 = 1;
const EXCEPTION_UNWINDING: u32 = 2;
const EXCEPTION_TARGET_UNWIND: u32 = 0x20;
/// EXCEPTION_UNWIND: all flags that say "unwinding".
const EXCEPTION_UNWIND: u32 = 0x66;
const CONTINUE_SEARCH: u32 = 1;

/// CONTEXT, as words: RAX at 0x78 to R15 at 0xF0 by register number, RIP at 0xF8, XMM0 at 0x1A0.
type Context = [Cell<u64>; 0x4D0 / 8];

const RAX: usize = 0x78 / 8;
const RIP: usize = 0xF8 / 8;
const XMM0: usize = 0x1A0 / 8;

/// EXCEPTION_RECORD.
#[repr(C)]
struct ExceptionRecord {
    code: Cell<u32>,
    flags: Cell<u32>,
    next: Cell<u64>,
    address: Cell<u64>,
    parameter_count: Cell<u32>,
    information: [Cell<u64>; 15],
}

const _: () = assert!(size_of::<ExceptionRecord>() == 0x98);

/// DISPATCHER_CONTEXT.
#[repr(C)]
struct DispatcherContext {
    control_pc: Cell<u64>,
    image_base: Cell<u64>,
    function_entry: Cell<u64>,
    establisher_frame: Cell<u64>,
    target_ip: Cell<u64>,
    context: Cell<u64>,
    language_handler: Cell<u64>,
    handler_data: Cell<u64>,
    history_table: Cell<u64>,
    scope_index: Cell<u32>,
    fill: Cell<u32>,
}

const _: () = assert!(size_of::<DispatcherContext>() == 0x50);

// SAFETY: cells of integers only.
unsafe impl CellStructure for ExceptionRecord {}
// SAFETY: cells of integers only.
unsafe impl CellStructure for DispatcherContext {}

/// Captures the caller's registers into a CONTEXT at `rsp + 0x20`. At entry of a naked function `rsp` is 8
/// off a multiple of 16; the frame of 0x4F8 bytes aligns it.
macro_rules! capture {
    () => {
        concat!(
            "sub rsp, 0x4F8\n",
            "mov [rsp + 0x20 + 0x90], rbx\n",
            "mov [rsp + 0x20 + 0xA0], rbp\n",
            "mov [rsp + 0x20 + 0xA8], rsi\n",
            "mov [rsp + 0x20 + 0xB0], rdi\n",
            "mov [rsp + 0x20 + 0xD8], r12\n",
            "mov [rsp + 0x20 + 0xE0], r13\n",
            "mov [rsp + 0x20 + 0xE8], r14\n",
            "mov [rsp + 0x20 + 0xF0], r15\n",
            "movaps [rsp + 0x20 + 0x200], xmm6\n",
            "movaps [rsp + 0x20 + 0x210], xmm7\n",
            "movaps [rsp + 0x20 + 0x220], xmm8\n",
            "movaps [rsp + 0x20 + 0x230], xmm9\n",
            "movaps [rsp + 0x20 + 0x240], xmm10\n",
            "movaps [rsp + 0x20 + 0x250], xmm11\n",
            "movaps [rsp + 0x20 + 0x260], xmm12\n",
            "movaps [rsp + 0x20 + 0x270], xmm13\n",
            "movaps [rsp + 0x20 + 0x280], xmm14\n",
            "movaps [rsp + 0x20 + 0x290], xmm15\n",
            "lea rax, [rsp + 0x500]\n",
            "mov [rsp + 0x20 + 0x98], rax\n",
            "mov rax, [rsp + 0x4F8]\n",
            "mov [rsp + 0x20 + 0xF8], rax\n",
        )
    };
}

/// `ExRaiseStatus` (wdm.h). IRQL <= DISPATCH_LEVEL. Does not return: raises the status in the caller.
#[unsafe(naked)]
pub(super) extern "win64" fn ex_raise_status() -> u64 {
    naked_asm!(
        capture!(),
        "lea rdx, [rsp + 0x20]",
        "call {raise}",
        "ud2",
        raise = sym raise,
    )
}

/// `ExRaiseAccessViolation` (wdm.h). As [`ex_raise_status`] with STATUS_ACCESS_VIOLATION.
#[unsafe(naked)]
pub(super) extern "win64" fn ex_raise_access_violation() -> u64 {
    naked_asm!(
        capture!(),
        "mov ecx, 0xC0000005",
        "lea rdx, [rsp + 0x20]",
        "call {raise}",
        "ud2",
        raise = sym raise,
    )
}

/// `MmProbeAndLockPages` (wdm.h): see [`probe_and_lock_pages`]; its failure is raised in the caller.
#[unsafe(naked)]
pub(super) extern "win64" fn mm_probe_and_lock_pages() -> u64 {
    naked_asm!(
        capture!(),
        "call {work}",
        "test eax, eax",
        "js 2f",
        "add rsp, 0x4F8",
        "ret",
        "2:",
        "mov ecx, eax",
        "lea rdx, [rsp + 0x20]",
        "call {raise}",
        "ud2",
        work = sym probe_and_lock_pages,
        raise = sym raise,
    )
}

/// Goes on with the registers of a CONTEXT.
#[unsafe(naked)]
extern "win64" fn resume(context: u64) -> ! {
    naked_asm!(
        "mov rbx, [rcx + 0x90]",
        "mov rbp, [rcx + 0xA0]",
        "mov rsi, [rcx + 0xA8]",
        "mov rdi, [rcx + 0xB0]",
        "mov r12, [rcx + 0xD8]",
        "mov r13, [rcx + 0xE0]",
        "mov r14, [rcx + 0xE8]",
        "mov r15, [rcx + 0xF0]",
        "movaps xmm6, [rcx + 0x200]",
        "movaps xmm7, [rcx + 0x210]",
        "movaps xmm8, [rcx + 0x220]",
        "movaps xmm9, [rcx + 0x230]",
        "movaps xmm10, [rcx + 0x240]",
        "movaps xmm11, [rcx + 0x250]",
        "movaps xmm12, [rcx + 0x260]",
        "movaps xmm13, [rcx + 0x270]",
        "movaps xmm14, [rcx + 0x280]",
        "movaps xmm15, [rcx + 0x290]",
        "mov rax, [rcx + 0x78]",
        "mov rdx, [rcx + 0xF8]",
        "mov rsp, [rcx + 0x98]",
        "jmp rdx",
    )
}

/// Raises `status` at the point that `context` describes.
extern "win64" fn raise(status: NtStatus, context: u64) -> ! {
    let context: &Context = shared(context);
    let record = ExceptionRecord {
        code: Cell::new(status.0),
        flags: Cell::new(EXCEPTION_NONCONTINUABLE),
        next: Cell::new(0),
        address: Cell::new(context[RIP].get()),
        parameter_count: Cell::new(0),
        information: [const { Cell::new(0) }; 15],
    };
    let mut registers = registers_of(context);
    for _ in 0..MAX_FRAMES {
        let step = Step::take(&record, context, &mut registers);
        if let Some(handler) = step.frame.handler.filter(|handler| handler.on_exception) {
            let dispatcher = step.dispatcher(context, 0);
            let disposition = driver::language_handler(
                handler.routine,
                address_of(&record),
                step.frame.establisher,
                address_of(context),
                address_of(&dispatcher),
            );
            if disposition != CONTINUE_SEARCH {
                unhandled(
                    &record,
                    "a handler wants to go on after a noncontinuable exception",
                );
            }
        }
    }
    unhandled(&record, "the stack has more frames than are walked")
}

/// One frame that has been undone.
struct Step {
    frame: Frame,
    image_base: u64,
}

impl Step {
    fn take(record: &ExceptionRecord, _context: &Context, registers: &mut Registers) -> Self {
        let Some(table) = loader::function_table(registers.rip) else {
            unhandled(
                record,
                "the exception would cross a frame outside the drivers' images",
            );
        };
        match unwind_frame(&KernelMemory, table, registers) {
            Ok(frame) => Self {
                frame,
                image_base: table.image_base,
            },
            Err(error) => {
                log!("unwind: {error}");
                unhandled(record, "the frame cannot be unwound")
            }
        }
    }

    fn dispatcher(&self, context: &Context, target_ip: u64) -> DispatcherContext {
        let handler = self.frame.handler;
        DispatcherContext {
            control_pc: Cell::new(self.frame.control_pc),
            image_base: Cell::new(self.image_base),
            function_entry: Cell::new(self.frame.function_entry),
            establisher_frame: Cell::new(self.frame.establisher),
            target_ip: Cell::new(target_ip),
            context: Cell::new(address_of(context)),
            language_handler: Cell::new(handler.map_or(0, |handler| handler.routine)),
            handler_data: Cell::new(handler.map_or(0, |handler| handler.data)),
            history_table: Cell::new(0),
            scope_index: Cell::new(0),
            fill: Cell::new(0),
        }
    }
}

/// `__C_specific_handler` (behind `__try`). Searches the frame's scope table: a filter that takes the exception
/// unwinds to its block; while unwinding, `__finally` blocks run.
pub(super) extern "win64" fn c_specific_handler(
    record: u64,
    frame: u64,
    context: u64,
    dispatcher: u64,
) -> u32 {
    let (record, dispatcher): (&ExceptionRecord, &DispatcherContext) =
        (shared(record), shared(dispatcher));
    if record.flags.get() & EXCEPTION_UNWIND == 0 {
        search(record, frame, context, dispatcher)
    } else {
        run_terminations(record, frame, dispatcher);
    }
    CONTINUE_SEARCH
}

fn search(record: &ExceptionRecord, frame: u64, context: u64, dispatcher: &DispatcherContext) {
    let pointers = [Cell::new(address_of(record)), Cell::new(context)];
    while let Some(scope) = next_scope(record, dispatcher) {
        if scope.target == 0 {
            continue;
        }
        let verdict = match scope.handler {
            1 => 1,
            filter => {
                let routine = dispatcher.image_base.get() + u64::from(filter);
                driver::filter(routine, address_of(&pointers), frame)
            }
        };
        if verdict < 0 {
            unhandled(
                record,
                "a filter wants to go on after a noncontinuable exception",
            );
        }
        if verdict > 0 {
            let target = dispatcher.image_base.get() + u64::from(scope.target);
            unwind_to(record, shared(context), frame, target);
        }
    }
}

fn run_terminations(record: &ExceptionRecord, frame: u64, dispatcher: &DispatcherContext) {
    let is_target = record.flags.get() & EXCEPTION_TARGET_UNWIND != 0;
    let target_rva = rva_in(dispatcher, dispatcher.target_ip.get());
    while let Some(scope) = next_scope(record, dispatcher) {
        // The block that control goes to is itself inside this scope, or is its `__except`.
        if is_target && (scope.holds(target_rva) || scope.target == target_rva) {
            return;
        }
        if scope.target == 0 {
            let routine = dispatcher.image_base.get() + u64::from(scope.handler);
            driver::finally(routine, frame);
        }
    }
}

/// The next scope that holds the frame's address; the index lies in the dispatcher context, so that a
/// nested exception goes on behind it.
fn next_scope(record: &ExceptionRecord, dispatcher: &DispatcherContext) -> Option<Scope> {
    let rva = rva_in(dispatcher, dispatcher.control_pc.get());
    let from = dispatcher.scope_index.get();
    match find_scope(&KernelMemory, dispatcher.handler_data.get(), rva, from) {
        Ok(found) => found.map(|(idx, scope)| {
            dispatcher.scope_index.set(idx + 1);
            scope
        }),
        Err(error) => {
            log!("scope table: {error}");
            unhandled(record, "the scope table cannot be read")
        }
    }
}

fn rva_in(dispatcher: &DispatcherContext, address: u64) -> u32 {
    let offset = address.wrapping_sub(dispatcher.image_base.get());
    u32::try_from(offset).unwrap_or(u32::MAX)
}

/// Leaves all frames below the one at `target_frame` and goes on in it at `target_ip`.
fn unwind_to(record: &ExceptionRecord, context: &Context, target_frame: u64, target_ip: u64) -> ! {
    let mut registers = registers_of(context);
    record.flags.set(record.flags.get() | EXCEPTION_UNWINDING);
    for _ in 0..MAX_FRAMES {
        let before = registers.clone();
        let step = Step::take(record, context, &mut registers);
        let is_target = step.frame.establisher == target_frame;
        if is_target {
            record
                .flags
                .set(record.flags.get() | EXCEPTION_TARGET_UNWIND);
        }
        if let Some(handler) = step.frame.handler.filter(|handler| handler.on_unwind) {
            let dispatcher = step.dispatcher(context, target_ip);
            driver::language_handler(
                handler.routine,
                address_of(record),
                step.frame.establisher,
                address_of(context),
                address_of(&dispatcher),
            );
        }
        if is_target {
            store(context, &before);
            context[RAX].set(record.code.get().into());
            context[RIP].set(target_ip);
            resume(address_of(context));
        }
    }
    unhandled(record, "the frame of the handler was not found")
}

fn registers_of(context: &Context) -> Registers {
    let mut registers = Registers {
        general: [0; 16],
        xmm: [[0; 2]; 16],
        rip: context[RIP].get(),
    };
    for (idx, register) in registers.general.iter_mut().enumerate() {
        *register = context[RAX + idx].get();
    }
    for (idx, halves) in registers.xmm.iter_mut().enumerate() {
        *halves = [
            context[XMM0 + idx * 2].get(),
            context[XMM0 + idx * 2 + 1].get(),
        ];
    }
    registers
}

fn store(context: &Context, registers: &Registers) {
    for (idx, register) in registers.general.iter().enumerate() {
        context[RAX + idx].set(*register);
    }
    for (idx, halves) in registers.xmm.iter().enumerate() {
        context[XMM0 + idx * 2].set(halves[0]);
        context[XMM0 + idx * 2 + 1].set(halves[1]);
    }
}

fn unhandled(record: &ExceptionRecord, why: &str) -> ! {
    let address = record.address.get();
    log!(
        "exception {:#x} raised at {address:#x}: {why}",
        record.code.get()
    );
    let parameters = [record.code.get().into(), address, 0, 0];
    bugcheck::raise_at(code::KMODE_EXCEPTION_NOT_HANDLED, parameters, address)
}

/// Mapped kernel memory.
struct KernelMemory;

impl Memory for KernelMemory {
    fn read(&self, address: u64, bytes: &mut [u8]) -> bool {
        let is_there = memory::probe(address, bytes.len() as u64, Access::Read).is_ok();
        if is_there {
            read_into(address, bytes);
        }
        is_there
    }
}

/// `__chkstk` (compiler): checks the stack for a frame of RAX bytes. Kernel stacks are mapped whole with a
/// guard page below, so there is nothing to touch; RAX stays as it is.
#[unsafe(naked)]
pub(super) extern "win64" fn chkstk() -> u64 {
    naked_asm!("ret")
}
