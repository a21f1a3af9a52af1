//! GDT, TSS and the interrupt stacks.
//!
//! Selectors are those of 64-bit Windows: 0x10 code, 0x18 data, 0x40 TSS. Interrupts enter on a stack of
//! their own (IST), because the code they interrupt may live below its stack pointer; so do exceptions,
//! because the stack may be what is broken.
#![expect(unsafe_code, reason = "loads GDT, TSS and segment registers")]

use core::arch::asm;
use core::cell::UnsafeCell;

use x86_64::VirtAddr;
use x86_64::structures::tss::TaskStateSegment;

const STACK_BYTES: usize = 0x4000;
/// Index into the IST (from 0) for interrupts.
pub const INTERRUPT_IST: u16 = 0;
/// Index for exceptions.
pub const EXCEPTION_IST: u16 = 1;
/// Index for the double fault and the NMI, which may strike inside the handler of an exception.
pub const LAST_RESORT_IST: u16 = 2;
const IST_COUNT: usize = 3;
const TSS_SELECTOR: u16 = 0x40;

#[repr(C, align(16))]
struct Tables {
    stacks: [[u8; STACK_BYTES]; IST_COUNT],
    tss: TaskStateSegment,
    gdt: [u64; 10],
}

struct Shared(UnsafeCell<Tables>);

// SAFETY: written once by `load` while booting, then only by the CPU.
unsafe impl Sync for Shared {}

static TABLES: Shared = Shared(UnsafeCell::new(Tables {
    stacks: [[0; STACK_BYTES]; IST_COUNT],
    tss: TaskStateSegment::new(),
    gdt: [0; 10],
}));

#[repr(C, packed)]
struct TablePointer {
    limit: u16,
    base: u64,
}

/// Fills and loads the tables.
///
/// # Safety
/// Called once, while booting, with interrupts off.
pub unsafe fn load() {
    // SAFETY: nobody else looks at the tables yet.
    let tables = unsafe { &mut *TABLES.0.get() };
    for (idx, stack) in tables.stacks.iter().enumerate() {
        let top = stack.as_ptr().expose_provenance() as u64 + STACK_BYTES as u64;
        tables.tss.interrupt_stack_table[idx] = VirtAddr::new(top);
    }
    let tss = VirtAddr::from_ptr(&raw const tables.tss).as_u64();
    tables.gdt[2] = 0x00AF_9A00_0000_FFFF;
    tables.gdt[3] = 0x00CF_9200_0000_FFFF;
    let limit = size_of::<TaskStateSegment>() as u64 - 1;
    tables.gdt[8] = limit | (tss & 0xFF_FFFF) << 16 | 0x89 << 40 | (tss >> 24 & 0xFF) << 56;
    tables.gdt[9] = tss >> 32;
    let pointer = TablePointer {
        limit: 10 * 8 - 1,
        base: VirtAddr::from_ptr(&raw const tables.gdt).as_u64(),
    };
    // SAFETY: the selectors in use (0x10, 0x18) mean the same in the new table.
    unsafe {
        asm!("lgdt [{}]", in(reg) &raw const pointer, options(readonly, nostack));
        asm!("ltr {:x}", in(reg) TSS_SELECTOR, options(nostack));
    }
}

/// Where GDT and TSS lie, for the KPCR.
#[must_use]
pub fn addresses() -> (u64, u64) {
    // SAFETY: only addresses are taken.
    let (gdt, tss) = unsafe {
        (
            &raw const (*TABLES.0.get()).gdt,
            &raw const (*TABLES.0.get()).tss,
        )
    };
    (
        VirtAddr::from_ptr(gdt).as_u64(),
        VirtAddr::from_ptr(tss).as_u64(),
    )
}
