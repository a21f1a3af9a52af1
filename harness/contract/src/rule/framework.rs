//! The driver framework's DMA objects (KD). Most follow from the framework's published source.

use super::{Rule, derived, documented};

const ENABLER_PAGE: &str = "nf-wdfdmaenabler-wdfdmaenablercreate";
const CONFIG_PAGE: &str = "ns-wdfdmaenabler-_wdf_dma_enabler_config";
const GET_ADAPTER_PAGE: &str = "nf-wdfdmaenabler-wdfdmaenablerwdmgetdmaadapter";
const CREATE_PAGE: &str = "nf-wdfcommonbuffer-wdfcommonbuffercreate";
const WITH_CONFIG_PAGE: &str = "nf-wdfcommonbuffer-wdfcommonbuffercreatewithconfig";
const ALIGNED_PAGE: &str = "nf-wdfcommonbuffer-wdfcommonbuffergetalignedlogicaladdress";
const LENGTH_PAGE: &str = "nf-wdfcommonbuffer-wdfcommonbuffergetlength";
const TRANSACTION_SOURCE: &str = "framework/kmdf/src/inc/private/fxdmatransaction.hpp";
const POWER_PAGE: &str = "wdf/supporting-power-management-for-dma-devices";
const LIFE_PAGE: &str = "wdf/framework-object-life-cycle";

#[rustfmt::skip]
pub(super) const RULES: &[Rule] = &[
    documented("KD-1", CONFIG_PAGE, "the enabler's adapter has version 2; version 3 takes WdmDmaVersionOverride, an address width or a system profile"),
    documented("KD-2", CONFIG_PAGE, "a version override below what is needed is STATUS_INVALID_PARAMETER; version 3 reaches 64, 32 or 24 bits by profile"),
    documented("KD-3", CONFIG_PAGE, "an address width override fits the profile, or is STATUS_INVALID_PARAMETER"),
    documented("KD-4", ENABLER_PAGE, "WdfDmaEnablerCreate checks size, profile, maximum length and flags of its configuration"),
    documented("KD-5", ENABLER_PAGE, "a parent given to the enabler descends from its device, or the attributes are refused"),
    documented("KD-6", GET_ADAPTER_PAGE, "duplex profiles have two adapters; common buffers come from the one for reading; a direction that does not exist gives NULL"),
    documented("KD-7", CREATE_PAGE, "the default alignment of common buffers is fixed when a scatter/gather enabler is created; a later change of the device's has no effect"),
    documented("KD-8", CREATE_PAGE, "without a wish the buffer is aligned to a word at least"),
    documented("KD-9", WITH_CONFIG_PAGE, "handle, configuration, place for the result and length are checked in this order; wrong handles and missing parameters are bug check 0x10D").fatal(),
    documented("KD-10", CREATE_PAGE, "attributes with a parent, an execution level, a synchronization scope or a wrong size are refused"),
    documented("KD-11", WITH_CONFIG_PAGE, "alignments above a page, and clients before 1.11, ask for mask bytes more than the length; an overflow is STATUS_INTEGER_OVERFLOW"),
    documented("KD-12", CREATE_PAGE, "a length beyond 32 bits, or no memory, is STATUS_INSUFFICIENT_RESOURCES"),
    documented("KD-13", ALIGNED_PAGE, "the logical address is aligned as asked; the virtual one, too, up to a page"),
    documented("KD-14", CREATE_PAGE, "the buffer is one of AllocateCommonBuffer, cached, and is freed with the values of the allocation"),
    documented("KD-15", LENGTH_PAGE, "the length is the one asked for, and can be read up to DISPATCH_LEVEL"),
    documented("KD-16", CREATE_PAGE, "the enabler is the parent: deleting it frees the buffer"),
    derived("KD-17", WITH_CONFIG_PAGE, "10 bytes aligned to 32: a logical address that is a multiple of 32, and a length of 10"),
    derived("KD-18", WITH_CONFIG_PAGE, "an alignment that is no mask is used as it is").undefined(),
    documented("KD-19", ENABLER_PAGE, "a fragment is no longer than the map registers but one, nor than the maximum length"),
    documented("KD-20", TRANSACTION_SOURCE, "transactions use the lists of the adapter's version"),
    documented("KD-21", POWER_PAGE, "the enabler's callbacks come after interrupts on the way up, before them on the way down"),
    documented("KD-22", LIFE_PAGE, "context memory is zero; children go before parents; cleanup comes before destroy"),
];
