//! How long the device waits for a Completion that does not come.

use dmarig_abi::completion::{DMA_STATUS_ABORTED, DMA_STATUS_SUCCESS, DMA_STATUS_TIMEOUT};
use dmarig_abi::descriptor::{DMA_OP_CRC, DMA_OP_FILL};
use dmarig_abi::registers::REG_CONTROL;

use super::driver::Driver;

/// Capability ID of PCI Express, and offsets in it.
const PCIE: u8 = 0x10;
const DEVICE_CAPABILITIES_2: u64 = 0x24;
const DEVICE_CONTROL_2: u64 = 0x28;
const TIMEOUT_DISABLE: u8 = 1 << 4;
/// Uncorrectable error status in configuration space.
const AER_STATUS: u64 = 0x104;

const BUSY: (u16, bool) = (0, true);
const ENDED: (u16, bool) = (DMA_STATUS_TIMEOUT, false);

/// A driver that has set device control 2 so, and whose first read is lost.
fn driver_with(control_2: u8) -> Driver {
    let mut driver = Driver::new(Some("completion-timeout"));
    let at = driver.qemu.capability(&mut driver.bench, PCIE) + DEVICE_CONTROL_2;
    driver
        .qemu
        .write_config(&mut driver.bench, at, &[control_2, 0]);
    driver
}

#[test]
fn read_is_given_up_when_the_time_of_device_control_2_has_run_out() {
    for (value, timeout_us) in [
        (0b0000, 10_000),
        (0b0001, 100),
        (0b0010, 10_000),
        (0b0101, 50_000),
        (0b0110, 200_000),
        (0b1001, 500_000),
        (0b1010, 2_000_000),
        (0b1101, 8_000_000),
        (0b1110, 32_000_000),
        // Reserved.
        (0b0111, 10_000),
    ] {
        let mut driver = driver_with(value);
        driver.command(DMA_OP_CRC, 0x1000, 0, 64);
        driver.pass(timeout_us - 20);
        assert_eq!(driver.status(), BUSY, "{value:#06b}");
        let log = driver.qemu.read_config(&mut driver.bench, AER_STATUS, 4);
        assert_eq!(log, [0; 4], "nothing is logged before");
        driver.pass(40);
        assert_eq!(driver.status(), ENDED, "{value:#06b}");
        assert_eq!(driver.interrupts(), 1);
    }
}

#[test]
fn all_ranges_and_the_way_to_disable_are_announced() {
    let mut driver = Driver::new(None);
    let at = driver.qemu.capability(&mut driver.bench, PCIE) + DEVICE_CAPABILITIES_2;
    let seen = driver.qemu.read_config(&mut driver.bench, at, 4);
    assert_eq!(seen, [0x1f, 0, 0, 0]);
}

#[test]
fn read_is_never_given_up_where_the_time_out_is_disabled() {
    let mut driver = driver_with(TIMEOUT_DISABLE);
    driver.command(DMA_OP_CRC, 0x1000, 0, 64);
    driver.pass(100_000_000);
    assert_eq!(driver.status(), BUSY);
    reset(&mut driver);
    assert_eq!(driver.status(), (DMA_STATUS_ABORTED, false));
    works(&mut driver);
}

#[test]
fn other_channels_work_while_one_waits() {
    let mut driver = driver_with(0);
    driver.command(DMA_OP_CRC, 0x1000, 0, 64);
    for channel in [1, 2, 3] {
        let to = 0x2000 + channel * 0x100;
        driver.command_on(channel, DMA_OP_FILL, 0, to, 64);
        assert_eq!(driver.status_of(channel), (DMA_STATUS_SUCCESS, false));
    }
    assert_eq!(driver.status(), BUSY);
    driver.pass(10_000);
    assert_eq!(driver.status(), ENDED);
}

#[test]
fn reset_ends_the_wait_and_nothing_is_logged_afterwards() {
    let mut driver = driver_with(0);
    driver.command(DMA_OP_CRC, 0x1000, 0, 64);
    driver.pass(5_000);
    reset(&mut driver);
    assert_eq!(driver.status(), (DMA_STATUS_ABORTED, false));
    works(&mut driver);
    driver.pass(1_000_000);
    let log = driver.qemu.read_config(&mut driver.bench, AER_STATUS, 4);
    assert_eq!(log, [0; 4]);
}

/// The driver's reset, by register.
fn reset(driver: &mut Driver) {
    let reset = [1, 0, 0, 0];
    driver.qemu.write(&mut driver.bench, 0, REG_CONTROL, &reset);
}

fn works(driver: &mut Driver) {
    driver.command(DMA_OP_CRC, 0x1000, 0, 64);
    assert_eq!(driver.status(), (DMA_STATUS_SUCCESS, false));
}
