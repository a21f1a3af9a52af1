//! What the device, the drivers, the harness and the `nt` guest agree on: the address newtypes, the
//! device's registers, descriptors and completion entries, and the mailbox with its operations.
//!
//! The C header of the Windows drivers is generated from this crate (`cargo xtask header`), so each
//! constant has a name that is unique in the whole crate, and each structure is `repr(C)` with
//! asserted size. All numbers are little-endian on the wire and in guest memory.
#![no_std]
#![forbid(unsafe_code)]

mod address;
pub mod completion;
pub mod descriptor;
pub mod guest_phys;
pub mod iova;
pub mod mailbox;
pub mod operation;
pub mod operation_adapter;
pub mod operation_kmdf;
pub mod operation_kmdf_io;
pub mod operation_kmdf_transaction;
pub mod operation_transfer;
pub mod pattern;
pub mod registers;
pub mod requester_id;

pub use completion::CompletionEntry;
pub use descriptor::{Descriptor, ListElement};
pub use guest_phys::GuestPhysAddr;
pub use iova::Iova;
pub use mailbox::{MailboxHeader, ProgramHeader, ResponseHeader};
pub use operation::{Operation, OperationResult};
pub use operation_kmdf::KmdfLogEntry;
pub use operation_kmdf_transaction::KmdfElement;
pub use requester_id::RequesterId;
