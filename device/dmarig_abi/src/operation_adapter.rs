//! Operations of adapters beyond the common ones: what an adapter says of itself, domains, vectors of common
//! buffers. Opcodes 0x0103 to 0x010f and 0x0115 to 0x011f; conventions as in [`operation`](crate::operation).

/// GetDmaAdapterInfo of adapter `a` with Version `arg[0]`; data = the DMA_ADAPTER_INFO that the call left (0x58
/// bytes).
pub const OP_ADAPTER_INFO: u16 = 0x0103;
/// GetDmaDomain of adapter `a`: `value[0]` = the handle.
pub const OP_DOMAIN_GET: u16 = 0x0104;
/// JoinDmaDomain of adapter `a`, handle `arg[0]`.
pub const OP_DOMAIN_JOIN: u16 = 0x0105;
/// LeaveDmaDomain of adapter `a`.
pub const OP_DOMAIN_LEAVE: u16 = 0x0106;
/// FlushDmaBuffer of adapter `a`, MDL `b`, ReadOperation `arg[0]`.
pub const OP_FLUSH_DMA_BUFFER: u16 = 0x0107;

/// AllocateDomainCommonBuffer(adapter `a`): `arg[0]` length, `arg[1]` the domain's handle, `arg[2]` maximum (with
/// `OP_FLAG_MAXIMUM`), `arg[3]` low half Flags, high half cache type (with `OP_FLAG_CACHE_TYPE`), `arg[4]` node.
/// Slot `dst` = buffer.
pub const OP_BUFFER_ALLOCATE_DOMAIN: u16 = 0x0115;
/// AllocateCommonBufferVector(adapter `a`): `arg[0]` bytes of an element, `arg[1]` lowest and `arg[2]` highest
/// logical address, `arg[3]` low half Flags, high half cache type, `arg[4]` low half elements (at most
/// `VECTOR_MAX_ELEMENTS`), high half node. Slot `dst` = vector.
pub const OP_VECTOR_ALLOCATE: u16 = 0x0116;
/// GetCommonBufferFromVectorByIndex of vector `a`, index `arg[0]`. Slot `dst` = buffer, which `OP_BUFFER_FREE` frees
/// by FreeCommonBufferFromVector.
pub const OP_VECTOR_GET: u16 = 0x0117;
/// FreeCommonBufferFromVector of vector `a`, index `arg[0]`, whatever the driver knows of it.
pub const OP_VECTOR_FREE_ELEMENT: u16 = 0x0118;
/// FreeCommonBufferVector of vector `a`; elements that live are freed first, except with `OP_FLAG_OVERRIDE`.
pub const OP_VECTOR_FREE: u16 = 0x0119;

/// Most elements of a vector that a program may ask for.
pub const VECTOR_MAX_ELEMENTS: u64 = 64;
