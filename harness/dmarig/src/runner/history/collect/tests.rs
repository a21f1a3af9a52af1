//! Which part of a ledger is told.

use control_api::FunctionName;
use control_api::ledger::{AccessDirection, AccessPath, ViolationKind};
use control_api::request::BufferDirection;
use control_api::response::DmaStatus;
use dmarig_abi::Iova;

use super::*;

fn buffer(id: u32, iova: u64) -> Buffer {
    Buffer {
        id,
        function: FunctionName::DUT0,
        name: format!("common buffer {id}"),
        iova: Iova::new(iova),
        length: 0x4000,
        direction: BufferDirection::Bidirectional,
    }
}

fn write(seq: u64, iova: u64) -> AccessRecord {
    AccessRecord {
        seq,
        function: FunctionName::DUT0,
        channel: Some(0),
        iova: Iova::new(iova),
        length: 64,
        moved: 64,
        direction: AccessDirection::Write,
        path: AccessPath::Mapped,
        status: DmaStatus::Success,
        crc32c: None,
        epoch_issue: 7,
        epoch_complete: 8,
        declared: None,
    }
}

fn after_free(seq: u64, iova: u64) -> Violation {
    Violation {
        seq,
        kind: ViolationKind::AfterFree,
        function: FunctionName::DUT0,
        channel: None,
        iova: Iova::new(iova),
        length: 64,
        epoch: 9,
        declared: Some("common buffer 1".into()),
        detail: "a read of what was freed".into(),
    }
}

fn collect(
    words: &str,
    buffers: &[Buffer],
    records: Vec<AccessRecord>,
    violations: Vec<Violation>,
) -> BufferHistory {
    let mut collector = Collector::new(words, buffers);
    collector.take(&LedgerPage {
        records,
        violations,
        next: 0,
        more: false,
        dropped_records: 2,
        dropped_violations: 1,
    });
    collector.finish()
}

fn seqs(history: &BufferHistory) -> Vec<u64> {
    history.accesses.iter().map(|access| access.seq).collect()
}

#[test]
fn address_in_the_words_chooses_its_buffer_and_what_concerns_it() {
    let buffers = [buffer(1, 0x1_0000), buffer(2, 0x2_0000)];
    let records = vec![write(1, 0x1_0000), write(2, 0x2_3fff), write(3, 0x2_4000)];
    let words = "bug check 0xe6 (0x26, 0x20010, 0x0, 0x0) at dmarig.sys+0x10000";
    let violations = vec![after_free(4, 0x2_0000), after_free(5, 0x1_0000)];
    let history = collect(words, &buffers, records, violations);
    assert_eq!(history.named, ["0x20010"]);
    assert_eq!(seqs(&history), [2]);
    assert_eq!(
        history.lines(),
        [
            "the device's ledger of logical address 0x20010:",
            "  common buffer 2: 0x4000 bytes at 0x20000, bidirectional",
            "  #2 write of 0x40 bytes at 0x23fff, path mapped, success, mapping epochs 7 to 8",
            "  #4 violation after-free, 0x40 bytes at 0x20000, mapping epoch 9 (common buffer 1): \
             a read of what was freed",
            "  3 had been dropped from the ledger",
        ]
    );
}

#[test]
fn address_that_only_an_access_covers_is_known_too() {
    let records = vec![write(1, 0x1_0000), write(2, 0x9_0000)];
    let history = collect("freed at 0x9003f", &[buffer(1, 0x1_0000)], records, vec![]);
    assert_eq!(
        (&*history.named, seqs(&history)),
        (&["0x9003f".into()][..], vec![2])
    );
    assert_eq!(history.buffers, []);
}

#[test]
fn unknown_numbers_leave_the_declared_buffers() {
    let records = vec![write(1, 0x1_0000), write(2, 0x9_0000)];
    let words = "no MDL at 0xffff800000001000";
    let history = collect(words, &[buffer(1, 0x1_0000)], records, vec![]);
    assert_eq!((history.named.len(), seqs(&history)), (0, vec![1]));
    assert_eq!(history.buffers.len(), 1);
}

#[test]
fn without_any_buffer_the_last_accesses_are_told_and_the_rest_counted() {
    let records = (1..=10).map(|seq| write(seq, seq << 12)).collect();
    let history = collect("", &[], records, vec![after_free(11, u64::MAX)]);
    assert_eq!(seqs(&history), [3, 4, 5, 6, 7, 8, 9, 10]);
    assert_eq!((history.n_left_out, history.violations.len()), (2, 1));
}

#[test]
fn offsets_in_modules_and_small_numbers_are_no_addresses() {
    assert_eq!(
        hex_numbers("(0x26, 0xfff, 0x1000, 0x1000) at dmarig.sys+0x2000, 0x, 0xg"),
        [0x1000]
    );
}
