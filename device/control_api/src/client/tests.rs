use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Client, ClientError};
use crate::request::{Hello, MailboxCall, MailboxState, MailboxWaitAttached};
use crate::response::GuestState;
use crate::rpc::{CODE_TIMEOUT, MAX_LINE_BYTES};

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(20);

struct FakeServer {
    reader: BufReader<UnixStream>,
}

impl FakeServer {
    fn pair() -> (Client, Self) {
        let (client, server) = UnixStream::pair().expect("socket pair");
        let server = Self {
            reader: BufReader::new(server),
        };
        (Client::from_stream(client), server)
    }

    fn read_request(&mut self) -> Value {
        let mut line = String::new();
        self.reader.read_line(&mut line).expect("request line");
        serde_json::from_str(&line).expect("request is JSON")
    }

    fn write(&mut self, answer: &Value) {
        writeln!(self.reader.get_mut(), "{answer}").expect("answer");
    }
}

#[test]
fn answers_out_of_order_reach_their_calls() {
    let (mut client, mut server) = FakeServer::pair();
    let wait = client
        .send(&MailboxWaitAttached { timeout_ms: 5 }, LONG)
        .expect("send");
    let state = client.send(&MailboxState {}, LONG).expect("send");
    let first = server.read_request()["id"].clone();
    let second = server.read_request()["id"].clone();
    server.write(&json!({"jsonrpc": "2.0", "id": second, "result": {"guest_state": "absent"}}));
    server.write(&json!({"jsonrpc": "2.0", "id": first, "result": {"guest_state": "attached"}}));

    let attached = client.wait(wait, LONG).expect("first answer");
    let absent = client.wait(state, LONG).expect("second answer");

    assert_eq!(attached.guest_state, GuestState::Attached);
    assert_eq!(absent.guest_state, GuestState::Absent);
}

#[test]
fn late_answer_never_matches_the_next_call() {
    let (mut client, mut server) = FakeServer::pair();
    let error = client.call(&MailboxState {}, SHORT).expect_err("silence");
    assert!(matches!(error, ClientError::Deadline { .. }), "{error}");
    let late = server.read_request()["id"].clone();
    server.write(&json!({"jsonrpc": "2.0", "id": late, "result": {"guest_state": "absent"}}));

    let pending = client.send(&MailboxState {}, LONG).expect("send");
    let id = server.read_request()["id"].clone();
    server.write(&json!({"jsonrpc": "2.0", "id": id, "result": {"guest_state": "detached"}}));
    let state = client.wait(pending, LONG).expect("answer");

    assert_eq!(state.guest_state, GuestState::Detached);
    assert_eq!(client.late_answers(), 1);
}

#[test]
fn error_answer_carries_code_and_message() {
    let (mut client, mut server) = FakeServer::pair();
    let pending = client
        .send(&MailboxWaitAttached { timeout_ms: 5 }, LONG)
        .expect("send");
    let id = server.read_request()["id"].clone();
    let error = json!({"code": CODE_TIMEOUT, "message": "no driver came"});
    server.write(&json!({"jsonrpc": "2.0", "id": id, "error": error}));

    let error = client.wait(pending, LONG).expect_err("refused");

    assert_eq!(error.code(), Some(CODE_TIMEOUT));
    assert!(error.to_string().contains("no driver came"), "{error}");
}

#[test]
fn largest_program_and_response_fit_a_line() {
    let (mut client, mut server) = FakeServer::pair();
    let reader = std::thread::spawn(move || {
        let request = server.read_request();
        (server, request)
    });
    let program = vec![0xff; dmarig_abi::mailbox::MAILBOX_REQUEST_SIZE_BYTES as usize];
    let call = MailboxCall {
        program,
        timeout_ms: u32::MAX,
    };
    let pending = client.send(&call, LONG).expect("fits");
    let (mut server, request) = reader.join().expect("reader");
    let call_seen: MailboxCall =
        serde_json::from_value(request["params"].clone()).expect("same shape");
    assert_eq!(call_seen, call);
    let response = vec![0xa5; dmarig_abi::mailbox::MAILBOX_RESPONSE_SIZE_BYTES as usize];
    let result = crate::response::MailboxResponse { response };
    let answer = json!({"jsonrpc": "2.0", "id": request["id"], "result": result});
    assert!(answer.to_string().len() < MAX_LINE_BYTES);
    let writer = std::thread::spawn(move || server.write(&answer));

    let seen = client.wait(pending, LONG).expect("answer");

    writer.join().expect("writer");
    assert_eq!(seen, result);
}

#[test]
fn endless_line_and_closed_socket_are_clear_errors() {
    let (mut client, mut server) = FakeServer::pair();
    let pending = client.send(&Hello {}, LONG).expect("send");
    let writer = std::thread::spawn(move || {
        let junk = vec![b'x'; MAX_LINE_BYTES + 1];
        // The client may hang up in the middle; that is no failure of this test.
        server.reader.get_mut().write_all(&junk).ok();
    });
    let error = client.wait(pending, LONG).expect_err("too long");
    assert!(error.to_string().contains("64 KiB"), "{error}");
    drop(client);
    writer.join().expect("writer");

    let (mut client, server) = FakeServer::pair();
    let pending = client.send(&Hello {}, LONG).expect("send");
    drop(server);
    let error = client.wait(pending, LONG).expect_err("closed");
    let closed = matches!(
        error,
        ClientError::Closed { .. } | ClientError::Socket { .. }
    );
    assert!(closed, "{error}");
}
