//! The header from the guest's side, and accesses of any kind.

mod support;

use pci_function::{ConfigEffect, ConfigSpace, FunctionConfig, InterruptPin, PowerState};
use proptest::prelude::*;
use support::{
    AER, MSIX, PCIE, POWER, bytes_of, config, read_u16, read_u32, space, write_u16, write_u32,
};

#[test]
fn identity_is_where_software_looks_and_cannot_be_written() {
    let mut space = space();
    for _ in 0..2 {
        assert_eq!(read_u32(&space, 0x00), 0xd0a0_1234);
        assert_eq!(read_u32(&space, 0x08), 0x0880_0003);
        assert_eq!(read_u32(&space, 0x2c), 0x9abc_5678);
        assert_eq!(read_u32(&space, 0x3c) >> 8, 1, "INTA");
        for offset in [0x00, 0x08, 0x2c] {
            assert_eq!(write_u32(&mut space, offset, 0xffff_ffff), []);
        }
    }
}

#[test]
fn list_leads_through_power_pcie_and_msix() {
    let space = space();
    assert_ne!(read_u16(&space, 0x06) & 0x10, 0);
    let mut pointer = read_u16(&space, 0x34) & 0xff;
    let mut found = Vec::new();
    while pointer != 0 {
        let word = read_u16(&space, pointer.into());
        found.push((word & 0xff, u64::from(pointer)));
        pointer = word >> 8;
    }
    assert_eq!(found, [(0x01, POWER), (0x10, PCIE), (0x11, MSIX)]);
    assert_eq!(read_u32(&space, AER), 0x0002_0001);
}

#[test]
fn function_without_msix_and_pin_has_neither() {
    let config = FunctionConfig {
        msix: None,
        interrupt_pin: InterruptPin::None,
        ..config()
    };
    let mut space = ConfigSpace::new(&config).expect("a good configuration");

    assert_eq!(read_u16(&space, PCIE) >> 8, 0, "the list ends");
    assert_eq!(read_u32(&space, 0x3c) >> 8, 0, "no pin");
    assert_eq!(write_u16(&mut space, MSIX + 2, 0xffff), []);
    assert!(!space.is_msix_enabled());
}

#[test]
fn bars_are_sized_and_placed() {
    let mut space = space();
    for (offset, value) in [
        (0x10, 0xffff_0000),
        (0x14, 0),
        (0x18, 0x0000_000c),
        (0x1c, 0xffff_fffe),
    ] {
        let _ = write_u32(&mut space, offset, 0xffff_ffff);
        assert_eq!(read_u32(&space, offset), value, "BAR at {offset:#x}");
    }

    let low = write_u32(&mut space, 0x10, 0xfe00_1234);
    let high = write_u32(&mut space, 0x1c, 0x0000_0080);

    assert_eq!(
        low,
        [ConfigEffect::BarWritten {
            index: 0,
            address: 0xfe00_0000
        }]
    );
    assert_eq!(
        high,
        [ConfigEffect::BarWritten {
            index: 2,
            address: 0x80_0000_0000
        }]
    );
    assert_eq!(space.bar_address(0), Some(0xfe00_0000));
    assert_eq!((space.bar_address(1), space.bar_address(3)), (None, None));
    assert_eq!((space.bar_size(2), space.bar_size(200)), (1 << 33, 0));
}

#[test]
fn command_bits_tell_what_changed_and_only_that() {
    let mut space = space();

    assert_eq!(
        write_u16(&mut space, 4, 0x0006),
        [
            ConfigEffect::BusMaster(true),
            ConfigEffect::MemoryEnable(true)
        ]
    );
    assert!(space.is_bus_master() && space.is_memory_enabled());
    assert_eq!(write_u16(&mut space, 4, 0x0006), []);
    assert_eq!(
        write_u16(&mut space, 4, 0x0402),
        [
            ConfigEffect::BusMaster(false),
            ConfigEffect::InterruptDisable(true),
        ]
    );
    assert!(space.is_interrupt_disabled());
    assert_eq!(
        space.write(4, &[0x06]),
        [ConfigEffect::BusMaster(true)],
        "one byte"
    );
    let _ = write_u16(&mut space, 4, 0xffff);
    assert_eq!(read_u16(&space, 4), 0x0546, "the others are wired to 0");
}

#[test]
fn interrupt_status_is_shown_and_not_written_by_the_guest() {
    let mut space = space();
    space.set_interrupt_status(true);
    let _ = write_u16(&mut space, 6, 0xffff);
    assert_eq!(read_u16(&space, 6), 0x0018);
    space.set_interrupt_status(false);
    assert_eq!(read_u16(&space, 6), 0x0010);
}

#[test]
fn accesses_beyond_the_end_read_ones_and_drop_writes() {
    let mut space = space();
    for offset in [0xffe, 0x1000, 0x1001, u64::MAX - 1, u64::MAX] {
        let mut bytes = [0; 4];
        space.read(offset, &mut bytes);
        let inside = usize::try_from(0x1000_u64.saturating_sub(offset)).expect("small");
        assert!(bytes[inside.min(4)..].iter().all(|byte| *byte == 0xff));
        assert_eq!(space.write(offset, &[0; 4]), []);
    }
}

proptest! {
    #[test]
    fn any_access_is_safe_and_read_only_bits_stay(
        writes in proptest::collection::vec(
            (prop_oneof![0..0x1010_u64, any::<u64>()], proptest::collection::vec(any::<u8>(), 0..64)),
            0..40,
        ),
    ) {
        let mut space = space();
        let identity = read_u32(&space, 0);
        for (offset, data) in writes {
            let _ = space.write(offset, &data);
            let mut buffer = vec![0; data.len()];
            space.read(offset, &mut buffer);
        }
        prop_assert_eq!(read_u32(&space, 0), identity);
        prop_assert_eq!(read_u32(&space, AER), 0x0002_0001);
        prop_assert_eq!(space.power_state() == PowerState::D3Hot, read_u16(&space, POWER + 4) & 3 == 3);
    }

    #[test]
    fn write_in_bytes_equals_write_in_one(
        offset in 0..0xff0_u64,
        data in proptest::collection::vec(any::<u8>(), 1..16),
    ) {
        let (mut whole, mut bytewise) = (space(), space());

        let effects = whole.write(offset, &data);
        prop_assume!(effects != [ConfigEffect::FunctionLevelReset]);
        for (position, byte) in (offset..).zip(&data) {
            let _ = bytewise.write(position, &[*byte]);
        }

        prop_assert_eq!(bytes_of(&whole), bytes_of(&bytewise));
    }
}
