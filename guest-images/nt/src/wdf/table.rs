//! The function table that drivers call through: index, name and function of all that exist here; every other
//! slot reports itself ([`super::names`]).
#![expect(unsafe_code, reason = "a table of routine addresses")]

use super::names::{FUNCTION_COUNT, NAMES, REPORTS};
use super::{
    collection, common_buffer, device, device_functions, device_init_functions as device_init,
    dma_enabler, dma_transaction_functions as transaction, dpc, driver, file_object,
    interrupt_functions as interrupt, memory, object_functions, property_functions as property,
    queue_functions, registry_key, request_buffers, request_functions, resource_list, spin_lock,
    string, timer, verifier_functions as verifier, wait_lock, work_item,
};
use crate::call_faults;

/// The table as drivers see it: addresses of code.
#[repr(transparent)]
pub struct Table([*const (); FUNCTION_COUNT]);

// SAFETY: only addresses are shared; they are code of the kernel's own.
unsafe impl Sync for Table {}

impl Table {
    /// Address of the table for one client. Where calls are watched it is a copy, which stays for ever.
    #[must_use]
    pub fn address(&self) -> u64 {
        if !call_faults::is_on() {
            return self.0.as_ptr().expose_provenance() as u64;
        }
        let entries: &'static [u64] = self.entries(FUNCTION_COUNT).leak();
        entries.as_ptr().expose_provenance() as u64
    }

    /// The first `count` entries, as drivers are to call them.
    #[must_use]
    pub fn entries(&self, count: usize) -> alloc::vec::Vec<u64> {
        let entries = self.0.iter().zip(NAMES).take(count);
        entries
            .map(|(entry, name)| call_faults::bind_function(name, entry.expose_provenance() as u64))
            .collect()
    }
}

macro_rules! functions {
    ($($index:literal $name:ident => $function:expr;)*) => {
        /// The functions that exist: index and name.
        pub static FUNCTIONS: &[(usize, &str)] = &[$(($index, stringify!($name)),)*];

        /// The table.
        pub static TABLE: Table = {
            let mut slots = REPORTS;
            $(slots[$index] = $function as *const ();)*
            Table(slots)
        };
    };
}

functions! {
    13 WdfCollectionCreate => collection::create;
    14 WdfCollectionGetCount => collection::count;
    15 WdfCollectionAdd => collection::add;
    16 WdfCollectionRemove => collection::remove;
    17 WdfCollectionRemoveItem => collection::remove_item;
    18 WdfCollectionGetItem => collection::item;
    19 WdfCollectionGetFirstItem => collection::first_item;
    20 WdfCollectionGetLastItem => collection::last_item;
    21 WdfCommonBufferCreate => common_buffer::create;
    22 WdfCommonBufferGetAlignedVirtualAddress => common_buffer::virtual_address;
    23 WdfCommonBufferGetAlignedLogicalAddress => common_buffer::logical_address;
    24 WdfCommonBufferGetLength => common_buffer::length;
    30 WdfWdmDeviceGetWdfDeviceHandle => device_functions::of_wdm;
    31 WdfDeviceWdmGetDeviceObject => device_functions::wdm_device;
    32 WdfDeviceWdmGetAttachedDevice => device_functions::attached_device;
    33 WdfDeviceWdmGetPhysicalDevice => device_functions::physical_device;
    39 WdfDeviceGetDriver => device_functions::driver;
    46 WdfDeviceAssignS0IdleSettings => device_functions::assign_idle_settings;
    47 WdfDeviceAssignSxWakeSettings => device_functions::assign_wake_settings;
    48 WdfDeviceOpenRegistryKey => registry_key::open_of_device;
    50 WdfDeviceSetCharacteristics => device_functions::set_characteristics;
    51 WdfDeviceGetCharacteristics => device_functions::characteristics;
    52 WdfDeviceGetAlignmentRequirement => device_functions::alignment_requirement;
    53 WdfDeviceSetAlignmentRequirement => device_functions::set_alignment_requirement;
    54 WdfDeviceInitFree => device_init::free;
    55 WdfDeviceInitSetPnpPowerEventCallbacks => device_init::set_pnp_power_callbacks;
    56 WdfDeviceInitSetPowerPolicyEventCallbacks => device_init::set_power_policy_callbacks;
    57 WdfDeviceInitSetPowerPolicyOwnership => device_init::set_power_policy_ownership;
    61 WdfDeviceInitSetIoType => device_init::set_io_type;
    62 WdfDeviceInitSetExclusive => device_init::set_exclusive;
    63 WdfDeviceInitSetPowerNotPageable => device_init::set_power_not_pageable;
    64 WdfDeviceInitSetPowerPageable => device_init::set_power_pageable;
    65 WdfDeviceInitSetPowerInrush => device_init::set_power_inrush;
    66 WdfDeviceInitSetDeviceType => device_init::set_device_type;
    67 WdfDeviceInitAssignName => device_init::assign_name;
    68 WdfDeviceInitAssignSDDLString => device_init::assign_sddl;
    69 WdfDeviceInitSetDeviceClass => device_init::set_device_class;
    70 WdfDeviceInitSetCharacteristics => device_init::set_characteristics;
    71 WdfDeviceInitSetFileObjectConfig => device_init::set_file_object_config;
    72 WdfDeviceInitSetRequestAttributes => device_init::set_request_attributes;
    74 WdfDeviceInitSetIoInCallerContextCallback => device_init::set_in_caller_context;
    75 WdfDeviceCreate => device::create;
    76 WdfDeviceSetStaticStopRemove => device_functions::set_static_stop_remove;
    77 WdfDeviceCreateDeviceInterface => device_functions::create_interface;
    78 WdfDeviceSetDeviceInterfaceState => device_functions::set_interface_state;
    80 WdfDeviceCreateSymbolicLink => device_functions::create_symbolic_link;
    81 WdfDeviceQueryProperty => device_functions::query_property;
    82 WdfDeviceAllocAndQueryProperty => property::of_device;
    83 WdfDeviceSetPnpCapabilities => device_functions::set_capabilities;
    84 WdfDeviceSetPowerCapabilities => device_functions::set_capabilities;
    87 WdfDeviceSetFailed => device_functions::set_failed;
    88 WdfDeviceStopIdleNoTrack => device_functions::stop_idle;
    89 WdfDeviceResumeIdleNoTrack => device_functions::resume_idle;
    92 WdfDeviceGetDefaultQueue => queue_functions::default_queue;
    93 WdfDeviceConfigureRequestDispatching => queue_functions::configure_dispatching;
    94 WdfDmaEnablerCreate => dma_enabler::create;
    95 WdfDmaEnablerGetMaximumLength => dma_enabler::maximum_length;
    96 WdfDmaEnablerGetMaximumScatterGatherElements => dma_enabler::maximum_elements;
    97 WdfDmaEnablerSetMaximumScatterGatherElements => dma_enabler::set_maximum_elements;
    98 WdfDmaTransactionCreate => transaction::create;
    99 WdfDmaTransactionInitialize => transaction::initialize;
    100 WdfDmaTransactionInitializeUsingRequest => transaction::initialize_using_request;
    101 WdfDmaTransactionExecute => transaction::execute;
    102 WdfDmaTransactionRelease => transaction::release;
    103 WdfDmaTransactionDmaCompleted => transaction::dma_completed;
    104 WdfDmaTransactionDmaCompletedWithLength => transaction::dma_completed_with_length;
    105 WdfDmaTransactionDmaCompletedFinal => transaction::dma_completed_final;
    106 WdfDmaTransactionGetBytesTransferred => transaction::bytes_transferred;
    107 WdfDmaTransactionSetMaximumLength => transaction::set_maximum_length;
    108 WdfDmaTransactionGetRequest => transaction::request;
    109 WdfDmaTransactionGetCurrentDmaTransferLength => transaction::current_length;
    110 WdfDmaTransactionGetDevice => transaction::device;
    111 WdfDpcCreate => dpc::create;
    112 WdfDpcEnqueue => dpc::enqueue;
    113 WdfDpcCancel => dpc::cancel;
    114 WdfDpcGetParentObject => dpc::parent_object;
    115 WdfDpcWdmGetDpc => dpc::wdm_dpc;
    116 WdfDriverCreate => driver::create;
    117 WdfDriverGetRegistryPath => driver::registry_path;
    118 WdfDriverWdmGetDriverObject => driver::wdm_driver_object;
    119 WdfDriverOpenParametersRegistryKey => registry_key::open_parameters;
    120 WdfWdmDriverGetWdfDriverHandle => driver::of_wdm_driver;
    121 WdfDriverRegisterTraceInfo => driver::register_trace_info;
    123 WdfDriverIsVersionAvailable => driver::is_version_available;
    124 WdfFdoInitWdmGetPhysicalDevice => device_init::physical_device;
    126 WdfFdoInitQueryProperty => device_init::query_property;
    127 WdfFdoInitAllocAndQueryProperty => property::of_init;
    128 WdfFdoInitSetEventCallbacks => device_init::set_fdo_callbacks;
    129 WdfFdoInitSetFilter => device_init::set_filter;
    131 WdfFdoQueryForInterface => device_functions::query_for_interface;
    138 WdfFileObjectGetFlags => file_object::flags;
    139 WdfFileObjectGetDevice => file_object::device;
    140 WdfFileObjectWdmGetFileObject => file_object::wdm_file_object;
    141 WdfInterruptCreate => interrupt::create;
    142 WdfInterruptQueueDpcForIsr => interrupt::queue_dpc;
    143 WdfInterruptSynchronize => interrupt::synchronize;
    144 WdfInterruptAcquireLock => interrupt::acquire_lock;
    145 WdfInterruptReleaseLock => interrupt::release_lock;
    146 WdfInterruptEnable => interrupt::enable;
    147 WdfInterruptDisable => interrupt::disable;
    148 WdfInterruptWdmGetInterrupt => interrupt::wdm_interrupt;
    149 WdfInterruptGetInfo => interrupt::info;
    150 WdfInterruptSetPolicy => interrupt::set_policy;
    151 WdfInterruptGetDevice => interrupt::device_of;
    152 WdfIoQueueCreate => queue_functions::create;
    153 WdfIoQueueGetState => queue_functions::state;
    154 WdfIoQueueStart => queue_functions::start;
    155 WdfIoQueueStop => queue_functions::stop;
    156 WdfIoQueueStopSynchronously => queue_functions::stop_synchronously;
    157 WdfIoQueueGetDevice => queue_functions::device;
    158 WdfIoQueueRetrieveNextRequest => queue_functions::retrieve_next;
    159 WdfIoQueueRetrieveRequestByFileObject => queue_functions::retrieve_by_file_object;
    160 WdfIoQueueFindRequest => queue_functions::find_request;
    161 WdfIoQueueRetrieveFoundRequest => queue_functions::retrieve_found;
    162 WdfIoQueueDrainSynchronously => queue_functions::drain_synchronously;
    163 WdfIoQueueDrain => queue_functions::drain;
    164 WdfIoQueuePurgeSynchronously => queue_functions::purge_synchronously;
    165 WdfIoQueuePurge => queue_functions::purge;
    166 WdfIoQueueReadyNotify => queue_functions::ready_notify;
    192 WdfMemoryCreate => memory::create;
    193 WdfMemoryCreatePreallocated => memory::create_preallocated;
    194 WdfMemoryGetBuffer => memory::buffer;
    195 WdfMemoryAssignBuffer => memory::assign_buffer;
    196 WdfMemoryCopyToBuffer => memory::copy_to_buffer;
    197 WdfMemoryCopyFromBuffer => memory::copy_from_buffer;
    202 WdfObjectGetTypedContextWorker => object_functions::typed_context;
    203 WdfObjectAllocateContext => object_functions::allocate_context;
    204 WdfObjectContextGetObject => object_functions::context_object;
    205 WdfObjectReferenceActual => object_functions::reference;
    206 WdfObjectDereferenceActual => object_functions::dereference;
    207 WdfObjectCreate => object_functions::create;
    208 WdfObjectDelete => object_functions::delete;
    209 WdfObjectQuery => object_functions::query;
    229 WdfRegistryOpenKey => registry_key::open;
    230 WdfRegistryCreateKey => registry_key::create;
    231 WdfRegistryClose => registry_key::close;
    234 WdfRegistryRemoveValue => registry_key::remove_value;
    235 WdfRegistryQueryValue => registry_key::query_value;
    238 WdfRegistryQueryUnicodeString => registry_key::query_unicode_string;
    240 WdfRegistryQueryULong => registry_key::query_ulong;
    241 WdfRegistryAssignValue => registry_key::assign_value;
    244 WdfRegistryAssignUnicodeString => registry_key::assign_unicode_string;
    246 WdfRegistryAssignULong => registry_key::assign_ulong;
    254 WdfRequestGetStatus => request_functions::status;
    255 WdfRequestMarkCancelable => request_functions::mark_cancelable;
    256 WdfRequestUnmarkCancelable => request_functions::unmark_cancelable;
    257 WdfRequestIsCanceled => request_functions::is_canceled;
    263 WdfRequestComplete => request_functions::complete;
    264 WdfRequestCompleteWithPriorityBoost => request_functions::complete_with_boost;
    265 WdfRequestCompleteWithInformation => request_functions::complete_with_information;
    266 WdfRequestGetParameters => request_functions::parameters;
    267 WdfRequestRetrieveInputMemory => request_buffers::input_memory;
    268 WdfRequestRetrieveOutputMemory => request_buffers::output_memory;
    269 WdfRequestRetrieveInputBuffer => request_buffers::input_buffer;
    270 WdfRequestRetrieveOutputBuffer => request_buffers::output_buffer;
    271 WdfRequestRetrieveInputWdmMdl => request_buffers::input_mdl;
    272 WdfRequestRetrieveOutputWdmMdl => request_buffers::output_mdl;
    273 WdfRequestRetrieveUnsafeUserInputBuffer => request_buffers::unsafe_user_input_buffer;
    274 WdfRequestRetrieveUnsafeUserOutputBuffer => request_buffers::unsafe_user_output_buffer;
    275 WdfRequestSetInformation => request_functions::set_information;
    276 WdfRequestGetInformation => request_functions::information;
    277 WdfRequestGetFileObject => request_functions::file_object;
    280 WdfRequestGetRequestorMode => request_functions::requestor_mode;
    281 WdfRequestForwardToIoQueue => request_functions::forward;
    282 WdfRequestGetIoQueue => request_functions::io_queue;
    283 WdfRequestRequeue => request_functions::requeue;
    284 WdfRequestStopAcknowledge => request_functions::stop_acknowledge;
    285 WdfRequestWdmGetIrp => request_functions::wdm_irp;
    304 WdfCmResourceListGetCount => resource_list::count;
    305 WdfCmResourceListGetDescriptor => resource_list::descriptor;
    308 WdfStringCreate => string::create;
    309 WdfStringGetUnicodeString => string::unicode_string;
    310 WdfObjectAcquireLock => object_functions::acquire_lock;
    311 WdfObjectReleaseLock => object_functions::release_lock;
    312 WdfWaitLockCreate => wait_lock::create;
    313 WdfWaitLockAcquire => wait_lock::acquire;
    314 WdfWaitLockRelease => wait_lock::release;
    315 WdfSpinLockCreate => spin_lock::create;
    316 WdfSpinLockAcquire => spin_lock::acquire;
    317 WdfSpinLockRelease => spin_lock::release;
    318 WdfTimerCreate => timer::create;
    319 WdfTimerStart => timer::start;
    320 WdfTimerStop => timer::stop_timer;
    321 WdfTimerGetParentObject => timer::parent_object;
    367 WdfVerifierDbgBreakPoint => verifier::break_point;
    368 WdfVerifierKeBugCheck => verifier::bug_check;
    379 WdfWorkItemCreate => work_item::create;
    380 WdfWorkItemEnqueue => work_item::enqueue;
    381 WdfWorkItemGetParentObject => work_item::parent_object;
    382 WdfWorkItemFlush => work_item::flush;
    383 WdfCommonBufferCreateWithConfig => common_buffer::create_with_config;
    384 WdfDmaEnablerGetFragmentLength => dma_enabler::fragment_length;
    385 WdfDmaEnablerWdmGetDmaAdapter => dma_enabler::wdm_adapter;
    389 WdfInterruptSetExtendedPolicy => interrupt::set_extended_policy;
    393 WdfRequestMarkCancelableEx => request_functions::mark_cancelable_ex;
    403 WdfDeviceInitSetRemoveLockOptions => device_init::set_remove_lock_options;
    406 WdfDmaTransactionInitializeUsingOffset => transaction::initialize_using_offset;
    407 WdfDmaTransactionGetTransferInfo => transaction::transfer_info;
    410 WdfDmaTransactionSetImmediateExecution => transaction::set_immediate;
    411 WdfDmaTransactionAllocateResources => transaction::allocate_resources;
    413 WdfDmaTransactionFreeResources => transaction::free_resources;
    414 WdfDmaTransactionCancel => transaction::cancel;
    415 WdfDmaTransactionWdmGetTransferContext => transaction::transfer_context;
    416 WdfInterruptQueueWorkItemForIsr => interrupt::queue_work_item;
    417 WdfInterruptTryToAcquireLock => interrupt::try_to_acquire_lock;
    418 WdfIoQueueStopAndPurge => queue_functions::stop_and_purge;
    419 WdfIoQueueStopAndPurgeSynchronously => queue_functions::stop_and_purge_synchronously;
    428 WdfInterruptReportActive => interrupt::report_activity;
    429 WdfInterruptReportInactive => interrupt::report_activity;
    430 WdfDeviceInitSetReleaseHardwareOrderOnFailure => device_init::set_release_hardware_order;
    432 WdfDeviceInitSetIoTypeEx => device_init::set_io_type_ex;
    433 WdfDeviceQueryPropertyEx => device_functions::query_property_ex;
    434 WdfDeviceAllocAndQueryPropertyEx => property::of_device_ex;
    438 WdfDeviceStopIdleActual => device_functions::stop_idle;
    439 WdfDeviceResumeIdleActual => device_functions::resume_idle;
    444 WdfDmaTransactionSetSingleTransferRequirement => transaction::set_single;
}

#[cfg(test)]
mod tests {
    use super::super::names::NAMES;
    use super::*;

    #[test]
    fn each_function_stands_at_the_index_of_its_name() {
        for (index, name) in FUNCTIONS {
            assert_eq!(NAMES[*index], *name, "index {index}");
        }
        let in_order = FUNCTIONS.windows(2).all(|pair| pair[0].0 < pair[1].0);
        assert!(in_order, "the list is in order of the index, each once");
    }

    #[test]
    fn every_slot_holds_an_address_and_missing_ones_differ() {
        let entries = TABLE.entries(FUNCTION_COUNT);
        assert_eq!(entries.len(), FUNCTION_COUNT);
        assert!(entries.iter().all(|entry| *entry != 0));
        let report_0 = REPORTS[0].expose_provenance() as u64;
        assert_eq!(entries[0], report_0);
        assert_ne!(entries[208], REPORTS[208].expose_provenance() as u64);
    }
}
