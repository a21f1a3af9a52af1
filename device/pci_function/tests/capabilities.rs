//! Capabilities and resets from the guest's side.

mod support;

use pci_function::{
    ConfigEffect, CorrectableError, PowerState, ResetKind, TransferLimits, UncorrectableError,
};
use support::{AER, MSIX, PCIE, POWER, bytes_of, read_u16, read_u32, space, write_u16, write_u32};

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

    assert_eq!(bytes_of(&changed), bytes_of(&space()));
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
