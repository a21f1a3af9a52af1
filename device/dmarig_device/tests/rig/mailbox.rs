//! The mailbox from both ends: a harness on the control socket, a fake guest that maps the BAR.

use std::mem::offset_of;
use std::time::Duration;

use crate::support::{Bench, Harness, MockQemu, PATIENCE, eventfd, take_count};
use control_api::FunctionName;
use control_api::request::{FunctionReset, MailboxCall, MailboxState, MailboxWaitAttached};
use control_api::response::GuestState;
use control_api::rpc::{
    CODE_ABORTED, CODE_BAD_RESPONSE, CODE_BUSY, CODE_NOT_ATTACHED, CODE_NOT_CONNECTED, CODE_TIMEOUT,
};
use dmarig_abi::mailbox::{
    GUEST_STATE_ATTACHED, GUEST_STATE_DETACHED, MAILBOX_MAGIC, MAILBOX_REQUEST_OFFSET,
    MAILBOX_RESPONSE_OFFSET, MAILBOX_RESPONSE_SIZE_BYTES, MAILBOX_SIZE_BYTES, MAILBOX_VERSION,
    MailboxHeader,
};
use dmarig_abi::registers::{
    CONTROL_ID_VALUE, CONTROL_MAILBOX_BAR, CONTROL_REG_DOORBELL, CONTROL_REG_ID,
    CONTROL_REGISTER_BAR,
};
use guest_memory::{GuestMemory, MappedRange, RegionId};

const STATE: usize = offset_of!(MailboxHeader, guest_state);
const REQUEST: usize = offset_of!(MailboxHeader, request_sequence);
const REQUEST_LENGTH: usize = offset_of!(MailboxHeader, request_length_bytes);
const RESPONSE: usize = offset_of!(MailboxHeader, response_sequence);
const RESPONSE_LENGTH: usize = offset_of!(MailboxHeader, response_length_bytes);

/// The guest's view of the BAR: the file that QEMU would map, mapped.
struct FakeGuest {
    memory: GuestMemory,
    region: RegionId,
}

impl FakeGuest {
    fn new(bench: &mut Bench, qemu: &mut MockQemu) -> Self {
        let fd = qemu.region_fd(bench, CONTROL_MAILBOX_BAR);
        let mut memory = GuestMemory::new();
        let region = memory.attach(fd, 0, MAILBOX_SIZE_BYTES).expect("sealed");
        Self { memory, region }
    }

    fn bar(&self) -> MappedRange<'_> {
        let size = usize::try_from(MAILBOX_SIZE_BYTES).expect("64 KiB");
        self.memory.range(self.region, 0, size).expect("the BAR")
    }

    fn set(&self, offset: usize, word: u32) {
        self.bar().store_u32(offset, word).expect("aligned");
    }

    fn get(&self, offset: usize) -> u32 {
        self.bar().load_u32(offset).expect("aligned")
    }

    /// Copies the request out and writes it back doubled.
    fn answer(&self) {
        let length = usize::try_from(self.get(REQUEST_LENGTH)).expect("small");
        let mut program = vec![0; length];
        let at = |offset: u64| usize::try_from(offset).expect("below 64 KiB");
        let request = self.bar().part(at(MAILBOX_REQUEST_OFFSET), length);
        request.expect("in the window").read_into(&mut program);
        program.extend_from_within(..);
        let response = self.bar().part(at(MAILBOX_RESPONSE_OFFSET), 2 * length);
        response.expect("in the window").write_from(&program);
        self.set(RESPONSE_LENGTH, self.get(REQUEST_LENGTH) * 2);
        self.set(RESPONSE, self.get(REQUEST));
    }
}

fn attached() -> (Bench, MockQemu, Harness, FakeGuest) {
    let mut bench = Bench::new();
    let mut qemu = bench.connect(FunctionName::Control);
    let harness = bench.harness();
    let guest = FakeGuest::new(&mut bench, &mut qemu);
    guest.set(STATE, GUEST_STATE_ATTACHED);
    (bench, qemu, harness, guest)
}

fn call(program: &[u8]) -> MailboxCall {
    MailboxCall {
        program: program.to_vec(),
        timeout_ms: 1000,
    }
}

#[test]
fn guest_sees_the_host_before_it_says_anything() {
    let (mut bench, mut qemu, _, guest) = attached();
    assert_eq!(
        (guest.get(0), guest.get(4)),
        (MAILBOX_MAGIC, MAILBOX_VERSION)
    );
    let id = qemu.read(&mut bench, CONTROL_REGISTER_BAR, CONTROL_REG_ID, 4);
    assert_eq!(id, CONTROL_ID_VALUE.to_le_bytes());
    let trapped = qemu.read(&mut bench, CONTROL_MAILBOX_BAR, 0, 4);
    assert_eq!(
        trapped,
        MAILBOX_MAGIC.to_le_bytes(),
        "the BAR can be read by message too"
    );
}

#[test]
fn call_signals_the_vector_and_the_doorbell_brings_the_answer() {
    let (mut bench, mut qemu, mut harness, guest) = attached();
    let vector = eventfd();
    qemu.bind_vector(&mut bench, 0, &vector);
    for program in [b"abc", b"def"] {
        let pending = harness.client.send(&call(program), PATIENCE).expect("send");
        bench.pump();
        assert_eq!(take_count(&vector), 1);
        guest.answer();
        qemu.write(
            &mut bench,
            CONTROL_REGISTER_BAR,
            CONTROL_REG_DOORBELL,
            &[1, 0, 0, 0],
        );
        let answer = harness.client.wait(pending, PATIENCE).expect("answer");
        assert_eq!(answer.response, [&program[..], program].concat());
    }
}

#[test]
fn polling_guest_without_doorbell_is_noticed() {
    let (mut bench, _qemu, mut harness, guest) = attached();
    let pending = harness.client.send(&call(b"xy"), PATIENCE).expect("send");
    bench.pump();
    guest.answer();
    bench.pass(Duration::from_millis(25));
    let answer = harness.client.wait(pending, PATIENCE).expect("answer");
    assert_eq!(answer.response, b"xyxy");
}

#[test]
fn silent_guest_is_a_timeout_and_its_late_answer_matches_nothing() {
    let (mut bench, _qemu, mut harness, guest) = attached();
    let pending = harness.client.send(&call(b"ab"), PATIENCE).expect("send");
    bench.pump();
    bench.pass(Duration::from_millis(1001));
    let error = harness.client.wait(pending, PATIENCE).expect_err("silence");
    assert_eq!(error.code(), Some(CODE_TIMEOUT));
    assert!(error.to_string().contains("mailbox call"), "{error}");
    assert_eq!(harness.refused(&mut bench, &call(b"cd")).0, CODE_BUSY);

    guest.answer();
    let pending = harness.client.send(&call(b"ef"), PATIENCE).expect("send");
    bench.pass(Duration::from_millis(25));
    guest.answer();
    bench.pass(Duration::from_millis(25));
    let answer = harness.client.wait(pending, PATIENCE).expect("answer");
    assert_eq!(answer.response, b"efef");
}

#[test]
fn one_call_at_a_time_and_only_with_a_driver() {
    let (mut bench, _qemu, mut harness, guest) = attached();
    let pending = harness.client.send(&call(b"ab"), PATIENCE).expect("send");
    assert_eq!(harness.refused(&mut bench, &call(b"cd")).0, CODE_BUSY);
    guest.set(STATE, GUEST_STATE_DETACHED);
    bench.pass(Duration::from_millis(25));
    let error = harness
        .client
        .wait(pending, PATIENCE)
        .expect_err("detached");
    assert_eq!(error.code(), Some(CODE_NOT_ATTACHED));
    let (code, text) = harness.refused(&mut bench, &call(b"cd"));
    assert_eq!(code, CODE_NOT_ATTACHED);
    assert!(text.contains("Detached"), "{text}");
}

#[test]
fn response_out_of_the_window_is_malformed() {
    let (mut bench, _qemu, mut harness, guest) = attached();
    let pending = harness.client.send(&call(b"ab"), PATIENCE).expect("send");
    bench.pump();
    guest.set(RESPONSE_LENGTH, MAILBOX_RESPONSE_SIZE_BYTES + 1);
    guest.set(RESPONSE, guest.get(REQUEST));
    bench.pass(Duration::from_millis(25));
    let error = harness
        .client
        .wait(pending, PATIENCE)
        .expect_err("too long");
    assert_eq!(error.code(), Some(CODE_BAD_RESPONSE));
    assert!(error.to_string().contains("0x8001"), "{error}");
}

#[test]
fn wait_for_the_driver_ends_when_it_attaches_or_at_its_deadline() {
    let (mut bench, _qemu, mut harness, guest) = attached();
    guest.set(STATE, 0);
    let wait = MailboxWaitAttached { timeout_ms: 500 };
    let pending = harness.client.send(&wait, PATIENCE).expect("send");
    bench.pass(Duration::from_millis(100));
    guest.set(STATE, GUEST_STATE_ATTACHED);
    bench.pass(Duration::from_millis(25));
    let state = harness.client.wait(pending, PATIENCE).expect("attached");
    assert_eq!(state.guest_state, GuestState::Attached);

    guest.set(STATE, 77);
    let state = harness.call(&mut bench, &MailboxState {});
    assert_eq!(state.guest_state, GuestState::Unknown);
    let pending = harness.client.send(&wait, PATIENCE).expect("send");
    bench.pump();
    bench.pass(Duration::from_millis(501));
    let error = harness
        .client
        .wait(pending, PATIENCE)
        .expect_err("no driver");
    assert_eq!(error.code(), Some(CODE_TIMEOUT));
}

#[test]
fn reset_and_disconnect_end_the_call_and_forget_the_driver() {
    let (mut bench, mut qemu, mut harness, guest) = attached();
    let pending = harness.client.send(&call(b"ab"), PATIENCE).expect("send");
    bench.pump();
    qemu.reset(&mut bench);
    let error = harness.client.wait(pending, PATIENCE).expect_err("reset");
    assert_eq!(error.code(), Some(CODE_ABORTED));

    guest.set(STATE, GUEST_STATE_ATTACHED);
    let pending = harness.client.send(&call(b"ab"), PATIENCE).expect("send");
    bench.pump();
    drop(qemu);
    bench.pump();
    let error = harness.client.wait(pending, PATIENCE).expect_err("gone");
    assert_eq!(error.code(), Some(CODE_ABORTED));
    let state = harness.call(&mut bench, &MailboxState {});
    assert_eq!(state.guest_state, GuestState::Absent);
    bench.connect(FunctionName::Control);
}

#[test]
fn harness_that_leaves_frees_the_mailbox_once_the_guest_is_through() {
    let (mut bench, _qemu, mut harness, guest) = attached();
    let pending = harness.client.send(&call(b"ab"), PATIENCE).expect("send");
    bench.pump();
    drop(pending);
    drop(harness);
    bench.hang_up_control_client(1);
    let mut second = bench.harness();
    let (code, text) = second.refused(&mut bench, &call(b"cd"));
    assert_eq!(code, CODE_BUSY);
    assert!(text.contains("abandoned"), "{text}");
    guest.answer();
    let pending = second.client.send(&call(b"cd"), PATIENCE).expect("send");
    bench.pass(Duration::from_millis(25));
    guest.answer();
    bench.pass(Duration::from_millis(25));
    let answer = second.client.wait(pending, PATIENCE).expect("answer");
    assert_eq!(answer.response, b"cdcd");
}

#[test]
fn without_control_function_the_mailbox_says_what_to_do() {
    let mut bench = Bench::with(|options| options.control_function = None);
    let mut harness = bench.harness();
    let (code, text) = harness.refused(&mut bench, &MailboxState {});
    assert_eq!(code, CODE_NOT_CONNECTED);
    assert!(text.contains("--control-function"), "{text}");
    let function = FunctionName::Control;
    let (code, _) = harness.refused(&mut bench, &FunctionReset { function });
    assert_eq!(code, CODE_NOT_CONNECTED);
}
