//! The IDT and the stubs behind its gates.
//!
//! An interrupt enters on its IST stack. The stub copies the frame to the interrupted stack, 128 bytes below
//! its pointer (the red zone of precompiled code), and goes on there: the IST stack is free again at once, so
//! interrupts nest, and a thread switch may happen inside one. Exceptions stay on their IST stack.
#![expect(unsafe_code, reason = "interrupt gates and their stubs")]

use core::arch::{asm, naked_asm};
use core::cell::UnsafeCell;

use x86_64::VirtAddr;

use super::descriptors::{EXCEPTION_IST, INTERRUPT_IST, LAST_RESORT_IST};
use super::{dispatch, exceptions};

const GATES: usize = 256;
/// Offset of the table's last byte.
const IDT_LIMIT: u16 = 256 * 16 - 1;
/// Bytes of one stub, padded.
const STUB_BYTES: u64 = 16;
const KERNEL_CODE_SELECTOR: u64 = 0x10;
/// Exceptions of the CPU lie below; int 29h and int 2Ch are the compilers'.
const FIRST_INTERRUPT: usize = 0x20;
/// `__fastfail`.
pub const FAST_FAIL: u64 = 0x29;
/// Failed assertion.
pub const ASSERTION: u64 = 0x2C;
const NON_MASKABLE: usize = 2;
const DOUBLE_FAULT: usize = 8;

/// What the CPU and the stub of an exception leave on the stack.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct ExceptionFrame {
    /// General registers, r15 first.
    pub r15: u64,
    /// r14.
    pub r14: u64,
    /// r13.
    pub r13: u64,
    /// r12.
    pub r12: u64,
    /// r11.
    pub r11: u64,
    /// r10.
    pub r10: u64,
    /// r9.
    pub r9: u64,
    /// r8.
    pub r8: u64,
    /// rbp.
    pub rbp: u64,
    /// rdi.
    pub rdi: u64,
    /// rsi.
    pub rsi: u64,
    /// rdx.
    pub rdx: u64,
    /// rcx.
    pub rcx: u64,
    /// rbx.
    pub rbx: u64,
    /// rax.
    pub rax: u64,
    /// Vector, pushed by the stub.
    pub vector: u64,
    /// Error code; 0 where the CPU gives none.
    pub error_code: u64,
    /// Where it happened; may be changed, as all of the frame, to go on elsewhere.
    pub rip: u64,
    /// Code segment.
    pub cs: u64,
    /// Flags.
    pub rflags: u64,
    /// Stack pointer.
    pub rsp: u64,
    /// Stack segment.
    pub ss: u64,
}

struct Shared(UnsafeCell<[[u64; 2]; GATES]>);

// SAFETY: written once by `load` while booting, then only read by the CPU.
unsafe impl Sync for Shared {}

static IDT: Shared = Shared(UnsafeCell::new([[0; 2]; GATES]));

#[repr(C, packed)]
struct TablePointer {
    limit: u16,
    base: u64,
}

/// Fills and loads the IDT.
///
/// # Safety
/// Called once, while booting, after the TSS was loaded.
pub unsafe fn load() {
    // SAFETY: the CPU does not use the table yet.
    let gates = unsafe { &mut *IDT.0.get() };
    let stubs = VirtAddr::from_ptr(stubs as *const ()).as_u64();
    for (vector, gate) in gates.iter_mut().enumerate() {
        let is_exception =
            vector < FIRST_INTERRUPT || vector as u64 == FAST_FAIL || vector as u64 == ASSERTION;
        let ist = match vector {
            NON_MASKABLE | DOUBLE_FAULT => LAST_RESORT_IST,
            _ if is_exception => EXCEPTION_IST,
            _ => INTERRUPT_IST,
        };
        *gate = encode_gate(stubs + vector as u64 * STUB_BYTES, ist);
    }
    let pointer = TablePointer {
        limit: IDT_LIMIT,
        base: address(),
    };
    // SAFETY: every gate names its stub.
    unsafe { asm!("lidt [{}]", in(reg) &raw const pointer, options(readonly, nostack)) };
}

/// Where the IDT lies, for the KPCR.
#[must_use]
pub fn address() -> u64 {
    VirtAddr::from_ptr(IDT.0.get()).as_u64()
}

/// A present interrupt gate of ring 0 (Intel SDM volume 3, section 6.14.1); the field counts ISTs from 1.
fn encode_gate(target: u64, ist: u16) -> [u64; 2] {
    let low = (target & 0xFFFF)
        | KERNEL_CODE_SELECTOR << 16
        | (u64::from(ist) + 1) << 32
        | 0x8E << 40
        | (target >> 16 & 0xFFFF) << 48;
    [low, target >> 32]
}

/// 256 stubs of 16 bytes: each brings the stack to (vector, error code, CPU's frame).
#[unsafe(naked)]
unsafe extern "C" fn stubs() {
    naked_asm!(
        ".set vector, 0",
        ".rept 256",
        ".balign 16",
        // Exceptions with an error code of the CPU's own: 8, 10 to 14, 17, 21, 29, 30.
        ".if (vector < 32) && ((0x60227D00 >> vector) & 1)",
        "push vector",
        "jmp {exception}",
        ".elseif (vector < 32) || (vector == 0x29) || (vector == 0x2C)",
        "push 0",
        "push vector",
        "jmp {exception}",
        ".else",
        "push vector",
        "jmp {interrupt}",
        ".endif",
        ".set vector, vector + 1",
        ".endr",
        exception = sym exception_entry,
        interrupt = sym interrupt_entry,
    )
}

#[unsafe(naked)]
unsafe extern "C" fn exception_entry() {
    naked_asm!(
        "push rax", "push rbx", "push rcx", "push rdx", "push rsi", "push rdi", "push rbp",
        "push r8", "push r9", "push r10", "push r11", "push r12", "push r13", "push r14", "push r15",
        "mov rdi, rsp",
        "mov rbx, rsp",
        "sub rsp, 512",
        "and rsp, -16",
        "fxsave64 [rsp]",
        "cld",
        "call {handler}",
        "fxrstor64 [rsp]",
        "mov rsp, rbx",
        "pop r15", "pop r14", "pop r13", "pop r12", "pop r11", "pop r10", "pop r9", "pop r8",
        "pop rbp", "pop rdi", "pop rsi", "pop rdx", "pop rcx", "pop rbx", "pop rax",
        "add rsp, 16",
        "iretq",
        handler = sym exceptions::handle,
    )
}

#[unsafe(naked)]
unsafe extern "C" fn interrupt_entry() {
    naked_asm!(
        // IST stack: vector, rip, cs, rflags, rsp, ss.
        "push rax",
        "push rcx",
        // New frame: 6 words below the red zone, 16-byte aligned.
        "mov rax, [rsp + 16 + 32]",
        "sub rax, 128 + 48",
        "and rax, -16",
        "mov rcx, [rsp + 16]", "mov [rax], rcx",
        "mov rcx, [rsp + 24]", "mov [rax + 8], rcx",
        "mov rcx, [rsp + 32]", "mov [rax + 16], rcx",
        "mov rcx, [rsp + 40]", "mov [rax + 24], rcx",
        "mov rcx, [rsp + 48]", "mov [rax + 32], rcx",
        "mov rcx, [rsp + 56]", "mov [rax + 40], rcx",
        // The two saved registers go over as well; then the IST stack is free.
        "mov rcx, [rsp + 8]", "mov [rax - 8], rcx",
        "mov rcx, [rsp]",
        "lea rsp, [rax - 8]",
        "push rcx", "push rdx", "push rsi", "push rdi",
        "push r8", "push r9", "push r10", "push r11", "push rbx",
        // Nine pushes and rax leave the stack 16-byte aligned.
        "mov rdi, [rax]",
        "mov rsi, [rax + 8]",
        "sub rsp, 512",
        "fxsave64 [rsp]",
        "cld",
        "call {handler}",
        "fxrstor64 [rsp]",
        "add rsp, 512",
        "pop rbx", "pop r11", "pop r10", "pop r9", "pop r8",
        "pop rdi", "pop rsi", "pop rdx", "pop rcx", "pop rax",
        "add rsp, 8",
        "iretq",
        handler = sym dispatch::interrupt,
    )
}
