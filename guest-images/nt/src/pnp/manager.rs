//! One run: load the driver, build the device stacks, start them, take commands, go.

use alloc::string::{String, ToString};
use core::fmt;

use dmarig_abi::registers::{PCI_DEVICE_ID_CONTROL, PCI_DEVICE_ID_DUT, PCI_VENDOR_ID};

use super::device::{self, Device, State};
use super::requests::{self, Power, Request};
use super::{bus, driver_object, hot_plug, iommu_faults, leaks};
use crate::arch::exceptions;
use crate::arch::exit::{ExitCode, exit};
use crate::arch::guarded::Guarded;
use crate::boot::{self, BootInfo};
use crate::call_faults::{self, Order, in_phase};
use crate::console::{self, Event};
use crate::hal_dma::{adapter, sabotage};
use crate::memory::low_resources;
use crate::ntoskrnl::loader::{self, Loaded};
use crate::ntoskrnl::objects::{DriverExtension, DriverObject};
use crate::ntoskrnl::shared::{address_of, shared};
use crate::ntoskrnl::{driver, verifier};
use crate::pci::{self, Function};
use crate::registry::{self, REGISTRY, Value};

/// The one driver of the run.
struct Running {
    object: u64,
    /// The bus driver's object.
    bus_driver: u64,
    image: Loaded,
}

static RUNNING: Guarded<Option<Running>> = Guarded::new(None);

/// Runs the driver that the command line names. In the first system thread, at PASSIVE_LEVEL.
pub fn run() {
    let Some(info) = boot::info() else {
        return;
    };
    verifier::set(info.options.verifier.is_on());
    iommu_faults::initialize();
    exceptions::set_witness(adapter::explain_fault);
    let Some(file_name) = info.options.driver.as_deref() else {
        console::set_command_handler(handle_command);
        return;
    };
    let service = service_name(file_name);
    choose_sabotage(info, &service);
    watch_calls(info);
    load_driver(info, file_name, &service);
    start_devices();
    if info.options.hot_plug.is_on() {
        hot_plug::start();
    }
    console::set_command_handler(handle_command);
}

/// Before the driver is loaded, for its imports are bound then.
fn watch_calls(info: &BootInfo) {
    if info.options.call_faults.is_on() {
        call_faults::switch_on();
    }
    for order in &info.options.fail_calls {
        let has_room = call_faults::arm(*order);
        assert!(
            has_room,
            "the command line takes fewer orders than may wait"
        );
    }
}

/// `dmarig.sys` runs as the service `dmarig`.
fn service_name(file_name: &str) -> String {
    file_name
        .strip_suffix(".sys")
        .unwrap_or(file_name)
        .to_string()
}

fn choose_sabotage(info: &BootInfo, service: &str) {
    let Some(name) = info.options.sabotage.as_deref() else {
        return;
    };
    if name.starts_with("driver-") {
        set_parameter(service, Value::text("Sabotage", name));
    } else if !sabotage::choose(name) {
        refuse(
            format_args!("sabotage {name} is not known"),
            "use nt-leave-mapping, nt-split-logical, nt-shared-domain, nt-leak-on-failure or driver-*",
        );
    }
}

fn load_driver(info: &BootInfo, file_name: &str, service: &str) {
    let Some(archive) = info.archive else {
        refuse(
            format_args!("there is no boot archive"),
            "give QEMU the archive by -initrd",
        );
    };
    let path = alloc::format!("drivers/{file_name}");
    let Some(data) = archive.find(&path) else {
        refuse(
            format_args!("{path} is not in the boot archive"),
            "put it there, or name another driver=",
        );
    };
    for (file, value) in [
        ("programs/add-device.bin", "ProgramAddDevice"),
        ("programs/start-device.bin", "ProgramStartDevice"),
    ] {
        if let Some(program) = archive.find(file) {
            set_parameter(service, Value::binary(value, program));
        }
    }
    set_parameter(service, Value::dword("DmaRemappingCompatible", 1));
    let image = loader::load(file_name, data, info.options.strict_imports.is_on())
        .unwrap_or_else(|error| refuse(format_args!("{path}: {error}"), error.help()));
    let object = enter_driver(service, &image);
    let bus_driver = bus::driver_object().expect("memory has just come up");
    RUNNING.with(|running| {
        *running = Some(Running {
            object: address_of(object),
            bus_driver: address_of(bus_driver),
            image,
        });
    });
}

/// Calls DriverEntry.
fn enter_driver(service: &str, image: &Loaded) -> &'static DriverObject {
    let object = driver_object::allocate(service).expect("memory has just come up");
    let path = driver_object::registry_path(service).expect("memory has just come up");
    driver_object::set_image(object, image);
    let status = in_phase("DriverEntry", || driver::entry(image.entry, object, path));
    Event::new("pnp")
        .text("device", "")
        .text("irp", "DriverEntry")
        .display("status", &status)
        .send();
    if !status.is_success() {
        // DriverUnload is not called: what a failed DriverEntry leaves is left for ever.
        call_faults::report_hits();
        leaks::report();
        Event::new("goodbye")
            .text("reason", "DriverEntry failed")
            .send();
        exit(ExitCode::Clean);
    }
    object
}

/// Makes a stack for every function of ours and starts it.
fn start_devices() {
    for function in pci::devices() {
        let _ = add_device(function);
    }
    // The control function last: once its mailbox has a driver, every device under test is started.
    let mut devices = device::all();
    devices.sort_by_key(|device| device.name == "control");
    for device in devices {
        if device.state == State::Added {
            requests::send(&device, Request::Start);
        }
    }
}

/// `control` for the control function, for what the driver is bound to the first of `dut0`, `dut1`, ... that no other
/// device has.
fn device_name(function: &Function) -> Option<String> {
    let bound = boot::info().and_then(|info| info.options.bind);
    let is_ours =
        |device_id| function.vendor_id == PCI_VENDOR_ID && function.device_id == device_id;
    if is_ours(PCI_DEVICE_ID_CONTROL) {
        return Some("control".to_string());
    }
    if is_ours(PCI_DEVICE_ID_DUT) || bound == Some((function.vendor_id, function.device_id)) {
        return (0u32..)
            .map(|number| alloc::format!("dut{number}"))
            .find(|name| device::by_name(name).is_none());
    }
    None
}

/// Makes a function of ours a device with a stack; gives its name.
pub(super) fn add_device(function: Function) -> Option<String> {
    let name = device_name(&function)?;
    let (driver, bus_driver) = RUNNING.with(|running| {
        let running = running.as_ref()?;
        Some((running.object, running.bus_driver))
    })?;
    let (driver, bus_driver): (&DriverObject, &DriverObject) = (shared(driver), shared(bus_driver));
    let pdo = bus::create_pdo(bus_driver)?;
    let record = Device {
        name: name.clone(),
        function,
        pdo: address_of(pdo),
        state: State::Removed,
        vectors: None,
        before_query: State::Removed,
        reached: device::Reached::default(),
    };
    device::add(record);
    write_hardware_key(address_of(pdo));
    let extension: &DriverExtension = shared(driver.driver_extension.get() as u64);
    let status = in_phase("AddDevice", || {
        driver::add_device(driver, extension.add_device.get(), pdo)
    });
    if status.is_success() {
        device::update(address_of(pdo), |device| device.state = State::Added);
    }
    Event::new("pnp")
        .text("device", &name)
        .text("irp", "AddDevice")
        .display("status", &status)
        .send();
    Some(name)
}

/// What the INF would have written for a driver that takes remapping and messages.
fn write_hardware_key(pdo: u64) {
    let Some(path) = device::hardware_key(pdo) else {
        return;
    };
    let values = [
        (
            r"Device Parameters\DMA Management",
            Value::dword("RemappingSupported", 1),
        ),
        (
            r"Device Parameters\Interrupt Management\MessageSignaledInterruptProperties",
            Value::dword("MSISupported", 1),
        ),
    ];
    for (key, value) in values {
        set_value(&alloc::format!(r"{path}\{key}"), value);
    }
}

fn set_parameter(service: &str, value: Value) {
    set_value(
        &alloc::format!(r"{}\{service}\Parameters", registry::SERVICES),
        value,
    );
}

fn set_value(path: &str, value: Value) {
    REGISTRY.with(|registry| {
        if let Ok(key) = registry.create(path) {
            registry.set(&key, value);
        }
    });
}

/// One line of the command port: `pnp WORD DEVICE`, `power d0|d3|s0|s3 DEVICE`, `iommu-faults
/// announced|unannounced`, `low-resources N|end`, `fail-call ROUTINE@RVA:HIT|end`, `shutdown`.
fn handle_command(line: &str) {
    let mut words = line.split_ascii_whitespace();
    let command = [words.next(), words.next(), words.next(), words.next()];
    match command {
        [Some("shutdown"), None, ..] => {
            console::answer(line, "0x0");
            shut_down();
        }
        [
            Some("iommu-faults"),
            Some(word @ ("announced" | "unannounced")),
            None,
            ..,
        ] => {
            iommu_faults::set_announced(word == "announced");
            console::answer(line, "0x0");
        }
        [Some("pnp"), Some(word), Some(name), None] => match Request::parse(word) {
            Some(request) => with_device(line, name, |device| requests::send(device, request)),
            None => console::answer(line, "unknown PnP request"),
        },
        [Some("power"), Some(word), Some(name), None] => match Power::parse(word) {
            Some(power) => with_device(line, name, |device| requests::set_power(device, power)),
            None => console::answer(line, "unknown power state"),
        },
        [Some("low-resources"), Some("end"), None, ..] => {
            console::answer(line, struck(low_resources::disarm()));
        }
        [Some("low-resources"), Some(number), None, ..] => match number.parse() {
            Ok(number) => {
                low_resources::arm(number);
                console::answer(line, "0x0");
            }
            Err(_) => console::answer(line, "not a number"),
        },
        [Some("fail-call"), Some("end"), None, ..] => {
            console::answer(line, struck(call_faults::disarm()));
        }
        [Some("fail-call"), Some(order), None, ..] => match Order::parse(order) {
            Ok(order) if call_faults::arm(order) => console::answer(line, "0x0"),
            Ok(_) => console::answer(
                line,
                "calls are not watched (call-faults=on), or too many wait",
            ),
            Err(error) => console::answer(line, &alloc::format!("{error}")),
        },
        _ => console::answer(line, "unknown command"),
    }
}

/// STATUS_SUCCESS where an order to fail has struck, STATUS_NOT_FOUND where nothing came that far.
fn struck(has_struck: bool) -> &'static str {
    if has_struck { "0x0" } else { "0xc0000225" }
}

fn with_device(
    line: &str,
    name: &str,
    action: impl FnOnce(&Device) -> crate::ntoskrnl::status::NtStatus,
) {
    match device::by_name(name) {
        Some(device) => {
            let status = action(&device);
            console::answer(line, &alloc::format!("{status}"));
        }
        None => console::answer(line, "no such device"),
    }
}

/// Removes every device, unloads the driver, reports leaks, leaves.
fn shut_down() -> ! {
    // Devices under test first: the driver may hold their objects for the control function's sake.
    let mut devices = device::all();
    devices.sort_by_key(|device| device.name == "control");
    for device in &devices {
        if matches!(device.state, State::Started | State::Stopped | State::Added) {
            requests::send(device, Request::QueryRemove);
        }
        if let Some(device) = device::by_name(&device.name)
            && device.state != State::Removed
        {
            requests::send(&device, Request::Remove);
        }
    }
    if let Some(running) = RUNNING.with(Option::take) {
        let object: &DriverObject = shared(running.object);
        if object.driver_unload.get() == 0 {
            verifier::finding(
                "driver-without-unload",
                format_args!("DriverUnload is null"),
            );
        } else {
            in_phase("DriverUnload", || driver::unload(object));
        }
        call_faults::report_hits();
        leaks::report();
        loader::unload(&running.image);
    }
    Event::new("goodbye").text("reason", "shutdown").send();
    exit(ExitCode::Clean)
}

/// The run cannot be what it was asked to be: says what and how to mend it, and leaves.
fn refuse(what: fmt::Arguments<'_>, help: &str) -> ! {
    Event::new("panic")
        .display("message", &what)
        .text("help", help)
        .text("location", "driver")
        .send();
    exit(ExitCode::EnvironmentMissing)
}
