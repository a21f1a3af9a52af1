//! Steps of misuse on purpose; see `OP_FLAG_KEEP` and its neighbours in the ABI.

use dmarig_abi::operation as op;

use super::{Step, step};
use crate::severity::Severity;

/// The values that FreeCommonBuffer is called with.
#[derive(Clone, Copy, Debug)]
pub struct FreedAs {
    /// Length in bytes.
    pub length_bytes: u64,
    /// Logical address.
    pub logical_address: u64,
    /// Virtual address.
    pub virtual_address: u64,
    /// CacheEnabled.
    pub cache_enabled: bool,
}

impl Step {
    /// Makes the call whatever the driver knows of the object, and keeps the slot.
    #[must_use]
    pub fn keep(self) -> Self {
        self.with_flags(op::OP_FLAG_KEEP)
    }

    /// Runs at DISPATCH_LEVEL.
    #[must_use]
    pub fn at_dispatch(self) -> Self {
        self.with_flags(op::OP_FLAG_AT_DISPATCH)
    }

    /// Runs at a device's IRQL.
    #[must_use]
    pub fn at_device_irql(self) -> Self {
        self.with_flags(op::OP_FLAG_AT_DEVICE)
    }

    /// What real Windows makes of it.
    #[must_use]
    pub const fn severity(&self) -> Severity {
        const RAISED: u16 = op::OP_FLAG_AT_DISPATCH | op::OP_FLAG_AT_DEVICE;
        if self.operation.flags & (op::OP_FLAG_KEEP | RAISED) != 0
            || self.operation.opcode == op::OP_CPU_TOUCH
        {
            Severity::Fatal
        } else if self.operation.flags & op::OP_FLAG_OVERRIDE != 0 {
            Severity::Undefined
        } else {
            Severity::Defined
        }
    }

    /// Empties a slot without a call.
    #[must_use]
    pub fn forget(object: u32) -> Self {
        step(op::OP_FORGET, op::SLOT_NONE, object, 0, [0; 5])
    }

    /// PutDmaAdapter of another adapter, through the table of the one in the slot.
    #[must_use]
    pub fn adapter_put_other(adapter: u32, other: u64) -> Self {
        step(
            op::OP_ADAPTER_PUT,
            op::SLOT_NONE,
            adapter,
            0,
            [other, 0, 0, 0, 0],
        )
        .with_flags(op::OP_FLAG_OVERRIDE)
    }

    /// FreeCommonBuffer with other values than those of the creation; the slot stays.
    #[must_use]
    pub fn buffer_free_as(buffer: u32, values: FreedAs) -> Self {
        let arg = [
            values.length_bytes,
            values.logical_address,
            values.virtual_address,
            u64::from(values.cache_enabled),
            0,
        ];
        step(op::OP_BUFFER_FREE, op::SLOT_NONE, buffer, 0, arg)
            .with_flags(op::OP_FLAG_OVERRIDE | op::OP_FLAG_KEEP)
    }

    /// ExAllocatePool2(Paged).
    #[must_use]
    pub fn paged_allocate(dst: u32, length_bytes: u64) -> Self {
        let kind = op::MEMORY_PAGED_POOL;
        step(
            op::OP_MEMORY_ALLOCATE,
            dst,
            0,
            0,
            [kind, length_bytes, 0, 0, 0],
        )
    }

    /// MmMapLockedPagesSpecifyCache, also of an MDL that is mapped; the slot stays as it is.
    #[must_use]
    pub fn mdl_map_again(mdl: u32, bug_check_on_failure: bool) -> Self {
        const NORMAL_NO_EXECUTE: u64 = 16 | 0x4000_0000;
        let arg = [NORMAL_NO_EXECUTE, u64::from(bug_check_on_failure), 0, 0, 0];
        step(op::OP_MDL_MAP, op::SLOT_NONE, mdl, 0, arg).keep()
    }

    /// The CPU writes one byte at a signed offset from an object, wherever that leads.
    #[must_use]
    pub fn cpu_touch(object: u32, offset: i64, byte: u8) -> Self {
        let arg = [offset.cast_unsigned(), byte.into(), 0, 0, 0];
        step(op::OP_CPU_TOUCH, op::SLOT_NONE, object, 0, arg).with_flags(op::OP_FLAG_OVERRIDE)
    }

    /// MmUnmapLockedPages.
    #[must_use]
    pub fn mdl_unmap(mdl: u32) -> Self {
        step(op::OP_MDL_UNMAP, op::SLOT_NONE, mdl, 0, [0; 5])
    }
}
