//! Operations of the KMDF driver alone: DMA transactions (WDFDMATRANSACTION).

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// WdfDmaTransactionCreate(enabler `a`); data = WDF_OBJECT_ATTRIBUTES with `KMDF_FLAG_ATTRIBUTES`. Slot `dst` =
/// transaction.
pub const OP_KMDF_TRANSACTION_CREATE: u16 = 0x0260;
/// WdfDmaTransactionInitialize(transaction `a`, MDL `b`): `arg[0]` = offset in the MDL, `arg[1]` = length,
/// `arg[2]` = direction (0 from the device, 1 to it), `arg[3]` = what EvtProgramDma returns; with
/// `arg[4]` = 1 it is WdfDmaTransactionInitializeUsingOffset, which does without the MDL's address. Status.
pub const OP_KMDF_TRANSACTION_INITIALIZE: u16 = 0x0261;
/// WdfDmaTransactionExecute of transaction `a`: status.
pub const OP_KMDF_TRANSACTION_EXECUTE: u16 = 0x0262;
/// What EvtProgramDma of transaction `a` was told last: `value[0]` = times it was called, `value[1]` =
/// direction, `value[2]` = WdfDmaTransactionGetCurrentDmaTransferLength; the data = the list's elements as
/// [`KmdfElement`]s, at most [`KMDF_TRANSACTION_ELEMENTS`].
pub const OP_KMDF_TRANSACTION_ELEMENTS: u16 = 0x0263;
/// WdfDmaTransactionDmaCompleted (`arg[0]` = 0), ...WithLength (1) or ...Final (2) with `arg[1]` bytes, of
/// transaction `a`: status = the one it told, `value[0]` = what it returned, `value[1]` =
/// WdfDmaTransactionGetBytesTransferred.
pub const OP_KMDF_TRANSACTION_COMPLETED: u16 = 0x0264;
/// WdfDmaTransactionRelease of transaction `a`: status.
pub const OP_KMDF_TRANSACTION_RELEASE: u16 = 0x0265;
/// WdfDmaTransactionSetMaximumLength(transaction `a`, `arg[0]`).
pub const OP_KMDF_TRANSACTION_SET_MAXIMUM_LENGTH: u16 = 0x0266;

/// Completion: of the whole part.
pub const KMDF_COMPLETED: u64 = 0;
/// Completion: of so many bytes.
pub const KMDF_COMPLETED_WITH_LENGTH: u64 = 1;
/// Completion: of so many bytes, and the transaction ends.
pub const KMDF_COMPLETED_FINAL: u64 = 2;
/// Elements of a list that are kept.
pub const KMDF_TRANSACTION_ELEMENTS: usize = 64;

/// Event: EvtProgramDma; `value` = elements of the list.
pub const KMDF_EVENT_PROGRAM_DMA: u16 = 56;

/// An element of a scatter/gather list.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct KmdfElement {
    /// Logical address.
    pub address: u64,
    /// Length in bytes.
    pub length_bytes: u64,
}

const _: () = assert!(size_of::<KmdfElement>() == 16);
