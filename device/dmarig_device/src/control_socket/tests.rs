use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use control_api::RpcError;
use control_api::rpc::{CODE_INVALID_REQUEST, CODE_PARSE, MAX_LINE_BYTES};
use serde_json::{Value, json};

use super::{
    Caller, ClientId, ControlSocket, Incoming, MAX_ACCEPTS_PER_STEP, MAX_CLIENTS,
    MAX_OPEN_REQUESTS, SLOW_READER_LIMIT,
};

struct Bench {
    folder: tempfile::TempDir,
    socket: ControlSocket,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let socket = ControlSocket::bind(&folder.path().join("control")).expect("bind");
        Self {
            folder,
            socket,
            now: Instant::now(),
        }
    }

    fn connect(&mut self) -> UnixStream {
        let stream = UnixStream::connect(self.folder.path().join("control")).expect("connect");
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .expect("timeout");
        self.socket.accept(self.now).expect("accept");
        stream
    }

    /// Sends text from a client of its own and returns what was understood, and the client.
    fn ask(&mut self, text: &str) -> (Vec<(Caller, Incoming)>, BufReader<UnixStream>) {
        let mut stream = self.connect();
        let id = ClientId(self.socket.last_client);
        stream.write_all(text.as_bytes()).expect("fits");
        let requests = self.socket.on_readable(id, self.now);
        (requests, BufReader::new(stream))
    }
}

fn read_answer(reader: &mut impl BufRead) -> Value {
    let mut line = String::new();
    reader.read_line(&mut line).expect("answer");
    serde_json::from_str(&line).expect("answer is JSON")
}

fn request(id: u64) -> String {
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"m\",\"params\":{{}}}}\n")
}

#[test]
fn socket_is_for_its_owner_only() {
    let bench = Bench::new();
    let path = bench.folder.path().join("control");
    let mode = std::fs::metadata(path)
        .expect("socket")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn requests_are_read_whole_whatever_the_pieces() {
    let mut bench = Bench::new();
    let text = format!("{}\n{}", request(1), request(2));
    let (requests, _reader) = bench.ask(&text);
    let ids: Vec<u64> = requests
        .iter()
        .map(|(caller, _)| caller.request_id)
        .collect();
    assert_eq!(ids, [1, 2], "an empty line is no request");

    let mut stream = bench.connect();
    let id = ClientId(bench.socket.last_client);
    let text = request(3);
    let (head, tail) = text.split_at(20);
    stream.write_all(head.as_bytes()).expect("fits");
    assert_eq!(bench.socket.on_readable(id, bench.now), []);
    stream.write_all(tail.as_bytes()).expect("fits");
    assert_eq!(bench.socket.on_readable(id, bench.now).len(), 1);
}

#[test]
fn bad_lines_get_an_error_and_the_connection_lives() {
    let cases = [
        ("{\n", CODE_PARSE, Value::Null),
        ("\u{fffd}\n", CODE_PARSE, Value::Null),
        ("[]\n", CODE_INVALID_REQUEST, Value::Null),
        ("7\n", CODE_INVALID_REQUEST, Value::Null),
        (
            "{\"jsonrpc\":\"2.0\",\"id\":5}\n",
            CODE_INVALID_REQUEST,
            json!(5),
        ),
        (
            "{\"jsonrpc\":\"1.0\",\"id\":6,\"method\":\"m\"}\n",
            CODE_INVALID_REQUEST,
            json!(6),
        ),
        (
            "{\"jsonrpc\":\"2.0\",\"id\":-1,\"method\":\"m\"}\n",
            CODE_INVALID_REQUEST,
            Value::Null,
        ),
    ];
    for (text, code, id) in cases {
        let mut bench = Bench::new();
        let (requests, mut reader) = bench.ask(&format!("{text}{}", request(9)));
        let answer = read_answer(&mut reader);
        assert_eq!(
            (&answer["error"]["code"], &answer["id"]),
            (&json!(code), &id),
            "{text}"
        );
        assert_eq!(requests.len(), 1, "the next line still counts: {text}");
    }
}

#[test]
fn line_too_long_gets_an_error_and_the_end() {
    let mut bench = Bench::new();
    let mut stream = bench.connect();
    let id = ClientId(bench.socket.last_client);
    let junk = vec![b'x'; MAX_LINE_BYTES + 10];
    for chunk in junk.chunks(4096) {
        // Once the server has hung up, writing fails; that is the point.
        if stream.write_all(chunk).is_err() {
            break;
        }
        bench.socket.on_readable(id, bench.now);
    }
    let mut reader = BufReader::new(stream);
    let answer = read_answer(&mut reader);
    assert_eq!(answer["error"]["code"], json!(CODE_INVALID_REQUEST));
    assert!(
        answer["error"]["message"]
            .as_str()
            .is_some_and(|text| text.contains("65536"))
    );
    let mut rest = Vec::new();
    // Unread bytes make the hang-up a reset; an end of file is as good.
    reader.read_to_end(&mut rest).ok();
    assert!(rest.is_empty());
    assert!(!bench.socket.has_client(id));
}

#[test]
fn answers_come_out_of_order_and_late() {
    let mut bench = Bench::new();
    let (requests, mut reader) = bench.ask(&format!("{}{}", request(1), request(2)));
    let (first, second) = (requests[0].0, requests[1].0);
    bench.socket.answer(second, Ok(json!("second")), bench.now);
    let error = Err(RpcError::new(-1, "first"));
    bench
        .socket
        .answer(first, error, bench.now + Duration::from_secs(100));
    let answer = read_answer(&mut reader);
    assert_eq!(
        (&answer["id"], &answer["result"]),
        (&json!(2), &json!("second"))
    );
    let answer = read_answer(&mut reader);
    assert_eq!(
        (&answer["id"], &answer["error"]["message"]),
        (&json!(1), &json!("first"))
    );
}

#[test]
fn half_closed_client_still_gets_its_answer() {
    let mut bench = Bench::new();
    let (requests, mut reader) = bench.ask(&request(1));
    let caller = requests[0].0;
    let shutdown = std::net::Shutdown::Write;
    reader.get_ref().shutdown(shutdown).expect("shutdown");
    assert_eq!(bench.socket.on_readable(caller.client, bench.now), []);
    assert!(bench.socket.has_client(caller.client));
    bench.socket.answer(caller, Ok(json!(1)), bench.now);
    assert_eq!(read_answer(&mut reader)["result"], json!(1));
    assert!(!bench.socket.has_client(caller.client));
}

#[test]
fn client_that_does_not_read_is_disconnected_after_the_limit() {
    let mut bench = Bench::new();
    let (mut requests, _reader) = bench.ask(&request(1));
    let caller = requests.remove(0).0;
    let answer = json!("x".repeat(60_000));
    while bench.socket.next_deadline().is_none() {
        bench.socket.answer(caller, Ok(answer.clone()), bench.now);
    }
    let interest: Vec<_> = bench.socket.interests().map(|one| (one.2, one.3)).collect();
    assert!(interest[0].1, "it waits for the client to read");
    bench.socket.expire(bench.now + SLOW_READER_LIMIT / 2);
    assert!(bench.socket.has_client(caller.client));
    bench.socket.expire(bench.now + SLOW_READER_LIMIT);
    assert!(!bench.socket.has_client(caller.client));
    assert_eq!(bench.socket.slow_clients(), 1);
}

#[test]
fn clients_are_bounded() {
    let mut bench = Bench::new();
    let clients: Vec<UnixStream> = (0..MAX_CLIENTS).map(|_| bench.connect()).collect();
    let mut refused = bench.connect();
    assert_eq!(refused.read(&mut [0]).expect("end of file"), 0);
    assert_eq!(bench.socket.interests().count(), MAX_CLIENTS);
    drop(clients);
}

#[test]
fn crowd_that_connects_is_taken_in_several_steps() {
    let mut bench = Bench::new();
    let path = bench.folder.path().join("control");
    // As many as the backlog holds, so that none waits in connect.
    let connect = |_| UnixStream::connect(&path).expect("connect");
    let crowd: Vec<UnixStream> = (0..=MAX_ACCEPTS_PER_STEP).map(connect).collect();
    bench.socket.accept(bench.now).expect("accept");
    assert_eq!(bench.socket.interests().count(), MAX_ACCEPTS_PER_STEP);
    bench.socket.accept(bench.now).expect("accept");
    assert_eq!(bench.socket.interests().count(), crowd.len());
}

#[test]
fn requests_beyond_the_limit_wait_for_an_answer_and_none_is_refused() {
    let mut bench = Bench::new();
    let n_requests = 200;
    let text: String = (0..n_requests).map(request).collect();
    let (mut open, mut reader) = bench.ask(&text);
    let client = open[0].0.client;
    reader
        .get_ref()
        .shutdown(std::net::Shutdown::Write)
        .expect("shutdown");
    assert_eq!(open.len(), MAX_OPEN_REQUESTS);
    assert_eq!(bench.socket.client_with_requests(), None);
    for id in 0..n_requests {
        assert!(!open.is_empty(), "request {id} is open");
        let (caller, _) = open.remove(0);
        bench.socket.answer(caller, Ok(json!("done")), bench.now);
        let answer = read_answer(&mut reader);
        assert_eq!(
            (&answer["id"], &answer["result"]),
            (&json!(id), &json!("done"))
        );
        open.extend(bench.socket.take_requests(client, bench.now));
        open.extend(bench.socket.on_readable(client, bench.now));
        assert!(open.len() <= MAX_OPEN_REQUESTS);
    }
    assert!(!bench.socket.has_client(client), "all is said");
}
