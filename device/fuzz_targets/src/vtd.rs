//! The target that walks hostile remapping tables.

use std::collections::BTreeMap;

use arbitrary::{Arbitrary, Unstructured};
use dmarig_abi::{GuestPhysAddr, Iova, RequesterId};
use iommu::Access;
use iommu::vtd::{Invalidation, InvalidationMode, PhysicalMemory, RemappingUnit, UnitConfig};

/// Operations of one input.
const MAX_OPS: usize = 128;
/// Pages in which tables lie; addresses beyond read as not there.
const TABLE_PAGES: u64 = 16;
/// Entries of the caches: few, so that they are evicted.
pub const CACHE_ENTRIES: usize = 4;

/// Words of memory, of which those not written are zero.
#[derive(Default)]
pub struct Words(BTreeMap<u64, u64>);

impl Words {
    /// Puts an entry into a table.
    pub fn put(&mut self, page: u8, index: u16, entry: u64) {
        self.0.insert(address(page, index), entry);
    }

    /// Puts an entry into a table that points to another of them, with these bits.
    pub fn link(&mut self, page: u8, index: u16, to: u8, bits: u64) {
        let entry = (u64::from(to) % TABLE_PAGES) << 12 | bits & !0x00ff_ffff_ffff_f000;
        self.put(page, index, entry);
    }
}

impl PhysicalMemory for Words {
    fn read_u64(&self, address: GuestPhysAddr) -> Option<u64> {
        let address = address.raw();
        (address < TABLE_PAGES << 12).then(|| self.0.get(&address).copied().unwrap_or(0))
    }
}

#[derive(Arbitrary, Debug)]
enum Op {
    /// An entry that points to a page of the tables, with any low and high bits.
    Link {
        page: u8,
        index: u8,
        to: u8,
        low: u16,
        high: u8,
    },
    /// Any entry.
    Entry {
        page: u8,
        index: u16,
        value: u64,
    },
    /// An access, near the start of the address space or anywhere.
    Translate {
        requester: u16,
        iova: u64,
        is_near: bool,
        length: u32,
        is_write: bool,
    },
    /// An invalidation.
    Invalidate {
        kind: u8,
        domain: u16,
        iova: u64,
        mask: u8,
    },
    Wait,
    Tick,
    Root {
        page: u8,
    },
}

/// Tables, accesses and invalidations in any order. Where nothing can be stale, the answer is that of
/// the tables.
pub fn vtd(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let is_deferred = input.arbitrary().unwrap_or(false);
    let config = UnitConfig {
        context_entries: CACHE_ENTRIES,
        iotlb_entries: CACHE_ENTRIES,
        invalidation: if is_deferred {
            InvalidationMode::Deferred { ticks: None }
        } else {
            InvalidationMode::Immediate
        },
        ..UnitConfig::default()
    };
    let uncached = UnitConfig {
        context_entries: 0,
        iotlb_entries: 0,
        ..config
    };
    let root = GuestPhysAddr::new(0x1000);
    let mut unit = RemappingUnit::try_new(config, root).expect("a setting that can be had");
    let mut plain = RemappingUnit::try_new(uncached, root).expect("a setting that can be had");
    let mut memory = Words::default();
    for _ in 0..MAX_OPS {
        if input.is_empty() {
            return;
        }
        let Ok(op) = Op::arbitrary(&mut input) else {
            return;
        };
        step(&op, &mut memory, &mut unit, &mut plain);
    }
}

fn step(op: &Op, memory: &mut Words, unit: &mut RemappingUnit, plain: &mut RemappingUnit) {
    match *op {
        Op::Link {
            page,
            index,
            to,
            low,
            high,
        } => {
            let bits = u64::from(low & 0xfff) | u64::from(high) << 56;
            memory.link(page, index.into(), to, bits);
        }
        Op::Entry { page, index, value } => {
            memory.put(page, index, value);
        }
        Op::Translate {
            requester,
            iova,
            is_near,
            length,
            is_write,
        } => {
            let requester = RequesterId::from_raw(requester);
            let iova = Iova::new(if is_near { iova & 0x3_ffff } else { iova });
            let access = if is_write {
                Access::Write
            } else {
                Access::Read
            };
            let length = u64::from(length).max(1);
            let foreseen = unit.peek(memory, requester, iova, length, access);
            let answer = unit.translate(memory, requester, iova, length, access);
            assert_eq!(foreseen, answer, "peek at {iova} by {requester}");
            if let Ok(segment) = answer {
                assert!(
                    segment.len_bytes >= 1 && segment.len_bytes <= length,
                    "{segment:?}"
                );
            }
            let by_tables = plain.translate(memory, requester, iova, length, access);
            let fresh = plain.peek(memory, requester, iova, length, access);
            assert_eq!(by_tables, fresh, "without caches at {iova} by {requester}");
        }
        Op::Invalidate {
            kind,
            domain,
            iova,
            mask,
        } => {
            let requester = RequesterId::from_raw(domain);
            let masked_bits = mask;
            let order = match kind % 6 {
                0 => Invalidation::ContextGlobal,
                1 => Invalidation::ContextDomain { domain },
                2 => Invalidation::ContextDevice {
                    requester,
                    masked_bits,
                },
                3 => Invalidation::IotlbGlobal,
                4 => Invalidation::IotlbDomain { domain },
                _ => Invalidation::IotlbPages {
                    domain,
                    iova: Iova::new(iova),
                    address_mask: mask,
                },
            };
            // Refused orders are part of the matter.
            let _ = unit.invalidate(order);
        }
        Op::Wait => {
            unit.wait();
            assert_eq!(unit.n_pending(), 0);
        }
        Op::Tick => unit.tick(),
        Op::Root { page } => {
            let root = GuestPhysAddr::new((u64::from(page) % TABLE_PAGES) << 12);
            unit.set_root_table(root);
            plain.set_root_table(root);
        }
    }
    assert!(unit.take_faults().len() <= unit.config().fault_records);
}

fn address(page: u8, index: u16) -> u64 {
    (u64::from(page) % TABLE_PAGES) << 12 | u64::from(index % 512) << 3
}
