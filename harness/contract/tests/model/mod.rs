//! A model of driver, HAL and device that keeps the contract, with switches that break it. It knows
//! the operations that the suites use, and nothing of sockets or virtual machines.

mod hal;
mod memory;

use contract::{
    BufferDeclaration, DeviceRequest, DeviceResult, IommuFault, Mapping, MappingView, NtStatus,
    Remapping, Rig, RigError, Step, StepResult, Violation,
};
use dmarig_abi::completion as c;
use dmarig_abi::descriptor as d;
use dmarig_abi::operation::{self as op, OperationResult};
use dmarig_abi::pattern::fill_pattern;
use dmarig_abi::{Iova, RequesterId};

pub use hal::Slot;
pub use memory::{Memory, PAGE};

/// Ways to break the contract, one at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The device flips a bit of the first byte of each write.
    FlipBit,
    /// The device writes nothing.
    DropWrite,
    /// The device writes one byte too many.
    WritePastEnd,
    /// FreeCommonBuffer leaves the mapping.
    LeaveMapping,
    /// The second page of a new buffer is mapped to the first page's frame.
    SplitLogical,
    /// The driver reports success for a refused call.
    ReportSuccess,
    /// The IOMMU lets everything pass that is mapped, whatever its permission.
    IgnorePermission,
    /// The IOMMU blocks, but records nothing.
    SilentBlock,
    /// A ReadOnly buffer is mapped read-write.
    MapReadWrite,
    /// An adapter of any width is given.
    AnyWidth,
    /// DMA_ADAPTER.Version is the version that was asked for.
    AdapterVersion,
    /// AllocateCommonBuffer gives an address that starts no page.
    Misaligned,
    /// Configurations of unknown types and limits that cannot be met are overlooked.
    IgnoreConfigs,
    /// A call that runs out of memory at the end leaves its mapping.
    LeakOnFailure,
    /// A call that runs out of memory reports another status.
    WrongFailure,
    /// The bounds of an allocation are ignored.
    IgnoreBounds,
    /// The device raises no interrupt.
    LoseInterrupt,
    /// The device uses its own mapping although a message is asked for.
    IgnoreMessageFlag,
}

/// Where a page leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    pub pfn: u64,
    pub read: bool,
    pub write: bool,
}

pub struct Model {
    pub remapping: Remapping,
    pub fault: Option<Fault>,
    pub memory: Memory,
    pub mappings: std::collections::BTreeMap<u64, Target>,
    pub slots: std::collections::BTreeMap<u32, Slot>,
    pub next_iova: u64,
    epoch: u64,
    faults: Vec<IommuFault>,
    /// Allocations up to and with the one that fails on order; 0 for none.
    scarce: u64,
    has_struck: bool,
}

impl Model {
    pub fn new(remapping: Remapping, fault: Option<Fault>) -> Self {
        Self {
            remapping,
            fault,
            memory: Memory::new(),
            mappings: std::collections::BTreeMap::new(),
            slots: std::collections::BTreeMap::new(),
            next_iova: 0x100_0000_0000,
            epoch: 1,
            faults: Vec::new(),
            scarce: 0,
            has_struck: false,
        }
    }

    pub fn is(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    /// Whether the allocation that comes now must fail.
    pub fn strikes(&mut self) -> bool {
        let is_it = self.scarce == 1;
        self.scarce = self.scarce.saturating_sub(1);
        self.has_struck |= is_it;
        is_it
    }

    fn translate(&self, iova: u64) -> Option<Target> {
        let page = iova & !(PAGE - 1);
        match self.remapping {
            Remapping::On => self.mappings.get(&page).copied(),
            Remapping::Off => self.memory.contains(page / PAGE).then_some(Target {
                pfn: page / PAGE,
                read: true,
                write: true,
            }),
        }
    }

    /// One request of the device: status, the bytes read or written.
    fn access(&mut self, request: DeviceRequest) -> (u16, Vec<u8>) {
        let is_write = matches!(request.opcode, d::DMA_OP_WRITE_PATTERN | d::DMA_OP_FILL);
        let mut bytes = vec![0; usize::try_from(request.length_bytes).expect("small")];
        if is_write {
            fill_pattern(request.seed, 0, &mut bytes);
            if self.is(Fault::WritePastEnd) {
                bytes.push(0xEE);
            }
        }
        for (offset, byte) in bytes.iter_mut().enumerate() {
            let iova = request.iova.raw().wrapping_add(offset as u64);
            let Some(target) = self.translate(iova) else {
                if offset as u64 >= request.length_bytes {
                    break;
                }
                return (c::DMA_STATUS_UNMAPPED, Vec::new());
            };
            let permitted = if is_write { target.write } else { target.read };
            if !permitted && !self.is(Fault::IgnorePermission) {
                if !self.is(Fault::SilentBlock) {
                    self.faults.push(IommuFault {
                        reason: if is_write { 5 } else { 6 },
                        requester: RequesterId::from_raw(0x0200),
                        page: Iova::new(iova).align_down(PAGE),
                        is_write,
                    });
                }
                return (c::DMA_STATUS_REFUSED, Vec::new());
            }
            if request.flags & d::DESCRIPTOR_FLAG_PROBE != 0 {
                continue;
            }
            let phys = target.pfn * PAGE + iova % PAGE;
            if !is_write {
                *byte = self.memory.read(phys);
            } else if !self.is(Fault::DropWrite) {
                let flip = u8::from(offset == 0 && self.is(Fault::FlipBit));
                self.memory.write(phys, *byte ^ flip);
            }
        }
        (c::DMA_STATUS_SUCCESS, bytes)
    }

    fn transfer(&mut self, operation: &op::Operation, result: &mut OperationResult) {
        let Some(Slot::Buffer(buffer)) = self.slots.get(&operation.b) else {
            result.outcome = op::OUTCOME_BAD_SLOT;
            return;
        };
        let opcode = u16::try_from(operation.arg[0] & 0xffff).expect("masked");
        let request = DeviceRequest {
            opcode,
            flags: u16::try_from((operation.arg[0] >> 16) & 0xffff).expect("masked"),
            iova: Iova::new(buffer.iova + operation.arg[1]),
            length_bytes: operation.arg[2],
            seed: operation.arg[3],
        };
        let (mut status, bytes) = self.access(request);
        result.value[0] = u64::from(crc32c::crc32c(&bytes));
        result.value[1] = u64::MAX;
        if opcode == d::DMA_OP_VERIFY_PATTERN
            && status == c::DMA_STATUS_SUCCESS
            && let Some((offset, expected, seen)) = mismatch(&bytes, request.seed)
        {
            status = c::DMA_STATUS_MISMATCH;
            result.value[1] = offset;
            result.value[2] = (u64::from(expected) << 16) | (u64::from(seen) << 24);
        }
        result.value[2] |= u64::from(status);
        if request.flags & d::DESCRIPTOR_FLAG_MESSAGE != 0 && !self.is(Fault::IgnoreMessageFlag) {
            result.value[2] |= op::TRANSFER_VALUE_BY_MESSAGE;
        }
        let mode = operation.arg[0] >> 32;
        let asks = mode == op::TRANSFER_REGISTER_INTERRUPT || mode == op::TRANSFER_RING_INTERRUPT;
        if asks && !self.is(Fault::LoseInterrupt) {
            result.value[2] |= op::TRANSFER_VALUE_INTERRUPT_SEEN;
        }
        result.length = if status == c::DMA_STATUS_REFUSED {
            0
        } else {
            request.length_bytes
        };
    }
}

/// The first byte that differs from the pattern.
pub fn mismatch(bytes: &[u8], seed: u64) -> Option<(u64, u8, u8)> {
    let mut pattern = vec![0; bytes.len()];
    fill_pattern(seed, 0, &mut pattern);
    let offset = pattern.iter().zip(bytes).position(|(a, b)| a != b)?;
    Some((offset as u64, pattern[offset], bytes[offset]))
}

impl Rig for Model {
    fn remapping(&self) -> Remapping {
        self.remapping
    }

    fn stored(&mut self, _context: u16, _steps: &[Step]) -> Result<Vec<StepResult>, RigError> {
        Err(RigError("the model has no early contexts".into()))
    }

    fn command(&mut self, line: &str) -> Result<NtStatus, RigError> {
        const NOT_FOUND: NtStatus = NtStatus(0xC000_0225);
        match line.strip_prefix("low-resources ") {
            Some("end") => {
                self.scarce = 0;
                let has_struck = std::mem::take(&mut self.has_struck);
                Ok(if has_struck {
                    NtStatus::SUCCESS
                } else {
                    NOT_FOUND
                })
            }
            Some(number) => {
                self.scarce = number.parse().expect("a number");
                Ok(NtStatus::SUCCESS)
            }
            None => Err(RigError(format!(
                "the model takes no order, such as {line}"
            ))),
        }
    }

    fn run(&mut self, _context: u16, steps: &[Step]) -> Result<Vec<StepResult>, RigError> {
        let mut results = Vec::new();
        for step in steps {
            let mut result = StepResult::default();
            result.result.opcode = step.operation.opcode;
            if step.operation.opcode == op::OP_DEVICE_TRANSFER {
                self.transfer(&step.operation, &mut result.result);
            } else {
                self.step(step, &mut result);
            }
            results.push(result);
        }
        Ok(results)
    }

    fn mappings(&mut self) -> Result<MappingView, RigError> {
        self.epoch += 1;
        let mapping = |page: u64, target: Target| Mapping {
            iova: Iova::new(page),
            size_bytes: PAGE,
            writable: target.write,
            guest_phys: Some(target.pfn * PAGE),
        };
        let mappings = match self.remapping {
            Remapping::On => self
                .mappings
                .iter()
                .map(|(page, t)| mapping(*page, *t))
                .collect(),
            Remapping::Off => vec![Mapping {
                iova: Iova::new(0),
                size_bytes: self.memory.size_bytes(),
                writable: true,
                guest_phys: Some(0),
            }],
        };
        Ok(MappingView {
            epoch: self.epoch,
            mappings,
        })
    }

    fn device(&mut self, request: DeviceRequest) -> Result<DeviceResult, RigError> {
        let (status, bytes) = self.access(request);
        Ok(DeviceResult {
            status,
            crc32c: crc32c::crc32c(&bytes),
            mismatch_offset: None,
            done_bytes: bytes
                .len()
                .min(usize::try_from(request.length_bytes).expect("small"))
                as u64,
            by_message: request.flags & d::DESCRIPTOR_FLAG_MESSAGE != 0,
        })
    }

    fn declare(&mut self, _declaration: &BufferDeclaration) -> Result<u64, RigError> {
        Ok(0)
    }

    fn undeclare(&mut self, _id: u64) -> Result<(), RigError> {
        Ok(())
    }

    fn take_violations(&mut self) -> Result<Vec<Violation>, RigError> {
        Ok(Vec::new())
    }

    fn take_faults(&mut self, _expect_one: bool) -> Result<Vec<IommuFault>, RigError> {
        Ok(std::mem::take(&mut self.faults))
    }

    fn take_guest_findings(&mut self) -> Result<Vec<String>, RigError> {
        Ok(Vec::new())
    }

    fn requester(&self) -> Option<RequesterId> {
        Some(RequesterId::from_raw(0x0200))
    }
}
