//! WdfInterrupt... (indices 141 to 151, 389, 416, 417, 428, 429).

use core::cell::Cell;

use super::attributes::{Attributes, ParentRule, Rules};
use super::interrupt::{self, KIND, Record, Routines};
use super::object::{self, Handle};
use super::violation::{at_most, not_null};
use super::{device, device_init, spin_lock, tree};
use crate::ke::Foreign;
use crate::ke::interrupt::{self as ke_interrupt, Interrupt};
use crate::ke::irql::PASSIVE_LEVEL;
use crate::ntoskrnl::driver as call;
use crate::ntoskrnl::shared::{read_u64, shared, write_bytes, write_u64};
use crate::ntoskrnl::status::{self, NtStatus};

/// Sizes of WDF_INTERRUPT_CONFIG: 1.13 and later, 1.11, 1.9 and before.
const CONFIG_BYTES: [u32; 3] = [0x68, 0x60, 0x38];
/// Size of WDF_INTERRUPT_INFO, and of its form up to 1.7.
const INFO_BYTES: u32 = 0x40;
const OLD_INFO_BYTES: u32 = 0x38;
/// WdfUseDefault
const USE_DEFAULT: u32 = 2;

/// WDF_INTERRUPT_CONFIG.
struct Config {
    spin_lock: u64,
    share_vector: u32,
    is_automatically_serialized: bool,
    routines: Routines,
    translated: u64,
    raw: u64,
    wait_lock: u64,
    is_passive: bool,
    can_wake: bool,
}

impl Config {
    fn read(at: u64) -> Result<Self, NtStatus> {
        let size = shared::<Cell<u32>>(at).get();
        if !CONFIG_BYTES.contains(&size) {
            return Err(status::INFO_LENGTH_MISMATCH);
        }
        let has = |offset: u64, len: u64| offset + len <= u64::from(size);
        let long = |offset: u64| match has(offset, 8) {
            true => read_u64(at.wrapping_add(offset)),
            false => 0,
        };
        let byte =
            |offset: u64| has(offset, 1) && shared::<Cell<u8>>(at.wrapping_add(offset)).get() != 0;
        let config = Self {
            spin_lock: long(0x08),
            share_vector: shared::<Cell<u32>>(at.wrapping_add(0x10)).get(),
            is_automatically_serialized: byte(0x15),
            routines: Routines {
                isr: long(0x18),
                dpc: long(0x20),
                enable: long(0x28),
                disable: long(0x30),
                work_item: long(0x38),
            },
            raw: long(0x40),
            translated: long(0x48),
            wait_lock: long(0x50),
            is_passive: byte(0x58),
            can_wake: byte(0x60),
        };
        match config.routines.isr {
            0 => Err(status::INVALID_PARAMETER),
            _ => Ok(config),
        }
    }

    /// The rules that depend on where the interrupt is created (fxinterruptapi.cpp), in their order.
    fn judge(&self, is_in_prepare_hardware: bool) -> Result<(), NtStatus> {
        if is_in_prepare_hardware {
            if self.raw == 0 || self.translated == 0 || self.share_vector != USE_DEFAULT {
                return Err(status::INVALID_DEVICE_STATE);
            }
        } else if self.raw != 0 || self.translated != 0 {
            return Err(status::INVALID_PARAMETER);
        }
        let has_both = self.routines.dpc != 0 && self.routines.work_item != 0;
        if self.can_wake || has_both || (!self.is_passive && self.wait_lock != 0) {
            return Err(status::INVALID_PARAMETER);
        }
        if self.is_passive {
            return Err(status::NOT_SUPPORTED);
        }
        Ok(())
    }
}

/// `WdfInterruptCreate` (wdfinterrupt.h). IRQL PASSIVE_LEVEL. STATUS_SUCCESS, STATUS_INFO_LENGTH_MISMATCH,
/// STATUS_INVALID_PARAMETER, STATUS_INVALID_DEVICE_STATE outside EvtDriverDeviceAdd and EvtDevicePrepareHardware,
/// STATUS_NOT_SUPPORTED for passive-level interrupts, STATUS_INSUFFICIENT_RESOURCES, or what [`Attributes::read`] says. A
/// parent may be named with AutomaticSerialization alone.
pub(super) extern "win64" fn create(
    _globals: u64,
    device: u64,
    config: u64,
    attributes: u64,
    out: u64,
) -> NtStatus {
    let function = "WdfInterruptCreate";
    let device = object::check(function, device, &device::KIND);
    not_null(function, "Configuration", config);
    not_null(function, "Interrupt", out);
    at_most(function, PASSIVE_LEVEL);
    match make(function, device, config, attributes) {
        Ok(handle) => {
            write_u64(out, handle.raw());
            status::SUCCESS
        }
        Err(status) => status,
    }
}

fn make(function: &str, device: Handle, config: u64, attributes: u64) -> Result<Handle, NtStatus> {
    let config = Config::read(config)?;
    let parent = match config.is_automatically_serialized {
        true => ParentRule::Optional,
        false => ParentRule::NotAllowed,
    };
    let rules = Rules {
        parent,
        ..Rules::PLAIN
    };
    let attributes = Attributes::read(attributes, rules)?;
    let parent = attributes.parent_or(function, device);
    let is_in_prepare_hardware =
        interrupt::may_create(device).ok_or(status::INVALID_DEVICE_STATE)?;
    config.judge(is_in_prepare_hardware)?;
    if !interrupt::may_be_parent(parent, device) {
        return Err(status::INVALID_PARAMETER);
    }
    if config.spin_lock != 0 {
        let _ = object::check(function, config.spin_lock, &spin_lock::KIND);
    }
    let resource = match is_in_prepare_hardware {
        true => interrupt::read_resource(config.translated),
        false => None,
    };
    let handle = object::create(&KIND, &attributes, Some(parent))?;
    let record = Record {
        device,
        parent,
        routines: config.routines,
        number: interrupt::next_number(device),
        resource,
        spin_lock: config.spin_lock,
        is_automatically_serialized: config.is_automatically_serialized,
        is_of_prepare_hardware: is_in_prepare_hardware,
        connected: 0,
        is_enabled: false,
        old_irql: PASSIVE_LEVEL,
        dpc: 0,
        is_work_queued: false,
        is_working: false,
    };
    if !interrupt::insert(handle, record) {
        tree::discard(handle);
        return Err(status::INSUFFICIENT_RESOURCES);
    }
    Ok(handle)
}

fn checked(function: &str, interrupt: u64) -> (Handle, Option<Record>) {
    let handle = object::check(function, interrupt, &KIND);
    (handle, interrupt::record(handle))
}

/// The KINTERRUPT of an interrupt; that of one which is not connected breaks a rule without a documented code.
fn connected(function: &str, interrupt: u64) -> Option<(Handle, Record, Foreign<Interrupt>)> {
    let (handle, record) = checked(function, interrupt);
    let record = record?;
    if record.connected == 0 {
        object::misuse(
            "wdf-interrupt-not-connected",
            format_args!("{function}: {handle} is connected in D0 alone"),
        );
        return None;
    }
    Some((handle, record, Foreign::checked(record.connected)))
}

/// `WdfInterruptQueueDpcForIsr` (wdfinterrupt.h). Any IRQL. FALSE where it is queued already.
pub(super) extern "win64" fn queue_dpc(_globals: u64, interrupt: u64) -> u8 {
    let function = "WdfInterruptQueueDpcForIsr";
    let (handle, record) = checked(function, interrupt);
    match record {
        Some(record) if record.routines.dpc != 0 => u8::from(interrupt::queue_dpc(&record)),
        _ => missing_routine(function, handle, "EvtInterruptDpc"),
    }
}

/// `WdfInterruptQueueWorkItemForIsr` (wdfinterrupt.h). Any IRQL. FALSE where it is queued already.
pub(super) extern "win64" fn queue_work_item(_globals: u64, interrupt: u64) -> u8 {
    let function = "WdfInterruptQueueWorkItemForIsr";
    let (handle, record) = checked(function, interrupt);
    match record {
        Some(record) if record.routines.work_item != 0 => {
            u8::from(interrupt::queue_work_item(handle))
        }
        _ => missing_routine(function, handle, "EvtInterruptWorkItem"),
    }
}

fn missing_routine(function: &str, handle: Handle, routine: &str) -> u8 {
    object::misuse(
        "wdf-interrupt-routine-missing",
        format_args!("{function}: {handle} has no {routine}"),
    );
    0
}

/// `WdfInterruptSynchronize` (wdfinterrupt.h): calls (WDFINTERRUPT, context) at the interrupt's IRQL with its lock held.
/// What the routine returns; FALSE where the interrupt is not connected.
pub(super) extern "win64" fn synchronize(
    _globals: u64,
    interrupt: u64,
    callback: u64,
    context: u64,
) -> u8 {
    let function = "WdfInterruptSynchronize";
    not_null(function, "Callback", callback);
    let Some((handle, _, object)) = connected(function, interrupt) else {
        return 0;
    };
    let old = ke_interrupt::acquire_lock(object);
    let result = call::event(
        callback,
        "EvtInterruptSynchronize",
        &[handle.raw(), context],
    );
    ke_interrupt::release_lock(object, old);
    u8::from(result.is_some_and(|result| result & 0xFF != 0))
}

/// `WdfInterruptAcquireLock` (wdfinterrupt.h). IRQL up to that of the interrupt, where it comes back.
pub(super) extern "win64" fn acquire_lock(_globals: u64, interrupt: u64) {
    if let Some((handle, _, object)) = connected("WdfInterruptAcquireLock", interrupt) {
        let old = ke_interrupt::acquire_lock(object);
        interrupt::with(handle, |record| record.old_irql = old);
    }
}

/// `WdfInterruptReleaseLock` (wdfinterrupt.h).
pub(super) extern "win64" fn release_lock(_globals: u64, interrupt: u64) {
    if let Some((_, record, object)) = connected("WdfInterruptReleaseLock", interrupt) {
        ke_interrupt::release_lock(object, record.old_irql);
    }
}

/// `WdfInterruptTryToAcquireLock` (wdfinterrupt.h): for passive-level interrupts, which are not there. FALSE.
pub(super) extern "win64" fn try_to_acquire_lock(_globals: u64, interrupt: u64) -> u8 {
    let function = "WdfInterruptTryToAcquireLock";
    let (handle, _) = checked(function, interrupt);
    object::misuse(
        "wdf-interrupt-not-passive",
        format_args!("{function}: {handle} is not handled at PASSIVE_LEVEL"),
    );
    0
}

/// `WdfInterruptEnable` (wdfinterrupt.h): calls EvtInterruptEnable. IRQL PASSIVE_LEVEL.
pub(super) extern "win64" fn enable(_globals: u64, interrupt: u64) {
    if let Some((handle, ..)) = connected("WdfInterruptEnable", interrupt) {
        // The function gives no status.
        let _ = interrupt::enable(handle);
    }
}

/// `WdfInterruptDisable` (wdfinterrupt.h): calls EvtInterruptDisable. IRQL PASSIVE_LEVEL.
pub(super) extern "win64" fn disable(_globals: u64, interrupt: u64) {
    if let Some((handle, ..)) = connected("WdfInterruptDisable", interrupt) {
        interrupt::disable(handle);
    }
}

/// `WdfInterruptWdmGetInterrupt` (wdfinterrupt.h). The KINTERRUPT; null while it is not connected.
pub(super) extern "win64" fn wdm_interrupt(_globals: u64, interrupt: u64) -> u64 {
    let (_, record) = checked("WdfInterruptWdmGetInterrupt", interrupt);
    record.map_or(0, |record| record.connected)
}

/// `WdfInterruptGetInfo` (wdfinterrupt.h). IRQL up to that of the interrupt. Fills WDF_INTERRUPT_INFO.
pub(super) extern "win64" fn info(_globals: u64, interrupt: u64, info: u64) {
    let function = "WdfInterruptGetInfo";
    let (_, record) = checked(function, interrupt);
    not_null(function, "Info", info);
    let size = shared::<Cell<u32>>(info).get();
    let Some(record) = record else {
        return;
    };
    if !matches!(size, INFO_BYTES | OLD_INFO_BYTES) {
        device_init::report_size(function, info);
        return;
    }
    let resource = record.resource.unwrap_or_default();
    let put = |offset: u64, value: u32| {
        write_bytes(info.wrapping_add(offset), &value.to_le_bytes());
    };
    write_u64(info.wrapping_add(0x10), resource.affinity);
    put(0x1C, record.number);
    put(0x20, resource.vector);
    put(0x24, resource.irql.into());
    put(0x28, resource.is_latched.into());
    // WdfInterruptPolarityUnknown.
    put(0x2C, 0);
    write_bytes(
        info.wrapping_add(0x30),
        &[u8::from(resource.is_message), resource.share],
    );
    if size == INFO_BYTES {
        // Group 0.
        write_bytes(info.wrapping_add(0x38), &[0, 0]);
    }
}

/// `WdfInterruptSetPolicy` (wdfinterrupt.h). There is one processor.
pub(super) extern "win64" fn set_policy(
    _globals: u64,
    interrupt: u64,
    _policy: u32,
    _priority: u32,
    _processors: u64,
) {
    let _ = checked("WdfInterruptSetPolicy", interrupt);
}

/// `WdfInterruptSetExtendedPolicy` (wdfinterrupt.h). There is one processor.
pub(super) extern "win64" fn set_extended_policy(_globals: u64, interrupt: u64, policy: u64) {
    let function = "WdfInterruptSetExtendedPolicy";
    let _ = checked(function, interrupt);
    not_null(function, "PolicyAndGroup", policy);
}

/// `WdfInterruptGetDevice` (wdfinterrupt.h).
pub(super) extern "win64" fn device_of(_globals: u64, interrupt: u64) -> u64 {
    let (_, record) = checked("WdfInterruptGetDevice", interrupt);
    record.map_or(0, |record| record.device.raw())
}

/// `WdfInterruptReportActive` and `WdfInterruptReportInactive` (wdfinterrupt.h): hints about power.
pub(super) extern "win64" fn report_activity(_globals: u64, interrupt: u64) {
    let _ = checked("WdfInterruptReportActive", interrupt);
}

#[cfg(test)]
#[path = "interrupt_tests.rs"]
mod tests;
