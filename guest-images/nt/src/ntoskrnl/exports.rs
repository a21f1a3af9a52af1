//! The table of exports: import name to routine, for ntoskrnl.exe, HAL.dll and WDFLDR.SYS alike.
//!
//! A name that is not here is bound to a reporting thunk ([`super::missing`]).
#![expect(unsafe_code, reason = "a table of routine addresses")]

use core::cell::Cell;

use super::{
    c_library, dbg, ex_pool, io_device, io_interrupt, io_irp, io_mdl, io_names, io_work_item,
    ke_execution, ke_objects, mm_mdl, mm_memory, objects_by_handle, po, remove_lock, rtl, seh,
    trace, zw_registry,
};
use crate::hal_dma;
use crate::wdf::bind;

/// One export.
pub struct Export {
    /// Name, as in the import table.
    pub name: &'static str,
    /// Arguments; a variadic routine counts its named ones.
    pub arity: u8,
    address: Address,
}

impl Export {
    /// Address of the routine or variable.
    #[must_use]
    pub fn address(&self) -> u64 {
        self.address.0.expose_provenance() as u64
    }
}

struct Address(*const ());

// SAFETY: only the address is shared; it is code or a variable of the kernel's own.
unsafe impl Sync for Address {}

/// Whether `dll` names a library whose exports this table holds.
#[must_use]
pub fn is_known_library(dll: &str) -> bool {
    ["ntoskrnl.exe", "hal.dll", "wdfldr.sys"]
        .iter()
        .any(|known| dll.eq_ignore_ascii_case(known))
}

/// The address of an export.
#[must_use]
pub fn find(name: &str) -> Option<u64> {
    EXPORTS
        .iter()
        .find(|export| export.name == name)
        .map(Export::address)
}

/// Object types that drivers name as variables (`*PsThreadType`); what they point to is opaque.
struct Variable(#[expect(dead_code, reason = "drivers read it")] Cell<u64>);

// SAFETY: drivers read the variables; the kernel never does.
unsafe impl Sync for Variable {}

static OBJECT_TYPE: Variable = Variable(Cell::new(0));

macro_rules! exports {
    ($($name:literal / $arity:literal => $routine:expr;)*) => {
        /// All exports.
        pub static EXPORTS: &[Export] = &[
            $(Export { name: $name, arity: $arity, address: Address($routine as *const ()) },)*
        ];
    };
}

exports! {
    "DbgBreakPoint" / 0 => dbg::dbg_break_point;
    "DbgPrint" / 1 => dbg::dbg_print;
    "DbgPrintEx" / 3 => dbg::dbg_print_ex;
    "EtwRegister" / 4 => trace::etw_register;
    "EtwSetInformation" / 4 => trace::succeed;
    "EtwUnregister" / 1 => trace::succeed;
    "EtwWrite" / 5 => trace::succeed;
    "EtwWriteTransfer" / 7 => trace::succeed;
    "ExAcquireFastMutex" / 1 => ke_execution::ex_acquire_fast_mutex;
    "ExAllocatePool" / 2 => ex_pool::ex_allocate_pool;
    "ExAllocatePool2" / 3 => ex_pool::ex_allocate_pool2;
    "ExAllocatePoolWithTag" / 3 => ex_pool::ex_allocate_pool_with_tag;
    "ExDeleteNPagedLookasideList" / 1 => ex_pool::ex_delete_lookaside_list;
    "ExDeletePagedLookasideList" / 1 => ex_pool::ex_delete_lookaside_list;
    "ExFreePool" / 1 => ex_pool::ex_free_pool;
    "ExFreePoolWithTag" / 2 => ex_pool::ex_free_pool_with_tag;
    "ExInitializeNPagedLookasideList" / 7 => ex_pool::ex_initialize_lookaside_list;
    "ExInitializePagedLookasideList" / 7 => ex_pool::ex_initialize_lookaside_list;
    "ExQueryDepthSList" / 1 => ex_pool::ex_query_depth_slist;
    "ExRaiseAccessViolation" / 0 => seh::ex_raise_access_violation;
    "ExRaiseStatus" / 1 => seh::ex_raise_status;
    "ExReleaseFastMutex" / 1 => ke_execution::ex_release_fast_mutex;
    "ExpInterlockedPopEntrySList" / 1 => ex_pool::exp_interlocked_pop_entry_slist;
    "ExpInterlockedPushEntrySList" / 2 => ex_pool::exp_interlocked_push_entry_slist;
    "IoAcquireCancelSpinLock" / 1 => ke_execution::io_acquire_cancel_spin_lock;
    "IoAcquireRemoveLockEx" / 5 => remove_lock::io_acquire_remove_lock_ex;
    "IoAllocateIrp" / 2 => io_irp::io_allocate_irp;
    "IoAllocateMdl" / 5 => io_mdl::io_allocate_mdl;
    "IoAllocateWorkItem" / 1 => io_work_item::io_allocate_work_item;
    "IoAttachDeviceToDeviceStack" / 2 => io_device::io_attach_device_to_device_stack;
    "IoAttachDeviceToDeviceStackSafe" / 3 => io_device::io_attach_device_to_device_stack_safe;
    "IoBuildDeviceIoControlRequest" / 9 => io_irp::io_build_device_io_control_request;
    "IoBuildPartialMdl" / 4 => io_mdl::io_build_partial_mdl;
    "IoCancelIrp" / 1 => io_irp::io_cancel_irp;
    "IoConnectInterruptEx" / 1 => io_interrupt::io_connect_interrupt_ex;
    "IoCreateDevice" / 7 => io_device::io_create_device;
    "IoCreateSymbolicLink" / 2 => io_names::io_create_symbolic_link;
    "IoDeleteDevice" / 1 => io_device::io_delete_device;
    "IoDeleteSymbolicLink" / 1 => io_names::io_delete_symbolic_link;
    "IoDetachDevice" / 1 => io_device::io_detach_device;
    "IoDisconnectInterruptEx" / 1 => io_interrupt::io_disconnect_interrupt_ex;
    "IoFreeIrp" / 1 => io_irp::io_free_irp;
    "IoFreeMdl" / 1 => io_mdl::io_free_mdl;
    "IoFreeWorkItem" / 1 => io_work_item::io_free_work_item;
    "IoGetAttachedDeviceReference" / 1 => io_device::io_get_attached_device_reference;
    "IoGetDeviceProperty" / 5 => io_names::io_get_device_property;
    "IoGetDmaAdapter" / 3 => hal_dma::io_get_dma_adapter;
    "IoInitializeRemoveLockEx" / 5 => remove_lock::io_initialize_remove_lock_ex;
    "IoInvalidateDeviceRelations" / 2 => io_names::io_invalidate_device;
    "IoInvalidateDeviceState" / 1 => io_names::io_invalidate_device;
    "IoOpenDeviceRegistryKey" / 4 => io_names::io_open_device_registry_key;
    "IoQueueWorkItem" / 4 => io_work_item::io_queue_work_item;
    "IoRegisterDeviceInterface" / 4 => io_names::io_register_device_interface;
    "IoReleaseCancelSpinLock" / 1 => ke_execution::io_release_cancel_spin_lock;
    "IoReleaseRemoveLockAndWaitEx" / 3 => remove_lock::io_release_remove_lock_and_wait_ex;
    "IoReleaseRemoveLockEx" / 3 => remove_lock::io_release_remove_lock_ex;
    "IoReuseIrp" / 2 => io_irp::io_reuse_irp;
    "IoSetDeviceInterfaceState" / 2 => io_names::io_set_device_interface_state;
    "IoWMIRegistrationControl" / 2 => trace::succeed;
    "IofCallDriver" / 2 => io_irp::iof_call_driver;
    "IofCompleteRequest" / 2 => io_irp::iof_complete_request;
    "KeAcquireInterruptSpinLock" / 1 => ke_execution::ke_acquire_interrupt_spin_lock;
    "KeAcquireSpinLockAtDpcLevel" / 1 => ke_execution::ke_acquire_spin_lock_at_dpc_level;
    "KeAcquireSpinLockRaiseToDpc" / 1 => ke_execution::ke_acquire_spin_lock_raise_to_dpc;
    "KeBugCheck" / 1 => ke_execution::ke_bug_check;
    "KeBugCheckEx" / 5 => ke_execution::ke_bug_check_ex;
    "KeCancelTimer" / 1 => ke_execution::ke_cancel_timer;
    "KeClearEvent" / 1 => ke_objects::ke_clear_event;
    "KeDelayExecutionThread" / 3 => ke_objects::ke_delay_execution_thread;
    "KeEnterCriticalRegion" / 0 => ke_execution::ke_critical_region;
    "KeFlushQueuedDpcs" / 0 => ke_execution::ke_flush_queued_dpcs;
    "KeGetCurrentIrql" / 0 => ke_execution::ke_get_current_irql;
    "KeGetCurrentThread" / 0 => ke_execution::ke_get_current_thread;
    "KeInitializeDpc" / 3 => ke_execution::ke_initialize_dpc;
    "KeInitializeEvent" / 3 => ke_objects::ke_initialize_event;
    "KeInitializeMutex" / 2 => ke_objects::ke_initialize_mutex;
    "KeInitializeSemaphore" / 3 => ke_objects::ke_initialize_semaphore;
    "KeInitializeSpinLock" / 1 => ke_execution::ke_initialize_spin_lock;
    "KeInitializeTimer" / 1 => ke_execution::ke_initialize_timer;
    "KeInitializeTimerEx" / 2 => ke_execution::ke_initialize_timer_ex;
    "KeInsertQueueDpc" / 3 => ke_execution::ke_insert_queue_dpc;
    "KeLeaveCriticalRegion" / 0 => ke_execution::ke_critical_region;
    "KeLowerIrql" / 1 => ke_execution::ke_lower_irql;
    "KeQueryActiveProcessorCount" / 1 => ke_execution::ke_query_active_processor_count;
    "KeQueryActiveProcessorCountEx" / 1 => ke_execution::ke_query_active_processor_count;
    "KeQueryInterruptTime" / 0 => ke_execution::ke_query_interrupt_time;
    "KeQueryInterruptTimePrecise" / 1 => ke_execution::ke_query_interrupt_time_precise;
    "KeQueryPerformanceCounter" / 1 => ke_execution::ke_query_performance_counter;
    "KeQuerySystemTimePrecise" / 1 => ke_execution::ke_query_system_time;
    "KeQueryTimeIncrement" / 0 => ke_execution::ke_query_time_increment;
    "KeQueryUnbiasedInterruptTime" / 0 => ke_execution::ke_query_interrupt_time;
    "KeRaiseIrqlToDpcLevel" / 0 => ke_execution::ke_raise_irql_to_dpc_level;
    "KeReadStateEvent" / 1 => ke_objects::ke_read_state_event;
    "KeReadStateTimer" / 1 => ke_execution::ke_read_state_timer;
    "KeReleaseInterruptSpinLock" / 2 => ke_execution::ke_release_interrupt_spin_lock;
    "KeReleaseMutex" / 2 => ke_objects::ke_release_mutex;
    "KeReleaseSemaphore" / 4 => ke_objects::ke_release_semaphore;
    "KeReleaseSpinLock" / 2 => ke_execution::ke_release_spin_lock;
    "KeReleaseSpinLockFromDpcLevel" / 1 => ke_execution::ke_release_spin_lock_from_dpc_level;
    "KeRemoveQueueDpc" / 1 => ke_execution::ke_remove_queue_dpc;
    "KeResetEvent" / 1 => ke_objects::ke_reset_event;
    "KeSetEvent" / 3 => ke_objects::ke_set_event;
    "KeSetImportanceDpc" / 2 => ke_execution::ke_ignore_dpc_setting;
    "KeSetTargetProcessorDpc" / 2 => ke_execution::ke_ignore_dpc_setting;
    "KeSetTimer" / 3 => ke_execution::ke_set_timer;
    "KeSetTimerEx" / 4 => ke_execution::ke_set_timer_ex;
    "KeStallExecutionProcessor" / 1 => ke_execution::ke_stall_execution_processor;
    "KeSynchronizeExecution" / 3 => ke_execution::ke_synchronize_execution;
    "KeTryToAcquireSpinLockAtDpcLevel" / 1 => ke_execution::ke_try_to_acquire_spin_lock_at_dpc_level;
    "KeWaitForMultipleObjects" / 8 => ke_objects::ke_wait_for_multiple_objects;
    "KeWaitForMutexObject" / 5 => ke_objects::ke_wait_for_single_object;
    "KeWaitForSingleObject" / 5 => ke_objects::ke_wait_for_single_object;
    "KfRaiseIrql" / 1 => ke_execution::kf_raise_irql;
    "MmAdvanceMdl" / 2 => mm_mdl::mm_advance_mdl;
    "MmAllocateContiguousMemory" / 2 => mm_memory::mm_allocate_contiguous_memory;
    "MmAllocateContiguousMemorySpecifyCache" / 5 => mm_memory::mm_allocate_contiguous_memory_specify_cache;
    "MmAllocateContiguousNodeMemory" / 6 => mm_memory::mm_allocate_contiguous_node_memory;
    "MmAllocatePagesForMdl" / 4 => mm_mdl::mm_allocate_pages_for_mdl;
    "MmAllocatePagesForMdlEx" / 6 => mm_mdl::mm_allocate_pages_for_mdl_ex;
    "MmBuildMdlForNonPagedPool" / 1 => mm_mdl::mm_build_mdl_for_nonpaged_pool;
    "MmFreeContiguousMemory" / 1 => mm_memory::mm_free_contiguous_memory;
    "MmFreeContiguousMemorySpecifyCache" / 3 => mm_memory::mm_free_contiguous_memory_specify_cache;
    "MmFreePagesFromMdl" / 1 => mm_mdl::mm_free_pages_from_mdl;
    "MmGetPhysicalAddress" / 1 => mm_memory::mm_get_physical_address;
    "MmGetSystemRoutineAddress" / 1 => mm_memory::mm_get_system_routine_address;
    "MmIsAddressValid" / 1 => mm_memory::mm_is_address_valid;
    "MmMapIoSpace" / 3 => mm_memory::mm_map_io_space;
    "MmMapIoSpaceEx" / 3 => mm_memory::mm_map_io_space_ex;
    "MmMapLockedPagesSpecifyCache" / 6 => mm_mdl::mm_map_locked_pages_specify_cache;
    "MmProbeAndLockPages" / 3 => seh::mm_probe_and_lock_pages;
    "MmProtectMdlSystemAddress" / 2 => mm_mdl::mm_protect_mdl_system_address;
    "MmSizeOfMdl" / 2 => mm_mdl::mm_size_of_mdl;
    "MmUnlockPages" / 1 => mm_mdl::mm_unlock_pages;
    "MmUnmapIoSpace" / 2 => mm_memory::mm_unmap_io_space;
    "MmUnmapLockedPages" / 2 => mm_mdl::mm_unmap_locked_pages;
    "ObReferenceObjectByHandle" / 6 => objects_by_handle::ob_reference_object_by_handle;
    "ObfDereferenceObject" / 1 => objects_by_handle::obf_dereference_object;
    "ObfReferenceObject" / 1 => objects_by_handle::obf_reference_object;
    "PoCallDriver" / 2 => po::po_call_driver;
    "PoRequestPowerIrp" / 6 => po::po_request_power_irp;
    "PoSetPowerState" / 3 => po::po_set_power_state;
    "PoStartNextPowerIrp" / 1 => po::po_start_next_power_irp;
    "PsCreateSystemThread" / 7 => objects_by_handle::ps_create_system_thread;
    "PsGetCurrentThread" / 0 => ke_execution::ke_get_current_thread;
    "PsTerminateSystemThread" / 1 => objects_by_handle::ps_terminate_system_thread;
    "PsThreadType" / 0 => &raw const OBJECT_TYPE;
    "RtlAppendUnicodeStringToString" / 2 => rtl::rtl_append_unicode_string_to_string;
    "RtlAppendUnicodeToString" / 2 => rtl::rtl_append_unicode_to_string;
    "RtlAssert" / 4 => rtl::rtl_assert;
    "RtlCompareMemory" / 3 => rtl::rtl_compare_memory;
    "RtlCompareUnicodeString" / 3 => rtl::rtl_compare_unicode_string;
    "RtlCopyMemory" / 3 => c_library::memmove;
    "RtlCopyUnicodeString" / 2 => rtl::rtl_copy_unicode_string;
    "RtlEqualUnicodeString" / 3 => rtl::rtl_equal_unicode_string;
    "RtlFillMemory" / 3 => c_library::rtl_fill_memory;
    "RtlFreeUnicodeString" / 1 => rtl::rtl_free_unicode_string;
    "RtlGetVersion" / 1 => rtl::rtl_get_version;
    "RtlInitAnsiString" / 2 => rtl::rtl_init_ansi_string;
    "RtlInitString" / 2 => rtl::rtl_init_ansi_string;
    "RtlInitUnicodeString" / 2 => rtl::rtl_init_unicode_string;
    "RtlIntegerToUnicodeString" / 3 => rtl::rtl_integer_to_unicode_string;
    "RtlIsNtDdiVersionAvailable" / 1 => rtl::rtl_is_nt_ddi_version_available;
    "RtlMoveMemory" / 3 => c_library::memmove;
    "RtlUpcaseUnicodeChar" / 1 => rtl::rtl_upcase_unicode_char;
    "RtlZeroMemory" / 2 => rtl::rtl_zero_memory;
    "WdfLdrDiagnosticsValueByNameAsULONG" / 2 => bind::ldr_diagnostics_value;
    "WdfLdrQueryInterface" / 1 => bind::ldr_query_interface;
    "WdfVersionBind" / 4 => bind::version_bind;
    "WdfVersionBindClass" / 3 => bind::version_bind_class;
    "WdfVersionUnbind" / 3 => bind::version_unbind;
    "WdfVersionUnbindClass" / 3 => bind::version_unbind_class;
    "WmiTraceMessage" / 5 => trace::succeed;
    "ZwClose" / 1 => objects_by_handle::zw_close;
    "ZwCreateKey" / 7 => zw_registry::zw_create_key;
    "ZwDeleteValueKey" / 2 => zw_registry::zw_delete_value_key;
    "ZwEnumerateValueKey" / 6 => zw_registry::zw_enumerate_value_key;
    "ZwOpenKey" / 3 => zw_registry::zw_open_key;
    "ZwQueryValueKey" / 6 => zw_registry::zw_query_value_key;
    "ZwSetValueKey" / 6 => zw_registry::zw_set_value_key;
    "ZwWaitForSingleObject" / 3 => objects_by_handle::zw_wait_for_single_object;
    "__C_specific_handler" / 4 => seh::c_specific_handler;
    "__chkstk" / 0 => seh::chkstk;
    "_snprintf" / 3 => c_library::snprintf;
    "_snwprintf" / 3 => c_library::snwprintf;
    "_vsnprintf" / 4 => c_library::vsnprintf;
    "_vsnwprintf" / 4 => c_library::vsnwprintf;
    "memcmp" / 3 => c_library::memcmp;
    "memcpy" / 3 => c_library::memmove;
    "memmove" / 3 => c_library::memmove;
    "memset" / 3 => c_library::memset;
    "sprintf" / 2 => c_library::sprintf;
    "strcmp" / 2 => c_library::strcmp;
    "strlen" / 1 => c_library::strlen;
    "strncmp" / 3 => c_library::strncmp;
    "vDbgPrintEx" / 4 => dbg::v_dbg_print_ex;
    "vsprintf" / 3 => c_library::vsprintf;
    "wcscmp" / 2 => c_library::wcscmp;
    "wcslen" / 1 => c_library::wcslen;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_have_addresses() {
        let names: BTreeSet<_> = EXPORTS.iter().map(|export| export.name).collect();
        assert_eq!(names.len(), EXPORTS.len());
        assert!(
            EXPORTS
                .iter()
                .all(|export| export.address() != 0 && export.arity <= 9)
        );
        assert_eq!(find("NoSuchRoutine"), None);
    }

    #[test]
    fn everything_that_the_test_driver_imports_is_here() {
        let definitions = [
            include_str!("../../../test_driver/ntoskrnl.def"),
            include_str!("../../../test_driver/hal.def"),
        ];
        for definition in definitions {
            let names = definition
                .lines()
                .skip_while(|line| *line != "EXPORTS")
                .skip(1);
            for name in names.map(str::trim).filter(|name| !name.is_empty()) {
                assert!(find(name).is_some(), "{name} is missing");
            }
        }
    }

    #[test]
    fn library_names_compare_without_case() {
        for known in ["NTOSKRNL.EXE", "hal.DLL", "WdfLdr.sys"] {
            assert!(is_known_library(known));
        }
        assert!(!is_known_library("USBD.SYS"));
    }
}
