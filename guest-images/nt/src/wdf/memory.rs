//! WDFMEMORY (indices 192 to 197): a buffer and its length, the framework's own or one that belongs to a driver or
//! a request.

use super::attributes::{Attributes, Rules};
use super::creation::{give, parent_or_driver};
use super::family::Family;
use super::object::{self, Handle, Kind};
use super::violation::{self, at_most, not_null, reason};
use crate::ke::irql::{APC_LEVEL, DISPATCH_LEVEL};
use crate::ke::pool;
use crate::memory::VirtAddr;
use crate::memory::pool::{Content, PoolKind, PoolRequest};
use crate::ntoskrnl::kernel_memory;
use crate::ntoskrnl::shared::{read_bytes, write_bytes, write_u64};
use crate::ntoskrnl::status::{self, NtStatus};

/// The tag where a driver gives none.
const TAG: u32 = u32::from_le_bytes(*b"WdfM");
/// POOL_TYPE bit of paged pool.
const PAGED_POOL: u32 = 1;
/// Largest buffer: what a driver asks for beyond it is a wild size.
const MAX_BYTES: u64 = 1 << 30;
/// Bytes that are copied in one piece.
const COPY_BYTES: u64 = 64 << 10;

pub(super) static KIND: Kind = Kind {
    on_destroy: forget,
    ..Kind::new("WDFMEMORY")
};

/// Whose the bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// The framework's, freed with the object.
    Framework,
    /// The driver's: WdfMemoryCreatePreallocated.
    Driver,
    /// A request's; the driver may write to it or not.
    Request {
        /// Whether WdfMemoryCopyFromBuffer may write to it.
        is_writable: bool,
    },
}

/// A buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Buffer {
    /// Its first byte.
    pub address: u64,
    /// Its length.
    pub len_bytes: u64,
    /// Whose it is.
    pub owner: Owner,
}

static BUFFERS: Family<Buffer> = Family::new();

fn forget(handle: Handle) {
    if let Some(buffer) = BUFFERS.remove(handle)
        && buffer.owner == Owner::Framework
    {
        kernel_memory::free(buffer.address);
    }
}

/// Makes a WDFMEMORY of a buffer.
///
/// # Errors
/// As [`object::create`].
pub(super) fn make(
    attributes: &Attributes,
    parent: Option<Handle>,
    buffer: Buffer,
) -> Result<Handle, NtStatus> {
    let handle = object::create(&KIND, attributes, parent)?;
    BUFFERS.insert(handle, buffer);
    Ok(handle)
}

/// The buffer of a WDFMEMORY.
#[must_use]
pub(super) fn buffer_of(handle: Handle) -> Option<Buffer> {
    BUFFERS.get(handle)
}

/// `WdfMemoryCreate` (wdfmemory.h). IRQL <= DISPATCH_LEVEL, <= APC_LEVEL for paged pool. STATUS_SUCCESS,
/// STATUS_INVALID_PARAMETER for no bytes, STATUS_INSUFFICIENT_RESOURCES, or what [`Attributes::read`] says. The driver is
/// the parent where none is named. The content is poison.
pub(super) extern "win64" fn create(
    globals: u64,
    attributes: u64,
    pool_type: u32,
    tag: u32,
    len_bytes: u64,
    out: u64,
    buffer_out: u64,
) -> NtStatus {
    let function = "WdfMemoryCreate";
    not_null(function, "Memory", out);
    let kind = match pool_type & PAGED_POOL {
        0 => PoolKind::NonPaged,
        _ => PoolKind::Paged,
    };
    let limit = match kind {
        PoolKind::NonPaged => DISPATCH_LEVEL,
        PoolKind::Paged => APC_LEVEL,
    };
    at_most(function, limit);
    if len_bytes == 0 {
        return give(out, Err(status::INVALID_PARAMETER));
    }
    let created = Attributes::read(attributes, Rules::PLAIN).and_then(|attributes| {
        let parent = parent_or_driver(function, globals, &attributes);
        let address = allocate(kind, tag, len_bytes).ok_or(status::INSUFFICIENT_RESOURCES)?;
        let buffer = Buffer {
            address,
            len_bytes,
            owner: Owner::Framework,
        };
        make(&attributes, parent, buffer).inspect_err(|_| kernel_memory::free(address))
    });
    if let Ok(handle) = created
        && buffer_out != 0
    {
        write_u64(
            buffer_out,
            buffer_of(handle).map_or(0, |buffer| buffer.address),
        );
    }
    give(out, created)
}

fn allocate(kind: PoolKind, tag: u32, len_bytes: u64) -> Option<u64> {
    let tag = if tag == 0 { TAG } else { tag };
    if len_bytes > MAX_BYTES {
        return None;
    }
    if cfg!(not(feature = "kernel")) {
        return kernel_memory::allocate(len_bytes, tag);
    }
    let request = PoolRequest {
        len_bytes,
        tag,
        kind,
        content: Content::Poison,
        executable: false,
        caller: 0,
    };
    pool::allocate(&request).map(VirtAddr::as_u64)
}

/// `WdfMemoryCreatePreallocated` (wdfmemory.h). IRQL <= DISPATCH_LEVEL. STATUS_SUCCESS, STATUS_INVALID_PARAMETER for no
/// bytes, STATUS_INSUFFICIENT_RESOURCES, or what [`Attributes::read`] says. The driver is the parent where none is named.
pub(super) extern "win64" fn create_preallocated(
    globals: u64,
    attributes: u64,
    address: u64,
    len_bytes: u64,
    out: u64,
) -> NtStatus {
    let function = "WdfMemoryCreatePreallocated";
    not_null(function, "Buffer", address);
    not_null(function, "Memory", out);
    at_most(function, DISPATCH_LEVEL);
    if len_bytes == 0 {
        return give(out, Err(status::INVALID_PARAMETER));
    }
    let created = Attributes::read(attributes, Rules::PLAIN).and_then(|attributes| {
        let parent = parent_or_driver(function, globals, &attributes);
        let buffer = Buffer {
            address,
            len_bytes,
            owner: Owner::Driver,
        };
        make(&attributes, parent, buffer)
    });
    give(out, created)
}

/// `WdfMemoryGetBuffer` (wdfmemory.h). IRQL <= DISPATCH_LEVEL. The buffer; its length where it is wanted.
pub(super) extern "win64" fn buffer(_globals: u64, memory: u64, len_out: u64) -> u64 {
    let function = "WdfMemoryGetBuffer";
    let buffer = checked(function, memory);
    if len_out != 0 {
        write_u64(len_out, buffer.len_bytes);
    }
    buffer.address
}

/// `WdfMemoryAssignBuffer` (wdfmemory.h). IRQL <= DISPATCH_LEVEL. STATUS_SUCCESS, STATUS_INVALID_PARAMETER for no bytes. A
/// memory object that was not made by WdfMemoryCreatePreallocated is bug check 0x10D/5.
pub(super) extern "win64" fn assign_buffer(
    _globals: u64,
    memory: u64,
    address: u64,
    len_bytes: u64,
) -> NtStatus {
    let function = "WdfMemoryAssignBuffer";
    let handle = object::check(function, memory, &KIND);
    require_preallocated(function, handle);
    not_null(function, "Buffer", address);
    if len_bytes == 0 {
        return status::INVALID_PARAMETER;
    }
    BUFFERS.with(handle, |buffer| {
        (buffer.address, buffer.len_bytes) = (address, len_bytes);
    });
    status::SUCCESS
}

/// `WdfMemoryCopyToBuffer` (wdfmemory.h). IRQL <= DISPATCH_LEVEL. STATUS_SUCCESS, STATUS_INVALID_PARAMETER for no bytes,
/// STATUS_BUFFER_TOO_SMALL where the memory ends before.
pub(super) extern "win64" fn copy_to_buffer(
    _globals: u64,
    memory: u64,
    offset: u64,
    target: u64,
    len_bytes: u64,
) -> NtStatus {
    let function = "WdfMemoryCopyToBuffer";
    let source = checked(function, memory);
    not_null(function, "Buffer", target);
    if len_bytes == 0 {
        return status::INVALID_PARAMETER;
    }
    match source.at(offset, len_bytes) {
        Some(source) => copy(source, target, len_bytes),
        None => status::BUFFER_TOO_SMALL,
    }
}

/// `WdfMemoryCopyFromBuffer` (wdfmemory.h). IRQL <= DISPATCH_LEVEL. STATUS_SUCCESS, STATUS_INVALID_PARAMETER for no bytes,
/// STATUS_INVALID_BUFFER_SIZE where the memory ends before, STATUS_ACCESS_VIOLATION for the input of a request.
pub(super) extern "win64" fn copy_from_buffer(
    _globals: u64,
    memory: u64,
    offset: u64,
    source: u64,
    len_bytes: u64,
) -> NtStatus {
    let function = "WdfMemoryCopyFromBuffer";
    let target = checked(function, memory);
    not_null(function, "Buffer", source);
    if len_bytes == 0 {
        return status::INVALID_PARAMETER;
    }
    if target.owner == (Owner::Request { is_writable: false }) {
        return status::ACCESS_VIOLATION;
    }
    match target.at(offset, len_bytes) {
        Some(target) => copy(source, target, len_bytes),
        None => status::INVALID_BUFFER_SIZE,
    }
}

fn require_preallocated(function: &str, handle: Handle) {
    if buffer_of(handle).is_some_and(|buffer| buffer.owner != Owner::Driver) {
        violation::raise(
            "wdf-handle-invalid",
            format_args!("{function}: {handle} is no preallocated memory"),
            [reason::INVALID_HANDLE, handle.raw(), 0, 0],
        );
    }
}

impl Buffer {
    /// Address of `len_bytes` bytes at `offset`, where they lie in the buffer.
    fn at(&self, offset: u64, len_bytes: u64) -> Option<u64> {
        let end = offset.checked_add(len_bytes)?;
        (end <= self.len_bytes).then(|| self.address.wrapping_add(offset))
    }
}

fn checked(function: &str, memory: u64) -> Buffer {
    let handle = object::check(function, memory, &KIND);
    at_most(function, DISPATCH_LEVEL);
    buffer_of(handle).unwrap_or(Buffer {
        address: 0,
        len_bytes: 0,
        owner: Owner::Driver,
    })
}

fn copy(source: u64, target: u64, len_bytes: u64) -> NtStatus {
    let mut done = 0;
    while done < len_bytes {
        let piece = COPY_BYTES.min(len_bytes - done);
        let bytes = read_bytes(
            source.wrapping_add(done),
            usize::try_from(piece).unwrap_or(0),
        );
        write_bytes(target.wrapping_add(done), &bytes);
        done += piece;
    }
    status::SUCCESS
}

#[cfg(test)]
mod tests {
    use core::cell::Cell;

    use super::super::tree;
    use super::*;
    use crate::ntoskrnl::shared::address_of;

    #[test]
    fn copies_stay_inside_the_buffer() {
        let (out, address) = (Cell::new(0u64), Cell::new(0u64));
        let status = create(0, 0, 512, 0, 100, address_of(&out), address_of(&address));
        assert_eq!(status, status::SUCCESS);
        let (memory, len) = (out.get(), Cell::new(0u64));
        assert_eq!(buffer(0, memory, address_of(&len)), address.get());
        assert_eq!(len.get(), 100);
        let ours = [0x5Au8; 64].map(Cell::new);
        let into = |offset, len| copy_from_buffer(0, memory, offset, address_of(&ours), len);
        let from = |offset, len| copy_to_buffer(0, memory, offset, address_of(&ours), len);
        assert_eq!(into(36, 64), status::SUCCESS);
        assert_eq!(read_bytes(address.get() + 36, 64), [0x5A; 64]);
        ours.iter().for_each(|byte| byte.set(0));
        assert_eq!(from(90, 10), status::SUCCESS);
        assert_eq!((ours[9].get(), ours[10].get()), (0x5A, 0));
        for offset in [37, 100, u64::MAX] {
            assert_eq!(into(offset, 64), status::INVALID_BUFFER_SIZE, "{offset}");
            assert_eq!(from(offset, 64), status::BUFFER_TOO_SMALL, "{offset}");
        }
        assert_eq!(into(0, 0), status::INVALID_PARAMETER);
        tree::delete(Handle::from_raw(memory));
    }

    #[test]
    fn wild_sizes_are_refused() {
        let out = Cell::new(9u64);
        let make = |len| create(0, 0, 512, 0, len, address_of(&out), 0);
        assert_eq!(make(0), status::INVALID_PARAMETER);
        assert_eq!(make(u64::MAX), status::INSUFFICIENT_RESOURCES);
        assert_eq!(out.get(), 0);
    }

    #[test]
    fn preallocated_memory_takes_another_buffer() {
        let (out, bytes) = (Cell::new(0u64), [0u64; 4].map(Cell::new));
        let status = create_preallocated(0, 0, address_of(&bytes), 8, address_of(&out));
        assert_eq!(status, status::SUCCESS);
        let second = address_of(&bytes[1]);
        assert_eq!(
            assign_buffer(0, out.get(), second, 0),
            status::INVALID_PARAMETER
        );
        assert_eq!(assign_buffer(0, out.get(), second, 24), status::SUCCESS);
        assert_eq!(buffer(0, out.get(), 0), second);
        tree::delete(Handle::from_raw(out.get()));
    }

    #[test]
    #[should_panic(expected = "bug check 0x10d [\n    0x5")]
    fn buffer_of_the_frameworks_own_memory_cannot_be_changed() {
        let out = Cell::new(0u64);
        create(0, 0, 512, 0, 8, address_of(&out), 0);
        require_preallocated("test", Handle::from_raw(out.get()));
    }
}
