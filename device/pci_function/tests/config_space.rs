//! Configuration space from the guest's side: identity, sizing, control bits, odd accesses.

use pci_function::{
    BarDefinition, BarError, BarWidth, ConfigEffect, ConfigSpace, CorrectableError, FunctionConfig,
    FunctionConfigError, IdentityConfig, InterruptPin, MsixConfig, MsixError, PowerState,
    ResetKind, TransferLimits, UncorrectableError,
};
use proptest::prelude::*;

const POWER: u64 = 0x40;
const PCIE: u64 = 0x50;
const MSIX: u64 = 0x90;
const AER: u64 = 0x100;

fn config() -> FunctionConfig {
    FunctionConfig {
        identity: IdentityConfig {
            vendor_id: 0x1234,
            device_id: 0xd0a0,
            revision: 3,
            class: 0x08_80_00,
            subsystem_vendor_id: 0x5678,
            subsystem_id: 0x9abc,
        },
        bars: vec![
            BarDefinition {
                index: 0,
                size: 0x1_0000,
                width: BarWidth::Bits32,
                prefetchable: false,
            },
            BarDefinition {
                index: 2,
                size: 1 << 33,
                width: BarWidth::Bits64,
                prefetchable: true,
            },
        ],
        interrupt_pin: InterruptPin::A,
        msix: Some(MsixConfig {
            n_vectors: 4,
            table_bar: 0,
            table_offset: 0x8000,
            pba_bar: 0,
            pba_offset: 0x9000,
        }),
    }
}

fn space() -> ConfigSpace {
    ConfigSpace::new(&config()).expect("a good configuration")
}

fn read_u16(space: &ConfigSpace, offset: u64) -> u16 {
    let mut bytes = [0; 2];
    space.read(offset, &mut bytes);
    u16::from_le_bytes(bytes)
}

fn read_u32(space: &ConfigSpace, offset: u64) -> u32 {
    let mut bytes = [0; 4];
    space.read(offset, &mut bytes);
    u32::from_le_bytes(bytes)
}

fn write_u16(space: &mut ConfigSpace, offset: u64, value: u16) -> Vec<ConfigEffect> {
    space.write(offset, &value.to_le_bytes())
}

fn write_u32(space: &mut ConfigSpace, offset: u64, value: u32) -> Vec<ConfigEffect> {
    space.write(offset, &value.to_le_bytes())
}

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
fn power_state_follows_d0_and_d3_and_drops_what_is_not_there() {
    let mut space = space();
    for (written, effect, state) in [
        (3, Some(PowerState::D3Hot), PowerState::D3Hot),
        (3, None, PowerState::D3Hot),
        (1, None, PowerState::D3Hot),
        (0, Some(PowerState::D0), PowerState::D0),
        (2, None, PowerState::D0),
        (1, None, PowerState::D0),
    ] {
        let effects = write_u16(&mut space, POWER + 4, written);
        assert_eq!(
            effects,
            effect
                .map(ConfigEffect::PowerState)
                .into_iter()
                .collect::<Vec<_>>()
        );
        assert_eq!(space.power_state(), state);
    }
    assert_eq!(read_u16(&space, POWER + 4), 0x0008, "No_Soft_Reset stays");
}

#[test]
fn msix_control_has_two_bits_and_the_table_its_place() {
    let mut space = space();
    assert_eq!(read_u16(&space, MSIX + 2), 3, "four vectors");
    assert_eq!(read_u32(&space, MSIX + 4), 0x8000);
    assert_eq!(read_u32(&space, MSIX + 8), 0x9000);

    let effect = |enabled, masked| [ConfigEffect::Msix { enabled, masked }];
    assert_eq!(write_u16(&mut space, MSIX + 2, 0xffff), effect(true, true));
    assert_eq!(read_u16(&space, MSIX + 2), 0xc003);
    assert_eq!(space.write(MSIX + 3, &[0x80]), effect(true, false));
    assert!(space.is_msix_enabled());
    assert_eq!(write_u16(&mut space, MSIX + 2, 0), effect(false, false));
}

#[test]
fn device_control_begins_with_error_reporting_and_sets_the_limits() {
    let mut space = space();
    assert_eq!(read_u16(&space, PCIE + 8) & 0xf, 0xf);
    let limits = |max_payload_bytes, max_read_request_bytes| TransferLimits {
        max_payload_bytes,
        max_read_request_bytes,
    };
    assert_eq!(space.transfer_limits(), limits(128, 512));

    let effects = write_u16(&mut space, PCIE + 8, 5 << 12 | 1 << 5);
    assert_eq!(effects, [ConfigEffect::TransferLimits(limits(256, 4096))]);
    let _ = write_u16(&mut space, PCIE + 8, 7 << 12 | 6 << 5);
    assert_eq!(
        space.transfer_limits(),
        limits(4096, 4096),
        "reserved codes"
    );
}

#[test]
fn function_level_reset_takes_back_everything_but_what_is_sticky() {
    for (offset, data) in [
        (PCIE + 8, &[0x00, 0x80][..]),
        (PCIE + 9, &[0x80]),
        (PCIE, &[0xff; 16]),
    ] {
        let mut space = space();
        let _ = write_u16(&mut space, 4, 0x0006);
        let _ = write_u16(&mut space, MSIX + 2, 0x8000);
        let _ = write_u32(&mut space, 0x10, 0xfe00_0000);
        let _ = write_u16(&mut space, PCIE + 8, 0x5000 | 2 << 5);
        space.record_uncorrectable(UncorrectableError::CompletionTimeout, [1, 2, 3, 4]);

        assert_eq!(
            space.write(offset, data),
            [ConfigEffect::FunctionLevelReset]
        );

        assert!(!space.is_bus_master() && !space.is_msix_enabled());
        assert_eq!(space.bar_address(0), Some(0));
        assert_eq!(read_u16(&space, PCIE + 8) & 0x8000, 0, "the bit reads as 0");
        let limits = space.transfer_limits();
        assert_eq!(
            (limits.max_payload_bytes, limits.max_read_request_bytes),
            (512, 512)
        );
        assert_eq!(read_u32(&space, AER + 4), 1 << 14, "the log stays");
        assert_eq!(read_u16(&space, PCIE + 0xa), 0, "device status does not");
    }
}

#[test]
fn conventional_reset_takes_back_everything() {
    let mut changed = space();
    for offset in (0..0x1000).step_by(4) {
        if offset != PCIE + 8 {
            let _ = write_u32(&mut changed, offset, 0xffff_ffff);
        }
    }
    changed.record_uncorrectable(UncorrectableError::Internal, [9; 4]);
    changed.record_correctable(CorrectableError::BadTlp);
    changed.set_interrupt_status(true);

    changed.reset(ResetKind::Conventional);

    let (mut bytes, mut fresh) = (vec![0; 0x1000], vec![0; 0x1000]);
    changed.read(0, &mut bytes);
    space().read(0, &mut fresh);
    assert_eq!(bytes, fresh);
    assert_eq!(
        changed.write(4, &[0, 0]),
        [],
        "and the next write compares with that"
    );
}

#[test]
fn errors_are_logged_and_cleared_by_writing_ones() {
    let mut space = space();

    space.record_uncorrectable(UncorrectableError::UnsupportedRequest, [1, 2, 3, 4]);
    space.record_uncorrectable(UncorrectableError::MalformedTlp, [5, 6, 7, 8]);
    space.record_correctable(CorrectableError::ReplayTimeout);

    assert_eq!(read_u32(&space, AER + 4), 1 << 20 | 1 << 18);
    assert_eq!(read_u32(&space, AER + 0x18), 20, "the first error");
    assert_eq!(read_u32(&space, AER + 0x1c), 1, "and its header");
    assert_eq!(read_u32(&space, AER + 0x10), 1 << 12);
    assert_eq!(
        read_u16(&space, PCIE + 0xa),
        0xf,
        "fatal, non-fatal, correctable, unsupported"
    );

    let _ = write_u32(&mut space, AER + 4, 1 << 20);
    assert_eq!(read_u32(&space, AER + 4), 1 << 18);
    let _ = write_u32(&mut space, AER + 4, 0xffff_ffff);
    let _ = write_u32(&mut space, AER + 0x10, 0xffff_ffff);
    let _ = write_u16(&mut space, PCIE + 0xa, 0x0005);
    assert_eq!(read_u32(&space, AER + 4), 0);
    assert_eq!(read_u32(&space, AER + 0x10), 0);
    assert_eq!(read_u16(&space, PCIE + 0xa), 0xa);
}

#[test]
fn masked_error_is_recorded_without_a_header() {
    let mut space = space();

    space.record_uncorrectable(UncorrectableError::Internal, [1, 2, 3, 4]);

    assert_eq!(read_u32(&space, AER + 4), 1 << 22);
    assert_eq!(read_u32(&space, AER + 0x1c), 0);
    space.record_uncorrectable(UncorrectableError::PoisonedTlp, [5, 6, 7, 8]);
    assert_eq!(
        read_u32(&space, AER + 0x18),
        12,
        "the first that is not masked"
    );
    assert_eq!(read_u32(&space, AER + 0x1c), 5);
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

#[test]
fn functions_that_cannot_be_are_refused() {
    let bar = |index, size, width| BarDefinition {
        index,
        size,
        width,
        prefetchable: false,
    };
    for (bars, error) in [
        (
            vec![bar(6, 0x1000, BarWidth::Bits32)],
            BarError::Index { index: 6 },
        ),
        (
            vec![bar(255, 0x1000, BarWidth::Bits64)],
            BarError::Index { index: 255 },
        ),
        (
            vec![bar(5, 0x1000, BarWidth::Bits64)],
            BarError::Index { index: 5 },
        ),
        (
            vec![bar(0, 0, BarWidth::Bits32)],
            BarError::Size { index: 0, size: 0 },
        ),
        (
            vec![bar(0, 0x800, BarWidth::Bits32)],
            BarError::Size {
                index: 0,
                size: 0x800,
            },
        ),
        (
            vec![bar(0, 0x3000, BarWidth::Bits32)],
            BarError::Size {
                index: 0,
                size: 0x3000,
            },
        ),
        (
            vec![bar(0, 1 << 32, BarWidth::Bits32)],
            BarError::Size {
                index: 0,
                size: 1 << 32,
            },
        ),
        (
            vec![
                bar(0, 0x1000, BarWidth::Bits64),
                bar(1, 0x1000, BarWidth::Bits32),
            ],
            BarError::Overlap { index: 1 },
        ),
    ] {
        let config = FunctionConfig {
            bars,
            msix: None,
            ..config()
        };
        assert_eq!(
            ConfigSpace::new(&config).err(),
            Some(FunctionConfigError::Bar(error))
        );
    }
    let good = config().msix.expect("vectors");
    for msix in [
        MsixConfig {
            n_vectors: 0,
            ..good
        },
        MsixConfig {
            n_vectors: 2049,
            ..good
        },
        MsixConfig {
            table_bar: 1,
            ..good
        },
        MsixConfig {
            table_bar: 255,
            ..good
        },
        MsixConfig {
            table_offset: 0x8004,
            ..good
        },
        MsixConfig {
            table_offset: 0xffc8,
            ..good
        },
        MsixConfig {
            pba_offset: 0xffff_fff8,
            ..good
        },
    ] {
        let config = FunctionConfig {
            msix: Some(msix),
            ..config()
        };
        assert!(ConfigSpace::new(&config).is_err(), "{msix:?}");
    }
    let overlap = MsixConfig {
        pba_offset: 0x8038,
        ..good
    };
    let config = FunctionConfig {
        msix: Some(overlap),
        ..self::config()
    };
    let error = FunctionConfigError::Msix(MsixError::Overlap);
    assert_eq!(ConfigSpace::new(&config).err(), Some(error));
}

#[test]
fn bad_identities_are_refused() {
    let mut config = config();
    config.identity.class = 0x0100_0000;
    assert!(ConfigSpace::new(&config).is_err());
    config.identity.class = 0;
    config.identity.vendor_id = 0xffff;
    assert!(ConfigSpace::new(&config).is_err());
}

fn bytes_of(space: &ConfigSpace) -> Vec<u8> {
    let mut bytes = vec![0; 0x1000];
    space.read(0, &mut bytes);
    bytes
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
