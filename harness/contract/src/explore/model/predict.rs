//! What must come of an action: windows-dma-ddi sections 2.1 to 2.7 and 3, and docs/driver.md for what the
//! interpreter itself refuses.

use dmarig_abi::operation::{
    OUTCOME_BAD_ARGUMENT, OUTCOME_BAD_SLOT, OUTCOME_MEMBER_MISSING, OUTCOME_NULL,
};

use super::object::{MdlSource, Model, Object};
use super::verdict::{Expect, Verdict};
use crate::explore::action::Action;
use crate::rig::Remapping;
use crate::step::TransferMode;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
/// Room in which an allocation of some pages must succeed. What is used at any time is far less.
const PLENTY_REMAPPED_BYTES: u64 = 16 * MIB;
const PLENTY_PHYSICAL_BYTES: u64 = 128 * MIB;
/// Logical addresses above this may be out of the reach of a remapping unit of 39 bits.
const REMAPPED_END: u64 = 256 * GIB;

const BAD_SLOT: Verdict = Verdict::outcome(OUTCOME_BAD_SLOT);
const BAD_ARGUMENT: Verdict = Verdict::outcome(OUTCOME_BAD_ARGUMENT);

impl Model {
    /// What must come of an action now.
    pub(in crate::explore) fn predict(&self, action: &Action) -> Verdict {
        match *action {
            Action::OpenAdapter {
                slot,
                version,
                width_bits,
            } => self.predict_open(slot, version, width_bits),
            Action::PutAdapter { adapter } => self.predict_put(adapter),
            Action::ReadAlignment { adapter } => match self.adapter(adapter) {
                Some(_) => Verdict::success("AL-1"),
                None => BAD_SLOT,
            },
            Action::Allocate { .. }
            | Action::AllocateEx { .. }
            | Action::AllocateWithBounds { .. } => self.predict_allocate(action),
            Action::CreateFromMdl {
                slot,
                adapter,
                mdl,
                ref configs,
            } => self.predict_create(slot, adapter, mdl, configs.as_deref()),
            Action::FreeBuffer { buffer } => match self.buffer(buffer) {
                Some(buffer) if buffer.mdl.is_some() => Verdict::success("CM-25"),
                Some(_) => Verdict::success("FC-3"),
                None => BAD_SLOT,
            },
            Action::AllocateMemory { slot, pages, .. }
            | Action::AllocatePages { slot, pages, .. } => self.if_free(slot, || match pages {
                0 => BAD_ARGUMENT,
                _ => Verdict::success(""),
            }),
            Action::FreeMemory { memory } => self.predict_free_memory(memory),
            Action::Fill {
                object,
                offset,
                length_bytes,
                ..
            } => match self.view(object) {
                None => BAD_SLOT,
                Some((_, _, len)) if !is_inside(offset, length_bytes, len) => BAD_ARGUMENT,
                Some(_) => Verdict::success("AC-2"),
            },
            Action::Check { object, .. } => match self.view(object) {
                None => BAD_SLOT,
                Some(_) => Verdict::success("AC-2"),
            },
            Action::DeviceWrite { .. } | Action::DeviceVerify { .. } | Action::DeviceCrc { .. } => {
                self.predict_transfer(action)
            }
            Action::OpenRing {
                slot,
                adapter,
                channel,
                ..
            } => self.predict_open_ring(slot, adapter, channel),
            Action::CloseRing { ring } => match self.ring(ring) {
                Some(_) => Verdict::success("FC-3"),
                None => BAD_SLOT,
            },
            Action::ReleaseAll => Verdict::success("FC-3"),
            _ => self.predict_mdl(action),
        }
    }

    fn if_free(&self, slot: u32, otherwise: impl FnOnce() -> Verdict) -> Verdict {
        if self.entry(slot).is_some() {
            return BAD_SLOT;
        }
        otherwise()
    }

    fn predict_open(&self, slot: u32, version: u32, width_bits: u32) -> Verdict {
        self.if_free(slot, || match (version, width_bits) {
            (3, 24..=64) => Verdict::success("GA-7"),
            (3, 0 | 65..) => Verdict::new("GA-7", Expect::Outcome(OUTCOME_NULL)),
            (3, _) => Verdict::new("GA-8", Expect::Outcome(OUTCOME_NULL)),
            (1 | 2, 32 | 64) => Verdict::success("GA-9"),
            _ => Verdict::leave_out("a version that no documented system knows"),
        })
    }

    fn predict_put(&self, slot: u32) -> Verdict {
        let Some((_, id)) = self.adapter(slot) else {
            return BAD_SLOT;
        };
        let is_used = self.objects().any(|(_, object)| match object {
            Object::Buffer(buffer) => buffer.adapter == id,
            Object::Ring(ring) => ring.adapter == id,
            _ => false,
        });
        if is_used {
            return Verdict::leave_out("PA-2: common buffers are left");
        }
        Verdict::success("PA-1")
    }

    fn predict_allocate(&self, action: &Action) -> Verdict {
        let Some(asked) = asked_bounds(action) else {
            return Verdict::leave_out("no allocation");
        };
        let (Some((adapter, _)), true) = (
            self.adapter(asked.adapter),
            self.entry(asked.slot).is_none(),
        ) else {
            return BAD_SLOT;
        };
        if asked.min_version > adapter.version {
            return Verdict::outcome(OUTCOME_MEMBER_MISSING);
        }
        if asked.length_bytes == 0 {
            return Verdict::leave_out("AC-9: length 0 is not documented");
        }
        let bounds = (asked.minimum, asked.maximum.min(adapter.reach));
        if !has_room(bounds, asked.length_bytes) {
            return Verdict::new("AB-9", Expect::Outcome(OUTCOME_NULL));
        }
        Verdict::new(asked.rule, self.expect_room(bounds))
    }

    /// Whether an allocation inside these bounds must succeed.
    fn expect_room(&self, bounds: (u64, u64)) -> Expect {
        let common = |end: u64| bounds.1.min(end - 1).saturating_sub(bounds.0);
        let remapped = common(REMAPPED_END) + 1 >= PLENTY_REMAPPED_BYTES;
        let physical = common(self.setting.memory_bytes) + 1 >= PLENTY_PHYSICAL_BYTES;
        match self.setting.remapping {
            Some(Remapping::On) if remapped => Expect::Success,
            Some(Remapping::Off) if physical => Expect::Success,
            None if remapped && physical => Expect::Success,
            None => Expect::Unclear,
            Some(_) => Expect::SuccessOrNull,
        }
    }

    fn predict_free_memory(&self, slot: u32) -> Verdict {
        let Some(memory) = self.memory(slot) else {
            return BAD_SLOT;
        };
        if self.mdls().any(|mdl| mdl.root == memory.root) {
            return Verdict::leave_out("CM-27: MDLs describe it");
        }
        Verdict::success("")
    }

    fn predict_transfer(&self, action: &Action) -> Verdict {
        let (slot, way, range) = match *action {
            Action::DeviceWrite {
                buffer,
                offset,
                length_bytes,
                way,
                ..
            } => (buffer, way, Some((offset, length_bytes))),
            Action::DeviceVerify { buffer, way, .. } | Action::DeviceCrc { buffer, way, .. } => {
                (buffer, way, None)
            }
            _ => return Verdict::leave_out("no transfer"),
        };
        let Some(buffer) = self.buffer(slot) else {
            return BAD_SLOT;
        };
        if let Some((offset, length_bytes)) = range {
            if length_bytes == 0 || !is_inside(offset, length_bytes, buffer.len) {
                return Verdict::leave_out("the device may touch the buffer alone");
            }
            if !buffer.can_write {
                return Verdict::leave_out("CM-18: a blocked write may stop the system");
            }
        } else if !buffer.can_read {
            return Verdict::leave_out("CM-18: a blocked read may stop the system");
        } else if self
            .known_content((buffer.root, buffer.start, buffer.len))
            .is_empty()
        {
            return Verdict::success("");
        }
        let is_by_ring = matches!(
            way.mode,
            TransferMode::RingPoll | TransferMode::RingInterrupt
        );
        if is_by_ring && self.ring_of(way.channel).is_none() {
            return BAD_SLOT;
        }
        Verdict::success("AC-2")
    }

    fn predict_open_ring(&self, slot: u32, adapter: u32, channel: u32) -> Verdict {
        let (Some((adapter, _)), true) = (self.adapter(adapter), self.entry(slot).is_none()) else {
            return BAD_SLOT;
        };
        if self.ring_of(channel).is_some() {
            return BAD_ARGUMENT;
        }
        Verdict::new("AC-1", self.expect_room((0, adapter.reach)))
    }

    fn predict_mdl(&self, action: &Action) -> Verdict {
        match *action {
            Action::AllocateMdl {
                slot,
                memory,
                offset,
                length_bytes,
            } => match self.memory(memory) {
                Some(memory) => self.if_free(slot, || {
                    if length_bytes == 0 || !is_inside(offset, length_bytes, memory.len) {
                        return BAD_ARGUMENT;
                    }
                    Verdict::success("")
                }),
                None => BAD_SLOT,
            },
            Action::BuildPartial {
                slot,
                source,
                offset,
                length_bytes,
            } => self.predict_partial(slot, source, offset, length_bytes),
            Action::BuildNonpaged { mdl }
            | Action::Lock { mdl }
            | Action::Unlock { mdl }
            | Action::Map { mdl }
            | Action::Unmap { mdl }
            | Action::FreeMdl { mdl }
            | Action::FreePages { mdl }
            | Action::QueryMdl { mdl } => self.predict_mdl_change(mdl, action),
            Action::Chain { mdl, next } => {
                let (Some((_, id)), true) = (
                    self.mdl(mdl),
                    next.is_none_or(|next| self.mdl(next).is_some()),
                ) else {
                    return BAD_SLOT;
                };
                if self.has_buffer(id) {
                    return Verdict::leave_out("CM-27: a common buffer lies on it");
                }
                Verdict::success("")
            }
            _ => Verdict::leave_out("not an action of MDLs"),
        }
    }

    fn predict_partial(&self, slot: u32, source: u32, offset: u64, length_bytes: u64) -> Verdict {
        let Some((source, _)) = self.mdl(source) else {
            return BAD_SLOT;
        };
        self.if_free(slot, || {
            if length_bytes == 0 || !is_inside(offset, length_bytes, source.len) {
                return BAD_ARGUMENT;
            }
            if !source.has_pages() {
                return BAD_ARGUMENT;
            }
            if matches!(source.source, MdlSource::Partial(_)) || !source.has_address() {
                return Verdict::leave_out("of no interest to DMA");
            }
            Verdict::success("")
        })
    }

    fn predict_mdl_change(&self, slot: u32, action: &Action) -> Verdict {
        let Some((mdl, id)) = self.mdl(slot) else {
            return BAD_SLOT;
        };
        let is_pages = mdl.source == MdlSource::Pages;
        let is_partial = matches!(mdl.source, MdlSource::Partial(_));
        let ends = match action {
            Action::QueryMdl { .. } => return Verdict::success(""),
            Action::BuildNonpaged { .. } | Action::Lock { .. } => {
                if is_pages || is_partial || mdl.is_built || mdl.is_locked {
                    return BAD_ARGUMENT;
                }
                return Verdict::success("");
            }
            Action::Map { .. } => {
                return if mdl.has_pages() {
                    Verdict::success("")
                } else {
                    BAD_ARGUMENT
                };
            }
            Action::Unlock { .. } => mdl.is_locked,
            Action::Unmap { .. } => mdl.is_mapped,
            Action::FreeMdl { .. } if is_pages => return BAD_SLOT,
            Action::FreeMdl { .. } => !mdl.is_locked && !mdl.is_mapped,
            _ if !is_pages => return BAD_SLOT,
            _ => true,
        };
        if !ends {
            return BAD_ARGUMENT;
        }
        let has_partials = self
            .mdls()
            .any(|other| other.source == MdlSource::Partial(id));
        if self.has_buffer(id) || has_partials {
            return Verdict::leave_out("CM-27: a common buffer or partial MDL lies on it");
        }
        Verdict::success("CM-26")
    }

    fn has_buffer(&self, mdl: u64) -> bool {
        self.buffers().any(|buffer| buffer.mdl == Some(mdl))
    }
}

/// What an allocation of a common buffer asks for.
pub(super) struct Asked {
    pub(super) slot: u32,
    pub(super) adapter: u32,
    pub(super) length_bytes: u64,
    pub(super) minimum: u64,
    pub(super) maximum: u64,
    min_version: u32,
    rule: &'static str,
}

/// Reads an allocation; `None` where the action is none.
pub(super) const fn asked_bounds(action: &Action) -> Option<Asked> {
    Some(match *action {
        Action::Allocate {
            slot,
            adapter,
            length_bytes,
            ..
        } => Asked {
            slot,
            adapter,
            length_bytes,
            minimum: 0,
            maximum: u64::MAX,
            min_version: 1,
            rule: "AC-1",
        },
        Action::AllocateEx {
            slot,
            adapter,
            length_bytes,
            maximum,
            ..
        } => Asked {
            slot,
            adapter,
            length_bytes,
            minimum: 0,
            maximum: or(maximum, u64::MAX),
            min_version: 3,
            rule: "AX-2",
        },
        Action::AllocateWithBounds {
            slot,
            adapter,
            length_bytes,
            minimum,
            maximum,
            ..
        } => Asked {
            slot,
            adapter,
            length_bytes,
            minimum: or(minimum, 0),
            maximum: or(maximum, u64::MAX),
            min_version: 3,
            rule: "AB-1",
        },
        _ => return None,
    })
}

const fn or(value: Option<u64>, otherwise: u64) -> u64 {
    match value {
        Some(value) => value,
        None => otherwise,
    }
}

/// Whether `minimum..=maximum` holds so many bytes.
pub(super) const fn has_room((minimum, maximum): (u64, u64), length_bytes: u64) -> bool {
    minimum <= maximum && length_bytes > 0 && maximum - minimum >= length_bytes - 1
}

const fn is_inside(offset: u64, length_bytes: u64, len: u64) -> bool {
    offset <= len && length_bytes <= len - offset
}
