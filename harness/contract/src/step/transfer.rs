//! [`Step`]s of packet DMA: scatter/gather lists, channels, map registers, transfers.

use dmarig_abi::operation::{self as op, SLOT_NONE};
use dmarig_abi::operation_transfer as tr;

use super::{Step, step};

/// Bytes of a transfer: which MDL chain, from where, how many, in which direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes {
    /// Slot of the chain's first MDL.
    pub mdl: u32,
    /// Offset in the chain.
    pub offset: u64,
    /// Length in bytes, as it goes to the call.
    pub length_bytes: u64,
    /// From memory to the device.
    pub write_to_device: bool,
}

/// What a request of version 3 passes beside its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestForm {
    /// Flags, such as DMA_SYNCHRONOUS_CALLBACK.
    pub flags: u32,
    /// Bits of `REQUEST_*`.
    pub bits: u64,
}

impl RequestForm {
    /// DMA_SYNCHRONOUS_CALLBACK.
    pub const SYNCHRONOUS: u32 = 1;

    const fn raw(self) -> u64 {
        self.flags as u64 | self.bits << 32
    }
}

/// How an adapter's object goes on after an execution routine, or by FreeAdapterObject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// KeepObject.
    Keep = 1,
    /// DeallocateObject.
    Deallocate = 2,
    /// DeallocateObjectKeepRegisters.
    KeepRegisters = 3,
}

fn bytes_step(opcode: u16, dst: u32, a: u32, bytes: Bytes) -> Step {
    let arg = [
        bytes.offset,
        bytes.length_bytes,
        u64::from(bytes.write_to_device),
        0,
        0,
    ];
    step(opcode, dst, a, bytes.mdl, arg)
}

impl Step {
    /// The same step with these flags as well.
    #[must_use]
    pub fn with_flags(mut self, flags: u16) -> Self {
        self.operation.flags |= flags;
        self
    }

    /// The same request, which is not waited for.
    #[must_use]
    pub fn not_awaited(self) -> Self {
        self.with_flags(tr::OP_FLAG_NO_WAIT)
    }

    /// InitializeDmaTransferContext of fresh memory.
    #[must_use]
    pub fn context_initialize(dst: u32, adapter: u32) -> Self {
        let opcode = tr::OP_TRANSFER_CONTEXT_INITIALIZE;
        step(opcode, dst, adapter, SLOT_NONE, [0; 5])
    }

    /// InitializeDmaTransferContext(NULL).
    #[must_use]
    pub fn context_initialize_null(adapter: u32) -> Self {
        Self::context_initialize(SLOT_NONE, adapter).with_flags(op::OP_FLAG_OVERRIDE)
    }

    /// GetDmaTransferInfo of so many bytes with a version of DMA_TRANSFER_INFO.
    #[must_use]
    pub fn transfer_info(adapter: u32, bytes: Bytes, version: u64) -> Self {
        let mut step = bytes_step(tr::OP_TRANSFER_INFO, SLOT_NONE, adapter, bytes);
        step.operation.arg[3] = version;
        step
    }

    /// CalculateScatterGatherList of an MDL.
    #[must_use]
    pub fn list_calculate(adapter: u32, bytes: Bytes) -> Self {
        bytes_step(tr::OP_LIST_CALCULATE, SLOT_NONE, adapter, bytes)
    }

    /// CalculateScatterGatherList without an MDL.
    #[must_use]
    pub fn list_calculate_worst(adapter: u32, current_va: u64, length_bytes: u64) -> Self {
        let arg = [current_va, length_bytes, 0, 0, 0];
        step(tr::OP_LIST_CALCULATE, SLOT_NONE, adapter, SLOT_NONE, arg)
    }

    /// GetScatterGatherList.
    #[must_use]
    pub fn list_get(dst: u32, adapter: u32, bytes: Bytes) -> Self {
        bytes_step(tr::OP_LIST_GET, dst, adapter, bytes)
    }

    /// BuildScatterGatherList into a buffer of so many bytes.
    #[must_use]
    pub fn list_build(dst: u32, adapter: u32, bytes: Bytes, buffer_bytes: u64) -> Self {
        let mut step = bytes_step(tr::OP_LIST_BUILD, dst, adapter, bytes);
        step.operation.arg[3] = buffer_bytes;
        step
    }

    /// GetScatterGatherListEx.
    #[must_use]
    pub fn list_get_ex(
        dst: u32,
        adapter: u32,
        context: u32,
        bytes: Bytes,
        form: RequestForm,
    ) -> Self {
        let mut step = bytes_step(tr::OP_LIST_GET_EX, dst, adapter, bytes);
        step.operation.c = context;
        step.operation.arg[4] = form.raw();
        step
    }

    /// BuildScatterGatherListEx into a buffer of so many bytes.
    #[must_use]
    pub fn list_build_ex(
        dst: u32,
        adapter: u32,
        context: u32,
        bytes: Bytes,
        form: RequestForm,
        buffer_bytes: u64,
    ) -> Self {
        let mut step = Self::list_get_ex(dst, adapter, context, bytes, form);
        step.operation.opcode = tr::OP_LIST_BUILD_EX;
        step.operation.arg[3] = buffer_bytes;
        step
    }

    /// PutScatterGatherList.
    #[must_use]
    pub fn list_put(list: u32, write_to_device: bool) -> Self {
        let arg = [u64::from(write_to_device), 0, 0, 0, 0];
        step(tr::OP_LIST_PUT, SLOT_NONE, list, 0, arg)
    }

    /// What the routine of a list or channel was given, after so long a wait for it.
    #[must_use]
    pub fn routine_query(request: u32, wait_us: u64) -> Self {
        let arg = [wait_us, 0, 0, 0, 0];
        step(tr::OP_REQUEST_QUERY, SLOT_NONE, request, 0, arg)
    }

    /// BuildMdlFromScatterGatherList.
    #[must_use]
    pub fn list_mdl(list: u32, original: Option<u32>) -> Self {
        let original = original.unwrap_or(SLOT_NONE);
        step(tr::OP_LIST_MDL, SLOT_NONE, list, original, [0; 5])
    }

    /// AllocateAdapterChannel.
    #[must_use]
    pub fn channel_allocate(dst: u32, adapter: u32, registers: u64, action: Action) -> Self {
        let arg = [registers, action as u64, 0, 0, 0];
        step(tr::OP_CHANNEL_ALLOCATE, dst, adapter, 0, arg)
    }

    /// AllocateAdapterChannelEx.
    #[must_use]
    pub fn channel_allocate_ex(
        dst: u32,
        adapter: u32,
        context: u32,
        registers: u64,
        action: Action,
        form: RequestForm,
    ) -> Self {
        let mut step = Self::channel_allocate(dst, adapter, registers, action);
        step.operation.opcode = tr::OP_CHANNEL_ALLOCATE_EX;
        step.operation.c = context;
        step.operation.arg[4] = form.raw();
        step
    }

    /// FreeAdapterChannel.
    #[must_use]
    pub fn channel_free(adapter: u32) -> Self {
        step(tr::OP_CHANNEL_FREE, SLOT_NONE, adapter, 0, [0; 5])
    }

    /// FreeMapRegisters of all registers of a channel.
    #[must_use]
    pub fn channel_free_registers(channel: u32) -> Self {
        step(tr::OP_CHANNEL_FREE_REGISTERS, SLOT_NONE, channel, 0, [0; 5])
    }

    /// FreeAdapterObject.
    #[must_use]
    pub fn adapter_object_free(adapter: u32, action: Action) -> Self {
        let arg = [action as u64, 0, 0, 0, 0];
        step(tr::OP_ADAPTER_OBJECT_FREE, SLOT_NONE, adapter, 0, arg)
    }

    /// CancelAdapterChannel.
    #[must_use]
    pub fn channel_cancel(adapter: u32, context: u32) -> Self {
        let mut step = step(tr::OP_CHANNEL_CANCEL, SLOT_NONE, adapter, 0, [0; 5]);
        step.operation.c = context;
        step
    }

    /// CancelMappedTransfer.
    #[must_use]
    pub fn transfer_cancel(adapter: u32, context: u32) -> Self {
        let mut step = step(tr::OP_TRANSFER_CANCEL, SLOT_NONE, adapter, 0, [0; 5]);
        step.operation.c = context;
        step
    }

    /// MapTransfer.
    #[must_use]
    pub fn transfer_map(channel: u32, bytes: Bytes) -> Self {
        bytes_step(tr::OP_TRANSFER_MAP, SLOT_NONE, channel, bytes)
    }

    /// MapTransferEx with a list buffer of so many bytes (0 passes NULL).
    #[must_use]
    pub fn transfer_map_ex(
        channel: u32,
        bytes: Bytes,
        list_bytes: u64,
        device_offset: u32,
        bits: u64,
    ) -> Self {
        let mut step = bytes_step(tr::OP_TRANSFER_MAP_EX, SLOT_NONE, channel, bytes);
        step.operation.arg[3] = list_bytes;
        step.operation.arg[4] = u64::from(device_offset) | bits << 32;
        step
    }

    /// FlushAdapterBuffers.
    #[must_use]
    pub fn transfer_flush(channel: u32, bytes: Bytes) -> Self {
        bytes_step(tr::OP_TRANSFER_FLUSH, SLOT_NONE, channel, bytes)
    }

    /// FlushAdapterBuffersEx.
    #[must_use]
    pub fn transfer_flush_ex(channel: u32, bytes: Bytes) -> Self {
        bytes_step(tr::OP_TRANSFER_FLUSH_EX, SLOT_NONE, channel, bytes)
    }
}
