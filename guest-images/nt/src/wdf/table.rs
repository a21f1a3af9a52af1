//! The function table that drivers call through: index, name and function of all that exist here; every other
//! slot reports itself ([`super::names`]).
#![expect(unsafe_code, reason = "a table of routine addresses")]

use super::names::{FUNCTION_COUNT, REPORTS};
use super::{
    collection, dpc, driver, memory, object_functions, spin_lock, string, timer, wait_lock,
    work_item,
};

/// The table as drivers see it: addresses of code.
#[repr(transparent)]
pub struct Table([*const (); FUNCTION_COUNT]);

// SAFETY: only addresses are shared; they are code of the kernel's own.
unsafe impl Sync for Table {}

impl Table {
    /// Address of the table.
    #[must_use]
    pub fn address(&self) -> u64 {
        self.0.as_ptr().expose_provenance() as u64
    }

    /// The first `count` entries.
    #[must_use]
    pub fn entries(&self, count: usize) -> alloc::vec::Vec<u64> {
        let entries = self.0.iter().take(count);
        entries
            .map(|entry| entry.expose_provenance() as u64)
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
    111 WdfDpcCreate => dpc::create;
    112 WdfDpcEnqueue => dpc::enqueue;
    113 WdfDpcCancel => dpc::cancel;
    114 WdfDpcGetParentObject => dpc::parent_object;
    115 WdfDpcWdmGetDpc => dpc::wdm_dpc;
    116 WdfDriverCreate => driver::create;
    117 WdfDriverGetRegistryPath => driver::registry_path;
    118 WdfDriverWdmGetDriverObject => driver::wdm_driver_object;
    120 WdfWdmDriverGetWdfDriverHandle => driver::of_wdm_driver;
    121 WdfDriverRegisterTraceInfo => driver::register_trace_info;
    123 WdfDriverIsVersionAvailable => driver::is_version_available;
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
    379 WdfWorkItemCreate => work_item::create;
    380 WdfWorkItemEnqueue => work_item::enqueue;
    381 WdfWorkItemGetParentObject => work_item::parent_object;
    382 WdfWorkItemFlush => work_item::flush;
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
