//! [`Step`]: one operation of the driver with its data, built by name; [`StepResult`]: what came back.

mod adapter;
mod allocation;
mod device;
mod kmdf;
mod kmdf_io;
mod kmdf_transaction;
mod misuse;
mod sources;
mod transfer;

use dmarig_abi::completion::{DMA_STATUS_MISMATCH, DMA_STATUS_SUCCESS};
use dmarig_abi::operation::{self as op, Operation, OperationResult};
use serde::{Deserialize, Serialize};

use crate::bench::{describe_dma_status, transfer_status};
use crate::device_description::DeviceDescription;
use crate::extended_config::ExtendedConfig;
use crate::nt_status::NtStatus;

pub use adapter::VectorRequest;
pub use allocation::Routine;
pub use kmdf::Creation;
pub use kmdf_io::{Deferred, QueueMode, Request};
pub use kmdf_transaction::Completion;
pub use misuse::FreedAs;
pub use transfer::{Action, Bytes, RequestForm};

/// How the driver starts a transfer and learns of its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TransferMode {
    /// Channel registers, polled.
    RegisterPoll,
    /// Channel registers, interrupt and DPC.
    RegisterInterrupt,
    /// Descriptor ring, completion entry polled.
    RingPoll,
    /// Descriptor ring, interrupt and DPC.
    RingInterrupt,
}

impl TransferMode {
    const fn raw(self) -> u64 {
        match self {
            Self::RegisterPoll => op::TRANSFER_REGISTER_POLL,
            Self::RegisterInterrupt => op::TRANSFER_REGISTER_INTERRUPT,
            Self::RingPoll => op::TRANSFER_RING_POLL,
            Self::RingInterrupt => op::TRANSFER_RING_INTERRUPT,
        }
    }
}

/// One operation and its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The record; its data length is set when the program is encoded.
    pub operation: Operation,
    /// The data.
    pub data: Vec<u8>,
}

/// A transfer of the device under test, started by the driver.
#[derive(Clone, Copy, Debug)]
pub struct Transfer {
    /// DUT number.
    pub device: u32,
    /// Channel number.
    pub channel: u32,
    /// One of `DMA_OP_*`.
    pub opcode: u16,
    /// Bits of `DESCRIPTOR_FLAG_*`.
    pub flags: u16,
    /// How to start and end.
    pub mode: TransferMode,
    /// Buffer slot.
    pub buffer: u32,
    /// Offset in the buffer.
    pub offset: u64,
    /// Length in bytes.
    pub length_bytes: u64,
    /// Seed.
    pub seed: u64,
}

pub(crate) fn step(opcode: u16, dst: u32, a: u32, b: u32, arg: [u64; 5]) -> Step {
    Step {
        operation: Operation {
            opcode,
            dst,
            a,
            b,
            arg,
            ..Operation::default()
        },
        data: Vec::new(),
    }
}

impl Step {
    /// An operation on object `a` that has no name of its own here.
    pub(crate) fn of(opcode: u16, dst: u32, a: u32, arg: [u64; 5]) -> Self {
        step(opcode, dst, a, 0, arg)
    }

    /// Echo.
    #[must_use]
    pub fn ping(value: u64) -> Self {
        step(op::OP_PING, op::SLOT_NONE, 0, 0, [value, 0, 0, 0, 0])
    }

    /// What the driver is.
    #[must_use]
    pub fn query_driver() -> Self {
        step(op::OP_QUERY_DRIVER, op::SLOT_NONE, 0, 0, [0; 5])
    }

    /// The response that the last program of an early context left.
    #[must_use]
    pub fn fetch_stored(context: u16) -> Self {
        step(
            op::OP_FETCH_STORED,
            op::SLOT_NONE,
            context.into(),
            0,
            [0; 5],
        )
    }

    /// Release everything in slots.
    #[must_use]
    pub fn release_all() -> Self {
        step(op::OP_RELEASE_ALL, op::SLOT_NONE, 0, 0, [0; 5])
    }

    /// Repeat the next `n_steps` steps.
    #[must_use]
    pub fn repeat(times: u64, n_steps: u64) -> Self {
        step(op::OP_LOOP, op::SLOT_NONE, 0, 0, [times, n_steps, 0, 0, 0])
    }

    /// IoGetDmaAdapter.
    #[must_use]
    pub fn adapter_open(dst: u32, device: u32, description: DeviceDescription) -> Self {
        let mut step = step(op::OP_ADAPTER_OPEN, dst, device, 0, [0; 5]);
        step.data = description.to_bytes();
        step
    }

    /// PutDmaAdapter.
    #[must_use]
    pub fn adapter_put(adapter: u32) -> Self {
        step(op::OP_ADAPTER_PUT, op::SLOT_NONE, adapter, 0, [0; 5])
    }

    /// AllocateCommonBufferWithBounds with cache type MmCached and no flags.
    #[must_use]
    pub fn buffer_allocate_with_bounds(
        dst: u32,
        adapter: u32,
        length_bytes: u64,
        minimum: Option<u64>,
        maximum: Option<u64>,
    ) -> Self {
        const MM_CACHED: u64 = 1;
        let mut step = step(
            op::OP_BUFFER_ALLOCATE_WITH_BOUNDS,
            dst,
            adapter,
            0,
            [
                length_bytes,
                minimum.unwrap_or(0),
                maximum.unwrap_or(0),
                MM_CACHED << 32,
                0,
            ],
        );
        step.operation.flags = op::OP_FLAG_CACHE_TYPE
            | minimum.map_or(0, |_| op::OP_FLAG_MINIMUM)
            | maximum.map_or(0, |_| op::OP_FLAG_MAXIMUM);
        step
    }

    /// CreateCommonBufferFromMdl; `None` passes a NULL array. `covered` is the byte range of the MDL
    /// chain that the buffer is to cover.
    #[must_use]
    pub fn buffer_create_from_mdl(
        dst: u32,
        adapter: u32,
        mdl: u32,
        configs: Option<&[ExtendedConfig]>,
        covered: Option<(u64, u64)>,
    ) -> Self {
        let (offset, length) = covered.unwrap_or((0, 0));
        let count = configs.map_or(0, <[_]>::len) as u64;
        let mut step = step(
            op::OP_BUFFER_CREATE_FROM_MDL,
            dst,
            adapter,
            mdl,
            [count, offset, length, 0, 0],
        );
        match configs {
            None => step.operation.flags = op::OP_FLAG_NULL_CONFIGS,
            Some(configs) => {
                step.data = configs
                    .iter()
                    .flat_map(|config| config.to_bytes())
                    .collect();
            }
        }
        step
    }

    /// FreeCommonBuffer with the values of its creation.
    #[must_use]
    pub fn buffer_free(buffer: u32) -> Self {
        step(op::OP_BUFFER_FREE, op::SLOT_NONE, buffer, 0, [0; 5])
    }

    /// ExAllocatePool2(NonPagedNx).
    #[must_use]
    pub fn pool_allocate(dst: u32, length_bytes: u64) -> Self {
        let kind = op::MEMORY_NONPAGED_POOL;
        step(
            op::OP_MEMORY_ALLOCATE,
            dst,
            0,
            0,
            [kind, length_bytes, 0, u64::MAX, 0],
        )
    }

    /// MmAllocateContiguousMemorySpecifyCache, cached, anywhere.
    #[must_use]
    pub fn contiguous_allocate(dst: u32, length_bytes: u64) -> Self {
        let kind = op::MEMORY_CONTIGUOUS;
        let highest = i64::MAX.cast_unsigned();
        step(
            op::OP_MEMORY_ALLOCATE,
            dst,
            0,
            0,
            [kind, length_bytes, 0, highest, 0],
        )
    }

    /// Frees memory.
    #[must_use]
    pub fn memory_free(memory: u32) -> Self {
        step(op::OP_MEMORY_FREE, op::SLOT_NONE, memory, 0, [0; 5])
    }

    /// IoAllocateMdl over part of a memory.
    #[must_use]
    pub fn mdl_allocate(dst: u32, memory: u32, offset: u64, length_bytes: u64) -> Self {
        step(
            op::OP_MDL_ALLOCATE,
            dst,
            memory,
            0,
            [offset, length_bytes, 0, 0, 0],
        )
    }

    /// IoFreeMdl.
    #[must_use]
    pub fn mdl_free(mdl: u32) -> Self {
        step(op::OP_MDL_FREE, op::SLOT_NONE, mdl, 0, [0; 5])
    }

    /// MmBuildMdlForNonPagedPool.
    #[must_use]
    pub fn mdl_build_nonpaged(mdl: u32) -> Self {
        step(op::OP_MDL_BUILD_NONPAGED, op::SLOT_NONE, mdl, 0, [0; 5])
    }

    /// MmProbeAndLockPages(KernelMode, IoModifyAccess).
    #[must_use]
    pub fn mdl_probe_and_lock(mdl: u32) -> Self {
        const IO_MODIFY_ACCESS: u64 = 2;
        step(
            op::OP_MDL_PROBE_AND_LOCK,
            op::SLOT_NONE,
            mdl,
            0,
            [IO_MODIFY_ACCESS, 0, 0, 0, 0],
        )
    }

    /// MmUnlockPages.
    #[must_use]
    pub fn mdl_unlock(mdl: u32) -> Self {
        step(op::OP_MDL_UNLOCK, op::SLOT_NONE, mdl, 0, [0; 5])
    }

    /// MmGetSystemAddressForMdlSafe(NormalPagePriority | MdlMappingNoExecute).
    #[must_use]
    pub fn mdl_map(mdl: u32) -> Self {
        const NORMAL_NO_EXECUTE: u64 = 16 | 0x4000_0000;
        step(
            op::OP_MDL_MAP,
            op::SLOT_NONE,
            mdl,
            0,
            [NORMAL_NO_EXECUTE, 0, 0, 0, 0],
        )
    }

    /// MmAllocatePagesForMdlEx anywhere, cached, with `flags` of that call.
    #[must_use]
    pub fn mdl_allocate_pages(dst: u32, length_bytes: u64, flags: u32) -> Self {
        const MM_CACHED: u64 = 1;
        let highest = i64::MAX.cast_unsigned();
        let flags = u64::from(flags) | (MM_CACHED << 32);
        step(
            op::OP_MDL_ALLOCATE_PAGES,
            dst,
            0,
            0,
            [0, highest, 0, length_bytes, flags],
        )
    }

    /// MmFreePagesFromMdl and ExFreePool.
    #[must_use]
    pub fn mdl_free_pages(mdl: u32) -> Self {
        step(op::OP_MDL_FREE_PAGES, op::SLOT_NONE, mdl, 0, [0; 5])
    }

    /// Next of one MDL.
    #[must_use]
    pub fn mdl_chain(mdl: u32, next: Option<u32>) -> Self {
        let next = next.unwrap_or(op::SLOT_NONE);
        step(op::OP_MDL_CHAIN, op::SLOT_NONE, mdl, next, [0; 5])
    }

    /// Reads an MDL and its PFNs.
    #[must_use]
    pub fn mdl_query(mdl: u32) -> Self {
        step(op::OP_MDL_QUERY, op::SLOT_NONE, mdl, 0, [0; 5])
    }

    /// The CPU writes the pattern.
    #[must_use]
    pub fn cpu_fill(object: u32, offset: u64, length_bytes: u64, seed: u64) -> Self {
        step(
            op::OP_CPU_FILL,
            op::SLOT_NONE,
            object,
            0,
            [offset, length_bytes, seed, 0, 0],
        )
    }

    /// The CPU compares with the pattern.
    #[must_use]
    pub fn cpu_check(object: u32, offset: u64, length_bytes: u64, seed: u64) -> Self {
        step(
            op::OP_CPU_CHECK,
            op::SLOT_NONE,
            object,
            0,
            [offset, length_bytes, seed, 0, 0],
        )
    }

    /// The CPU reads at most 4096 bytes, which are the result's data.
    #[must_use]
    pub fn cpu_read(object: u32, offset: u64, length_bytes: u64) -> Self {
        let arg = [offset, length_bytes, 0, 0, 0];
        step(op::OP_CPU_READ, op::SLOT_NONE, object, 0, arg)
    }

    /// The CPU writes these bytes.
    #[must_use]
    pub fn cpu_write(object: u32, offset: u64, bytes: &[u8]) -> Self {
        let arg = [offset, 0, 0, 0, 0];
        Self {
            data: bytes.to_vec(),
            ..step(op::OP_CPU_WRITE, op::SLOT_NONE, object, 0, arg)
        }
    }

    /// The driver waits, at most a second.
    #[must_use]
    pub fn delay(microseconds: u64) -> Self {
        let arg = [microseconds, 0, 0, 0, 0];
        step(op::OP_DELAY, op::SLOT_NONE, 0, 0, arg)
    }

    /// The driver rings a channel and waits.
    #[must_use]
    pub fn device_transfer(transfer: Transfer) -> Self {
        let command = u64::from(transfer.opcode)
            | (u64::from(transfer.flags) << 16)
            | (transfer.mode.raw() << 32);
        let mut step = step(
            op::OP_DEVICE_TRANSFER,
            op::SLOT_NONE,
            transfer.device,
            transfer.buffer,
            [
                command,
                transfer.offset,
                transfer.length_bytes,
                transfer.seed,
                0,
            ],
        );
        step.operation.c = transfer.channel;
        step
    }

    /// Lets the driver recover: bounded wait, reset, another attempt. For [`Step::device_transfer`].
    #[must_use]
    pub fn recovering(mut self) -> Self {
        self.operation.flags |= op::OP_FLAG_RECOVER;
        self
    }

    /// Reads a 32-bit register of a device under test.
    #[must_use]
    pub fn read_register(device: u32, offset: u64) -> Self {
        step(
            op::OP_DEVICE_READ_REGISTER,
            op::SLOT_NONE,
            device,
            0,
            [offset, 4, 0, 0, 0],
        )
    }

    /// Reads a 64-bit register of a device under test.
    #[must_use]
    pub fn read_register_64(device: u32, offset: u64) -> Self {
        let arg = [offset, 8, 0, 0, 0];
        step(op::OP_DEVICE_READ_REGISTER, op::SLOT_NONE, device, 0, arg)
    }

    /// Writes a 32-bit register of a device under test.
    #[must_use]
    pub fn write_register(device: u32, offset: u64, value: u64) -> Self {
        step(
            op::OP_DEVICE_WRITE_REGISTER,
            op::SLOT_NONE,
            device,
            0,
            [offset, 4, value, 0, 0],
        )
    }

    /// Writes a 64-bit register of a device under test.
    #[must_use]
    pub fn write_register_64(device: u32, offset: u64, value: u64) -> Self {
        let arg = [offset, 8, value, 0, 0];
        step(op::OP_DEVICE_WRITE_REGISTER, op::SLOT_NONE, device, 0, arg)
    }

    /// Opens a channel's rings.
    #[must_use]
    pub fn ring_open(dst: u32, device: u32, adapter: u32, channel: u32, entries: u64) -> Self {
        let mut step = step(
            op::OP_RING_OPEN,
            dst,
            device,
            adapter,
            [entries, 0, 0, 0, 0],
        );
        step.operation.c = channel;
        step
    }

    /// Closes them.
    #[must_use]
    pub fn ring_close(ring: u32) -> Self {
        step(op::OP_RING_CLOSE, op::SLOT_NONE, ring, 0, [0; 5])
    }
}

/// What one step gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepResult {
    /// The record.
    pub result: OperationResult,
    /// The data.
    pub data: Vec<u8>,
}

impl StepResult {
    /// The call's status.
    #[must_use]
    pub const fn status(&self) -> NtStatus {
        NtStatus(self.result.status)
    }

    /// Whether the call was made and succeeded.
    #[must_use]
    pub const fn is_success(&self) -> bool {
        self.result.outcome == op::OUTCOME_DONE && self.status().is_success()
    }

    /// What the driver reports in place of success, in words: of a transfer also the device's status.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        if !self.is_success() {
            return Some(self.describe());
        }
        let status = transfer_status(self);
        let is_answer = matches!(status, DMA_STATUS_SUCCESS | DMA_STATUS_MISMATCH);
        let is_transfer = self.result.opcode == op::OP_DEVICE_TRANSFER;
        (is_transfer && !is_answer).then(|| describe_dma_status(status))
    }

    /// Outcome and status in words, for messages.
    #[must_use]
    pub fn describe(&self) -> String {
        let outcome = match self.result.outcome {
            op::OUTCOME_DONE => return self.status().to_string(),
            op::OUTCOME_NULL => "NULL",
            op::OUTCOME_RAISED => return format!("raised {}", self.status()),
            op::OUTCOME_MEMBER_MISSING => "no such member in the adapter's table",
            op::OUTCOME_BAD_SLOT => "empty or wrong slot",
            op::OUTCOME_BAD_ARGUMENT => "argument out of the interpreter's bounds",
            op::OUTCOME_UNKNOWN => "operation unknown to the driver",
            op::OUTCOME_SKIPPED => "skipped after an earlier failure",
            op::OUTCOME_TIMEOUT => "the device did not end the request in time",
            op::OUTCOME_WRONG_IRQL => "not allowed at this IRQL",
            op::OUTCOME_NO_MEMORY => "the driver had no memory",
            op::OUTCOME_NO_DEVICE => "no such device under test",
            _ => return format!("unknown outcome {:#x}", self.result.outcome),
        };
        outcome.to_owned()
    }
}
