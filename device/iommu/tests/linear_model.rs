//! Random sequences of map, unmap and translate against a model that keeps one entry for each page.

use std::collections::BTreeMap;

use dmarig_abi::{Iova, RequesterId};
use iommu::{Access, FaultKind, Mapping, MappingTable, Permissions, Translate};
use proptest::collection::vec;
use proptest::prelude::*;

const PAGE: u64 = 0x1000;
const REQUESTER: RequesterId = RequesterId::from_raw(0x0100);
/// Pages of the window in which everything happens; it straddles 2 MiB and 1 GiB borders.
const WINDOW_PAGES: u64 = 1600;

#[derive(Clone, Copy, Debug, PartialEq)]
struct Page {
    backing: u8,
    offset_bytes: u64,
    permissions: Permissions,
}

#[derive(Clone, Debug)]
enum Action {
    Map {
        first: u64,
        pages: u64,
        backing: u8,
        offset_pages: u64,
        permissions: Permissions,
    },
    Unmap {
        first: u64,
        pages: u64,
    },
    UnmapAll,
    Translate {
        start: u64,
        len_bytes: u64,
        access: Access,
    },
}

/// Windows that lie at borders: in the first 2 MiB, round 1 GiB, round 512 GiB, at the very end.
fn window_start() -> impl Strategy<Value = u64> {
    let end = (u64::MAX >> 12) - WINDOW_PAGES + 1;
    prop_oneof![
        Just(0),
        Just((1 << 18) - 700),
        Just((1 << 27) - 800),
        Just(end)
    ]
}

fn action() -> impl Strategy<Value = Action> {
    let range = || (0..WINDOW_PAGES, prop_oneof![1..4_u64, 1..WINDOW_PAGES]);
    let permissions = prop_oneof![
        Just(Permissions::Read),
        Just(Permissions::Write),
        Just(Permissions::ReadWrite)
    ];
    let map = (range(), 0..3_u8, 0..4_u64, permissions).prop_map(
        |((first, pages), backing, offset_pages, permissions)| Action::Map {
            first,
            pages: pages.min(WINDOW_PAGES - first),
            backing,
            // Often the same distance from IOVA to offset, so that neighbors merge.
            offset_pages: offset_pages * 10_000 + first,
            permissions,
        },
    );
    let unmap = range().prop_map(|(first, pages)| Action::Unmap {
        first,
        pages: pages.min(WINDOW_PAGES - first),
    });
    let access = prop_oneof![Just(Access::Read), Just(Access::Write)];
    let translate = (0..WINDOW_PAGES * PAGE, 1..WINDOW_PAGES * PAGE, access).prop_map(
        |(start, len_bytes, access)| Action::Translate {
            start,
            len_bytes: len_bytes.min(WINDOW_PAGES * PAGE - start),
            access,
        },
    );
    prop_oneof![6 => map, 4 => unmap, 1 => Just(Action::UnmapAll), 8 => translate]
}

#[derive(Default)]
struct Model {
    pages: BTreeMap<u64, Page>,
}

impl Model {
    fn remove(&mut self, first: u64, pages: u64) -> BTreeMap<u64, Page> {
        let mut removed = self.pages.split_off(&first);
        if let Some(end) = first.checked_add(pages) {
            self.pages.append(&mut removed.split_off(&end));
        }
        removed
    }

    /// Bytes permitted from `start` on, and what refuses the next one.
    fn permitted(&self, start: u64, len_bytes: u64, access: Access) -> (u64, Option<FaultKind>) {
        let mut done = 0;
        while done < len_bytes {
            let at = start + done;
            match self.pages.get(&(at / PAGE)) {
                None => return (done, Some(FaultKind::Unmapped)),
                Some(page) if !page.permissions.allows(access) => {
                    return (done, Some(FaultKind::Permission));
                }
                Some(_) => done += (PAGE - at % PAGE).min(len_bytes - done),
            }
        }
        (done, None)
    }
}

fn apply(table: &mut MappingTable<u8>, model: &mut Model, base: u64, action: &Action) {
    let mut removed = BTreeMap::new();
    let mut note = |leaf: iommu::Removed<u8>| {
        for page in 0..leaf.size_pages {
            let entry = Page {
                backing: leaf.backing,
                offset_bytes: leaf.offset_bytes + page * PAGE,
                permissions: leaf.permissions,
            };
            let number = leaf.iova.raw() / PAGE + page;
            assert!(removed.insert(number, entry).is_none(), "removed twice");
        }
    };
    match *action {
        Action::Map {
            first,
            pages,
            backing,
            offset_pages,
            permissions,
        } => {
            let mapping = Mapping {
                iova: Iova::new((base + first) * PAGE),
                len_bytes: pages * PAGE,
                backing,
                offset_bytes: offset_pages * PAGE,
                permissions,
            };
            table
                .map(&mapping, &mut note)
                .expect("the mapping is valid");
            assert_eq!(removed, model.remove(base + first, pages));
            for page in 0..pages {
                let offset_bytes = (offset_pages + page) * PAGE;
                let entry = Page {
                    backing,
                    offset_bytes,
                    permissions,
                };
                model.pages.insert(base + first + page, entry);
            }
        }
        Action::Unmap { first, pages } => {
            let iova = Iova::new((base + first) * PAGE);
            table
                .unmap(iova, pages * PAGE, &mut note)
                .expect("the range is valid");
            assert_eq!(removed, model.remove(base + first, pages));
        }
        Action::UnmapAll => {
            table.unmap_all(&mut note);
            assert_eq!(removed, std::mem::take(&mut model.pages));
        }
        Action::Translate {
            start,
            len_bytes,
            access,
        } => {
            check_translation(table, model, base * PAGE + start, len_bytes, access);
        }
    }
}

fn check_translation(
    mut table: &MappingTable<u8>,
    model: &Model,
    start: u64,
    len_bytes: u64,
    access: Access,
) {
    let (permitted, refusal) = model.permitted(start, len_bytes, access);
    let mut done = 0;
    let mut fault = None;
    for piece in table.segments(REQUESTER, Iova::new(start), len_bytes, access) {
        assert_eq!(fault, None, "nothing follows a fault");
        match piece {
            Err(refused) => {
                assert_eq!(refused.iova.raw(), start + done);
                fault = Some(refused.kind);
            }
            Ok(segment) => {
                assert_eq!(segment.iova.raw(), start + done);
                for into_segment in (0..segment.len_bytes).step_by(0x1000) {
                    let at = segment.iova.raw() + into_segment;
                    let page = model.pages[&(at / PAGE)];
                    assert_eq!(segment.backing, page.backing);
                    assert_eq!(
                        segment.offset_bytes + into_segment,
                        page.offset_bytes + at % PAGE
                    );
                }
                done += segment.len_bytes;
            }
        }
    }
    assert_eq!((done, fault), (permitted, refusal));
}

/// The listing, cut into pages, is the model; and no two neighbors in it could have been joined.
fn check_listing(table: &MappingTable<u8>, model: &Model) {
    let mut listed = BTreeMap::new();
    let mut last: Option<iommu::Run<u8>> = None;
    for run in table.runs(Iova::new(0)) {
        for page in 0..run.size_pages {
            let entry = Page {
                backing: run.backing,
                offset_bytes: run.offset_bytes + page * PAGE,
                permissions: run.permissions,
            };
            listed.insert(run.iova.raw() / PAGE + page, entry);
        }
        if let Some(last) = last {
            let joins = last.iova.raw() / PAGE + last.size_pages == run.iova.raw() / PAGE
                && last.backing == run.backing
                && last.permissions == run.permissions
                && last.offset_bytes + last.size_pages * PAGE == run.offset_bytes;
            assert!(!joins, "{last:?} continues in {run:?}");
        }
        last = Some(run);
    }
    assert_eq!(listed, model.pages);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_sequence_agrees_with_the_linear_model(
        base in window_start(),
        actions in vec(action(), 1..40),
    ) {
        let mut table = MappingTable::new();
        let mut model = Model::default();
        for action in &actions {
            apply(&mut table, &mut model, base, action);
        }
        check_listing(&table, &model);
        let pages = model.pages.len();
        prop_assert_eq!(table.unmap_all(|_| {}), pages as u64);
        prop_assert_eq!(table.leaf_count(), 0);
    }

    /// The large leaves of a wide identity map, cut anywhere, translate as before but for the hole.
    #[test]
    fn hole_in_an_identity_map_of_the_whole_space_is_exactly_the_hole(
        hole_page in 0..(1_u64 << 51),
        hole_pages in 1..(1_u64 << 40),
    ) {
        let mut table = MappingTable::new();
        let identity = Mapping {
            iova: Iova::new(0),
            len_bytes: 1 << 63,
            backing: 0_u8,
            offset_bytes: 0,
            permissions: Permissions::ReadWrite,
        };
        table.map(&identity, |_| {}).expect("the mapping is valid");
        let hole_pages = hole_pages.min((1 << 51) - hole_page);
        let (start, len_bytes) = (hole_page * PAGE, hole_pages * PAGE);
        let removed = table.unmap(Iova::new(start), len_bytes, |leaf| {
            assert_eq!(leaf.iova.raw(), leaf.offset_bytes);
        });
        prop_assert_eq!(removed, Ok(hole_pages));
        let runs: Vec<_> = table.runs(Iova::new(0)).map(|run| (run.iova.raw(), run.size_pages)).collect();
        let mut expected = vec![(0, hole_page), (start + len_bytes, (1 << 51) - hole_page - hole_pages)];
        expected.retain(|run| run.1 > 0);
        prop_assert_eq!(runs, expected);
    }
}
