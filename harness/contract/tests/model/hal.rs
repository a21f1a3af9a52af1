//! The model's driver operations: memory, MDLs and common buffers, by the rules of the documents.

use contract::{Remapping, Step, StepResult};
use dmarig_abi::operation as op;

use super::{Fault, Model, PAGE, Target, mismatch};

const INVALID_PARAMETER: u32 = 0xC000_000D;
const NOT_SUPPORTED: u32 = 0xC000_00BB;
const INSUFFICIENT_RESOURCES: u32 = 0xC000_009A;
/// Allocations of a call besides one for each page.
const FIXED_ALLOCATIONS: usize = 3;

#[derive(Clone, Debug)]
pub struct Mdl {
    pfns: Vec<u64>,
    byte_offset: u64,
    length: u64,
    built: bool,
    mapped: bool,
    next: Option<u32>,
}

#[derive(Clone, Copy, Debug)]
pub struct Adapter {
    width: u32,
    version: u32,
}

#[derive(Clone, Debug)]
pub struct Buffer {
    pub iova: u64,
    pub pfns: Vec<u64>,
}

#[derive(Clone, Debug)]
pub enum Slot {
    Adapter(Adapter),
    Memory(Vec<u64>),
    Mdl(Mdl),
    Buffer(Buffer),
}

struct Configs {
    limits: (u64, u64),
    section: Option<(u64, u64)>,
    access: u32,
}

impl Model {
    /// Every operation but the transfer.
    pub fn step(&mut self, step: &Step, result: &mut StepResult) {
        let o = &step.operation;
        match o.opcode {
            op::OP_RELEASE_ALL => {
                self.slots.clear();
                self.mappings.clear();
            }
            op::OP_ADAPTER_OPEN => {
                self.open(step, result);
            }
            op::OP_ADAPTER_PUT => drop(self.slots.remove(&o.a)),
            op::OP_ADAPTER_ALIGNMENT => result.result.value[0] = 1,
            op::OP_RING_OPEN | op::OP_DEVICE_READ_REGISTER | op::OP_DEVICE_WRITE_REGISTER => {}
            op::OP_MEMORY_ALLOCATE => {
                let pfns = self.memory.allocate(o.arg[1].div_ceil(PAGE), false);
                self.slots.insert(o.dst, Slot::Memory(pfns));
            }
            op::OP_MDL_ALLOCATE => self.new_mdl(o),
            op::OP_MDL_ALLOCATE_PAGES => {
                self.new_mdl(o);
                result.result.length = o.arg[3];
            }
            op::OP_MDL_BUILD_NONPAGED
            | op::OP_MDL_PROBE_AND_LOCK
            | op::OP_MDL_MAP
            | op::OP_MDL_CHAIN => self.change_mdl(o),
            op::OP_MDL_QUERY => self.query_mdl(o.a, result),
            op::OP_BUFFER_CREATE_FROM_MDL => self.create_from_mdl(step, result),
            op::OP_BUFFER_ALLOCATE | op::OP_BUFFER_ALLOCATE_EX => self.allocate(o, result),
            op::OP_BUFFER_ALLOCATE_WITH_BOUNDS => self.allocate(o, result),
            op::OP_MDL_BUILD_PARTIAL => self.new_partial(o),
            op::OP_CPU_READ => result.data = vec![0xB5; usize::try_from(o.arg[1]).expect("small")],
            op::OP_BUFFER_FREE => self.free(o.a),
            op::OP_CPU_FILL | op::OP_CPU_CHECK => self.cpu(o, result),
            other => panic!("the model does not know operation {other:#x}"),
        }
    }

    fn open(&mut self, step: &Step, result: &mut StepResult) {
        let word =
            |at: usize| u32::from_le_bytes(step.data[at..at + 4].try_into().expect("4 bytes"));
        let width = match word(0) {
            3 => word(0x28),
            _ if step.data[0x0b] != 0 => 64,
            _ => 32,
        };
        if !(24..=64).contains(&width) && !self.is(Fault::AnyWidth) {
            result.result.outcome = op::OUTCOME_NULL;
            return;
        }
        if self.strikes() || self.strikes() {
            result.result.outcome = op::OUTCOME_NULL;
            return;
        }
        let registers = u64::from(word(0x20) & 0x7fff_ffff).div_ceil(PAGE) + 1;
        result.result.value = [registers.clamp(2, 0xf_ffff), 0x68, 1];
        if self.is(Fault::AdapterVersion) {
            result.result.value[2] = word(0).into();
        }
        let adapter = Adapter {
            width: width.clamp(1, 64),
            version: word(0),
        };
        self.slots
            .insert(step.operation.dst, Slot::Adapter(adapter));
    }

    fn new_partial(&mut self, o: &op::Operation) {
        let source = self.mdl(o.a);
        let first = usize::try_from(o.arg[0] / PAGE).expect("small");
        let mdl = Mdl {
            pfns: source.pfns[first..].to_vec(),
            byte_offset: o.arg[0] % PAGE,
            length: o.arg[1],
            built: source.built,
            mapped: source.mapped,
            next: None,
        };
        self.slots.insert(o.dst, Slot::Mdl(mdl));
    }

    fn new_mdl(&mut self, o: &op::Operation) {
        let mdl = if o.opcode == op::OP_MDL_ALLOCATE_PAGES {
            let scattered = o.arg[4] & 0x20 == 0;
            Mdl {
                pfns: self.memory.allocate(o.arg[3] / PAGE, scattered),
                byte_offset: 0,
                length: o.arg[3],
                built: true,
                mapped: false,
                next: None,
            }
        } else {
            let Some(Slot::Memory(pfns)) = self.slots.get(&o.a) else {
                panic!("no memory in slot {}", o.a)
            };
            let first = usize::try_from(o.arg[0] / PAGE).expect("small");
            Mdl {
                pfns: pfns[first..].to_vec(),
                byte_offset: o.arg[0] % PAGE,
                length: o.arg[1],
                built: false,
                mapped: false,
                next: None,
            }
        };
        self.slots.insert(o.dst, Slot::Mdl(mdl));
    }

    fn mdl(&self, slot: u32) -> &Mdl {
        match self.slots.get(&slot) {
            Some(Slot::Mdl(mdl)) => mdl,
            other => panic!("slot {slot} holds {other:?}"),
        }
    }

    fn change_mdl(&mut self, o: &op::Operation) {
        let Some(Slot::Mdl(mdl)) = self.slots.get_mut(&o.a) else {
            panic!("no MDL in slot {}", o.a)
        };
        match o.opcode {
            op::OP_MDL_BUILD_NONPAGED => (mdl.built, mdl.mapped) = (true, true),
            op::OP_MDL_PROBE_AND_LOCK => mdl.built = true,
            op::OP_MDL_MAP => mdl.mapped = true,
            _ => mdl.next = Some(o.b),
        }
    }

    fn query_mdl(&self, slot: u32, result: &mut StepResult) {
        let mdl = self.mdl(slot);
        let pages = usize::try_from((mdl.byte_offset + mdl.length).div_ceil(PAGE)).expect("small");
        result.data = mdl.pfns[..pages]
            .iter()
            .flat_map(|pfn| pfn.to_le_bytes())
            .collect();
        result.result.length = mdl.length;
        result.result.value[0] = u64::from(mdl.mapped);
        result.result.value[1] = mdl.byte_offset;
        result.result.value[2] = pages as u64;
    }

    fn create_from_mdl(&mut self, step: &Step, result: &mut StepResult) {
        let o = &step.operation;
        if matches!(self.slots.get(&o.a), Some(Slot::Adapter(adapter)) if adapter.version < 3) {
            result.result.outcome = op::OUTCOME_MEMBER_MISSING;
            return;
        }
        result.result.logical_address = u64::MAX;
        match self.try_create(step) {
            Ok(buffer) => {
                result.result.logical_address = buffer.iova;
                self.slots.insert(o.dst, Slot::Buffer(buffer));
            }
            Err(_) if self.is(Fault::ReportSuccess) => result.result.logical_address = 0x1000,
            Err(status) => result.result.status = status,
        }
    }

    fn try_create(&mut self, step: &Step) -> Result<Buffer, u32> {
        let is_lax = self.is(Fault::IgnoreConfigs);
        let mut configs = parse(&step.data, is_lax)?;
        if is_lax {
            configs.limits = (0, u64::MAX);
        }
        if step.data.is_empty() && step.operation.arg[0] > 0 && !is_lax {
            return Err(INVALID_PARAMETER);
        }
        let Some(Slot::Adapter(Adapter { width, .. })) = self.slots.get(&step.operation.a).cloned()
        else {
            panic!("no adapter")
        };
        let pfns = self.covered_pages(step.operation.b, &configs)?;
        if self.remapping == Remapping::Off {
            let contiguous = pfns.windows(2).all(|pair| pair[0] + 1 == pair[1]);
            if configs.access != 2 {
                return Err(NOT_SUPPORTED);
            }
            if !contiguous {
                return Err(INVALID_PARAMETER);
            }
        }
        let iova = self
            .place(&pfns, width, configs.limits)
            .ok_or(INVALID_PARAMETER)?;
        if (0..pfns.len() + FIXED_ALLOCATIONS).any(|_| self.strikes()) {
            return Err(self.failure());
        }
        let (read, write) = (configs.access != 1, configs.access != 0);
        self.map(iova, &pfns, read, write || self.is(Fault::MapReadWrite));
        self.keep(Buffer { iova, pfns })
    }

    /// The bookkeeping behind the mapping may run out of memory, too.
    fn keep(&mut self, buffer: Buffer) -> Result<Buffer, u32> {
        if !self.strikes() {
            return Ok(buffer);
        }
        if !self.is(Fault::LeakOnFailure) {
            self.unmap(&buffer);
        }
        Err(self.failure())
    }

    fn failure(&self) -> u32 {
        if self.is(Fault::WrongFailure) {
            return INVALID_PARAMETER;
        }
        INSUFFICIENT_RESOURCES
    }

    fn unmap(&mut self, buffer: &Buffer) {
        for index in 0..buffer.pfns.len() as u64 {
            self.mappings.remove(&(buffer.iova + index * PAGE));
        }
    }

    /// The frames that a buffer over this MDL covers, or why there can be none.
    fn covered_pages(&self, slot: u32, configs: &Configs) -> Result<Vec<u64>, u32> {
        let mut mdl = self.mdl(slot);
        let (mut offset, length) = match configs.section {
            None if mdl.next.is_some() => return Err(INVALID_PARAMETER),
            None => (0, mdl.length),
            Some(section) => section,
        };
        while offset >= mdl.length {
            offset -= mdl.length;
            mdl = self.mdl(mdl.next.ok_or(INVALID_PARAMETER)?);
        }
        let end = offset.checked_add(length).ok_or(INVALID_PARAMETER)?;
        let aligned = [mdl.byte_offset, offset, length]
            .iter()
            .all(|n| n % PAGE == 0);
        if !aligned || length == 0 || end > mdl.length || !mdl.built || !mdl.mapped {
            return Err(INVALID_PARAMETER);
        }
        let (first, last) = (offset / PAGE, end / PAGE);
        let index = |page: u64| usize::try_from(page).expect("small");
        Ok(mdl.pfns[index(first)..index(last)].to_vec())
    }

    fn place(&mut self, pfns: &[u64], width: u32, limits: (u64, u64)) -> Option<u64> {
        let length = pfns.len() as u64 * PAGE;
        let reach = u64::MAX >> (64 - width);
        let (minimum, maximum) = (limits.0, limits.1.min(reach));
        let iova = match self.remapping {
            Remapping::Off => pfns[0] * PAGE,
            Remapping::On if minimum > 0 => minimum,
            Remapping::On if maximum < self.next_iova => self.highest_below(maximum, length)?,
            Remapping::On => {
                self.next_iova += length + PAGE;
                self.next_iova - length
            }
        };
        let last = iova.checked_add(length - 1)?;
        (iova >= minimum && last <= maximum).then_some(iova)
    }

    /// The highest range that ends at `maximum` or below and has nothing mapped in it.
    fn highest_below(&self, maximum: u64, length: u64) -> Option<u64> {
        let mut start = maximum.checked_add(1)?.checked_sub(length)? / PAGE * PAGE;
        while let Some((used, _)) = self.mappings.range(start..start + length).next() {
            start = used.checked_sub(length)?;
        }
        Some(start)
    }

    /// Frames from `first` on that no live buffer has.
    fn free_frames(&self, first: u64, count: u64) -> Vec<u64> {
        let used: std::collections::BTreeSet<u64> = self
            .slots
            .values()
            .filter_map(|slot| match slot {
                Slot::Buffer(buffer) => Some(&buffer.pfns),
                _ => None,
            })
            .flatten()
            .copied()
            .collect();
        let mut first = first;
        while let Some(in_the_way) = used.range(first..first + count).next_back() {
            first = in_the_way + 1;
        }
        (first..first + count).collect()
    }

    fn map(&mut self, iova: u64, pfns: &[u64], read: bool, write: bool) {
        if self.remapping == Remapping::Off {
            return;
        }
        for (index, pfn) in pfns.iter().enumerate() {
            let pfn = if index == 1 && self.is(Fault::SplitLogical) {
                pfns[0]
            } else {
                *pfn
            };
            self.mappings
                .insert(iova + index as u64 * PAGE, Target { pfn, read, write });
        }
    }

    fn allocate(&mut self, o: &op::Operation, result: &mut StepResult) {
        let Some(Slot::Adapter(Adapter { width, .. })) = self.slots.get(&o.a).cloned() else {
            panic!("no adapter")
        };
        let kind = o.arg[3];
        let is_odd_kind = kind & 0xffff_ffff > 1 || kind >> 32 > 1;
        if o.arg[0] == 0 || (o.opcode == op::OP_BUFFER_ALLOCATE_WITH_BOUNDS && is_odd_kind) {
            result.result.outcome = op::OUTCOME_NULL;
            return;
        }
        let minimum = if o.flags & op::OP_FLAG_MINIMUM == 0 {
            0
        } else {
            o.arg[1]
        };
        let maximum = if o.flags & op::OP_FLAG_MAXIMUM == 0 {
            u64::MAX
        } else {
            o.arg[2]
        };
        let limits = if self.is(Fault::IgnoreBounds) {
            (0, u64::MAX)
        } else {
            (minimum, maximum)
        };
        let pfns = match self.remapping {
            // Frames inside small bounds exist from 1 MiB on.
            Remapping::Off => {
                let first = limits.0.div_ceil(PAGE).max(0x100);
                self.free_frames(first, o.arg[0].div_ceil(PAGE))
            }
            Remapping::On => self.memory.allocate(o.arg[0].div_ceil(PAGE), true),
        };
        match self.place(&pfns, width, limits) {
            None => result.result.outcome = op::OUTCOME_NULL,
            Some(_) if (0..FIXED_ALLOCATIONS).any(|_| self.strikes()) => {
                result.result.outcome = op::OUTCOME_NULL;
            }
            Some(iova) => {
                self.map(iova, &pfns, true, true);
                let buffer = Buffer { iova, pfns };
                let Ok(Buffer { pfns, .. }) = self.keep(buffer) else {
                    result.result.outcome = op::OUTCOME_NULL;
                    return;
                };
                let skew = if self.is(Fault::Misaligned) { 0x10 } else { 0 };
                result.result.logical_address = iova + skew;
                result.result.virtual_address = 0xffff_9000_0000_0000 + iova;
                self.slots
                    .insert(o.dst, Slot::Buffer(Buffer { iova, pfns }));
            }
        }
    }

    fn free(&mut self, slot: u32) {
        let Some(Slot::Buffer(buffer)) = self.slots.remove(&slot) else {
            panic!("no buffer in slot {slot}")
        };
        if self.is(Fault::LeaveMapping) {
            return;
        }
        self.unmap(&buffer);
    }

    fn cpu(&mut self, o: &op::Operation, result: &mut StepResult) {
        let (pfns, base) = match self.slots.get(&o.a).expect("an object") {
            Slot::Memory(pfns) => (pfns.clone(), 0),
            Slot::Mdl(mdl) => (mdl.pfns.clone(), mdl.byte_offset),
            Slot::Buffer(buffer) => (buffer.pfns.clone(), 0),
            Slot::Adapter(_) => panic!("an adapter has no memory"),
        };
        let phys = |position: u64| {
            let at = base + o.arg[0] + position;
            pfns[usize::try_from(at / PAGE).expect("small")] * PAGE + at % PAGE
        };
        let mut bytes = vec![0; usize::try_from(o.arg[1]).expect("small")];
        if o.opcode == op::OP_CPU_FILL {
            dmarig_abi::pattern::fill_pattern(o.arg[2], 0, &mut bytes);
            for (position, byte) in bytes.iter().enumerate() {
                self.memory.write(phys(position as u64), *byte);
            }
        } else {
            for (position, byte) in bytes.iter_mut().enumerate() {
                *byte = self.memory.read(phys(position as u64));
            }
            let found = mismatch(&bytes, o.arg[2]);
            result.result.value[1] = found.map_or(u64::MAX, |(offset, _, _)| offset);
            let pair =
                |(_, expected, seen): (u64, u8, u8)| u64::from(expected) | (u64::from(seen) << 8);
            result.result.value[2] = found.map_or(0, pair);
        }
        result.result.value[0] = u64::from(crc32c::crc32c(&bytes));
    }
}

fn parse(data: &[u8], is_lax: bool) -> Result<Configs, u32> {
    let word =
        |bytes: &[u8], at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8"));
    let mut seen = Vec::new();
    let mut configs = Configs {
        limits: (0, u64::MAX),
        section: None,
        access: 2,
    };
    for config in data.chunks_exact(0x28) {
        let kind = u32::from_le_bytes(config[..4].try_into().expect("4 bytes"));
        if seen.contains(&kind) {
            return Err(INVALID_PARAMETER);
        }
        seen.push(kind);
        match kind {
            0 => configs.limits = (word(config, 8), word(config, 16)),
            1 => configs.section = Some((word(config, 8), word(config, 16) & 0xffff_ffff)),
            2 => {
                let access = u32::from_le_bytes(config[8..12].try_into().expect("4 bytes"));
                if access > 2 && !is_lax {
                    return Err(INVALID_PARAMETER);
                }
                configs.access = access.min(2);
            }
            _ if is_lax => {}
            _ => return Err(INVALID_PARAMETER),
        }
    }
    Ok(configs)
}
