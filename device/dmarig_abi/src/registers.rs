//! PCI identities, BARs and registers of the device under test (DUT) and of the control function.
//!
//! The DUT's BAR 0 is trapped: each access reaches the device process, writes are posted. Registers
//! are little-endian, 32 or 64 bits wide, and may be read and written in naturally aligned pieces of
//! 1, 2, 4 or 8 bytes. A 64-bit register takes effect half by half.

/// PCI vendor ID of both functions (the unassigned ID that QEMU's teaching devices use as well).
pub const PCI_VENDOR_ID: u16 = 0x1234;
/// PCI device ID of the device under test.
pub const PCI_DEVICE_ID_DUT: u16 = 0xd0a0;
/// PCI device ID of the control function.
pub const PCI_DEVICE_ID_CONTROL: u16 = 0xd0c0;

/// DUT: BAR with the registers below.
pub const DUT_REGISTER_BAR: u32 = 0;
/// DUT: size of the register BAR in bytes.
pub const DUT_REGISTER_BAR_SIZE_BYTES: u64 = 0x1_0000;
/// DUT: BAR with MSI-X table (at 0) and pending bits (at 0x1000).
pub const DUT_MSIX_BAR: u32 = 2;
/// DUT and control function: size of the MSI-X BAR in bytes.
pub const MSIX_BAR_SIZE_BYTES: u64 = 0x2000;
/// Offset of the MSI-X table in its BAR.
pub const MSIX_TABLE_OFFSET: u32 = 0;
/// Offset of the MSI-X pending bit array in its BAR.
pub const MSIX_PBA_OFFSET: u32 = 0x1000;
/// DUT: MSI-X vectors offered unless the device file says otherwise: vector n belongs to channel n, and
/// channels beyond the last vector share it.
pub const DUT_MSIX_VECTORS: u16 = 4;
/// DUT: channels of the engine unless the device file says otherwise.
pub const DUT_CHANNELS: u32 = 4;
/// DUT: most channels, and most MSI-X vectors, that a device file may ask for.
pub const DUT_MAX_CHANNELS: u32 = 64;

/// `REG_ID` reads this value, the text `DMRG`.
pub const DUT_ID_VALUE: u32 = 0x4752_4d44;
/// `REG_VERSION` reads this value: major in the high half, minor in the low.
pub const DUT_VERSION_VALUE: u32 = 0x0001_0000;

/// Read-only, 32 bits: [`DUT_ID_VALUE`].
pub const REG_ID: u64 = 0x000;
/// Read-only, 32 bits: [`DUT_VERSION_VALUE`].
pub const REG_VERSION: u64 = 0x004;
/// Read-only, 32 bits: bits 7:0 number of channels (1 to [`DUT_MAX_CHANNELS`]), bits 15:8 address width in
/// bits.
pub const REG_CAPABILITIES: u64 = 0x008;
/// Bits of [`REG_CAPABILITIES`]: number of channels.
pub const CAPABILITIES_CHANNELS_MASK: u32 = 0xff;
/// Write: bit 0 resets the engine (self-clearing). Reads zero.
pub const REG_CONTROL: u64 = 0x00c;
/// Bit of [`REG_CONTROL`]: reset the engine; requests under way end with `DMA_STATUS_ABORTED`.
pub const CONTROL_RESET: u32 = 1;
/// Read-write, 32 bits: no effect.
pub const REG_SCRATCH: u64 = 0x010;
/// Write-1-to-clear, 32 bits: bit n: channel n has ended a request; channels 0 to 31.
pub const REG_INTERRUPT_CAUSE: u64 = 0x014;
/// Read-write, 32 bits: bit n: channel n may raise its vector (or INTx); channels 0 to 31.
pub const REG_INTERRUPT_ENABLE: u64 = 0x018;
/// Read-only, 64 bits: the mapping epoch: counts every change of the function's mappings.
pub const REG_MAPPING_EPOCH: u64 = 0x020;
/// As [`REG_INTERRUPT_CAUSE`], bit n for channel 32 + n.
pub const REG_INTERRUPT_CAUSE_HIGH: u64 = 0x028;
/// As [`REG_INTERRUPT_ENABLE`], bit n for channel 32 + n.
pub const REG_INTERRUPT_ENABLE_HIGH: u64 = 0x02c;
/// Channels that one register of interrupt cause or enable speaks for.
pub const CHANNELS_PER_INTERRUPT_REGISTER: u32 = 32;

/// Offset of the register block of channel 0.
pub const CHANNEL_BASE: u64 = 0x1000;
/// Distance between the blocks of two channels.
pub const CHANNEL_STRIDE: u64 = 0x100;

/// Channel, doorbell of register mode, 32 bits: bits 15:0 a `DMA_OP_*`, bits 31:16 descriptor flags.
/// Writing starts the operation with the registers below. Reads zero.
pub const CH_COMMAND: u64 = 0x00;
/// Channel, read-only, 32 bits: bits 15:0 a `DMA_STATUS_*` of the last request, bit 16 busy, bit 17
/// at least one access went by message.
pub const CH_STATUS: u64 = 0x04;
/// Bit of [`CH_STATUS`]: a request of register mode is under way.
pub const CH_STATUS_BUSY: u32 = 0x1_0000;
/// Bit of [`CH_STATUS`]: at least one access of the last request went by message DMA.
pub const CH_STATUS_MESSAGE: u32 = 0x2_0000;
/// Channel, read-write, 64 bits: IOVA to read from.
pub const CH_SOURCE: u64 = 0x08;
/// Channel, read-write, 64 bits: IOVA to write to.
pub const CH_DESTINATION: u64 = 0x10;
/// Channel, read-write, 64 bits: length in bytes.
pub const CH_LENGTH: u64 = 0x18;
/// Channel, read-write, 64 bits: pattern seed, or fill byte.
pub const CH_SEED: u64 = 0x20;
/// Channel, read-only, 32 bits: CRC-32C of the last request.
pub const CH_CRC: u64 = 0x28;
/// Channel, read-only, 32 bits: bits 7:0 expected, bits 15:8 seen byte of the first mismatch.
pub const CH_MISMATCH_BYTES: u64 = 0x2c;
/// Channel, read-only, 64 bits: offset of the first mismatch, or 2^64 - 1.
pub const CH_MISMATCH_OFFSET: u64 = 0x30;
/// Channel, read-only, 64 bits: bytes moved by the last request.
pub const CH_DONE_BYTES: u64 = 0x38;
/// Channel, read-only, 64 bits: mapping epoch when the last request was issued.
pub const CH_EPOCH: u64 = 0x40;
/// Channel, read-write, 64 bits: IOVA of the descriptor ring, 64-byte aligned.
pub const CH_RING_BASE: u64 = 0x48;
/// Channel, read-write, 64 bits: IOVA of the completion ring, 64-byte aligned.
pub const CH_COMPLETION_BASE: u64 = 0x50;
/// Channel, read-write, 32 bits: entries of both rings, a power of two from 2 to 4096.
pub const CH_RING_ENTRIES: u64 = 0x58;
/// Channel, read-write, 32 bits: bit 0 enables the ring (and restarts both at entry 0, phase 1) in the
/// mode that the other bits say.
pub const CH_RING_CONTROL: u64 = 0x5c;
/// Bit of [`CH_RING_CONTROL`]: the ring is enabled.
pub const RING_ENABLE: u32 = 1;
/// Bit of [`CH_RING_CONTROL`]: index mode: behind each completion entry the device writes its producer
/// index, 32 bits, to [`CH_INDEX_ADDRESS`], and leaves the phase bit 0.
pub const RING_INDEX_MODE: u32 = 2;
/// Bit of [`CH_RING_CONTROL`]: prefetch: the device polls the ring and takes a descriptor when its
/// `DESCRIPTOR_FLAG_OWNED` shows. [`CH_RING_TAIL`], whatever is written, makes it look at once.
pub const RING_PREFETCH: u32 = 4;
/// Channel, doorbell of ring mode, 32 bits: the driver's producer index (index of the first entry
/// that is not yet filled). Reads back.
pub const CH_RING_TAIL: u64 = 0x60;
/// Channel, read-only, 32 bits: index of the next descriptor the device will fetch.
pub const CH_RING_HEAD: u64 = 0x64;
/// Channel, read-only, 32 bits: `DMA_STATUS_*` of the ring itself; not success means it has stopped.
pub const CH_RING_STATUS: u64 = 0x68;

/// Channel, read-write, 64 bits: index mode: IOVA of the producer index of the completion ring (the entry
/// that is not yet written), 4-byte aligned.
pub const CH_INDEX_ADDRESS: u64 = 0x70;

/// Smallest ring, in entries.
pub const RING_MIN_ENTRIES: u32 = 2;
/// Largest ring, in entries.
pub const RING_MAX_ENTRIES: u32 = 4096;

/// Control function: the BAR with the mailbox, mappable memory.
pub const CONTROL_MAILBOX_BAR: u32 = 0;
/// Control function: the BAR with its trapped registers.
pub const CONTROL_REGISTER_BAR: u32 = 2;
/// Control function: size of the register BAR in bytes.
pub const CONTROL_REGISTER_BAR_SIZE_BYTES: u64 = 0x1000;
/// Control function: BAR with MSI-X table and pending bits.
pub const CONTROL_MSIX_BAR: u32 = 4;
/// Control function: MSI-X vectors: vector 0 says "a request lies in the mailbox".
pub const CONTROL_MSIX_VECTORS: u16 = 1;
/// Control function, read-only, 32 bits, register BAR: the text `DMRC`.
pub const CONTROL_REG_ID: u64 = 0x00;
/// `CONTROL_REG_ID` reads this value.
pub const CONTROL_ID_VALUE: u32 = 0x4352_4d44;
/// Control function, write, 32 bits: the guest's doorbell: the mailbox header has changed.
pub const CONTROL_REG_DOORBELL: u64 = 0x04;
