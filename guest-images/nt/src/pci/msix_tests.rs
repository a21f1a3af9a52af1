//! The capability against hostile tables, and what lands in a good one.

use std::vec;
use std::vec::Vec;

use super::super::BarKind;
use super::super::config::{command, offset};
use super::super::fake::{FakeBus, FakeFunction};
use super::*;

const AT: u8 = 0x60;

fn id() -> RequesterId {
    RequesterId::try_new(0, 1, 0).expect("in range")
}

fn bar(index: u8, len_bytes: u64, address: Option<u64>) -> Bar {
    Bar {
        index,
        kind: BarKind::Memory32 {
            is_prefetchable: false,
        },
        address: address.map(GuestPhysAddr::new),
        len_bytes,
    }
}

/// A bus with one function whose capability claims `entries` entries at `place`.
fn bus(entries: u16, place: u32) -> FakeBus {
    let mut function = FakeFunction::endpoint(1).with_capability(AT, capability::MSIX, 0);
    function.put_u16(u16::from(AT) + CONTROL, entries - 1);
    function.bytes[usize::from(AT) + 4..][..4].copy_from_slice(&place.to_le_bytes());
    FakeBus::new(vec![((1, 0), function)])
}

struct Words(Vec<u32>);

impl Table for Words {
    fn write(&mut self, offset: u64, value: u32) {
        assert_eq!(offset % 4, 0);
        self.0[usize::try_from(offset / 4).expect("small")] = value;
    }
}

#[test]
fn table_outside_its_bar_or_in_none_is_refused() {
    let check = |entries, place, bars: &[Bar]| Msix::find(&mut bus(entries, place), id(), bars);
    let page = [bar(0, 0x1000, Some(0xC000_0000))];

    assert_eq!(check(257, 0, &page), Err(PciError::BadTable));
    assert_eq!(check(1, 0x1000, &page), Err(PciError::BadTable));
    assert_eq!(check(2, 0xFF0, &page), Err(PciError::BadTable));
    assert_eq!(check(2048, 0xFFFF_FFF8, &page), Err(PciError::BadTable));
    assert_eq!(check(1, 1, &page), Err(PciError::BadTable), "no BAR 1");
    assert_eq!(check(1, 7, &page), Err(PciError::BadTable), "reserved");
    let unassigned = [bar(0, 0x1000, None)];
    assert_eq!(check(1, 0, &unassigned), Err(PciError::BadTable));
    let mut ports = page;
    ports[0].kind = BarKind::Io;
    assert_eq!(check(1, 0, &ports), Err(PciError::BadTable));

    let last = check(1, 0xFF0, &page).expect("fits");
    assert_eq!(last.table, GuestPhysAddr::new(0xC000_0FF0));
    assert_eq!(check(256, 0, &page).expect("fits").entries, 256);

    let mut without = FakeBus::new(vec![((1, 0), FakeFunction::endpoint(1))]);
    assert_eq!(
        Msix::find(&mut without, id(), &page),
        Err(PciError::NoCapability)
    );
}

#[test]
fn enabled_vectors_are_unmasked_and_the_rest_is_masked() {
    let mut bus = bus(4, 0);
    bus.write(id(), offset::COMMAND, 2, u32::from(command::MEMORY));
    let msix =
        Msix::find(&mut bus, id(), &[bar(0, 0x1000, Some(0xC000_0000))]).expect("good table");
    let mut table = Words(vec![u32::MAX; 16]);

    msix.enable(&mut bus, &mut table, &[0x60, 0x71]);

    let all = u32::MAX;
    assert_eq!(
        table.0,
        [
            MESSAGE_ADDRESS,
            0,
            0x60,
            0,
            MESSAGE_ADDRESS,
            0,
            0x71,
            0,
            all,
            all,
            all,
            1,
            all,
            all,
            all,
            1,
        ]
    );
    let control = u16::from(AT) + CONTROL;
    assert_eq!(bus.read_u16(id(), control), IS_ENABLED);
    msix.disable(&mut bus);
    assert_eq!(bus.read_u16(id(), control), 0);
}
