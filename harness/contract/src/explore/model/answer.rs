//! What only the guest can tell: outcomes that the rules leave open, frames, logical addresses.

use super::object::{Entry, Model, Object};
use crate::explore::action::Action;
use crate::oracle::PAGE_SIZE;
use crate::step::TransferMode;

impl Model {
    /// Whether an action can only be foretold once answers to earlier ones have come.
    pub(in crate::explore) fn needs_answers(&self, action: &Action) -> bool {
        let is_uncertain = |slot: u32| self.entry(slot).is_some_and(|entry| !entry.is_certain);
        if slots_of(action).into_iter().any(is_uncertain) {
            return true;
        }
        match *action {
            Action::CreateFromMdl {
                adapter,
                mdl,
                ref configs,
                ..
            } => {
                let covered = self.covered(adapter, mdl, configs.as_deref());
                covered.is_some_and(|covered| {
                    let is_known = self
                        .frames(covered.root, covered.start, covered.len)
                        .is_some();
                    !is_known && self.is_described(covered.mdl)
                })
            }
            Action::DeviceWrite { buffer, way, .. }
            | Action::DeviceVerify { buffer, way, .. }
            | Action::DeviceCrc { buffer, way, .. } => {
                let is_new = self
                    .buffer(buffer)
                    .is_some_and(|buffer| buffer.logical_address.is_none());
                let is_by_ring = matches!(
                    way.mode,
                    TransferMode::RingPoll | TransferMode::RingInterrupt
                );
                let ring = self.ring_of(way.channel).filter(|_| is_by_ring);
                is_new || ring.is_some_and(|ring| ring.logical_addresses.is_none())
            }
            // What goes must be known by its address, so that nothing is seen to be left of it.
            Action::FreeBuffer { buffer: slot } | Action::CloseRing { ring: slot } => {
                self.entries.get(&slot).is_some_and(lacks_address)
            }
            Action::ReleaseAll => self.entries.values().any(lacks_address),
            // Whether an adapter or a channel is in use is told by the rest.
            Action::PutAdapter { .. } | Action::OpenRing { .. } => {
                self.entries.values().any(|entry| !entry.is_certain)
            }
            _ => false,
        }
    }

    /// Objects in slots.
    pub(in crate::explore) fn n_objects(&self) -> u64 {
        self.entries.len() as u64
    }

    /// An action whose outcome was open has ended.
    pub(in crate::explore) fn settle(&mut self, slot: u32, has_succeeded: bool) {
        if !has_succeeded {
            self.remove(slot);
        } else if let Some(entry) = self.entries.get_mut(&slot) {
            entry.is_certain = true;
        }
    }

    /// An MDL told its frames. Gives what contradicts the promise of a contiguous allocation or another MDL
    /// of the same memory.
    pub(in crate::explore) fn learn_frames(
        &mut self,
        root: u64,
        start: u64,
        told: &[u64],
    ) -> Result<(), String> {
        let Some(root) = self.roots.get_mut(&root) else {
            return Ok(());
        };
        let first = usize::try_from(start / PAGE_SIZE).unwrap_or(usize::MAX);
        for (index, frame) in told.iter().enumerate() {
            let Some(known) = root.frames.get_mut(first.saturating_add(index)) else {
                return Err(format!("{} frames, more than the memory has", told.len()));
            };
            match known.replace(*frame) {
                Some(before) if before != *frame => {
                    return Err(format!(
                        "page {index} at frame {frame:#x}, before at {before:#x}"
                    ));
                }
                _ => {}
            }
        }
        let is_broken = |pair: &[u64]| pair[0].checked_add(1) != Some(pair[1]);
        match told.windows(2).find(|pair| is_broken(pair)) {
            Some(pair) if root.is_contiguous => Err(format!(
                "frame {:#x} behind {:#x} in contiguous memory",
                pair[1], pair[0]
            )),
            _ => Ok(()),
        }
    }

    /// A buffer's logical address is known.
    pub(in crate::explore) fn learn_address(&mut self, slot: u32, address: u64) {
        if let Some(Entry {
            object: Object::Buffer(buffer),
            ..
        }) = self.entries.get_mut(&slot)
        {
            buffer.logical_address = Some(address);
        }
    }

    /// A ring's logical addresses are known.
    pub(in crate::explore) fn learn_ring(&mut self, slot: u32, addresses: [u64; 2]) {
        if let Some(Entry {
            object: Object::Ring(ring),
            ..
        }) = self.entries.get_mut(&slot)
        {
            ring.logical_addresses = Some(addresses);
        }
    }

    fn is_described(&self, mdl: u64) -> bool {
        self.entries.values().any(|entry| {
            entry.id == mdl && matches!(&entry.object, Object::Mdl(mdl) if mdl.has_pages())
        })
    }
}

/// Whether it is a buffer or ring whose logical address has not come yet.
const fn lacks_address(entry: &Entry) -> bool {
    match &entry.object {
        Object::Buffer(buffer) => buffer.logical_address.is_none(),
        Object::Ring(ring) => ring.logical_addresses.is_none(),
        Object::Adapter(_) | Object::Memory(_) | Object::Mdl(_) => false,
    }
}

/// The slots that an action names.
fn slots_of(action: &Action) -> Vec<u32> {
    match *action {
        Action::OpenAdapter { slot, .. }
        | Action::AllocateMemory { slot, .. }
        | Action::AllocatePages { slot, .. } => vec![slot],
        Action::PutAdapter { adapter: slot }
        | Action::ReadAlignment { adapter: slot }
        | Action::FreeBuffer { buffer: slot }
        | Action::FreeMemory { memory: slot }
        | Action::BuildNonpaged { mdl: slot }
        | Action::Lock { mdl: slot }
        | Action::Unlock { mdl: slot }
        | Action::Map { mdl: slot }
        | Action::Unmap { mdl: slot }
        | Action::FreeMdl { mdl: slot }
        | Action::FreePages { mdl: slot }
        | Action::QueryMdl { mdl: slot }
        | Action::Fill { object: slot, .. }
        | Action::Check { object: slot, .. }
        | Action::DeviceWrite { buffer: slot, .. }
        | Action::DeviceVerify { buffer: slot, .. }
        | Action::DeviceCrc { buffer: slot, .. }
        | Action::CloseRing { ring: slot } => vec![slot],
        Action::Allocate { slot, adapter, .. }
        | Action::AllocateEx { slot, adapter, .. }
        | Action::AllocateWithBounds { slot, adapter, .. }
        | Action::OpenRing { slot, adapter, .. } => vec![slot, adapter],
        Action::AllocateMdl { slot, memory, .. } => vec![slot, memory],
        Action::BuildPartial { slot, source, .. } => vec![slot, source],
        Action::CreateFromMdl {
            slot, adapter, mdl, ..
        } => vec![slot, adapter, mdl],
        Action::Chain { mdl, next } => std::iter::once(mdl).chain(next).collect(),
        Action::ReleaseAll => Vec::new(),
    }
}
