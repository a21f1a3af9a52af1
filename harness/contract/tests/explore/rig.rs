//! The fake's device, IOMMU and memory.

use std::collections::{BTreeMap, BTreeSet};

use contract::{
    BufferDeclaration, DeviceRequest, DeviceResult, IommuFault, Mapping, MappingView, NtStatus,
    Remapping, Rig, RigError, Step, StepResult, Violation,
};
use dmarig_abi::completion as c;
use dmarig_abi::descriptor as d;
use dmarig_abi::operation::{self as op, OperationResult};
use dmarig_abi::pattern::{fill_pattern, pattern_byte};
use dmarig_abi::{Iova, RequesterId};

use super::driver::{Object, Slots};

pub const PAGE: u64 = 0x1000;
pub const MEMORY_BYTES: u64 = 256 << 20;
/// What memory holds before anybody writes.
const POISON: u8 = 0xB5;
/// Frames are handed out from here on, so that adapters of 24 bits miss some and reach others.
const FIRST_FRAME: u64 = 0xF00;
/// The first frame of the system's own memory.
pub const FIRST_SYSTEM_FRAME: u64 = 0x100;

/// Ways to break the rules, one at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The device flips a bit of the first byte that it writes.
    FlipBit,
    /// The device writes nothing.
    DropWrite,
    /// The device raises no interrupt.
    LoseInterrupt,
    /// The device uses its own mapping although a message is asked for.
    IgnoreMessageFlag,
    /// The device leaves the last byte out.
    MoveLess,
    /// FreeCommonBuffer leaves the mapping.
    LeaveMapping,
    /// The second page of a buffer leads to the first one's frame.
    SplitLogical,
    /// A ReadOnly buffer is mapped read-write.
    MapReadWrite,
    /// An MDL tells another first frame each time.
    WrongFrame,
    /// CreateCommonBufferFromMdl succeeds whatever it is given.
    IgnoreRules,
    /// The bounds of an allocation do not count.
    IgnoreBounds,
    /// An object is not counted when everything is released.
    ForgetObject,
}

/// Bytes in frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    pub frames: Vec<u64>,
    /// Of the first byte in the first frame.
    pub offset: u64,
    pub len: u64,
}

impl View {
    fn phys(&self, position: u64) -> Option<u64> {
        let at = self.offset + position;
        let frame = self.frames.get(usize::try_from(at / PAGE).ok()?)?;
        Some(frame * PAGE + at % PAGE)
    }

    /// Part of it.
    pub fn part(&self, offset: u64, len: u64) -> Self {
        let at = self.offset + offset;
        let first = usize::try_from(at / PAGE).expect("small");
        let count = usize::try_from((at % PAGE + len).div_ceil(PAGE)).expect("small");
        let frames = self.frames.iter().skip(first).take(count).copied();
        Self {
            frames: frames.collect(),
            offset: at % PAGE,
            len,
        }
    }
}

pub struct FakeRig {
    pub remapping: Remapping,
    pub fault: Option<Fault>,
    pub slots: Slots,
    pub mappings: BTreeMap<u64, (u64, bool)>,
    memory: BTreeMap<u64, u8>,
    used: BTreeSet<u64>,
    n_queries: u64,
}

impl FakeRig {
    pub fn new(remapping: Remapping, fault: Option<Fault>) -> Self {
        Self {
            remapping,
            fault,
            slots: Slots::default(),
            mappings: BTreeMap::new(),
            memory: BTreeMap::new(),
            used: BTreeSet::new(),
            n_queries: 0,
        }
    }

    pub fn is(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    /// Frames of a driver's memory; every other one if they are to be scattered.
    pub fn frames(&mut self, len: u64, is_contiguous: bool) -> Vec<u64> {
        let stride = if is_contiguous { 1 } else { 2 };
        self.frames_from(FIRST_FRAME, len, stride)
    }

    /// Frames in ascending order, the first one not below `first`, that nobody has had.
    pub fn frames_from(&mut self, first: u64, len: u64, stride: u64) -> Vec<u64> {
        let pages = len.div_ceil(PAGE);
        let mut start = first;
        while let Some(last) = self.used.range(start..start + pages * stride).next_back() {
            start = last + 1;
        }
        let frames: Vec<u64> = (0..pages).map(|index| start + index * stride).collect();
        self.used.extend(&frames);
        frames
    }

    fn read(&self, view: &View, position: u64) -> u8 {
        let phys = view.phys(position).expect("inside");
        self.memory.get(&phys).copied().unwrap_or(POISON)
    }

    fn write(&mut self, view: &View, seed: u64) {
        for position in 0..view.len {
            let phys = view.phys(position).expect("inside");
            self.memory.insert(phys, pattern_byte(seed, position));
        }
    }

    /// Compares with a pattern: CRC, offset of the first difference, expected and seen byte.
    fn compare(&self, view: &View, seed: u64) -> (u32, u64, u64) {
        let bytes: Vec<u8> = (0..view.len).map(|at| self.read(view, at)).collect();
        let wrong = (0..view.len)
            .zip(&bytes)
            .find(|(at, byte)| pattern_byte(seed, *at) != **byte);
        let crc = crc32c::crc32c(&bytes);
        wrong.map_or((crc, u64::MAX, 0), |(at, seen)| {
            let expected = u64::from(pattern_byte(seed, at));
            (crc, at, expected | (u64::from(*seen) << 8))
        })
    }

    pub fn cpu(&mut self, operation: &op::Operation, result: &mut OperationResult) {
        let Some(view) = self.slots.view(operation.a) else {
            result.outcome = op::OUTCOME_BAD_SLOT;
            return;
        };
        let [offset, len, seed, ..] = operation.arg;
        if offset > view.len || len > view.len - offset {
            result.outcome = op::OUTCOME_BAD_ARGUMENT;
            return;
        }
        let range = view.part(offset, len);
        if operation.opcode == op::OP_CPU_FILL {
            self.write(&range, seed);
        } else {
            let (crc, at, bytes) = self.compare(&range, seed);
            result.value = [crc.into(), at, bytes];
        }
    }

    pub fn transfer(&mut self, operation: &op::Operation, result: &mut OperationResult) {
        let Some(Object::Buffer(buffer)) = self.slots.get(operation.b).cloned() else {
            result.outcome = op::OUTCOME_BAD_SLOT;
            return;
        };
        let [command, offset, len, seed, _] = operation.arg;
        let mode = command >> 32;
        if mode >= op::TRANSFER_RING_POLL && !self.slots.has_ring(operation.c) {
            result.outcome = op::OUTCOME_BAD_SLOT;
            return;
        }
        let moved = len - u64::from(self.is(Fault::MoveLess));
        let range = buffer.view.part(offset, moved);
        let opcode = u16::try_from(command & 0xffff).expect("masked");
        let mut status = c::DMA_STATUS_SUCCESS;
        result.logical_address = buffer.iova + offset;
        result.length = moved;
        if opcode == d::DMA_OP_WRITE_PATTERN {
            if !self.is(Fault::DropWrite) {
                self.write(&range, seed);
            }
            if self.is(Fault::FlipBit) {
                let phys = range.phys(0).expect("inside");
                *self.memory.entry(phys).or_default() ^= 1;
            }
            let mut bytes = vec![0; usize::try_from(moved).expect("small")];
            fill_pattern(seed, 0, &mut bytes);
            result.value = [crc32c::crc32c(&bytes).into(), u64::MAX, 0];
        } else {
            let (crc, at, bytes) = self.compare(&range, seed);
            let is_verify = opcode == d::DMA_OP_VERIFY_PATTERN;
            if is_verify && at != u64::MAX {
                status = c::DMA_STATUS_MISMATCH;
            }
            let shown = if is_verify {
                (at, bytes << 16)
            } else {
                (u64::MAX, 0)
            };
            result.value = [crc.into(), shown.0, shown.1];
        }
        let flags = u16::try_from((command >> 16) & 0xffff).expect("masked");
        let by_message = flags & d::DESCRIPTOR_FLAG_MESSAGE != 0;
        let by_interrupt =
            mode == op::TRANSFER_REGISTER_INTERRUPT || mode == op::TRANSFER_RING_INTERRUPT;
        result.value[2] |= u64::from(status);
        if by_message && !self.is(Fault::IgnoreMessageFlag) {
            result.value[2] |= op::TRANSFER_VALUE_BY_MESSAGE;
        }
        if by_interrupt && !self.is(Fault::LoseInterrupt) {
            result.value[2] |= op::TRANSFER_VALUE_INTERRUPT_SEEN;
        }
    }

    /// The frame that an MDL tells in the place of its first one.
    pub fn told_frame(&mut self, frame: u64) -> u64 {
        self.n_queries += 1;
        if self.is(Fault::WrongFrame) {
            frame + self.n_queries
        } else {
            frame
        }
    }
}

impl Rig for FakeRig {
    fn remapping(&self) -> Remapping {
        self.remapping
    }

    fn run(&mut self, _context: u16, steps: &[Step]) -> Result<Vec<StepResult>, RigError> {
        Ok(steps.iter().map(|step| self.carry_out(step)).collect())
    }

    fn stored(&mut self, _context: u16, _steps: &[Step]) -> Result<Vec<StepResult>, RigError> {
        Err(RigError("no program is stored here".into()))
    }

    fn command(&mut self, line: &str) -> Result<NtStatus, RigError> {
        Err(RigError(format!("no order is taken here: {line}")))
    }

    fn mappings(&mut self) -> Result<MappingView, RigError> {
        let mapping = |iova: u64, size_bytes, writable, phys| Mapping {
            iova: Iova::new(iova),
            size_bytes,
            writable,
            guest_phys: Some(phys),
        };
        let mappings = match self.remapping {
            Remapping::Off => vec![mapping(0, MEMORY_BYTES, true, 0)],
            Remapping::On => self
                .mappings
                .iter()
                .map(|(iova, (frame, writable))| mapping(*iova, PAGE, *writable, frame * PAGE))
                .collect(),
        };
        Ok(MappingView { epoch: 1, mappings })
    }

    fn device(&mut self, request: DeviceRequest) -> Result<DeviceResult, RigError> {
        let is_mapped = self.mappings.contains_key(&request.iova.raw());
        Ok(DeviceResult {
            status: if is_mapped {
                c::DMA_STATUS_SUCCESS
            } else {
                c::DMA_STATUS_UNMAPPED
            },
            crc32c: 0,
            mismatch_offset: None,
            done_bytes: 0,
            by_message: false,
        })
    }

    fn declare(&mut self, _declaration: &BufferDeclaration) -> Result<u64, RigError> {
        Ok(1)
    }

    fn undeclare(&mut self, _id: u64) -> Result<(), RigError> {
        Ok(())
    }

    fn take_violations(&mut self) -> Result<Vec<Violation>, RigError> {
        Ok(Vec::new())
    }

    fn take_faults(&mut self, _expect_one: bool) -> Result<Vec<IommuFault>, RigError> {
        Ok(Vec::new())
    }

    fn take_guest_findings(&mut self) -> Result<Vec<String>, RigError> {
        Ok(Vec::new())
    }

    fn requester(&self) -> Option<RequesterId> {
        None
    }
}
