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
    nt::boot::start(u64::from(start_info))
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    nt::arch::panic::stop(info)
}
