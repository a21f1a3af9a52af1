//! Random tables, requests and orders.

use std::num::NonZeroU32;

use dmarig_abi::{Iova, RequesterId};
use iommu::vtd::{Invalidation, InvalidationMode, UnitConfig};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::tables::{ROOT, Tables};

/// Requesters that ask; the last one has no root entry most of the time.
const REQUESTERS: [u16; 3] = [0x0008, 0x000a, 0x0110];
/// Indices that occur in tables and addresses.
const INDICES: [u64; 3] = [0, 1, 511];
/// Bits that are turned: flags, and both sides of the borders of fields.
const TURNED_BITS: [u32; 16] = [0, 1, 2, 4, 7, 11, 12, 20, 24, 29, 36, 47, 48, 51, 52, 62];
/// Pages in which tables lie, the root table first.
const TABLES: u64 = 7;

pub fn table(number: u64) -> u64 {
    ROOT.raw() + number * 0x1000
}

/// One word of memory changes.
#[derive(Clone, Copy, Debug)]
pub struct Change {
    pub at: u64,
    pub word: u64,
}

/// A word, most often as it is, sometimes with a bit turned.
fn spoilt(word: impl Strategy<Value = u64>) -> impl Strategy<Value = u64> {
    let turned = prop_oneof![12 => Just(0), 1 => select(&TURNED_BITS[..]).prop_map(|bit| 1 << bit)];
    (word, turned).prop_map(|(word, turned)| word ^ turned)
}

fn page_entry() -> impl Strategy<Value = u64> {
    let flags = prop_oneof![8 => Just(3), 1 => 0..4_u64, 3 => Just(0x83)];
    let pointer = prop_oneof![
        12 => (3..TABLES).prop_map(table),
        2 => Just(0xc000_0000),
        1 => Just(0xfee0_0000),
        1 => Just(1 << 33),
    ];
    spoilt((pointer, flags).prop_map(|(pointer, flags)| {
        // A leaf of 1 GiB is 2 MiB aligned as well; tables are neither.
        let target = if flags & 0x80 == 0 {
            pointer
        } else {
            pointer & !0x3fff_ffff
        };
        target | flags
    }))
}

/// A change to a root, context or page-table entry.
pub fn change() -> impl Strategy<Value = Change> {
    let requester = select(&REQUESTERS[..]);
    let root = (requester.clone(), spoilt(Just(table(1) | 1))).prop_map(|(requester, word)| {
        let at = ROOT.raw() + u64::from(requester >> 8) * 16;
        Change { at, word }
    });
    let low = spoilt(
        (3..TABLES, prop_oneof![6 => Just(0), 1 => 0..4_u64])
            .prop_map(|(top, translation)| table(top) | translation << 2 | 1),
    );
    let high = spoilt((1..3_u64, 1..3_u64).prop_map(|(width, domain)| width | domain << 8));
    let halves = prop_oneof![
        low.prop_map(|low| (0, low)),
        high.prop_map(|high| (8, high))
    ];
    let context = (requester, halves).prop_map(|(requester, (half, word))| {
        let at = table(1) + u64::from(requester & 0xff) * 16 + half;
        Change { at, word }
    });
    let page =
        (3..TABLES, select(&INDICES[..]), page_entry()).prop_map(|(number, index, word)| Change {
            at: table(number) + index * 8,
            word,
        });
    prop_oneof![1 => root, 3 => context, 12 => page]
}

/// Memory in which a good deal is in order.
pub fn memory() -> impl Strategy<Value = Tables> {
    vec(change(), 0..60).prop_map(|changes| {
        let mut tables = Tables::new();
        tables.set(ROOT.raw(), table(1) | 1);
        for (requester, top) in REQUESTERS.into_iter().zip(3..) {
            let at = table(1) + u64::from(requester & 0xff) * 16;
            tables.set(at, table(top) | 1);
            tables.set(at + 8, 2 | 1 << 8);
        }
        for number in 3..TABLES {
            for (index, step) in INDICES.into_iter().zip(1..) {
                let below = 3 + (number + step) % (TABLES - 3);
                tables.set(table(number) + index * 8, table(below) | 3);
            }
        }
        for change in changes {
            tables.set(change.at, change.word);
        }
        tables
    })
}

#[derive(Clone, Copy, Debug)]
pub struct Request {
    pub requester: RequesterId,
    pub iova: u64,
    pub is_write: bool,
}

pub fn request() -> impl Strategy<Value = Request> {
    let index = || select(&INDICES[..]);
    // Few addresses, so that a translation is asked for again.
    let high = || prop_oneof![4 => Just(0), 1 => index()];
    let beyond = prop_oneof![20 => Just(0_u64), 1 => Just(1 << 48), 1 => Just(1 << 57)];
    let indices = (high(), high(), index(), index());
    (
        select(&REQUESTERS[..]),
        indices,
        beyond,
        0..0x1000_u64,
        any::<bool>(),
    )
        .prop_map(
            |(requester, (a, b, c, d), beyond, offset, is_write)| Request {
                requester: RequesterId::from_raw(requester),
                iova: a << 39 | b << 30 | c << 21 | d << 12 | offset | beyond,
                is_write,
            },
        )
}

pub fn config() -> impl Strategy<Value = UnitConfig> {
    let widths = (
        select(&[36_u8, 39, 48, 52][..]),
        select(&[36_u8, 39, 48][..]),
    );
    (widths, any::<[bool; 7]>()).prop_map(|((host, guest), has)| UnitConfig {
        host_address_bits: host,
        guest_address_bits: guest,
        has_3_levels: has[0] || !has[1],
        has_4_levels: has[1],
        has_2_mib_leaves: has[2],
        has_1_gib_leaves: has[3],
        has_pass_through: has[4],
        has_device_tlb: has[5],
        has_snoop_control: has[6],
        context_entries: 0,
        iotlb_entries: 0,
        fault_records: 1,
        ..UnitConfig::default()
    })
}

#[derive(Clone, Copy, Debug)]
pub enum Action {
    Change(Change),
    Ask(Request),
    Invalidate(Invalidation),
    Tick,
    Wait,
}

fn invalidation() -> impl Strategy<Value = Invalidation> {
    let requester = select(&REQUESTERS[..]).prop_map(RequesterId::from_raw);
    let pages = (1..3_u16, request(), 0..=18_u8).prop_map(|(domain, request, address_mask)| {
        let iova = Iova::new(request.iova & ((1 << 48) - 1)).align_down(1 << (12 + address_mask));
        Invalidation::IotlbPages {
            domain,
            iova,
            address_mask,
        }
    });
    prop_oneof![
        1 => Just(Invalidation::ContextGlobal),
        1 => (1..3_u16).prop_map(|domain| Invalidation::ContextDomain { domain }),
        1 => (requester, 0..4_u8).prop_map(|(requester, masked_bits)| {
            Invalidation::ContextDevice { requester, masked_bits }
        }),
        1 => Just(Invalidation::IotlbGlobal),
        1 => (1..3_u16).prop_map(|domain| Invalidation::IotlbDomain { domain }),
        3 => pages,
    ]
}

pub fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        6 => change().prop_map(Action::Change),
        12 => request().prop_map(Action::Ask),
        3 => invalidation().prop_map(Action::Invalidate),
        1 => Just(Action::Tick),
        1 => Just(Action::Wait),
    ]
}

pub fn mode() -> impl Strategy<Value = InvalidationMode> {
    prop_oneof![
        Just(InvalidationMode::Immediate),
        (0..3_u32).prop_map(|ticks| InvalidationMode::Deferred {
            ticks: NonZeroU32::new(ticks)
        }),
    ]
}
