//! Which upper-half addresses serve what.

use core::ops::Range;

const GIB: u64 = 1 << 30;

/// All RAM, at this distance from its physical address.
pub const DIRECT_MAP: Range<u64> = 0xFFFF_8000_0000_0000..0xFFFF_8080_0000_0000;
/// The pool. The size bounds its page tables (2 MiB of addresses take one), and must be a few times that
/// of RAM, for each small allocation takes two pages of addresses.
pub const POOL: Range<u64> = 0xFFFF_9000_0000_0000..0xFFFF_9000_0000_0000 + 8 * GIB;
/// Mappings: MDLs, device registers, contiguous memory.
pub const SYSTEM_PTES: Range<u64> = 0xFFFF_A000_0000_0000..0xFFFF_A000_0000_0000 + 8 * GIB;
/// Kernel stacks.
pub const STACKS: Range<u64> = 0xFFFF_B000_0000_0000..0xFFFF_B000_0000_0000 + GIB;
/// The page that Windows shares with user programs; drivers read its clocks inline.
pub const SHARED_DATA: u64 = 0xFFFF_F780_0000_0000;
/// Driver images.
pub const IMAGES: Range<u64> = 0xFFFF_F800_0000_0000..0xFFFF_F800_0000_0000 + GIB;
/// The kernel's own image, at this distance from its physical address.
pub const KERNEL_BASE: u64 = 0xFFFF_FFFF_8000_0000;
/// First address of kernel memory.
pub const SYSTEM_RANGE_START: u64 = 0xFFFF_8000_0000_0000;
