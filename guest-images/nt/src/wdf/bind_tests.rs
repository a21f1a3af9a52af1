//! Binding, with the test's own memory in place of a driver's.

use std::vec;
use std::vec::Vec;

use super::super::globals;
use super::super::names::FUNCTION_COUNT;
use super::super::table::TABLE;
use super::*;

const DRIVER_OBJECT: u64 = 0x1000;

fn address<T>(value: &T) -> u64 {
    core::ptr::from_ref(value).expose_provenance() as u64
}

/// WDF_BIND_INFO2 as words; the first six are WDF_BIND_INFO.
fn info(size: u64, minor: u64, count: u64, table: u64, newer: u64) -> [Cell<u64>; 11] {
    let words = [
        size,
        0,
        1 | (minor << 32),
        count << 32,
        table,
        0,
        0,
        newer,
        0,
        0,
        0,
    ];
    words.map(Cell::new)
}

fn bind(info: &[Cell<u64>; 11]) -> (NtStatus, u64) {
    let out = Cell::new(0u64);
    let status = version_bind(DRIVER_OBJECT, 0, address(info), address(&out));
    (status, out.get())
}

#[test]
fn current_client_gets_the_address_of_the_table() {
    let (table, newer) = (Cell::new(0u64), Cell::new(0xFFu64));
    let (status, globals) = bind(&info(0x58, 33, 458, address(&table), address(&newer)));
    assert_eq!(status, status::SUCCESS);
    assert_eq!(table.get(), TABLE.address());
    assert_eq!(newer.get() & 0xFF, 0, "not newer than the framework");
    assert!(globals::is_at_least(globals, 33) && !globals::is_at_least(globals, 34));
    assert_eq!(version_unbind(0, 0, globals), status::SUCCESS);
    assert_eq!(globals::client(globals), None);
}

#[test]
fn older_clients_without_bind_info_2_get_the_address_too() {
    for (minor, count) in [(15, 444), (19, 446), (25, 453), (31, 458)] {
        let table = Cell::new(0u64);
        let (status, globals) = bind(&info(0x30, minor, count, address(&table), 0));
        assert_eq!((status, table.get()), (status::SUCCESS, TABLE.address()));
        assert_eq!(version_unbind(0, 0, globals), status::SUCCESS);
    }
}

#[test]
fn clients_up_to_1_13_get_a_copy_of_their_length() {
    for (minor, count) in [(0, 383), (9, 396), (11, 432), (13, 438)] {
        let table: Vec<Cell<u64>> = vec![Cell::new(0x55); FUNCTION_COUNT];
        let (status, globals) = bind(&info(0x30, minor, count as u64, address(&table[0]), 0));
        assert_eq!(status, status::SUCCESS);
        let copied: Vec<u64> = table[..count].iter().map(Cell::get).collect();
        assert_eq!(copied, TABLE.entries(count));
        assert!(
            table[count..].iter().all(|entry| entry.get() == 0x55),
            "nothing behind it"
        );
        assert_eq!(version_unbind(0, 0, globals), status::SUCCESS);
    }
}

#[test]
fn client_that_cannot_be_served_is_refused_with_the_reason() {
    let table = Cell::new(0u64);
    let check = |info: &[Cell<u64>; 11], text: &str| {
        let refusal = BindInfo::read(address(info)).expect_err(text);
        let shown = std::format!("{refusal}");
        assert!(shown.contains(text), "{shown}");
        assert_eq!(bind(info), (status::INVALID_PARAMETER, 0));
    };
    check(&info(0x40, 33, 458, address(&table), 0), "0x40 bytes");
    check(
        &info(0x30, 35, 460, address(&table), 0),
        "KMDF 1.35 with 460 functions",
    );
    check(
        &info(0x30, 33, 445, address(&table), 0),
        "445 functions belongs to no released",
    );
    check(&info(0x30, 33, 458, 0, 0), "FuncTable is null");
    let other_major = info(0x30, 33, 458, address(&table), 0);
    other_major[2].set(2);
    check(&other_major, "KMDF 2.x");
    assert_eq!(table.get(), 0, "a refused client's table is not touched");
}
