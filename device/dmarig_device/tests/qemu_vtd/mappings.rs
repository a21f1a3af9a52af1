//! What QEMU announces by DMA_MAP when translation is turned on and when tables change.

use crate::compare::differences;
use crate::machine::Machine;
use crate::tables::{LARGE, READ, Tables, WRITE};

const GIB: u64 = 1 << 30;
const MIB_2: u64 = 2 << 20;
/// Data lies in the second GiB, away from the tables.
const DATA: u64 = GIB;
const IOVA: u64 = 0x12_4000_0000;

/// Tables with leaves of every size and permission; returns the addresses worth a look.
fn build(machine: &Machine) -> Vec<u64> {
    let levels = machine.levels();
    let (mut tables, top) = Tables::attach(&machine.qtest, levels);
    let mut asked = Vec::new();
    let mut map = |iova: u64, level: u64, entry: u64| {
        tables.set(top, levels, iova, level, entry);
        let size_bytes = 0x1000_u64 << (9 * (level - 1));
        asked.extend([iova, iova + size_bytes / 2, iova + size_bytes - 0x1000]);
        // What lies behind it, too.
        asked.push(iova + size_bytes);
    };
    for (number, permissions) in [READ, WRITE, READ | WRITE, READ].into_iter().enumerate() {
        let number = u64::try_from(number).expect("small");
        map(
            IOVA + number * 0x2000,
            1,
            (DATA + (7 - number) * 0x1000) | permissions,
        );
    }
    // Neighbors in both spaces, which are announced one by one and listed as one.
    map(IOVA + 0x10_0000, 1, (DATA + 0x10_0000) | READ | WRITE);
    map(IOVA + 0x10_1000, 1, (DATA + 0x10_1000) | READ | WRITE);
    map(
        IOVA + 4 * MIB_2,
        2,
        (DATA + 3 * MIB_2) | LARGE | READ | WRITE,
    );
    map(IOVA + 6 * MIB_2, 2, (DATA + 9 * MIB_2) | LARGE | READ);
    map(IOVA + 2 * GIB, 3, DATA | LARGE | READ | WRITE);
    // Ignored bits do not matter.
    map(
        IOVA + 0x20_0000 - 0x1000,
        1,
        DATA | READ | 0x8000_0000_0000_077c,
    );
    asked
}

pub fn announced_mappings_are_those_of_our_walk() {
    for address_bits in [39, 48] {
        let machine = Machine::start(address_bits);
        let asked = build(&machine);
        let before = machine.mappings();
        assert!(before.iter().any(|run| run.iova.raw() == 0), "{before:?}");
        machine.enable();
        let mappings = machine.mappings();
        assert!(mappings.len() >= 8, "{mappings:?}");
        let bytes: u64 = mappings.iter().map(|run| run.size).sum();
        assert!(bytes >= GIB + 2 * MIB_2 + 6 * 0x1000, "{mappings:?}");
        let unit = machine.our_unit();
        let found = differences(&machine.qtest, &unit, &mappings, &asked);
        assert_eq!(found, Vec::<String>::new(), "{address_bits} bits");
    }
}

pub fn entry_changed_without_invalidation_is_a_difference() {
    let machine = Machine::start(48);
    let asked = build(&machine);
    machine.enable();
    let unit = machine.our_unit();
    let (mut tables, top) = Tables::again(&machine.qtest);
    tables.set(top, 4, IOVA, 1, (DATA + 0x5000) | READ);
    // QEMU still believes what it announced.
    let stale = differences(&machine.qtest, &unit, &machine.mappings(), &asked);
    let line = format!(
        "IOVA {IOVA:#x}: QEMU announced Some(Page {{ target: 40007000, is_writable: false }}), \
         our walk finds Some(Page {{ target: 40005000, is_writable: false }})"
    );
    assert!(stale.contains(&line), "{stale:?}");
    machine.invalidate();
    let found = differences(&machine.qtest, &unit, &machine.mappings(), &asked);
    assert_eq!(found, Vec::<String>::new());
}
