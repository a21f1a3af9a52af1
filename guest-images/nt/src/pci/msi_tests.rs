//! What lands in a capability of each form.

use std::vec;
use std::vec::Vec;

use super::super::fake::{FakeBus, FakeFunction};
use super::*;

const AT: u8 = 0x60;

fn id() -> RequesterId {
    RequesterId::try_new(0, 1, 0).expect("in range")
}

fn bus(control: u16) -> FakeBus {
    let mut function = FakeFunction::endpoint(1).with_capability(AT, capability::MSI, 0);
    function.put_u16(u16::from(AT) + CONTROL, control);
    function.bytes[usize::from(AT) + 4..][..20].fill(0xFF);
    FakeBus::new(vec![((1, 0), function)])
}

/// The words behind the header, as `control` makes the capability and four messages program it.
fn programmed(control: u16) -> (u16, Vec<u32>) {
    let mut bus = bus(control);
    let msi = Msi::find(&mut bus, id()).expect("it is there");
    msi.enable(&mut bus, &[0x64, 0x65, 0x66, 0x67]);
    let at = u16::from(AT);
    let words = (1..=5)
        .map(|word| bus.read_u32(id(), at + word * 4))
        .collect();
    (bus.read_u16(id(), at + CONTROL), words)
}

#[test]
fn each_form_has_its_data_and_masks_in_their_places() {
    let all = u32::MAX;
    let enabled = 2 << 4 | 1;
    assert_eq!(
        programmed(0b101 << 1),
        (enabled, vec![0xFEE0_0000, 0xFFFF_0064, all, all, all])
    );
    assert_eq!(
        programmed(0b101 << 1 | HAS_64_BIT_ADDRESS),
        (enabled, vec![0xFEE0_0000, 0, 0xFFFF_0064, all, all])
    );
    assert_eq!(
        programmed(0b101 << 1 | HAS_MASKS),
        (enabled, vec![0xFEE0_0000, 0xFFFF_0064, 0, all, all])
    );
    assert_eq!(
        programmed(0b101 << 1 | HAS_64_BIT_ADDRESS | HAS_MASKS),
        (enabled, vec![0xFEE0_0000, 0, 0xFFFF_0064, 0, all])
    );
}

#[test]
fn number_of_messages_is_bounded() {
    for (code, messages) in [(0, 1), (3, 8), (5, 32), (6, 32), (7, 32)] {
        let msi = Msi::find(&mut bus(code << 1), id()).expect("it is there");
        assert_eq!(msi.messages(), messages, "{code}");
    }
    let mut without = FakeBus::new(vec![((1, 0), FakeFunction::endpoint(1))]);
    assert_eq!(Msi::find(&mut without, id()), Err(PciError::NoCapability));
}

#[test]
fn disabled_capability_makes_no_message() {
    let mut bus = bus(0);
    let msi = Msi::find(&mut bus, id()).expect("it is there");
    msi.enable(&mut bus, &[0x64]);
    assert_eq!(bus.read_u16(id(), u16::from(AT) + CONTROL), IS_ENABLED);
    msi.disable(&mut bus);
    assert_eq!(bus.read_u16(id(), u16::from(AT) + CONTROL), 0);
}
