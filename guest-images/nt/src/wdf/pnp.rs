//! The PnP requests of a device, in the framework's order (KD-21; pnpstatemachine.cpp).

use super::device::{self, POWER_D0, POWER_D3_FINAL};
use super::device_init::PnpPower;
use super::object::Handle;
use super::{interrupt, io_package, irp, power, resource_list, tree};
use crate::ntoskrnl::objects::{IoStackLocation, Irp};
use crate::ntoskrnl::shared::shared;
use crate::ntoskrnl::status::{self, NtStatus};
use crate::ntoskrnl::{io_names, kernel_memory, rtl, verifier};

/// The minor functions of IRP_MJ_PNP that are handled; any other goes down.
mod minor {
    pub const START: u8 = 0x00;
    pub const QUERY_REMOVE: u8 = 0x01;
    pub const REMOVE: u8 = 0x02;
    pub const CANCEL_REMOVE: u8 = 0x03;
    pub const STOP: u8 = 0x04;
    pub const QUERY_STOP: u8 = 0x05;
    pub const CANCEL_STOP: u8 = 0x06;
    pub const QUERY_PNP_DEVICE_STATE: u8 = 0x14;
    pub const SURPRISE_REMOVAL: u8 = 0x17;
}

/// PNP_DEVICE_FAILED
const PNP_DEVICE_FAILED: u64 = 4;

/// A PnP request. IRQL PASSIVE_LEVEL.
pub(super) fn dispatch(device: Handle, irp: &Irp, stack: &IoStackLocation) -> NtStatus {
    match stack.minor_function.get() {
        minor::START => {
            let mut status = irp::forward_and_wait(device, irp, stack);
            if status.is_success() {
                status = start(device, stack);
            }
            irp::complete(irp, status)
        }
        minor::QUERY_STOP => query(device, irp, PnpPower::QueryStop),
        minor::QUERY_REMOVE => query(device, irp, PnpPower::QueryRemove),
        minor::CANCEL_STOP | minor::CANCEL_REMOVE => {
            irp.status.set(status::SUCCESS);
            irp::pass_down(device, irp)
        }
        minor::STOP => {
            stop(device);
            irp.status.set(status::SUCCESS);
            irp::pass_down(device, irp)
        }
        minor::SURPRISE_REMOVAL => {
            device::notify(device, PnpPower::SurpriseRemoval);
            leave(device);
            irp.status.set(status::SUCCESS);
            irp::pass_down(device, irp)
        }
        minor::REMOVE => remove(device, irp),
        minor::QUERY_PNP_DEVICE_STATE => {
            if device::with(device, |device| device.failed_action != 0) == Some(true) {
                irp.information
                    .set(irp.information.get() | PNP_DEVICE_FAILED);
                irp.status.set(status::SUCCESS);
            }
            irp::pass_down(device, irp)
        }
        _ => irp::pass_down(device, irp),
    }
}

/// QUERY_STOP and QUERY_REMOVE: the driver may object.
fn query(device: Handle, irp: &Irp, which: PnpPower) -> NtStatus {
    let is_stoppable = device::with(device, |device| device.is_stoppable).unwrap_or(true);
    let status = match is_stoppable {
        true => device::callback(device, which, &[]),
        false => status::INVALID_DEVICE_REQUEST,
    };
    if !status.is_success() {
        return irp::complete(irp, status);
    }
    irp.status.set(status::SUCCESS);
    irp::pass_down(device, irp)
}

/// START, after the bus driver: resources, EvtDevicePrepareHardware, power-up, interfaces. A failure leaves the device
/// as REMOVE wants to find it.
fn start(device: Handle, stack: &IoStackLocation) -> NtStatus {
    let lists = [stack.parameters[0].get(), stack.parameters[1].get()];
    let Some(lists) = resource_list::create_pair(device, lists) else {
        return status::INSUFFICIENT_RESOURCES;
    };
    device::with(device, |device| device.resources = Some(lists));
    interrupt::assign_resources(device, lists[1]);
    device::with(device, |device| device.progress.has_hardware = true);
    let arguments = lists.map(Handle::raw);
    let status = interrupt::in_prepare_hardware(device, || {
        device::callback(device, PnpPower::PrepareHardware, &arguments)
    });
    if !status.is_success() {
        leave(device);
        return status;
    }
    if power::up(device).is_err() {
        leave(device);
        return status::DEVICE_POWER_FAILURE;
    }
    set_interfaces(device, true);
    status::SUCCESS
}

/// STOP: power-down, EvtDeviceReleaseHardware. Interfaces stay.
fn stop(device: Handle) {
    power_down(device);
    release_hardware(device);
}

/// What surprise removal, REMOVE and a failed START have in common; once.
pub(super) fn leave(device: Handle) {
    power_down(device);
    release_hardware(device);
    let is_first = device::with(device, |device| {
        !core::mem::replace(&mut device.progress.is_cleaned_up, true)
    });
    if is_first != Some(true) {
        return;
    }
    set_interfaces(device, false);
    delete_symbolic_link(device);
    io_package::purge_managed(device);
    if device::with(device, |device| device.progress.is_self_managed_init) == Some(true) {
        device::notify(device, PnpPower::SelfManagedIoFlush);
    }
}

fn power_down(device: Handle) {
    if device::with(device, |device| device.power_state) == Some(POWER_D0) {
        // A failure of a callback on the way down changes nothing for a device that goes.
        let _ = power::down(device, POWER_D3_FINAL);
    }
}

fn release_hardware(device: Handle) {
    let had_hardware = device::with(device, |device| {
        core::mem::take(&mut device.progress.has_hardware)
    });
    let lists = device::with(device, |device| device.resources).flatten();
    if had_hardware == Some(true)
        && let Some([_, translated]) = lists
    {
        let status = device::callback(device, PnpPower::ReleaseHardware, &[translated.raw()]);
        if !status.is_success() {
            verifier::finding(
                "wdf-release-hardware-failed",
                format_args!("EvtDeviceReleaseHardware of {device} gave {status}"),
            );
        }
    }
    interrupt::release_resources(device);
    device::with(device, |device| device.resources = None);
    lists.into_iter().flatten().for_each(tree::delete);
}

/// REMOVE: what is left of the way down, the end of self-managed I/O, the objects, the IRP, the device object.
fn remove(device: Handle, irp: &Irp) -> NtStatus {
    leave(device);
    io_package::purge_rest(device);
    if device::with(device, |device| device.progress.is_self_managed_init) == Some(true) {
        device::notify(device, PnpPower::SelfManagedIoCleanup);
    }
    let Some(record) = device::record(device) else {
        return irp::complete(irp, status::NO_SUCH_DEVICE);
    };
    release_names(device);
    // Adapters and interrupts go before the bus driver turns the function off.
    tree::delete(device);
    tree::wait_for_deferred();
    irp.status.set(status::SUCCESS);
    let status = irp::pass_down_to(record.lower, irp);
    device::remove_wdm(shared(record.wdm), record.lower);
    status
}

/// Enables or disables the device's interfaces.
fn set_interfaces(device: Handle, is_started: bool) {
    let interfaces = device::with(device, |device| device.interfaces.clone()).unwrap_or_default();
    for (name, is_wanted) in interfaces {
        if is_wanted {
            io_names::io_set_device_interface_state(name, u8::from(is_started));
        }
    }
}

fn delete_symbolic_link(device: Handle) {
    let link = device::with(device, |device| core::mem::take(&mut device.symbolic_link));
    if let Some(link) = link.filter(|link| *link != 0) {
        io_names::io_delete_symbolic_link(link);
        free_string(link);
    }
}

/// Forgets the device's interfaces and its symbolic link.
pub(super) fn release_names(device: Handle) {
    delete_symbolic_link(device);
    let interfaces = device::with(device, |device| core::mem::take(&mut device.interfaces));
    for (name, _) in interfaces.unwrap_or_default() {
        free_string(name);
    }
}

/// Frees a UNICODE_STRING with its text.
pub(super) fn free_string(string: u64) {
    rtl::rtl_free_unicode_string(string);
    kernel_memory::free(string);
}

#[cfg(test)]
#[path = "pnp_tests.rs"]
mod tests;
