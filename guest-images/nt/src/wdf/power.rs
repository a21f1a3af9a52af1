//! Power: into D0 and out of it (KD-21; powerstatemachine.cpp), and the power requests of a device.
//!
//! The owner of a stack's power policy asks for a device state where the system's state changes, and the system's
//! request is complete when the device has got there. A device power request that it has not asked for is bug check
//! 0x10D/0xD, as in the framework.

use super::device::{self, POWER_D0, POWER_D3, POWER_D3_FINAL};
use super::device_init::PnpPower;
use super::object::Handle;
use super::violation::{self, reason};
use super::{dma_power, interrupt, io_package, irp, pnp};
use crate::arch::guarded::Guarded;
use crate::ke::event::{self, Event, EventKind};
use crate::ke::{Foreign, wait};
use crate::ntoskrnl::objects::{IoStackLocation, Irp};
use crate::ntoskrnl::po::{self, DEVICE_POWER_STATE, IRP_MN_SET_POWER};
use crate::ntoskrnl::shared::address_of;
use crate::ntoskrnl::status::{self, NtStatus};
use crate::ntoskrnl::{kernel_memory, verifier};

const TAG: u32 = u32::from_le_bytes(*b"WdfP");
/// PowerSystemWorking
const SYSTEM_WORKING: u32 = 1;
/// PowerDeviceD0 and PowerDeviceD3; the framework's own numbers for them are the same.
const DEVICE_D0: u32 = POWER_D0;
const DEVICE_D3: u32 = POWER_D3;

/// Devices that have asked for a device power request which is on its way.
static REQUESTED: Guarded<alloc::collections::BTreeSet<Handle>> =
    Guarded::new(alloc::collections::BTreeSet::new());

/// Takes a device to D0. A callback that fails is followed by those that undo what was done, and the device counts as
/// one that is not started.
///
/// # Errors
/// The status of the callback that failed.
pub(super) fn up(device: Handle) -> Result<(), NtStatus> {
    let previous = device::with(device, |device| device.power_state).unwrap_or(POWER_D3_FINAL);
    let from = [u64::from(previous)];
    run(device, PnpPower::D0Entry, &from)?;
    let undo_interrupts = |status| {
        interrupt::disconnect_all(device);
        exit(device, PnpPower::D0Exit, POWER_D3_FINAL);
        device::with(device, |device| device.power_state = POWER_D3_FINAL);
        status
    };
    interrupt::connect_all(device).map_err(undo_interrupts)?;
    run(device, PnpPower::D0EntryPostInterruptsEnabled, &from).map_err(undo_interrupts)?;
    let undo_dma = |status| {
        dma_power::down(device);
        exit(
            device,
            PnpPower::D0ExitPreInterruptsDisabled,
            POWER_D3_FINAL,
        );
        undo_interrupts(status)
    };
    dma_power::up(device).map_err(undo_dma)?;
    io_package::resume(device);
    start_self_managed_io(device).map_err(|status| {
        io_package::hold(device);
        undo_dma(status)
    })?;
    device::with(device, |device| device.power_state = POWER_D0);
    Ok(())
}

fn run(device: Handle, which: PnpPower, arguments: &[u64]) -> Result<(), NtStatus> {
    match device::callback(device, which, arguments) {
        status if status.is_success() => Ok(()),
        status => Err(status),
    }
}

/// Calls a callback of the way down; whether it succeeded.
fn exit(device: Handle, which: PnpPower, target: u32) -> bool {
    device::callback(device, which, &[target.into()]).is_success()
}

/// Takes a device out of D0, to the framework's state `target`. Every step is taken, whatever the ones before gave.
///
/// # Errors
/// STATUS_DEVICE_POWER_FAILURE where a callback failed.
pub(super) fn down(device: Handle, target: u32) -> Result<(), NtStatus> {
    let mut is_sound = true;
    let was_running = device::with(device, |device| {
        core::mem::take(&mut device.progress.is_self_managed_running)
    });
    if was_running == Some(true) {
        is_sound &= device::callback(device, PnpPower::SelfManagedIoSuspend, &[]).is_success();
    }
    io_package::hold(device);
    is_sound &= dma_power::down(device);
    is_sound &= exit(device, PnpPower::D0ExitPreInterruptsDisabled, target);
    is_sound &= interrupt::disconnect_all(device);
    is_sound &= exit(device, PnpPower::D0Exit, target);
    device::with(device, |device| device.power_state = target);
    if is_sound {
        Ok(())
    } else {
        Err(status::DEVICE_POWER_FAILURE)
    }
}

/// EvtDeviceSelfManagedIoInit the first time, EvtDeviceSelfManagedIoRestart from then on.
fn start_self_managed_io(device: Handle) -> Result<(), NtStatus> {
    let was_init = device::with(device, |device| {
        core::mem::replace(&mut device.progress.is_self_managed_init, true)
    });
    let which = match was_init {
        Some(true) => PnpPower::SelfManagedIoRestart,
        _ => PnpPower::SelfManagedIoInit,
    };
    run(device, which, &[])?;
    device::with(device, |device| {
        device.progress.is_self_managed_running = true
    });
    Ok(())
}

/// A power request. IRQL PASSIVE_LEVEL.
pub(super) fn dispatch(device: Handle, irp: &Irp, stack: &IoStackLocation) -> NtStatus {
    let is_device_state = stack.parameters[1].get() & 0xFFFF_FFFF == DEVICE_POWER_STATE;
    let state = low_half(stack.parameters[2].get());
    if stack.minor_function.get() != IRP_MN_SET_POWER {
        irp.status.set(status::SUCCESS);
        return irp::pass_down(device, irp);
    }
    if is_device_state {
        set_device_power(device, irp, stack, state)
    } else {
        set_system_power(device, irp, stack, state)
    }
}

fn owns_policy(device: Handle) -> bool {
    device::with(device, |device| device.init.owns_power_policy) == Some(true)
}

fn set_device_power(device: Handle, irp: &Irp, stack: &IoStackLocation, state: u32) -> NtStatus {
    if owns_policy(device) && !REQUESTED.with(|requested| requested.remove(&device)) {
        let wdm = device::with(device, |device| device.wdm).unwrap_or(0);
        violation::raise(
            "wdf-power-not-requested",
            format_args!(
                "SET_POWER for a device state, which the power policy owner has not requested"
            ),
            [reason::POWER_MULTIPLE_PPO, wdm, address_of(irp), 0],
        );
    }
    let is_in_d0 = device::with(device, |device| device.power_state) == Some(POWER_D0);
    if state == DEVICE_D0 {
        let status = irp::forward_and_wait(device, irp, stack);
        // A device that is not started has no D0 to enter.
        if status.is_success() && !is_in_d0 && has_hardware(device) && up(device).is_err() {
            fail(device);
        }
        return irp::complete(irp, status::SUCCESS);
    }
    if is_in_d0 && down(device, state).is_err() {
        fail(device);
    }
    irp.status.set(status::SUCCESS);
    irp::pass_down(device, irp)
}

fn has_hardware(device: Handle) -> bool {
    device::with(device, |device| device.progress.has_hardware) == Some(true)
}

/// A device whose power callbacks failed: the framework tears it down and waits for REMOVE.
fn fail(device: Handle) {
    verifier::finding(
        "wdf-device-failed",
        format_args!("a power callback of {device} failed; it waits to be removed"),
    );
    pnp::leave(device);
}

fn set_system_power(device: Handle, irp: &Irp, stack: &IoStackLocation, state: u32) -> NtStatus {
    if !owns_policy(device) {
        irp.status.set(status::SUCCESS);
        return irp::pass_down(device, irp);
    }
    let status = irp::forward_and_wait(device, irp, stack);
    if status.is_success() && has_hardware(device) {
        let target = if state == SYSTEM_WORKING {
            DEVICE_D0
        } else {
            DEVICE_D3
        };
        request_device_power(device, target);
    }
    irp::complete(irp, status)
}

/// Asks for a device state, as the power policy owner does, and waits until the device has it.
fn request_device_power(device: Handle, state: u32) {
    let wdm = device::with(device, |device| device.wdm);
    let event = kernel_memory::allocate(size_of::<Event>() as u64, TAG);
    let (Some(wdm), Some(event)) = (wdm, event) else {
        return;
    };
    event::initialize(Foreign::checked(event), EventKind::Notification, false);
    REQUESTED.with(|requested| requested.insert(device));
    let completion = (power_is_set as *const ()).expose_provenance() as u64;
    let status = po::po_request_power_irp(wdm, IRP_MN_SET_POWER, state, completion, event, 0);
    if status.is_success() {
        wait::wait_single(Foreign::<Event>::checked(event).cast(), None);
    }
    REQUESTED.with(|requested| requested.remove(&device));
    kernel_memory::free(event);
}

/// The completion routine of [`request_device_power`].
extern "win64" fn power_is_set(_device: u64, _minor: u8, _state: u64, event: u64, _iosb: u64) {
    event::set(Foreign::checked(event));
}

fn low_half(value: u64) -> u32 {
    let [a, b, c, d, ..] = value.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}
