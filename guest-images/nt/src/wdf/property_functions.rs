//! Properties that come as a WDFMEMORY (indices 82, 127, 434).

use core::cell::Cell;

use super::device::{self, KIND};
use super::object;
use super::violation::{check_level, not_null};
use super::{device_functions, device_init, memory};
use crate::ke::irql::PASSIVE_LEVEL;
use crate::ntoskrnl::io_names::io_get_device_property;
use crate::ntoskrnl::kernel_memory;
use crate::ntoskrnl::shared::{read_u64, shared};
use crate::ntoskrnl::status::{self, NtStatus};

const TAG: u32 = u32::from_le_bytes(*b"WdfQ");
/// Tag of the memory that the driver gets.
const MEMORY_TAG: u32 = u32::from_le_bytes(*b"WdfM");

/// What the driver says of the memory that it wants.
struct Wanted {
    globals: u64,
    attributes: u64,
    pool_type: u32,
    out: u64,
}

impl Wanted {
    /// Asks `query` (room, buffer, where the length goes) for the length, then for the value in new memory.
    fn fill(&self, query: impl Fn(u32, u64, u64) -> NtStatus) -> NtStatus {
        let Some(block) = kernel_memory::allocate(0x10, TAG) else {
            return status::INSUFFICIENT_RESOURCES;
        };
        let (length, buffer) = (block, block + 8);
        let mut status = query(0, 0, length);
        if status == status::BUFFER_TOO_SMALL {
            let len = shared::<Cell<u32>>(length).get();
            status = memory::create(
                self.globals,
                self.attributes,
                self.pool_type,
                MEMORY_TAG,
                len.into(),
                self.out,
                buffer,
            );
            if status.is_success() {
                status = query(len, read_u64(buffer), length);
            }
        }
        kernel_memory::free(block);
        status
    }
}

/// `WdfDeviceAllocAndQueryProperty` (wdfdevice.h). IRQL PASSIVE_LEVEL. STATUS_SUCCESS, or what IoGetDeviceProperty and
/// WdfMemoryCreate say.
pub(super) extern "win64" fn of_device(
    globals: u64,
    device: u64,
    property: u32,
    pool_type: u32,
    attributes: u64,
    out: u64,
) -> NtStatus {
    let function = "WdfDeviceAllocAndQueryProperty";
    let handle = object::check(function, device, &KIND);
    not_null(function, "PropertyMemory", out);
    if let Err(status) = check_level(function, PASSIVE_LEVEL) {
        return status;
    }
    let wanted = Wanted {
        globals,
        attributes,
        pool_type,
        out,
    };
    let pdo = device::with(handle, |device| device.init.pdo).unwrap_or(0);
    wanted.fill(|room, buffer, length| io_get_device_property(pdo, property, room, buffer, length))
}

/// `WdfFdoInitAllocAndQueryProperty` (wdffdo.h). As [`of_device`], before the device is there.
pub(super) extern "win64" fn of_init(
    globals: u64,
    init: u64,
    property: u32,
    pool_type: u32,
    attributes: u64,
    out: u64,
) -> NtStatus {
    let function = "WdfFdoInitAllocAndQueryProperty";
    not_null(function, "DeviceInit", init);
    not_null(function, "PropertyMemory", out);
    if let Err(status) = check_level(function, PASSIVE_LEVEL) {
        return status;
    }
    let Some(pdo) = device_init::with(function, init, |init| init.pdo) else {
        return status::INVALID_PARAMETER;
    };
    let wanted = Wanted {
        globals,
        attributes,
        pool_type,
        out,
    };
    wanted.fill(|room, buffer, length| io_get_device_property(pdo, property, room, buffer, length))
}

/// `WdfDeviceAllocAndQueryPropertyEx` (wdfdevice.h). As WdfDeviceQueryPropertyEx.
pub(super) extern "win64" fn of_device_ex(
    globals: u64,
    device: u64,
    property: u64,
    pool_type: u32,
    attributes: u64,
    out: u64,
    kind: u64,
) -> NtStatus {
    let function = "WdfDeviceAllocAndQueryPropertyEx";
    let _ = object::check(function, device, &KIND);
    not_null(function, "PropertyMemory", out);
    if let Err(status) = check_level(function, PASSIVE_LEVEL) {
        return status;
    }
    let wanted = Wanted {
        globals,
        attributes,
        pool_type,
        out,
    };
    wanted.fill(|room, buffer, length| {
        device_functions::query_property_ex(globals, device, property, room, buffer, length, kind)
    })
}
