//! The unit as a driver programs it: by its registers alone.

use std::num::NonZeroU32;

use dmarig_abi::GuestPhysAddr;
use iommu::Access;
use iommu::vtd::{
    Invalidation, InvalidationMode, RegisterEffect, RegisterFile, UnitConfig, window_bytes,
};
use proptest::prelude::*;

use crate::tables::{DEVICE, READ, ROOT, Tables, WRITE, translate, unit};

const CAP: u64 = 0x08;
const ECAP: u64 = 0x10;
const GCMD: u64 = 0x18;
const GSTS: u64 = 0x1c;
const RTADDR: u64 = 0x20;
const CCMD: u64 = 0x28;
const FSTS: u64 = 0x34;
const FECTL: u64 = 0x38;
const SRTP: u64 = 1 << 30;
const TE: u64 = 1 << 31;
const BUSY: u64 = 1 << 63;
const DOMAIN: u64 = 9;
const PAGE: u64 = 0x5000;

/// A unit after a reset: its root table is yet to be told.
fn registers(change: impl FnOnce(&mut UnitConfig)) -> RegisterFile {
    let mut unit = unit(change);
    unit.set_root_table(GuestPhysAddr::new(0));
    RegisterFile::new(unit)
}

fn read(registers: &mut RegisterFile, offset: u64) -> u64 {
    let mut bytes = [0; 8];
    registers.read(offset, &mut bytes);
    u64::from_le_bytes(bytes)
}

fn read_32(registers: &mut RegisterFile, offset: u64) -> u64 {
    let mut bytes = [0; 4];
    registers.read(offset, &mut bytes);
    u32::from_le_bytes(bytes).into()
}

fn write(registers: &mut RegisterFile, offset: u64, value: u64) -> Vec<RegisterEffect> {
    registers.write(offset, &value.to_le_bytes())
}

fn write_32(registers: &mut RegisterFile, offset: u64, value: u64) -> Vec<RegisterEffect> {
    registers.write(offset, &value.to_le_bytes()[..4])
}

/// Where the capabilities say that the invalidation registers and the fault records lie.
fn iotlb(registers: &mut RegisterFile) -> u64 {
    (read(registers, ECAP) >> 8 & 0x3ff) * 16
}

fn fault_records(registers: &mut RegisterFile) -> u64 {
    (read(registers, CAP) >> 24 & 0x3ff) * 16
}

/// Orders an invalidation of the IOTLB; what its register reads then.
fn invalidate(registers: &mut RegisterFile, command: u64, address: u64) -> u64 {
    let at = iotlb(registers);
    write(registers, at, address);
    write(registers, at + 8, BUSY | command);
    read(registers, at + 8)
}

fn turn_on(registers: &mut RegisterFile) {
    write(registers, RTADDR, ROOT.raw());
    write_32(registers, GCMD, SRTP);
    write_32(registers, GCMD, TE);
}

/// Tables that map one page, and where its leaf lies.
fn tables() -> (Tables, u64) {
    let mut tables = Tables::new();
    let top = tables.attach(DEVICE, 9, 3);
    let leaf = tables.map(top, 3, PAGE, 0x7000, READ | WRITE);
    (tables, leaf)
}

fn target(registers: &mut RegisterFile, tables: &Tables) -> Option<u64> {
    translate(registers.unit_mut(), tables, PAGE, Access::Write).ok()
}

#[test]
fn capabilities_tell_what_the_unit_was_set_to_have() {
    let mut registers = registers(|config| {
        config.guest_address_bits = 39;
        config.has_4_levels = false;
        config.has_1_gib_leaves = false;
        config.has_pass_through = false;
        config.fault_records = 200;
    });
    assert_eq!(read(&mut registers, 0), 0x10);
    let cap = read(&mut registers, CAP);
    assert_eq!((cap & 7, cap >> 8 & 31, cap >> 16 & 63), (6, 0b10, 38));
    assert_eq!((cap >> 34 & 15, cap >> 39 & 1), (0b01, 1));
    assert_eq!((cap >> 40 & 255, cap >> 48 & 63), (199, 18));
    let ecap = read(&mut registers, ECAP);
    assert_eq!(
        ecap & 0xff,
        1,
        "coherent, without queues, ATS and pass-through"
    );
    let end = fault_records(&mut registers) + 200 * 16;
    assert!(end <= window_bytes(registers.unit().config()), "{end:#x}");
}

#[test]
fn root_table_counts_when_it_is_set_and_translation_when_it_is_enabled() {
    let (tables, _) = tables();
    let mut registers = registers(|_| ());
    assert_eq!(read_32(&mut registers, GSTS), 0);
    write(&mut registers, RTADDR, ROOT.raw() | 0xfff);
    assert_eq!(
        read(&mut registers, RTADDR),
        ROOT.raw(),
        "the mode is legacy"
    );
    assert_eq!(target(&mut registers, &tables), None, "not set yet");
    let effects = write_32(&mut registers, GCMD, SRTP);
    assert_eq!(effects, [RegisterEffect::RootTable(ROOT)]);
    assert_eq!(read_32(&mut registers, GSTS), SRTP);
    assert!(!registers.is_enabled());
    assert_eq!(
        write_32(&mut registers, GCMD, TE),
        [RegisterEffect::Enabled(ROOT)]
    );
    assert!(registers.is_enabled());
    assert_eq!(read_32(&mut registers, GSTS), SRTP | TE);
    assert_eq!(target(&mut registers, &tables), Some(0x7000));
    assert_eq!(write_32(&mut registers, GCMD, TE), [], "it is on already");
    // Queues, interrupt remapping, fault log: the capabilities say that they are not there.
    let effects = write_32(&mut registers, GCMD, 0x3fff_ffff);
    assert_eq!(effects, [RegisterEffect::Disabled]);
    assert_eq!(read_32(&mut registers, GSTS), SRTP);
}

#[test]
fn stale_page_lives_until_an_order_of_any_granularity_that_names_it() {
    for (command, address) in [
        (1 << 60, 0),
        (2 << 60 | DOMAIN << 32, 0),
        (3 << 60 | DOMAIN << 32, PAGE),
        // Eight pages from 0 on.
        (3 << 60 | DOMAIN << 32, 3),
    ] {
        let (mut tables, leaf) = tables();
        let mut registers = registers(|_| ());
        turn_on(&mut registers);
        assert_eq!(target(&mut registers, &tables), Some(0x7000));
        tables.set(leaf, 0x9000 | READ | WRITE);
        assert_eq!(target(&mut registers, &tables), Some(0x7000), "stale");
        // Another domain, and another page of the same.
        let other = (3 << 60 | DOMAIN << 32, PAGE + 0x1000);
        for (command, address) in [(2 << 60 | 8 << 32, 0), other] {
            invalidate(&mut registers, command, address);
            assert_eq!(target(&mut registers, &tables), Some(0x7000));
        }
        let answer = invalidate(&mut registers, command, address);
        assert_eq!(answer & BUSY, 0, "{answer:#x}");
        assert_eq!(answer >> 57 & 3, command >> 60 & 3, "{answer:#x}");
        assert_eq!(
            target(&mut registers, &tables),
            Some(0x9000),
            "{command:#x}"
        );
    }
}

#[test]
fn context_command_forgets_the_context_entry_and_no_page() {
    let (mut tables, _) = tables();
    let mut registers = registers(|_| ());
    turn_on(&mut registers);
    assert_eq!(target(&mut registers, &tables), Some(0x7000));
    let entry = tables.context_entry(DEVICE);
    tables.set(entry, 0);
    assert_eq!(target(&mut registers, &tables), Some(0x7000), "cached");
    let effects = write(
        &mut registers,
        CCMD,
        BUSY | 3 << 61 | u64::from(DEVICE.raw()) << 16 | DOMAIN,
    );
    let order = Invalidation::ContextDevice {
        requester: DEVICE,
        masked_bits: 0,
    };
    assert_eq!(effects, [RegisterEffect::Ordered(order)]);
    assert_eq!(read(&mut registers, CCMD) >> 59 & 3, 3);
    assert_eq!(target(&mut registers, &tables), None);
}

#[test]
fn order_that_cannot_be_is_ignored_and_answered_with_granularity_0() {
    let mut registers = registers(|_| ());
    let at = iotlb(&mut registers);
    // No granularity; a mask beyond CAP.MAMV; an address that is no multiple of the range.
    for (command, address) in [(0, 0), (3 << 60, 19), (3 << 60, 0x1001)] {
        write(&mut registers, at, address);
        let effects = write(&mut registers, at + 8, BUSY | command | 3 << 57);
        assert_eq!(effects, [RegisterEffect::OrderIgnored]);
        let answer = read(&mut registers, at + 8);
        assert_eq!((answer & BUSY, answer >> 57 & 3), (0, 0), "{answer:#x}");
    }
    assert_eq!(
        write(&mut registers, CCMD, BUSY),
        [RegisterEffect::OrderIgnored]
    );
    assert_eq!(read(&mut registers, CCMD), 0);
}

#[test]
fn deferred_order_stays_busy_until_it_takes_effect() {
    for (ticks, polls) in [(None, 1), (NonZeroU32::new(3), 3)] {
        let (mut tables, leaf) = tables();
        let mut registers =
            registers(|config| config.invalidation = InvalidationMode::Deferred { ticks });
        turn_on(&mut registers);
        target(&mut registers, &tables);
        tables.set(leaf, 0x9000 | READ | WRITE);
        let at = iotlb(&mut registers) + 8;
        write(&mut registers, at, BUSY | 1 << 60);
        assert_eq!(
            target(&mut registers, &tables),
            Some(0x7000),
            "nobody looked"
        );
        // Busy: another order is dropped.
        assert_eq!(write(&mut registers, at, BUSY | 1 << 60), []);
        for poll in 0..polls {
            assert_ne!(read(&mut registers, at) & BUSY, 0, "poll {poll}");
        }
        assert_eq!(read(&mut registers, at) & BUSY, 0);
        assert_eq!(target(&mut registers, &tables), Some(0x9000));
    }
}

#[test]
fn fault_is_in_its_register_until_software_frees_it() {
    let mut registers = registers(|config| config.fault_records = 2);
    turn_on(&mut registers);
    let tables = Tables::new();
    assert_eq!(read_32(&mut registers, FSTS), 0);
    assert_eq!(read_32(&mut registers, FECTL), 1 << 31);
    for _ in 0..3 {
        assert_eq!(target(&mut registers, &tables), None);
    }
    assert_eq!(
        read_32(&mut registers, FSTS),
        0b11,
        "pending and overflowed"
    );
    assert_eq!(read_32(&mut registers, FECTL), 3 << 30);
    let at = fault_records(&mut registers);
    let (low, high) = (read(&mut registers, at), read(&mut registers, at + 8));
    assert_eq!(
        (low, high),
        (PAGE, BUSY | 1 << 32 | u64::from(DEVICE.raw()))
    );
    // Zeros free nothing, and neither do ones in other words.
    write_32(&mut registers, at + 12, 0x7fff_ffff);
    write(&mut registers, at, u64::MAX);
    assert_eq!(read(&mut registers, at + 8), high);
    write_32(&mut registers, at + 12, 1 << 31);
    assert_eq!(
        (read(&mut registers, at), read(&mut registers, at + 8)),
        (0, 0)
    );
    assert_eq!(
        read_32(&mut registers, FSTS),
        1 << 8 | 0b11,
        "the second is first"
    );
    assert_eq!(target(&mut registers, &tables), None);
    assert_eq!(read(&mut registers, at + 8), 0, "still overflowed");
    write_32(&mut registers, FSTS, 1);
    assert_eq!(target(&mut registers, &tables), None);
    assert_ne!(read(&mut registers, at + 8), 0);
}

#[test]
fn access_of_odd_size_or_place_writes_nothing() {
    let mut registers = registers(|_| ());
    for (offset, len) in [(RTADDR, 1), (RTADDR, 2), (RTADDR + 2, 4), (RTADDR, 12)] {
        assert_eq!(registers.write(offset, &[0xff; 12][..len]), []);
        assert_eq!(read(&mut registers, RTADDR), 0, "{offset:#x} {len}");
    }
    write(&mut registers, RTADDR, 0x1234_5678_9000);
    let mut byte = [0];
    registers.read(RTADDR + 2, &mut byte);
    assert_eq!(byte, [0x78]);
}

proptest! {
    #[test]
    fn no_sequence_of_accesses_panics_or_piles_up(
        writes in proptest::collection::vec((0_u64..0x1100, any::<u64>(), 0_usize..=8), 1..200),
        ticks in 0_u32..3,
    ) {
        let ticks = NonZeroU32::new(ticks);
        let (tables, _) = tables();
        let mut registers =
            registers(|config| config.invalidation = InvalidationMode::Deferred { ticks });
        for (offset, value, len) in writes {
            prop_assert!(registers.write(offset, &value.to_le_bytes()[..len]).len() <= 3);
            target(&mut registers, &tables);
            // One order of each kind can be under way.
            prop_assert!(registers.unit().n_pending() <= 2);
            let mut bytes = [0; 8];
            registers.read(offset, &mut bytes[..len]);
        }
    }
}
