//! Scatter/gather lists, channels and transfers (SG, SX, MX, FL, CX).

use super::{Rule, documented};

const GET_PAGE: &str = "nc-wdm-pget_scatter_gather_list";
const PUT_PAGE: &str = "nc-wdm-pput_scatter_gather_list";
const CALCULATE_PAGE: &str = "nc-wdm-pcalculate_scatter_gather_list_size";
const BUILD_PAGE: &str = "nc-wdm-pbuild_scatter_gather_list";
const BUILD_MDL_PAGE: &str = "nc-wdm-pbuild_mdl_from_scatter_gather_list";
const CHANNEL_PAGE: &str = "nc-wdm-pallocate_adapter_channel";
const GET_EX_PAGE: &str = "nc-wdm-pget_scatter_gather_list_ex";
const BUILD_EX_PAGE: &str = "nc-wdm-pbuild_scatter_gather_list_ex";
const MAP_PAGE: &str = "nc-wdm-pmap_transfer_ex";
const FLUSH_PAGE: &str = "nc-wdm-pflush_adapter_buffers_ex";
const CANCEL_PAGE: &str = "nc-wdm-pcancel_adapter_channel";
const CANCEL_MAPPED_PAGE: &str = "nc-wdm-pcancel_mapped_transfer";

#[rustfmt::skip]
pub(super) const LISTS: &[Rule] = &[
    documented("SG-1", GET_PAGE, "GetScatterGatherList at DISPATCH_LEVEL makes a list and hands it to the routine at DISPATCH_LEVEL, maybe before it returns").fatal(),
    documented("SG-2", GET_PAGE, "CurrentVa is an index into the MDL or chain, not an address that must be valid"),
    documented("SG-3", PUT_PAGE, "map registers are held until PutScatterGatherList, which flushes; the data are valid only then").fatal(),
    documented("SG-4", CALCULATE_PAGE, "without an MDL CalculateScatterGatherList gives the worst case for the length"),
    documented("SG-5", BUILD_PAGE, "BuildScatterGatherList makes the list in the caller's buffer; one too small is STATUS_BUFFER_TOO_SMALL"),
    documented("SG-6", BUILD_MDL_PAGE, "BuildMdlFromScatterGatherList refuses a missing MDL with STATUS_INVALID_PARAMETER and a second call with STATUS_NONE_MAPPED"),
    documented("SG-7", CHANNEL_PAGE, "one AllocateAdapterChannel is outstanding for a device object; its routine gets the current IRP; more registers than granted are STATUS_INSUFFICIENT_RESOURCES").fatal(),
];

#[rustfmt::skip]
pub(super) const LISTS_EX: &[Rule] = &[
    documented("SX-1", GET_EX_PAGE, "a bus master gets lists with DMA_SYNCHRONOUS_CALLBACK or no flag").undefined(),
    documented("SX-2", GET_EX_PAGE, "without the flag a routine must be given; with it a routine or a place for the list").undefined(),
    documented("SX-3", GET_EX_PAGE, "a synchronous request without resources is STATUS_INSUFFICIENT_RESOURCES and calls nothing; one without a routine is ended by FreeAdapterObject").undefined(),
    documented("SX-4", GET_EX_PAGE, "completion routine and its context are NULL").undefined(),
    documented("SX-5", BUILD_EX_PAGE, "the list lies in the caller's buffer; one too short is STATUS_BUFFER_TOO_SMALL"),
];

#[rustfmt::skip]
pub(super) const MAP: &[Rule] = &[
    documented("MX-1", MAP_PAGE, "the offset counts over the chain; a bus master gives device offset 0, a list buffer and no completion routine; the length may come back smaller").undefined(),
    documented("MX-2", MAP_PAGE, "a buffer without room for one element is STATUS_INVALID_PARAMETER; one too small, missing resources and cancellation have codes of their own"),
    documented("MX-3", MAP_PAGE, "each mapped transfer is flushed before the next, also after a cancellation").fatal(),
];

#[rustfmt::skip]
pub(super) const FLUSH: &[Rule] = &[
    documented("FL-1", FLUSH_PAGE, "the flush has the MDL, offset, length and direction of the mapping, and comes before the request is completed and the registers are freed").fatal(),
];

#[rustfmt::skip]
pub(super) const CANCEL: &[Rule] = &[
    documented("CX-1", CANCEL_PAGE, "TRUE: the pending request is gone and its routine never runs; FALSE: it runs or is about to"),
    documented("CX-2", CANCEL_MAPPED_PAGE, "CancelMappedTransfer marks a transfer of system DMA as cancelled; it is flushed all the same").undefined(),
];
