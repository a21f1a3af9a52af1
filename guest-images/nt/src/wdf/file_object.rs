//! WDFFILEOBJECT: the opens of a device, by the FILE_OBJECT that the I/O manager has for each.

use super::creation::word;
use super::device;
use super::device_init::FileObjectConfig;
use super::family::Family;
use super::object::{self, Handle, Kind};
use super::violation::at_most;
use super::{lock, request, tree};
use crate::ke::irql::DISPATCH_LEVEL;
use crate::ntoskrnl::driver as call;
use crate::ntoskrnl::io_irp;
use crate::ntoskrnl::objects::{IoStackLocation, Irp};
use crate::ntoskrnl::status::{self, NtStatus};

/// Offset of Flags in FILE_OBJECT.
const FILE_OBJECT_FLAGS: u64 = 0x50;

static KIND: Kind = Kind {
    is_deletable: false,
    on_destroy: forget,
    ..Kind::new("WDFFILEOBJECT")
};

#[derive(Clone, Copy)]
struct FileObject {
    wdm: u64,
    device: Handle,
}

static FILES: Family<FileObject> = Family::new();

fn forget(handle: Handle) {
    FILES.remove(handle);
}

/// The WDFFILEOBJECT of a FILE_OBJECT.
#[must_use]
pub(super) fn of_wdm(wdm: u64) -> Option<Handle> {
    if wdm == 0 {
        return None;
    }
    FILES.find(|_, file| file.wdm == wdm).first().copied()
}

fn config_of(device: Handle) -> Option<FileObjectConfig> {
    device::with(device, |device| device.init.file_objects).flatten()
}

/// IRP_MJ_CREATE. EvtDeviceFileCreate completes it; without one, or without file objects, every open succeeds.
pub(super) fn open(device: Handle, irp: &Irp, stack: &IoStackLocation) -> NtStatus {
    let Some(config) = config_of(device) else {
        return io_irp::complete_with(irp, status::SUCCESS);
    };
    let file = match object::create(&KIND, &config.attributes, Some(device)) {
        Ok(file) => file,
        Err(status) => return io_irp::complete_with(irp, status),
    };
    let wdm = stack.file_object.get();
    FILES.insert(file, FileObject { wdm, device });
    if config.create == 0 {
        return io_irp::complete_with(irp, status::SUCCESS);
    }
    let request = match request::create(device, irp) {
        Ok(request) => request,
        Err(status) => {
            tree::discard(file);
            return io_irp::complete_with(irp, status);
        }
    };
    request::mark_pending(stack);
    lock::guarded(device, || {
        let arguments = [device.raw(), request.raw(), file.raw()];
        call::event(config.create, "EvtDeviceFileCreate", &arguments);
    });
    status::PENDING
}

/// An open that was completed without success has no file object.
pub(super) fn open_completed(irp: &Irp, status: NtStatus) {
    if !status.is_success()
        && let Some(file) = of_wdm(request::stack_of(irp).file_object.get())
    {
        tree::discard(file);
    }
}

/// IRP_MJ_CLEANUP: EvtFileCleanup.
pub(super) fn clean_up(device: Handle, irp: &Irp, stack: &IoStackLocation) -> NtStatus {
    if let (Some(config), Some(file)) = (config_of(device), of_wdm(stack.file_object.get()))
        && config.cleanup != 0
    {
        lock::guarded(device, || {
            call::event(config.cleanup, "EvtFileCleanup", &[file.raw()]);
        });
    }
    io_irp::complete_with(irp, status::SUCCESS)
}

/// IRP_MJ_CLOSE: EvtFileClose, then the object goes.
pub(super) fn close(device: Handle, irp: &Irp, stack: &IoStackLocation) -> NtStatus {
    if let (Some(config), Some(file)) = (config_of(device), of_wdm(stack.file_object.get())) {
        if config.close != 0 {
            lock::guarded(device, || {
                call::event(config.close, "EvtFileClose", &[file.raw()]);
            });
        }
        tree::delete(file);
    }
    io_irp::complete_with(irp, status::SUCCESS)
}

/// `WdfFileObjectGetFlags` (wdffileobject.h). IRQL <= DISPATCH_LEVEL. Flags of the FILE_OBJECT; 0 without one.
pub(super) extern "win64" fn flags(_globals: u64, file: u64) -> u32 {
    let function = "WdfFileObjectGetFlags";
    at_most(function, DISPATCH_LEVEL);
    match record(function, file).map_or(0, |file| file.wdm) {
        0 => 0,
        wdm => word(wdm, FILE_OBJECT_FLAGS),
    }
}

/// `WdfFileObjectGetDevice` (wdffileobject.h). IRQL <= DISPATCH_LEVEL.
pub(super) extern "win64" fn device(_globals: u64, file: u64) -> u64 {
    record("WdfFileObjectGetDevice", file).map_or(0, |file| file.device.raw())
}

/// `WdfFileObjectWdmGetFileObject` (wdffileobject.h). IRQL <= DISPATCH_LEVEL.
pub(super) extern "win64" fn wdm_file_object(_globals: u64, file: u64) -> u64 {
    record("WdfFileObjectWdmGetFileObject", file).map_or(0, |file| file.wdm)
}

fn record(function: &str, file: u64) -> Option<FileObject> {
    FILES.get(object::check(function, file, &KIND))
}
