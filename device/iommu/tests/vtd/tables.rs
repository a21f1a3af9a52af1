//! [`Tables`]: physical memory of words, and a hand that builds tables in it.

use std::collections::BTreeMap;

use dmarig_abi::{GuestPhysAddr, Iova, RequesterId};
use iommu::vtd::{PhysicalMemory, RemappingUnit, UnitConfig};
use iommu::{Access, Fault};

/// Memory ends here.
pub const MEMORY_END: u64 = 1 << 32;
/// Where the root table of every test lies.
pub const ROOT: GuestPhysAddr = GuestPhysAddr::new(0x10_0000);
/// The device of every test, unless it needs two.
pub const DEVICE: RequesterId = RequesterId::from_raw(0x0208);
pub const READ: u64 = 1;
pub const WRITE: u64 = 2;
pub const LARGE: u64 = 1 << 7;

/// Words that were written; all others are zero.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    pub words: BTreeMap<u64, u64>,
    /// The next page for a table.
    next: u64,
}

impl PhysicalMemory for Tables {
    fn read_u64(&self, address: GuestPhysAddr) -> Option<u64> {
        assert!(address.is_aligned(8), "{address}");
        if address.raw() >= MEMORY_END {
            return None;
        }
        Some(self.words.get(&address.raw()).copied().unwrap_or(0))
    }
}

impl Tables {
    /// A root table without entries.
    pub fn new() -> Self {
        Self {
            words: BTreeMap::new(),
            next: ROOT.raw() + 0x1000,
        }
    }

    pub fn word(&self, at: u64) -> u64 {
        self.words.get(&at).copied().unwrap_or(0)
    }

    pub fn set(&mut self, at: u64, word: u64) {
        self.words.insert(at, word);
    }

    fn table(&mut self) -> u64 {
        self.next += 0x1000;
        self.next - 0x1000
    }

    /// Where the root entry of a bus lies.
    pub fn root_entry(requester: RequesterId) -> u64 {
        ROOT.raw() + u64::from(requester.bus()) * 16
    }

    /// Where the context entry of a requester lies; its context table is made if need be.
    pub fn context_entry(&mut self, requester: RequesterId) -> u64 {
        let root_entry = Self::root_entry(requester);
        if self.word(root_entry) == 0 {
            let table = self.table();
            self.set(root_entry, table | 1);
        }
        (self.word(root_entry) & !0xfff) + u64::from(requester.raw() & 0xff) * 16
    }

    /// Gives a requester tables of `levels` levels under a domain; returns the top table.
    pub fn attach(&mut self, requester: RequesterId, domain: u16, levels: u64) -> u64 {
        let (entry, top) = (self.context_entry(requester), self.table());
        self.set(entry, top | 1);
        self.set(entry + 8, (levels - 2) | u64::from(domain) << 8);
        top
    }

    /// Where the entry of `iova` lies in the table of `level` under `top`; tables on the way are made.
    pub fn entry(&mut self, top: u64, levels: u64, iova: u64, level: u64) -> u64 {
        let mut table = top;
        for above in (level + 1..=levels).rev() {
            let at = table + (iova >> (12 + 9 * (above - 1)) & 511) * 8;
            if self.word(at) == 0 {
                let below = self.table();
                self.set(at, below | READ | WRITE);
            }
            table = self.word(at) & 0x000f_ffff_ffff_f000;
        }
        table + (iova >> (12 + 9 * (level - 1)) & 511) * 8
    }

    /// Maps a page of 4 KiB.
    pub fn map(&mut self, top: u64, levels: u64, iova: u64, target: u64, flags: u64) -> u64 {
        let at = self.entry(top, levels, iova, 1);
        self.set(at, target | flags);
        at
    }
}

/// A unit over the tests' root table.
pub fn unit(change: impl FnOnce(&mut UnitConfig)) -> RemappingUnit {
    let mut config = UnitConfig::default();
    change(&mut config);
    RemappingUnit::try_new(config, ROOT).expect("the settings are valid")
}

/// Translates 64 bytes for [`DEVICE`]: where they lie, or the fault.
pub fn translate(
    unit: &mut RemappingUnit,
    tables: &Tables,
    iova: u64,
    access: Access,
) -> Result<u64, Fault> {
    let segment = unit.translate(tables, DEVICE, Iova::new(iova), 64, access)?;
    Ok(segment.offset_bytes)
}

/// Expects a refusal and returns the reason's code in the one record that it left.
pub fn refusal_code(
    unit: &mut RemappingUnit,
    tables: &Tables,
    iova: u64,
    access: Access,
) -> Option<u8> {
    translate(unit, tables, iova, access).expect_err("a refusal");
    let faults = unit.take_faults();
    assert!(faults.len() <= 1, "{faults:?}");
    faults.first().map(|fault| fault.reason.code())
}
