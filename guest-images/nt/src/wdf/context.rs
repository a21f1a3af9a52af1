//! Contexts: the memory that a driver hangs on framework objects, by type (KD-22: zero-filled), and the callbacks
//! that come with it.

use super::attributes::{Attributes, ContextType};
use super::object::{self, Handle, OBJECTS};
use crate::ntoskrnl::kernel_memory;
use crate::ntoskrnl::status::{self, NtStatus};

const TAG: u32 = u32::from_le_bytes(*b"WdfC");
/// Largest context: what a driver asks for beyond it is a wild size.
const MAX_CONTEXT_BYTES: u64 = 16 << 20;

/// One context of an object, or callbacks alone.
#[derive(Clone, Debug)]
pub(super) struct Context {
    /// Identity of its type; 0 for callbacks alone.
    identity: u64,
    /// Where it lies; 0 where its type has no bytes.
    address: u64,
    pub(super) cleanup: u64,
    pub(super) destroy: u64,
}

/// Makes the context that attributes ask for, if they ask for anything.
pub(super) fn allocate(attributes: &Attributes) -> Result<Option<Context>, NtStatus> {
    let has_callbacks = attributes.cleanup != 0 || attributes.destroy != 0;
    if attributes.context.is_none() && !has_callbacks {
        return Ok(None);
    }
    let ContextType {
        identity,
        len_bytes,
    } = attributes.context.unwrap_or(ContextType {
        identity: 0,
        len_bytes: 0,
    });
    // A type without bytes has an address of its own all the same.
    let address = match identity {
        0 => 0,
        _ if len_bytes > MAX_CONTEXT_BYTES => return Err(status::INSUFFICIENT_RESOURCES),
        _ => {
            kernel_memory::allocate(len_bytes.max(1), TAG).ok_or(status::INSUFFICIENT_RESOURCES)?
        }
    };
    Ok(Some(Context {
        identity,
        address,
        cleanup: attributes.cleanup,
        destroy: attributes.destroy,
    }))
}

/// Frees contexts.
pub(super) fn free(contexts: &[Context]) {
    for context in contexts.iter().filter(|context| context.address != 0) {
        kernel_memory::free(context.address);
    }
}

/// The work of WdfObjectAllocateContext: the context's address.
///
/// # Errors
/// STATUS_OBJECT_NAME_EXISTS with the address of the one that is there already, STATUS_DELETE_PENDING,
/// STATUS_INSUFFICIENT_RESOURCES.
pub(super) fn add(handle: Handle, attributes: &Attributes) -> Result<u64, (NtStatus, u64)> {
    let identity = attributes.context.map_or(0, |context| context.identity);
    if let Some(address) = find(handle, identity) {
        return Err((status::OBJECT_NAME_EXISTS, address));
    }
    if !object::is_live(handle) {
        return Err((status::DELETE_PENDING, 0));
    }
    let context = allocate(attributes).map_err(|status| (status, 0))?;
    let address = context.as_ref().map_or(0, |context| context.address);
    object::with(handle, |object| object.contexts.extend(context));
    Ok(address)
}

/// The context of a type.
#[must_use]
pub fn find(handle: Handle, identity: u64) -> Option<u64> {
    object::with(handle, |object| {
        let mut contexts = object.contexts.iter();
        contexts
            .find(|context| context.identity == identity && identity != 0)
            .map(|context| context.address)
    })
    .flatten()
}

/// The object whose context starts at `address`.
#[must_use]
pub fn owner(address: u64) -> Option<Handle> {
    OBJECTS.with(|objects| {
        let mut live = objects.live.iter();
        live.find(|(_, object)| {
            let mut contexts = object.contexts.iter();
            contexts.any(|context| context.address == address && address != 0)
        })
        .map(|(handle, _)| *handle)
    })
}
