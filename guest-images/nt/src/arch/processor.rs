//! The processor control region that GS points to: what drivers read inline of it (`gs:[18h]`, `[20h]`,
//! `[184h]`, `[188h]`, `[1A4h]`).
#![expect(unsafe_code, reason = "a page that compiled drivers read through GS")]

use core::cell::UnsafeCell;

use x86_64::VirtAddr;
use x86_64::registers::model_specific::GsBase;

use super::{descriptors, vectors};

/// Bytes of the region, the processor block included.
const REGION_BYTES: usize = 0x1000;
const GDT_BASE: usize = 0x00;
const TSS_BASE: usize = 0x08;
const SELF_POINTER: usize = 0x18;
const CURRENT_PROCESSOR_BLOCK: usize = 0x20;
const IDT_BASE: usize = 0x38;
const MAJOR_VERSION: usize = 0x60;
const PROCESSOR_BLOCK: usize = 0x180;
/// Offset of the current thread from GS.
pub const CURRENT_THREAD: usize = 0x188;
const IDLE_THREAD: usize = 0x198;

#[repr(C, align(4096))]
struct Region([u8; REGION_BYTES]);

struct Shared(UnsafeCell<Region>);

// SAFETY: one CPU; the kernel writes single words of it, drivers only read.
unsafe impl Sync for Shared {}

static REGION: Shared = Shared(UnsafeCell::new(Region([0; REGION_BYTES])));

/// Fills the region and points GS to it.
pub fn load() {
    let base = VirtAddr::from_ptr(REGION.0.get()).as_u64();
    let (gdt, tss) = descriptors::addresses();
    write(GDT_BASE, gdt);
    write(TSS_BASE, tss);
    write(SELF_POINTER, base);
    write(CURRENT_PROCESSOR_BLOCK, base + PROCESSOR_BLOCK as u64);
    write(IDT_BASE, vectors::address());
    write(MAJOR_VERSION, 1);
    if cfg!(feature = "kernel") {
        GsBase::write(VirtAddr::new(base));
    }
}

/// Sets the current thread.
pub fn set_current_thread(thread: u64) {
    write(CURRENT_THREAD, thread);
}

/// The current thread.
#[must_use]
pub fn current_thread() -> u64 {
    // SAFETY: in the region, aligned.
    unsafe { word(CURRENT_THREAD).read_volatile() }
}

/// Notes the idle thread.
pub fn set_idle_thread(thread: u64) {
    write(IDLE_THREAD, thread);
}

fn write(offset: usize, value: u64) {
    // SAFETY: in the region, aligned; see `Sync`.
    unsafe { word(offset).write_volatile(value) };
}

fn word(offset: usize) -> *mut u64 {
    assert!(offset + 8 <= REGION_BYTES && offset.is_multiple_of(8));
    REGION.0.get().cast::<u64>().wrapping_add(offset / 8)
}
