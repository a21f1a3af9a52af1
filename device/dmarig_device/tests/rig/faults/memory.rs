//! Rule files about memory: reads, writes, translations.

use control_api::FunctionName;
use control_api::ledger::ViolationKind;
use control_api::request::LedgerRead;
use dmarig_abi::completion::*;
use dmarig_abi::descriptor::{DMA_OP_COPY, DMA_OP_CRC, DMA_OP_FILL};

use super::driver::{BASE, Driver};

const LEN: u64 = 0x1000;
/// The completion timeout by default.
const TIMEOUT_US: u64 = 10_000;
/// Received master abort, received target abort, parity error in the high byte of the status register.
const MASTER_ABORT: u8 = 0x20;
const TARGET_ABORT: u8 = 0x10;
const PARITY_ERROR: u8 = 0x80;
/// Poisoned TLP and completion timeout in uncorrectable status.
const AER_POISONED: u32 = 1 << 12;
const AER_TIMEOUT: u32 = 1 << 14;
/// Uncorrectable error status in configuration space.
const AER_STATUS: u64 = 0x104;

#[test]
fn read_that_fails_is_told_by_status_and_logged_in_configuration_space() {
    for (file, status, done, status_bit, aer_bit) in [
        (
            "unsupported-request",
            DMA_STATUS_UNSUPPORTED_REQUEST,
            1024,
            MASTER_ABORT,
            0,
        ),
        (
            "completer-abort",
            DMA_STATUS_COMPLETER_ABORT,
            0,
            TARGET_ABORT,
            0,
        ),
        ("completion-timeout", DMA_STATUS_TIMEOUT, 0, 0, AER_TIMEOUT),
        (
            "poisoned-completion",
            DMA_STATUS_POISONED,
            0,
            PARITY_ERROR,
            AER_POISONED,
        ),
    ] {
        for rules in [Some(file), None] {
            let mut driver = Driver::new(rules);
            driver.command(DMA_OP_CRC, 0x1000, 0, LEN);
            let is_struck = rules.is_some();
            let expected = if is_struck {
                status
            } else {
                DMA_STATUS_SUCCESS
            };
            driver.pass(TIMEOUT_US);
            assert_eq!(driver.status(), (expected, false), "{file}");
            let all = u32::try_from(LEN).expect("small");
            let expected = if is_struck { done } else { all };
            assert_eq!(driver.done_bytes(), expected, "{file}");
            let config = driver.qemu.read_config(&mut driver.bench, 4, 4);
            let bits = MASTER_ABORT | TARGET_ABORT | PARITY_ERROR;
            let seen = config[3] & bits;
            assert_eq!(seen, if is_struck { status_bit } else { 0 }, "{file}");
            let aer = driver.qemu.read_config(&mut driver.bench, AER_STATUS, 4);
            let aer = u32::from_le_bytes(aer.try_into().expect("4 bytes"));
            assert_eq!(aer, if is_struck { aer_bit } else { 0 }, "{file}");
            assert_eq!(driver.interrupts(), 1, "the driver is told either way");
            // It was for one time.
            driver.command(DMA_OP_CRC, 0x1000, 0, LEN);
            assert_eq!(driver.status().0, DMA_STATUS_SUCCESS);
        }
    }
}

#[test]
fn header_log_names_the_address_of_the_lost_read() {
    let mut driver = Driver::new(Some("completion-timeout"));
    driver.command(DMA_OP_CRC, 0x1000, 0, LEN);
    driver.pass(TIMEOUT_US);
    let log = driver
        .qemu
        .read_config(&mut driver.bench, AER_STATUS + 0x18, 16);
    let low = u32::from_le_bytes(log[12..].try_into().expect("4 bytes"));
    assert_eq!(u64::from(low), BASE + 0x1000);
}

#[test]
fn write_that_goes_wrong_leaves_its_mark_and_success() {
    for (file, wrong) in [
        ("bit-flip", vec![9]),
        ("dropped-write", (0..128).collect()),
        ("duplicated-write", vec![]),
        ("reordered-writes", vec![]),
    ] {
        for rules in [Some(file), None] {
            let mut driver = Driver::new(rules);
            driver.command(DMA_OP_FILL, 0, 0x2000, LEN);
            assert_eq!(driver.status(), (DMA_STATUS_SUCCESS, false), "{file}");
            let expected = if rules.is_some() {
                wrong.clone()
            } else {
                vec![]
            };
            assert_eq!(driver.unfilled(0x2000, 0x1000), expected, "{file}");
            assert_eq!(driver.fired(), u64::from(rules.is_some()), "{file}");
        }
    }
}

#[test]
fn short_completion_ends_the_request_behind_the_bytes_that_came() {
    let mut driver = Driver::new(Some("short-completion"));
    driver.command(DMA_OP_COPY, 0x1000, 0x2000, LEN);
    driver.pass(TIMEOUT_US);
    assert_eq!(
        (driver.status().0, driver.done_bytes()),
        (DMA_STATUS_TIMEOUT, 100)
    );
}

#[test]
fn delayed_write_delays_status_and_interrupt() {
    let mut driver = Driver::new(Some("delayed-write"));
    driver.command(DMA_OP_FILL, 0, 0x2000, LEN);
    assert_eq!((driver.status(), driver.interrupts()), ((0, true), 0));
    driver.pass(4_900);
    assert_eq!((driver.status(), driver.interrupts()), ((0, true), 0));
    driver.pass(200);
    assert_eq!(
        (driver.status(), driver.interrupts()),
        ((DMA_STATUS_SUCCESS, false), 1)
    );
    assert!(driver.unfilled(0x2000, 0x1000).is_empty());
}

#[test]
fn refused_translation_is_told_as_such_though_mapped() {
    let mut driver = Driver::new(Some("iommu-refused"));
    driver.command(DMA_OP_CRC, 0x1000, 0, LEN);
    assert_eq!(
        (driver.status().0, driver.done_bytes()),
        (DMA_STATUS_REFUSED, 512)
    );
}

#[test]
fn access_to_unmapped_memory_that_is_allowed_is_a_violation_in_the_ledger() {
    for (rules, status) in [
        (Some("iommu-allowed"), DMA_STATUS_SUCCESS),
        (None, DMA_STATUS_UNMAPPED),
    ] {
        let mut driver = Driver::new(rules);
        driver.command(DMA_OP_FILL, 0, 0x10_0000, 64);
        assert_eq!(driver.status().0, status);
        let ask = LedgerRead {
            function: FunctionName::DUT0,
            from: 0,
            limit: 80,
        };
        let page = driver.harness.call(&mut driver.bench, &ask);
        let kinds: Vec<_> = page
            .violations
            .iter()
            .map(|violation| violation.kind)
            .collect();
        let expected: &[_] = if rules.is_some() {
            &[ViolationKind::FallbackSucceeded]
        } else {
            &[]
        };
        assert_eq!(kinds, expected);
    }
}

#[test]
fn stale_translation_reaches_the_page_that_was_there_before() {
    for (rules, is_stale) in [(Some("stale-translation"), true), (None, false)] {
        let mut driver = Driver::new(rules);
        // The page at 0x3000 gives way to that at 0x4000.
        driver.qemu.unmap(&mut driver.bench, BASE, 0x1_0000);
        let (bench, ram) = (&mut driver.bench, &driver.ram);
        driver
            .qemu
            .map_part(bench, ram, BASE + 0x3000, 0x4000..0x5000, true);
        driver.command(DMA_OP_FILL, 0, 0x3000, 64);
        assert_eq!(driver.status().0, DMA_STATUS_SUCCESS);
        assert_eq!(driver.unfilled(0x3000, 64).is_empty(), is_stale);
        assert_eq!(driver.unfilled(0x4000, 64).is_empty(), !is_stale);
    }
}

#[test]
fn memory_loses_the_same_writes_with_the_same_seed() {
    let lost = |seed: &str| {
        let text = super::driver::rule_text("flaky-memory").replace("2026", seed);
        let mut driver = Driver::with_rules(Some(&text));
        driver.command(DMA_OP_FILL, 0, 0x2000, 0x2000);
        driver.unfilled(0x2000, 0x2000)
    };
    let first = lost("2026");
    assert!(!first.is_empty() && first.len() < 0x2000);
    assert_eq!(lost("2026"), first);
    assert_ne!(lost("2027"), first);
}

#[test]
fn error_burst_hits_the_reads_behind_the_second_entry_alone() {
    let mut driver = Driver::new(Some("error-burst"));
    let crc = |driver: &mut Driver| {
        driver.command(DMA_OP_CRC, 0x1000, 0, 64);
        driver.status().0
    };
    assert_eq!(crc(&mut driver), DMA_STATUS_SUCCESS, "not before the burst");
    driver.ring(2);
    driver.pass(10);
    let seen: Vec<_> = (0..5).map(|_| crc(&mut driver)).collect();
    let (abort, success) = (DMA_STATUS_COMPLETER_ABORT, DMA_STATUS_SUCCESS);
    assert_eq!(seen, [abort, abort, abort, success, success]);
}
