use std::mem::offset_of;

use control_api::response::GuestState;
use dmarig_abi::mailbox::{
    GUEST_STATE_ATTACHED, GUEST_STATE_DETACHED, MAILBOX_REQUEST_OFFSET, MAILBOX_RESPONSE_OFFSET,
    MAILBOX_RESPONSE_SIZE_BYTES, MailboxHeader,
};

use super::{CallEnd, CallError, Mailbox};

const STATE: usize = offset_of!(MailboxHeader, guest_state);
const REQUEST: usize = offset_of!(MailboxHeader, request_sequence);
const REQUEST_LENGTH: usize = offset_of!(MailboxHeader, request_length_bytes);
const RESPONSE: usize = offset_of!(MailboxHeader, response_sequence);
const RESPONSE_LENGTH: usize = offset_of!(MailboxHeader, response_length_bytes);

fn attached() -> Mailbox {
    let mailbox = Mailbox::new().expect("memory");
    mailbox.store(STATE, GUEST_STATE_ATTACHED);
    mailbox
}

/// Plays the guest: copies the request, answers with its bytes reversed.
fn answer(mailbox: &Mailbox) {
    let length = usize::try_from(mailbox.load(REQUEST_LENGTH)).expect("small");
    let mut bytes = vec![0; length];
    let memory = mailbox.memory();
    let request = memory.range(MAILBOX_REQUEST_OFFSET, length).expect("fits");
    request.read_into(&mut bytes);
    bytes.reverse();
    let response = memory.range(MAILBOX_RESPONSE_OFFSET, length).expect("fits");
    response.write_from(&bytes);
    mailbox.store(RESPONSE_LENGTH, mailbox.load(REQUEST_LENGTH));
    mailbox.store(RESPONSE, mailbox.load(REQUEST));
}

#[test]
fn call_returns_what_the_guest_wrote() {
    let mut mailbox = attached();
    for program in [&b"abc"[..], b"defg"] {
        mailbox.begin_call(program).expect("attached and idle");
        assert_eq!(mailbox.poll(), None);
        answer(&mailbox);
        let reversed = program.iter().rev().copied().collect();
        assert_eq!(mailbox.poll(), Some(CallEnd::Response(reversed)));
        assert_eq!(mailbox.poll(), None);
    }
}

#[test]
fn call_is_refused_without_driver_when_busy_and_when_too_long() {
    let mut mailbox = Mailbox::new().expect("memory");
    let absent = CallError::NotAttached {
        state: GuestState::Absent,
    };
    assert_eq!(mailbox.begin_call(b"x"), Err(absent));
    mailbox.store(STATE, GUEST_STATE_ATTACHED);
    assert_eq!(
        mailbox.begin_call(b""),
        Err(CallError::Length { length: 0 })
    );
    let long = vec![0; 0x7001];
    assert_eq!(
        mailbox.begin_call(&long),
        Err(CallError::Length { length: 0x7001 })
    );
    mailbox.begin_call(b"x").expect("attached and idle");
    assert_eq!(mailbox.begin_call(b"y"), Err(CallError::Busy));
}

#[test]
fn response_longer_than_the_window_is_malformed() {
    let mut mailbox = attached();
    mailbox.begin_call(b"x").expect("attached and idle");
    let length_bytes = MAILBOX_RESPONSE_SIZE_BYTES + 1;
    mailbox.store(RESPONSE_LENGTH, length_bytes);
    mailbox.store(RESPONSE, mailbox.load(REQUEST));
    assert_eq!(mailbox.poll(), Some(CallEnd::Malformed { length_bytes }));
    mailbox.begin_call(b"y").expect("the mailbox lives on");
}

#[test]
fn abandoned_call_keeps_the_window_until_the_guest_is_through() {
    let mut mailbox = attached();
    mailbox.begin_call(b"x").expect("attached and idle");
    mailbox.abandon_call();
    assert_eq!(
        mailbox.begin_call(b"y"),
        Err(CallError::Unanswered { sequence: 1 })
    );
    answer(&mailbox);
    assert_eq!(mailbox.poll(), None, "nobody awaits the late answer");
    mailbox.begin_call(b"yz").expect("the guest is through");
    assert_eq!(mailbox.poll(), None, "the late answer does not match");
    answer(&mailbox);
    assert_eq!(mailbox.poll(), Some(CallEnd::Response(b"zy".to_vec())));
}

#[test]
fn detach_ends_a_call_unless_it_was_answered_first() {
    let mut mailbox = attached();
    mailbox.begin_call(b"x").expect("attached and idle");
    mailbox.store(STATE, GUEST_STATE_DETACHED);
    assert_eq!(mailbox.poll(), Some(CallEnd::Detached));

    mailbox.store(STATE, GUEST_STATE_ATTACHED);
    mailbox.begin_call(b"x").expect("attached and idle");
    answer(&mailbox);
    mailbox.store(STATE, GUEST_STATE_DETACHED);
    assert_eq!(mailbox.poll(), Some(CallEnd::Response(b"x".to_vec())));
}

#[test]
fn reset_ends_the_call_and_forgets_the_driver() {
    let mut mailbox = attached();
    mailbox.begin_call(b"x").expect("attached and idle");
    mailbox.reset();
    assert_eq!(mailbox.guest_state(), GuestState::Absent);
    assert_eq!(mailbox.poll(), Some(CallEnd::Reset));
    mailbox.store(STATE, GUEST_STATE_ATTACHED);
    mailbox.begin_call(b"ab").expect("attached and idle");
    assert_ne!(mailbox.load(REQUEST), 1, "a number is never used twice");
}

#[test]
fn driver_that_comes_after_an_abandoned_call_can_be_called() {
    let mut mailbox = attached();
    mailbox.begin_call(b"x").expect("attached and idle");
    mailbox.abandon_call();
    mailbox.store(STATE, GUEST_STATE_DETACHED);
    assert_eq!(mailbox.poll(), None);
    mailbox.store(STATE, GUEST_STATE_ATTACHED);
    mailbox.begin_call(b"y").expect("a new driver");
}
