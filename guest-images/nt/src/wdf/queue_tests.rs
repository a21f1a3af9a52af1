//! Queues and requests, from a real IRP through the dispatch to the driver's callbacks, which are ours.

use std::cell::{Cell, RefCell};
use std::vec::Vec;

use super::super::attributes::Attributes;
use super::super::{device, io_package, queue_functions, request_buffers, request_functions, tree};
use super::*;
use crate::ntoskrnl::objects::{
    DeviceObject, DriverObject, IRP_MJ_DEVICE_CONTROL, IoStatusBlock, Irp,
};
use crate::ntoskrnl::shared::{address_of, read_u64, shared};
use crate::ntoskrnl::{io_device, io_irp, kernel_memory};

const READ: u8 = 3;
const WRITE: u8 = 4;
/// WDF_IO_QUEUE_STATE of a queue that works and has no request.
const IDLE: u32 = 0x0F;

std::thread_local! {
    static DEVICE: Cell<Option<Handle>> = const { Cell::new(None) };
    static SEEN: RefCell<Vec<(&'static str, [u64; 5])>> = const { RefCell::new(Vec::new()) };
    /// Whether the read callback completes at once.
    static COMPLETES: Cell<bool> = const { Cell::new(false) };
}

fn note(callback: &'static str, arguments: [u64; 5]) {
    SEEN.with(|seen| seen.borrow_mut().push((callback, arguments)));
}

fn take_seen() -> Vec<(&'static str, [u64; 5])> {
    SEEN.with(|seen| seen.take())
}

fn names() -> Vec<&'static str> {
    take_seen().into_iter().map(|(name, _)| name).collect()
}

extern "win64" fn on_read(queue: u64, request: u64, len: u64) {
    note("read", [queue, request, len, 0, 0]);
    if COMPLETES.get() {
        request_functions::complete_with_information(0, request, status::SUCCESS, len);
    }
}

extern "win64" fn on_control(queue: u64, request: u64, output: u64, input: u64, code: u32) {
    note("control", [queue, request, output, input, code.into()]);
}

extern "win64" fn on_default(queue: u64, request: u64) {
    note("default", [queue, request, 0, 0, 0]);
}

extern "win64" fn on_cancel(request: u64) {
    note("cancel", [request, 0, 0, 0, 0]);
    request_functions::complete(0, request, status::CANCELLED);
}

extern "win64" fn on_canceled_on_queue(queue: u64, request: u64) {
    note("canceled on queue", [queue, request, 0, 0, 0]);
    request_functions::complete(0, request, status::CANCELLED);
}

extern "win64" fn on_state(queue: u64, context: u64) {
    note("state", [queue, context, 0, 0, 0]);
}

extern "win64" fn on_stop(queue: u64, request: u64, flags: u32) {
    note("stop", [queue, request, flags.into(), 0, 0]);
    request_functions::stop_acknowledge(0, request, 0);
}

extern "win64" fn on_resume(queue: u64, request: u64) {
    note("resume", [queue, request, 0, 0, 0]);
}

fn address(routine: *const ()) -> u64 {
    routine.expose_provenance() as u64
}

extern "win64" fn dispatch(_device: u64, irp: u64) -> NtStatus {
    let irp: &Irp = shared(irp);
    let device = DEVICE.get().expect("a device");
    io_package::dispatch(device, irp, request::stack_of(irp))
}

fn device() -> Handle {
    let device = object::create(&device::KIND, &Attributes::NONE, None).expect("memory");
    DEVICE.set(Some(device));
    device
}

/// WDF_IO_QUEUE_CONFIG: dispatch type, default or not, limit; not power-managed.
fn config(dispatch_type: u64, is_default: bool, limit: u64) -> [Cell<u64>; 12] {
    let mut config = [0; 12];
    config[0] = 0x60 | (dispatch_type << 32);
    config[1] = u64::from(is_default) << 40;
    if dispatch_type != 3 {
        config[2] = address(on_default as *const ());
        config[3] = address(on_read as *const ());
        config[5] = address(on_control as *const ());
    }
    config[7] = address(on_stop as *const ());
    config[8] = address(on_resume as *const ());
    config[9] = address(on_canceled_on_queue as *const ());
    config[10] = limit;
    config.map(Cell::new)
}

fn make_queue(device: Handle, dispatch_type: u64, is_default: bool, limit: u64) -> u64 {
    let (config, out) = (config(dispatch_type, is_default, limit), Cell::new(0u64));
    let status = queue_functions::create(0, device.raw(), address_of(&config), 0, address_of(&out));
    assert_eq!(status, status::SUCCESS);
    out.get()
}

/// An IRP that was sent, and where its status block will be written.
struct Sent {
    irp: u64,
    iosb: u64,
    returned: NtStatus,
}

impl Sent {
    fn outcome(&self) -> (u32, u64) {
        let block: &IoStatusBlock = shared(self.iosb);
        (block.status.get().0, block.information.get())
    }

    fn cancel(&self) -> u8 {
        io_irp::io_cancel_irp(self.irp)
    }
}

/// What an IRP that is not completed has in its status block.
const NOT_YET: (u32, u64) = (0x103, 0);

fn send(major: u8, parameters: [u64; 3], prepare: impl FnOnce(&Irp)) -> Sent {
    let memory = kernel_memory::allocate(size_of::<DriverObject>() as u64, 1).expect("memory");
    let driver: &DriverObject = shared(memory);
    driver.major_function[usize::from(major)].set(address(dispatch as *const ()));
    let top: &DeviceObject =
        io_device::create(driver, 0, std::string::String::new(), 0).expect("memory");
    let iosb = kernel_memory::allocate(16, 1).expect("memory");
    shared::<IoStatusBlock>(iosb).status.set(status::PENDING);
    let (irp, stack) = io_irp::build(top, 0, iosb).expect("an IRP");
    stack.major_function.set(major);
    for (slot, value) in stack.parameters.iter().zip(parameters) {
        slot.set(value);
    }
    prepare(irp);
    let irp_address = address_of(irp);
    let returned = io_irp::call(top, irp);
    Sent {
        irp: irp_address,
        iosb,
        returned,
    }
}

fn read(len: u64) -> Sent {
    send(READ, [len, 0, 0], |_| ())
}

#[test]
fn sequential_queue_gives_one_request_after_the_other() {
    let device = device();
    let queue = make_queue(device, 1, true, 0);
    let (first, second) = (read(16), read(8));
    assert_eq!(
        (first.returned, first.outcome()),
        (status::PENDING, NOT_YET)
    );
    let seen = take_seen();
    assert_eq!(seen.len(), 1, "the second one waits");
    let (name, [seen_queue, request, len, ..]) = seen[0];
    assert_eq!((name, seen_queue, len), ("read", queue, 16));
    assert_eq!(request_functions::io_queue(0, request), queue);
    request_functions::complete_with_information(0, request, status::SUCCESS, 5);
    assert_eq!(first.outcome(), (0, 5));
    let request = take_seen()[0].1[1];
    request_functions::complete(0, request, status::UNSUCCESSFUL);
    assert_eq!(second.outcome(), (0xC000_0001, 0));
    assert_eq!(queue_functions::state(0, queue, 0, 0), IDLE);
    tree::delete(device);
}

#[test]
fn callback_that_completes_at_once_gets_all_without_recursion() {
    let device = device();
    let queue = make_queue(device, 1, true, 0);
    COMPLETES.set(true);
    queue_functions::stop(0, queue, 0, 0);
    let sent: Vec<Sent> = (1..=1000).map(read).collect();
    assert_eq!(names().len(), 0);
    queue_functions::start(0, queue);
    assert_eq!(names().len(), 1000);
    assert!(
        sent.iter()
            .zip(1..)
            .all(|(sent, len)| sent.outcome() == (0, len))
    );
    COMPLETES.set(false);
    tree::delete(device);
}

#[test]
fn parallel_queue_keeps_its_limit() {
    let device = device();
    let queue = make_queue(device, 2, true, 2);
    let _sent = [read(1), read(2), read(3)];
    let seen = take_seen();
    assert_eq!(seen.len(), 2);
    let (waiting, owned) = (Cell::new(0u32), Cell::new(0u32));
    queue_functions::state(0, queue, address_of(&waiting), address_of(&owned));
    assert_eq!((waiting.get(), owned.get()), (1, 2));
    request_functions::complete(0, seen[1].1[1], status::SUCCESS);
    let third = take_seen();
    assert_eq!(third[0].1[2], 3);
    for request in [seen[0].1[1], third[0].1[1]] {
        request_functions::complete(0, request, status::SUCCESS);
    }
    tree::delete(device);
}

#[test]
fn request_without_bytes_or_callback_is_completed_by_the_framework() {
    let device = device();
    make_queue(device, 1, true, 0);
    assert_eq!(read(0).outcome(), (0, 0));
    assert_eq!(names(), [""; 0]);
    let write = send(WRITE, [4, 0, 0], |_| ());
    let seen = take_seen();
    assert_eq!(seen[0].0, "default");
    request_functions::complete(0, seen[0].1[1], status::SUCCESS);
    assert_eq!(write.outcome(), (0, 0));
    tree::delete(device);
    let bare = self::device();
    assert_eq!(read(4).returned, status::INVALID_DEVICE_REQUEST);
    tree::delete(bare);
}

#[test]
fn manual_queue_notifies_and_hands_requests_out() {
    let device = device();
    let manual = make_queue(device, 3, false, 0);
    let routed = |kind| queue_functions::configure_dispatching(0, device.raw(), manual, kind);
    assert_eq!(routed(3), status::SUCCESS);
    assert_eq!(routed(0x1B), status::INVALID_PARAMETER);
    let notify = address(on_state as *const ());
    let armed = queue_functions::ready_notify(0, manual, notify, 0x77);
    assert_eq!(armed, status::SUCCESS);
    let first = read(4);
    let second = read(8);
    assert_eq!(take_seen(), [("state", [manual, 0x77, 0, 0, 0])], "once");
    let out = Cell::new(0u64);
    let status = queue_functions::find_request(0, manual, 0, 0, 0, address_of(&out));
    assert_eq!(status, status::SUCCESS);
    let found = out.get();
    let status = queue_functions::find_request(0, manual, found, 0, 0, address_of(&out));
    assert_eq!(status, status::SUCCESS);
    let behind = out.get();
    let status = queue_functions::retrieve_found(0, manual, behind, address_of(&out));
    assert_eq!((status, out.get()), (status::SUCCESS, behind));
    let status = queue_functions::retrieve_found(0, manual, behind, address_of(&out));
    assert_eq!((status, out.get()), (status::NOT_FOUND, 0));
    request::with(Handle::from_raw(behind), |_| ()).expect("it is there");
    tree::dereference(Handle::from_raw(behind));
    request_functions::complete(0, behind, status::SUCCESS);
    assert_eq!((first.outcome(), second.outcome()), (NOT_YET, (0, 0)));
    let status = queue_functions::retrieve_next(0, manual, address_of(&out));
    assert_eq!((status, out.get()), (status::SUCCESS, found));
    tree::dereference(Handle::from_raw(found));
    request_functions::complete(0, found, status::SUCCESS);
    let status = queue_functions::retrieve_next(0, manual, address_of(&out));
    assert_eq!(status, status::NO_MORE_ENTRIES);
    tree::delete(device);
}

#[test]
fn cancelled_request_leaves_its_queue_or_calls_the_driver() {
    let device = device();
    let queue = make_queue(device, 1, true, 0);
    let (owned, waiting) = (read(4), read(4));
    let request = take_seen()[0].1[1];
    assert_eq!(waiting.cancel(), 1);
    assert_eq!(waiting.outcome(), (0xC000_0120, 0));
    assert_eq!(irql::current(), PASSIVE_LEVEL);
    let cancel = address(on_cancel as *const ());
    request_functions::mark_cancelable(0, request, cancel);
    assert_eq!(
        request_functions::unmark_cancelable(0, request),
        status::SUCCESS
    );
    let again = request_functions::unmark_cancelable(0, request);
    assert_eq!(again, status::INVALID_PARAMETER);
    let marked = request_functions::mark_cancelable_ex(0, request, cancel);
    assert_eq!(marked, status::SUCCESS);
    assert_eq!(owned.cancel(), 1);
    assert_eq!(names(), ["cancel"]);
    assert_eq!(owned.outcome(), (0xC000_0120, 0));
    assert_eq!(queue_functions::state(0, queue, 0, 0), IDLE);
    tree::delete(device);
}

#[test]
fn request_cancelled_before_it_is_marked_is_told_to_the_driver() {
    let device = device();
    make_queue(device, 1, true, 0);
    let sent = read(4);
    let request = take_seen()[0].1[1];
    assert_eq!(sent.cancel(), 0, "no cancel routine");
    assert_eq!(request_functions::is_canceled(0, request), 1);
    let cancel = address(on_cancel as *const ());
    let marked = request_functions::mark_cancelable_ex(0, request, cancel);
    assert_eq!(marked, status::CANCELLED);
    assert_eq!(names(), [""; 0], "the Ex form does not call");
    request_functions::mark_cancelable(0, request, cancel);
    assert_eq!(names(), ["cancel"]);
    assert_eq!(sent.outcome(), (0xC000_0120, 0));
    tree::delete(device);
}

#[test]
fn forwarded_request_goes_to_the_other_queue_and_comes_back_if_cancelled_there() {
    let device = device();
    let queue = make_queue(device, 1, true, 0);
    let manual = make_queue(device, 3, false, 0);
    let sent = read(4);
    let request = take_seen()[0].1[1];
    assert_eq!(
        request_functions::forward(0, request, queue),
        status::INVALID_DEVICE_REQUEST
    );
    assert_eq!(
        request_functions::forward(0, request, manual),
        status::SUCCESS
    );
    assert_eq!(queue_functions::state(0, queue, 0, 0), IDLE);
    assert_eq!(sent.cancel(), 1);
    assert_eq!(names(), ["canceled on queue"]);
    assert_eq!(sent.outcome(), (0xC000_0120, 0));
    queue_functions::drain(0, manual, 0, 0);
    let busy = read(4);
    let request = take_seen()[0].1[1];
    assert_eq!(
        request_functions::forward(0, request, manual),
        status::WDF_BUSY
    );
    request_functions::complete(0, request, status::WDF_BUSY);
    assert_eq!(
        busy.outcome().0,
        0x8000_0011,
        "the framework's codes stay inside"
    );
    tree::delete(device);
}

#[test]
fn drain_delivers_the_rest_and_purge_cancels_it() {
    let device = device();
    let queue = make_queue(device, 1, true, 0);
    let state = address(on_state as *const ());
    let (first, second) = (read(4), read(4));
    queue_functions::drain(0, queue, state, 1);
    assert_eq!(read(4).returned, status::INVALID_DEVICE_STATE);
    request_functions::complete(0, take_seen()[0].1[1], status::SUCCESS);
    let seen = take_seen();
    assert_eq!(seen.len(), 1, "not yet empty");
    request_functions::complete(0, seen[0].1[1], status::SUCCESS);
    assert_eq!(take_seen(), [("state", [queue, 1, 0, 0, 0])]);
    assert_eq!((first.outcome(), second.outcome()), ((0, 0), (0, 0)));
    queue_functions::start(0, queue);
    let (third, fourth) = (read(4), read(4));
    let request = take_seen()[0].1[1];
    request_functions::mark_cancelable(0, request, address(on_cancel as *const ()));
    queue_functions::purge(0, queue, state, 2);
    assert_eq!(take_seen().last(), Some(&("state", [queue, 2, 0, 0, 0])));
    assert_eq!(third.outcome().0, 0xC000_0120);
    assert_eq!(fourth.outcome().0, 0xC000_0120);
    tree::delete(device);
}

#[test]
fn power_managed_queue_waits_for_power_and_keeps_what_is_acknowledged() {
    let device = device();
    let (config, out) = (config(1, true, 0), Cell::new(0u64));
    config[1].set((1 << 40) | 2);
    let status = queue_functions::create(0, device.raw(), address_of(&config), 0, address_of(&out));
    assert_eq!(status, status::SUCCESS);
    let queue = out.get();
    let (first, _second) = (read(4), read(4));
    assert_eq!(names(), [""; 0], "the device is not in D0");
    io_package::resume(device);
    let request = take_seen()[0].1[1];
    io_package::hold(device);
    assert_eq!(take_seen(), [("stop", [queue, request, 1, 0, 0])]);
    let held = queue_functions::state(0, queue, 0, 0);
    assert_eq!(held, 0x13, "accepts, dispatches, held by PnP");
    request_functions::complete(0, request, status::SUCCESS);
    assert_eq!(names(), [""; 0], "no request without power");
    io_package::resume(device);
    let next = take_seen();
    assert_eq!(next[0].0, "read");
    io_package::hold(device);
    io_package::resume(device);
    assert_eq!(names(), ["stop", "resume"]);
    request_functions::complete(0, next[0].1[1], status::SUCCESS);
    assert_eq!(first.outcome(), (0, 0));
    tree::delete(device);
}

#[test]
fn buffers_are_where_the_method_has_them() {
    let device = device();
    make_queue(device, 1, true, 0);
    let system = kernel_memory::allocate(64, 1).expect("memory");
    let issuer = kernel_memory::allocate(64, 1).expect("memory");
    let control = |code: u64| {
        let sent = send(IRP_MJ_DEVICE_CONTROL, [32, 16, code], |irp| {
            irp.system_buffer.set(system);
            irp.user_buffer.set(issuer);
        });
        let (name, [_, request, output, input, seen_code]) = take_seen()[0];
        assert_eq!((name, output, input, seen_code), ("control", 32, 16, code));
        (sent, request)
    };
    let (out, len) = (Cell::new(0u64), Cell::new(0u64));
    let input = |request, minimum| {
        let places = (address_of(&out), address_of(&len));
        let status = request_buffers::input_buffer(0, request, minimum, places.0, places.1);
        (status, out.get(), len.get())
    };
    let (sent, request) = control(0x22_2000);
    assert_eq!(input(request, 16), (status::SUCCESS, system, 16));
    assert_eq!(input(request, 17), (status::BUFFER_TOO_SMALL, 0, 0));
    assert_eq!(
        request_buffers::output_buffer(0, request, 32, address_of(&out), 0),
        status::SUCCESS
    );
    assert_eq!(out.get(), system);
    assert_eq!(
        request_buffers::output_memory(0, request, address_of(&out)),
        status::SUCCESS
    );
    let memory = out.get();
    request_buffers::output_memory(0, request, address_of(&out));
    assert_eq!(out.get(), memory, "one memory object a buffer");
    let parameters = [0x28u64, 0, 0, 0, 0].map(Cell::new);
    request_functions::parameters(0, request, address_of(&parameters));
    assert_eq!(
        parameters.each_ref().map(Cell::get),
        [0xE_0000_0028, 32, 16, 0x22_2000, 0]
    );
    request_functions::complete(0, request, status::SUCCESS);
    assert_eq!(sent.outcome(), (0, 0));
    assert!(
        object::kind_of(Handle::from_raw(memory)).is_none(),
        "it went along"
    );
    let (_sent, request) = control(0x22_2003);
    assert_eq!(
        request_buffers::output_buffer(0, request, 1, address_of(&out), 0),
        status::SUCCESS
    );
    assert_eq!(out.get(), issuer, "METHOD_NEITHER of kernel mode");
    request_functions::complete(0, request, status::SUCCESS);
    let _sent = read(8);
    let request = take_seen()[0].1[1];
    assert_eq!(input(request, 1).0, status::INVALID_DEVICE_REQUEST);
    request_functions::complete(0, request, status::SUCCESS);
    tree::delete(device);
}

#[test]
fn queues_that_cannot_be_are_refused() {
    let device = device();
    make_queue(device, 1, true, 0);
    let out = Cell::new(0u64);
    let check = |config: [Cell<u64>; 12], out, expected| {
        let status = queue_functions::create(0, device.raw(), address_of(&config), 0, out);
        assert_eq!(status, expected);
    };
    check(
        config(1, true, 0),
        address_of(&out),
        status::INVALID_DEVICE_STATE,
    );
    check(config(1, false, 0), 0, status::INVALID_PARAMETER_4);
    check(
        config(4, false, 0),
        address_of(&out),
        status::INVALID_PARAMETER,
    );
    check(
        config(1, false, 3),
        address_of(&out),
        status::INVALID_PARAMETER,
    );
    let without = config(1, false, 0);
    for idx in [2, 3, 5] {
        without[idx].set(0);
    }
    check(without, address_of(&out), status::WDF_NO_CALLBACK);
    let short = config(1, false, 0);
    short[0].set(0x48);
    check(short, address_of(&out), status::INFO_LENGTH_MISMATCH);
    assert_eq!(read_u64(address_of(&out)), 0);
    tree::delete(device);
}

#[test]
#[should_panic(expected = "bug check 0x10d [\n    0x6,\n    0x2")]
fn second_completion_is_a_bug_check() {
    let device = device();
    make_queue(device, 1, true, 0);
    let _sent = read(4);
    let request = take_seen()[0].1[1];
    request_functions::complete(0, request, status::SUCCESS);
    let _ = request::checked("test", request);
}

#[test]
#[should_panic(expected = "bug check 0x10d [\n    0x6,\n    0x4")]
fn more_information_than_bytes_is_a_bug_check() {
    let device = device();
    make_queue(device, 1, true, 0);
    let _sent = read(4);
    let (handle, irp) = request::checked("test", take_seen()[0].1[1]);
    irp.information.set(5);
    request::complete("test", handle, irp, status::SUCCESS);
}
