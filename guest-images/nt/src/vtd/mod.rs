//! The VT-d driver: one translation domain per device, page-selective invalidation, faults as data.

use alloc::vec::Vec;

use crate::memory::GuestPhysAddr;
pub use dmarig_abi::{Iova, RequesterId};

/// What the device may do with a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permissions {
    /// Device reads.
    Read,
    /// Device writes.
    Write,
    /// Both.
    ReadWrite,
}

/// Why a mapping was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DomainError {
    /// Not page aligned, or above the domain's address width.
    BadAddress,
    /// The page is mapped already.
    AlreadyMapped,
    /// The page is not mapped.
    NotMapped,
    /// No frame for a table, or no domain ID left.
    Exhausted,
}

/// The translation of one requester. Dropping it takes everything down.
#[derive(Debug)]
pub struct Domain {
    requester: RequesterId,
}

impl Domain {
    /// Attaches an empty domain to a requester.
    ///
    /// # Errors
    /// [`DomainError::Exhausted`], or [`DomainError::AlreadyMapped`] if it has one.
    pub fn attach(_requester: RequesterId) -> Result<Self, DomainError> {
        todo!()
    }

    /// The requester.
    #[must_use]
    pub fn requester(&self) -> RequesterId {
        self.requester
    }

    /// One past the highest IOVA.
    #[must_use]
    pub fn address_limit(&self) -> u64 {
        todo!()
    }

    /// Maps pages from `iova` on to the given page starts and flushes. All or nothing.
    ///
    /// # Errors
    /// [`DomainError`].
    pub fn map(
        &mut self,
        _iova: Iova,
        _pages: &[GuestPhysAddr],
        _permissions: Permissions,
    ) -> Result<(), DomainError> {
        todo!()
    }

    /// Unmaps `pages` pages and flushes page by page: after it the device has lost them.
    ///
    /// # Errors
    /// [`DomainError::NotMapped`] names a hole; nothing has changed then.
    pub fn unmap(&mut self, _iova: Iova, _pages: u64) -> Result<(), DomainError> {
        todo!()
    }

    /// What the tables yield for an address.
    #[must_use]
    pub fn translate(&self, _iova: Iova) -> Option<(GuestPhysAddr, Permissions)> {
        todo!()
    }
}

/// One recorded translation fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Fault reason (VT-d specification, appendix A).
    pub reason: u8,
    /// Who asked.
    pub requester: RequesterId,
    /// Page of the access.
    pub iova: Iova,
    /// Whether it was a write.
    pub is_write: bool,
}

/// Whether DMA remapping is on.
#[must_use]
pub fn is_enabled() -> bool {
    todo!()
}

/// Faults since boot.
#[must_use]
pub fn fault_count() -> u64 {
    todo!()
}

/// The latest faults, oldest first (bounded).
#[must_use]
pub fn faults() -> Vec<Fault> {
    todo!()
}

/// Registers who is told of each fault, after its event was written. Called at device IRQL.
pub fn set_fault_handler(_handler: fn(&Fault)) {
    todo!()
}
