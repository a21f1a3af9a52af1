//! What every method shares: unknown names, bad parameters, clients that leave.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;

use control_api::FunctionName;
use control_api::request::{Hello, METHOD_NAMES, MappingsWait, Status};
use control_api::rpc::{CODE_BAD_PARAMS, CODE_UNKNOWN_METHOD};
use serde_json::{Value, json};

use crate::support::{Bench, PATIENCE};

/// Sends one line and reads one.
fn ask(bench: &mut Bench, line: &Value) -> Value {
    let path = bench.folder.path().join("control");
    let mut stream = UnixStream::connect(path).expect("connect");
    stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
    writeln!(stream, "{line}").expect("fits");
    bench.pump();
    let mut answer = String::new();
    BufReader::new(stream)
        .read_line(&mut answer)
        .expect("answer");
    bench.pump();
    serde_json::from_str(&answer).expect("JSON")
}

#[test]
fn hello_says_who_answers() {
    let mut bench = Bench::new();
    let hello = bench.harness().call(&mut bench, &Hello {});
    assert_eq!(
        (hello.name.as_str(), hello.abi_version),
        ("dmarig-device", 1)
    );
    assert_eq!(hello.pid, std::process::id());
}

#[test]
fn unknown_method_names_those_there_are() {
    let mut bench = Bench::new();
    let answer = ask(
        &mut bench,
        &json!({"jsonrpc": "2.0", "id": 1, "method": "helo"}),
    );
    assert_eq!(answer["error"]["code"], json!(CODE_UNKNOWN_METHOD));
    let text = answer["error"]["message"].as_str().expect("text");
    assert!(
        text.contains("\"helo\"") && text.contains("mailbox.call"),
        "{text}"
    );
}

#[test]
fn every_method_refuses_parameters_that_it_does_not_know() {
    let mut bench = Bench::new();
    for method in METHOD_NAMES {
        let params = json!({"nonsense": 1});
        let line = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let answer = ask(&mut bench, &line);
        assert_eq!(answer["error"]["code"], json!(CODE_BAD_PARAMS), "{method}");
        let text = answer["error"]["message"].as_str().expect("text");
        assert!(text.starts_with(method), "{text}");
    }
}

#[test]
fn bad_values_name_what_is_wanted() {
    let mut bench = Bench::new();
    let cases = [
        ("mappings.summary", json!({"function": "dut"}), "dut0"),
        (
            "mappings.list",
            json!({"function": "dut0", "start": 5, "limit": 1}),
            "string",
        ),
        (
            "mappings.list",
            json!({"function": "dut0", "start": "5", "limit": 1}),
            "0x1000",
        ),
        (
            "mappings.list",
            json!({"function": "dut0", "start": "0x5", "limit": -1}),
            "u32",
        ),
        (
            "mailbox.call",
            json!({"program": "%%", "timeout_ms": 1}),
            "Base64",
        ),
        (
            "sabotage.set",
            json!({"name": "device-explode"}),
            "device-flip-bit",
        ),
        (
            "dma.submit",
            json!({"function": "dut0", "op": "melt", "path": "default", "iova": "0x0", "length": "0x1"}),
            "write_pattern",
        ),
    ];
    for (method, params, wanted) in cases {
        let line = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let answer = ask(&mut bench, &line);
        assert_eq!(answer["error"]["code"], json!(CODE_BAD_PARAMS), "{method}");
        let text = answer["error"]["message"].as_str().expect("text");
        assert!(text.contains(wanted), "{text}");
    }
}

/// The requests that docs/control-socket.md shows, each with the result it shows, if it does.
fn documented_examples() -> Vec<(Value, Option<String>)> {
    let page = include_str!("../../../../docs/control-socket.md");
    let mut examples: Vec<(Value, Option<String>)> = Vec::new();
    for line in page.lines() {
        if let Some(request) = line.strip_prefix("→ ") {
            let request = serde_json::from_str(request).expect(request);
            examples.push((request, None));
        } else if let Some(answer) = line.strip_prefix("← ") {
            examples.last_mut().expect("a request stands above").1 = Some(answer.into());
        }
    }
    examples
}

#[test]
fn documented_requests_are_understood_and_every_method_is_documented() {
    let examples = documented_examples();
    for method in METHOD_NAMES {
        let is_shown = examples
            .iter()
            .any(|(request, _)| request["method"] == *method);
        assert!(
            is_shown,
            "{method} has no example in docs/control-socket.md"
        );
    }
    let mut bench = Bench::new();
    let _qemu = bench.connect(FunctionName::DUT0);
    for (request, shown) in examples {
        let may_wait = ["mappings.wait", "mailbox.wait_attached"];
        if may_wait.iter().any(|method| request["method"] == *method) {
            continue;
        }
        let answer = ask(&mut bench, &request);
        let code = answer["error"]["code"].as_i64();
        assert!(
            !matches!(code, Some(CODE_BAD_PARAMS | CODE_UNKNOWN_METHOD)),
            "{answer}"
        );
        let names = |value: &Value| -> Vec<String> {
            let members = value["result"].as_object();
            members.map_or_else(Vec::new, |members| members.keys().cloned().collect())
        };
        // Shortened examples are no JSON; they are for people.
        if let Some(shown) = shown.and_then(|text| serde_json::from_str::<Value>(&text).ok())
            && code.is_none()
        {
            assert_eq!(names(&answer), names(&shown), "{request}");
        }
    }
}

#[test]
fn waits_of_a_client_that_left_make_room_for_others() {
    let mut bench = Bench::new();
    for number in 1..=10 {
        let mut harness = bench.harness();
        let wait = MappingsWait {
            function: FunctionName::DUT0,
            epoch: 100,
            timeout_ms: u32::MAX,
        };
        let waits: Vec<_> = (0..16)
            .map(|_| harness.client.send(&wait, PATIENCE).expect("send"))
            .collect();
        bench.pump();
        drop(harness);
        drop(waits);
        bench.hang_up_control_client(number);
    }
    bench.harness().call(&mut bench, &Status {});
}
