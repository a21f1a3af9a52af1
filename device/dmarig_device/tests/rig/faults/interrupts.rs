//! Rule files about interrupts.

use dmarig_abi::completion::DMA_STATUS_SUCCESS;
use dmarig_abi::descriptor::DMA_OP_FILL;
use dmarig_abi::registers::REG_INTERRUPT_CAUSE;

use super::driver::Driver;
use crate::support::{eventfd, take_count};

fn fill(driver: &mut Driver) {
    driver.command(DMA_OP_FILL, 0, 0x2000, 64);
}

#[test]
fn lost_interrupt_leaves_cause_and_status() {
    for (rules, expected) in [(Some("interrupt-lost"), [0, 1]), (None, [1, 1])] {
        let mut driver = Driver::new(rules);
        for n in expected {
            fill(&mut driver);
            assert_eq!(
                (driver.interrupts(), driver.status().0),
                (n, DMA_STATUS_SUCCESS)
            );
            let cause = driver
                .qemu
                .read(&mut driver.bench, 0, REG_INTERRUPT_CAUSE, 4);
            assert_eq!(cause[0], 1);
        }
    }
}

#[test]
fn late_interrupt_comes_when_its_time_has_come() {
    let mut driver = Driver::new(Some("interrupt-late"));
    fill(&mut driver);
    assert_eq!(
        (driver.interrupts(), driver.status().0),
        (0, DMA_STATUS_SUCCESS)
    );
    driver.pass(20_100);
    assert_eq!(driver.interrupts(), 1);
}

#[test]
fn early_interrupt_comes_before_the_status() {
    let mut driver = Driver::new(Some("interrupt-early"));
    fill(&mut driver);
    assert_eq!((driver.interrupts(), driver.status()), (1, (0, true)));
    driver.pass(2_100);
    assert_eq!(
        (driver.interrupts(), driver.status()),
        (0, (DMA_STATUS_SUCCESS, false))
    );
}

#[test]
fn spurious_interrupt_comes_beside_the_one_asked_for() {
    for (rules, expected) in [(Some("interrupt-spurious"), 2), (None, 1)] {
        let mut driver = Driver::new(rules);
        fill(&mut driver);
        assert_eq!(driver.interrupts(), expected);
    }
}

#[test]
fn storm_goes_on_for_as_many_as_told() {
    let mut driver = Driver::new(Some("interrupt-storm"));
    fill(&mut driver);
    let mut seen = driver.interrupts();
    assert_eq!(seen, 1);
    for _ in 0..100 {
        driver.pass(200);
        seen += driver.interrupts();
    }
    assert_eq!(seen, 50);
}

#[test]
fn lost_assertion_of_the_pin_ends_with_the_cause() {
    for (rules, expected) in [(Some("pin-lost"), [0, 1]), (None, [1, 1])] {
        let mut driver = Driver::new(rules);
        // Back to the pin.
        let offset = driver.qemu.capability(&mut driver.bench, 0x11) + 2;
        driver.qemu.write_config(&mut driver.bench, offset, &[0, 0]);
        let pin = eventfd();
        driver.qemu.bind_pin(&mut driver.bench, &pin);
        for n in expected {
            fill(&mut driver);
            assert_eq!(take_count(&pin), n);
            driver
                .qemu
                .write(&mut driver.bench, 0, REG_INTERRUPT_CAUSE, &[1, 0, 0, 0]);
            driver.qemu.unmask_pin(&mut driver.bench);
        }
    }
}
