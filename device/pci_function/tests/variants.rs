//! Functions other than the usual endpoint: what a guest finds there, and how they go to sleep.

#[expect(dead_code, reason = "the usual endpoint is not needed here")]
mod support;

use pci_function::{
    AtsConfig, BarDefinition, BarKind, ConfigEffect, ConfigSpace, FunctionConfig, InterruptPin,
    LinkSpeed, LinkState, MsiConfig, PasidConfig, PcieConfig, PortType, PowerConfig, PowerState,
};
use support::{AER, PCIE, POWER, bytes_of, config, read_u16, read_u32, write_u16, write_u32};

/// Where MSI lies behind MSI-X.
const MSI: u64 = 0xa0;

fn made(config: &FunctionConfig) -> ConfigSpace {
    ConfigSpace::new(config).expect("a good configuration")
}

fn legacy() -> FunctionConfig {
    FunctionConfig {
        bars: vec![
            BarDefinition {
                index: 0,
                size: 0x20,
                kind: BarKind::Io,
                prefetchable: false,
            },
            BarDefinition {
                index: 1,
                size: 0x40,
                kind: BarKind::Memory32,
                prefetchable: false,
            },
        ],
        interrupt_pin: InterruptPin::C,
        power: None,
        pcie: None,
        msix: None,
        aer: false,
        ..config()
    }
}

#[test]
fn conventional_function_has_256_bytes_no_list_and_io_space() {
    let mut space = made(&legacy());

    assert_eq!(space.size(), 256);
    assert_eq!(read_u32(&space, 0x100), u32::MAX, "beyond the end");
    assert_eq!(read_u32(&space, 0xfe), 0xffff_0000, "across the end");
    assert_eq!((read_u16(&space, 6), read_u16(&space, 0x34)), (0, 0));
    assert_eq!(read_u32(&space, 0x3c) >> 8, 3, "INTC");
    let _ = write_u32(&mut space, 0x10, u32::MAX);
    let _ = write_u32(&mut space, 0x14, u32::MAX);
    assert_eq!(read_u32(&space, 0x10), 0xffff_ffe1);
    assert_eq!(read_u32(&space, 0x14), 0xffff_ffc0);
    let _ = write_u32(&mut space, 0x10, 0xc003);
    assert_eq!(space.bar_address(0), Some(0xc000));
    assert_eq!(
        write_u16(&mut space, 4, 3),
        [
            ConfigEffect::MemoryEnable(true),
            ConfigEffect::IoEnable(true)
        ]
    );
    assert!(space.is_io_enabled());
    assert_eq!(space.transfer_limits().max_payload_bytes, 4096);
}

#[test]
fn function_without_io_bar_has_no_io_enable() {
    let mut space = made(&config());
    let _ = write_u16(&mut space, 4, 1);
    assert_eq!(read_u16(&space, 4), 0);
}

#[test]
fn msi_has_the_registers_that_it_says_it_has() {
    for (address_64, per_vector_masking, data) in [
        (false, false, 8),
        (true, false, 12),
        (false, true, 8),
        (true, true, 12),
    ] {
        let mut space = made(&FunctionConfig {
            msi: Some(MsiConfig {
                n_vectors: 8,
                address_64,
                per_vector_masking,
            }),
            ..config()
        });
        let flags = u16::from(address_64) << 7 | u16::from(per_vector_masking) << 8;
        assert_eq!(read_u16(&space, MSI) & 0xff, 5);
        assert_eq!(read_u16(&space, MSI + 2), 3 << 1 | flags, "eight vectors");
        for offset in (MSI + 4..MSI + 24).step_by(4) {
            let _ = write_u32(&mut space, offset, u32::MAX);
        }
        assert_eq!(read_u32(&space, MSI + 4), 0xffff_fffc);
        assert_eq!(read_u32(&space, MSI + 8) == u32::MAX, address_64);
        assert_eq!(read_u32(&space, MSI + data), 0xffff);
        let mask = if per_vector_masking { 0xff } else { 0 };
        assert_eq!(read_u32(&space, MSI + data + 4), mask);

        let msi = |enabled, n_vectors| [ConfigEffect::Msi { enabled, n_vectors }];
        assert_eq!(write_u16(&mut space, MSI + 2, 2 << 4 | 1), msi(true, 4));
        assert!(space.is_msi_enabled());
        assert_eq!(write_u16(&mut space, MSI + 2, 5 << 4 | 1), msi(true, 8));
        assert_eq!(space.msi_vectors(), 8, "no more than there are");
    }
}

#[test]
fn extended_list_holds_what_is_there() {
    let full = FunctionConfig {
        serial_number: Some(0x0123_4567_89ab_cdef),
        ats: Some(AtsConfig {
            invalidate_queue_depth: 32,
            page_aligned_requests: true,
        }),
        pasid: Some(PasidConfig {
            width_bits: 20,
            execute: true,
            privileged: false,
        }),
        ..config()
    };
    for (config, expected) in [
        (full.clone(), &[1, 3, 0xf, 0x1b][..]),
        (
            FunctionConfig {
                aer: false,
                ..full.clone()
            },
            &[3, 0xf, 0x1b],
        ),
        (
            FunctionConfig {
                aer: false,
                ..config()
            },
            &[0],
        ),
    ] {
        let space = made(&config);
        let mut offset = AER;
        let mut found = Vec::new();
        while offset != 0 {
            let header = read_u32(&space, offset);
            found.push(header & 0xffff);
            offset = u64::from(header >> 20);
        }
        assert_eq!(found, expected);
    }

    let mut space = made(&full);
    assert_eq!(read_u32(&space, 0x130 + 4), 0x89ab_cdef);
    assert_eq!(read_u32(&space, 0x130 + 8), 0x0123_4567);
    assert_eq!(read_u16(&space, 0x140 + 4), 0x20, "32 is 0, page aligned");
    assert_eq!(read_u16(&space, 0x150 + 4), 20 << 8 | 2);
    let _ = write_u16(&mut space, 0x140 + 6, 0xffff);
    let _ = write_u16(&mut space, 0x150 + 6, 0xffff);
    assert_eq!(read_u16(&space, 0x140 + 6), 0x801f);
    assert_eq!(read_u16(&space, 0x150 + 6), 3, "enable and execute");
}

#[test]
fn vendor_capabilities_hold_their_bytes() {
    let mut space = made(&FunctionConfig {
        vendor_specific: vec![vec![0xaa, 0xbb, 0xcc, 0xdd], vec![0xee]],
        ..config()
    });
    assert_eq!(read_u32(&space, 0xa0), 0xaa07_b009);
    assert_eq!(read_u32(&space, 0xa4), 0x00dd_ccbb);
    assert_eq!(read_u32(&space, 0xb0), 0xee04_0009);
    let before = bytes_of(&space);
    let _ = write_u32(&mut space, 0xa4, 0);
    assert_eq!(bytes_of(&space), before);
}

#[test]
fn legacy_endpoint_with_small_payloads_and_no_reset() {
    let mut space = made(&FunctionConfig {
        pcie: Some(PcieConfig {
            port_type: PortType::LegacyEndpoint,
            max_payload_bytes: 256,
            max_read_request_bytes: 128,
            function_level_reset: false,
            link: LinkState {
                speed: LinkSpeed::Gt5,
                width: 2,
            },
        }),
        ..config()
    });
    assert_eq!(read_u16(&space, PCIE + 2), 0x12);
    let link = [read_u16(&space, PCIE + 0xc), read_u16(&space, PCIE + 0x12)];
    assert_eq!(link, [0x22, 0x22], "5 GT/s, two lanes");
    assert_eq!(read_u16(&space, PCIE + 0x2c), 0b110);
    assert_eq!(read_u32(&space, PCIE + 4) & 0x1000_0007, 1, "256, no reset");
    let effects = write_u16(&mut space, PCIE + 8, 0x8000 | 5 << 12 | 5 << 5);
    assert!(!effects.contains(&ConfigEffect::FunctionLevelReset));
    let limits = space.transfer_limits();
    assert_eq!(
        (limits.max_payload_bytes, limits.max_read_request_bytes),
        (256, 128)
    );
    assert_eq!(read_u16(&space, PCIE + 8) & 0x8000, 0);
}

#[test]
fn light_sleeps_are_entered_where_they_are_and_left_to_d0_or_deeper() {
    let mut space = made(&FunctionConfig {
        power: Some(PowerConfig {
            d1: true,
            d2: true,
            no_soft_reset: true,
        }),
        ..config()
    });
    assert_eq!(read_u16(&space, POWER + 2), 0x0603);
    for (written, state) in [
        (1, PowerState::D1),
        (2, PowerState::D2),
        (1, PowerState::D2),
        (3, PowerState::D3Hot),
        (2, PowerState::D3Hot),
        (0, PowerState::D0),
        (2, PowerState::D2),
        (0, PowerState::D0),
    ] {
        let _ = write_u16(&mut space, POWER + 4, written);
        assert_eq!(space.power_state(), state, "after writing {written}");
    }
}

#[test]
fn return_from_d3_keeps_the_registers_or_loses_them_as_no_soft_reset_says() {
    for no_soft_reset in [true, false] {
        let power = PowerConfig {
            no_soft_reset,
            ..PowerConfig::default()
        };
        let mut space = made(&FunctionConfig {
            power: Some(power),
            ..config()
        });
        let _ = write_u16(&mut space, 4, 6);
        let _ = write_u16(&mut space, POWER + 4, 3);
        assert!(space.is_bus_master(), "going to sleep loses nothing");

        let effects = write_u16(&mut space, POWER + 4, 0);

        let expected = if no_soft_reset {
            ConfigEffect::PowerState(PowerState::D0)
        } else {
            ConfigEffect::PowerReset
        };
        assert_eq!(effects, [expected]);
        assert_eq!(space.is_bus_master(), no_soft_reset);
        assert_eq!(space.power_state(), PowerState::D0);
    }
}
