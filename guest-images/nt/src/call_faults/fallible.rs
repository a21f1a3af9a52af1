//! The routines that the documents allow to fail, and how each then answers.
//!
//! What is left out: routines without a failure; those that fail only for a wrong argument (MapTransfer's kin of
//! version and size checks, Rtl strings); and those whose failure is a state of the driver's own making (remove locks,
//! empty queues, IofCallDriver, whose status is the lower driver's).

use crate::ntoskrnl::status::{self, NtStatus};

/// By which door a driver reaches a routine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    /// An import, by its name.
    Import,
    /// A member of DMA_OPERATIONS, by its index (offset / 8).
    DmaOperation(usize),
    /// A function of the framework's table, by its name.
    Framework,
}

impl Door {
    /// As events name it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Import => "import",
            Self::DmaOperation(_) => "dma-operation",
            Self::Framework => "framework",
        }
    }
}

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// It returns NULL.
    Null,
    /// It returns this status.
    Status(NtStatus),
    /// It raises this status in the caller.
    Raise(NtStatus),
    /// It returns NULL, or raises STATUS_INSUFFICIENT_RESOURCES where its first argument has this bit.
    NullOrRaise(u64),
    /// It returns NULL, but where its fifth argument is TRUE it cannot fail (it would be a bug check).
    NullUnlessFatal,
}

/// A routine that may fail.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fallible {
    pub(super) name: &'static str,
    pub(super) door: Door,
    pub(super) failure: Failure,
}

const NO_RESOURCES: Failure = Failure::Status(status::INSUFFICIENT_RESOURCES);
const REFUSED: Failure = Failure::Status(status::INVALID_DEVICE_REQUEST);
const NO_NAME: Failure = Failure::Status(status::OBJECT_NAME_NOT_FOUND);
const DENIED: Failure = Failure::Status(status::ACCESS_DENIED);

/// POOL_FLAG_RAISE_ON_FAILURE of ExAllocatePool2.
const RAISE_ON_FAILURE: u64 = 0x20;
/// POOL_RAISE_IF_ALLOCATION_FAILURE of the older pool routines.
const RAISE_IF_FAILURE: u64 = 0x10;

macro_rules! fallible {
    ($($door:expr => { $($name:literal: $failure:expr;)* })*) => {
        /// All of them; a routine's number is its index.
        pub(super) static FALLIBLE: &[Fallible] = &[
            $($(Fallible { name: $name, door: $door, failure: $failure },)*)*
        ];
    };
}

fallible! {
    Door::Import => {
        "ExAllocatePool": Failure::NullOrRaise(RAISE_IF_FAILURE);
        "ExAllocatePool2": Failure::NullOrRaise(RAISE_ON_FAILURE);
        "ExAllocatePoolWithTag": Failure::NullOrRaise(RAISE_IF_FAILURE);
        "IoAllocateIrp": Failure::Null;
        "IoAllocateMdl": Failure::Null;
        "IoAllocateWorkItem": Failure::Null;
        "IoAttachDeviceToDeviceStack": Failure::Null;
        "IoAttachDeviceToDeviceStackSafe": Failure::Status(status::NO_SUCH_DEVICE);
        "IoBuildDeviceIoControlRequest": Failure::Null;
        "IoConnectInterruptEx": NO_RESOURCES;
        "IoCreateDevice": NO_RESOURCES;
        "IoCreateSymbolicLink": NO_RESOURCES;
        "IoGetDeviceProperty": REFUSED;
        "IoGetDmaAdapter": Failure::Null;
        "IoOpenDeviceRegistryKey": REFUSED;
        "IoRegisterDeviceInterface": REFUSED;
        "IoSetDeviceInterfaceState": NO_NAME;
        "MmAllocateContiguousMemory": Failure::Null;
        "MmAllocateContiguousMemorySpecifyCache": Failure::Null;
        "MmAllocateContiguousNodeMemory": Failure::Null;
        "MmAllocatePagesForMdl": Failure::Null;
        "MmAllocatePagesForMdlEx": Failure::Null;
        "MmMapIoSpace": Failure::Null;
        "MmMapIoSpaceEx": Failure::Null;
        "MmMapLockedPagesSpecifyCache": Failure::NullUnlessFatal;
        "MmProbeAndLockPages": Failure::Raise(status::INSUFFICIENT_RESOURCES);
        "ObReferenceObjectByHandle": Failure::Status(status::INVALID_HANDLE);
        "PoRequestPowerIrp": NO_RESOURCES;
        "PsCreateSystemThread": NO_RESOURCES;
        "WdfVersionBind": NO_RESOURCES;
        "ZwCreateKey": DENIED;
        "ZwDeleteValueKey": DENIED;
        "ZwEnumerateValueKey": Failure::Status(status::NO_MORE_ENTRIES);
        "ZwOpenKey": DENIED;
        "ZwQueryValueKey": NO_NAME;
        "ZwSetValueKey": DENIED;
    }
    Door::DmaOperation(2) => { "AllocateCommonBuffer": Failure::Null; }
    Door::DmaOperation(4) => { "AllocateAdapterChannel": NO_RESOURCES; }
    Door::DmaOperation(11) => { "GetScatterGatherList": NO_RESOURCES; }
    Door::DmaOperation(13) => { "CalculateScatterGatherList": NO_RESOURCES; }
    Door::DmaOperation(14) => { "BuildScatterGatherList": NO_RESOURCES; }
    Door::DmaOperation(15) => { "BuildMdlFromScatterGatherList": NO_RESOURCES; }
    Door::DmaOperation(19) => { "AllocateCommonBufferEx": Failure::Null; }
    Door::DmaOperation(20) => { "AllocateAdapterChannelEx": NO_RESOURCES; }
    Door::DmaOperation(23) => { "MapTransferEx": NO_RESOURCES; }
    Door::DmaOperation(24) => { "GetScatterGatherListEx": NO_RESOURCES; }
    Door::DmaOperation(25) => { "BuildScatterGatherListEx": NO_RESOURCES; }
    Door::DmaOperation(29) => { "AllocateDomainCommonBuffer": NO_RESOURCES; }
    Door::DmaOperation(34) => { "AllocateCommonBufferWithBounds": Failure::Null; }
    Door::DmaOperation(35) => { "AllocateCommonBufferVector": NO_RESOURCES; }
    Door::DmaOperation(39) => { "CreateCommonBufferFromMdl": NO_RESOURCES; }
    Door::Framework => {
        "WdfCollectionAdd": NO_RESOURCES;
        "WdfCollectionCreate": NO_RESOURCES;
        "WdfCommonBufferCreate": NO_RESOURCES;
        "WdfCommonBufferCreateWithConfig": NO_RESOURCES;
        "WdfDeviceAllocAndQueryProperty": NO_RESOURCES;
        "WdfDeviceAllocAndQueryPropertyEx": NO_RESOURCES;
        "WdfDeviceAssignS0IdleSettings": Failure::Status(status::POWER_STATE_INVALID);
        "WdfDeviceAssignSxWakeSettings": Failure::Status(status::POWER_STATE_INVALID);
        "WdfDeviceCreate": NO_RESOURCES;
        "WdfDeviceCreateDeviceInterface": NO_RESOURCES;
        "WdfDeviceCreateSymbolicLink": NO_RESOURCES;
        "WdfDeviceInitAssignName": NO_RESOURCES;
        "WdfDeviceInitAssignSDDLString": NO_RESOURCES;
        "WdfDeviceOpenRegistryKey": NO_RESOURCES;
        "WdfDeviceQueryProperty": REFUSED;
        "WdfDeviceQueryPropertyEx": REFUSED;
        "WdfDmaEnablerCreate": NO_RESOURCES;
        "WdfDmaTransactionAllocateResources": NO_RESOURCES;
        "WdfDmaTransactionCreate": NO_RESOURCES;
        "WdfDmaTransactionExecute": NO_RESOURCES;
        "WdfDmaTransactionInitialize": NO_RESOURCES;
        "WdfDmaTransactionInitializeUsingOffset": NO_RESOURCES;
        "WdfDmaTransactionInitializeUsingRequest": NO_RESOURCES;
        "WdfDpcCreate": NO_RESOURCES;
        "WdfDriverCreate": NO_RESOURCES;
        "WdfDriverOpenParametersRegistryKey": NO_RESOURCES;
        "WdfFdoInitAllocAndQueryProperty": NO_RESOURCES;
        "WdfFdoInitQueryProperty": REFUSED;
        "WdfFdoQueryForInterface": NO_RESOURCES;
        "WdfInterruptCreate": NO_RESOURCES;
        "WdfIoQueueCreate": NO_RESOURCES;
        "WdfMemoryCreate": NO_RESOURCES;
        "WdfMemoryCreatePreallocated": NO_RESOURCES;
        "WdfObjectAllocateContext": NO_RESOURCES;
        "WdfObjectCreate": NO_RESOURCES;
        "WdfRegistryAssignULong": NO_RESOURCES;
        "WdfRegistryAssignUnicodeString": NO_RESOURCES;
        "WdfRegistryAssignValue": NO_RESOURCES;
        "WdfRegistryCreateKey": NO_RESOURCES;
        "WdfRegistryOpenKey": NO_NAME;
        "WdfRegistryQueryULong": NO_NAME;
        "WdfRegistryQueryUnicodeString": NO_NAME;
        "WdfRegistryQueryValue": NO_NAME;
        "WdfRegistryRemoveValue": NO_NAME;
        "WdfRequestForwardToIoQueue": Failure::Status(status::WDF_BUSY);
        "WdfRequestMarkCancelableEx": Failure::Status(status::CANCELLED);
        "WdfRequestRequeue": Failure::Status(status::WDF_BUSY);
        "WdfRequestRetrieveInputBuffer": NO_RESOURCES;
        "WdfRequestRetrieveInputMemory": NO_RESOURCES;
        "WdfRequestRetrieveInputWdmMdl": NO_RESOURCES;
        "WdfRequestRetrieveOutputBuffer": NO_RESOURCES;
        "WdfRequestRetrieveOutputMemory": NO_RESOURCES;
        "WdfRequestRetrieveOutputWdmMdl": NO_RESOURCES;
        "WdfSpinLockCreate": NO_RESOURCES;
        "WdfStringCreate": NO_RESOURCES;
        "WdfTimerCreate": NO_RESOURCES;
        "WdfWaitLockCreate": NO_RESOURCES;
        "WdfWorkItemCreate": NO_RESOURCES;
    }
}

/// The number of a routine that is reached by its name.
pub(super) fn by_name(name: &str) -> Option<usize> {
    FALLIBLE.iter().position(|routine| routine.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ntoskrnl::exports;
    use crate::wdf::table::FUNCTIONS;
    use std::collections::BTreeSet;

    #[test]
    fn each_routine_is_there_once_and_exists() {
        let names: BTreeSet<_> = FALLIBLE.iter().map(|routine| routine.name).collect();
        assert_eq!(names.len(), FALLIBLE.len());
        for routine in FALLIBLE {
            let exists = match routine.door {
                Door::Import => exports::find(routine.name).is_some(),
                Door::DmaOperation(index) => (1..40).contains(&index),
                Door::Framework => FUNCTIONS.iter().any(|(_, name)| *name == routine.name),
            };
            assert!(exists, "{}", routine.name);
        }
    }

    #[test]
    fn every_failing_status_is_a_failure_for_nt_success() {
        for routine in FALLIBLE {
            if let Failure::Status(status) | Failure::Raise(status) = routine.failure {
                assert!(!status.is_success(), "{}", routine.name);
            }
        }
    }
}
