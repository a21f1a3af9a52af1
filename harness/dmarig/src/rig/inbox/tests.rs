//! Whose fault, and whose finding.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use control_api::FunctionName;
use control_api::ledger::AccessDirection;
use dmarig_abi::{Iova, RequesterId};

use super::*;

fn fault(page: u64) -> IommuFault {
    IommuFault {
        reason: 6,
        requester: RequesterId::from_raw(0x200),
        page: Iova::new(page),
        is_write: false,
    }
}

fn access(path: AccessPath, status: DmaStatus) -> AccessRecord {
    AccessRecord {
        seq: 0,
        function: FunctionName::DUT0,
        channel: None,
        iova: Iova::new(0x1000),
        length: 64,
        moved: 64,
        direction: AccessDirection::Read,
        path,
        status,
        crc32c: None,
        epoch_issue: 1,
        epoch_complete: 1,
        declared: None,
    }
}

/// A main thread that has nothing to hand on.
fn inbox() -> (Inbox, SyncSender<Notice>) {
    let (sender, notices) = sync_channel(16);
    let marks = sender.clone();
    let ask = move |number| marks.try_send(Notice::Mark(number)).expect("room");
    (Inbox::new(notices, Box::new(ask)), sender)
}

#[test]
fn finding_on_its_way_belongs_to_the_case_that_asks() {
    let (sender, notices) = sync_channel(16);
    // The console is slow: what was said comes only with the mark.
    let ask = move |number| {
        let sender = sender.clone();
        thread::spawn(move || {
            thread::sleep(Duration::from_millis(20));
            let _ = sender.send(Notice::Finding("canary".into()));
            let _ = sender.send(Notice::Mark(number));
        });
    };
    let mut inbox = Inbox::new(notices, Box::new(ask));
    assert_eq!(inbox.take_findings(), ["canary"]);
}

#[test]
fn every_refused_message_owes_a_fault_and_a_taken_one_pays() {
    let (mut inbox, sender) = inbox();
    let refused = [
        access(AccessPath::Message, DmaStatus::Refused),
        access(AccessPath::Message, DmaStatus::Unmapped),
    ];
    inbox.begin_case();
    inbox.note_accesses(&refused);
    sender.send(Notice::Fault(fault(0x1000))).expect("room");
    let late = thread::spawn(move || {
        thread::sleep(Duration::from_millis(20));
        sender.send(Notice::Fault(fault(0x2000))).expect("room");
        sender
    });
    assert_eq!(inbox.take_faults(false), [fault(0x1000), fault(0x2000)]);
    let _sender = late.join().expect("sent");
    assert_eq!((inbox.n_refused, inbox.n_taken), (2, 2));
}

#[test]
fn fault_taken_by_one_case_pays_for_no_other() {
    let (mut inbox, sender) = inbox();
    inbox.begin_case();
    sender.send(Notice::Fault(fault(0x1000))).expect("room");
    assert_eq!(inbox.take_faults(true).len(), 1);
    inbox.begin_case();
    inbox.note_accesses(&[access(AccessPath::Message, DmaStatus::Refused)]);
    let late = thread::spawn(move || {
        thread::sleep(Duration::from_millis(20));
        sender.send(Notice::Fault(fault(0x2000))).expect("room");
    });
    assert_eq!(inbox.take_faults(false), [fault(0x2000)]);
    late.join().expect("sent");
}

#[test]
fn only_refused_messages_owe() {
    let (mut inbox, _sender) = inbox();
    inbox.note_accesses(&[
        access(AccessPath::Message, DmaStatus::Success),
        access(AccessPath::Message, DmaStatus::Mismatch),
        access(AccessPath::Message, DmaStatus::Timeout),
        access(AccessPath::Probe, DmaStatus::Unmapped),
        access(AccessPath::Mapped, DmaStatus::Refused),
    ]);
    assert_eq!(inbox.n_refused, 0);
}

#[test]
fn rest_is_given_without_asking_for_a_mark() {
    let (sender, notices) = sync_channel(16);
    let ask = |_| panic!("nobody would answer");
    let mut inbox = Inbox::new(notices, Box::new(ask));
    sender.send(Notice::Finding("late".into())).expect("room");
    sender.send(Notice::Fault(fault(0x1000))).expect("room");
    let (faults, findings) = inbox.take_rest();
    assert_eq!((faults.len(), findings.len()), (1, 1));
}
