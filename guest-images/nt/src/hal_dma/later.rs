//! Members of DMA_OPERATIONS that a later issue brings: scatter/gather, transfers, channels, domains, vectors.
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
    allocate_adapter_channel = "AllocateAdapterChannel" -> NtStatus, FAILED;
    flush_adapter_buffers = "FlushAdapterBuffers" -> u8, 0;
    free_adapter_channel = "FreeAdapterChannel" -> (), ();
    free_map_registers = "FreeMapRegisters" -> (), ();
    map_transfer = "MapTransfer" -> u64, 0;
    read_dma_counter = "ReadDmaCounter" -> u32, 0;
    get_scatter_gather_list = "GetScatterGatherList" -> NtStatus, FAILED;
    put_scatter_gather_list = "PutScatterGatherList" -> (), ();
    calculate_scatter_gather_list = "CalculateScatterGatherList" -> NtStatus, FAILED;
    build_scatter_gather_list = "BuildScatterGatherList" -> NtStatus, FAILED;
    build_mdl_from_scatter_gather_list = "BuildMdlFromScatterGatherList" -> NtStatus, FAILED;
    get_dma_transfer_info = "GetDmaTransferInfo" -> NtStatus, FAILED;
    allocate_adapter_channel_ex = "AllocateAdapterChannelEx" -> NtStatus, FAILED;
    configure_adapter_channel = "ConfigureAdapterChannel" -> NtStatus, FAILED;
    cancel_adapter_channel = "CancelAdapterChannel" -> u8, 0;
    map_transfer_ex = "MapTransferEx" -> NtStatus, FAILED;
    get_scatter_gather_list_ex = "GetScatterGatherListEx" -> NtStatus, FAILED;
    build_scatter_gather_list_ex = "BuildScatterGatherListEx" -> NtStatus, FAILED;
    flush_adapter_buffers_ex = "FlushAdapterBuffersEx" -> NtStatus, FAILED;
    free_adapter_object = "FreeAdapterObject" -> (), ();
    cancel_mapped_transfer = "CancelMappedTransfer" -> NtStatus, FAILED;
    allocate_domain_common_buffer = "AllocateDomainCommonBuffer" -> NtStatus, FAILED;
    join_dma_domain = "JoinDmaDomain" -> NtStatus, FAILED;
    leave_dma_domain = "LeaveDmaDomain" -> NtStatus, FAILED;
    get_dma_domain = "GetDmaDomain" -> u64, 0;
    allocate_common_buffer_vector = "AllocateCommonBufferVector" -> NtStatus, FAILED;
    get_common_buffer_from_vector_by_index = "GetCommonBufferFromVectorByIndex" -> (), ();
    free_common_buffer_from_vector = "FreeCommonBufferFromVector" -> (), ();
    free_common_buffer_vector = "FreeCommonBufferVector" -> (), ();
}
