//! Operations: the steps that the driver's interpreter knows, and their results.
//!
//! The harness chooses the slot numbers: an operation that creates something puts it into slot
//! `dst`, later operations name it by slot. There are no test cases in the driver, only these steps.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Number of slots; slot numbers are below this.
pub const SLOT_COUNT: u32 = 16384;
/// "No slot".
pub const SLOT_NONE: u32 = 0xffff_ffff;

/// Echo: `value[0]` = `arg[0]`.
pub const OP_PING: u16 = 0x0001;
/// `value[0]` = mailbox version, `value[1]` = number of DUTs bound and started, `value[2]` = bit 0:
/// control function interrupts work (else polling); `length` = objects in slots.
pub const OP_QUERY_DRIVER: u16 = 0x0002;
/// Releases every object still in a slot, newest first, in the contract's order (buffer, mapping,
/// lock, MDL, memory, adapter). `value[0]` = how many there were.
pub const OP_RELEASE_ALL: u16 = 0x0003;
/// Runs the next `arg[1]` operations `arg[0]` times (at most 1,000,000); stops at the first one that
/// fails. The results are those of the last turn; `value[0]` = turns begun.
pub const OP_LOOP: u16 = 0x0004;
/// Waits `arg[0]` microseconds: at PASSIVE_LEVEL at most 1,000,000, by thread delay; above it at most
/// 50, by stall. A longer wait is `OUTCOME_BAD_ARGUMENT`.
pub const OP_DELAY: u16 = 0x0005;
/// Fetches the response stored by the last program of context `a`; the response is the data.
pub const OP_FETCH_STORED: u16 = 0x0006;

/// Empties slot `a` and calls nothing: for what [`OP_FLAG_KEEP`] has given back already, and for leaks.
pub const OP_FORGET: u16 = 0x0007;

/// IoGetDmaAdapter for DUT `a`; data = DEVICE_DESCRIPTION (0x40 bytes). Slot `dst` = adapter.
/// `virtual_address` = DMA_ADAPTER, `value[0]` = map registers, `value[1]` = DMA_OPERATIONS.Size,
/// `value[2]` = DMA_ADAPTER.Version. A NULL adapter is `OUTCOME_NULL`.
pub const OP_ADAPTER_OPEN: u16 = 0x0100;
/// PutDmaAdapter of adapter `a`. With `OP_FLAG_OVERRIDE` the member of `a`'s table is called with
/// `arg[0]` as the adapter, and the slot stays.
pub const OP_ADAPTER_PUT: u16 = 0x0101;
/// GetDmaAlignment of adapter `a`: `value[0]`.
pub const OP_ADAPTER_ALIGNMENT: u16 = 0x0102;

/// AllocateCommonBuffer(adapter `a`, `arg[0]` length, `arg[1]` CacheEnabled). Slot `dst` = buffer.
pub const OP_BUFFER_ALLOCATE: u16 = 0x0110;
/// AllocateCommonBufferEx: `arg[0]` length, `arg[1]` CacheEnabled, `arg[2]` maximum (with
/// `OP_FLAG_MAXIMUM`), `arg[3]` node.
pub const OP_BUFFER_ALLOCATE_EX: u16 = 0x0111;
/// AllocateCommonBufferWithBounds: `arg[0]` length, `arg[1]` minimum (with `OP_FLAG_MINIMUM`),
/// `arg[2]` maximum (with `OP_FLAG_MAXIMUM`), `arg[3]` low half Flags, high half cache type (with
/// `OP_FLAG_CACHE_TYPE`), `arg[4]` node.
pub const OP_BUFFER_ALLOCATE_WITH_BOUNDS: u16 = 0x0112;
/// CreateCommonBufferFromMdl(adapter `a`, MDL `b`); data = the DMA_COMMON_BUFFER_EXTENDED_CONFIGURATION
/// array as it goes to the call, `arg[0]` = count passed; `OP_FLAG_NULL_CONFIGS` passes NULL.
/// `arg[1]` = byte offset in MDL `b`'s chain, `arg[2]` = length of what the buffer covers (both as the
/// harness knows them from the SubSection; 0 length = whole MDL): for the CPU's view and for free.
pub const OP_BUFFER_CREATE_FROM_MDL: u16 = 0x0113;
/// FreeCommonBuffer of buffer `a` with the values of its creation; with `OP_FLAG_OVERRIDE`:
/// `arg[0]` length, `arg[1]` logical address, `arg[2]` virtual address, `arg[3]` CacheEnabled.
pub const OP_BUFFER_FREE: u16 = 0x0114;

/// Allocates memory: `arg[0]` = one of `MEMORY_*`, `arg[1]` length, `arg[2]` lowest and `arg[3]`
/// highest physical address, `arg[4]` boundary (contiguous memory only). Slot `dst` = memory.
pub const OP_MEMORY_ALLOCATE: u16 = 0x0120;
/// Frees memory `a`.
pub const OP_MEMORY_FREE: u16 = 0x0121;
/// Kind: ExAllocatePool2(NonPagedNx).
pub const MEMORY_NONPAGED_POOL: u64 = 0;
/// Kind: MmAllocateContiguousMemorySpecifyCache, cached.
pub const MEMORY_CONTIGUOUS: u64 = 1;
/// Kind: ExAllocatePool2(Paged).
pub const MEMORY_PAGED_POOL: u64 = 2;

/// IoAllocateMdl over memory `a` from offset `arg[0]`, `arg[1]` bytes. Slot `dst` = MDL.
pub const OP_MDL_ALLOCATE: u16 = 0x0130;
/// IoFreeMdl of MDL `a`.
pub const OP_MDL_FREE: u16 = 0x0131;
/// MmBuildMdlForNonPagedPool of MDL `a`.
pub const OP_MDL_BUILD_NONPAGED: u16 = 0x0132;
/// MmProbeAndLockPages of MDL `a`, KernelMode, operation `arg[0]` (0 read, 1 write, 2 modify). A raised
/// exception is `OUTCOME_RAISED` with its code as status. Memory that was freed is refused, except with
/// `OP_FLAG_OVERRIDE`.
pub const OP_MDL_PROBE_AND_LOCK: u16 = 0x0133;
/// MmUnlockPages of MDL `a`.
pub const OP_MDL_UNLOCK: u16 = 0x0134;
/// MmGetSystemAddressForMdlSafe of MDL `a`, priority `arg[0]`: `virtual_address`. With `OP_FLAG_KEEP`
/// MmMapLockedPagesSpecifyCache whatever is mapped; `arg[1]` = BugCheckOnFailure.
pub const OP_MDL_MAP: u16 = 0x0135;
/// MmUnmapLockedPages of MDL `a`.
pub const OP_MDL_UNMAP: u16 = 0x0136;
/// MmAllocatePagesForMdlEx: `arg[0]` low, `arg[1]` high, `arg[2]` skip, `arg[3]` total bytes, `arg[4]`
/// low half flags, high half cache type. Slot `dst` = MDL. `length` = bytes granted.
pub const OP_MDL_ALLOCATE_PAGES: u16 = 0x0137;
/// MmFreePagesFromMdl and ExFreePool of MDL `a`.
pub const OP_MDL_FREE_PAGES: u16 = 0x0138;
/// Sets Next of MDL `a` to MDL `b`, or to NULL if `b` is `SLOT_NONE`.
pub const OP_MDL_CHAIN: u16 = 0x0139;
/// Reads MDL `a`: `value[0]` = MdlFlags, `value[1]` = ByteOffset, `value[2]` = pages, `length` = ByteCount,
/// `virtual_address` = MappedSystemVa; data = PFNs (8 bytes each) from page `arg[0]`, at most 1024.
pub const OP_MDL_QUERY: u16 = 0x013a;
/// IoAllocateMdl and IoBuildPartialMdl from source MDL `a`, offset `arg[0]`, `arg[1]` bytes. Slot `dst`.
pub const OP_MDL_BUILD_PARTIAL: u16 = 0x013b;

/// CPU: writes the pattern of seed `arg[2]` to bytes `arg[0]..arg[0] + arg[1]` of the memory, mapped
/// MDL or buffer `a`. `value[0]` = CRC-32C of what was written.
pub const OP_CPU_FILL: u16 = 0x0140;
/// CPU: reads the same range and compares: `value[0]` = CRC-32C of what was read, `value[1]` = offset of
/// the first difference or 2^64 - 1, `value[2]` = expected byte, seen byte << 8.
pub const OP_CPU_CHECK: u16 = 0x0141;
/// CPU: reads bytes `arg[0]..arg[0] + arg[1]` (at most 4096): the data.
pub const OP_CPU_READ: u16 = 0x0142;
/// CPU: writes the data at offset `arg[0]`.
pub const OP_CPU_WRITE: u16 = 0x0143;
/// CPU: touches one byte at the signed offset `arg[0]` from where the memory, mapped MDL or buffer `a`
/// starts, wherever that leads: reads it into `value[0]`, or with `OP_FLAG_OVERRIDE` writes `arg[1]`.
pub const OP_CPU_TOUCH: u16 = 0x0144;

/// Rings a channel of DUT `a` and waits for the end (at most 5 s): `b` = buffer slot or `SLOT_NONE`,
/// `c` = channel; `arg[0]` = bits 15:0 `DMA_OP_*`, bits 31:16 descriptor flags, bits 39:32 one of
/// `TRANSFER_*`; `arg[1]` = offset in buffer `b`, or the IOVA itself if there is none; `arg[2]` length;
/// `arg[3]` seed; `arg[4]` = destination IOVA of a copy. `value[0]` = CRC-32C, `value[1]` = mismatch
/// offset, `value[2]` = bits 15:0 `DMA_STATUS_*`, 23:16 expected, 31:24 seen, bit 32 interrupt seen,
/// bit 33 by message; `logical_address` = the IOVA used, `length` = bytes done, `epoch`.
pub const OP_DEVICE_TRANSFER: u16 = 0x0150;
/// Reads the DUT register at `arg[0]`, `arg[1]` = 4 or 8 bytes wide: `value[0]`.
pub const OP_DEVICE_READ_REGISTER: u16 = 0x0151;
/// Writes `arg[2]` to the DUT register at `arg[0]`, `arg[1]` = 4 or 8 bytes wide.
pub const OP_DEVICE_WRITE_REGISTER: u16 = 0x0152;
/// Allocates both rings of channel `c` of DUT `a` as common buffers of adapter `b`, `arg[0]` entries, and
/// enables the channel's ring. Slot `dst` = ring. `logical_address` = descriptor ring, `value[0]` = IOVA
/// of the completion ring.
pub const OP_RING_OPEN: u16 = 0x0153;
/// Disables ring `a` and frees its common buffers.
pub const OP_RING_CLOSE: u16 = 0x0154;
/// DUT `a`: `value[0]` = vectors granted, `value[1]` = interrupts serviced, `value[2]` = one of
/// [`INTERRUPT_STATE_MESSAGES`], [`INTERRUPT_STATE_PIN`], [`INTERRUPT_STATE_POLLING`], and in bits 15:8 the
/// channels that the driver serves; `length` = interrupts of channel `c` since START_DEVICE or its last
/// transfer by interrupt.
pub const OP_INTERRUPT_STATE: u16 = 0x0155;
/// Bit of `value[2]` of [`OP_INTERRUPT_STATE`]: the driver was granted messages.
pub const INTERRUPT_STATE_MESSAGES: u64 = 1;
/// Bit of `value[2]` of [`OP_INTERRUPT_STATE`]: it was granted the pin.
pub const INTERRUPT_STATE_PIN: u64 = 2;
/// Bit of `value[2]` of [`OP_INTERRUPT_STATE`]: it polls.
pub const INTERRUPT_STATE_POLLING: u64 = 4;
/// Lowest bit of the number of channels in `value[2]` of [`OP_INTERRUPT_STATE`].
pub const INTERRUPT_STATE_CHANNELS_SHIFT: u32 = 8;

/// Bit of `value[2]` of [`OP_DEVICE_TRANSFER`]: an interrupt of the channel was seen.
pub const TRANSFER_VALUE_INTERRUPT_SEEN: u64 = 0x1_0000_0000;
/// Lowest of 8 bits of `value[2]` of [`OP_DEVICE_TRANSFER`] with [`OP_FLAG_RECOVER`]: attempts that were made.
pub const TRANSFER_VALUE_ATTEMPTS_SHIFT: u32 = 40;
/// Bit of `value[2]` of [`OP_DEVICE_TRANSFER`]: at least one access went by message DMA.
pub const TRANSFER_VALUE_BY_MESSAGE: u64 = 0x2_0000_0000;

/// Transfer mode: channel registers, end polled in [`CH_STATUS`](crate::registers::CH_STATUS).
pub const TRANSFER_REGISTER_POLL: u64 = 0;
/// Transfer mode: channel registers, end by interrupt and DPC.
pub const TRANSFER_REGISTER_INTERRUPT: u64 = 1;
/// Transfer mode: descriptor ring, end by polling the completion entry.
pub const TRANSFER_RING_POLL: u64 = 2;
/// Transfer mode: descriptor ring, end by interrupt and DPC.
pub const TRANSFER_RING_INTERRUPT: u64 = 3;

/// Flag: a failing outcome or NTSTATUS ends the program here; the rest is `OUTCOME_SKIPPED`.
pub const OP_FLAG_STOP_ON_FAILURE: u16 = 1;
/// Flag: the minimum address is passed.
pub const OP_FLAG_MINIMUM: u16 = 2;
/// Flag: the maximum address is passed.
pub const OP_FLAG_MAXIMUM: u16 = 4;
/// Flag: the cache type is passed.
pub const OP_FLAG_CACHE_TYPE: u16 = 8;
/// Flag: the configuration array pointer is NULL.
pub const OP_FLAG_NULL_CONFIGS: u16 = 16;
/// Flag: the arguments replace the remembered ones.
pub const OP_FLAG_OVERRIDE: u16 = 32;
/// Flag: an operation that gives back, builds, locks or maps calls the system whatever the driver knows
/// of the object, and the slot stays as it was. So it can be done twice, or too early.
pub const OP_FLAG_KEEP: u16 = 64;
/// Flag: runs at DISPATCH_LEVEL, whatever the operation's highest IRQL.
pub const OP_FLAG_AT_DISPATCH: u16 = 128;
/// Flag: runs at IRQL 11, a device's, whatever the operation's highest IRQL.
pub const OP_FLAG_AT_DEVICE: u16 = 256;
/// Flag of [`OP_DEVICE_TRANSFER`]: the driver recovers, as a driver of a real device must. It waits at most
/// 250 ms for the end; after a time-out, or an end that a second attempt may mend, it resets the engine, sets it
/// up anew and tries again, three times in all. A device that answers with all ones is gone and left alone.
pub const OP_FLAG_RECOVER: u16 = 512;

/// Size of an operation without its data.
pub const OPERATION_SIZE_BYTES: usize = 64;

/// One operation; `data_length_bytes` bytes follow it, padded to 8 bytes with zeros (the padding is
/// not counted).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Operation {
    /// One of `OP_*`.
    pub opcode: u16,
    /// Bits of `OP_FLAG_*`.
    pub flags: u16,
    /// Bytes of data that follow.
    pub data_length_bytes: u32,
    /// Slot that receives the new object, or [`SLOT_NONE`].
    pub dst: u32,
    /// First object: a slot or a DUT number.
    pub a: u32,
    /// Second object.
    pub b: u32,
    /// Third number.
    pub c: u32,
    /// Arguments.
    pub arg: [u64; 5],
}

const _: () = assert!(size_of::<Operation>() == OPERATION_SIZE_BYTES);

/// Outcome: the call was made; `status` is its NTSTATUS (0 for void calls).
pub const OUTCOME_DONE: u16 = 0;
/// Outcome: the call was made and returned NULL.
pub const OUTCOME_NULL: u16 = 1;
/// Outcome: the call raised an exception; `status` is its code.
pub const OUTCOME_RAISED: u16 = 2;
/// Outcome: the call does not exist in this adapter's table (too old, too short, or NULL).
pub const OUTCOME_MEMBER_MISSING: u16 = 3;
/// Outcome: a slot is empty, taken, out of range or of another kind; nothing was called.
pub const OUTCOME_BAD_SLOT: u16 = 4;
/// Outcome: an argument is out of the interpreter's bounds; nothing was called.
pub const OUTCOME_BAD_ARGUMENT: u16 = 5;
/// Outcome: the opcode is not known.
pub const OUTCOME_UNKNOWN: u16 = 6;
/// Outcome: not run, because an earlier operation failed.
pub const OUTCOME_SKIPPED: u16 = 7;
/// Outcome: the device did not end the request in time.
pub const OUTCOME_TIMEOUT: u16 = 8;
/// Outcome: the operation may not run at this IRQL; nothing was called.
pub const OUTCOME_WRONG_IRQL: u16 = 9;
/// Outcome: the driver itself had no memory.
pub const OUTCOME_NO_MEMORY: u16 = 10;
/// Outcome: there is no such DUT, or it is not started.
pub const OUTCOME_NO_DEVICE: u16 = 11;

/// Size of a result without its data.
pub const OPERATION_RESULT_SIZE_BYTES: usize = 80;

/// One result; `data_length_bytes` bytes follow it, padded to 8 bytes (the padding is not counted).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct OperationResult {
    /// The operation's code.
    pub opcode: u16,
    /// One of `OUTCOME_*`.
    pub outcome: u16,
    /// Bytes of data that follow.
    pub data_length_bytes: u32,
    /// NTSTATUS of the call.
    pub status: u32,
    /// Zero.
    pub reserved0: u32,
    /// Virtual address of the object.
    pub virtual_address: u64,
    /// Logical address (IOVA); also filled on failure with what the call left there (starts as all
    /// ones), for the record only.
    pub logical_address: u64,
    /// Length in bytes.
    pub length: u64,
    /// By operation.
    pub value: [u64; 3],
    /// Mapping epoch that the device stamped on the transfer, or 0.
    pub epoch: u64,
    /// Zero.
    pub reserved1: u64,
}

const _: () = assert!(size_of::<OperationResult>() == OPERATION_RESULT_SIZE_BYTES);
