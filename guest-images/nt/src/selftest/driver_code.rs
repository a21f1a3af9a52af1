//! Small pieces of machine code that play the driver: they lie in executable pool that is registered as an image.

use alloc::string::ToString;

use crate::arch::images::{self, Image};
use crate::arch::win64::Routine;
use crate::ke::pool;
use crate::memory::pool::{Content, PoolKind, PoolRequest};

/// The image's name in reports.
pub(super) const NAME: &str = "selftest.sys";
const TAG: u32 = u32::from_le_bytes(*b"Code");
const PAGE_BYTES: u64 = 0x1000;

/// Stores 1 at its first argument. `mov dword ptr [rcx], 1; ret`
pub(super) const STORE: &[u8] = &[0xC7, 0x01, 1, 0, 0, 0, 0xC3];
/// Polls until the word at its first argument is not zero. `l: cmp dword ptr [rcx], 0; je l; ret`
pub(super) const POLL: &[u8] = &[0x83, 0x39, 0x00, 0x74, 0xFB, 0xC3];
/// `__fastfail`: `int 29h`.
pub(super) const FAST_FAIL: &[u8] = &[0xCD, 0x29];
/// Divides by its first argument. `mov eax, 1; xor edx, edx; div ecx; ret`
pub(super) const DIVIDE: &[u8] = &[0xB8, 1, 0, 0, 0, 0x31, 0xD2, 0xF7, 0xF1, 0xC3];
/// Raises CR8 to 15 and comes back so. `mov eax, 15; mov cr8, rax; ret`
pub(super) const RAISE: &[u8] = &[0xB8, 15, 0, 0, 0, 0x44, 0x0F, 0x22, 0xC0, 0xC3];

/// Loads a piece of code.
#[expect(unsafe_code, reason = "writes machine code")]
pub(super) fn load(code: &[u8]) -> Routine {
    let address = pool::allocate(&PoolRequest {
        len_bytes: PAGE_BYTES,
        tag: TAG,
        kind: PoolKind::NonPaged,
        content: Content::Zero,
        executable: true,
        caller: 0,
    })
    .expect("there is memory");
    assert!(code.len() as u64 <= PAGE_BYTES);
    // SAFETY: a page of pool, just allocated.
    unsafe { core::ptr::copy_nonoverlapping(code.as_ptr(), address.as_mut_ptr(), code.len()) };
    images::register(Image {
        name: NAME.to_string(),
        base: address.as_u64(),
        len_bytes: PAGE_BYTES,
    });
    Routine::new(address.as_u64()).expect("pool is not at null")
}

/// Calls a piece of code with one argument.
#[expect(unsafe_code, reason = "calls machine code")]
pub(super) fn call(routine: Routine, argument: u64) -> u64 {
    // SAFETY: one of the pieces above, which take one argument and keep to the convention.
    unsafe { routine.call1(argument) }
}

/// Unloads it.
pub(super) fn unload(routine: Routine) {
    images::unregister(routine.address());
    pool::free(crate::memory::VirtAddr::new(routine.address()), TAG);
}
