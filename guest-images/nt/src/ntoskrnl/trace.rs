//! Tracing (ETW, WPP, WMI registration): accepted and dropped, for it has no reader here.

use super::shared::write_u64;
use super::status::{self, NtStatus};

/// `EtwRegister` (wdm.h). Gives a handle that means nothing. STATUS_SUCCESS.
pub(super) extern "win64" fn etw_register(
    _provider: u64,
    _callback: u64,
    _context: u64,
    handle: u64,
) -> NtStatus {
    write_u64(handle, 1);
    status::SUCCESS
}

/// `EtwUnregister`, `EtwWrite`, `EtwWriteTransfer`, `EtwSetInformation`, `WmiTraceMessage`,
/// `IoWMIRegistrationControl` (wdm.h). STATUS_SUCCESS.
pub(super) extern "win64" fn succeed() -> NtStatus {
    status::SUCCESS
}
