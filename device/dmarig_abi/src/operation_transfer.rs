//! Operations of packet DMA: scatter/gather lists, adapter channels with their map registers, transfers.
//!
//! Whatever the document of a call demands of the IRQL, the driver raises to it, except with
//! [`OP_FLAG_CALLER_IRQL`]. Execution routines are the driver's own: they note what they were given, and
//! the operation that put the request waits for it at most 1 s, except with [`OP_FLAG_NO_WAIT`]. Where a
//! number of bytes, a direction or an action is an argument, it goes to the call as it is.
//!
//! "Result of a list": `value[0]` = NumberOfElements, `value[1]` = how often the routine has run,
//! `value[2]` = bits of `EXECUTION_*`, `virtual_address` = the list, `length` = sum of the elements'
//! lengths, `logical_address` = the first element's; data = address and length (8 bytes each) of the first
//! [`LIST_ELEMENTS_MAX`] elements. "Result of a channel": the same with `virtual_address` =
//! MapRegisterBase, and no elements.

/// InitializeDmaTransferContext(adapter `a`). Slot `dst` = transfer context, in memory of its own. With
/// [`OP_FLAG_OVERRIDE`](crate::operation::OP_FLAG_OVERRIDE) the context is NULL and no slot is filled; with `b`
/// not `SLOT_NONE` it is the context in slot `b` once more.
pub const OP_TRANSFER_CONTEXT_INITIALIZE: u16 = 0x0160;
/// Makes a slot `dst` for a transfer context of bytes `arg[0]`, never initialized.
pub const OP_TRANSFER_CONTEXT_RAW: u16 = 0x0161;
/// GetDmaTransferInfo(adapter `a`, MDL `b`, `arg[0]` offset, `arg[1]` length, `arg[2]` WriteOnly) with version
/// `arg[3]`: `value[0]` = MapRegisterCount, high half ScatterGatherElementCount; `value[1]` =
/// ScatterGatherListSize; `value[2]` = LogicalPageCount, all ones before.
pub const OP_TRANSFER_INFO: u16 = 0x0162;
/// CalculateScatterGatherList(adapter `a`, MDL `b`, CurrentVa of offset `arg[0]`, `arg[1]` length); without
/// MDL (`SLOT_NONE`) `arg[0]` is CurrentVa. `value[0]` = Size, `value[1]` = NumberOfMapRegisters.
pub const OP_LIST_CALCULATE: u16 = 0x0163;

/// GetScatterGatherList(adapter `a`, MDL `b`, CurrentVa of offset `arg[0]`, `arg[1]` length, `arg[2]`
/// WriteToDevice). Slot `dst` = list. Result of a list.
pub const OP_LIST_GET: u16 = 0x0170;
/// BuildScatterGatherList: as `OP_LIST_GET`, `arg[3]` = BufferLength of a buffer of that size.
pub const OP_LIST_BUILD: u16 = 0x0171;
/// GetScatterGatherListEx(adapter `a`, transfer context `c`, MDL `b`, `arg[0]` offset, `arg[1]` length, `arg[2]`
/// WriteToDevice, `arg[4]` Flags low half, bits of `REQUEST_*` high half). Slot `dst` = list.
pub const OP_LIST_GET_EX: u16 = 0x0172;
/// BuildScatterGatherListEx: as `OP_LIST_GET_EX`, `arg[3]` = BufferLength.
pub const OP_LIST_BUILD_EX: u16 = 0x0173;
/// PutScatterGatherList of list `a`, `arg[0]` WriteToDevice. With
/// [`OP_FLAG_KEEP`](crate::operation::OP_FLAG_KEEP) the slot stays filled, so that it can be put once more.
pub const OP_LIST_PUT: u16 = 0x0174;
/// Waits for the routine of list or channel `a` at most `arg[0]` microseconds (1 s at most). Result of a list
/// or of a channel.
pub const OP_REQUEST_QUERY: u16 = 0x0175;
/// BuildMdlFromScatterGatherList(list `a`, original MDL `b` or NULL for `SLOT_NONE`): `virtual_address` = the
/// target, `value[0]` = 1 when that is the original.
pub const OP_LIST_MDL: u16 = 0x0176;

/// AllocateAdapterChannel(adapter `a`, `arg[0]` NumberOfMapRegisters); the routine returns `arg[1]`. Slot `dst`
/// = channel. Result of a channel.
pub const OP_CHANNEL_ALLOCATE: u16 = 0x0180;
/// AllocateAdapterChannelEx: as above, transfer context `c`, `arg[4]` Flags low half, bits of `REQUEST_*` high
/// half.
pub const OP_CHANNEL_ALLOCATE_EX: u16 = 0x0181;
/// FreeAdapterChannel(adapter `a`).
pub const OP_CHANNEL_FREE: u16 = 0x0182;
/// FreeMapRegisters of channel `a`, as many as were asked for, or `arg[0]` with
/// [`OP_FLAG_OVERRIDE`](crate::operation::OP_FLAG_OVERRIDE). With
/// [`OP_FLAG_KEEP`](crate::operation::OP_FLAG_KEEP) the slot stays filled.
pub const OP_CHANNEL_FREE_REGISTERS: u16 = 0x0183;
/// FreeAdapterObject(adapter `a`, `arg[0]` IO_ALLOCATION_ACTION).
pub const OP_ADAPTER_OBJECT_FREE: u16 = 0x0184;
/// CancelAdapterChannel(adapter `a`, transfer context `c`): `value[0]` = the BOOLEAN.
pub const OP_CHANNEL_CANCEL: u16 = 0x0185;
/// CancelMappedTransfer(adapter `a`, transfer context `c`).
pub const OP_TRANSFER_CANCEL: u16 = 0x0186;

/// MapTransfer(channel `a`, MDL `b`, CurrentVa of offset `arg[0]`, `arg[1]` length, `arg[2]` WriteToDevice):
/// `logical_address` = what it returned, `length` = Length afterwards.
pub const OP_TRANSFER_MAP: u16 = 0x0190;
/// MapTransferEx(channel `a`, MDL `b`, `arg[0]` offset, `arg[1]` length, `arg[2]` WriteToDevice, `arg[3]`
/// ScatterGatherBufferLength (a buffer of that size; 0 passes NULL), `arg[4]` DeviceOffset low half, bits of
/// `REQUEST_*` high half). `length` = Length afterwards, the rest as in the result of a list.
pub const OP_TRANSFER_MAP_EX: u16 = 0x0191;
/// FlushAdapterBuffers(channel `a`, MDL `b`, CurrentVa of offset `arg[0]`, `arg[1]` length, `arg[2]`
/// WriteToDevice): `value[0]` = the BOOLEAN.
pub const OP_TRANSFER_FLUSH: u16 = 0x0192;
/// FlushAdapterBuffersEx(channel `a`, MDL `b`, `arg[0]` offset, `arg[1]` length, `arg[2]` WriteToDevice).
pub const OP_TRANSFER_FLUSH_EX: u16 = 0x0193;

/// Flag: a request is not waited for.
pub const OP_FLAG_NO_WAIT: u16 = 512;
/// Flag: the call is made at the program's own IRQL.
pub const OP_FLAG_CALLER_IRQL: u16 = 1024;
/// Request bit: there is no execution routine.
pub const REQUEST_NO_ROUTINE: u64 = 1;
/// Request bit: the pointer for the list or MapRegisterBase is passed.
pub const REQUEST_OUT: u64 = 2;
/// Request bit: a completion routine is passed, which a bus master must not do.
pub const REQUEST_COMPLETION: u64 = 4;

/// Execution bit: the routine ran before the call returned.
pub const EXECUTION_IN_CALL: u64 = 1;
/// Execution bit: the routine was given DeviceObject->CurrentIrp.
pub const EXECUTION_CURRENT_IRP: u64 = 2;
/// Execution bit: the routine ran at DISPATCH_LEVEL.
pub const EXECUTION_AT_DISPATCH: u64 = 4;

/// Most elements in a result's data.
pub const LIST_ELEMENTS_MAX: u32 = 256;
