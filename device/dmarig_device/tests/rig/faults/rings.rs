//! Rule files about descriptors and completion entries.

use dmarig_abi::completion::*;
use dmarig_abi::descriptor::DMA_OP_FILL;

use super::driver::Driver;

#[test]
fn descriptor_that_cannot_be_fetched_stops_the_ring() {
    let mut driver = Driver::new(Some("descriptor-unreachable"));
    driver.ring(3);
    assert_eq!(driver.entry(0).status, DMA_STATUS_SUCCESS);
    assert_eq!(driver.entry(1), CompletionEntry::default());
    assert_eq!(
        driver.ring_status(),
        u32::from(DMA_STATUS_UNSUPPORTED_REQUEST)
    );
}

#[test]
fn descriptor_with_a_wrong_bit_is_no_operation_that_is_known() {
    let mut driver = Driver::new(Some("descriptor-corrupt"));
    driver.ring(3);
    let statuses = [0, 1, 2].map(|index| driver.entry(index).status);
    let expected = [DMA_STATUS_SUCCESS, DMA_STATUS_OPCODE, DMA_STATUS_SUCCESS];
    assert_eq!(statuses, expected);
}

#[test]
fn torn_entry_shows_its_tag_without_status_and_phase() {
    for (rules, is_torn) in [(Some("completion-torn"), true), (None, false)] {
        let mut driver = Driver::new(rules);
        driver.ring(1);
        let entry = driver.entry(0);
        assert_eq!((entry.tag, driver.interrupts()), (0x100, 1));
        assert_eq!(entry.flags & COMPLETION_FLAG_PHASE == 0, is_torn);
        driver.pass(2_100);
        assert_eq!(driver.entry(0).status, DMA_STATUS_SUCCESS);
    }
}

#[test]
fn entry_changes_four_times_after_its_interrupt() {
    let mut driver = Driver::new(Some("completion-mutates"));
    driver.ring(1);
    let mut seen = vec![driver.entry(0).status];
    assert_eq!(driver.interrupts(), 1);
    for _ in 0..5 {
        driver.pass(1_000);
        seen.push(driver.entry(0).status);
    }
    assert_eq!(seen, [1, 0, 1, 0, 1, 1]);
}

#[test]
fn lost_entry_has_its_interrupt_and_the_next_entry_comes() {
    let mut driver = Driver::new(Some("completion-lost"));
    driver.ring(2);
    assert_eq!(driver.entry(0), CompletionEntry::default());
    assert_eq!(driver.entry(1).tag, 0x101);
    assert_eq!(driver.interrupts(), 2);
}

#[test]
fn reordered_entry_waits_for_the_next_write() {
    let mut driver = Driver::new(Some("completion-reordered"));
    driver.ring(1);
    assert_eq!((driver.entry(0).tag, driver.interrupts()), (0, 1));
    driver.command(DMA_OP_FILL, 0, 0x2000, 64);
    assert_eq!(driver.entry(0).tag, 0x100);
}

#[test]
fn hung_channel_lives_again_after_a_reset() {
    for (rules, hangs) in [(Some("channel-hangs"), true), (None, false)] {
        let mut driver = Driver::new(rules);
        for is_busy in [false, hangs] {
            driver.command(DMA_OP_FILL, 0, 0x2000, 64);
            assert_eq!(driver.status().1, is_busy);
        }
        driver.pass(10_000_000);
        assert_eq!(driver.status().1, hangs);
        // The driver's reset, by register.
        let control = dmarig_abi::registers::REG_CONTROL;
        driver
            .qemu
            .write(&mut driver.bench, 0, control, &[1, 0, 0, 0]);
        driver.command(DMA_OP_FILL, 0, 0x2000, 64);
        driver.bench.pump();
        let (status, is_busy) = driver.status();
        assert_eq!((status, is_busy), (DMA_STATUS_SUCCESS, false));
    }
}
