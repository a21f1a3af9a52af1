//! The bus driver part: what answers at the bottom of each device's stack, on its physical device object.

use alloc::vec::Vec;
use core::cell::Cell;

use super::device::{self, Device, compatible_ids, hardware_ids, wide, wide_list};
use super::{hardware, later, reset_interface};
use crate::boot::{self, BusAnswer};
use crate::ntoskrnl::io_irp;
use crate::ntoskrnl::kernel_memory;
use crate::ntoskrnl::objects::{
    DO_BUS_ENUMERATED_DEVICE, DO_DEVICE_INITIALIZING, DO_POWER_PAGABLE, DeviceObject, DriverObject,
    IRP_MJ_PNP, IRP_MJ_POWER, InterfaceHeader, IoStackLocation, Irp, MAJOR_FUNCTIONS,
    SL_PENDING_RETURNED,
};
use crate::ntoskrnl::po::{DEVICE_POWER_STATE, IRP_MN_SET_POWER};
use crate::ntoskrnl::shared::{address_of, fill, read_bytes, shared, write_bytes, write_u64};
use crate::ntoskrnl::status::{self, NtStatus};
use crate::ntoskrnl::{io_device, verifier};
use crate::pci::{self, RequesterId};

const TAG: u32 = u32::from_le_bytes(*b"PciB");
/// BUS_INTERFACE_STANDARD: size of the structure.
const BUS_INTERFACE_BYTES: u64 = 0x40;
/// GUID_BUS_INTERFACE_STANDARD, {496B8280-6F25-11D0-BEAF-08002BE2092F}.
const BUS_INTERFACE_GUID: [u8; 16] = [
    0x80, 0x82, 0x6B, 0x49, 0x25, 0x6F, 0xD0, 0x11, 0xBE, 0xAF, 0x08, 0x00, 0x2B, 0xE2, 0x09, 0x2F,
];
/// PCI_WHICHSPACE_CONFIG
const WHICH_SPACE_CONFIG: u32 = 0;
/// Bytes of configuration space.
const CONFIG_BYTES: u32 = 4096;

/// The minor functions of IRP_MJ_PNP that are answered.
mod minor {
    pub const START_DEVICE: u8 = 0x00;
    pub const QUERY_REMOVE: u8 = 0x01;
    pub const REMOVE: u8 = 0x02;
    pub const CANCEL_REMOVE: u8 = 0x03;
    pub const STOP: u8 = 0x04;
    pub const QUERY_STOP: u8 = 0x05;
    pub const CANCEL_STOP: u8 = 0x06;
    pub const QUERY_INTERFACE: u8 = 0x08;
    pub const QUERY_CAPABILITIES: u8 = 0x09;
    pub const READ_CONFIG: u8 = 0x0F;
    pub const WRITE_CONFIG: u8 = 0x10;
    pub const QUERY_ID: u8 = 0x13;
    pub const QUERY_BUS_INFORMATION: u8 = 0x15;
    pub const SURPRISE_REMOVAL: u8 = 0x17;
}

/// Makes the bus driver's own driver object; `None` where memory is short.
pub(super) fn driver_object() -> Option<&'static DriverObject> {
    let driver = super::driver_object::allocate("pci")?;
    let routines: [(u8, extern "win64" fn(u64, u64) -> NtStatus); 2] =
        [(IRP_MJ_PNP, dispatch_pnp), (IRP_MJ_POWER, dispatch_power)];
    for slot in &driver.major_function[..MAJOR_FUNCTIONS] {
        slot.set(code_address(dispatch_unchanged as *const ()));
    }
    for (major, routine) in routines {
        driver.major_function[usize::from(major)].set(code_address(routine as *const ()));
    }
    Some(driver)
}

/// Makes the physical device object of a PCI function.
pub(super) fn create_pdo(driver: &DriverObject) -> Option<&'static DeviceObject> {
    // FILE_DEVICE_UNKNOWN
    let pdo = io_device::create(driver, 0, alloc::string::String::new(), 0x22)?;
    let flags = pdo.flags.get() | DO_BUS_ENUMERATED_DEVICE | DO_POWER_PAGABLE;
    pdo.flags.set(flags & !DO_DEVICE_INITIALIZING);
    Some(pdo)
}

/// What is not known here leaves with the status it came with.
extern "win64" fn dispatch_unchanged(_device: u64, irp: u64) -> NtStatus {
    let irp: &Irp = shared(irp);
    let status = irp.status.get();
    io_irp::complete(irp);
    status
}

/// Power: the bus agrees to every state, and programs a device state into the function.
extern "win64" fn dispatch_power(pdo: u64, irp: u64) -> NtStatus {
    let irp: &Irp = shared(irp);
    let stack: &IoStackLocation = shared(irp.current_stack_location.get() as u64);
    let is_device_state = low_half(stack.parameters[1].get()) == low_half(DEVICE_POWER_STATE);
    if stack.minor_function.get() == IRP_MN_SET_POWER
        && is_device_state
        && let Some(id) = device::requester_of(pdo)
    {
        // PowerDeviceD0 is 1.
        hardware::set_power_state(id, low_half(stack.parameters[2].get()).saturating_sub(1));
    }
    if stack.minor_function.get() == IRP_MN_SET_POWER {
        return finish_in_time(irp, stack, status::SUCCESS);
    }
    finish(irp, status::SUCCESS)
}

extern "win64" fn dispatch_pnp(pdo: u64, irp: u64) -> NtStatus {
    let irp: &Irp = shared(irp);
    let stack: &IoStackLocation = shared(irp.current_stack_location.get() as u64);
    let Some(device) = device::by_pdo(pdo) else {
        return finish(irp, status::NO_SUCH_DEVICE);
    };
    device::update(pdo, |record| {
        record.reached.note(stack.minor_function.get())
    });
    match stack.minor_function.get() {
        minor::START_DEVICE => finish_in_time(irp, stack, hardware::turn_on(&device)),
        minor::STOP | minor::REMOVE => {
            hardware::turn_off(device.function.id);
            finish(irp, status::SUCCESS)
        }
        minor::CANCEL_REMOVE | minor::CANCEL_STOP => finish_in_time(irp, stack, status::SUCCESS),
        minor::QUERY_REMOVE | minor::QUERY_STOP | minor::SURPRISE_REMOVAL => {
            finish(irp, status::SUCCESS)
        }
        minor::QUERY_INTERFACE => match query_interface(pdo, stack) {
            Some(status) => finish(irp, status),
            None => dispatch_unchanged(pdo, address_of(irp)),
        },
        minor::QUERY_CAPABILITIES => finish(irp, capabilities(&device, stack)),
        minor::READ_CONFIG => finish(irp, config(&device, stack, false)),
        minor::WRITE_CONFIG => finish(irp, config(&device, stack, true)),
        minor::QUERY_ID => answer_data(irp, id_text(&device, stack)),
        minor::QUERY_BUS_INFORMATION => answer_data(irp, Some(bus_information(&device))),
        _ => dispatch_unchanged(pdo, address_of(irp)),
    }
}

fn finish(irp: &Irp, status: NtStatus) -> NtStatus {
    irp.status.set(status);
    io_irp::complete(irp);
    status
}

/// Completes when the command line's `bus=` says.
fn finish_in_time(irp: &Irp, stack: &IoStackLocation, status: NtStatus) -> NtStatus {
    let answer = boot::info().map_or(BusAnswer::AtOnce, |info| info.options.bus);
    let is_lost = answer == BusAnswer::Never && stack.major_function.get() == IRP_MJ_POWER;
    if answer == BusAnswer::AtOnce || (answer == BusAnswer::Never && !is_lost) {
        return finish(irp, status);
    }
    stack.control.set(stack.control.get() | SL_PENDING_RETURNED);
    irp.status.set(status);
    if !is_lost && !later::complete(irp) {
        io_irp::complete(irp);
    }
    status::PENDING
}

/// Completes with a pool block that the receiver frees.
fn answer_data(irp: &Irp, data: Option<Vec<u8>>) -> NtStatus {
    let Some(data) = data else {
        let status = irp.status.get();
        io_irp::complete(irp);
        return status;
    };
    let Some(block) = kernel_memory::allocate(data.len() as u64, TAG) else {
        return finish(irp, status::INSUFFICIENT_RESOURCES);
    };
    write_bytes(block, &data);
    irp.information.set(block);
    finish(irp, status::SUCCESS)
}

fn id_text(device: &Device, stack: &IoStackLocation) -> Option<Vec<u8>> {
    let [first, ..] = hardware_ids(&device.function);
    match low_half(stack.parameters[0].get()) {
        0 => Some(wide(&first)),
        1 => Some(wide_list(&hardware_ids(&device.function))),
        2 => Some(wide_list(&compatible_ids(&device.function))),
        3 => Some(wide(&alloc::format!("{}", device.function.id))),
        _ => None,
    }
}

/// PNP_BUS_INFORMATION: GUID_BUS_TYPE_PCI {C8EBDFB0-B510-11D0-80E5-00A0C92542E3}, PCIBus, bus number.
fn bus_information(device: &Device) -> Vec<u8> {
    let mut data = alloc::vec![
        0xB0, 0xDF, 0xEB, 0xC8, 0x10, 0xB5, 0xD0, 0x11, 0x80, 0xE5, 0x00, 0xA0, 0xC9, 0x25, 0x42,
        0xE3,
    ];
    data.extend(5u32.to_le_bytes());
    data.extend(u32::from(device.function.id.bus()).to_le_bytes());
    data
}

/// DEVICE_CAPABILITIES (0x40 bytes): address, bus position, and D-states by system state.
fn capabilities(device: &Device, stack: &IoStackLocation) -> NtStatus {
    let at = stack.parameters[0].get();
    let size = u16::from_le_bytes([read_bytes(at, 2)[0], read_bytes(at, 2)[1]]);
    if size < 0x40 {
        return status::INVALID_PARAMETER;
    }
    let id = device.function.id;
    let word = |offset: u64| shared::<Cell<u32>>(at + offset);
    word(0x08).set((u32::from(id.device()) << 16) | u32::from(id.function()));
    // UINumber: unknown. DeviceState[]: D0 in S0, D3 in S1 to S5, unspecified otherwise.
    word(0x0C).set(u32::MAX);
    for (system_state, device_state) in [0, 1, 4, 4, 4, 4, 4].into_iter().enumerate() {
        word(0x10 + system_state as u64 * 4).set(device_state);
    }
    status::SUCCESS
}

/// IRP_MN_READ_CONFIG and WRITE_CONFIG.
fn config(device: &Device, stack: &IoStackLocation, is_write: bool) -> NtStatus {
    let space = low_half(stack.parameters[0].get());
    let buffer = stack.parameters[1].get();
    let offset = low_half(stack.parameters[2].get());
    let len = low_half(stack.parameters[3].get());
    if space != WHICH_SPACE_CONFIG {
        return status::INVALID_PARAMETER;
    }
    let moved = if is_write {
        write_config(device.function.id, offset, buffer, len)
    } else {
        read_config(device.function.id, offset, buffer, len)
    };
    if moved == len {
        status::SUCCESS
    } else {
        status::INVALID_PARAMETER
    }
}

fn read_config(id: RequesterId, offset: u32, buffer: u64, len: u32) -> u32 {
    let len = in_config(offset, len);
    let bytes: Vec<u8> = (offset..offset + len)
        .map(|at| pci::read_config(id, config_offset(at), 1).to_le_bytes()[0])
        .collect();
    write_bytes(buffer, &bytes);
    len
}

fn write_config(id: RequesterId, offset: u32, buffer: u64, len: u32) -> u32 {
    let len = in_config(offset, len);
    for (at, byte) in (offset..).zip(read_bytes(buffer, len as usize)) {
        pci::write_config(id, config_offset(at), 1, byte.into());
    }
    len
}

/// What of `len` bytes from `offset` lies in configuration space.
fn in_config(offset: u32, len: u32) -> u32 {
    len.min(CONFIG_BYTES.saturating_sub(offset))
}

fn config_offset(at: u32) -> u16 {
    u16::try_from(at).expect("bounded by the size of configuration space")
}

/// Fills BUS_INTERFACE_STANDARD, or the interface for resets; `None` for others.
fn query_interface(pdo: u64, stack: &IoStackLocation) -> Option<NtStatus> {
    let wanted = read_bytes(stack.parameters[0].get(), 16);
    let size = stack.parameters[1].get() & 0xffff;
    let at = stack.parameters[2].get();
    if wanted == reset_interface::GUID {
        let reference = code_address(interface_reference as *const ());
        return reset_interface::query(pdo, at, size, reference);
    }
    if wanted != BUS_INTERFACE_GUID {
        return None;
    }
    if size < BUS_INTERFACE_BYTES {
        return Some(status::INVALID_PARAMETER);
    }
    fill(at, BUS_INTERFACE_BYTES, 0);
    let header: &InterfaceHeader = shared(at);
    header.size.set(0x40);
    header.version.set(1);
    header.context.set(pdo);
    header
        .reference
        .set(code_address(interface_reference as *const ()));
    header
        .dereference
        .set(code_address(interface_reference as *const ()));
    // TranslateBusAddress, GetDmaAdapter, SetBusData, GetBusData.
    let routines = [
        translate_bus_address as *const (),
        get_dma_adapter as *const (),
        set_bus_data as *const (),
        get_bus_data as *const (),
    ];
    for (slot, routine) in (at + 0x20..).step_by(8).zip(routines) {
        write_u64(slot, code_address(routine));
    }
    Some(status::SUCCESS)
}

/// The interface lives as long as the device; references are not counted.
extern "win64" fn interface_reference(_context: u64) {}

/// TranslateBusAddress: bus addresses are physical ones.
extern "win64" fn translate_bus_address(
    _context: u64,
    bus: u64,
    _len: u32,
    _space: u64,
    translated: u64,
) -> u8 {
    write_u64(translated, bus);
    1
}

/// GetDmaAdapter: as IoGetDmaAdapter.
extern "win64" fn get_dma_adapter(pdo: u64, description: u64, n_registers: u64) -> u64 {
    crate::hal_dma::io_get_dma_adapter(pdo, description, n_registers)
}

/// SetBusData(context, kind, buffer, offset, length): bytes written.
extern "win64" fn set_bus_data(pdo: u64, kind: u32, buffer: u64, offset: u32, len: u32) -> u32 {
    bus_data(pdo, kind, |id| write_config(id, offset, buffer, len))
}

/// GetBusData(context, kind, buffer, offset, length): bytes read.
extern "win64" fn get_bus_data(pdo: u64, kind: u32, buffer: u64, offset: u32, len: u32) -> u32 {
    bus_data(pdo, kind, |id| read_config(id, offset, buffer, len))
}

fn bus_data(pdo: u64, kind: u32, access: impl FnOnce(RequesterId) -> u32) -> u32 {
    verifier::at_most_dispatch("BUS_INTERFACE_STANDARD");
    match device::requester_of(pdo) {
        Some(id) if kind == WHICH_SPACE_CONFIG => access(id),
        _ => 0,
    }
}

fn code_address(routine: *const ()) -> u64 {
    routine.expose_provenance() as u64
}

fn low_half(value: u64) -> u32 {
    let [a, b, c, d, ..] = value.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}
