//! Tests of the walk of an IRP, with a stack of two devices whose routines are ours.

use std::cell::{Cell, RefCell};
use std::string::String;
use std::vec::Vec;

use super::*;
use crate::ntoskrnl::io_device;
use crate::ntoskrnl::objects::IRP_MJ_PNP;

std::thread_local! {
    static SEEN: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    static MORE_PROCESSING: Cell<bool> = const { Cell::new(false) };
}

fn note(text: &str) {
    SEEN.with(|seen| seen.borrow_mut().push(text.into()));
}

fn seen() -> Vec<String> {
    SEEN.with(|seen| seen.borrow().clone())
}

extern "win64" fn lower_dispatch(_device: u64, irp: u64) -> NtStatus {
    let irp: &Irp = shared(irp);
    note("lower");
    irp.information.set(7);
    let stack: &IoStackLocation = shared(irp.current_stack_location.get() as u64);
    match stack.minor_function.get() {
        // Pending: completed before the return, as an interrupt could do it.
        1 => {
            stack.control.set(stack.control.get() | SL_PENDING_RETURNED);
            irp.status.set(status::SUCCESS);
            complete(irp);
            status::PENDING
        }
        2 => complete_with(irp, status::UNSUCCESSFUL),
        // A liar: the IRP was not marked.
        3 => {
            complete_with(irp, status::SUCCESS);
            status::PENDING
        }
        _ => {
            irp.status.set(status::SUCCESS);
            complete(irp);
            status::SUCCESS
        }
    }
}

extern "win64" fn upper_dispatch(_device: u64, irp: u64) -> NtStatus {
    let irp: &Irp = shared(irp);
    let own: &IoStackLocation = shared(irp.current_stack_location.get() as u64);
    note("upper");
    // IoCopyCurrentIrpStackLocationToNext and IoSetCompletionRoutine on success.
    let next = next_stack(irp);
    next.major_function.set(own.major_function.get());
    next.minor_function.set(own.minor_function.get());
    next.control.set(SL_INVOKE_ON_SUCCESS);
    next.completion_routine
        .set((completed as *const ()).expose_provenance() as u64);
    next.context.set(0x55);
    let device: &DeviceObject = shared(own.device_object.get() as u64);
    if MORE_PROCESSING.get() {
        own.control.set(own.control.get() | SL_PENDING_RETURNED);
        call(shared(lower_of(device)), irp);
        return status::PENDING;
    }
    call(shared(lower_of(device)), irp)
}

extern "win64" fn completed(device: u64, irp: u64, context: u64) -> NtStatus {
    let irp: &Irp = shared(irp);
    note(&std::format!(
        "completed pending={} context={context:#x} device={}",
        irp.pending_returned.get(),
        device != 0
    ));
    if irp.pending_returned.get() != 0 {
        // IoMarkIrpPending
        let own: &IoStackLocation = shared(irp.current_stack_location.get() as u64);
        own.control.set(own.control.get() | SL_PENDING_RETURNED);
    }
    if MORE_PROCESSING.get() {
        status::MORE_PROCESSING_REQUIRED
    } else {
        status::SUCCESS
    }
}

fn lower_of(device: &DeviceObject) -> u64 {
    device.device_extension.get()
}

/// Two devices, the upper one remembering the lower one in place of its extension.
fn stack() -> (&'static DeviceObject, &'static DeviceObject) {
    let driver = |routine: *const ()| {
        let address = kernel_memory::allocate(size_of::<DriverObject>() as u64, 1).expect("memory");
        let driver: &DriverObject = shared(address);
        let slot = &driver.major_function[usize::from(IRP_MJ_PNP)];
        slot.set(routine.expose_provenance() as u64);
        driver
    };
    let make = |routine| io_device::create(driver(routine), 0, String::new(), 0).expect("memory");
    let lower = make(lower_dispatch as *const ());
    let upper = make(upper_dispatch as *const ());
    upper.stack_size.set(2);
    upper.device_extension.set(address_of(lower));
    (upper, lower)
}

fn send(minor: u8) -> (NtStatus, NtStatus, u64) {
    let (upper, _) = stack();
    let iosb = kernel_memory::allocate(16, 1).expect("memory");
    let (irp, location) = build(upper, 0, iosb).expect("an IRP");
    location.major_function.set(IRP_MJ_PNP);
    location.minor_function.set(minor);
    let returned = call(upper, irp);
    let block: &IoStatusBlock = shared(iosb);
    (returned, block.status.get(), block.information.get())
}

#[test]
fn irp_walks_down_and_up_and_tells_its_issuer() {
    let before = live_count();
    assert_eq!(send(0), (status::SUCCESS, status::SUCCESS, 7));
    assert_eq!(
        seen(),
        [
            "upper",
            "lower",
            "completed pending=0 context=0x55 device=true"
        ]
    );
    // Tests run side by side: none may be lost by this one.
    assert!(live_count() <= before + 8);
}

#[test]
fn pending_is_seen_by_the_completion_routine() {
    assert_eq!(send(1).0, status::PENDING);
    assert_eq!(seen()[2], "completed pending=1 context=0x55 device=true");
}

#[test]
#[should_panic(expected = "the guest would leave with BugCheck")]
fn pending_without_its_mark_is_a_violation() {
    let (_, lower) = stack();
    let (irp, location) = build(lower, 0, 0).expect("an IRP");
    location.major_function.set(IRP_MJ_PNP);
    location.minor_function.set(3);
    call(lower, irp);
}

#[test]
fn completion_for_success_does_not_run_on_an_error() {
    assert_eq!(send(2), (status::UNSUCCESSFUL, status::UNSUCCESSFUL, 0));
    assert_eq!(seen(), ["upper", "lower"]);
}

#[test]
fn more_processing_stops_the_walk_until_the_next_completion() {
    MORE_PROCESSING.set(true);
    let (upper, _) = stack();
    let iosb = kernel_memory::allocate(16, 1).expect("memory");
    let (irp, location) = build(upper, 0, iosb).expect("an IRP");
    location.major_function.set(IRP_MJ_PNP);
    call(upper, irp);
    let block: &IoStatusBlock = shared(iosb);
    assert_eq!(block.information.get(), 0, "not finished");

    complete(irp);

    assert_eq!(block.information.get(), 7);
}

#[test]
fn absurd_stack_sizes_give_no_irp() {
    assert!(allocate(0, Owner::Driver).is_none());
    assert!(allocate(-1, Owner::Driver).is_none());
    assert!(allocate(65, Owner::Driver).is_none());
}
