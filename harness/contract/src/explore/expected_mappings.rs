//! Which mappings there must be, and which there are.

use std::collections::BTreeMap;

use dmarig_abi::Iova;

use super::judge::{Judged, differs};
use super::model::{Model, Object};
use crate::finding::Finding;
use crate::oracle::{self, MappedPage, PAGE_SIZE};
use crate::rig::MappingView;

/// The kind of check.
const CHECK: &str = "mapping set";

/// A page that the model wants mapped.
#[derive(Clone, Debug)]
struct Wanted {
    name: String,
    /// Where it must lead, if that can be known.
    guest_phys: Option<u64>,
    writable: bool,
}

/// The pages of live buffers and rings by logical address.
pub(super) struct ExpectedMappings(BTreeMap<u64, Wanted>);

impl ExpectedMappings {
    /// What the model's live buffers and rings need.
    pub(super) fn of(model: &Model) -> Self {
        let mut pages = BTreeMap::new();
        for (slot, object) in model.objects() {
            match object {
                Object::Buffer(buffer) => {
                    let Some(start) = buffer.logical_address else {
                        continue;
                    };
                    let frames = buffer
                        .mdl
                        .and_then(|_| model.frames(buffer.root, buffer.start, buffer.len));
                    let name = format!("buffer in slot {slot}");
                    for index in 0..buffer.len.div_ceil(PAGE_SIZE) {
                        let frame = frames
                            .as_ref()
                            .and_then(|frames| frames.get(usize::try_from(index).ok()?));
                        let wanted = Wanted {
                            name: name.clone(),
                            guest_phys: frame.map(|frame| frame * PAGE_SIZE),
                            writable: buffer.can_write,
                        };
                        pages.insert(start.wrapping_add(index * PAGE_SIZE), wanted);
                    }
                }
                Object::Ring(ring) => {
                    for start in ring.logical_addresses.into_iter().flatten() {
                        for index in 0..ring.length_bytes().div_ceil(PAGE_SIZE) {
                            let wanted = Wanted {
                                name: format!("ring in slot {slot}"),
                                guest_phys: None,
                                writable: true,
                            };
                            pages.insert(start.wrapping_add(index * PAGE_SIZE), wanted);
                        }
                    }
                }
                Object::Adapter(_) | Object::Memory(_) | Object::Mdl(_) => {}
            }
        }
        Self(pages)
    }

    /// Whether a page is to be mapped.
    pub(super) fn contains(&self, page: u64) -> bool {
        self.0.contains_key(&page)
    }

    /// The first page that is mapped otherwise than it must be. With remapping the set is what it was at
    /// the start and these pages; without, it has not changed at all.
    pub(super) fn compare(
        &self,
        before: &MappingView,
        now: &MappingView,
        is_remapped: bool,
    ) -> Judged {
        for (page, wanted) in &self.0 {
            let seen = oracle::translate(now, *page);
            let is_right = seen.is_some_and(|seen| {
                seen.writable == wanted.writable
                    && (wanted.guest_phys.is_none() || wanted.guest_phys == seen.guest_phys)
            });
            if !is_right {
                return differs(CHECK, wrong_page(*page, wanted, seen));
            }
        }
        for change in oracle::difference(before, now) {
            if is_remapped && change.added && self.contains(change.page) {
                continue;
            }
            let (expected, seen) = if change.added {
                ("no mapping", "a mapping that no live buffer has")
            } else {
                ("the mapping from before", "no mapping")
            };
            let finding = Finding {
                view: "iommu",
                what: "the mapping set".to_owned(),
                buffer: None,
                logical_address: Some(Iova::new(change.page)),
                expected: expected.to_owned(),
                seen: seen.to_owned(),
            };
            return differs(CHECK, finding);
        }
        Ok(())
    }
}

fn wrong_page(page: u64, wanted: &Wanted, seen: Option<MappedPage>) -> Finding {
    let frame = wanted
        .guest_phys
        .map_or("its frame".to_owned(), |phys| format!("{phys:#x}"));
    let access = if wanted.writable {
        "read-write"
    } else {
        "read-only"
    };
    Finding {
        view: "iommu",
        what: "the mapping of a live common buffer".to_owned(),
        buffer: Some(wanted.name.clone()),
        logical_address: Some(Iova::new(page)),
        expected: format!("the page mapped {access} to {frame}"),
        seen: seen.map_or("no mapping".to_owned(), |seen| format!("{seen:x?}")),
    }
}
