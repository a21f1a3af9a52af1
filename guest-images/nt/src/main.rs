//! The freestanding binary of the nt guest: entry, panic handler, heap, and the C routines that
//! compiled code calls. Everything else is the library.
#![no_std]
#![no_main]
#![expect(
    unsafe_code,
    reason = "symbols that the boot code and the compiler call by name"
)]

mod c_runtime;

use core::panic::PanicInfo;

/// Takes over from the boot code, in long mode on the boot stack, with the physical address of the
/// PVH start info.
#[unsafe(no_mangle)]
extern "C" fn kernel_start(start_info: u32) -> ! {
    let kernel = nt::boot::entry::kernel_sections();
    // SAFETY: this is the boot code's one call.
    unsafe { nt::boot::start(u64::from(start_info), &kernel, main_thread) }
}

/// The first system thread.
fn main_thread(_context: u64) {
    nt::selftest::run();
    nt::pnp::run();
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    nt::arch::panic::stop(info)
}
