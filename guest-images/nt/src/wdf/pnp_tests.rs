//! The order of KD-21, with callbacks of the test in place of a driver's, on a stack whose bus driver succeeds.

use core::cell::Cell;
use std::cell::RefCell;
use std::vec;
use std::vec::Vec;

use super::super::driver::tests::client;
use super::super::{device_init_functions, dma_enabler, driver, globals};
use super::*;
use crate::ntoskrnl::io_device;
use crate::ntoskrnl::objects::{
    DeviceObject, DriverExtension, DriverObject, IRP_MJ_PNP, IoStatusBlock,
};
use crate::ntoskrnl::shared::{address_of, write_u64};
use crate::ntoskrnl::{io_irp, kernel_memory as memory};

const TAG: u32 = u32::from_le_bytes(*b"Test");

std::thread_local! {
    static STEPS: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) };
    /// The callback that fails, if any.
    static FAILS: Cell<&'static str> = const { Cell::new("") };
    static DEVICE: Cell<u64> = const { Cell::new(0) };
}

fn step(name: &'static str) -> NtStatus {
    STEPS.with(|steps| steps.borrow_mut().push(name));
    if FAILS.get() == name {
        status::UNSUCCESSFUL
    } else {
        status::SUCCESS
    }
}

fn steps() -> Vec<&'static str> {
    STEPS.with(|steps| steps.take())
}

macro_rules! callbacks {
    ($($routine:ident $name:literal)*) => {
        $(extern "win64" fn $routine(_device: u64, _a: u64, _b: u64) -> NtStatus { step($name) })*
    };
}

callbacks! {
    d0_entry "D0Entry"
    post_enabled "PostInterruptsEnabled"
    d0_exit "D0Exit"
    pre_disabled "PreInterruptsDisabled"
    prepare "PrepareHardware"
    release "ReleaseHardware"
    io_cleanup "IoCleanup"
    io_flush "IoFlush"
    io_init "IoInit"
    io_suspend "IoSuspend"
    io_restart "IoRestart"
    surprise "SurpriseRemoval"
    query_remove "QueryRemove"
    query_stop "QueryStop"
    fill "Fill"
    flush "Flush"
    disable "Disable"
    enable "Enable"
    start_io "Start"
    stop_io "Stop"
    cleanup "Cleanup"
}

fn code(routine: *const ()) -> u64 {
    routine.expose_provenance() as u64
}

/// Memory that stays.
fn leak<T>(value: T) -> u64 {
    core::ptr::from_ref::<T>(std::boxed::Box::leak(std::boxed::Box::new(value))).expose_provenance()
        as u64
}

extern "win64" fn device_add(_driver: u64, init: u64) -> NtStatus {
    let mut words = vec![0x90u64];
    words.extend(
        [
            d0_entry as *const (),
            post_enabled as *const (),
            d0_exit as *const (),
            pre_disabled as *const (),
            prepare as *const (),
            release as *const (),
            io_cleanup as *const (),
            io_flush as *const (),
            io_init as *const (),
            io_suspend as *const (),
            io_restart as *const (),
            surprise as *const (),
            query_remove as *const (),
            query_stop as *const (),
        ]
        .map(code),
    );
    words.resize(18, 0);
    let callbacks = memory::allocate(0x90, TAG).expect("memory");
    for (slot, word) in (callbacks..).step_by(8).zip(&words) {
        write_u64(slot, *word);
    }
    device_init_functions::set_pnp_power_callbacks(0, init, callbacks);
    let attributes = [0x38, code(cleanup as *const ()), 0, 1 | 1 << 32, 0, 0, 0].map(Cell::new);
    let (init, out) = (Cell::new(init), Cell::new(0u64));
    let status = device::create(
        0,
        address_of(&init),
        address_of(&attributes),
        address_of(&out),
    );
    assert_eq!(
        init.get(),
        0,
        "the pointer to the init structure becomes null"
    );
    DEVICE.set(out.get());
    if status.is_success() {
        step("DeviceAdd")
    } else {
        status
    }
}

extern "win64" fn bus(_pdo: u64, irp: u64) -> NtStatus {
    step("bus");
    irp::complete(shared(irp), status::SUCCESS)
}

/// A stack with the framework's device on a physical device object.
struct Stack {
    globals: u64,
    driver_object: u64,
    pdo: &'static DeviceObject,
}

impl Stack {
    fn new() -> Self {
        let (globals, driver_object, path) = client();
        let config = leak([0x20, code(device_add as *const ()), 0, 0].map(Cell::new));
        let created = driver::create(globals, driver_object, path, 0, config, 0);
        assert_eq!(created, status::SUCCESS);
        let bus_driver: &DriverObject = shared(memory::allocate(0x150, TAG).expect("memory"));
        for slot in &bus_driver.major_function {
            slot.set(code(bus as *const ()));
        }
        let name = std::string::String::new();
        let pdo = io_device::create(bus_driver, 0, name, 0x22).expect("memory");
        Self {
            globals,
            driver_object,
            pdo,
        }
    }

    fn add(&self) -> NtStatus {
        let object: &DriverObject = shared(self.driver_object);
        let extension: &DriverExtension = shared(object.driver_extension.get() as u64);
        assert_eq!(
            extension.add_device.get(),
            code(device::add_device as *const ())
        );
        device::add_device(self.driver_object, address_of(self.pdo))
    }

    fn device(&self) -> Handle {
        Handle::from_raw(DEVICE.get())
    }

    fn send(&self, minor: u8) -> (NtStatus, Vec<&'static str>) {
        let iosb = leak(IoStatusBlock {
            status: Cell::new(status::PENDING),
            information: Cell::new(0),
        });
        let top = io_device::stack_top(self.pdo);
        let (irp, stack) = io_irp::build(top, 0, iosb).expect("memory");
        irp.status.set(status::NOT_SUPPORTED);
        stack.major_function.set(IRP_MJ_PNP);
        stack.minor_function.set(minor);
        io_irp::call(top, irp);
        (shared::<IoStatusBlock>(iosb).status.get(), steps())
    }

    /// DeviceAdd, and an enabler with all callbacks.
    fn added() -> Self {
        let stack = Self::new();
        assert_eq!(stack.add(), status::SUCCESS);
        let routines = [fill, flush, disable, enable, start_io, stop_io];
        let routines = routines.map(|routine| code(routine as *const ()));
        dma_enabler::insert_without_adapter(stack.device(), stack.globals, routines);
        assert_eq!(steps(), ["DeviceAdd"]);
        stack
    }

    fn started() -> Self {
        let stack = Self::added();
        assert_eq!(stack.send(minor::START).0, status::SUCCESS);
        stack
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        FAILS.set("");
        globals::remove(self.globals);
    }
}

const UP: [&str; 8] = [
    "bus",
    "PrepareHardware",
    "D0Entry",
    "PostInterruptsEnabled",
    "Fill",
    "Enable",
    "Start",
    "IoInit",
];
const DOWN: [&str; 7] = [
    "IoSuspend",
    "Stop",
    "Disable",
    "Flush",
    "PreInterruptsDisabled",
    "D0Exit",
    "ReleaseHardware",
];

#[test]
fn start_goes_up_in_the_order_of_the_documentation() {
    let stack = Stack::added();
    let (status, steps) = stack.send(minor::START);
    assert_eq!((status, steps.as_slice()), (status::SUCCESS, &UP[..]));
}

#[test]
fn stop_and_start_go_down_and_up_with_restart() {
    let stack = Stack::started();
    assert_eq!(
        stack.send(minor::QUERY_STOP),
        (status::SUCCESS, vec!["QueryStop", "bus"])
    );
    let (status, steps) = stack.send(minor::STOP);
    assert_eq!(status, status::SUCCESS);
    assert_eq!(steps, [&DOWN[..], &["bus"]].concat());
    let (_, steps) = stack.send(minor::START);
    assert_eq!(steps, [&UP[..7], &["IoRestart"]].concat());
}

#[test]
fn remove_goes_down_and_ends_with_the_cleanup_of_the_device() {
    let stack = Stack::started();
    let (status, steps) = stack.send(minor::REMOVE);
    assert_eq!(status, status::SUCCESS);
    assert_eq!(
        steps,
        [&DOWN[..], &["IoFlush", "IoCleanup", "Cleanup", "bus"]].concat()
    );
    assert!(stack.pdo.attached_device.get().is_null(), "detached");
    assert_eq!(device::of_pdo(address_of(stack.pdo)), None);
}

#[test]
fn surprise_removal_goes_down_once_and_remove_does_the_rest() {
    let stack = Stack::started();
    let (_, steps) = stack.send(minor::SURPRISE_REMOVAL);
    assert_eq!(
        steps,
        [&["SurpriseRemoval"], &DOWN[..], &["IoFlush", "bus"]].concat()
    );
    let (_, steps) = stack.send(minor::REMOVE);
    assert_eq!(steps, ["IoCleanup", "Cleanup", "bus"]);
}

#[test]
fn failed_callback_undoes_what_was_done() {
    let check = |fails: &'static str, expected: NtStatus, undone: &[&str]| {
        let stack = Stack::added();
        FAILS.set(fails);
        let (status, steps) = stack.send(minor::START);
        assert_eq!(status, expected, "{fails}");
        let n_done = UP.iter().position(|step| *step == fails).expect("a step") + 1;
        assert_eq!(steps, [&UP[..n_done], undone].concat(), "{fails}");
    };
    let power = status::DEVICE_POWER_FAILURE;
    check(
        "PrepareHardware",
        status::UNSUCCESSFUL,
        &["ReleaseHardware"],
    );
    check("D0Entry", power, &["ReleaseHardware"]);
    check(
        "PostInterruptsEnabled",
        power,
        &["D0Exit", "ReleaseHardware"],
    );
    // What was not filled is neither disabled nor flushed.
    let rest = ["PreInterruptsDisabled", "D0Exit", "ReleaseHardware"];
    check("Fill", power, &[&["Stop"], &rest[..]].concat());
    check("Enable", power, &[&["Stop", "Disable"], &rest[..]].concat());
    check(
        "Start",
        power,
        &[&["Stop", "Disable", "Flush"], &rest[..]].concat(),
    );
    check(
        "IoInit",
        power,
        &[&["Stop", "Disable", "Flush"], &rest[..], &["IoFlush"]].concat(),
    );
}

#[test]
fn query_that_the_driver_refuses_does_not_go_down() {
    let stack = Stack::started();
    FAILS.set("QueryRemove");
    assert_eq!(
        stack.send(minor::QUERY_REMOVE),
        (status::UNSUCCESSFUL, vec!["QueryRemove"])
    );
    device::with(stack.device(), |device| device.is_stoppable = false);
    let refused = (status::INVALID_DEVICE_REQUEST, vec![]);
    assert_eq!(stack.send(minor::QUERY_STOP), refused);
}

#[test]
fn device_of_a_failed_device_add_is_taken_back() {
    let stack = Stack::new();
    FAILS.set("DeviceAdd");
    assert_eq!(stack.add(), status::UNSUCCESSFUL);
    assert_eq!(steps(), ["DeviceAdd", "Cleanup"]);
    assert!(stack.pdo.attached_device.get().is_null());
}

#[test]
fn failed_device_says_so_when_pnp_asks() {
    let stack = Stack::started();
    device::with(stack.device(), |device| device.failed_action = 2);
    let (status, _) = stack.send(minor::QUERY_PNP_DEVICE_STATE);
    assert_eq!(status, status::SUCCESS);
}
