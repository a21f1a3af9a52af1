//! Steps of adapters beyond the common ones: what they say of themselves, domains, vectors of common buffers.

use dmarig_abi::operation as op;
use dmarig_abi::operation_adapter as adapter;

use super::{Step, step};

const MM_CACHED: u64 = 1;

/// What a vector is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VectorRequest {
    /// Elements.
    pub elements: u32,
    /// Bytes of each.
    pub element_bytes: u64,
    /// Lowest logical address.
    pub minimum: u64,
    /// Highest logical address.
    pub maximum: u64,
}

fn of_adapter(opcode: u16, adapter: u32, arg: u64) -> Step {
    step(opcode, op::SLOT_NONE, adapter, 0, [arg, 0, 0, 0, 0])
}

impl Step {
    /// GetDmaAdapterInfo; the structure comes back as data.
    #[must_use]
    pub fn adapter_info(adapter: u32, version: u32) -> Self {
        of_adapter(adapter::OP_ADAPTER_INFO, adapter, version.into())
    }

    /// GetDmaDomain.
    #[must_use]
    pub fn domain_get(adapter: u32) -> Self {
        of_adapter(adapter::OP_DOMAIN_GET, adapter, 0)
    }

    /// JoinDmaDomain.
    #[must_use]
    pub fn domain_join(adapter: u32, domain: u64) -> Self {
        of_adapter(adapter::OP_DOMAIN_JOIN, adapter, domain)
    }

    /// LeaveDmaDomain.
    #[must_use]
    pub fn domain_leave(adapter: u32) -> Self {
        of_adapter(adapter::OP_DOMAIN_LEAVE, adapter, 0)
    }

    /// FlushDmaBuffer of an MDL.
    #[must_use]
    pub fn flush_dma_buffer(adapter: u32, mdl: u32, read: bool) -> Self {
        let mut step = of_adapter(adapter::OP_FLUSH_DMA_BUFFER, adapter, read.into());
        step.operation.b = mdl;
        step
    }

    /// AllocateDomainCommonBuffer, cached, no flags.
    #[must_use]
    pub fn buffer_allocate_domain(
        dst: u32,
        adapter: u32,
        domain: u64,
        length_bytes: u64,
        maximum: Option<u64>,
    ) -> Self {
        let opcode = adapter::OP_BUFFER_ALLOCATE_DOMAIN;
        let highest = maximum.unwrap_or(0);
        let arg = [length_bytes, domain, highest, MM_CACHED << 32, 0];
        let mut step = step(opcode, dst, adapter, 0, arg);
        step.operation.flags = op::OP_FLAG_CACHE_TYPE | maximum.map_or(0, |_| op::OP_FLAG_MAXIMUM);
        step
    }

    /// AllocateCommonBufferVector, cached, no flags.
    #[must_use]
    pub fn vector_allocate(dst: u32, adapter: u32, request: VectorRequest) -> Self {
        let arg = [
            request.element_bytes,
            request.minimum,
            request.maximum,
            MM_CACHED << 32,
            request.elements.into(),
        ];
        step(adapter::OP_VECTOR_ALLOCATE, dst, adapter, 0, arg)
    }

    /// GetCommonBufferFromVectorByIndex.
    #[must_use]
    pub fn vector_get(dst: u32, vector: u32, index: u32) -> Self {
        let arg = [index.into(), 0, 0, 0, 0];
        step(adapter::OP_VECTOR_GET, dst, vector, 0, arg)
    }

    /// FreeCommonBufferFromVector.
    #[must_use]
    pub fn vector_free_element(vector: u32, index: u32) -> Self {
        of_adapter(adapter::OP_VECTOR_FREE_ELEMENT, vector, index.into())
    }

    /// FreeCommonBufferVector of a vector whose elements are freed.
    #[must_use]
    pub fn vector_free(vector: u32) -> Self {
        of_adapter(adapter::OP_VECTOR_FREE, vector, 0)
    }

    /// FreeCommonBufferVector whatever lives in it.
    #[must_use]
    pub fn vector_free_at_once(vector: u32) -> Self {
        let mut step = Self::vector_free(vector);
        step.operation.flags = op::OP_FLAG_OVERRIDE;
        step
    }
}
