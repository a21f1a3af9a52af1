//! The buffers of requests (indices 267 to 274): where each way of transfer has them, how long they are, and the
//! WDFMEMORY and MDLs made of them. IRQL <= DISPATCH_LEVEL.

use super::attributes::Attributes;
use super::creation::give;
use super::device;
use super::device_init::IoType;
use super::dma_enabler::Direction;
use super::memory::{self, Buffer, Owner};
use super::object::{self, Handle};
use super::request::{self, Arrival, checked, stack_of};
use super::violation::{at_most, not_null};
use crate::ke::irql::{DISPATCH_LEVEL, PASSIVE_LEVEL};
use crate::mdl::{MAPPED_TO_SYSTEM_VA, Mdl, SOURCE_IS_NONPAGED_POOL};
use crate::ntoskrnl::objects::Irp;
use crate::ntoskrnl::shared::{shared, write_u64};
use crate::ntoskrnl::status::{self, NtStatus};
use crate::ntoskrnl::{io_mdl, mm_mdl};

/// NormalPagePriority with MdlMappingNoExecute.
const MAPPING_PRIORITY: u32 = 0x4000_0010;

/// What was made for a request, and goes with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Buffers {
    /// WDFMEMORY of the input.
    pub(super) input: Option<Handle>,
    /// WDFMEMORY of the output.
    pub(super) output: Option<Handle>,
    /// MDL that the framework has built for a buffer; 0 for none.
    mdl: u64,
}

/// Frees what was made for a request; its memory objects are its children.
pub(super) fn release(handle: Handle) {
    let mdl = request::with(handle, |request| core::mem::take(&mut request.buffers.mdl));
    if let Some(mdl) = mdl.filter(|mdl| *mdl != 0) {
        io_mdl::io_free_mdl(mdl);
    }
}

/// Which of the two buffers of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Input,
    Output,
}

fn io_type_of(handle: Handle) -> Option<IoType> {
    let device = request::with(handle, |request| request.device)?;
    device::with(device, |device| device.init.io_type)
}

/// Where a buffer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// The IRP's system buffer.
    System,
    /// The IRP's MDL.
    Mdl,
    /// A pointer of the issuer.
    Issuer(u64),
}

/// The way and length of a buffer.
///
/// # Errors
/// STATUS_INVALID_DEVICE_REQUEST where a request of this kind has none, or its pointer is a user's;
/// STATUS_BUFFER_TOO_SMALL for one without bytes.
fn locate(handle: Handle, irp: &Irp, side: Side) -> Result<(Way, u64), NtStatus> {
    let stack = stack_of(irp);
    let io_type = io_type_of(handle);
    let by_io_type = || match io_type {
        Some(IoType::Direct) => Way::Mdl,
        Some(IoType::Neither) => Way::Issuer(irp.user_buffer.get()),
        Some(IoType::Buffered) | None => Way::System,
    };
    let by_method = |code: u64| match (code & 3, side) {
        (0, _) | (1 | 2, Side::Input) => Way::System,
        (1 | 2, Side::Output) => Way::Mdl,
        (_, Side::Input) => Way::Issuer(stack.parameters[3].get()),
        (_, Side::Output) => Way::Issuer(irp.user_buffer.get()),
    };
    let (way, len_bytes, is_internal) = match (Arrival::of_stack(stack), side) {
        (Some(Arrival::Read { len_bytes }), Side::Output)
        | (Some(Arrival::Write { len_bytes }), Side::Input) => (by_io_type(), len_bytes, false),
        (Some(Arrival::Control { input, code, .. }), Side::Input) => {
            (by_method(code), input, false)
        }
        (Some(Arrival::Control { output, code, .. }), Side::Output) => {
            (by_method(code), output, false)
        }
        (Some(Arrival::InternalControl { input, code, .. }), Side::Input) => {
            (by_method(code), input, true)
        }
        (Some(Arrival::InternalControl { output, code, .. }), Side::Output) => {
            (by_method(code), output, true)
        }
        _ => return Err(status::INVALID_DEVICE_REQUEST),
    };
    if len_bytes == 0 {
        return Err(status::BUFFER_TOO_SMALL);
    }
    let is_of_user = irp.requestor_mode.get() != 0 && !is_internal;
    if matches!(way, Way::Issuer(_)) && is_of_user {
        return Err(status::INVALID_DEVICE_REQUEST);
    }
    Ok((way, len_bytes))
}

/// Address and length of a buffer that the driver may use.
fn buffer(handle: Handle, irp: &Irp, side: Side) -> Result<(u64, u64), NtStatus> {
    let (way, len_bytes) = locate(handle, irp, side)?;
    let address = match way {
        Way::System => irp.system_buffer.get(),
        Way::Issuer(address) => address,
        Way::Mdl => system_address(irp.mdl_address.get() as u64),
    };
    match address {
        0 => Err(status::INSUFFICIENT_RESOURCES),
        address => Ok((address, len_bytes)),
    }
}

/// MmGetSystemAddressForMdlSafe.
fn system_address(mdl: u64) -> u64 {
    if mdl == 0 {
        return 0;
    }
    let header: &Mdl = shared(mdl);
    if header.has(MAPPED_TO_SYSTEM_VA | SOURCE_IS_NONPAGED_POOL) {
        return header.mapped_system_va.get();
    }
    mm_mdl::mm_map_locked_pages_specify_cache(mdl, 0, 1, 0, 0, MAPPING_PRIORITY)
}

/// `WdfRequestRetrieveInputMemory` (wdfrequest.h). STATUS_SUCCESS, STATUS_BUFFER_TOO_SMALL,
/// STATUS_INVALID_DEVICE_REQUEST, STATUS_INSUFFICIENT_RESOURCES. The memory goes with the request.
pub(super) extern "win64" fn input_memory(_globals: u64, request: u64, out: u64) -> NtStatus {
    memory_of("WdfRequestRetrieveInputMemory", request, Side::Input, out)
}

/// `WdfRequestRetrieveOutputMemory` (wdfrequest.h). As [`input_memory`].
pub(super) extern "win64" fn output_memory(_globals: u64, request: u64, out: u64) -> NtStatus {
    memory_of("WdfRequestRetrieveOutputMemory", request, Side::Output, out)
}

fn memory_of(function: &str, request: u64, side: Side, out: u64) -> NtStatus {
    at_most(function, DISPATCH_LEVEL);
    let (handle, irp) = checked(function, request);
    not_null(function, "Memory", out);
    let known = request::with(handle, |request| request.buffers).unwrap_or_default();
    let known = match side {
        Side::Input => known.input,
        Side::Output => known.output,
    };
    let made = known.map_or_else(|| make_memory(handle, irp, side), Ok);
    give(out, made)
}

fn make_memory(handle: Handle, irp: &Irp, side: Side) -> Result<Handle, NtStatus> {
    let (address, len_bytes) = buffer(handle, irp, side)?;
    let buffer = Buffer {
        address,
        len_bytes,
        owner: Owner::Request {
            is_writable: side == Side::Output,
        },
    };
    let memory = memory::make(&Attributes::NONE, Some(handle), buffer)?;
    object::set_deletable(memory, false);
    request::with(handle, |request| match side {
        Side::Input => request.buffers.input = Some(memory),
        Side::Output => request.buffers.output = Some(memory),
    });
    Ok(memory)
}

/// `WdfRequestRetrieveInputBuffer` (wdfrequest.h). STATUS_SUCCESS with the buffer and, where it is wanted, its length;
/// STATUS_BUFFER_TOO_SMALL below `minimum` bytes, STATUS_INVALID_DEVICE_REQUEST, STATUS_INSUFFICIENT_RESOURCES.
pub(super) extern "win64" fn input_buffer(
    _globals: u64,
    request: u64,
    minimum: u64,
    out: u64,
    len_out: u64,
) -> NtStatus {
    buffer_of(
        "WdfRequestRetrieveInputBuffer",
        Side::Input,
        [request, minimum, out, len_out],
    )
}

/// `WdfRequestRetrieveOutputBuffer` (wdfrequest.h). As [`input_buffer`].
pub(super) extern "win64" fn output_buffer(
    _globals: u64,
    request: u64,
    minimum: u64,
    out: u64,
    len_out: u64,
) -> NtStatus {
    buffer_of(
        "WdfRequestRetrieveOutputBuffer",
        Side::Output,
        [request, minimum, out, len_out],
    )
}

fn buffer_of(function: &str, side: Side, arguments: [u64; 4]) -> NtStatus {
    let [request, minimum, out, len_out] = arguments;
    at_most(function, DISPATCH_LEVEL);
    let (handle, irp) = checked(function, request);
    not_null(function, "Buffer", out);
    let found = buffer(handle, irp, side);
    give_buffer(found, minimum, out, len_out)
}

fn give_buffer(
    found: Result<(u64, u64), NtStatus>,
    minimum: u64,
    out: u64,
    len_out: u64,
) -> NtStatus {
    let (status, address, len_bytes) = match found {
        Ok((_, len_bytes)) if len_bytes < minimum => (status::BUFFER_TOO_SMALL, 0, 0),
        Ok((address, len_bytes)) => (status::SUCCESS, address, len_bytes),
        Err(status) => (status, 0, 0),
    };
    write_u64(out, address);
    if len_out != 0 {
        write_u64(len_out, len_bytes);
    }
    status
}

/// `WdfRequestRetrieveInputWdmMdl` (wdfrequest.h). STATUS_SUCCESS, STATUS_BUFFER_TOO_SMALL for no bytes,
/// STATUS_INVALID_DEVICE_REQUEST, STATUS_INSUFFICIENT_RESOURCES. An MDL that the framework builds goes with the request.
pub(super) extern "win64" fn input_mdl(_globals: u64, request: u64, out: u64) -> NtStatus {
    mdl_of("WdfRequestRetrieveInputWdmMdl", request, Side::Input, out)
}

/// `WdfRequestRetrieveOutputWdmMdl` (wdfrequest.h). As [`input_mdl`].
pub(super) extern "win64" fn output_mdl(_globals: u64, request: u64, out: u64) -> NtStatus {
    mdl_of("WdfRequestRetrieveOutputWdmMdl", request, Side::Output, out)
}

fn mdl_of(function: &str, request: u64, side: Side, out: u64) -> NtStatus {
    at_most(function, DISPATCH_LEVEL);
    let (handle, irp) = checked(function, request);
    not_null(function, "Mdl", out);
    let (status, mdl) = match mdl(handle, irp, side) {
        Ok(mdl) => (status::SUCCESS, mdl),
        Err(status) => (status, 0),
    };
    write_u64(out, mdl);
    status
}

/// The MDL and the bytes that a request has for a transfer in a direction.
///
/// # Errors
/// STATUS_INVALID_DEVICE_REQUEST for a request without bytes, of the other direction, or of METHOD_NEITHER;
/// STATUS_INSUFFICIENT_RESOURCES.
pub(super) fn mdl_for_dma(
    handle: Handle,
    irp: &Irp,
    direction: Direction,
) -> Result<(u64, u64), NtStatus> {
    let wants_write = direction == Direction::WriteToDevice;
    let (side, len_bytes) = match Arrival::of_stack(stack_of(irp)) {
        Some(Arrival::Read { len_bytes }) if !wants_write => (Side::Output, len_bytes),
        Some(Arrival::Write { len_bytes }) if wants_write => (Side::Input, len_bytes),
        Some(
            Arrival::Control {
                output,
                input,
                code,
            }
            | Arrival::InternalControl {
                output,
                input,
                code,
            },
        ) => match code & 3 {
            0 if wants_write => (Side::Input, input),
            0 => (Side::Output, output),
            // METHOD_IN_DIRECT and METHOD_OUT_DIRECT have their MDL on the output side.
            1 if wants_write => (Side::Output, output),
            2 if !wants_write => (Side::Output, output),
            _ => return Err(status::INVALID_DEVICE_REQUEST),
        },
        _ => return Err(status::INVALID_DEVICE_REQUEST),
    };
    if len_bytes == 0 {
        return Err(status::INVALID_DEVICE_REQUEST);
    }
    Ok((mdl(handle, irp, side)?, len_bytes))
}

fn mdl(handle: Handle, irp: &Irp, side: Side) -> Result<u64, NtStatus> {
    let (way, len_bytes) = locate(handle, irp, side)?;
    let known = request::with(handle, |request| request.buffers.mdl).unwrap_or(0);
    let address = match way {
        Way::Mdl => {
            return match irp.mdl_address.get() as u64 {
                0 => Err(status::INVALID_DEVICE_REQUEST),
                mdl => Ok(mdl),
            };
        }
        _ if known != 0 => return Ok(known),
        Way::System => irp.system_buffer.get(),
        Way::Issuer(address) => address,
    };
    let len_bytes = u32::try_from(len_bytes).map_err(|_| status::INVALID_PARAMETER)?;
    let mdl = io_mdl::io_allocate_mdl(address, len_bytes, 0, 0, 0);
    if mdl == 0 {
        return Err(status::INSUFFICIENT_RESOURCES);
    }
    mm_mdl::mm_build_mdl_for_nonpaged_pool(mdl);
    request::with(handle, |request| request.buffers.mdl = mdl);
    Ok(mdl)
}

/// `WdfRequestRetrieveUnsafeUserInputBuffer` (wdfrequest.h). IRQL PASSIVE_LEVEL. The issuer's own pointer, of a write to a
/// device with neither buffered nor direct transfers, or of a METHOD_NEITHER control request: STATUS_SUCCESS,
/// STATUS_BUFFER_TOO_SMALL below `minimum` bytes, STATUS_INVALID_DEVICE_REQUEST for any other.
pub(super) extern "win64" fn unsafe_user_input_buffer(
    _globals: u64,
    request: u64,
    minimum: u64,
    out: u64,
    len_out: u64,
) -> NtStatus {
    let function = "WdfRequestRetrieveUnsafeUserInputBuffer";
    unsafe_user_buffer(function, Side::Input, [request, minimum, out, len_out])
}

/// `WdfRequestRetrieveUnsafeUserOutputBuffer` (wdfrequest.h). As [`unsafe_user_input_buffer`], of a read.
pub(super) extern "win64" fn unsafe_user_output_buffer(
    _globals: u64,
    request: u64,
    minimum: u64,
    out: u64,
    len_out: u64,
) -> NtStatus {
    let function = "WdfRequestRetrieveUnsafeUserOutputBuffer";
    unsafe_user_buffer(function, Side::Output, [request, minimum, out, len_out])
}

fn unsafe_user_buffer(function: &str, side: Side, arguments: [u64; 4]) -> NtStatus {
    let [request, minimum, out, len_out] = arguments;
    let (handle, irp) = checked(function, request);
    not_null(function, "Buffer", out);
    at_most(function, PASSIVE_LEVEL);
    let stack = stack_of(irp);
    let is_neither = io_type_of(handle) == Some(IoType::Neither);
    let user = irp.user_buffer.get();
    let found = match (Arrival::of_stack(stack), side) {
        (Some(Arrival::Write { len_bytes }), Side::Input)
        | (Some(Arrival::Read { len_bytes }), Side::Output)
            if is_neither =>
        {
            Ok((user, len_bytes))
        }
        (Some(Arrival::Control { input, code, .. }), Side::Input) if code & 3 == 3 => {
            Ok((stack.parameters[3].get(), input))
        }
        (Some(Arrival::Control { output, code, .. }), Side::Output) if code & 3 == 3 => {
            Ok((user, output))
        }
        _ => Err(status::INVALID_DEVICE_REQUEST),
    };
    give_buffer(found, minimum, out, len_out)
}
