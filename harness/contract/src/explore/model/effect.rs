//! What an action that was carried out changes.

use dmarig_abi::completion::COMPLETION_SIZE_BYTES;

use super::object::{Adapter, Buffer, Entry, Mdl, MdlSource, Memory, Model, Object, Ring, Root};
use super::predict::asked_bounds;
use super::verdict::Verdict;
use crate::explore::action::Action;
use crate::explore::content::Extent;
use crate::oracle::PAGE_SIZE;

impl Model {
    /// Changes the model as the action does that has this verdict. What the verdict leaves open counts as
    /// done, and not as certain.
    pub(in crate::explore) fn apply(&mut self, action: &Action, verdict: Verdict) {
        if !verdict.may_succeed() {
            return;
        }
        let is_certain = !verdict.is_open();
        match *action {
            Action::Fill {
                object,
                offset,
                length_bytes,
                seed,
            }
            | Action::DeviceWrite {
                buffer: object,
                offset,
                length_bytes,
                seed,
                ..
            } => self.write(object, offset, length_bytes, seed),
            Action::PutAdapter { adapter: slot }
            | Action::FreeBuffer { buffer: slot }
            | Action::FreeMemory { memory: slot }
            | Action::FreeMdl { mdl: slot }
            | Action::FreePages { mdl: slot }
            | Action::CloseRing { ring: slot } => self.remove(slot),
            Action::ReleaseAll => {
                self.entries.clear();
                self.roots.clear();
            }
            Action::BuildNonpaged { mdl } => self.change(mdl, |mdl| mdl.is_built = true),
            Action::Lock { mdl } => self.change(mdl, |mdl| mdl.is_locked = true),
            Action::Unlock { mdl } => self.change(mdl, |mdl| {
                mdl.is_locked = false;
                mdl.is_mapped = false;
            }),
            Action::Map { mdl } => self.change(mdl, |mdl| mdl.is_mapped |= !mdl.has_address()),
            Action::Unmap { mdl } => self.change(mdl, |mdl| mdl.is_mapped = false),
            Action::Chain { mdl, next } => {
                let next = next.and_then(|slot| Some((slot, self.mdl(slot)?.1)));
                self.change(mdl, |mdl| mdl.next = next);
            }
            Action::OpenAdapter { .. }
            | Action::Allocate { .. }
            | Action::AllocateEx { .. }
            | Action::AllocateWithBounds { .. }
            | Action::CreateFromMdl { .. }
            | Action::AllocateMemory { .. }
            | Action::AllocateMdl { .. }
            | Action::AllocatePages { .. }
            | Action::BuildPartial { .. }
            | Action::OpenRing { .. } => self.create(action, is_certain),
            Action::ReadAlignment { .. }
            | Action::QueryMdl { .. }
            | Action::Check { .. }
            | Action::DeviceVerify { .. }
            | Action::DeviceCrc { .. } => {}
        }
    }

    fn create(&mut self, action: &Action, is_certain: bool) {
        let Some((slot, object)) = self.new_object(action) else {
            return;
        };
        let id = self.new_id();
        let entry = Entry {
            id,
            is_certain,
            object,
        };
        self.entries.insert(slot, entry);
    }

    fn new_object(&mut self, action: &Action) -> Option<(u32, Object)> {
        Some(match *action {
            Action::OpenAdapter {
                slot,
                version,
                width_bits,
            } => {
                let reach = u64::MAX >> 64_u32.saturating_sub(width_bits);
                (slot, Object::Adapter(Adapter { version, reach }))
            }
            Action::AllocateMemory {
                slot,
                is_contiguous,
                pages,
            } => {
                let root = self.new_root(pages, is_contiguous);
                let len = pages * PAGE_SIZE;
                (slot, Object::Memory(Memory { root, len }))
            }
            Action::AllocatePages {
                slot,
                pages,
                is_contiguous,
            } => {
                let root = self.new_root(pages, is_contiguous);
                let len = pages * PAGE_SIZE;
                (slot, Object::Mdl(mdl(root, 0, len, MdlSource::Pages)))
            }
            Action::AllocateMdl {
                slot,
                memory,
                offset,
                length_bytes,
            } => {
                let root = self.memory(memory)?.root;
                let mdl = mdl(root, offset, length_bytes, MdlSource::Memory);
                (slot, Object::Mdl(mdl))
            }
            Action::BuildPartial {
                slot,
                source,
                offset,
                length_bytes,
            } => {
                let (whole, id) = self.mdl(source)?;
                let source = MdlSource::Partial(id);
                let part = mdl(whole.root, whole.start + offset, length_bytes, source);
                (slot, Object::Mdl(part))
            }
            Action::OpenRing {
                slot,
                adapter,
                channel,
                entries,
            } => {
                let adapter = self.adapter(adapter)?.1;
                let ring = Ring {
                    adapter,
                    channel,
                    entries,
                    logical_addresses: None,
                };
                (slot, Object::Ring(ring))
            }
            Action::CreateFromMdl {
                slot,
                adapter,
                mdl,
                ref configs,
            } => {
                let covered = self.covered(adapter, mdl, configs.as_deref())?;
                let buffer = Buffer {
                    adapter: self.adapter(adapter)?.1,
                    root: covered.root,
                    start: covered.start,
                    len: covered.len,
                    mdl: Some(covered.mdl),
                    can_read: covered.can_read,
                    can_write: covered.can_write,
                    bounds: covered.bounds,
                    logical_address: None,
                };
                (slot, Object::Buffer(buffer))
            }
            _ => {
                let asked = asked_bounds(action)?;
                let (adapter, id) = self.adapter(asked.adapter)?;
                let bounds = (asked.minimum, asked.maximum.min(adapter.reach));
                let buffer = Buffer {
                    adapter: id,
                    root: self.new_root(0, false),
                    start: 0,
                    len: asked.length_bytes,
                    mdl: None,
                    can_read: true,
                    can_write: true,
                    bounds,
                    logical_address: None,
                };
                (asked.slot, Object::Buffer(buffer))
            }
        })
    }

    fn new_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn new_root(&mut self, pages: u64, is_contiguous: bool) -> u64 {
        let id = self.new_id();
        let n_pages = usize::try_from(pages).unwrap_or(0);
        let root = Root {
            frames: vec![None; n_pages],
            is_contiguous,
            ..Root::default()
        };
        self.roots.insert(id, root);
        id
    }

    /// Takes an object away, and its memory with it where it was the one that had it.
    pub(super) fn remove(&mut self, slot: u32) {
        let Some(entry) = self.entries.remove(&slot) else {
            return;
        };
        let root = match entry.object {
            Object::Memory(memory) => Some(memory.root),
            Object::Mdl(mdl) if mdl.source == MdlSource::Pages => Some(mdl.root),
            Object::Buffer(buffer) if buffer.mdl.is_none() => Some(buffer.root),
            _ => None,
        };
        if let Some(root) = root {
            self.roots.remove(&root);
        }
    }

    fn change(&mut self, slot: u32, change: impl FnOnce(&mut Mdl)) {
        if let Some(Entry {
            object: Object::Mdl(mdl),
            ..
        }) = self.entries.get_mut(&slot)
        {
            change(mdl);
        }
    }

    fn write(&mut self, object: u32, offset: u64, len: u64, seed: u64) {
        let Some((root, start, _)) = self.view(object) else {
            return;
        };
        if let Some(root) = self.roots.get_mut(&root) {
            let start = start + offset;
            root.content.write(Extent { start, len, seed });
        }
    }
}

impl Ring {
    /// Length of each of the two buffers in bytes.
    pub(in crate::explore) const fn length_bytes(&self) -> u64 {
        self.entries * COMPLETION_SIZE_BYTES as u64
    }
}

const fn mdl(root: u64, start: u64, len: u64, source: MdlSource) -> Mdl {
    Mdl {
        root,
        start,
        len,
        source,
        is_built: false,
        is_locked: false,
        is_mapped: false,
        next: None,
    }
}
