//! GUID_DEVICE_RESET_INTERFACE_STANDARD: a function driver has its device reset by the bus driver
//! (kernel/resetting-and-recovering-a-device). The function-level reset only; a platform-level one would
//! take the device off the bus.

use core::cell::Cell;

use super::device;
use crate::ke::irql::{self, PASSIVE_LEVEL};
use crate::ntoskrnl::objects::InterfaceHeader;
use crate::ntoskrnl::shared::{fill, shared, write_u64};
use crate::ntoskrnl::status::{self, NtStatus};
use crate::ntoskrnl::verifier;
use crate::pci;

/// {649FDF26-3BC0-4813-AD24-7E0C1EDA3FA3}
pub(super) const GUID: [u8; 16] = [
    0x26, 0xDF, 0x9F, 0x64, 0xC0, 0x3B, 0x13, 0x48, 0xAD, 0x24, 0x7E, 0x0C, 0x1E, 0xDA, 0x3F, 0xA3,
];
/// DEVICE_RESET_INTERFACE_STANDARD up to Reserved, its first form.
const BYTES: u64 = 0x38;
const DEVICE_RESET: u64 = 0x20;
const SUPPORTED_RESET_TYPES: u64 = 0x28;
/// FunctionLevelDeviceReset
const FUNCTION_LEVEL: u32 = 0;

/// Fills the interface at `at`, which has room for `size` bytes; `None` where the device cannot be reset.
pub(super) fn query(pdo: u64, at: u64, size: u64, reference: u64) -> Option<NtStatus> {
    let id = device::requester_of(pdo)?;
    pci::resettable(id)?;
    if size < BYTES {
        return Some(status::INVALID_PARAMETER);
    }
    fill(at, BYTES, 0);
    let header: &InterfaceHeader = shared(at);
    header.size.set(0x38);
    header.version.set(1);
    header.context.set(pdo);
    header.reference.set(reference);
    header.dereference.set(reference);
    let routine = (device_reset as *const ()).expose_provenance() as u64;
    write_u64(at + DEVICE_RESET, routine);
    shared::<Cell<u32>>(at + SUPPORTED_RESET_TYPES).set(1 << FUNCTION_LEVEL);
    Some(status::SUCCESS)
}

/// DeviceReset(context, type, flags, parameters) (wdm.h). IRQL PASSIVE_LEVEL. STATUS_SUCCESS,
/// STATUS_INVALID_PARAMETER for flags, STATUS_NOT_SUPPORTED for other types of reset and where the device
/// has none.
extern "win64" fn device_reset(pdo: u64, kind: u32, flags: u32, _parameters: u64) -> NtStatus {
    verifier::at_most("DeviceReset", PASSIVE_LEVEL);
    if irql::current() > PASSIVE_LEVEL {
        return status::INVALID_DEVICE_REQUEST;
    }
    if flags != 0 {
        return status::INVALID_PARAMETER;
    }
    let id = device::requester_of(pdo).filter(|_| kind == FUNCTION_LEVEL);
    match id.map(pci::reset_function) {
        Some(Ok(())) => status::SUCCESS,
        _ => status::NOT_SUPPORTED,
    }
}
