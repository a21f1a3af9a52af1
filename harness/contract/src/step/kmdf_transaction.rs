//! Steps on DMA transactions of the KMDF driver.

use dmarig_abi::operation_kmdf_transaction as tx;

use super::kmdf::on;
use super::{Step, step};

/// What has happened to the current part of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completion {
    /// All of it was moved.
    Whole,
    /// So many bytes of it were.
    Length(u64),
    /// So many bytes of it were, and no more will be.
    Final(u64),
}

impl Step {
    /// WdfDmaTransactionCreate.
    #[must_use]
    pub fn transaction_create(dst: u32, enabler: u32) -> Self {
        step(tx::OP_KMDF_TRANSACTION_CREATE, dst, enabler, 0, [0; 5])
    }

    /// WdfDmaTransactionInitialize over part of an MDL; the driver's EvtProgramDma returns TRUE.
    #[must_use]
    pub fn transaction_initialize(
        transaction: u32,
        mdl: u32,
        offset: u64,
        length_bytes: u64,
        direction: u32,
    ) -> Self {
        let arg = [offset, length_bytes, direction.into(), 1, 0];
        let mut step = on(tx::OP_KMDF_TRANSACTION_INITIALIZE, transaction, arg);
        step.operation.b = mdl;
        step
    }

    /// The same by WdfDmaTransactionInitializeUsingOffset: for MDLs without an address of their own.
    #[must_use]
    pub fn transaction_initialize_by_offset(
        transaction: u32,
        mdl: u32,
        offset: u64,
        length_bytes: u64,
        direction: u32,
    ) -> Self {
        let mut step =
            Self::transaction_initialize(transaction, mdl, offset, length_bytes, direction);
        step.operation.arg[4] = 1;
        step
    }

    /// WdfDmaTransactionExecute.
    #[must_use]
    pub fn transaction_execute(transaction: u32) -> Self {
        on(tx::OP_KMDF_TRANSACTION_EXECUTE, transaction, [0; 5])
    }

    /// What EvtProgramDma was told last.
    #[must_use]
    pub fn transaction_elements(transaction: u32) -> Self {
        on(tx::OP_KMDF_TRANSACTION_ELEMENTS, transaction, [0; 5])
    }

    /// WdfDmaTransactionDmaCompleted and its relatives.
    #[must_use]
    pub fn transaction_completed(transaction: u32, completion: Completion) -> Self {
        let (kind, length) = match completion {
            Completion::Whole => (tx::KMDF_COMPLETED, 0),
            Completion::Length(length) => (tx::KMDF_COMPLETED_WITH_LENGTH, length),
            Completion::Final(length) => (tx::KMDF_COMPLETED_FINAL, length),
        };
        let arg = [kind, length, 0, 0, 0];
        on(tx::OP_KMDF_TRANSACTION_COMPLETED, transaction, arg)
    }

    /// WdfDmaTransactionRelease.
    #[must_use]
    pub fn transaction_release(transaction: u32) -> Self {
        on(tx::OP_KMDF_TRANSACTION_RELEASE, transaction, [0; 5])
    }

    /// WdfDmaTransactionSetMaximumLength.
    #[must_use]
    pub fn transaction_set_maximum_length(transaction: u32, length_bytes: u64) -> Self {
        let arg = [length_bytes, 0, 0, 0, 0];
        on(tx::OP_KMDF_TRANSACTION_SET_MAXIMUM_LENGTH, transaction, arg)
    }
}
