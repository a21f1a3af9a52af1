//! WDFDMAENABLER (indices 94 to 97, 384, 385, 405): adapters of a device, for common buffers and transactions.

use alloc::vec::Vec;

use super::attributes::{Attributes, Rules};
use super::dma_profile::{AdapterRequest, Config, DESCRIPTION_BYTES};
use super::family::Family;
use super::object::{self, Handle, Kind};
use super::violation::{check_level, not_null};
use super::{device, globals, tree};
use crate::hal_dma;
use crate::hal_dma::operations;
use crate::ke::irql::PASSIVE_LEVEL;
use crate::ntoskrnl::kernel_memory;
use crate::ntoskrnl::shared::{shared, write_bytes, write_u64};
use crate::ntoskrnl::status::{self, NtStatus};
use crate::ntoskrnl::verifier;
use core::cell::Cell;

const TAG: u32 = u32::from_le_bytes(*b"WdfE");
const PAGE_BYTES: u64 = 0x1000;
/// WDF_DMA_ENABLER_UNLIMITED_FRAGMENTS
const UNLIMITED: u64 = 0xFFFF_FFFF;

/// The kind of DMA enablers.
pub static KIND: Kind = Kind {
    is_passive: true,
    on_dispose: release_adapters,
    on_destroy: forget,
    ..Kind::new("WDFDMAENABLER")
};

/// WDF_DMA_DIRECTION.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The device writes memory.
    ReadFromDevice,
    /// The device reads memory.
    WriteToDevice,
}

impl Direction {
    /// By its number; `None` for one that is not known.
    #[must_use]
    pub fn from_raw(raw: u32) -> Option<Self> {
        match raw {
            0 => Some(Self::ReadFromDevice),
            1 => Some(Self::WriteToDevice),
            _ => None,
        }
    }
}

/// One adapter of an enabler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adapter {
    /// Its DMA_ADAPTER.
    pub address: u64,
    /// Map registers granted.
    pub map_registers: u32,
    /// Bytes of one transfer at most (KD-19).
    pub fragment_bytes: u64,
}

/// What the framework keeps of an enabler.
#[derive(Clone, Copy, Debug)]
pub struct Enabler {
    /// The client.
    pub globals: u64,
    /// Its device.
    pub device: Handle,
    /// What was asked of the HAL.
    pub request: AdapterRequest,
    /// The read adapter, which is the only one without duplex, and the write adapter.
    pub adapters: [Option<Adapter>; 2],
    /// Elements of a scatter/gather list at most.
    pub maximum_elements: u64,
    /// Alignment mask of its common buffers (KD-7).
    pub alignment: u32,
    /// Fill, Flush, Disable, Enable, SelfManagedIoStart, SelfManagedIoStop.
    pub(super) callbacks: [u64; 6],
    /// Whether EvtDmaEnablerFill, and EvtDmaEnablerEnable, have failed.
    pub(super) has_failed: [bool; 2],
}

impl Enabler {
    /// The adapter of a direction.
    #[must_use]
    pub fn adapter(&self, direction: Direction) -> Option<Adapter> {
        match direction {
            Direction::WriteToDevice if self.request.profile.is_duplex() => self.adapters[1],
            _ => self.adapters[0],
        }
    }
}

static ENABLERS: Family<Enabler> = Family::new();

/// A copy of the record of an enabler.
#[must_use]
pub fn record(handle: Handle) -> Option<Enabler> {
    ENABLERS.get(handle)
}

/// Runs `body` on the record of an enabler, interrupts off.
pub(super) fn with<R>(handle: Handle, body: impl FnOnce(&mut Enabler) -> R) -> Option<R> {
    ENABLERS.with(handle, body)
}

/// The enablers of a device, oldest first.
pub(super) fn of_device(device: Handle) -> Vec<Handle> {
    ENABLERS.find(|_, enabler| enabler.device == device)
}

/// Adapters that enablers of the device on a physical device object hold: those stay over STOP, for the framework puts
/// them when the enabler is deleted.
#[must_use]
pub fn adapters_on(pdo: u64) -> usize {
    let Some(device) = device::of_pdo(pdo) else {
        return 0;
    };
    let enablers = of_device(device).into_iter().filter_map(record);
    enablers
        .map(|enabler| enabler.adapters.iter().flatten().count())
        .sum()
}

/// `WdfDmaEnablerCreate` (wdfdmaenabler.h): rules KD-1 to KD-7. IRQL PASSIVE_LEVEL. STATUS_SUCCESS,
/// STATUS_INFO_LENGTH_MISMATCH, STATUS_INVALID_PARAMETER, STATUS_WDF_OBJECT_ATTRIBUTES_INVALID for a parent that is not
/// below the device, STATUS_UNSUCCESSFUL where the HAL gives no adapter, STATUS_NOT_SUPPORTED for the system profiles,
/// or what [`Attributes::read`] says.
pub(super) extern "win64" fn create(
    globals: u64,
    device: u64,
    config: u64,
    attributes: u64,
    out: u64,
) -> NtStatus {
    let function = "WdfDmaEnablerCreate";
    let device = object::check(function, device, &device::KIND);
    if let Err(status) = check_level(function, PASSIVE_LEVEL) {
        return status;
    }
    not_null(function, "DmaEnablerHandle", out);
    not_null(function, "Config", config);
    write_u64(out, 0);
    match make(globals, device, config, attributes) {
        Ok(handle) => {
            write_u64(out, handle.raw());
            status::SUCCESS
        }
        Err(status) => status,
    }
}

fn make(globals: u64, device: Handle, config: u64, attributes: u64) -> Result<Handle, NtStatus> {
    let minor = globals::client(globals).map_or(0, |client| client.minor);
    let attributes = Attributes::read(attributes, Rules::PLAIN)?;
    let parent = parent_of(&attributes, device, minor)?;
    let config = Config::read(config, minor)?;
    let handle = object::create(&KIND, &attributes, Some(parent))?;
    match initialize(globals, device, &config, minor) {
        Ok(enabler) => {
            ENABLERS.insert(handle, enabler);
            Ok(handle)
        }
        Err(status) => {
            tree::discard(handle);
            Err(status)
        }
    }
}

/// KD-5: from 1.11 on a named parent has to be the device or below it; before, it is ignored.
fn parent_of(attributes: &Attributes, device: Handle, minor: u32) -> Result<Handle, NtStatus> {
    let parent = attributes.parent_or("WdfDmaEnablerCreate", device);
    if minor < 11 {
        return Ok(device);
    }
    match object::nearest(parent, &device::KIND) {
        Some(ancestor) if ancestor == device => Ok(parent),
        _ => Err(status::WDF_OBJECT_ATTRIBUTES_INVALID),
    }
}

fn initialize(
    globals: u64,
    device: Handle,
    config: &Config,
    minor: u32,
) -> Result<Enabler, NtStatus> {
    let request = config.adapter(minor)?;
    if request.profile.is_system() {
        verifier::finding(
            "not-implemented",
            format_args!("WdfDmaEnablerCreate: there is no system DMA controller"),
        );
        return Err(status::NOT_SUPPORTED);
    }
    let pdo = device::with(device, |device| device.init.pdo).ok_or(status::UNSUCCESSFUL)?;
    let read = open_adapter(pdo, &request)?;
    let write = match request.profile.is_duplex() {
        true => Some(open_adapter(pdo, &request).inspect_err(|_| put(read))?),
        false => None,
    };
    Ok(Enabler {
        globals,
        device,
        request,
        adapters: [Some(read), write],
        maximum_elements: UNLIMITED,
        alignment: alignment(device, &request, read, minor),
        callbacks: config.callbacks,
        has_failed: [false; 2],
    })
}

/// IoGetDmaAdapter; STATUS_UNSUCCESSFUL where it gives none.
fn open_adapter(pdo: u64, request: &AdapterRequest) -> Result<Adapter, NtStatus> {
    let block = kernel_memory::allocate(DESCRIPTION_BYTES as u64 + 8, TAG)
        .ok_or(status::INSUFFICIENT_RESOURCES)?;
    let count = block + DESCRIPTION_BYTES as u64;
    write_bytes(block, &request.description());
    let address = hal_dma::io_get_dma_adapter(pdo, block, count);
    let map_registers = shared::<Cell<u32>>(count).get();
    kernel_memory::free(block);
    if address == 0 {
        return Err(status::UNSUCCESSFUL);
    }
    let by_registers = u64::from(map_registers.saturating_sub(1)) * PAGE_BYTES;
    Ok(Adapter {
        address,
        map_registers,
        fragment_bytes: by_registers.min(request.maximum_length.into()),
    })
}

fn put(adapter: Adapter) {
    operations::put_dma_adapter(adapter.address);
}

/// KD-7: what the device and the HAL want, for scatter/gather profiles alone; fixed from now on.
fn alignment(device: Handle, request: &AdapterRequest, adapter: Adapter, minor: u32) -> u32 {
    if !request.profile.is_scatter_gather() {
        return 0;
    }
    let of_hal = operations::get_dma_alignment(adapter.address);
    let of_hal = if minor >= 11 {
        of_hal.saturating_sub(1)
    } else {
        of_hal
    };
    let of_device = device::wdm_object(device).map_or(0, |wdm| wdm.alignment_requirement.get());
    of_device.max(of_hal)
}

fn release_adapters(handle: Handle) {
    let adapters = with(handle, |enabler| core::mem::take(&mut enabler.adapters));
    for adapter in adapters.into_iter().flatten().flatten() {
        put(adapter);
    }
}

fn forget(handle: Handle) {
    ENABLERS.remove(handle);
}

fn checked(function: &str, enabler: u64) -> Option<Enabler> {
    record(object::check(function, enabler, &KIND))
}

/// `WdfDmaEnablerGetMaximumLength` (wdfdmaenabler.h). IRQL <= DISPATCH_LEVEL. MaximumLength as configured.
pub(super) extern "win64" fn maximum_length(_globals: u64, enabler: u64) -> u64 {
    let enabler = checked("WdfDmaEnablerGetMaximumLength", enabler);
    enabler.map_or(0, |enabler| enabler.request.maximum_length.into())
}

/// `WdfDmaEnablerGetMaximumScatterGatherElements` (wdfdmaenabler.h). IRQL <= DISPATCH_LEVEL.
pub(super) extern "win64" fn maximum_elements(_globals: u64, enabler: u64) -> u64 {
    let enabler = checked("WdfDmaEnablerGetMaximumScatterGatherElements", enabler);
    enabler.map_or(0, |enabler| enabler.maximum_elements)
}

/// `WdfDmaEnablerSetMaximumScatterGatherElements` (wdfdmaenabler.h). IRQL PASSIVE_LEVEL. 0 changes nothing; more than
/// 0xFFFFFFFF is that.
pub(super) extern "win64" fn set_maximum_elements(_globals: u64, enabler: u64, elements: u64) {
    let function = "WdfDmaEnablerSetMaximumScatterGatherElements";
    let handle = object::check(function, enabler, &KIND);
    if elements != 0 && check_level(function, PASSIVE_LEVEL).is_ok() {
        with(handle, |enabler| {
            enabler.maximum_elements = elements.min(UNLIMITED)
        });
    }
}

/// `WdfDmaEnablerGetFragmentLength` (wdfdmaenabler.h): rule KD-19. IRQL <= DISPATCH_LEVEL. 0 for an unknown direction.
pub(super) extern "win64" fn fragment_length(_globals: u64, enabler: u64, direction: u32) -> u64 {
    let function = "WdfDmaEnablerGetFragmentLength";
    let adapter = adapter_of(function, enabler, direction);
    adapter.map_or(0, |adapter| adapter.fragment_bytes)
}

/// `WdfDmaEnablerWdmGetDmaAdapter` (wdfdmaenabler.h): rule KD-6. IRQL <= DISPATCH_LEVEL. The DMA_ADAPTER, valid as long as
/// the enabler; null for an unknown direction.
pub(super) extern "win64" fn wdm_adapter(_globals: u64, enabler: u64, direction: u32) -> u64 {
    let function = "WdfDmaEnablerWdmGetDmaAdapter";
    adapter_of(function, enabler, direction).map_or(0, |adapter| adapter.address)
}

fn adapter_of(function: &str, enabler: u64, direction: u32) -> Option<Adapter> {
    let enabler = checked(function, enabler)?;
    let direction = Direction::from_raw(direction);
    if direction.is_none() {
        verifier::finding(
            "wdf-dma-direction",
            format_args!("{function}: no such direction"),
        );
    }
    enabler.adapter(direction?)
}

/// An enabler that holds no adapter, for tests of the power callbacks.
#[cfg(test)]
pub(super) fn insert_without_adapter(device: Handle, globals: u64, callbacks: [u64; 6]) {
    let request = AdapterRequest {
        version: 2,
        width: 64,
        profile: super::dma_profile::Profile::ScatterGather64,
        maximum_length: 0x1000,
        requires_single_transfer: false,
        preallocates_lists: true,
    };
    let handle = object::create(&KIND, &Attributes::NONE, Some(device)).expect("memory");
    let enabler = Enabler {
        globals,
        device,
        request,
        adapters: [None; 2],
        maximum_elements: UNLIMITED,
        alignment: 0,
        callbacks,
        has_failed: [false; 2],
    };
    ENABLERS.insert(handle, enabler);
}
