use control_api::FunctionName;
use control_api::ledger::{AccessDirection, AccessPath, AccessRecord, LedgerPage, ViolationKind};
use control_api::request::BufferDirection;
use control_api::response::{Buffer, DmaStatus};
use dmarig_abi::Iova;

use super::{IovaRange, Ledger, LiveReference, MAX_RECORDS, MAX_VIOLATIONS, Requester};

const WHO: Requester = Requester {
    function: FunctionName::DUT0,
    channel: Some(2),
    epoch: 7,
};

fn buffer(iova: u64, length: u64, direction: BufferDirection) -> Buffer {
    Buffer {
        id: 0,
        function: FunctionName::DUT0,
        name: format!("buffer at {iova:#x}"),
        iova: Iova::new(iova),
        length,
        direction,
    }
}

fn range(iova: u64, length: u64) -> IovaRange {
    IovaRange::new(Iova::new(iova), length)
}

fn record(iova: u64, length: u64, epoch_issue: u64, epoch_complete: u64) -> AccessRecord {
    AccessRecord {
        seq: 0,
        function: FunctionName::DUT0,
        channel: Some(2),
        iova: Iova::new(iova),
        length,
        moved: length,
        direction: AccessDirection::Write,
        path: AccessPath::Mapped,
        status: DmaStatus::Success,
        crc32c: None,
        epoch_issue,
        epoch_complete,
        declared: None,
    }
}

fn all(ledger: &Ledger) -> LedgerPage {
    ledger.page(0, usize::MAX)
}

fn kinds(ledger: &Ledger) -> Vec<ViolationKind> {
    let page = all(ledger);
    page.violations.iter().map(|found| found.kind).collect()
}

#[test]
fn accesses_are_judged_byte_exact_and_by_direction() {
    let cases = [
        (range(0x1000, 0x10), AccessDirection::Read, None),
        (range(0x100f, 1), AccessDirection::Read, None),
        (
            range(0x1000, 0x11),
            AccessDirection::Read,
            Some(ViolationKind::OutsideDeclared),
        ),
        (
            range(0xfff, 1),
            AccessDirection::Read,
            Some(ViolationKind::OutsideDeclared),
        ),
        (
            range(0x1000, 1),
            AccessDirection::Write,
            Some(ViolationKind::WrongDirection),
        ),
        (range(0x2000, 8), AccessDirection::Write, None),
        (
            range(0x2000, 8),
            AccessDirection::Read,
            Some(ViolationKind::WrongDirection),
        ),
        (range(0x3000, 8), AccessDirection::Read, None),
        (range(0x3000, 8), AccessDirection::Write, None),
    ];
    for (access, direction, expected) in cases {
        let mut ledger = Ledger::default();
        for declared in [
            buffer(0x1000, 0x10, BufferDirection::ToDevice),
            buffer(0x2000, 0x10, BufferDirection::FromDevice),
            buffer(0x3000, 0x10, BufferDirection::Bidirectional),
        ] {
            ledger.declare(declared).expect("valid");
        }
        ledger.judge(WHO, access, direction);
        assert_eq!(
            kinds(&ledger).first().copied(),
            expected,
            "{access} {direction:?}"
        );
    }
}

#[test]
fn nothing_declared_means_nothing_judged() {
    let mut ledger = Ledger::default();
    ledger.judge(WHO, range(0x1000, 1), AccessDirection::Write);
    assert!(kinds(&ledger).is_empty());
}

#[test]
fn access_after_undeclare_names_the_freed_buffer() {
    let mut ledger = Ledger::default();
    let id = ledger
        .declare(buffer(0x1000, 0x1000, BufferDirection::Bidirectional))
        .expect("valid");
    ledger.undeclare(id).expect("declared");
    ledger.judge(WHO, range(0x1ff8, 8), AccessDirection::Write);
    let page = all(&ledger);
    assert_eq!(page.violations[0].kind, ViolationKind::AfterFree);
    assert_eq!(
        page.violations[0].declared.as_deref(),
        Some("buffer at 0x1000")
    );
    assert_eq!(ledger.undeclare(id), None);
}

#[test]
fn buffer_declared_again_at_a_freed_place_is_permitted() {
    let mut ledger = Ledger::default();
    let declared = buffer(0x1000, 0x1000, BufferDirection::Bidirectional);
    let id = ledger.declare(declared.clone()).expect("valid");
    ledger.undeclare(id).expect("declared");
    ledger.declare(declared).expect("valid");
    ledger.judge(WHO, range(0x1000, 8), AccessDirection::Write);
    assert!(kinds(&ledger).is_empty());
}

#[test]
fn unmap_between_issue_and_completion_is_in_flight() {
    let mut ledger = Ledger::default();
    ledger.unmapped(Requester { epoch: 5, ..WHO }, range(0x1000, 0x1000), &[]);
    ledger.record(record(0x1800, 8, 5, 6));
    ledger.record(record(0x1800, 8, 4, 4));
    ledger.record(record(0x2000, 8, 4, 6));
    assert!(kinds(&ledger).is_empty());
    ledger.record(record(0x1800, 8, 4, 6));
    assert_eq!(kinds(&ledger), [ViolationKind::InFlightAcrossUnmap]);
}

#[test]
fn unmap_under_a_live_register_is_dangling() {
    let mut ledger = Ledger::default();
    let live = [
        LiveReference {
            channel: 1,
            register: "CH_RING_BASE".into(),
            range: range(0x1800, 0x100),
        },
        LiveReference {
            channel: 1,
            register: "CH_COMPLETION_BASE".into(),
            range: range(0x2000, 0x100),
        },
    ];
    ledger.unmapped(WHO, range(0x1000, 0x1000), &live);
    let page = all(&ledger);
    assert_eq!(kinds(&ledger), [ViolationKind::Dangling]);
    assert!(
        page.violations[0]
            .detail
            .contains("CH_RING_BASE of channel 1")
    );
}

#[test]
fn ring_of_records_and_bound_of_violations_count_what_they_drop() {
    let mut ledger = Ledger::default();
    ledger
        .declare(buffer(0x1000, 1, BufferDirection::ToDevice))
        .expect("valid");
    for _ in 0..MAX_RECORDS + 3 {
        ledger.record(record(0x9000, 8, 1, 1));
    }
    for _ in 0..MAX_VIOLATIONS + 2 {
        ledger.judge(WHO, range(0x9000, 8), AccessDirection::Read);
    }
    let page = all(&ledger);
    assert_eq!((page.records.len(), page.dropped_records), (MAX_RECORDS, 3));
    assert_eq!(
        (page.violations.len(), page.dropped_violations),
        (MAX_VIOLATIONS, 2)
    );
    assert_eq!(page.records[0].seq, 4);
}

#[test]
fn pages_join_to_the_whole_in_order() {
    let mut ledger = Ledger::default();
    ledger
        .declare(buffer(0x1000, 1, BufferDirection::ToDevice))
        .expect("valid");
    for _ in 0..5 {
        ledger.record(record(0x1000, 1, 1, 1));
        ledger.judge(WHO, range(0x9000, 8), AccessDirection::Read);
    }
    let (mut from, mut seqs) = (0, Vec::new());
    loop {
        let page = ledger.page(from, 3);
        seqs.extend(page.records.iter().map(|record| record.seq));
        seqs.extend(page.violations.iter().map(|found| found.seq));
        from = page.next;
        if !page.more {
            break;
        }
    }
    seqs.sort_unstable();
    assert_eq!(seqs, (1..=10).collect::<Vec<_>>());
    ledger.clear();
    assert_eq!(all(&ledger).records, []);
    ledger.record(record(0x1000, 1, 1, 1));
    assert_eq!(all(&ledger).records[0].seq, 11);
    assert_eq!(
        all(&ledger).records[0].declared.as_deref(),
        Some("buffer at 0x1000")
    );
}
