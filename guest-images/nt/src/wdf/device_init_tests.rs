//! WDF_PNPPOWER_EVENT_CALLBACKS and WDF_DEVICE_IO_TYPE.

use super::*;
use crate::ntoskrnl::shared::address_of;

#[test]
fn callbacks_are_read_by_the_size_of_the_structure() {
    let mut words = [0u64; 18];
    for (slot, number) in words.iter_mut().zip(0x100..) {
        *slot = number;
    }
    words[0] = 0x90;
    let words = words.map(Cell::new);
    let read = PnpPowerCallbacks::read(address_of(&words)).expect("valid");
    assert_eq!(read.get(PnpPower::D0Entry), 0x101);
    assert_eq!(read.get(PnpPower::PrepareHardware), 0x105);
    assert_eq!(read.get(PnpPower::SelfManagedIoRestart), 0x10B);
    assert_eq!(read.get(PnpPower::QueryStop), 0x10E);
    for size in [0, 8, 0x98, 0x8C] {
        words[0].set(size);
        assert_eq!(
            PnpPowerCallbacks::read(address_of(&words)),
            None,
            "{size:#x}"
        );
    }
}

#[test]
fn io_types_are_known_by_number() {
    assert_eq!(IoType::from_raw(2), Some(IoType::Buffered));
    assert_eq!(IoType::from_raw(4), Some(IoType::Direct));
    assert_eq!(IoType::from_raw(0), None);
    assert_eq!(IoType::from_raw(5), None);
}

#[test]
fn closed_structure_is_gone() {
    let globals = 0x1000;
    let driver = Handle::from_raw(0x5DF0_0000_0000);
    let number = open(DeviceInit::for_fdo(globals, driver, 0x2000));
    assert_eq!(with("test", number, |init| init.pdo), Some(0x2000));
    assert!(close(number).is_some_and(|init| init.owns_power_policy));
    assert!(close(number).is_none());
}
