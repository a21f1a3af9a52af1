//! Steps that make memory and MDLs of the rarer kinds: inside limits, partial, counts without an array.

use dmarig_abi::operation as op;

use super::{Step, step};

const MM_CACHED: u64 = 1;

impl Step {
    /// MmAllocateContiguousMemorySpecifyCache between two physical addresses, both inclusive.
    #[must_use]
    pub fn contiguous_allocate_within(
        dst: u32,
        length_bytes: u64,
        lowest: u64,
        highest: u64,
    ) -> Self {
        let arg = [op::MEMORY_CONTIGUOUS, length_bytes, lowest, highest, 0];
        step(op::OP_MEMORY_ALLOCATE, dst, 0, 0, arg)
    }

    /// MmAllocatePagesForMdlEx between two physical addresses, both inclusive.
    #[must_use]
    pub fn mdl_allocate_pages_within(
        dst: u32,
        length_bytes: u64,
        lowest: u64,
        highest: u64,
        flags: u32,
    ) -> Self {
        let kind = u64::from(flags) | MM_CACHED << 32;
        let arg = [lowest, highest, 0, length_bytes, kind];
        step(op::OP_MDL_ALLOCATE_PAGES, dst, 0, 0, arg)
    }

    /// IoAllocateMdl and IoBuildPartialMdl over part of another MDL.
    #[must_use]
    pub fn mdl_build_partial(dst: u32, source: u32, offset: u64, length_bytes: u64) -> Self {
        let arg = [offset, length_bytes, 0, 0, 0];
        step(op::OP_MDL_BUILD_PARTIAL, dst, source, 0, arg)
    }

    /// Reads an MDL and its PFNs from page `first` on.
    #[must_use]
    pub fn mdl_query_from(mdl: u32, first: u64) -> Self {
        step(op::OP_MDL_QUERY, op::SLOT_NONE, mdl, 0, [first, 0, 0, 0, 0])
    }

    /// CreateCommonBufferFromMdl with NULL for the array and `count` for its length.
    #[must_use]
    pub fn buffer_create_without_array(dst: u32, adapter: u32, mdl: u32, count: u64) -> Self {
        let mut step = step(
            op::OP_BUFFER_CREATE_FROM_MDL,
            dst,
            adapter,
            mdl,
            [count, 0, 0, 0, 0],
        );
        step.operation.flags = op::OP_FLAG_NULL_CONFIGS;
        step
    }

    /// GetDmaAlignment.
    #[must_use]
    pub fn adapter_alignment(adapter: u32) -> Self {
        step(op::OP_ADAPTER_ALIGNMENT, op::SLOT_NONE, adapter, 0, [0; 5])
    }
}
