//! The fake's driver and system: slots, MDLs, common buffers.

use std::collections::BTreeMap;

use contract::{Remapping, Step, StepResult};
use dmarig_abi::operation::{self as op, Operation, OperationResult};

use super::rig::{FIRST_SYSTEM_FRAME, FakeRig, Fault, MEMORY_BYTES, PAGE, View};

const INVALID_PARAMETER: u32 = 0xC000_000D;
const NOT_SUPPORTED: u32 = 0xC000_00BB;
const CHAIN_MAX: usize = 64;
const VA: u64 = 0xffff_8000_0000_0000;

#[derive(Clone, Debug)]
pub struct Mdl {
    view: View,
    is_pages: bool,
    is_partial: bool,
    is_built: bool,
    is_locked: bool,
    is_mapped: bool,
    next: Option<(u32, u64)>,
}

impl Mdl {
    const fn has_pages(&self) -> bool {
        self.is_pages || self.is_partial || self.is_built || self.is_locked
    }

    const fn has_address(&self) -> bool {
        self.is_partial || self.is_built || self.is_mapped
    }
}

#[derive(Clone, Debug)]
pub struct Buffer {
    pub iova: u64,
    pub view: View,
}

#[derive(Clone, Debug)]
pub enum Object {
    Adapter { version: u32, reach: u64 },
    Memory(View),
    Mdl(Mdl),
    Buffer(Buffer),
    Ring { channel: u32, buffers: [Buffer; 2] },
}

/// Objects by slot, each with a number of its own.
#[derive(Default)]
pub struct Slots {
    slots: BTreeMap<u32, (u64, Object)>,
    n_taken: u64,
}

impl Slots {
    pub fn get(&self, slot: u32) -> Option<&Object> {
        self.slots.get(&slot).map(|(_, object)| object)
    }

    fn put(&mut self, slot: u32, object: Object) {
        self.n_taken += 1;
        self.slots.insert(slot, (self.n_taken, object));
    }

    fn mdl(&self, slot: u32) -> Option<&Mdl> {
        match self.get(slot)? {
            Object::Mdl(mdl) => Some(mdl),
            _ => None,
        }
    }

    fn mdl_mut(&mut self, slot: u32) -> Option<&mut Mdl> {
        match self.slots.get_mut(&slot) {
            Some((_, Object::Mdl(mdl))) => Some(mdl),
            _ => None,
        }
    }

    pub fn view(&self, slot: u32) -> Option<View> {
        match self.get(slot)? {
            Object::Memory(view) => Some(view.clone()),
            Object::Mdl(mdl) => mdl.has_address().then(|| mdl.view.clone()),
            Object::Buffer(buffer) => Some(buffer.view.clone()),
            Object::Adapter { .. } | Object::Ring { .. } => None,
        }
    }

    pub fn has_ring(&self, channel: u32) -> bool {
        self.slots.values().any(
            |(_, object)| matches!(object, Object::Ring { channel: own, .. } if *own == channel),
        )
    }

    fn chain(&self, head: u32) -> Option<Vec<Mdl>> {
        let mut chain = vec![self.mdl(head)?.clone()];
        while let Some((slot, number)) = chain.last()?.next {
            if self.slots.get(&slot)?.0 != number || chain.len() >= CHAIN_MAX {
                return None;
            }
            chain.push(self.mdl(slot)?.clone());
        }
        Some(chain)
    }
}

/// The configurations of a creation.
struct Configs {
    limits: (u64, u64),
    section: Option<(u64, u64)>,
    access: u64,
}

impl FakeRig {
    pub fn carry_out(&mut self, step: &Step) -> StepResult {
        let o = &step.operation;
        let mut result = StepResult::default();
        result.result.opcode = o.opcode;
        let outcome = self.operate(step, &mut result);
        if let Err(outcome) = outcome {
            result.result.outcome = outcome;
        }
        result
    }

    fn operate(&mut self, step: &Step, result: &mut StepResult) -> Result<(), u16> {
        let o = &step.operation;
        let is_taken = o.dst != op::SLOT_NONE && self.slots.get(o.dst).is_some();
        if is_taken {
            return Err(op::OUTCOME_BAD_SLOT);
        }
        match o.opcode {
            op::OP_RELEASE_ALL => {
                let count = self.slots.slots.len() as u64;
                result.result.value[0] = count.saturating_sub(self.is(Fault::ForgetObject).into());
                for slot in self.slots.slots.keys().copied().collect::<Vec<_>>() {
                    self.remove(slot);
                }
            }
            op::OP_DEVICE_READ_REGISTER | op::OP_DEVICE_WRITE_REGISTER => {}
            op::OP_ADAPTER_OPEN => self.open_adapter(step, &mut result.result)?,
            op::OP_ADAPTER_PUT | op::OP_ADAPTER_ALIGNMENT => {
                let Some(Object::Adapter { .. }) = self.slots.get(o.a) else {
                    return Err(op::OUTCOME_BAD_SLOT);
                };
                if o.opcode == op::OP_ADAPTER_PUT {
                    self.remove(o.a);
                }
            }
            op::OP_BUFFER_ALLOCATE
            | op::OP_BUFFER_ALLOCATE_EX
            | op::OP_BUFFER_ALLOCATE_WITH_BOUNDS => self.allocate(o, &mut result.result)?,
            op::OP_BUFFER_CREATE_FROM_MDL => self.create(step, &mut result.result)?,
            op::OP_BUFFER_FREE => match self.slots.get(o.a) {
                Some(Object::Buffer(_)) => self.remove(o.a),
                _ => return Err(op::OUTCOME_BAD_SLOT),
            },
            op::OP_MEMORY_ALLOCATE => {
                let frames = self.frames(o.arg[1], o.arg[0] == op::MEMORY_CONTIGUOUS);
                self.slots
                    .put(o.dst, Object::Memory(whole(frames, o.arg[1])));
            }
            op::OP_MEMORY_FREE => match self.slots.get(o.a) {
                Some(Object::Memory(_)) => self.remove(o.a),
                _ => return Err(op::OUTCOME_BAD_SLOT),
            },
            op::OP_CPU_FILL | op::OP_CPU_CHECK => self.cpu(o, &mut result.result),
            op::OP_DEVICE_TRANSFER => self.transfer(o, &mut result.result),
            op::OP_RING_OPEN => self.open_ring(o, &mut result.result)?,
            op::OP_RING_CLOSE => match self.slots.get(o.a) {
                Some(Object::Ring { .. }) => self.remove(o.a),
                _ => return Err(op::OUTCOME_BAD_SLOT),
            },
            op::OP_MDL_QUERY => self.query(o.a, result)?,
            _ => self.change_mdl(o)?,
        }
        Ok(())
    }

    fn remove(&mut self, slot: u32) {
        let buffers = match self.slots.slots.remove(&slot) {
            Some((_, Object::Buffer(buffer))) => vec![buffer],
            Some((_, Object::Ring { buffers, .. })) => buffers.to_vec(),
            _ => Vec::new(),
        };
        for buffer in buffers {
            if !self.is(Fault::LeaveMapping) {
                for index in 0..buffer.view.frames.len() as u64 {
                    self.mappings.remove(&(buffer.iova + index * PAGE));
                }
            }
        }
    }

    fn open_adapter(&mut self, step: &Step, result: &mut OperationResult) -> Result<(), u16> {
        let word =
            |at: usize| u32::from_le_bytes(step.data[at..at + 4].try_into().expect("four bytes"));
        let (version, width) = match (word(0), step.data[0x0b]) {
            (3, _) => (3, word(0x28)),
            (version, 1) => (version, 64),
            (version, _) => (version, 32),
        };
        if !(24..=64).contains(&width) {
            return Err(op::OUTCOME_NULL);
        }
        result.value = [257, 0x140, 1];
        let reach = u64::MAX >> (64 - width);
        self.slots
            .put(step.operation.dst, Object::Adapter { version, reach });
        Ok(())
    }

    fn adapter(&self, slot: u32) -> Result<(u32, u64), u16> {
        match self.slots.get(slot) {
            Some(Object::Adapter { version, reach }) => Ok((*version, *reach)),
            _ => Err(op::OUTCOME_BAD_SLOT),
        }
    }

    fn allocate(&mut self, o: &Operation, result: &mut OperationResult) -> Result<(), u16> {
        let (version, reach) = self.adapter(o.a)?;
        if o.opcode != op::OP_BUFFER_ALLOCATE && version < 3 {
            return Err(op::OUTCOME_MEMBER_MISSING);
        }
        let is_bounded = o.opcode == op::OP_BUFFER_ALLOCATE_WITH_BOUNDS;
        let given = |flag, value| (o.flags & flag != 0).then_some(value);
        let minimum = given(op::OP_FLAG_MINIMUM, o.arg[1]).unwrap_or(0);
        let maximum = given(op::OP_FLAG_MAXIMUM, o.arg[2]).unwrap_or(u64::MAX);
        let limits = if self.is(Fault::IgnoreBounds) && is_bounded {
            (0, u64::MAX)
        } else {
            (minimum, maximum.min(reach))
        };
        let len = o.arg[0];
        let frames = match self.remapping {
            Remapping::On => self.frames(len, false),
            Remapping::Off => {
                let first = limits.0.div_ceil(PAGE).max(FIRST_SYSTEM_FRAME);
                self.frames_from(first, len, 1)
            }
        };
        let buffer = self
            .place(whole(frames, len), limits)
            .ok_or(op::OUTCOME_NULL)?;
        self.map(&buffer, true);
        result.logical_address = buffer.iova;
        result.virtual_address = VA;
        self.slots.put(o.dst, Object::Buffer(buffer));
        Ok(())
    }

    /// Gives frames a logical address inside limits.
    fn place(&mut self, view: View, limits: (u64, u64)) -> Option<Buffer> {
        let pages = view.frames.len() as u64;
        let iova = match self.remapping {
            Remapping::Off => view.frames.first()? * PAGE,
            Remapping::On => {
                let mut iova = limits.0.next_multiple_of(PAGE);
                let is_taken = |iova: u64, taken: &BTreeMap<u64, (u64, bool)>| {
                    taken
                        .range(iova..iova + pages * PAGE)
                        .next_back()
                        .map(|(last, _)| *last)
                };
                while let Some(last) = is_taken(iova, &self.mappings) {
                    iova = last + PAGE;
                }
                iova
            }
        };
        let last = iova.checked_add(view.len.checked_sub(1)?)?;
        let is_memory = self.remapping == Remapping::On || last < MEMORY_BYTES;
        (iova >= limits.0 && last <= limits.1 && is_memory).then_some(Buffer { iova, view })
    }

    fn map(&mut self, buffer: &Buffer, writable: bool) {
        if self.remapping == Remapping::Off {
            return;
        }
        for (index, frame) in (0..).zip(&buffer.view.frames) {
            let is_split = index == 1 && self.is(Fault::SplitLogical);
            let frame = if is_split {
                buffer.view.frames[0]
            } else {
                *frame
            };
            let writable = writable || self.is(Fault::MapReadWrite);
            self.mappings
                .insert(buffer.iova + index * PAGE, (frame, writable));
        }
    }

    fn create(&mut self, step: &Step, result: &mut OperationResult) -> Result<(), u16> {
        let o = &step.operation;
        let (version, reach) = self.adapter(o.a)?;
        let chain = self.slots.chain(o.b).ok_or(op::OUTCOME_BAD_SLOT)?;
        if version < 3 {
            return Err(op::OUTCOME_MEMBER_MISSING);
        }
        let made = self.try_create(&chain, &step.data, reach);
        match made {
            Ok((buffer, writable)) => {
                self.map(&buffer, writable);
                result.logical_address = buffer.iova;
                result.virtual_address = VA;
                self.slots.put(o.dst, Object::Buffer(buffer));
            }
            Err(status) if !self.is(Fault::IgnoreRules) => result.status = status,
            Err(_) => {}
        }
        Ok(())
    }

    fn try_create(
        &mut self,
        chain: &[Mdl],
        data: &[u8],
        reach: u64,
    ) -> Result<(Buffer, bool), u32> {
        let configs = parse(data).ok_or(INVALID_PARAMETER)?;
        if configs.access != 2 && self.remapping == Remapping::Off {
            return Err(NOT_SUPPORTED);
        }
        let (mdl, view) = covered(chain, configs.section).ok_or(INVALID_PARAMETER)?;
        let is_whole = view.offset == 0 && view.len.is_multiple_of(PAGE) && view.len > 0;
        if !is_whole || !mdl.has_pages() || !mdl.has_address() {
            return Err(INVALID_PARAMETER);
        }
        let follows = |pair: &[u64]| pair[0] + 1 == pair[1];
        let is_run = view.frames.windows(2).all(follows);
        if self.remapping == Remapping::Off && !is_run {
            return Err(INVALID_PARAMETER);
        }
        let limits = (configs.limits.0, configs.limits.1.min(reach));
        let buffer = self.place(view, limits).ok_or(INVALID_PARAMETER)?;
        Ok((buffer, configs.access != 0))
    }

    fn open_ring(&mut self, o: &Operation, result: &mut OperationResult) -> Result<(), u16> {
        let (_, reach) = self.adapter(o.b)?;
        if self.slots.has_ring(o.c) {
            return Err(op::OUTCOME_BAD_ARGUMENT);
        }
        let len = o.arg[0] * 64;
        let mut buffers = Vec::new();
        for _ in 0..2 {
            let frames = match self.remapping {
                Remapping::On => self.frames(len, false),
                Remapping::Off => self.frames_from(FIRST_SYSTEM_FRAME, len, 1),
            };
            let buffer = self
                .place(whole(frames, len), (0, reach))
                .ok_or(op::OUTCOME_NULL)?;
            self.map(&buffer, true);
            buffers.push(buffer);
        }
        let buffers: [Buffer; 2] = buffers.try_into().expect("two");
        result.logical_address = buffers[0].iova;
        result.value[0] = buffers[1].iova;
        let channel = o.c;
        self.slots.put(o.dst, Object::Ring { channel, buffers });
        Ok(())
    }

    fn query(&mut self, slot: u32, result: &mut StepResult) -> Result<(), u16> {
        let mdl = self.slots.mdl(slot).ok_or(op::OUTCOME_BAD_SLOT)?.clone();
        result.result.length = mdl.view.len;
        result.result.value[1] = mdl.view.offset;
        if mdl.has_pages() {
            for (index, frame) in mdl.view.frames.iter().enumerate() {
                let frame = if index == 0 {
                    self.told_frame(*frame)
                } else {
                    *frame
                };
                result.data.extend(frame.to_le_bytes());
            }
        }
        Ok(())
    }

    fn change_mdl(&mut self, o: &Operation) -> Result<(), u16> {
        match o.opcode {
            op::OP_MDL_ALLOCATE => {
                let Some(Object::Memory(view)) = self.slots.get(o.a).cloned() else {
                    return Err(op::OUTCOME_BAD_SLOT);
                };
                let part = checked_part(&view, o.arg[0], o.arg[1])?;
                self.slots.put(o.dst, Object::Mdl(mdl(part)));
                return Ok(());
            }
            op::OP_MDL_ALLOCATE_PAGES => {
                let frames = self.frames(o.arg[3], o.arg[4] & 0x20 != 0);
                let pages = Mdl {
                    is_pages: true,
                    ..mdl(whole(frames, o.arg[3]))
                };
                self.slots.put(o.dst, Object::Mdl(pages));
                return Ok(());
            }
            op::OP_MDL_BUILD_PARTIAL => {
                let source = self.slots.mdl(o.a).ok_or(op::OUTCOME_BAD_SLOT)?.clone();
                let part = checked_part(&source.view, o.arg[0], o.arg[1])?;
                if !source.has_pages() {
                    return Err(op::OUTCOME_BAD_ARGUMENT);
                }
                let partial = Mdl {
                    is_partial: true,
                    ..mdl(part)
                };
                self.slots.put(o.dst, Object::Mdl(partial));
                return Ok(());
            }
            _ => {}
        }
        let next = match o.b {
            op::SLOT_NONE => Some(None),
            slot => self
                .slots
                .slots
                .get(&slot)
                .map(|(number, _)| Some((slot, *number))),
        };
        let is_next_mdl = o.b == op::SLOT_NONE || self.slots.mdl(o.b).is_some();
        let mdl = self.slots.mdl_mut(o.a).ok_or(op::OUTCOME_BAD_SLOT)?;
        let is_new = !mdl.is_pages && !mdl.is_partial && !mdl.is_built && !mdl.is_locked;
        let (is_allowed, is_freed) = match o.opcode {
            op::OP_MDL_BUILD_NONPAGED | op::OP_MDL_PROBE_AND_LOCK => (is_new, false),
            op::OP_MDL_MAP => (mdl.has_pages(), false),
            op::OP_MDL_UNLOCK => (mdl.is_locked, false),
            op::OP_MDL_UNMAP => (mdl.is_mapped, false),
            op::OP_MDL_CHAIN if !is_next_mdl => return Err(op::OUTCOME_BAD_SLOT),
            op::OP_MDL_CHAIN => (true, false),
            op::OP_MDL_FREE if mdl.is_pages => return Err(op::OUTCOME_BAD_SLOT),
            op::OP_MDL_FREE => (!mdl.is_locked && !mdl.is_mapped, true),
            op::OP_MDL_FREE_PAGES if !mdl.is_pages => return Err(op::OUTCOME_BAD_SLOT),
            op::OP_MDL_FREE_PAGES => (true, true),
            _ => return Err(op::OUTCOME_UNKNOWN),
        };
        if !is_allowed {
            return Err(op::OUTCOME_BAD_ARGUMENT);
        }
        match o.opcode {
            op::OP_MDL_BUILD_NONPAGED => mdl.is_built = true,
            op::OP_MDL_PROBE_AND_LOCK => mdl.is_locked = true,
            op::OP_MDL_MAP => mdl.is_mapped |= !mdl.has_address(),
            op::OP_MDL_UNLOCK => (mdl.is_locked, mdl.is_mapped) = (false, false),
            op::OP_MDL_UNMAP => mdl.is_mapped = false,
            op::OP_MDL_CHAIN => mdl.next = next.flatten(),
            _ => {}
        }
        if is_freed {
            self.remove(o.a);
        }
        Ok(())
    }
}

const fn mdl(view: View) -> Mdl {
    Mdl {
        view,
        is_pages: false,
        is_partial: false,
        is_built: false,
        is_locked: false,
        is_mapped: false,
        next: None,
    }
}

const fn whole(frames: Vec<u64>, len: u64) -> View {
    View {
        frames,
        offset: 0,
        len,
    }
}

fn checked_part(view: &View, offset: u64, len: u64) -> Result<View, u16> {
    if len == 0 || offset > view.len || len > view.len - offset {
        return Err(op::OUTCOME_BAD_ARGUMENT);
    }
    Ok(view.part(offset, len))
}

/// The MDL and the part of it that a buffer covers; `None` where there is none.
fn covered(chain: &[Mdl], section: Option<(u64, u64)>) -> Option<(&Mdl, View)> {
    let Some((mut offset, len)) = section else {
        let mdl = chain.first().filter(|_| chain.len() == 1)?;
        return Some((mdl, mdl.view.clone()));
    };
    if !offset.is_multiple_of(PAGE) {
        return None;
    }
    for mdl in chain {
        if offset < mdl.view.len {
            let view = checked_part(&mdl.view, offset, len).ok()?;
            return Some((mdl, view));
        }
        offset -= mdl.view.len;
    }
    None
}

fn parse(data: &[u8]) -> Option<Configs> {
    let mut configs = Configs {
        limits: (0, u64::MAX),
        section: None,
        access: 2,
    };
    let mut seen = Vec::new();
    for config in data.chunks_exact(0x28) {
        let word = |at: usize| u64::from_le_bytes(config[at..at + 8].try_into().expect("eight"));
        let kind = word(0) & 0xffff_ffff;
        if seen.contains(&kind) {
            return None;
        }
        seen.push(kind);
        match kind {
            0 => configs.limits = (word(8), word(16)),
            1 => configs.section = Some((word(8), word(16) & 0xffff_ffff)),
            2 => configs.access = word(8) & 0xffff_ffff,
            _ => return None,
        }
    }
    (configs.access <= 2).then_some(configs)
}
