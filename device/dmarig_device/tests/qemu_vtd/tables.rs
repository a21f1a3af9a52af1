//! [`Tables`]: a hand that builds tables in QEMU's memory.

use crate::machine::{REQUESTER, ROOT};
use crate::qtest::QTest;

pub const READ: u64 = 1;
pub const WRITE: u64 = 2;
pub const LARGE: u64 = 1 << 7;
/// Where tables are taken from, and where they end.
const FIRST: u64 = ROOT + 0x1000;
const END: u64 = ROOT + 0x10_0000;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

pub struct Tables<'a> {
    qtest: &'a QTest,
    next: u64,
}

impl<'a> Tables<'a> {
    /// Clears the memory that tables are taken from, and gives the requester empty ones of `levels`
    /// levels under domain 1; returns the top table.
    pub fn attach(qtest: &'a QTest, levels: u64) -> (Self, u64) {
        qtest.fill(ROOT, END - ROOT, 0);
        let mut tables = Self { qtest, next: FIRST };
        let (contexts, top) = (tables.table(), tables.table());
        qtest.write_u64(root_entry(), contexts | 1);
        qtest.write_u64(context_entry(), top | 1);
        qtest.write_u64(context_entry() + 8, (levels - 2) | 1 << 8);
        (tables, top)
    }

    /// The tables that were made before, to change entries of them; returns the top table as well.
    pub fn again(qtest: &'a QTest) -> (Self, u64) {
        let top = qtest.read_u64(context_entry()) & ADDRESS;
        (Self { qtest, next: END }, top)
    }

    fn table(&mut self) -> u64 {
        let table = self.next;
        self.next += 0x1000;
        assert!(self.next <= END, "no more memory for tables");
        table
    }

    /// Where the entry of `iova` lies in the table of `level`; tables on the way are made.
    pub fn entry(&mut self, top: u64, levels: u64, iova: u64, level: u64) -> u64 {
        let mut table = top;
        for above in (level + 1..=levels).rev() {
            let at = table + index(iova, above) * 8;
            let mut entry = self.qtest.read_u64(at);
            if entry == 0 {
                entry = self.table() | READ | WRITE;
                self.qtest.write_u64(at, entry);
            }
            table = entry & ADDRESS;
        }
        table + index(iova, level) * 8
    }

    pub fn set(&mut self, top: u64, levels: u64, iova: u64, level: u64, entry: u64) {
        let at = self.entry(top, levels, iova, level);
        self.qtest.write_u64(at, entry);
    }
}

fn index(iova: u64, level: u64) -> u64 {
    iova >> (12 + 9 * (level - 1)) & 511
}

/// Where the root entry of the requester's bus lies.
pub fn root_entry() -> u64 {
    ROOT + u64::from(REQUESTER.bus()) * 16
}

/// Where the context entry of the requester lies in tables that [`Tables::attach`] made.
pub fn context_entry() -> u64 {
    FIRST + u64::from(REQUESTER.raw() & 0xff) * 16
}
