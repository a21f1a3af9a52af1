//! Adapters: getting, asking and giving back (GA, PA, FO, AI, TI, TC, AL).

use super::{Rule, derived, documented};

const GET_PAGE: &str = "nf-wdm-iogetdmaadapter";
const DESCRIPTION_PAGE: &str = "ns-wdm-_device_description";
const REGISTERS_PAGE: &str = "kernel/getting-an-adapter-object";
const PUT_PAGE: &str = "nc-wdm-pput_dma_adapter";
const VERIFIER_PAGE: &str = "debugger/bug-check-0xe6--driver-verifier-dma-violation";
const FREE_OBJECT_PAGE: &str = "nc-wdm-pfree_adapter_object";
const INFO_PAGE: &str = "nc-wdm-pget_dma_adapter_info";
const TRANSFER_INFO_PAGE: &str = "nc-wdm-pget_dma_transfer_info";
const CONTEXT_PAGE: &str = "nc-wdm-pinitialize_dma_transfer_context";
const ALIGNMENT_PAGE: &str = "nc-wdm-pget_dma_alignment";
const ENABLER_SOURCE: &str = "framework/kmdf/src/dma/base/fxdmaenabler.cpp";

#[rustfmt::skip]
pub(super) const GET: &[Rule] = &[
    documented("GA-1", GET_PAGE, "the adapter is asked for at PASSIVE_LEVEL, when the device is added or started").fatal(),
    documented("GA-2", DESCRIPTION_PAGE, "what the description does not use is zero; Reserved1 is FALSE").undefined(),
    documented("GA-3", GET_PAGE, "description version 0 or 1 gives the first table, 2 the second, 3 the third; an unsupported version gives NULL"),
    documented("GA-4", GET_PAGE, "DMA_ADAPTER.Version is 1 whatever was asked for").undefined(),
    documented("GA-5", GET_PAGE, "without memory for the adapter the call gives NULL"),
    documented("GA-6", REGISTERS_PAGE, "MaximumLength asks for enough map registers for one such transfer; the number granted is told, and may be smaller"),
    documented("GA-7", DESCRIPTION_PAGE, "a version 3 description of a bus master tells an address width of 1 to 64 bits").undefined(),
    derived("GA-8", ENABLER_SOURCE, "a version 3 description with a width below 24 bits is refused"),
    documented("GA-9", DESCRIPTION_PAGE, "up to version 2 Dma64BitAddresses outdoes Dma32BitAddresses, and a PCI scatter/gather master reaches 32 bits at least; version 3 looks at none of them"),
    derived("GA-10", ENABLER_SOURCE, "without a physical device object the call fails cleanly"),
    derived("GA-11", ENABLER_SOURCE, "two calls for one device give two independent adapters"),
    derived("GA-12", ENABLER_SOURCE, "2 to 0xfffff map registers are granted"),
];

#[rustfmt::skip]
pub(super) const PUT: &[Rule] = &[
    documented("PA-1", PUT_PAGE, "the adapter is put at DISPATCH_LEVEL or below, and not used afterwards").fatal(),
    documented("PA-2", PUT_PAGE, "before the adapter is put, its map registers and common buffers are freed; it is put when the device is stopped").fatal(),
    documented("PA-3", VERIFIER_PAGE, "the verifier stops a driver that puts an adapter with something outstanding, or uses it afterwards").fatal(),
];

#[rustfmt::skip]
pub(super) const FREE_OBJECT: &[Rule] = &[
    documented("FO-1", FREE_OBJECT_PAGE, "KeepObject changes nothing; DeallocateObject frees allocation and map registers; DeallocateObjectKeepRegisters leaves the registers to FreeMapRegisters").undefined(),
    documented("FO-2", FREE_OBJECT_PAGE, "it ends an allocation that was made without an execution routine, and does not put the adapter").undefined(),
];

#[rustfmt::skip]
pub(super) const INFO: &[Rule] = &[
    documented("AI-1", INFO_PAGE, "version 1 of the information is filled in; any other is STATUS_NOT_SUPPORTED"),
];

#[rustfmt::skip]
pub(super) const TRANSFER_INFO: &[Rule] = &[
    documented("TI-1", TRANSFER_INFO_PAGE, "versions 1 and 2 are filled in for a part of the MDL chain; another version is STATUS_NOT_SUPPORTED"),
    documented("TI-2", TRANSFER_INFO_PAGE, "it tells the map registers, elements and list bytes that a transfer needs"),
    documented("TI-3", TRANSFER_INFO_PAGE, "what is told for a write need not hold for a read").undefined(),
];

#[rustfmt::skip]
pub(super) const TRANSFER_CONTEXT: &[Rule] = &[
    documented("TC-1", CONTEXT_PAGE, "a transfer context is 128 opaque bytes, one for each outstanding request; wrong parameters are STATUS_INVALID_PARAMETER").undefined(),
];

#[rustfmt::skip]
pub(super) const ALIGNMENT: &[Rule] = &[
    documented("AL-1", ALIGNMENT_PAGE, "the alignment comes in bytes, where a device object holds a mask"),
    derived("AL-2", ENABLER_SOURCE, "on x64 the alignment is one byte"),
];
