//! Members of DMA_OPERATIONS that a later issue brings: domains, vectors.
//!
//! None of them is null, for drivers may call all but the last member unasked. Each reports a finding and
//! fails: STATUS_NOT_IMPLEMENTED, a null pointer, FALSE, or nothing where the routine is void.

use crate::ntoskrnl::status::{self, NtStatus};
use crate::ntoskrnl::verifier;

macro_rules! later {
    ($($routine:ident = $name:literal -> $kind:ty, $value:expr;)*) => {
        $(
            #[doc = concat!("`", $name, "`: not implemented; a finding.")]
            pub(super) extern "win64" fn $routine() -> $kind {
                verifier::finding("not-implemented", format_args!($name));
                $value
            }
        )*
    };
}

const FAILED: NtStatus = status::NOT_IMPLEMENTED;

later! {
    allocate_domain_common_buffer = "AllocateDomainCommonBuffer" -> NtStatus, FAILED;
    join_dma_domain = "JoinDmaDomain" -> NtStatus, FAILED;
    leave_dma_domain = "LeaveDmaDomain" -> NtStatus, FAILED;
    get_dma_domain = "GetDmaDomain" -> u64, 0;
    allocate_common_buffer_vector = "AllocateCommonBufferVector" -> NtStatus, FAILED;
    get_common_buffer_from_vector_by_index = "GetCommonBufferFromVectorByIndex" -> (), ();
    free_common_buffer_from_vector = "FreeCommonBufferFromVector" -> (), ();
    free_common_buffer_vector = "FreeCommonBufferVector" -> (), ();
}
