//! Slots of a port on a fake bus, and functions that come and go in one.

use super::super::bus::Bus;
use super::super::config::{capability, command};
use super::super::fake::{FakeBus, FakeFunction};
use super::*;
use crate::pci::PciError;
use std::vec;
use std::vec::Vec;

const CAPABILITY: u8 = 0x40;
const STATUS: u16 = CAPABILITY as u16 + SLOT_STATUS;
const CONTROL: u16 = CAPABILITY as u16 + SLOT_CONTROL;

fn port_id() -> RequesterId {
    RequesterId::try_new(0, 1, 0).expect("in range")
}

fn device_id() -> RequesterId {
    RequesterId::try_new(1, 0, 0).expect("in range")
}

fn card() -> FakeFunction {
    FakeFunction::endpoint(0xD0A0).with_memory_64(0, 0x1_0000)
}

fn port(able: u32, flags: u16, children: Vec<((u8, u8), FakeFunction)>) -> FakeFunction {
    let id = capability::PCI_EXPRESS;
    let mut port = FakeFunction::bridge(children).with_capability(CAPABILITY, id, 0);
    port.put_u16(u16::from(CAPABILITY) + FLAGS, flags);
    let [a, b, c, d] = able.to_le_bytes();
    let at = u16::from(CAPABILITY) + SLOT_CAPABILITIES;
    port.put_u16(at, u16::from_le_bytes([a, b]));
    port.put_u16(at + 2, u16::from_le_bytes([c, d]));
    port
}

/// A bus with one slot that does not report completed commands, and what is in the slot.
fn with_slot(children: Vec<((u8, u8), FakeFunction)>) -> (Bus<FakeBus>, Slot) {
    let able = IS_HOT_PLUG_CAPABLE | HAS_POWER_CONTROLLER | REPORTS_NO_COMMAND_COMPLETED;
    let bus = FakeBus::new(vec![((1, 0), port(able, HAS_SLOT, children))]);
    let mut bus = Bus::bring_up(bus, 0xC000_0000..0xFEC0_0000);
    let slots = bus.slots();
    assert_eq!(slots.len(), 1);
    (bus, slots[0])
}

fn register(bus: &mut Bus<FakeBus>, at: u16) -> u16 {
    bus.config.read_u16(port_id(), at)
}

#[test]
fn only_capable_ports_with_a_power_controller_have_slots() {
    for (able, flags) in [
        (IS_HOT_PLUG_CAPABLE, HAS_SLOT),
        (HAS_POWER_CONTROLLER, HAS_SLOT),
        (IS_HOT_PLUG_CAPABLE | HAS_POWER_CONTROLLER, 0),
    ] {
        let bus = FakeBus::new(vec![((1, 0), port(able, flags, vec![]))]);
        let mut bus = Bus::bring_up(bus, 0xC000_0000..0xFEC0_0000);
        assert_eq!(bus.slots(), [], "{able:#x} {flags:#x}");
    }
    let (_, slot) = with_slot(vec![]);
    assert_eq!((slot.port, slot.bus), (port_id(), 1));
}

#[test]
fn status_is_read_and_its_events_are_cleared_by_ones() {
    let (mut bus, slot) = with_slot(vec![]);
    let told = BUTTON_PRESSED | PRESENCE_CHANGED | IS_PRESENT;
    bus.config.write(port_id(), STATUS, 2, told.into());
    let status = slot.read_status(&mut bus.config);
    assert!(status.is_button_pressed && status.has_presence_changed && status.is_present);
    assert_eq!(register(&mut bus, STATUS), told, "a look changes nothing");
    // The fake bus keeps what is written.
    slot.clear_events(&mut bus.config, status);
    let written = BUTTON_PRESSED | PRESENCE_CHANGED;
    assert_eq!(register(&mut bus, STATUS), written, "no other event");

    bus.config.write(port_id(), STATUS, 2, IS_PRESENT.into());
    let status = slot.read_status(&mut bus.config);
    assert!(status.is_present && !status.is_button_pressed);
    slot.clear_events(&mut bus.config, status);
    assert_eq!(register(&mut bus, STATUS), IS_PRESENT, "nothing to clear");
}

#[test]
fn power_and_indicator_change_in_one_write_and_the_rest_is_kept() {
    let (mut bus, slot) = with_slot(vec![]);
    let rest = 0x1003;
    bus.config.write(port_id(), CONTROL, 2, rest);
    for (power, expected) in [
        (SlotPower::Busy, 0x0200),
        (SlotPower::Off, 0x0700),
        (SlotPower::On, 0x0100),
    ] {
        slot.set_power(&mut bus.config, power);
        assert_eq!(
            u32::from(register(&mut bus, CONTROL)),
            rest | expected,
            "{power:?}"
        );
    }
}

#[test]
fn port_that_never_completes_a_command_holds_nobody() {
    let able = IS_HOT_PLUG_CAPABLE | HAS_POWER_CONTROLLER;
    let bus = FakeBus::new(vec![((1, 0), port(able, HAS_SLOT, vec![]))]);
    let mut bus = Bus::bring_up(bus, 0xC000_0000..0xFEC0_0000);
    let slot = bus.slots()[0];
    // The fake bus keeps what is written: take the bit away that clearing it has set.
    slot.set_power(&mut bus.config, SlotPower::Off);
    bus.config.write(port_id(), STATUS, 2, 0);
    slot.set_power(&mut bus.config, SlotPower::On);
}

#[test]
fn card_that_comes_again_gets_other_addresses_and_decodes() {
    let (mut bus, slot) = with_slot(vec![((0, 0), card())]);
    let first = bus.function(device_id()).expect("there").clone();
    bus.unplug(device_id());
    assert_eq!(bus.function(device_id()), Err(PciError::NoFunction));
    assert!(bus.devices().is_empty());

    // A card that was without power has forgotten its addresses.
    *bus.config.function(device_id()).expect("there") = card();
    let again = bus.plug(slot).expect("taken in");
    assert_eq!(again.id, first.id);
    let (old, new) = (first.bars[0].address, again.bars[0].address);
    assert!(new.is_some() && new != old, "{old:?} {new:?}");
    let function = bus.config.function(device_id()).expect("there");
    assert_eq!(function.u16_at(offset::COMMAND), command::MEMORY);
    let written = u64::from(function.u32_at(offset::BAR_0) & !0xF);
    assert_eq!(new.map(|address| address.raw()), Some(written));
    assert_eq!(
        bus.plug(slot),
        Err(PciError::NoFunction),
        "it is there already"
    );
}

#[test]
fn addresses_of_cards_that_go_are_given_out_again() {
    let (mut bus, slot) = with_slot(vec![((0, 0), card())]);
    for turn in 0..100 {
        bus.unplug(device_id());
        *bus.config.function(device_id()).expect("there") = card();
        let bars = bus.plug(slot).map(|function| function.bars);
        assert!(bars.is_ok_and(|bars| bars[0].address.is_some()), "{turn}");
    }
}

#[test]
fn empty_slot_bridge_and_card_without_room_are_refused() {
    let (mut bus, slot) = with_slot(vec![((0, 0), card())]);
    bus.unplug(device_id());
    *bus.config.function(device_id()).expect("there") = FakeFunction::bridge(vec![]);
    assert_eq!(bus.plug(slot), Err(PciError::NoFunction));
    let large = FakeFunction::endpoint(0xD0A0).with_memory_64(0, 1 << 30);
    *bus.config.function(device_id()).expect("there") = large;
    assert_eq!(bus.plug(slot), Err(PciError::Exhausted));
    assert_eq!(bus.function(device_id()), Err(PciError::NoFunction));

    let (mut bus, slot) = with_slot(vec![]);
    assert_eq!(bus.plug(slot), Err(PciError::NoFunction));
}
