//! Power: PoCallDriver, PoRequestPowerIrp and what around them does nothing since Vista.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;

use super::driver;
use super::io_device::stack_top;
use super::io_irp;
use super::kernel_memory;
use super::objects::{DeviceObject, IRP_MJ_POWER};
use super::shared::{address_of, shared, write_u64};
use super::status::{self, NtStatus};
use super::verifier;
use crate::arch::exit::{ExitCode, exit};
use crate::arch::guarded::Guarded;
use crate::boot;
use crate::console;
use crate::ke::event::{self, Event, EventKind};
use crate::ke::thread::{self, Start};
use crate::ke::{Foreign, wait, work};

/// IRP_MN_SET_POWER
pub(crate) const IRP_MN_SET_POWER: u8 = 2;
const IRP_MN_QUERY_POWER: u8 = 3;
/// SystemPowerState
pub(crate) const SYSTEM_POWER_STATE: u64 = 0;
/// DevicePowerState
pub(crate) const DEVICE_POWER_STATE: u64 = 1;
const TAG: u32 = u32::from_le_bytes(*b"PoRq");
/// Time is counted in units of 100 ns.
const TICKS_PER_SECOND: i64 = 10_000_000;

/// A request of PoRequestPowerIrp on its way to its thread.
struct Request {
    device: u64,
    minor: u8,
    state: u32,
    completion: u64,
    context: u64,
}

static REQUESTS: Guarded<BTreeMap<u64, Box<Request>>> = Guarded::new(BTreeMap::new());

/// Sends one power or PnP IRP down a stack and waits for its end. `prepare` fills in the parameters.
pub(crate) fn send_and_wait(
    device: &DeviceObject,
    major: u8,
    minor: u8,
    parameters: [u64; 4],
) -> (NtStatus, u64) {
    // Event and status block lie in one allocation, for the IRP knows them by address.
    let Some(block) = kernel_memory::allocate(0x30, TAG) else {
        return (status::INSUFFICIENT_RESOURCES, 0);
    };
    let (event, iosb) = (block, block + 0x20);
    event::initialize(
        Foreign::<Event>::checked(event),
        EventKind::Notification,
        false,
    );
    let Some((irp, stack)) = io_irp::build(stack_top(device), event, iosb) else {
        kernel_memory::free(block);
        return (status::INSUFFICIENT_RESOURCES, 0);
    };
    // PnP, power and WMI requests start as "nobody has handled it".
    irp.status.set(status::NOT_SUPPORTED);
    stack.major_function.set(major);
    stack.minor_function.set(minor);
    for (slot, value) in stack.parameters.iter().zip(parameters) {
        slot.set(value);
    }
    let top = stack_top(device);
    io_irp::call(top, irp);
    let timeout = -i64::from(deadline_seconds()) * TICKS_PER_SECOND;
    if wait::wait_single(Foreign::<Event>::checked(event).cast(), Some(timeout)) == status::TIMEOUT
    {
        give_up(device, major, minor);
    }
    let result: &super::objects::IoStatusBlock = shared(iosb);
    let answer = (result.status.get(), result.information.get());
    kernel_memory::free(block);
    answer
}

fn deadline_seconds() -> u32 {
    boot::info().map_or(1, |info| info.options.irp_deadline)
}

/// The IRP can neither be taken back nor be waited for any longer: the run ends, in either mode.
fn give_up(device: &DeviceObject, major: u8, minor: u8) -> ! {
    verifier::finding(
        "irp-not-completed",
        format_args!(
            "IRP with major function {major:#x}, minor function {minor:#x} to device object {:#x} was not \
             completed in {} s",
            address_of(device),
            deadline_seconds()
        ),
    );
    console::Event::new("goodbye")
        .text("reason", "irp-not-completed")
        .send();
    exit(ExitCode::BugCheck)
}

/// `PoCallDriver` (wdm.h). As IofCallDriver.
pub(super) extern "win64" fn po_call_driver(device: u64, irp: u64) -> NtStatus {
    verifier::at_most_dispatch("PoCallDriver");
    io_irp::call(shared(device), shared(irp))
}

/// `PoStartNextPowerIrp` (wdm.h). Does nothing since Windows Vista.
pub(super) extern "win64" fn po_start_next_power_irp(_irp: u64) {}

/// `PoSetPowerState` (wdm.h). IRQL <= DISPATCH_LEVEL. Notes nothing; the previous state is reported as the new
/// one.
pub(super) extern "win64" fn po_set_power_state(_device: u64, _kind: u32, state: u32) -> u32 {
    verifier::at_most_dispatch("PoSetPowerState");
    state
}

/// `PoRequestPowerIrp` (wdm.h). IRQL <= DISPATCH_LEVEL. STATUS_PENDING, STATUS_INVALID_PARAMETER_2 for a minor
/// function other than SET_POWER and QUERY_POWER. The IRP travels in a thread of its own.
pub(crate) extern "win64" fn po_request_power_irp(
    device: u64,
    minor: u8,
    state: u32,
    completion: u64,
    context: u64,
    irp: u64,
) -> NtStatus {
    verifier::at_most_dispatch("PoRequestPowerIrp");
    if !matches!(minor, IRP_MN_SET_POWER | IRP_MN_QUERY_POWER) {
        return status::INVALID_PARAMETER_2;
    }
    if irp != 0 {
        // The IRP is not made yet, and drivers may use it for little more than identity.
        write_u64(irp, 0);
    }
    let request = Box::new(Request {
        device,
        minor,
        state,
        completion,
        context,
    });
    let key = core::ptr::from_ref(&*request).expose_provenance() as u64;
    REQUESTS.with(|requests| requests.insert(key, request));
    // The thread is made at PASSIVE_LEVEL, by the worker.
    work::queue(start_thread, key);
    status::PENDING
}

/// Each request travels in a thread of its own: a driver may finish it in a work item, which would wait
/// behind it in the worker.
fn start_thread(key: u64) {
    match thread::create("power request", Start::Kernel(carry_out, key)) {
        Ok(thread) => thread::dereference(thread),
        Err(_) => carry_out(key),
    }
}

fn carry_out(key: u64) {
    let Some(request) = REQUESTS.with(|requests| requests.remove(&key)) else {
        return;
    };
    let device: &DeviceObject = shared(request.device);
    let parameters = [0, DEVICE_POWER_STATE, request.state.into(), 0];
    let (status, information) = send_and_wait(device, IRP_MJ_POWER, request.minor, parameters);
    if request.completion == 0 {
        return;
    }
    let Some(iosb) = kernel_memory::allocate(0x10, TAG) else {
        return;
    };
    let block: &super::objects::IoStatusBlock = shared(iosb);
    block.status.set(status);
    block.information.set(information);
    driver::power_complete(
        request.completion,
        address_of(device),
        request.minor,
        request.state,
        request.context,
        iosb,
    );
    kernel_memory::free(iosb);
}
