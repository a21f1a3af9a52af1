//! Domains and the rest of the version 3 table (DD).

use super::{Rule, documented};

const JOIN_PAGE: &str = "nc-wdm-pjoin_dma_domain";
const ALLOCATE_PAGE: &str = "nc-wdm-pallocate_domain_common_buffer";
const FLUSH_PAGE: &str = "nc-wdm-pflush_dma_buffer";
const VECTOR_PAGE: &str = "debugger/bug-check-0x1dc--dma-common-buffer-vector-error";
const FAULT_PAGE: &str = "debugger/bug-check-0x1d9--hal-iommu-internal-error";

#[rustfmt::skip]
pub(super) const RULES: &[Rule] = &[
    documented("DD-1", JOIN_PAGE, "GetDmaDomain gives a handle by which another adapter joins the domain; LeaveDmaDomain ends that").undefined(),
    documented("DD-2", ALLOCATE_PAGE, "AllocateDomainCommonBuffer allocates for all adapters of a domain").undefined(),
    documented("DD-3", FLUSH_PAGE, "FlushDmaBuffer is the CPU's cache maintenance; on coherent x64 there is nothing to do"),
    documented("DD-4", VECTOR_PAGE, "misuse of a vector of common buffers is bug check 0x1DC").fatal(),
    documented("DD-5", FAULT_PAGE, "errors of the IOMMU itself are bug checks 0x158, 0x159 and 0x1D9").fatal(),
];
