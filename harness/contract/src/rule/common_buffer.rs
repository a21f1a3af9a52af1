//! Common buffers of the HAL's own memory, and freeing any of them (AC, AX, AB, FC).

use super::{Rule, derived, documented, unknown};

const PAGE: &str = "nc-wdm-pallocate_common_buffer";
const USE_PAGE: &str = "kernel/using-common-buffer-bus-master-dma";
const EX_PAGE: &str = "nc-wdm-pallocate_common_buffer_ex";
const BOUNDS_PAGE: &str = "nc-wdm-pallocate_common_buffer_with_bounds";
const FREE_PAGE: &str = "nc-wdm-pfree_common_buffer";
const VERIFIER_PAGE: &str = "debugger/bug-check-0xe6--driver-verifier-dma-violation";
const BUFFER_SOURCE: &str = "framework/kmdf/src/dma/base/fxcommonbuffer.cpp";

#[rustfmt::skip]
pub(super) const ALLOCATE: &[Rule] = &[
    documented("AC-1", PAGE, "at PASSIVE_LEVEL the call gives a virtual address and its logical address, or NULL").fatal(),
    documented("AC-2", PAGE, "CPU and device both reach the memory, and for the device it is contiguous"),
    documented("AC-3", PAGE, "CacheEnabled is not looked at: on x64 the buffer is cached and DMA is coherent"),
    documented("AC-4", PAGE, "at least a page is used up; only Length bytes of it are the driver's").fatal(),
    documented("AC-5", PAGE, "the device uses the logical address, which need not be the physical one").fatal(),
    documented("AC-6", USE_PAGE, "all common buffers together have no more pages than the adapter has map registers").undefined(),
    derived("AC-7", BUFFER_SOURCE, "virtual and logical address start a page"),
    derived("AC-8", PAGE, "the buffer lies within the adapter's address width"),
    unknown("AC-9", PAGE, "what length 0 gives"),
    documented("AC-10", USE_PAGE, "a driver that gets NULL fails its start with STATUS_INSUFFICIENT_RESOURCES").undefined(),
    unknown("AC-11", PAGE, "what the memory holds at first"),
];

#[rustfmt::skip]
pub(super) const ALLOCATE_EX: &[Rule] = &[
    documented("AX-1", EX_PAGE, "at PASSIVE_LEVEL the call gives a virtual address and its logical address, or NULL").fatal(),
    documented("AX-2", EX_PAGE, "the buffer lies below MaximumAddress; NULL sets no limit"),
    documented("AX-3", EX_PAGE, "CacheEnabled decides whether the memory is cached"),
    documented("AX-4", EX_PAGE, "PreferredNode is a wish; node 0 is right where there is one node"),
    derived("AX-5", EX_PAGE, "FreeCommonBuffer frees it, with the values of the allocation").undefined(),
];

#[rustfmt::skip]
pub(super) const ALLOCATE_WITH_BOUNDS: &[Rule] = &[
    documented("AB-1", BOUNDS_PAGE, "at PASSIVE_LEVEL the call gives memory that CPU and device both reach, with its logical address, or NULL").fatal(),
    documented("AB-2", BOUNDS_PAGE, "the buffer's logical address is not below the minimum"),
    documented("AB-3", BOUNDS_PAGE, "the buffer lies below the maximum"),
    derived("AB-4", BOUNDS_PAGE, "the bounds hold for the logical address; with remapping the pages may be anywhere"),
    documented("AB-5", BOUNDS_PAGE, "the length counts bytes and has 32 bits"),
    documented("AB-6", BOUNDS_PAGE, "DOMAIN_COMMON_BUFFER_LARGE_PAGE gives the buffer in pieces of 2 MiB, or fails; 0 asks for nothing"),
    documented("AB-7", BOUNDS_PAGE, "a cache type is MmNonCached or MmCached and is followed; NULL leaves it to the platform").undefined(),
    documented("AB-8", BOUNDS_PAGE, "PreferredNode is a wish; node 0 is right where there is one node"),
    derived("AB-9", BOUNDS_PAGE, "bounds that cannot be met give NULL"),
    documented("AB-10", BOUNDS_PAGE, "FreeCommonBuffer frees the buffer and ends its translation").undefined(),
];

#[rustfmt::skip]
pub(super) const FREE: &[Rule] = &[
    documented("FC-1", FREE_PAGE, "a common buffer is freed at PASSIVE_LEVEL").fatal(),
    documented("FC-2", FREE_PAGE, "it is freed whole, with the length, addresses and cache setting of its allocation").undefined(),
    documented("FC-3", FREE_PAGE, "virtual and logical mapping go; the device must not touch the range any more").fatal(),
    documented("FC-4", VERIFIER_PAGE, "the verifier stops a driver that frees a common buffer twice, or wrote beyond it").fatal(),
];
