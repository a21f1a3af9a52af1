/* Generated from device/dmarig_abi by `cargo xtask header`. Do not edit. */

#pragma once

#include <stddef.h>
#include <stdint.h>

// PCI vendor ID of both functions (the unassigned ID that QEMU's teaching devices use as well).
#define DMARIG_PCI_VENDOR_ID 4660

// PCI device ID of the device under test.
#define DMARIG_PCI_DEVICE_ID_DUT 53408

// PCI device ID of the control function.
#define DMARIG_PCI_DEVICE_ID_CONTROL 53440

// DUT: BAR with the registers below.
#define DMARIG_DUT_REGISTER_BAR 0

// DUT: size of the register BAR in bytes.
#define DMARIG_DUT_REGISTER_BAR_SIZE_BYTES 65536

// DUT: BAR with MSI-X table (at 0) and pending bits (at 0x1000).
#define DMARIG_DUT_MSIX_BAR 2

// DUT and control function: size of the MSI-X BAR in bytes.
#define DMARIG_MSIX_BAR_SIZE_BYTES 8192

// Offset of the MSI-X table in its BAR.
#define DMARIG_MSIX_TABLE_OFFSET 0

// Offset of the MSI-X pending bit array in its BAR.
#define DMARIG_MSIX_PBA_OFFSET 4096

// DUT: MSI-X vectors offered unless the device file says otherwise: vector n belongs to channel n, and
// channels beyond the last vector share it.
#define DMARIG_DUT_MSIX_VECTORS 4

// DUT: channels of the engine unless the device file says otherwise.
#define DMARIG_DUT_CHANNELS 4

// DUT: most channels, and most MSI-X vectors, that a device file may ask for.
#define DMARIG_DUT_MAX_CHANNELS 64

// `REG_ID` reads this value, the text `DMRG`.
#define DMARIG_DUT_ID_VALUE 1196576068

// `REG_VERSION` reads this value: major in the high half, minor in the low.
#define DMARIG_DUT_VERSION_VALUE 65536

// Read-only, 32 bits: [`DUT_ID_VALUE`].
#define DMARIG_REG_ID 0

// Read-only, 32 bits: [`DUT_VERSION_VALUE`].
#define DMARIG_REG_VERSION 4

// Read-only, 32 bits: bits 7:0 number of channels (1 to [`DUT_MAX_CHANNELS`]), bits 15:8 address width in
// bits.
#define DMARIG_REG_CAPABILITIES 8

// Bits of [`REG_CAPABILITIES`]: number of channels.
#define DMARIG_CAPABILITIES_CHANNELS_MASK 255

// Write: bit 0 resets the engine (self-clearing). Reads zero.
#define DMARIG_REG_CONTROL 12

// Bit of [`REG_CONTROL`]: reset the engine; requests under way end with `DMA_STATUS_ABORTED`.
#define DMARIG_CONTROL_RESET 1

// Read-write, 32 bits: no effect.
#define DMARIG_REG_SCRATCH 16

// Write-1-to-clear, 32 bits: bit n: channel n has ended a request; channels 0 to 31.
#define DMARIG_REG_INTERRUPT_CAUSE 20

// Read-write, 32 bits: bit n: channel n may raise its vector (or INTx); channels 0 to 31.
#define DMARIG_REG_INTERRUPT_ENABLE 24

// Read-only, 64 bits: the mapping epoch: counts every change of the function's mappings.
#define DMARIG_REG_MAPPING_EPOCH 32

// As [`REG_INTERRUPT_CAUSE`], bit n for channel 32 + n.
#define DMARIG_REG_INTERRUPT_CAUSE_HIGH 40

// As [`REG_INTERRUPT_ENABLE`], bit n for channel 32 + n.
#define DMARIG_REG_INTERRUPT_ENABLE_HIGH 44

// Channels that one register of interrupt cause or enable speaks for.
#define DMARIG_CHANNELS_PER_INTERRUPT_REGISTER 32

// Offset of the register block of channel 0.
#define DMARIG_CHANNEL_BASE 4096

// Distance between the blocks of two channels.
#define DMARIG_CHANNEL_STRIDE 256

// Channel, doorbell of register mode, 32 bits: bits 15:0 a `DMA_OP_*`, bits 31:16 descriptor flags.
// Writing starts the operation with the registers below. Reads zero.
#define DMARIG_CH_COMMAND 0

// Channel, read-only, 32 bits: bits 15:0 a `DMA_STATUS_*` of the last request, bit 16 busy, bit 17
// at least one access went by message.
#define DMARIG_CH_STATUS 4

// Bit of [`CH_STATUS`]: a request of register mode is under way.
#define DMARIG_CH_STATUS_BUSY 65536

// Bit of [`CH_STATUS`]: at least one access of the last request went by message DMA.
#define DMARIG_CH_STATUS_MESSAGE 131072

// Channel, read-write, 64 bits: IOVA to read from.
#define DMARIG_CH_SOURCE 8

// Channel, read-write, 64 bits: IOVA to write to.
#define DMARIG_CH_DESTINATION 16

// Channel, read-write, 64 bits: length in bytes.
#define DMARIG_CH_LENGTH 24

// Channel, read-write, 64 bits: pattern seed, or fill byte.
#define DMARIG_CH_SEED 32

// Channel, read-only, 32 bits: CRC-32C of the last request.
#define DMARIG_CH_CRC 40

// Channel, read-only, 32 bits: bits 7:0 expected, bits 15:8 seen byte of the first mismatch.
#define DMARIG_CH_MISMATCH_BYTES 44

// Channel, read-only, 64 bits: offset of the first mismatch, or 2^64 - 1.
#define DMARIG_CH_MISMATCH_OFFSET 48

// Channel, read-only, 64 bits: bytes moved by the last request.
#define DMARIG_CH_DONE_BYTES 56

// Channel, read-only, 64 bits: mapping epoch when the last request was issued.
#define DMARIG_CH_EPOCH 64

// Channel, read-write, 64 bits: IOVA of the descriptor ring, 64-byte aligned.
#define DMARIG_CH_RING_BASE 72

// Channel, read-write, 64 bits: IOVA of the completion ring, 64-byte aligned.
#define DMARIG_CH_COMPLETION_BASE 80

// Channel, read-write, 32 bits: entries of both rings, a power of two from 2 to 4096.
#define DMARIG_CH_RING_ENTRIES 88

// Channel, read-write, 32 bits: bit 0 enables the ring (and restarts both at entry 0, phase 1) in the
// mode that the other bits say.
#define DMARIG_CH_RING_CONTROL 92

// Bit of [`CH_RING_CONTROL`]: the ring is enabled.
#define DMARIG_RING_ENABLE 1

// Bit of [`CH_RING_CONTROL`]: index mode: behind each completion entry the device writes its producer
// index, 32 bits, to [`CH_INDEX_ADDRESS`], and leaves the phase bit 0.
#define DMARIG_RING_INDEX_MODE 2

// Bit of [`CH_RING_CONTROL`]: prefetch: the device polls the ring and takes a descriptor when its
// `DESCRIPTOR_FLAG_OWNED` shows. [`CH_RING_TAIL`], whatever is written, makes it look at once.
#define DMARIG_RING_PREFETCH 4

// Channel, doorbell of ring mode, 32 bits: the driver's producer index (index of the first entry
// that is not yet filled). Reads back.
#define DMARIG_CH_RING_TAIL 96

// Channel, read-only, 32 bits: index of the next descriptor the device will fetch.
#define DMARIG_CH_RING_HEAD 100

// Channel, read-only, 32 bits: `DMA_STATUS_*` of the ring itself; not success means it has stopped.
#define DMARIG_CH_RING_STATUS 104

// Channel, read-write, 64 bits: index mode: IOVA of the producer index of the completion ring (the entry
// that is not yet written), 4-byte aligned.
#define DMARIG_CH_INDEX_ADDRESS 112

// Smallest ring, in entries.
#define DMARIG_RING_MIN_ENTRIES 2

// Largest ring, in entries.
#define DMARIG_RING_MAX_ENTRIES 4096

// Control function: the BAR with the mailbox, mappable memory.
#define DMARIG_CONTROL_MAILBOX_BAR 0

// Control function: the BAR with its trapped registers.
#define DMARIG_CONTROL_REGISTER_BAR 2

// Control function: size of the register BAR in bytes.
#define DMARIG_CONTROL_REGISTER_BAR_SIZE_BYTES 4096

// Control function: BAR with MSI-X table and pending bits.
#define DMARIG_CONTROL_MSIX_BAR 4

// Control function: MSI-X vectors: vector 0 says "a request lies in the mailbox".
#define DMARIG_CONTROL_MSIX_VECTORS 1

// Control function, read-only, 32 bits, register BAR: the text `DMRC`.
#define DMARIG_CONTROL_REG_ID 0

// `CONTROL_REG_ID` reads this value.
#define DMARIG_CONTROL_ID_VALUE 1129467204

// Control function, write, 32 bits: the guest's doorbell: the mailbox header has changed.
#define DMARIG_CONTROL_REG_DOORBELL 4

// Size of a descriptor in bytes.
#define DMARIG_DESCRIPTOR_SIZE_BYTES 64

// Channel operation: nothing moves; completes with success.
#define DMARIG_DMA_OP_NOP 0

// Channel operation: the device writes the pattern of `seed` to `destination`.
#define DMARIG_DMA_OP_WRITE_PATTERN 1

// Channel operation: the device reads `source`, compares with the pattern of `seed`, and computes
// CRC-32C of what it read.
#define DMARIG_DMA_OP_VERIFY_PATTERN 2

// Channel operation: the device reads `source` and computes CRC-32C.
#define DMARIG_DMA_OP_CRC 3

// Channel operation: the device reads `source` and writes it to `destination`.
#define DMARIG_DMA_OP_COPY 4

// Channel operation: the device writes the low byte of `seed` all over `destination`.
#define DMARIG_DMA_OP_FILL 5

// Channel operation: nothing moves; it ends when all earlier work that `seed` names has ended: one of
// `FENCE_*`.
#define DMARIG_DMA_OP_FENCE 6

// Channel operation: nothing moves; it raises the channel's vector when its turn has come, before its
// completion entry is written.
#define DMARIG_DMA_OP_INTERRUPT 7

// Fence: against earlier work of its own channel, which is done in order anyway.
#define DMARIG_FENCE_CHANNEL 0

// Fence: against all work of every channel that was rung before the fence had its turn.
#define DMARIG_FENCE_ALL_CHANNELS 1

// Descriptor flag: raise the channel's MSI-X vector when the completion entry is visible.
#define DMARIG_DESCRIPTOR_FLAG_INTERRUPT 1

// Descriptor flag: use message DMA (through the platform's IOMMU) even where a mapping is known.
#define DMARIG_DESCRIPTOR_FLAG_MESSAGE 2

// Descriptor flag: probe: ask the mapping table only, touch no memory, send nothing.
#define DMARIG_DESCRIPTOR_FLAG_PROBE 4

// Descriptor flag, ring only: `source` is the IOVA of a list of `source_elements` elements.
#define DMARIG_DESCRIPTOR_FLAG_SOURCE_LIST 8

// Descriptor flag, ring only: `destination` is the IOVA of a list of `destination_elements` elements.
#define DMARIG_DESCRIPTOR_FLAG_DESTINATION_LIST 16

// Descriptor flag, ring only: when this descriptor has ended with success, the one at `next` is done.
#define DMARIG_DESCRIPTOR_FLAG_CHAIN 32

// Descriptor flag, prefetch only: the descriptor belongs to the device, which clears the bit when it has
// done it. Elsewhere it means nothing.
#define DMARIG_DESCRIPTOR_FLAG_OWNED 32768

// Size of an element of a scatter-gather list in bytes; a list is aligned to it.
#define DMARIG_LIST_ELEMENT_SIZE_BYTES 16

// Most elements of a scatter-gather list.
#define DMARIG_LIST_MAX_ELEMENTS 1024

// Most descriptors that follow one of the ring in a chain.
#define DMARIG_CHAIN_MAX_DESCRIPTORS 64

// Size of a completion entry in bytes.
#define DMARIG_COMPLETION_SIZE_BYTES 64

// Completion entry flag: the phase bit. It is 1 in the first pass over the ring, 0 in the second,
// and so on; a zeroed ring holds no valid entry. Always 0 in a ring of index mode.
#define DMARIG_COMPLETION_FLAG_PHASE 1

// Completion entry flag: at least one access went by message DMA.
#define DMARIG_COMPLETION_FLAG_MESSAGE 2

// No request has ended yet.
#define DMARIG_DMA_STATUS_NONE 0

// All bytes moved, and compared equal where a comparison was asked for.
#define DMARIG_DMA_STATUS_SUCCESS 1

// All bytes were read; at least one differs from the pattern.
#define DMARIG_DMA_STATUS_MISMATCH 2

// No mapping covers the IOVA (the bus would answer Unsupported Request).
#define DMARIG_DMA_STATUS_UNMAPPED 3

// A mapping covers the IOVA but does not permit this access.
#define DMARIG_DMA_STATUS_PERMISSION 4

// Bus mastering is off in the command register.
#define DMARIG_DMA_STATUS_BUS_MASTER_OFF 5

// The function is not in D0.
#define DMARIG_DMA_STATUS_POWER_STATE 6

// The length is zero.
#define DMARIG_DMA_STATUS_LENGTH 7

// The range would pass 2^64 - 1, or the device's address width.
#define DMARIG_DMA_STATUS_ADDRESS 8

// The operation code or a flag is not known.
#define DMARIG_DMA_STATUS_OPCODE 9

// The channel or the function was reset while the request was under way.
#define DMARIG_DMA_STATUS_ABORTED 10

// The platform did not answer a read, or a DMA message, in time.
#define DMARIG_DMA_STATUS_TIMEOUT 11

// The platform refused a DMA message, although the mapping table permits the access.
#define DMARIG_DMA_STATUS_REFUSED 12

// A ring register is wrong: size not a power of two in range, base not aligned, or ring disabled.
#define DMARIG_DMA_STATUS_RING 13

// The channel is busy with an earlier request of register mode.
#define DMARIG_DMA_STATUS_BUSY 14

// A request of the device was answered with Unsupported Request.
#define DMARIG_DMA_STATUS_UNSUPPORTED_REQUEST 15

// A request of the device was answered with Completer Abort.
#define DMARIG_DMA_STATUS_COMPLETER_ABORT 16

// A read was answered with poisoned data, which the device threw away.
#define DMARIG_DMA_STATUS_POISONED 17

// A scatter-gather list has no or too many elements, is not aligned, or holds fewer bytes than asked for.
#define DMARIG_DMA_STATUS_LIST 18

// A chain leads to a descriptor that is not aligned or has been done already, or is too long.
#define DMARIG_DMA_STATUS_CHAIN 19

// An address is not a multiple of the device's alignment.
#define DMARIG_DMA_STATUS_ALIGNMENT 20

// A range crosses the device's boundary, and the device refuses that.
#define DMARIG_DMA_STATUS_BOUNDARY 21

// Size of the mailbox BAR in bytes.
#define DMARIG_MAILBOX_SIZE_BYTES 65536

// Offset of the request window.
#define DMARIG_MAILBOX_REQUEST_OFFSET 4096

// Size of the request window in bytes.
#define DMARIG_MAILBOX_REQUEST_SIZE_BYTES 28672

// Offset of the response window.
#define DMARIG_MAILBOX_RESPONSE_OFFSET 32768

// Size of the response window in bytes.
#define DMARIG_MAILBOX_RESPONSE_SIZE_BYTES 32768

// Value of [`MailboxHeader::magic`], the text `DMBX`.
#define DMARIG_MAILBOX_MAGIC 1480740164

// Version of mailbox, programs and operations.
#define DMARIG_MAILBOX_VERSION 1

// Guest state: no driver has come yet.
#define DMARIG_GUEST_STATE_ABSENT 0

// Guest state: the driver reads requests.
#define DMARIG_GUEST_STATE_ATTACHED 1

// Guest state: the driver has been stopped or removed.
#define DMARIG_GUEST_STATE_DETACHED 2

// Value of [`ProgramHeader::magic`], the text `DPRG`.
#define DMARIG_PROGRAM_MAGIC 1196576836

// Value of [`ResponseHeader::magic`], the text `DRSP`.
#define DMARIG_RESPONSE_MAGIC 1347637828

// Most operations in one program.
#define DMARIG_PROGRAM_MAX_OPERATIONS 256

// Most bytes of a program with its header.
#define DMARIG_PROGRAM_MAX_SIZE_BYTES 28672

// Context: the driver's control thread, PASSIVE_LEVEL.
#define DMARIG_CONTEXT_CONTROL_THREAD 0

// Context: AddDevice of the first device under test.
#define DMARIG_CONTEXT_ADD_DEVICE 1

// Context: START_DEVICE (WDM) or PrepareHardware (KMDF) of the first device under test.
#define DMARIG_CONTEXT_START_DEVICE 2

// Context: entry to D0.
#define DMARIG_CONTEXT_D0_ENTRY 3

// Context: exit from D0.
#define DMARIG_CONTEXT_D0_EXIT 4

// Context: a DPC, DISPATCH_LEVEL.
#define DMARIG_CONTEXT_DPC 5

// Context: the interrupt service routine, at the interrupt's IRQL.
#define DMARIG_CONTEXT_ISR 6

// Context: a dispatch routine in its caller's thread.
#define DMARIG_CONTEXT_DISPATCH 7

// Context: STOP_DEVICE.
#define DMARIG_CONTEXT_STOP 8

// Context: SURPRISE_REMOVAL.
#define DMARIG_CONTEXT_SURPRISE_REMOVAL 9

// Context: REMOVE_DEVICE.
#define DMARIG_CONTEXT_REMOVE 10

// Number of contexts.
#define DMARIG_CONTEXT_COUNT 11

// Response outcome: every operation was reached; each result has its own outcome.
#define DMARIG_RESPONSE_OK 0

// Response outcome: the program is malformed at `error_offset`; nothing was run.
#define DMARIG_RESPONSE_MALFORMED 1

// Response outcome: the program is stored for a later context.
#define DMARIG_RESPONSE_STORED 2

// Response outcome: the results do not fit the window; those before `n_results` are there.
#define DMARIG_RESPONSE_OVERFLOW 3

// Response outcome: the context did not come within its time.
#define DMARIG_RESPONSE_TIMEOUT 4

// Response outcome: the driver had no memory for the program or its results.
#define DMARIG_RESPONSE_NO_MEMORY 5

// Number of slots; slot numbers are below this.
#define DMARIG_SLOT_COUNT 16384

// "No slot".
#define DMARIG_SLOT_NONE 4294967295

// Echo: `value[0]` = `arg[0]`.
#define DMARIG_OP_PING 1

// `value[0]` = mailbox version, `value[1]` = number of DUTs bound and started, `value[2]` = bit 0:
// control function interrupts work (else polling); `length` = objects in slots.
#define DMARIG_OP_QUERY_DRIVER 2

// Releases every object still in a slot, newest first, in the contract's order (buffer, mapping,
// lock, MDL, memory, adapter). `value[0]` = how many there were.
#define DMARIG_OP_RELEASE_ALL 3

// Runs the next `arg[1]` operations `arg[0]` times (at most 1,000,000); stops at the first one that
// fails. The results are those of the last turn; `value[0]` = turns begun.
#define DMARIG_OP_LOOP 4

// Waits `arg[0]` microseconds: at PASSIVE_LEVEL at most 1,000,000, by thread delay; above it at most
// 50, by stall. A longer wait is `OUTCOME_BAD_ARGUMENT`.
#define DMARIG_OP_DELAY 5

// Fetches the response stored by the last program of context `a`; the response is the data.
#define DMARIG_OP_FETCH_STORED 6

// Empties slot `a` and calls nothing: for what [`OP_FLAG_KEEP`] has given back already, and for leaks.
#define DMARIG_OP_FORGET 7

// IoGetDmaAdapter for DUT `a`; data = DEVICE_DESCRIPTION (0x40 bytes). Slot `dst` = adapter.
// `virtual_address` = DMA_ADAPTER, `value[0]` = map registers, `value[1]` = DMA_OPERATIONS.Size,
// `value[2]` = DMA_ADAPTER.Version. A NULL adapter is `OUTCOME_NULL`.
#define DMARIG_OP_ADAPTER_OPEN 256

// PutDmaAdapter of adapter `a`. With `OP_FLAG_OVERRIDE` the member of `a`'s table is called with
// `arg[0]` as the adapter, and the slot stays.
#define DMARIG_OP_ADAPTER_PUT 257

// GetDmaAlignment of adapter `a`: `value[0]`.
#define DMARIG_OP_ADAPTER_ALIGNMENT 258

// AllocateCommonBuffer(adapter `a`, `arg[0]` length, `arg[1]` CacheEnabled). Slot `dst` = buffer.
#define DMARIG_OP_BUFFER_ALLOCATE 272

// AllocateCommonBufferEx: `arg[0]` length, `arg[1]` CacheEnabled, `arg[2]` maximum (with
// `OP_FLAG_MAXIMUM`), `arg[3]` node.
#define DMARIG_OP_BUFFER_ALLOCATE_EX 273

// AllocateCommonBufferWithBounds: `arg[0]` length, `arg[1]` minimum (with `OP_FLAG_MINIMUM`),
// `arg[2]` maximum (with `OP_FLAG_MAXIMUM`), `arg[3]` low half Flags, high half cache type (with
// `OP_FLAG_CACHE_TYPE`), `arg[4]` node.
#define DMARIG_OP_BUFFER_ALLOCATE_WITH_BOUNDS 274

// CreateCommonBufferFromMdl(adapter `a`, MDL `b`); data = the DMA_COMMON_BUFFER_EXTENDED_CONFIGURATION
// array as it goes to the call, `arg[0]` = count passed; `OP_FLAG_NULL_CONFIGS` passes NULL.
// `arg[1]` = byte offset in MDL `b`'s chain, `arg[2]` = length of what the buffer covers (both as the
// harness knows them from the SubSection; 0 length = whole MDL): for the CPU's view and for free.
#define DMARIG_OP_BUFFER_CREATE_FROM_MDL 275

// FreeCommonBuffer of buffer `a` with the values of its creation; with `OP_FLAG_OVERRIDE`:
// `arg[0]` length, `arg[1]` logical address, `arg[2]` virtual address, `arg[3]` CacheEnabled.
#define DMARIG_OP_BUFFER_FREE 276

// Allocates memory: `arg[0]` = one of `MEMORY_*`, `arg[1]` length, `arg[2]` lowest and `arg[3]`
// highest physical address, `arg[4]` boundary (contiguous memory only). Slot `dst` = memory.
#define DMARIG_OP_MEMORY_ALLOCATE 288

// Frees memory `a`.
#define DMARIG_OP_MEMORY_FREE 289

// Kind: ExAllocatePool2(NonPagedNx).
#define DMARIG_MEMORY_NONPAGED_POOL 0

// Kind: MmAllocateContiguousMemorySpecifyCache, cached.
#define DMARIG_MEMORY_CONTIGUOUS 1

// Kind: ExAllocatePool2(Paged).
#define DMARIG_MEMORY_PAGED_POOL 2

// IoAllocateMdl over memory `a` from offset `arg[0]`, `arg[1]` bytes. Slot `dst` = MDL.
#define DMARIG_OP_MDL_ALLOCATE 304

// IoFreeMdl of MDL `a`.
#define DMARIG_OP_MDL_FREE 305

// MmBuildMdlForNonPagedPool of MDL `a`.
#define DMARIG_OP_MDL_BUILD_NONPAGED 306

// MmProbeAndLockPages of MDL `a`, KernelMode, operation `arg[0]` (0 read, 1 write, 2 modify). A raised
// exception is `OUTCOME_RAISED` with its code as status. Memory that was freed is refused, except with
// `OP_FLAG_OVERRIDE`.
#define DMARIG_OP_MDL_PROBE_AND_LOCK 307

// MmUnlockPages of MDL `a`.
#define DMARIG_OP_MDL_UNLOCK 308

// MmGetSystemAddressForMdlSafe of MDL `a`, priority `arg[0]`: `virtual_address`. With `OP_FLAG_KEEP`
// MmMapLockedPagesSpecifyCache whatever is mapped; `arg[1]` = BugCheckOnFailure.
#define DMARIG_OP_MDL_MAP 309

// MmUnmapLockedPages of MDL `a`.
#define DMARIG_OP_MDL_UNMAP 310

// MmAllocatePagesForMdlEx: `arg[0]` low, `arg[1]` high, `arg[2]` skip, `arg[3]` total bytes, `arg[4]`
// low half flags, high half cache type. Slot `dst` = MDL. `length` = bytes granted.
#define DMARIG_OP_MDL_ALLOCATE_PAGES 311

// MmFreePagesFromMdl and ExFreePool of MDL `a`.
#define DMARIG_OP_MDL_FREE_PAGES 312

// Sets Next of MDL `a` to MDL `b`, or to NULL if `b` is `SLOT_NONE`.
#define DMARIG_OP_MDL_CHAIN 313

// Reads MDL `a`: `value[0]` = MdlFlags, `value[1]` = ByteOffset, `value[2]` = pages, `length` = ByteCount,
// `virtual_address` = MappedSystemVa; data = PFNs (8 bytes each) from page `arg[0]`, at most 1024.
#define DMARIG_OP_MDL_QUERY 314

// IoAllocateMdl and IoBuildPartialMdl from source MDL `a`, offset `arg[0]`, `arg[1]` bytes. Slot `dst`.
#define DMARIG_OP_MDL_BUILD_PARTIAL 315

// CPU: writes the pattern of seed `arg[2]` to bytes `arg[0]..arg[0] + arg[1]` of the memory, mapped
// MDL or buffer `a`. `value[0]` = CRC-32C of what was written.
#define DMARIG_OP_CPU_FILL 320

// CPU: reads the same range and compares: `value[0]` = CRC-32C of what was read, `value[1]` = offset of
// the first difference or 2^64 - 1, `value[2]` = expected byte, seen byte << 8.
#define DMARIG_OP_CPU_CHECK 321

// CPU: reads bytes `arg[0]..arg[0] + arg[1]` (at most 4096): the data.
#define DMARIG_OP_CPU_READ 322

// CPU: writes the data at offset `arg[0]`.
#define DMARIG_OP_CPU_WRITE 323

// CPU: touches one byte at the signed offset `arg[0]` from where the memory, mapped MDL or buffer `a`
// starts, wherever that leads: reads it into `value[0]`, or with `OP_FLAG_OVERRIDE` writes `arg[1]`.
#define DMARIG_OP_CPU_TOUCH 324

// Rings a channel of DUT `a` and waits for the end (at most 5 s): `b` = buffer slot or `SLOT_NONE`,
// `c` = channel; `arg[0]` = bits 15:0 `DMA_OP_*`, bits 31:16 descriptor flags, bits 39:32 one of
// `TRANSFER_*`; `arg[1]` = offset in buffer `b`, or the IOVA itself if there is none; `arg[2]` length;
// `arg[3]` seed; `arg[4]` = destination IOVA of a copy. `value[0]` = CRC-32C, `value[1]` = mismatch
// offset, `value[2]` = bits 15:0 `DMA_STATUS_*`, 23:16 expected, 31:24 seen, bit 32 interrupt seen,
// bit 33 by message; `logical_address` = the IOVA used, `length` = bytes done, `epoch`.
#define DMARIG_OP_DEVICE_TRANSFER 336

// Reads the DUT register at `arg[0]`, `arg[1]` = 4 or 8 bytes wide: `value[0]`.
#define DMARIG_OP_DEVICE_READ_REGISTER 337

// Writes `arg[2]` to the DUT register at `arg[0]`, `arg[1]` = 4 or 8 bytes wide.
#define DMARIG_OP_DEVICE_WRITE_REGISTER 338

// Allocates both rings of channel `c` of DUT `a` as common buffers of adapter `b`, `arg[0]` entries, and
// enables the channel's ring. Slot `dst` = ring. `logical_address` = descriptor ring, `value[0]` = IOVA
// of the completion ring.
#define DMARIG_OP_RING_OPEN 339

// Disables ring `a` and frees its common buffers.
#define DMARIG_OP_RING_CLOSE 340

// DUT `a`: `value[0]` = vectors granted, `value[1]` = interrupts serviced, `value[2]` = one of
// [`INTERRUPT_STATE_MESSAGES`], [`INTERRUPT_STATE_PIN`], [`INTERRUPT_STATE_POLLING`], and in bits 15:8 the
// channels that the driver serves; `length` = interrupts of channel `c` since START_DEVICE or its last
// transfer by interrupt.
#define DMARIG_OP_INTERRUPT_STATE 341

// Bit of `value[2]` of [`OP_INTERRUPT_STATE`]: the driver was granted messages.
#define DMARIG_INTERRUPT_STATE_MESSAGES 1

// Bit of `value[2]` of [`OP_INTERRUPT_STATE`]: it was granted the pin.
#define DMARIG_INTERRUPT_STATE_PIN 2

// Bit of `value[2]` of [`OP_INTERRUPT_STATE`]: it polls.
#define DMARIG_INTERRUPT_STATE_POLLING 4

// Lowest bit of the number of channels in `value[2]` of [`OP_INTERRUPT_STATE`].
#define DMARIG_INTERRUPT_STATE_CHANNELS_SHIFT 8

// Bit of `value[2]` of [`OP_DEVICE_TRANSFER`]: an interrupt of the channel was seen.
#define DMARIG_TRANSFER_VALUE_INTERRUPT_SEEN 4294967296

// Lowest of 8 bits of `value[2]` of [`OP_DEVICE_TRANSFER`] with [`OP_FLAG_RECOVER`]: attempts that were made.
#define DMARIG_TRANSFER_VALUE_ATTEMPTS_SHIFT 40

// Bit of `value[2]` of [`OP_DEVICE_TRANSFER`]: at least one access went by message DMA.
#define DMARIG_TRANSFER_VALUE_BY_MESSAGE 8589934592

// Transfer mode: channel registers, end polled in [`CH_STATUS`](crate::registers::CH_STATUS).
#define DMARIG_TRANSFER_REGISTER_POLL 0

// Transfer mode: channel registers, end by interrupt and DPC.
#define DMARIG_TRANSFER_REGISTER_INTERRUPT 1

// Transfer mode: descriptor ring, end by polling the completion entry.
#define DMARIG_TRANSFER_RING_POLL 2

// Transfer mode: descriptor ring, end by interrupt and DPC.
#define DMARIG_TRANSFER_RING_INTERRUPT 3

// Flag: a failing outcome or NTSTATUS ends the program here; the rest is `OUTCOME_SKIPPED`.
#define DMARIG_OP_FLAG_STOP_ON_FAILURE 1

// Flag: the minimum address is passed.
#define DMARIG_OP_FLAG_MINIMUM 2

// Flag: the maximum address is passed.
#define DMARIG_OP_FLAG_MAXIMUM 4

// Flag: the cache type is passed.
#define DMARIG_OP_FLAG_CACHE_TYPE 8

// Flag: the configuration array pointer is NULL.
#define DMARIG_OP_FLAG_NULL_CONFIGS 16

// Flag: the arguments replace the remembered ones.
#define DMARIG_OP_FLAG_OVERRIDE 32

// Flag: an operation that gives back, builds, locks or maps calls the system whatever the driver knows
// of the object, and the slot stays as it was. So it can be done twice, or too early.
#define DMARIG_OP_FLAG_KEEP 64

// Flag: runs at DISPATCH_LEVEL, whatever the operation's highest IRQL.
#define DMARIG_OP_FLAG_AT_DISPATCH 128

// Flag: runs at IRQL 11, a device's, whatever the operation's highest IRQL.
#define DMARIG_OP_FLAG_AT_DEVICE 256

// Flag of [`OP_DEVICE_TRANSFER`]: the driver recovers, as a driver of a real device must. It waits at most
// 250 ms for the end; after a time-out, or an end that a second attempt may mend, it resets the engine, sets it
// up anew and tries again, three times in all. A device that answers with all ones is gone and left alone.
#define DMARIG_OP_FLAG_RECOVER 512

// Size of an operation without its data.
#define DMARIG_OPERATION_SIZE_BYTES 64

// Outcome: the call was made; `status` is its NTSTATUS (0 for void calls).
#define DMARIG_OUTCOME_DONE 0

// Outcome: the call was made and returned NULL.
#define DMARIG_OUTCOME_NULL 1

// Outcome: the call raised an exception; `status` is its code.
#define DMARIG_OUTCOME_RAISED 2

// Outcome: the call does not exist in this adapter's table (too old, too short, or NULL).
#define DMARIG_OUTCOME_MEMBER_MISSING 3

// Outcome: a slot is empty, taken, out of range or of another kind; nothing was called.
#define DMARIG_OUTCOME_BAD_SLOT 4

// Outcome: an argument is out of the interpreter's bounds; nothing was called.
#define DMARIG_OUTCOME_BAD_ARGUMENT 5

// Outcome: the opcode is not known.
#define DMARIG_OUTCOME_UNKNOWN 6

// Outcome: not run, because an earlier operation failed.
#define DMARIG_OUTCOME_SKIPPED 7

// Outcome: the device did not end the request in time.
#define DMARIG_OUTCOME_TIMEOUT 8

// Outcome: the operation may not run at this IRQL; nothing was called.
#define DMARIG_OUTCOME_WRONG_IRQL 9

// Outcome: the driver itself had no memory.
#define DMARIG_OUTCOME_NO_MEMORY 10

// Outcome: there is no such DUT, or it is not started.
#define DMARIG_OUTCOME_NO_DEVICE 11

// Size of a result without its data.
#define DMARIG_OPERATION_RESULT_SIZE_BYTES 80

// GetDmaAdapterInfo of adapter `a` with Version `arg[0]`; data = the DMA_ADAPTER_INFO that the call left (0x58
// bytes).
#define DMARIG_OP_ADAPTER_INFO 259

// GetDmaDomain of adapter `a`: `value[0]` = the handle.
#define DMARIG_OP_DOMAIN_GET 260

// JoinDmaDomain of adapter `a`, handle `arg[0]`.
#define DMARIG_OP_DOMAIN_JOIN 261

// LeaveDmaDomain of adapter `a`.
#define DMARIG_OP_DOMAIN_LEAVE 262

// FlushDmaBuffer of adapter `a`, MDL `b`, ReadOperation `arg[0]`.
#define DMARIG_OP_FLUSH_DMA_BUFFER 263

// AllocateDomainCommonBuffer(adapter `a`): `arg[0]` length, `arg[1]` the domain's handle, `arg[2]` maximum (with
// `OP_FLAG_MAXIMUM`), `arg[3]` low half Flags, high half cache type (with `OP_FLAG_CACHE_TYPE`), `arg[4]` node.
// Slot `dst` = buffer.
#define DMARIG_OP_BUFFER_ALLOCATE_DOMAIN 277

// AllocateCommonBufferVector(adapter `a`): `arg[0]` bytes of an element, `arg[1]` lowest and `arg[2]` highest
// logical address, `arg[3]` low half Flags, high half cache type, `arg[4]` low half elements (at most
// `VECTOR_MAX_ELEMENTS`), high half node. Slot `dst` = vector.
#define DMARIG_OP_VECTOR_ALLOCATE 278

// GetCommonBufferFromVectorByIndex of vector `a`, index `arg[0]`. Slot `dst` = buffer, which `OP_BUFFER_FREE` frees
// by FreeCommonBufferFromVector.
#define DMARIG_OP_VECTOR_GET 279

// FreeCommonBufferFromVector of vector `a`, index `arg[0]`, whatever the driver knows of it.
#define DMARIG_OP_VECTOR_FREE_ELEMENT 280

// FreeCommonBufferVector of vector `a`; elements that live are freed first, except with `OP_FLAG_OVERRIDE`.
#define DMARIG_OP_VECTOR_FREE 281

// Most elements of a vector that a program may ask for.
#define DMARIG_VECTOR_MAX_ELEMENTS 64

// WdfDmaEnablerCreate for DUT `a`; data = WDF_DMA_ENABLER_CONFIG (0x50 bytes), then, with
// [`KMDF_FLAG_ATTRIBUTES`], WDF_OBJECT_ATTRIBUTES (0x38). Slot `dst` = object.
#define DMARIG_OP_KMDF_ENABLER_CREATE 512

// Enabler `a`: `value[0]` = WdfDmaEnablerGetMaximumLength, `value[1]` =
// WdfDmaEnablerGetMaximumScatterGatherElements, `value[2]` = WdfDmaEnablerGetFragmentLength of
// direction `arg[0]`.
#define DMARIG_OP_KMDF_ENABLER_QUERY 513

// WdfDmaEnablerSetMaximumScatterGatherElements(enabler `a`, `arg[0]`).
#define DMARIG_OP_KMDF_ENABLER_SET_MAXIMUM_ELEMENTS 514

// WdfDmaEnablerWdmGetDmaAdapter(enabler `a`, direction `arg[0]`). Slot `dst` = adapter, which belongs
// to the enabler: `OP_ADAPTER_PUT` only empties the slot. Its table counts as one of version
// `arg[1]`. A NULL adapter is `OUTCOME_NULL`. Values as of `OP_ADAPTER_OPEN`, but for the map
// registers.
#define DMARIG_OP_KMDF_ENABLER_ADAPTER 515

// WdfCommonBufferCreate(enabler `a`, `arg[0]` length); data = WDF_OBJECT_ATTRIBUTES with
// [`KMDF_FLAG_ATTRIBUTES`]. Slot `dst` = buffer. `arg[4]` = the enabler's handle with
// [`KMDF_FLAG_HANDLE`].
#define DMARIG_OP_KMDF_COMMON_BUFFER_CREATE 516

// WdfCommonBufferCreateWithConfig: as above, the data begin with WDF_COMMON_BUFFER_CONFIG (8 bytes).
#define DMARIG_OP_KMDF_COMMON_BUFFER_CREATE_WITH_CONFIG 517

// Common buffer `a`: `virtual_address` and `logical_address` = the aligned ones, `length` =
// WdfCommonBufferGetLength.
#define DMARIG_OP_KMDF_COMMON_BUFFER_QUERY 518

// WdfDeviceSetAlignmentRequirement(DUT `a`, `arg[0]`).
#define DMARIG_OP_KMDF_SET_ALIGNMENT 519

// WdfDeviceGetAlignmentRequirement(DUT `a`): `value[0]`.
#define DMARIG_OP_KMDF_GET_ALIGNMENT 520

// WdfObjectCreate; data = WDF_OBJECT_ATTRIBUTES with [`KMDF_FLAG_ATTRIBUTES`]. Slot `dst` = object.
// DUT `a` counts as its owner: the slot is emptied when that device goes.
#define DMARIG_OP_KMDF_OBJECT_CREATE 528

// WdfObjectDelete of the object or framework buffer in slot `a`. Slots of objects below it are
// emptied.
#define DMARIG_OP_KMDF_OBJECT_DELETE 529

// WdfObjectAllocateContext(object `a`) with attributes as data. `virtual_address` = the context.
// Status by the framework.
#define DMARIG_OP_KMDF_CONTEXT_ALLOCATE 530

// WdfObjectGetTypedContextWorker(object `a`, type `arg[0]`, one of 1 to [`KMDF_CONTEXT_TYPES`]):
// `virtual_address`, NULL is `OUTCOME_NULL`; `value[0]` = 1 when WdfObjectContextGetObject of it
// gives the object; the data = its first `arg[1]` bytes, at most [`KMDF_CONTEXT_READ_MAX_BYTES`].
#define DMARIG_OP_KMDF_CONTEXT_READ 531

// Writes the data to the context of type `arg[0]` of object `a`.
#define DMARIG_OP_KMDF_CONTEXT_WRITE 532

// WdfObjectReferenceActual of object `a`.
#define DMARIG_OP_KMDF_OBJECT_REFERENCE 533

// WdfObjectDereferenceActual of object `a`. An object that was deleted while it had references stays
// in its slot until this is called as often.
#define DMARIG_OP_KMDF_OBJECT_DEREFERENCE 534

// The log of callbacks: the data are [`KmdfLogEntry`]s from entry `arg[0]` on, as many as fit;
// `value[0]` = entries there are, `value[1]` = entries that found no room.
#define DMARIG_OP_KMDF_LOG_READ 544

// Empties the log.
#define DMARIG_OP_KMDF_LOG_CLEAR 545

// Binding: `value[0]` = client minor version, `value[1]` = 1 when the framework is older than that,
// `value[2]` = entries of the function table; data = the component's globals (0x38 bytes).
#define DMARIG_OP_KMDF_BINDING 546

// Flag: the data hold WDF_OBJECT_ATTRIBUTES, which are passed; else WDF_NO_OBJECT_ATTRIBUTES is.
#define DMARIG_KMDF_FLAG_ATTRIBUTES 512

// Flag: NULL is passed for the configuration.
#define DMARIG_KMDF_FLAG_NULL_CONFIG 1024

// Flag: NULL is passed for the pointer that receives the handle.
#define DMARIG_KMDF_FLAG_NULL_OUT 2048

// Flag: `arg[4]` is passed for the handle, and no slot is looked at.
#define DMARIG_KMDF_FLAG_HANDLE 4096

// In `ParentObject` of a program's attributes: the device of DUT 0.
#define DMARIG_KMDF_PARENT_DEVICE 4294967296

// Size of WDF_OBJECT_ATTRIBUTES in bytes.
#define DMARIG_KMDF_ATTRIBUTES_SIZE_BYTES 56

// Size of WDF_DMA_ENABLER_CONFIG in bytes.
#define DMARIG_KMDF_ENABLER_CONFIG_SIZE_BYTES 80

// Size of WDF_COMMON_BUFFER_CONFIG in bytes.
#define DMARIG_KMDF_COMMON_BUFFER_CONFIG_SIZE_BYTES 8

// Context types that programs may use: `ContextTypeInfo` in their attributes is 1 to this.
#define DMARIG_KMDF_CONTEXT_TYPES 3

// Size of a context of these types in bytes, without `ContextSizeOverride`.
#define DMARIG_KMDF_CONTEXT_SIZE_BYTES 64

// Most bytes that `OP_KMDF_CONTEXT_READ` gives.
#define DMARIG_KMDF_CONTEXT_READ_MAX_BYTES 4096

// Event: EvtDriverDeviceAdd.
#define DMARIG_KMDF_EVENT_DEVICE_ADD 1

// Event: EvtDevicePrepareHardware.
#define DMARIG_KMDF_EVENT_PREPARE_HARDWARE 2

// Event: EvtDeviceReleaseHardware.
#define DMARIG_KMDF_EVENT_RELEASE_HARDWARE 3

// Event: EvtDeviceD0Entry; `value` = the state it comes from.
#define DMARIG_KMDF_EVENT_D0_ENTRY 4

// Event: EvtDeviceD0EntryPostInterruptsEnabled.
#define DMARIG_KMDF_EVENT_D0_ENTRY_POST_INTERRUPTS 5

// Event: EvtDeviceD0ExitPreInterruptsDisabled.
#define DMARIG_KMDF_EVENT_D0_EXIT_PRE_INTERRUPTS 6

// Event: EvtDeviceD0Exit; `value` = the state it goes to.
#define DMARIG_KMDF_EVENT_D0_EXIT 7

// Event: EvtInterruptEnable; `value` = the message.
#define DMARIG_KMDF_EVENT_INTERRUPT_ENABLE 8

// Event: EvtInterruptDisable; `value` = the message.
#define DMARIG_KMDF_EVENT_INTERRUPT_DISABLE 9

// Event: EvtDeviceSelfManagedIoInit.
#define DMARIG_KMDF_EVENT_SELF_MANAGED_IO_INIT 10

// Event: EvtDeviceSelfManagedIoSuspend.
#define DMARIG_KMDF_EVENT_SELF_MANAGED_IO_SUSPEND 11

// Event: EvtDeviceSelfManagedIoRestart.
#define DMARIG_KMDF_EVENT_SELF_MANAGED_IO_RESTART 12

// Event: EvtDeviceSelfManagedIoFlush.
#define DMARIG_KMDF_EVENT_SELF_MANAGED_IO_FLUSH 13

// Event: EvtDeviceSelfManagedIoCleanup.
#define DMARIG_KMDF_EVENT_SELF_MANAGED_IO_CLEANUP 14

// Event: EvtDeviceQueryStop.
#define DMARIG_KMDF_EVENT_QUERY_STOP 15

// Event: EvtDeviceQueryRemove.
#define DMARIG_KMDF_EVENT_QUERY_REMOVE 16

// Event: EvtDeviceSurpriseRemoval.
#define DMARIG_KMDF_EVENT_SURPRISE_REMOVAL 17

// Event: EvtCleanupCallback of the device.
#define DMARIG_KMDF_EVENT_DEVICE_CLEANUP 18

// Event: EvtDmaEnablerFill.
#define DMARIG_KMDF_EVENT_ENABLER_FILL 32

// Event: EvtDmaEnablerEnable.
#define DMARIG_KMDF_EVENT_ENABLER_ENABLE 33

// Event: EvtDmaEnablerSelfManagedIoStart.
#define DMARIG_KMDF_EVENT_ENABLER_SELF_MANAGED_IO_START 34

// Event: EvtDmaEnablerSelfManagedIoStop.
#define DMARIG_KMDF_EVENT_ENABLER_SELF_MANAGED_IO_STOP 35

// Event: EvtDmaEnablerDisable.
#define DMARIG_KMDF_EVENT_ENABLER_DISABLE 36

// Event: EvtDmaEnablerFlush.
#define DMARIG_KMDF_EVENT_ENABLER_FLUSH 37

// Event: EvtCleanupCallback of an object of a program.
#define DMARIG_KMDF_EVENT_OBJECT_CLEANUP 48

// Event: EvtDestroyCallback of an object of a program.
#define DMARIG_KMDF_EVENT_OBJECT_DESTROY 49

// Creates a work item, timer or DPC below the device of DUT `a` (or the parent in the attributes, which
// are data with `KMDF_FLAG_ATTRIBUTES`): `arg[0]` = one of `KMDF_DEFERRED_*`, `arg[1]` = period of a
// timer in ms. Its routine logs `KMDF_EVENT_DEFERRED`. Slot `dst` = object.
#define DMARIG_OP_KMDF_DEFERRED_CREATE 560

// WdfWorkItemEnqueue, WdfTimerStart with due time `arg[0]` (100 ns, as signed), or WdfDpcEnqueue of
// object `a`: `value[0]` = what it returned (a work item's: 1).
#define DMARIG_OP_KMDF_DEFERRED_START 561

// WdfWorkItemFlush, or WdfTimerStop or WdfDpcCancel with Wait = `arg[0]`, of object `a`: `value[0]` =
// what it returned (a work item's: 1). `value[1]` = times its routine has run by then.
#define DMARIG_OP_KMDF_DEFERRED_STOP 562

// Kind: WDFWORKITEM.
#define DMARIG_KMDF_DEFERRED_WORK_ITEM 0

// Kind: WDFTIMER.
#define DMARIG_KMDF_DEFERRED_TIMER 1

// Kind: WDFDPC.
#define DMARIG_KMDF_DEFERRED_DPC 2

// WdfSpinLockCreate (`arg[0]` = 0) or WdfWaitLockCreate (1) for DUT `a`. Slot `dst` = object.
#define DMARIG_OP_KMDF_LOCK_CREATE 568

// Acquires and releases spin lock `a`: `value[0]` = IRQL in between, `value[1]` = IRQL afterwards.
#define DMARIG_OP_KMDF_SPIN_LOCK_TRY 569

// WdfWaitLockAcquire of wait lock `a` with a time-out of `arg[0]` (100 ns, as signed); status.
#define DMARIG_OP_KMDF_WAIT_LOCK_ACQUIRE 570

// WdfWaitLockRelease of wait lock `a`.
#define DMARIG_OP_KMDF_WAIT_LOCK_RELEASE 571

// WdfObjectAcquireLock and WdfObjectReleaseLock of object `a`: `value` as of the spin lock's.
#define DMARIG_OP_KMDF_OBJECT_LOCK_TRY 572

// WdfIoQueueCreate for DUT `a`; data = WDF_IO_QUEUE_CONFIG (0x60 bytes), in which each callback but
// NULL is the driver's own, then attributes with `KMDF_FLAG_ATTRIBUTES`. What the callbacks for new
// requests do: `arg[0]` = one of `KMDF_QUEUE_*`, `arg[1]` = status of a completion, or slot of the
// queue to forward to. Slot `dst` = object.
#define DMARIG_OP_KMDF_QUEUE_CREATE 576

// Queue `a`: `arg[0]` = one of `KMDF_QUEUE_CONTROL_*`. `value[0]` = WdfIoQueueGetState afterwards,
// `value[1]` = requests in the queue, `value[2]` = requests that the driver owns.
#define DMARIG_OP_KMDF_QUEUE_CONTROL 577

// Sends a request to the device of DUT `a`, and does not wait: `arg[0]` = one of `KMDF_REQUEST_*`,
// `arg[1]` = control code, `arg[2]` = bytes to be read or given back, at most
// [`KMDF_REQUEST_MAX_BYTES`]; data = what is written or given in. Slot `dst` = sent request.
#define DMARIG_OP_KMDF_REQUEST_SEND 578

// Waits for sent request `a`, at most `arg[0]` ms (up to 5000): status, `length` = Information, the data
// = what came back; the slot is empty then. `OUTCOME_TIMEOUT` when it is not completed.
#define DMARIG_OP_KMDF_REQUEST_WAIT 579

// IoCancelIrp of sent request `a`: `value[0]`.
#define DMARIG_OP_KMDF_REQUEST_CANCEL 580

// Takes a request of queue `a`: WdfIoQueueRetrieveNextRequest; or, with `arg[0]` = 1, the oldest one that
// its callbacks have kept. Slot `dst` = request. Without one: its status, or `OUTCOME_NULL`.
#define DMARIG_OP_KMDF_REQUEST_TAKE 581

// Request `a`: `value[0]` = type, `value[1]` = length (of a control request the output's), `value[2]` =
// control code, `length` = bytes of input, status of WdfRequestRetrieveInputBuffer or
// ...OutputBuffer by type, the data = the input.
#define DMARIG_OP_KMDF_REQUEST_QUERY 582

// WdfRequestCompleteWithInformation of request `a`: `arg[0]` status, `arg[1]` information; the data
// go to its output buffer before. The slot is empty then.
#define DMARIG_OP_KMDF_REQUEST_COMPLETE 583

// WdfRequestForwardToIoQueue of request `a` to queue `b`: status; the slot is empty after a success.
#define DMARIG_OP_KMDF_REQUEST_FORWARD 584

// WdfRequestMarkCancelableEx (`arg[0]` = 0), WdfRequestUnmarkCancelable (1) or WdfRequestIsCanceled (2)
// of request `a`: status, `value[0]` = the last's answer. The cancel routine completes the request with
// STATUS_CANCELLED, logs `KMDF_EVENT_REQUEST_CANCELED` and empties the slot.
#define DMARIG_OP_KMDF_REQUEST_CANCELABLE 585

// New requests: completed with the status of `arg[1]`, reads and control requests with their output
// filled by [`KMDF_FILL_BYTE`].
#define DMARIG_KMDF_QUEUE_COMPLETE 0

// New requests: kept for `OP_KMDF_REQUEST_TAKE`, at most [`KMDF_KEPT_REQUESTS`].
#define DMARIG_KMDF_QUEUE_KEEP 1

// New requests: forwarded to the queue of slot `arg[1]`.
#define DMARIG_KMDF_QUEUE_FORWARD 2

// Requests that a queue's callbacks may keep; later ones are completed with STATUS_DEVICE_BUSY.
#define DMARIG_KMDF_KEPT_REQUESTS 16

// What output buffers are filled with.
#define DMARIG_KMDF_FILL_BYTE 90

// Most bytes of a request.
#define DMARIG_KMDF_REQUEST_MAX_BYTES 4096

// Nothing: state and counts alone.
#define DMARIG_KMDF_QUEUE_CONTROL_QUERY 0

// WdfIoQueueStart.
#define DMARIG_KMDF_QUEUE_CONTROL_START 1

// WdfIoQueueStop without a routine.
#define DMARIG_KMDF_QUEUE_CONTROL_STOP 2

// WdfIoQueuePurge without a routine.
#define DMARIG_KMDF_QUEUE_CONTROL_PURGE 3

// WdfIoQueueDrain without a routine.
#define DMARIG_KMDF_QUEUE_CONTROL_DRAIN 4

// IRP_MJ_READ.
#define DMARIG_KMDF_REQUEST_READ 0

// IRP_MJ_WRITE.
#define DMARIG_KMDF_REQUEST_WRITE 1

// IRP_MJ_DEVICE_CONTROL.
#define DMARIG_KMDF_REQUEST_DEVICE_CONTROL 2

// IRP_MJ_INTERNAL_DEVICE_CONTROL.
#define DMARIG_KMDF_REQUEST_INTERNAL_CONTROL 3

// The translated resources of DUT `a` as WdfCmResourceListGetDescriptor gave them in
// EvtDevicePrepareHardware: `value[0]` = WdfCmResourceListGetCount, `value[1]` = 1 when the descriptor
// behind the last one was NULL; the data = the descriptors, 0x14 bytes each.
#define DMARIG_OP_KMDF_RESOURCES 592

// The driver's Parameters key (`arg[0]` = 0) or the hardware key of DUT `a` (1): opens it, assigns
// `arg[1]` to the value `dmarigProbe`, and queries it: status of the first call that failed, `value[0]` =
// what was read, `value[1]` = status of querying a value that is not there.
#define DMARIG_OP_KMDF_REGISTRY 593

// WdfDeviceCreateDeviceInterface for DUT `a`, then WdfDeviceSetDeviceInterfaceState TRUE; status.
#define DMARIG_OP_KMDF_INTERFACE 594

// BUS_INTERFACE_STANDARD of DUT `a` by WdfFdoQueryForInterface: status, the data = `arg[1]` (at most
// 256) bytes of configuration space from `arg[0]`; `value[0]` = what GetBusData returned.
#define DMARIG_OP_KMDF_BUS_DATA 595

// Event: a work item, timer or DPC; `value` = the IRQL.
#define DMARIG_KMDF_EVENT_DEFERRED 50

// Event: a queue's callback for a new request; `value` = its type as WDF_REQUEST_TYPE.
#define DMARIG_KMDF_EVENT_REQUEST 51

// Event: a request's cancel routine.
#define DMARIG_KMDF_EVENT_REQUEST_CANCELED 52

// Event: EvtIoCanceledOnQueue.
#define DMARIG_KMDF_EVENT_CANCELED_ON_QUEUE 53

// Event: EvtIoStop; `value` = the action flags.
#define DMARIG_KMDF_EVENT_QUEUE_STOP 54

// Event: EvtIoResume.
#define DMARIG_KMDF_EVENT_QUEUE_RESUME 55

// InitializeDmaTransferContext(adapter `a`). Slot `dst` = transfer context, in memory of its own. With
// [`OP_FLAG_OVERRIDE`](crate::operation::OP_FLAG_OVERRIDE) the context is NULL and no slot is filled; with `b`
// not `SLOT_NONE` it is the context in slot `b` once more.
#define DMARIG_OP_TRANSFER_CONTEXT_INITIALIZE 352

// Makes a slot `dst` for a transfer context of bytes `arg[0]`, never initialized.
#define DMARIG_OP_TRANSFER_CONTEXT_RAW 353

// GetDmaTransferInfo(adapter `a`, MDL `b`, `arg[0]` offset, `arg[1]` length, `arg[2]` WriteOnly) with version
// `arg[3]`: `value[0]` = MapRegisterCount, high half ScatterGatherElementCount; `value[1]` =
// ScatterGatherListSize; `value[2]` = LogicalPageCount, all ones before.
#define DMARIG_OP_TRANSFER_INFO 354

// CalculateScatterGatherList(adapter `a`, MDL `b`, CurrentVa of offset `arg[0]`, `arg[1]` length); without
// MDL (`SLOT_NONE`) `arg[0]` is CurrentVa. `value[0]` = Size, `value[1]` = NumberOfMapRegisters.
#define DMARIG_OP_LIST_CALCULATE 355

// GetScatterGatherList(adapter `a`, MDL `b`, CurrentVa of offset `arg[0]`, `arg[1]` length, `arg[2]`
// WriteToDevice). Slot `dst` = list. Result of a list.
#define DMARIG_OP_LIST_GET 368

// BuildScatterGatherList: as `OP_LIST_GET`, `arg[3]` = BufferLength of a buffer of that size.
#define DMARIG_OP_LIST_BUILD 369

// GetScatterGatherListEx(adapter `a`, transfer context `c`, MDL `b`, `arg[0]` offset, `arg[1]` length, `arg[2]`
// WriteToDevice, `arg[4]` Flags low half, bits of `REQUEST_*` high half). Slot `dst` = list.
#define DMARIG_OP_LIST_GET_EX 370

// BuildScatterGatherListEx: as `OP_LIST_GET_EX`, `arg[3]` = BufferLength.
#define DMARIG_OP_LIST_BUILD_EX 371

// PutScatterGatherList of list `a`, `arg[0]` WriteToDevice. With
// [`OP_FLAG_KEEP`](crate::operation::OP_FLAG_KEEP) the slot stays filled, so that it can be put once more.
#define DMARIG_OP_LIST_PUT 372

// Waits for the routine of list or channel `a` at most `arg[0]` microseconds (1 s at most). Result of a list
// or of a channel.
#define DMARIG_OP_REQUEST_QUERY 373

// BuildMdlFromScatterGatherList(list `a`, original MDL `b` or NULL for `SLOT_NONE`): `virtual_address` = the
// target, `value[0]` = 1 when that is the original.
#define DMARIG_OP_LIST_MDL 374

// AllocateAdapterChannel(adapter `a`, `arg[0]` NumberOfMapRegisters); the routine returns `arg[1]`. Slot `dst`
// = channel. Result of a channel.
#define DMARIG_OP_CHANNEL_ALLOCATE 384

// AllocateAdapterChannelEx: as above, transfer context `c`, `arg[4]` Flags low half, bits of `REQUEST_*` high
// half.
#define DMARIG_OP_CHANNEL_ALLOCATE_EX 385

// FreeAdapterChannel(adapter `a`).
#define DMARIG_OP_CHANNEL_FREE 386

// FreeMapRegisters of channel `a`, as many as were asked for, or `arg[0]` with
// [`OP_FLAG_OVERRIDE`](crate::operation::OP_FLAG_OVERRIDE). With
// [`OP_FLAG_KEEP`](crate::operation::OP_FLAG_KEEP) the slot stays filled.
#define DMARIG_OP_CHANNEL_FREE_REGISTERS 387

// FreeAdapterObject(adapter `a`, `arg[0]` IO_ALLOCATION_ACTION).
#define DMARIG_OP_ADAPTER_OBJECT_FREE 388

// CancelAdapterChannel(adapter `a`, transfer context `c`): `value[0]` = the BOOLEAN.
#define DMARIG_OP_CHANNEL_CANCEL 389

// CancelMappedTransfer(adapter `a`, transfer context `c`).
#define DMARIG_OP_TRANSFER_CANCEL 390

// MapTransfer(channel `a`, MDL `b`, CurrentVa of offset `arg[0]`, `arg[1]` length, `arg[2]` WriteToDevice):
// `logical_address` = what it returned, `length` = Length afterwards.
#define DMARIG_OP_TRANSFER_MAP 400

// MapTransferEx(channel `a`, MDL `b`, `arg[0]` offset, `arg[1]` length, `arg[2]` WriteToDevice, `arg[3]`
// ScatterGatherBufferLength (a buffer of that size; 0 passes NULL), `arg[4]` DeviceOffset low half, bits of
// `REQUEST_*` high half). `length` = Length afterwards, the rest as in the result of a list.
#define DMARIG_OP_TRANSFER_MAP_EX 401

// FlushAdapterBuffers(channel `a`, MDL `b`, CurrentVa of offset `arg[0]`, `arg[1]` length, `arg[2]`
// WriteToDevice): `value[0]` = the BOOLEAN.
#define DMARIG_OP_TRANSFER_FLUSH 402

// FlushAdapterBuffersEx(channel `a`, MDL `b`, `arg[0]` offset, `arg[1]` length, `arg[2]` WriteToDevice).
#define DMARIG_OP_TRANSFER_FLUSH_EX 403

// Flag: a request is not waited for.
#define DMARIG_OP_FLAG_NO_WAIT 512

// Flag: the call is made at the program's own IRQL.
#define DMARIG_OP_FLAG_CALLER_IRQL 1024

// Request bit: there is no execution routine.
#define DMARIG_REQUEST_NO_ROUTINE 1

// Request bit: the pointer for the list or MapRegisterBase is passed.
#define DMARIG_REQUEST_OUT 2

// Request bit: a completion routine is passed, which a bus master must not do.
#define DMARIG_REQUEST_COMPLETION 4

// Execution bit: the routine ran before the call returned.
#define DMARIG_EXECUTION_IN_CALL 1

// Execution bit: the routine was given DeviceObject->CurrentIrp.
#define DMARIG_EXECUTION_CURRENT_IRP 2

// Execution bit: the routine ran at DISPATCH_LEVEL.
#define DMARIG_EXECUTION_AT_DISPATCH 4

// Most elements in a result's data.
#define DMARIG_LIST_ELEMENTS_MAX 256

// WdfDmaTransactionCreate(enabler `a`); data = WDF_OBJECT_ATTRIBUTES with `KMDF_FLAG_ATTRIBUTES`. Slot `dst` =
// transaction.
#define DMARIG_OP_KMDF_TRANSACTION_CREATE 608

// WdfDmaTransactionInitialize(transaction `a`, MDL `b`): `arg[0]` = offset in the MDL, `arg[1]` = length,
// `arg[2]` = direction (0 from the device, 1 to it), `arg[3]` = what EvtProgramDma returns; with
// `arg[4]` = 1 it is WdfDmaTransactionInitializeUsingOffset, which does without the MDL's address. Status.
#define DMARIG_OP_KMDF_TRANSACTION_INITIALIZE 609

// WdfDmaTransactionExecute of transaction `a`: status.
#define DMARIG_OP_KMDF_TRANSACTION_EXECUTE 610

// What EvtProgramDma of transaction `a` was told last: `value[0]` = times it was called, `value[1]` =
// direction, `value[2]` = WdfDmaTransactionGetCurrentDmaTransferLength; the data = the list's elements as
// [`KmdfElement`]s, at most [`KMDF_TRANSACTION_ELEMENTS`].
#define DMARIG_OP_KMDF_TRANSACTION_ELEMENTS 611

// WdfDmaTransactionDmaCompleted (`arg[0]` = 0), ...WithLength (1) or ...Final (2) with `arg[1]` bytes, of
// transaction `a`: status = the one it told, `value[0]` = what it returned, `value[1]` =
// WdfDmaTransactionGetBytesTransferred.
#define DMARIG_OP_KMDF_TRANSACTION_COMPLETED 612

// WdfDmaTransactionRelease of transaction `a`: status.
#define DMARIG_OP_KMDF_TRANSACTION_RELEASE 613

// WdfDmaTransactionSetMaximumLength(transaction `a`, `arg[0]`).
#define DMARIG_OP_KMDF_TRANSACTION_SET_MAXIMUM_LENGTH 614

// Completion: of the whole part.
#define DMARIG_KMDF_COMPLETED 0

// Completion: of so many bytes.
#define DMARIG_KMDF_COMPLETED_WITH_LENGTH 1

// Completion: of so many bytes, and the transaction ends.
#define DMARIG_KMDF_COMPLETED_FINAL 2

// Elements of a list that are kept.
#define DMARIG_KMDF_TRANSACTION_ELEMENTS 64

// Event: EvtProgramDma; `value` = elements of the list.
#define DMARIG_KMDF_EVENT_PROGRAM_DMA 56

// Increment of the word counter (the odd constant of the SplitMix64 generator, public domain).
#define DMARIG_PATTERN_INCREMENT 11400714819323198485ull

// First multiplier of the SplitMix64 finalizer.
#define DMARIG_PATTERN_MULTIPLIER_1 13787848793156543929ull

// Second multiplier of the SplitMix64 finalizer.
#define DMARIG_PATTERN_MULTIPLIER_2 10723151780598845931ull

// One descriptor, 64 bytes, aligned to 64 in the ring. Unused fields are written as zero.
typedef struct {
  // One of `DMA_OP_*`.
  uint16_t opcode;
  // Bits of `DESCRIPTOR_FLAG_*`.
  uint16_t flags;
  // Elements of the list at `source`, 1 to [`LIST_MAX_ELEMENTS`]; zero without a list.
  uint16_t source_elements;
  // Elements of the list at `destination`; zero without a list.
  uint16_t destination_elements;
  // Returned unchanged in the completion entry.
  uint64_t tag;
  // IOVA to read from, or of the list of what to read.
  uint64_t source;
  // IOVA to write to, or of the list of where to write.
  uint64_t destination;
  // Length in bytes, 1 or more (except where nothing moves). A list holds as many bytes or more.
  uint64_t length_bytes;
  // Pattern seed, the fill byte, or what a fence orders against.
  uint64_t seed;
  // IOVA of the next descriptor of a chain, 64-byte aligned; zero without a chain.
  uint64_t next;
  // Zero.
  uint64_t reserved0;
} DMARIG_Descriptor;

// One element of a scatter-gather list: a run of bytes. One of length 0 is passed over.
typedef struct {
  // IOVA of the first byte.
  uint64_t iova;
  // Length in bytes.
  uint64_t length_bytes;
} DMARIG_ListElement;

// One completion entry, 64 bytes, written in one access, before the vector is raised.
typedef struct {
  // The descriptor's tag.
  uint64_t tag;
  // One of `DMA_STATUS_*`.
  uint16_t status;
  // Bits of `COMPLETION_FLAG_*`.
  uint16_t flags;
  // CRC-32C of the bytes read (verify, CRC, copy) or written (pattern, fill).
  uint32_t crc32c;
  // Bytes moved before the request ended.
  uint64_t done_bytes;
  // Offset of the first differing byte, or 2^64 - 1.
  uint64_t mismatch_offset;
  // The expected byte at `mismatch_offset`.
  uint8_t expected;
  // The byte seen there.
  uint8_t seen;
  // Zero.
  uint8_t reserved0[6];
  // The function's mapping epoch when the request was issued.
  uint64_t epoch;
  // Descriptors of the chain that were done after the ring's own. Tag and `done_bytes` are those of the
  // whole chain, all else is the last one's.
  uint32_t chained;
  // Zero.
  uint32_t reserved1;
  // Zero.
  uint64_t reserved2;
} DMARIG_CompletionEntry;

// The first bytes of the mailbox BAR.
typedef struct {
  // [`MAILBOX_MAGIC`], written by the host.
  uint32_t magic;
  // [`MAILBOX_VERSION`], written by the host.
  uint32_t version;
  // One of `GUEST_STATE_*`, written by the guest.
  uint32_t guest_state;
  // Zero.
  uint32_t reserved0[13];
  // Host: sequence number of the request; 0 means none.
  uint32_t request_sequence;
  // Host: length of the request in bytes.
  uint32_t request_length_bytes;
  // Zero.
  uint32_t reserved1[14];
  // Guest: sequence number of the response.
  uint32_t response_sequence;
  // Guest: length of the response in bytes.
  uint32_t response_length_bytes;
  // Zero.
  uint32_t reserved2[14];
} DMARIG_MailboxHeader;

// Head of a program: `n_operations` operations follow, each with its data, without gaps.
typedef struct {
  // [`PROGRAM_MAGIC`].
  uint32_t magic;
  // [`MAILBOX_VERSION`].
  uint16_t version;
  // One of `CONTEXT_*`: where the program runs. Contexts that the driver cannot enter by itself
  // (AddDevice, START_DEVICE, D0, STOP, removal) store the program for their next occurrence.
  uint16_t context;
  // Number of operations, at most [`PROGRAM_MAX_OPERATIONS`].
  uint32_t n_operations;
  // Length of the whole program with this header, in bytes.
  uint32_t total_length_bytes;
} DMARIG_ProgramHeader;

// Head of a response: `n_results` results follow, each with its data, without gaps.
typedef struct {
  // [`RESPONSE_MAGIC`].
  uint32_t magic;
  // [`MAILBOX_VERSION`].
  uint16_t version;
  // One of `RESPONSE_*`.
  uint16_t outcome;
  // Number of results.
  uint32_t n_results;
  // Length of the whole response with this header, in bytes.
  uint32_t total_length_bytes;
  // Byte offset in the program where it is malformed.
  uint32_t error_offset;
  // IRQL at which the program ran.
  uint32_t irql;
} DMARIG_ResponseHeader;

// One operation; `data_length_bytes` bytes follow it, padded to 8 bytes with zeros (the padding is
// not counted).
typedef struct {
  // One of `OP_*`.
  uint16_t opcode;
  // Bits of `OP_FLAG_*`.
  uint16_t flags;
  // Bytes of data that follow.
  uint32_t data_length_bytes;
  // Slot that receives the new object, or [`SLOT_NONE`].
  uint32_t dst;
  // First object: a slot or a DUT number.
  uint32_t a;
  // Second object.
  uint32_t b;
  // Third number.
  uint32_t c;
  // Arguments.
  uint64_t arg[5];
} DMARIG_Operation;

// One result; `data_length_bytes` bytes follow it, padded to 8 bytes (the padding is not counted).
typedef struct {
  // The operation's code.
  uint16_t opcode;
  // One of `OUTCOME_*`.
  uint16_t outcome;
  // Bytes of data that follow.
  uint32_t data_length_bytes;
  // NTSTATUS of the call.
  uint32_t status;
  // Zero.
  uint32_t reserved0;
  // Virtual address of the object.
  uint64_t virtual_address;
  // Logical address (IOVA); also filled on failure with what the call left there (starts as all
  // ones), for the record only.
  uint64_t logical_address;
  // Length in bytes.
  uint64_t length;
  // By operation.
  uint64_t value[3];
  // Mapping epoch that the device stamped on the transfer, or 0.
  uint64_t epoch;
  // Zero.
  uint64_t reserved1;
} DMARIG_OperationResult;

// An element of a scatter/gather list.
typedef struct {
  // Logical address.
  uint64_t address;
  // Length in bytes.
  uint64_t length_bytes;
} DMARIG_KmdfElement;

// One callback that the framework has made.
typedef struct {
  // Position in the order of all callbacks since the log was emptied, from 0.
  uint32_t sequence;
  // One of `KMDF_EVENT_*`.
  uint16_t event;
  // DUT number, or 0xffff for the control function and for objects of no device.
  uint16_t device;
  // Slot of the object, or `SLOT_NONE`.
  uint32_t slot;
  // By event.
  uint32_t value;
} DMARIG_KmdfLogEntry;

/* The layout as Rust has it. */
_Static_assert(sizeof(DMARIG_Descriptor) == 64, "size of DMARIG_Descriptor");
_Static_assert(offsetof(DMARIG_Descriptor, opcode) == 0, "DMARIG_Descriptor.opcode");
_Static_assert(offsetof(DMARIG_Descriptor, flags) == 2, "DMARIG_Descriptor.flags");
_Static_assert(offsetof(DMARIG_Descriptor, source_elements) == 4, "DMARIG_Descriptor.source_elements");
_Static_assert(offsetof(DMARIG_Descriptor, destination_elements) == 6, "DMARIG_Descriptor.destination_elements");
_Static_assert(offsetof(DMARIG_Descriptor, tag) == 8, "DMARIG_Descriptor.tag");
_Static_assert(offsetof(DMARIG_Descriptor, source) == 16, "DMARIG_Descriptor.source");
_Static_assert(offsetof(DMARIG_Descriptor, destination) == 24, "DMARIG_Descriptor.destination");
_Static_assert(offsetof(DMARIG_Descriptor, length_bytes) == 32, "DMARIG_Descriptor.length_bytes");
_Static_assert(offsetof(DMARIG_Descriptor, seed) == 40, "DMARIG_Descriptor.seed");
_Static_assert(offsetof(DMARIG_Descriptor, next) == 48, "DMARIG_Descriptor.next");
_Static_assert(offsetof(DMARIG_Descriptor, reserved0) == 56, "DMARIG_Descriptor.reserved0");
_Static_assert(sizeof(DMARIG_ListElement) == 16, "size of DMARIG_ListElement");
_Static_assert(offsetof(DMARIG_ListElement, iova) == 0, "DMARIG_ListElement.iova");
_Static_assert(offsetof(DMARIG_ListElement, length_bytes) == 8, "DMARIG_ListElement.length_bytes");
_Static_assert(sizeof(DMARIG_CompletionEntry) == 64, "size of DMARIG_CompletionEntry");
_Static_assert(offsetof(DMARIG_CompletionEntry, tag) == 0, "DMARIG_CompletionEntry.tag");
_Static_assert(offsetof(DMARIG_CompletionEntry, status) == 8, "DMARIG_CompletionEntry.status");
_Static_assert(offsetof(DMARIG_CompletionEntry, flags) == 10, "DMARIG_CompletionEntry.flags");
_Static_assert(offsetof(DMARIG_CompletionEntry, crc32c) == 12, "DMARIG_CompletionEntry.crc32c");
_Static_assert(offsetof(DMARIG_CompletionEntry, done_bytes) == 16, "DMARIG_CompletionEntry.done_bytes");
_Static_assert(offsetof(DMARIG_CompletionEntry, mismatch_offset) == 24, "DMARIG_CompletionEntry.mismatch_offset");
_Static_assert(offsetof(DMARIG_CompletionEntry, expected) == 32, "DMARIG_CompletionEntry.expected");
_Static_assert(offsetof(DMARIG_CompletionEntry, seen) == 33, "DMARIG_CompletionEntry.seen");
_Static_assert(offsetof(DMARIG_CompletionEntry, reserved0) == 34, "DMARIG_CompletionEntry.reserved0");
_Static_assert(offsetof(DMARIG_CompletionEntry, epoch) == 40, "DMARIG_CompletionEntry.epoch");
_Static_assert(offsetof(DMARIG_CompletionEntry, chained) == 48, "DMARIG_CompletionEntry.chained");
_Static_assert(offsetof(DMARIG_CompletionEntry, reserved1) == 52, "DMARIG_CompletionEntry.reserved1");
_Static_assert(offsetof(DMARIG_CompletionEntry, reserved2) == 56, "DMARIG_CompletionEntry.reserved2");
_Static_assert(sizeof(DMARIG_MailboxHeader) == 192, "size of DMARIG_MailboxHeader");
_Static_assert(offsetof(DMARIG_MailboxHeader, magic) == 0, "DMARIG_MailboxHeader.magic");
_Static_assert(offsetof(DMARIG_MailboxHeader, version) == 4, "DMARIG_MailboxHeader.version");
_Static_assert(offsetof(DMARIG_MailboxHeader, guest_state) == 8, "DMARIG_MailboxHeader.guest_state");
_Static_assert(offsetof(DMARIG_MailboxHeader, reserved0) == 12, "DMARIG_MailboxHeader.reserved0");
_Static_assert(offsetof(DMARIG_MailboxHeader, request_sequence) == 64, "DMARIG_MailboxHeader.request_sequence");
_Static_assert(offsetof(DMARIG_MailboxHeader, request_length_bytes) == 68, "DMARIG_MailboxHeader.request_length_bytes");
_Static_assert(offsetof(DMARIG_MailboxHeader, reserved1) == 72, "DMARIG_MailboxHeader.reserved1");
_Static_assert(offsetof(DMARIG_MailboxHeader, response_sequence) == 128, "DMARIG_MailboxHeader.response_sequence");
_Static_assert(offsetof(DMARIG_MailboxHeader, response_length_bytes) == 132, "DMARIG_MailboxHeader.response_length_bytes");
_Static_assert(offsetof(DMARIG_MailboxHeader, reserved2) == 136, "DMARIG_MailboxHeader.reserved2");
_Static_assert(sizeof(DMARIG_ProgramHeader) == 16, "size of DMARIG_ProgramHeader");
_Static_assert(offsetof(DMARIG_ProgramHeader, magic) == 0, "DMARIG_ProgramHeader.magic");
_Static_assert(offsetof(DMARIG_ProgramHeader, version) == 4, "DMARIG_ProgramHeader.version");
_Static_assert(offsetof(DMARIG_ProgramHeader, context) == 6, "DMARIG_ProgramHeader.context");
_Static_assert(offsetof(DMARIG_ProgramHeader, n_operations) == 8, "DMARIG_ProgramHeader.n_operations");
_Static_assert(offsetof(DMARIG_ProgramHeader, total_length_bytes) == 12, "DMARIG_ProgramHeader.total_length_bytes");
_Static_assert(sizeof(DMARIG_ResponseHeader) == 24, "size of DMARIG_ResponseHeader");
_Static_assert(offsetof(DMARIG_ResponseHeader, magic) == 0, "DMARIG_ResponseHeader.magic");
_Static_assert(offsetof(DMARIG_ResponseHeader, version) == 4, "DMARIG_ResponseHeader.version");
_Static_assert(offsetof(DMARIG_ResponseHeader, outcome) == 6, "DMARIG_ResponseHeader.outcome");
_Static_assert(offsetof(DMARIG_ResponseHeader, n_results) == 8, "DMARIG_ResponseHeader.n_results");
_Static_assert(offsetof(DMARIG_ResponseHeader, total_length_bytes) == 12, "DMARIG_ResponseHeader.total_length_bytes");
_Static_assert(offsetof(DMARIG_ResponseHeader, error_offset) == 16, "DMARIG_ResponseHeader.error_offset");
_Static_assert(offsetof(DMARIG_ResponseHeader, irql) == 20, "DMARIG_ResponseHeader.irql");
_Static_assert(sizeof(DMARIG_Operation) == 64, "size of DMARIG_Operation");
_Static_assert(offsetof(DMARIG_Operation, opcode) == 0, "DMARIG_Operation.opcode");
_Static_assert(offsetof(DMARIG_Operation, flags) == 2, "DMARIG_Operation.flags");
_Static_assert(offsetof(DMARIG_Operation, data_length_bytes) == 4, "DMARIG_Operation.data_length_bytes");
_Static_assert(offsetof(DMARIG_Operation, dst) == 8, "DMARIG_Operation.dst");
_Static_assert(offsetof(DMARIG_Operation, a) == 12, "DMARIG_Operation.a");
_Static_assert(offsetof(DMARIG_Operation, b) == 16, "DMARIG_Operation.b");
_Static_assert(offsetof(DMARIG_Operation, c) == 20, "DMARIG_Operation.c");
_Static_assert(offsetof(DMARIG_Operation, arg) == 24, "DMARIG_Operation.arg");
_Static_assert(sizeof(DMARIG_OperationResult) == 80, "size of DMARIG_OperationResult");
_Static_assert(offsetof(DMARIG_OperationResult, opcode) == 0, "DMARIG_OperationResult.opcode");
_Static_assert(offsetof(DMARIG_OperationResult, outcome) == 2, "DMARIG_OperationResult.outcome");
_Static_assert(offsetof(DMARIG_OperationResult, data_length_bytes) == 4, "DMARIG_OperationResult.data_length_bytes");
_Static_assert(offsetof(DMARIG_OperationResult, status) == 8, "DMARIG_OperationResult.status");
_Static_assert(offsetof(DMARIG_OperationResult, reserved0) == 12, "DMARIG_OperationResult.reserved0");
_Static_assert(offsetof(DMARIG_OperationResult, virtual_address) == 16, "DMARIG_OperationResult.virtual_address");
_Static_assert(offsetof(DMARIG_OperationResult, logical_address) == 24, "DMARIG_OperationResult.logical_address");
_Static_assert(offsetof(DMARIG_OperationResult, length) == 32, "DMARIG_OperationResult.length");
_Static_assert(offsetof(DMARIG_OperationResult, value) == 40, "DMARIG_OperationResult.value");
_Static_assert(offsetof(DMARIG_OperationResult, epoch) == 64, "DMARIG_OperationResult.epoch");
_Static_assert(offsetof(DMARIG_OperationResult, reserved1) == 72, "DMARIG_OperationResult.reserved1");
_Static_assert(sizeof(DMARIG_KmdfElement) == 16, "size of DMARIG_KmdfElement");
_Static_assert(offsetof(DMARIG_KmdfElement, address) == 0, "DMARIG_KmdfElement.address");
_Static_assert(offsetof(DMARIG_KmdfElement, length_bytes) == 8, "DMARIG_KmdfElement.length_bytes");
_Static_assert(sizeof(DMARIG_KmdfLogEntry) == 16, "size of DMARIG_KmdfLogEntry");
_Static_assert(offsetof(DMARIG_KmdfLogEntry, sequence) == 0, "DMARIG_KmdfLogEntry.sequence");
_Static_assert(offsetof(DMARIG_KmdfLogEntry, event) == 4, "DMARIG_KmdfLogEntry.event");
_Static_assert(offsetof(DMARIG_KmdfLogEntry, device) == 6, "DMARIG_KmdfLogEntry.device");
_Static_assert(offsetof(DMARIG_KmdfLogEntry, slot) == 8, "DMARIG_KmdfLogEntry.slot");
_Static_assert(offsetof(DMARIG_KmdfLogEntry, value) == 12, "DMARIG_KmdfLogEntry.value");
