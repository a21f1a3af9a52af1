//! WDFINTERRUPT: which interrupt of the device an object stands for, connection, service routine, DPC and work item.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::family::Family;
use super::object::{self, Handle, Kind};
use super::{device, lock, resource_list, tree};
use crate::arch::guarded::Guarded;
use crate::arch::win64::Routine;
use crate::ke::dpc::{self, Dpc};
use crate::ke::interrupt::{self, Connection, Interrupt, Service};
use crate::ke::irql::{self, DISPATCH_LEVEL, Irql};
use crate::ke::spin_lock::SpinLock;
use crate::ke::{Foreign, wait, work};
use crate::ntoskrnl::driver as call;
use crate::ntoskrnl::kernel_memory;
use crate::ntoskrnl::shared::read_bytes;
use crate::ntoskrnl::status::{self, NtStatus};

const TAG: u32 = u32::from_le_bytes(*b"WdfN");
/// Type and flags of CM_PARTIAL_RESOURCE_DESCRIPTOR.
const TYPE_INTERRUPT: u8 = 2;
const FLAG_LATCHED: u16 = 1;
const FLAG_MESSAGE: u16 = 2;
/// One millisecond, in units of 100 ns, and how many of them a work item may take.
const MILLISECOND: i64 = -10_000;
const WORK_LIMIT_MS: u32 = 10_000;

/// The kind of interrupts.
pub static KIND: Kind = Kind {
    is_deletable: false,
    is_passive: true,
    on_dispose: disconnect_for_good,
    on_destroy: forget,
    ..Kind::new("WDFINTERRUPT")
};

/// The driver's routines; 0 for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Routines {
    pub(super) isr: u64,
    pub(super) dpc: u64,
    pub(super) work_item: u64,
    pub(super) enable: u64,
    pub(super) disable: u64,
}

/// The interrupt resource that an object stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Resource {
    pub(super) vector: u32,
    pub(super) irql: Irql,
    pub(super) affinity: u64,
    pub(super) is_latched: bool,
    pub(super) is_message: bool,
    pub(super) share: u8,
}

/// What the framework keeps of an interrupt.
#[derive(Clone, Copy)]
pub(super) struct Record {
    pub(super) device: Handle,
    /// The object that the driver gave as parent, or the device: what DPC and work item are told.
    pub(super) parent: Handle,
    pub(super) routines: Routines,
    /// Number among the interrupts of the device, in the order of creation.
    pub(super) number: u32,
    pub(super) resource: Option<Resource>,
    /// The WDFSPINLOCK that the driver gave; 0 for none.
    pub(super) spin_lock: u64,
    pub(super) is_automatically_serialized: bool,
    pub(super) is_of_prepare_hardware: bool,
    /// KINTERRUPT; 0 while it is not connected.
    pub(super) connected: u64,
    pub(super) is_enabled: bool,
    /// IRQL to go back to by WdfInterruptReleaseLock.
    pub(super) old_irql: Irql,
    /// Its KDPC.
    pub(super) dpc: u64,
    pub(super) is_work_queued: bool,
    pub(super) is_working: bool,
}

static INTERRUPTS: Family<Record> = Family::new();
/// Interrupt spin locks that several interrupts share, by the WDFSPINLOCK that the driver gave.
static SHARED_LOCKS: Guarded<BTreeMap<u64, u64>> = Guarded::new(BTreeMap::new());

pub(super) fn record(handle: Handle) -> Option<Record> {
    INTERRUPTS.get(handle)
}

pub(super) fn with<R>(handle: Handle, body: impl FnOnce(&mut Record) -> R) -> Option<R> {
    INTERRUPTS.with(handle, body)
}

/// The interrupts of a device, in the order of creation.
fn of_device(device: Handle) -> Vec<Handle> {
    INTERRUPTS.find(|_, record| record.device == device)
}

/// The number that the next interrupt of a device gets.
pub(super) fn next_number(device: Handle) -> u32 {
    u32::try_from(of_device(device).len()).unwrap_or(u32::MAX)
}

/// Adds the record of a new interrupt, with its DPC. False where memory is short.
pub(super) fn insert(handle: Handle, mut new: Record) -> bool {
    let routine = Routine::new((run_dpc as *const ()).expose_provenance() as u64);
    let address = kernel_memory::allocate(size_of::<Dpc>() as u64, TAG);
    let (Some(routine), Some(address)) = (routine, address) else {
        return false;
    };
    dpc::initialize(Foreign::checked(address), routine, handle.raw());
    new.dpc = address;
    INTERRUPTS.insert(handle, new);
    true
}

/// Gives each interrupt that was created in EvtDriverDeviceAdd its resource: the n-th the n-th.
pub(super) fn assign_resources(device: Handle, translated: Handle) {
    let descriptors = resource_list::descriptors(translated).into_iter();
    let mut resources = descriptors.filter_map(read_resource);
    for handle in of_device(device) {
        let resource = resources.next();
        with(handle, |record| record.resource = resource);
    }
}

/// The interrupt resource that a translated descriptor describes; `None` for other types.
pub(super) fn read_resource(descriptor: u64) -> Option<Resource> {
    let bytes = read_bytes(descriptor, 0x14);
    let half = |offset: usize| u16::from_le_bytes([bytes[offset], bytes[offset + 1]]);
    let word = |offset: usize| u32::from(half(offset)) | u32::from(half(offset + 2)) << 16;
    if bytes[0] != TYPE_INTERRUPT {
        return None;
    }
    let flags = half(2);
    Some(Resource {
        vector: word(8),
        irql: bytes[4],
        affinity: u64::from(word(0xC)) | u64::from(word(0x10)) << 32,
        is_latched: flags & FLAG_LATCHED != 0,
        is_message: flags & FLAG_MESSAGE != 0,
        share: bytes[1],
    })
}

/// Runs EvtDevicePrepareHardware, in which interrupts may be created.
pub(super) fn in_prepare_hardware(device: Handle, body: impl FnOnce() -> NtStatus) -> NtStatus {
    let set = |is_on| {
        device::with(device, |device| {
            device.progress.is_in_prepare_hardware = is_on;
            device.progress.was_started = true;
        });
    };
    set(true);
    let status = body();
    set(false);
    status
}

/// STOP and REMOVE: resources are gone, and so are the interrupts of EvtDevicePrepareHardware.
pub(super) fn release_resources(device: Handle) {
    for handle in of_device(device).into_iter().rev() {
        match with(handle, |record| {
            record.resource = None;
            record.is_of_prepare_hardware
        }) {
            Some(true) => tree::delete(handle),
            _ => continue,
        }
    }
}

/// Connects and enables all interrupts of a device that have a resource.
///
/// # Errors
/// The status of the first that fails; [`disconnect_all`] undoes.
pub(super) fn connect_all(device: Handle) -> Result<(), NtStatus> {
    of_device(device).into_iter().try_for_each(connect)
}

fn connect(handle: Handle) -> Result<(), NtStatus> {
    let Some(record) = record(handle) else {
        return Ok(());
    };
    let Some(resource) = record.resource else {
        return Ok(());
    };
    let routine = Routine::new((service as *const ()).expose_provenance() as u64);
    let connection = Connection {
        vector: u8::try_from(resource.vector).map_err(|_| status::INVALID_PARAMETER)?,
        synchronize_irql: resource.irql,
        service: Service::Line(routine.ok_or(status::INVALID_PARAMETER)?),
        context: handle.raw(),
        lock: shared_lock(record.spin_lock)?,
    };
    let object = interrupt::connect(&connection)?;
    with(handle, |record| record.connected = object.address());
    enable(handle)
}

/// The lock of all interrupts that were given this WDFSPINLOCK.
fn shared_lock(spin_lock: u64) -> Result<Option<Foreign<SpinLock>>, NtStatus> {
    if spin_lock == 0 {
        return Ok(None);
    }
    let known = SHARED_LOCKS.with(|locks| locks.get(&spin_lock).copied());
    let address = match known {
        Some(address) => address,
        None => {
            let address = kernel_memory::allocate(size_of::<SpinLock>() as u64, TAG)
                .ok_or(status::INSUFFICIENT_RESOURCES)?;
            SHARED_LOCKS.with(|locks| locks.insert(spin_lock, address));
            address
        }
    };
    Ok(Some(Foreign::checked(address)))
}

/// EvtInterruptEnable, at the interrupt's IRQL with its lock held.
pub(super) fn enable(handle: Handle) -> Result<(), NtStatus> {
    let status = at_interrupt_level(handle, |record| {
        call::event_status(
            record.routines.enable,
            "EvtInterruptEnable",
            &[handle.raw(), record.device.raw()],
        )
    });
    if !status.is_success() {
        return Err(status);
    }
    with(handle, |record| record.is_enabled = true);
    Ok(())
}

/// EvtInterruptDisable, as [`enable`].
pub(super) fn disable(handle: Handle) -> NtStatus {
    with(handle, |record| record.is_enabled = false);
    at_interrupt_level(handle, |record| {
        call::event_status(
            record.routines.disable,
            "EvtInterruptDisable",
            &[handle.raw(), record.device.raw()],
        )
    })
}

fn at_interrupt_level(handle: Handle, body: impl FnOnce(&Record) -> NtStatus) -> NtStatus {
    let Some(record) = record(handle).filter(|record| record.connected != 0) else {
        return status::SUCCESS;
    };
    let object = Foreign::<Interrupt>::checked(record.connected);
    let old = interrupt::acquire_lock(object);
    let status = body(&record);
    interrupt::release_lock(object, old);
    status
}

/// Disables and disconnects all interrupts of a device, the last one first; whether every callback succeeded.
pub(super) fn disconnect_all(device: Handle) -> bool {
    let mut is_sound = true;
    for handle in of_device(device).into_iter().rev() {
        is_sound &= disconnect(handle);
    }
    is_sound
}

fn disconnect(handle: Handle) -> bool {
    let Some(record) = record(handle).filter(|record| record.connected != 0) else {
        return true;
    };
    let is_sound = !record.is_enabled || disable(handle).is_success();
    dpc::flush();
    wait_for_work(handle);
    with(handle, |record| record.connected = 0);
    interrupt::disconnect(Foreign::checked(record.connected));
    is_sound
}

/// Returns when the work item has run.
fn wait_for_work(handle: Handle) {
    for _ in 0..WORK_LIMIT_MS {
        if irql::current() >= DISPATCH_LEVEL
            || with(handle, |record| record.is_work_queued || record.is_working) != Some(true)
        {
            return;
        }
        wait::delay(MILLISECOND);
    }
}

fn disconnect_for_good(handle: Handle) {
    disconnect(handle);
    if let Some(record) = record(handle) {
        dpc::remove(Foreign::checked(record.dpc));
    }
}

fn forget(handle: Handle) {
    let Some(record) = INTERRUPTS.remove(handle) else {
        return;
    };
    kernel_memory::free(record.dpc);
    let is_last = INTERRUPTS
        .find(|_, other| other.spin_lock == record.spin_lock)
        .is_empty();
    if record.spin_lock != 0
        && is_last
        && let Some(lock) = SHARED_LOCKS.with(|locks| locks.remove(&record.spin_lock))
    {
        kernel_memory::free(lock);
    }
}

/// The service routine of every framework interrupt. At the interrupt's IRQL with its lock held.
extern "win64" fn service(_interrupt: u64, context: u64) -> u8 {
    let handle = Handle::from_raw(context);
    let routine = with(handle, |record| (record.routines.isr, record.number));
    let Some((isr, number)) = routine else {
        return 0;
    };
    let result = call::event(isr, "EvtInterruptIsr", &[context, number.into()]);
    u8::from(result.is_some_and(|result| result & 0xFF != 0))
}

/// WdfInterruptQueueDpcForIsr: whether it was not queued yet.
pub(super) fn queue_dpc(record: &Record) -> bool {
    dpc::insert(Foreign::checked(record.dpc), 0, 0)
}

extern "win64" fn run_dpc(_dpc: u64, context: u64, _argument1: u64, _argument2: u64) {
    let handle = Handle::from_raw(context);
    if let Some(record) = record(handle) {
        serialized(&record, || {
            call::event(
                record.routines.dpc,
                "EvtInterruptDpc",
                &[context, record.parent.raw()],
            );
        });
    }
}

/// WdfInterruptQueueWorkItemForIsr: whether it was not queued yet.
pub(super) fn queue_work_item(handle: Handle) -> bool {
    let was_queued = with(handle, |record| {
        core::mem::replace(&mut record.is_work_queued, true)
    });
    if was_queued != Some(false) {
        return false;
    }
    work::queue(run_work_item, handle.raw());
    true
}

fn run_work_item(raw: u64) {
    let handle = Handle::from_raw(raw);
    if let Some(record) = record(handle) {
        // From here on it may be queued again, by itself too.
        with(handle, |record| {
            record.is_work_queued = false;
            record.is_working = true;
        });
        serialized(&record, || {
            call::event(
                record.routines.work_item,
                "EvtInterruptWorkItem",
                &[raw, record.parent.raw()],
            );
        });
        with(handle, |record| record.is_working = false);
    }
}

fn serialized(record: &Record, body: impl FnOnce()) {
    if record.is_automatically_serialized {
        lock::guarded(record.parent, body);
    } else {
        body();
    }
}

/// Whether interrupts may be created now, and whether that is in EvtDevicePrepareHardware.
pub(super) fn may_create(device: Handle) -> Option<bool> {
    device::with(device, |device| {
        let progress = device.progress;
        match (progress.was_started, progress.is_in_prepare_hardware) {
            (false, _) => Some(false),
            (true, true) => Some(true),
            (true, false) => None,
        }
    })
    .flatten()
}

/// Whether an object may be the parent of an interrupt of `device`: the device, or one below it.
pub(super) fn may_be_parent(parent: Handle, device: Handle) -> bool {
    object::nearest(parent, &device::KIND) == Some(device)
}
