//! Rule files about the link and resets.

use control_api::FunctionName;
use control_api::request::FaultsClear;
use dmarig_abi::completion::DMA_STATUS_SUCCESS;
use dmarig_abi::descriptor::DMA_OP_FILL;
use dmarig_abi::registers::{DUT_ID_VALUE, REG_ID};

use super::driver::Driver;

/// Capability ID of PCI Express.
const PCIE: u8 = 0x10;

fn id(driver: &mut Driver) -> u32 {
    let bytes = driver.qemu.read(&mut driver.bench, 0, REG_ID, 4);
    u32::from_le_bytes(bytes.try_into().expect("4 bytes"))
}

fn vendor(driver: &mut Driver) -> Vec<u8> {
    driver.qemu.read_config(&mut driver.bench, 0, 2)
}

fn fill(driver: &mut Driver) {
    driver.command(DMA_OP_FILL, 0, 0x2000, 64);
}

#[test]
fn device_that_was_pulled_out_reads_ones_until_the_rules_are_cleared() {
    let mut driver = Driver::new(Some("surprise-removal"));
    for _ in 0..2 {
        fill(&mut driver);
        assert_eq!(driver.status().0, DMA_STATUS_SUCCESS);
    }
    driver.interrupts();
    fill(&mut driver);
    assert_eq!(
        (id(&mut driver), vendor(&mut driver)),
        (u32::MAX, vec![0xff; 2])
    );
    assert_eq!(driver.interrupts(), 0);
    driver.qemu.reset(&mut driver.bench);
    driver.pass(60_000_000);
    assert_eq!(id(&mut driver), u32::MAX, "no reset brings it back");
    let clear = FaultsClear {
        function: FunctionName::DUT0,
    };
    driver.harness.call(&mut driver.bench, &clear);
    assert_eq!(id(&mut driver), DUT_ID_VALUE);
    driver.qemu.enable_bus_master(&mut driver.bench);
    fill(&mut driver);
    assert_eq!(driver.status().0, DMA_STATUS_SUCCESS);
}

#[test]
fn link_that_bounces_comes_back_with_the_function_reset() {
    let mut driver = Driver::new(Some("link-bounces"));
    fill(&mut driver);
    fill(&mut driver);
    assert_eq!(id(&mut driver), u32::MAX);
    driver.pass(9_000);
    assert_eq!(id(&mut driver), u32::MAX);
    driver.pass(1_100);
    assert_eq!(id(&mut driver), DUT_ID_VALUE);
    let command = driver.qemu.read_config(&mut driver.bench, 4, 2);
    assert_eq!(command[0] & 4, 0, "bus mastering is off, as after a reset");
}

/// Writes bit 15 of device control.
fn function_level_reset(driver: &mut Driver) {
    let offset = driver.qemu.capability(&mut driver.bench, PCIE) + 8;
    let mut control = driver.qemu.read_config(&mut driver.bench, offset, 2);
    control[1] |= 0x80;
    driver
        .qemu
        .write_config(&mut driver.bench, offset, &control);
}

#[test]
fn reset_that_hangs_ends_with_a_reset_of_the_bus() {
    for (rules, after) in [(Some("reset-hangs"), u32::MAX), (None, DUT_ID_VALUE)] {
        let mut driver = Driver::new(rules);
        function_level_reset(&mut driver);
        driver.pass(10_000_000);
        assert_eq!(id(&mut driver), after);
        driver.qemu.reset(&mut driver.bench);
        assert_eq!(id(&mut driver), DUT_ID_VALUE);
    }
}

#[test]
fn reset_that_is_ignored_leaves_everything_as_it_was() {
    for (rules, is_on) in [(Some("reset-ignored"), true), (None, false)] {
        let mut driver = Driver::new(rules);
        fill(&mut driver);
        function_level_reset(&mut driver);
        let status = driver.status().0;
        assert_eq!(status == DMA_STATUS_SUCCESS, is_on);
    }
}

/// Speed code and lanes in link status, and its other bits.
fn link_status(driver: &mut Driver) -> (u16, u16, u16) {
    let offset = driver.qemu.capability(&mut driver.bench, PCIE) + 0x12;
    let status = driver.qemu.read_config(&mut driver.bench, offset, 2);
    let status = u16::from_le_bytes([status[0], status[1]]);
    (status & 0xf, status >> 4 & 0x3f, status & 0xfc00)
}

/// 8 GT/s on four lanes, as the built-in device has it; no bit of link status that is a port's.
const WHOLE: (u16, u16, u16) = (3, 4, 0);

#[test]
fn link_comes_up_degraded_until_a_reset_of_the_bus_brings_it_back() {
    let mut driver = Driver::new(Some("link-degraded"));
    assert_eq!(link_status(&mut driver), WHOLE, "it has not come up since");
    driver.qemu.reset(&mut driver.bench);
    assert_eq!(link_status(&mut driver), (1, 1, 0));
    driver.load("");
    function_level_reset(&mut driver);
    assert_eq!(link_status(&mut driver), (1, 1, 0), "a link knows no FLR");
    driver.qemu.reset(&mut driver.bench);
    assert_eq!(link_status(&mut driver), WHOLE);
}

#[test]
fn link_degrades_in_speed_or_width_and_gets_no_better_than_it_can_be() {
    for (event, effect, expected) in [
        ("link", "{ speed = \"5\" }", (2, 4, 0)),
        ("reset", "{ width = 2 }", (3, 2, 0)),
        ("reset", "{ speed = \"32\", width = 16 }", WHOLE),
    ] {
        let rules = format!(
            "[[rule]]\nname = \"it\"\nevent = \"{event}\"\neffect.degraded-link = {effect}\n"
        );
        let mut driver = Driver::with_rules(Some(&rules));
        driver.qemu.reset(&mut driver.bench);
        assert_eq!(link_status(&mut driver), expected, "{rules}");
        assert_eq!(driver.fired(), 1);
        // What goes over the link goes as before: no rate is modelled.
        driver.qemu.enable_bus_master(&mut driver.bench);
        fill(&mut driver);
        assert_eq!(driver.status().0, DMA_STATUS_SUCCESS);
    }
}
