//! The mailbox: shared memory in the control function's mappable BAR, and the framing of programs
//! and responses that pass through it.
//!
//! The host writes a program into the request window, then its length, then a new
//! `request_sequence`, then raises MSI-X vector 0. The guest copies the request once, runs it, writes
//! the response into the response window, then its length, then `response_sequence` equal to the
//! request's, then rings the doorbell. Both sides copy first and validate the copy.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Size of the mailbox BAR in bytes.
pub const MAILBOX_SIZE_BYTES: u64 = 0x1_0000;
/// Offset of the request window.
pub const MAILBOX_REQUEST_OFFSET: u64 = 0x1000;
/// Size of the request window in bytes.
pub const MAILBOX_REQUEST_SIZE_BYTES: u32 = 0x7000;
/// Offset of the response window.
pub const MAILBOX_RESPONSE_OFFSET: u64 = 0x8000;
/// Size of the response window in bytes.
pub const MAILBOX_RESPONSE_SIZE_BYTES: u32 = 0x8000;
/// Value of [`MailboxHeader::magic`], the text `DMBX`.
pub const MAILBOX_MAGIC: u32 = 0x5842_4d44;
/// Version of mailbox, programs and operations.
pub const MAILBOX_VERSION: u32 = 1;

/// Guest state: no driver has come yet.
pub const GUEST_STATE_ABSENT: u32 = 0;
/// Guest state: the driver reads requests.
pub const GUEST_STATE_ATTACHED: u32 = 1;
/// Guest state: the driver has been stopped or removed.
pub const GUEST_STATE_DETACHED: u32 = 2;

/// The first bytes of the mailbox BAR.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct MailboxHeader {
    /// [`MAILBOX_MAGIC`], written by the host.
    pub magic: u32,
    /// [`MAILBOX_VERSION`], written by the host.
    pub version: u32,
    /// One of `GUEST_STATE_*`, written by the guest.
    pub guest_state: u32,
    /// Zero.
    pub reserved0: [u32; 13],
    /// Host: sequence number of the request; 0 means none.
    pub request_sequence: u32,
    /// Host: length of the request in bytes.
    pub request_length_bytes: u32,
    /// Zero.
    pub reserved1: [u32; 14],
    /// Guest: sequence number of the response.
    pub response_sequence: u32,
    /// Guest: length of the response in bytes.
    pub response_length_bytes: u32,
    /// Zero.
    pub reserved2: [u32; 14],
}

const _: () = assert!(size_of::<MailboxHeader>() == 0xc0);

/// Value of [`ProgramHeader::magic`], the text `DPRG`.
pub const PROGRAM_MAGIC: u32 = 0x4752_5044;
/// Value of [`ResponseHeader::magic`], the text `DRSP`.
pub const RESPONSE_MAGIC: u32 = 0x5053_5244;
/// Most operations in one program.
pub const PROGRAM_MAX_OPERATIONS: u32 = 256;
/// Most bytes of a program with its header.
pub const PROGRAM_MAX_SIZE_BYTES: u32 = 0x7000;

/// Context: the driver's control thread, PASSIVE_LEVEL.
pub const CONTEXT_CONTROL_THREAD: u16 = 0;
/// Context: AddDevice of the first device under test.
pub const CONTEXT_ADD_DEVICE: u16 = 1;
/// Context: START_DEVICE (WDM) or PrepareHardware (KMDF) of the first device under test.
pub const CONTEXT_START_DEVICE: u16 = 2;
/// Context: entry to D0.
pub const CONTEXT_D0_ENTRY: u16 = 3;
/// Context: exit from D0.
pub const CONTEXT_D0_EXIT: u16 = 4;
/// Context: a DPC, DISPATCH_LEVEL.
pub const CONTEXT_DPC: u16 = 5;
/// Context: the interrupt service routine, at the interrupt's IRQL.
pub const CONTEXT_ISR: u16 = 6;
/// Context: a dispatch routine in its caller's thread.
pub const CONTEXT_DISPATCH: u16 = 7;
/// Context: STOP_DEVICE.
pub const CONTEXT_STOP: u16 = 8;
/// Context: SURPRISE_REMOVAL.
pub const CONTEXT_SURPRISE_REMOVAL: u16 = 9;
/// Context: REMOVE_DEVICE.
pub const CONTEXT_REMOVE: u16 = 10;
/// Number of contexts.
pub const CONTEXT_COUNT: u16 = 11;

/// Head of a program: `n_operations` operations follow, each with its data, without gaps.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct ProgramHeader {
    /// [`PROGRAM_MAGIC`].
    pub magic: u32,
    /// [`MAILBOX_VERSION`].
    pub version: u16,
    /// One of `CONTEXT_*`: where the program runs. Contexts that the driver cannot enter by itself
    /// (AddDevice, START_DEVICE, D0, STOP, removal) store the program for their next occurrence.
    pub context: u16,
    /// Number of operations, at most [`PROGRAM_MAX_OPERATIONS`].
    pub n_operations: u32,
    /// Length of the whole program with this header, in bytes.
    pub total_length_bytes: u32,
}

const _: () = assert!(size_of::<ProgramHeader>() == 16);

/// Response outcome: every operation was reached; each result has its own outcome.
pub const RESPONSE_OK: u16 = 0;
/// Response outcome: the program is malformed at `error_offset`; nothing was run.
pub const RESPONSE_MALFORMED: u16 = 1;
/// Response outcome: the program is stored for a later context.
pub const RESPONSE_STORED: u16 = 2;
/// Response outcome: the results do not fit the window; those before `n_results` are there.
pub const RESPONSE_OVERFLOW: u16 = 3;
/// Response outcome: the context did not come within its time.
pub const RESPONSE_TIMEOUT: u16 = 4;
/// Response outcome: the driver had no memory for the program or its results.
pub const RESPONSE_NO_MEMORY: u16 = 5;

/// Head of a response: `n_results` results follow, each with its data, without gaps.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct ResponseHeader {
    /// [`RESPONSE_MAGIC`].
    pub magic: u32,
    /// [`MAILBOX_VERSION`].
    pub version: u16,
    /// One of `RESPONSE_*`.
    pub outcome: u16,
    /// Number of results.
    pub n_results: u32,
    /// Length of the whole response with this header, in bytes.
    pub total_length_bytes: u32,
    /// Byte offset in the program where it is malformed.
    pub error_offset: u32,
    /// IRQL at which the program ran.
    pub irql: u32,
}

const _: () = assert!(size_of::<ResponseHeader>() == 24);
