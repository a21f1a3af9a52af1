//! Accesses that a rule holds back: they end with what they belong to, and come by themselves.

use control_api::FunctionName;
use control_api::request::{FunctionReset, LinkSet, LinkState};
use dmarig_abi::completion::DMA_STATUS_SUCCESS;
use dmarig_abi::descriptor::DMA_OP_FILL;
use dmarig_abi::registers::{CH_RING_CONTROL, CHANNEL_BASE, REG_CONTROL};

use super::driver::Driver;

/// Where the request of register mode writes.
const TARGET: u64 = 0x2000;
/// Where completion entries lie.
const COMPLETIONS: u64 = 0x9000;
/// What the memory's next owner writes.
const OTHERS: u8 = 0x55;
/// Capability ID of power management.
const POWER: u8 = 0x01;
const PCIE: u8 = 0x10;

/// What stops a channel.
type Stop = fn(&mut Driver);

fn rule(event: &str, effect: &str) -> String {
    format!("[[rule]]\nname = \"it\"\nevent = \"{event}\"\ntimes = 1\neffect{effect}\n")
}

/// The effects that hold a write back, with the place of the write.
fn held_writes() -> Vec<(String, u64)> {
    let entry = |effect| (rule("completion-entry", effect), COMPLETIONS);
    let payload = |effect| (rule("dma-write", effect), TARGET);
    vec![
        payload(" = \"reorder\""),
        payload(" = \"duplicate\""),
        payload(".delay.microseconds = 5000"),
        entry(" = \"reorder\""),
        entry(" = \"duplicate\""),
        entry(".delay.microseconds = 5000"),
        entry(".torn = { bytes = 4, microseconds = 5000 }"),
        entry(".mutate = { times = 3, microseconds = 5000, bit = 8 }"),
    ]
}

/// Lets the device hold a write back.
fn hold(rules: &str, place: u64) -> Driver {
    let mut driver = Driver::with_rules(Some(rules));
    if place == TARGET {
        driver.command(DMA_OP_FILL, 0, TARGET, 64);
    } else {
        driver.ring(1);
    }
    assert_eq!(driver.fired(), 1, "{rules}");
    driver
}

fn reset_by_register(driver: &mut Driver) {
    let reset = [1, 0, 0, 0];
    driver.qemu.write(&mut driver.bench, 0, REG_CONTROL, &reset);
}

fn disable_ring(driver: &mut Driver) {
    let control = CHANNEL_BASE + CH_RING_CONTROL;
    driver.qemu.write(&mut driver.bench, 0, control, &[0; 4]);
}

fn take_bus_mastering_away(driver: &mut Driver) {
    driver.qemu.write_config(&mut driver.bench, 4, &[2, 0]);
}

fn go_to_sleep(driver: &mut Driver) {
    let offset = driver.qemu.capability(&mut driver.bench, POWER) + 4;
    driver.qemu.write_config(&mut driver.bench, offset, &[3, 0]);
}

fn reset_function(driver: &mut Driver) {
    let offset = driver.qemu.capability(&mut driver.bench, PCIE) + 9;
    driver.qemu.write_config(&mut driver.bench, offset, &[0x80]);
}

fn reset_bus(driver: &mut Driver) {
    driver.qemu.reset(&mut driver.bench);
}

fn reset_by_harness(driver: &mut Driver) {
    let reset = FunctionReset {
        function: FunctionName::DUT0,
    };
    driver.harness.call(&mut driver.bench, &reset);
}

fn take_link_down(driver: &mut Driver) {
    let down = LinkSet {
        function: FunctionName::DUT0,
        link: LinkState::Down,
    };
    driver.harness.call(&mut driver.bench, &down);
}

/// Gives the memory to another owner, lets the channel write elsewhere and time pass: the memory's
/// bytes that the device changed.
fn reuse(driver: &mut Driver, place: u64) -> Vec<usize> {
    driver.poke(place, &[OTHERS; 64]);
    driver.command(DMA_OP_FILL, 0, 0x3000, 64);
    driver.pass(20_000);
    driver.pass(1_000_000);
    let bytes = driver.peek(place, 64);
    (0..64).filter(|at| bytes[*at] != OTHERS).collect()
}

#[test]
fn held_write_does_not_outlive_what_stops_the_channel() {
    let stops: [(&str, Stop); 8] = [
        ("reset by register", reset_by_register),
        ("ring disabled", disable_ring),
        ("bus mastering off", take_bus_mastering_away),
        ("D3hot", go_to_sleep),
        ("function-level reset", reset_function),
        ("bus reset", reset_bus),
        ("reset by the control socket", reset_by_harness),
        ("link down", take_link_down),
    ];
    let mut outlived = Vec::new();
    for (rules, place) in held_writes() {
        for (stop, act) in stops {
            // A ring's end is no end of a request of register mode.
            if stop == "ring disabled" && place == TARGET {
                continue;
            }
            let mut driver = hold(&rules, place);
            act(&mut driver);
            let changed = reuse(&mut driver, place);
            if !changed.is_empty() {
                outlived.push(format!("{stop}: {rules}{changed:x?}"));
            }
        }
    }
    assert!(outlived.is_empty(), "{}", outlived.join("\n"));
}

#[test]
fn write_behind_which_nothing_comes_is_made_after_ten_milliseconds() {
    for (rules, place) in held_writes() {
        let is_behind_next = rules.contains("reorder") || rules.contains("duplicate");
        if !is_behind_next {
            continue;
        }
        let mut driver = hold(&rules, place);
        driver.poke(place, &[OTHERS; 64]);
        driver.pass(9_900);
        assert_eq!(driver.peek(place, 64), [OTHERS; 64], "{rules}");
        driver.pass(200);
        let bytes = driver.peek(place, 64);
        assert!(!bytes.contains(&OTHERS), "{rules}{bytes:x?}");
    }
}

#[test]
fn channel_works_on_after_the_reset_that_dropped_its_write() {
    for (rules, place) in held_writes() {
        let mut driver = hold(&rules, place);
        reset_by_register(&mut driver);
        driver.command(DMA_OP_FILL, 0, TARGET, 64);
        assert_eq!(driver.status(), (DMA_STATUS_SUCCESS, false), "{rules}");
        assert!(driver.unfilled(TARGET, 64).is_empty(), "{rules}");
    }
}
