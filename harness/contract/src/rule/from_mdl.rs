//! CreateCommonBufferFromMdl (CM).

use super::{Rule, documented, unknown};

const PAGE: &str = "nc-wdm-pcreate-common-buffer-from-mdl";
const ACCESS_PAGE: &str = "ne-wdm-dma_common_buffer_extended_configuration_access_type";
const CONFIG_PAGE: &str = "ns-wdm-dma_common_buffer_extended_configuration";

#[rustfmt::skip]
pub(super) const RULES: &[Rule] = &[
    documented("CM-1", PAGE, "a page-aligned, whole-page MDL over nonpaged pool, built with MmBuildMdlForNonPagedPool, makes a common buffer; without remapping if it is physically contiguous"),
    documented("CM-2", PAGE, "an MDL locked by MmProbeAndLockPages and mapped to system space makes a common buffer"),
    documented("CM-3", PAGE, "an MDL of MmAllocatePagesForMdlEx mapped to system space makes a common buffer; with remapping even of scattered pages, as one contiguous logical range"),
    documented("CM-4", PAGE, "an MDL that is not mapped to system space is refused"),
    documented("CM-5", PAGE, "an MDL whose pages are neither locked nor built is refused"),
    documented("CM-6", PAGE, "an MDL that does not start on a page is refused"),
    documented("CM-7", PAGE, "an MDL whose length is not a multiple of the page size is refused"),
    documented("CM-8", PAGE, "a chained MDL is refused without a SubSection"),
    documented("CM-9", PAGE, "pages that are not contiguous are refused without remapping, and made contiguous for the device with it"),
    documented("CM-10", PAGE, "pages beyond the adapter's width are refused without remapping, and brought inside it with remapping"),
    documented("CM-11", CONFIG_PAGE, "a SubSection of whole pages inside one MDL makes a common buffer of just that part"),
    documented("CM-12", CONFIG_PAGE, "a SubSection of a chain that lies inside one MDL of it makes a common buffer"),
    documented("CM-13", CONFIG_PAGE, "a SubSection that spans two MDLs of a chain is refused"),
    documented("CM-14", CONFIG_PAGE, "a SubSection that is not page aligned, is empty, or passes the end of the MDL is refused"),
    documented("CM-15", CONFIG_PAGE, "LogicalAddressLimits that can be met are met, both ends inclusive"),
    documented("CM-16", CONFIG_PAGE, "LogicalAddressLimits that cannot be met are refused"),
    documented("CM-17", ACCESS_PAGE, "hardware access ReadWrite is always possible"),
    documented("CM-18", ACCESS_PAGE, "hardware access ReadOnly or WriteOnly needs remapping, and is then enforced by the IOMMU").fatal(),
    documented("CM-19", PAGE, "two configurations of the same type are refused"),
    documented("CM-20", CONFIG_PAGE, "a configuration or access type that does not exist is refused"),
    documented("CM-21", PAGE, "no configuration means the whole MDL anywhere within the adapter's reach"),
    documented("CM-22", PAGE, "without memory for its own needs the call gives STATUS_INSUFFICIENT_RESOURCES"),
    documented("CM-23", PAGE, "adapters of version 1 and 2 have no such member").undefined(),
    unknown("CM-24", PAGE, "what LogicalAddress holds after a failure"),
    documented("CM-25", PAGE, "FreeCommonBuffer with the MDL's system address removes the common buffer").undefined(),
    documented("CM-26", PAGE, "after FreeCommonBuffer the MDL and its pages are untouched, and the logical range no longer translates"),
    documented("CM-27", PAGE, "the MDL's pages stay locked and mapped as long as the common buffer lives").fatal(),
];
