//! MDL and memory routines as sources of common buffers (MD). The numbers are ours, in the order of
//! the routines.

use super::{Rule, documented};

const ALLOCATE_PAGE: &str = "nf-wdm-ioallocatemdl";
const FREE_PAGE: &str = "nf-wdm-iofreemdl";
const PARTIAL_PAGE: &str = "nf-wdm-iobuildpartialmdl";
const BUILD_PAGE: &str = "nf-wdm-mmbuildmdlfornonpagedpool";
const LOCK_PAGE: &str = "nf-wdm-mmprobeandlockpages";
const UNLOCK_PAGE: &str = "nf-wdm-mmunlockpages";
const MAP_PAGE: &str = "nf-wdm-mmgetsystemaddressformdlsafe";
const UNMAP_PAGE: &str = "nf-wdm-mmunmaplockedpages";
const PAGES_PAGE: &str = "nf-wdm-mmallocatepagesformdlex";
const FREE_PAGES_PAGE: &str = "nf-wdm-mmfreepagesfrommdl";
const CONTIGUOUS_PAGE: &str = "nf-wdm-mmallocatecontiguousmemoryspecifycache";
const FRAMES_PAGE: &str = "nf-wdm-mmgetmdlpfnarray";

#[rustfmt::skip]
pub(super) const RULES: &[Rule] = &[
    documented("MD-1", ALLOCATE_PAGE, "IoAllocateMdl describes a range of virtual addresses and fills in no frames"),
    documented("MD-2", FREE_PAGE, "IoFreeMdl frees this MDL and not the ones chained behind it; locked pages were unlocked before").fatal(),
    documented("MD-3", PARTIAL_PAGE, "a partial MDL describes part of a locked or built one, and shares its mapping").undefined(),
    documented("MD-4", BUILD_PAGE, "MmBuildMdlForNonPagedPool fills in the frames of nonpaged memory; the MDL's system address is the memory's own").fatal(),
    documented("MD-5", LOCK_PAGE, "MmProbeAndLockPages raises STATUS_ACCESS_VIOLATION for memory that is not there").fatal(),
    documented("MD-6", LOCK_PAGE, "pages are locked once, and not by an MDL that was built or is partial").fatal(),
    documented("MD-7", UNLOCK_PAGE, "MmUnlockPages also takes the MDL's system mapping away").fatal(),
    documented("MD-8", MAP_PAGE, "an MDL has one system mapping: asking again gives the same address, which keeps the byte offset"),
    documented("MD-9", UNMAP_PAGE, "MmUnmapLockedPages ends the mapping and leaves the pages locked").fatal(),
    documented("MD-10", PAGES_PAGE, "MmAllocatePagesForMdlEx gives locked, zeroed pages without a mapping, maybe fewer than asked for"),
    documented("MD-11", PAGES_PAGE, "MM_ALLOCATE_FULLY_REQUIRED gives all pages or NULL"),
    documented("MD-12", PAGES_PAGE, "MM_ALLOCATE_REQUIRE_CONTIGUOUS_CHUNKS gives one run of pages, or runs of the size asked for, or NULL"),
    documented("MD-13", FREE_PAGES_PAGE, "MmFreePagesFromMdl drops the mapping and frees the pages, not the MDL").fatal(),
    documented("MD-14", CONTIGUOUS_PAGE, "contiguous memory starts a page, is physically contiguous, and lies within the bounds asked for"),
    documented("MD-15", FRAMES_PAGE, "an MDL has as many frames as pages that its offset and length touch"),
];
