//! A device process that speaks the control protocol and plays the driver, too.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::exit;
use std::thread;

use control_api::FunctionName;
use control_api::ledger::{
    AccessDirection, AccessPath, AccessRecord, LedgerPage, Violation, ViolationKind,
};
use control_api::request::{BufferDirection, MailboxCall};
use control_api::response::{Buffer, Buffers, DmaOutcome, DmaStatus, MailboxResponse, Mappings};
use control_api::rpc::{CODE_TIMEOUT, CODE_UNKNOWN_METHOD, Request, Response, RpcError};
use dmarig_abi::Iova;
use dmarig_abi::mailbox::{
    MAILBOX_VERSION, PROGRAM_MAGIC, ProgramHeader, RESPONSE_MAGIC, RESPONSE_OK, ResponseHeader,
};
use dmarig_abi::operation::{
    OP_PING, OP_QUERY_DRIVER, OUTCOME_UNKNOWN, Operation, OperationResult,
};
use serde::Serialize;
use serde_json::{Value, json};
use zerocopy::{FromBytes, IntoBytes};

use super::bed::{is_flag_raised, leave_pid, scenario};

/// Serves clients on the socket that `--control` names; the first one's end is the process's.
pub fn serve() -> ! {
    leave_pid();
    let arguments: Vec<String> = std::env::args().collect();
    let place = arguments.iter().position(|word| word == "--control");
    let socket = place
        .and_then(|place| arguments.get(place + 1))
        .expect("--control");
    let listener = UnixListener::bind(socket).expect("bound");
    let (stream, _) = listener.accept().expect("accepted");
    thread::spawn(move || listener.incoming().flatten().for_each(serve_client));
    serve_client(stream);
    exit(0)
}

fn serve_client(stream: UnixStream) {
    let mut output = stream.try_clone().expect("cloned");
    let mut calls = 0;
    for line in BufReader::new(stream).lines() {
        let Ok(line) = line else { break };
        let request: Request = serde_json::from_str(&line).expect("a request");
        let is_stop = request.method == "stop";
        if let Some(outcome) = answer(&request, &mut calls) {
            let response = Response::new(Some(request.id), outcome);
            let text = serde_json::to_string(&response).expect("JSON");
            if writeln!(output, "{text}").is_err() {
                break;
            }
        }
        if is_stop {
            break;
        }
    }
}

/// The answer to a request; none to hold it for ever.
fn answer(request: &Request, calls: &mut u32) -> Option<Result<Value, RpcError>> {
    Some(Ok(match request.method.as_str() {
        "hello" => json!({
            "name": "fake", "version": "0", "pid": std::process::id(),
            "abi_version": MAILBOX_VERSION,
        }),
        "mailbox.wait_attached" => json!({ "guest_state": "attached" }),
        "mailbox.call" => {
            *calls += 1;
            return call(request, *calls);
        }
        "dma.submit" => to_json(&DmaOutcome {
            status: DmaStatus::Success,
            crc32c: 0,
            done_bytes: 0,
            mismatch_offset: None,
            expected: 0,
            seen: 0,
            fault_iova: None,
            by_message: false,
            path_findings: Vec::new(),
            epoch_issue: 1,
            epoch_complete: 1,
        }),
        "mappings.list" => to_json(&Mappings {
            epoch: 1,
            mappings: Vec::new(),
            next: None,
        }),
        "buffer.list" if scenario() == "bug-check-silent-ledger" => return None,
        "buffer.list" => to_json(&Buffers {
            buffers: vec![buffer()],
            next: None,
        }),
        "ledger.read" => to_json(&LedgerPage {
            records: vec![access()],
            violations: late_violation().into_iter().collect(),
            next: 0,
            more: false,
            dropped_records: 0,
            dropped_violations: 0,
        }),
        "ledger.clear" | "stop" => json!({}),
        other => return Some(Err(RpcError::new(CODE_UNKNOWN_METHOD, other))),
    }))
}

/// A buffer that a case has declared.
fn buffer() -> Buffer {
    Buffer {
        id: 1,
        function: FunctionName::DUT0,
        name: "common buffer 1".into(),
        iova: Iova::new(0x8000),
        length: 0x2000,
        direction: BufferDirection::FromDevice,
    }
}

/// What the device did to it.
fn access() -> AccessRecord {
    AccessRecord {
        seq: 5,
        function: FunctionName::DUT0,
        channel: Some(0),
        iova: Iova::new(0x8040),
        length: 64,
        moved: 64,
        direction: AccessDirection::Write,
        path: AccessPath::Mapped,
        status: DmaStatus::Success,
        crc32c: None,
        epoch_issue: 1,
        epoch_complete: 1,
        declared: Some("common buffer 1".into()),
    }
}

/// What the device does while its driver is removed.
fn late_violation() -> Option<Violation> {
    is_flag_raised().then(|| Violation {
        seq: 1,
        kind: ViolationKind::AfterFree,
        function: FunctionName::DUT0,
        channel: Some(0),
        iova: Iova::new(0x9000),
        length: 64,
        epoch: 1,
        declared: None,
        detail: "a write after the last case".into(),
    })
}

/// The first call is the ping before the cases, and always served.
fn call(request: &Request, n_calls: u32) -> Option<Result<Value, RpcError>> {
    if n_calls > 1 {
        match scenario().as_str() {
            "hold" | "bug-check" | "bug-check-silent-ledger" | "qemu-dies" => return None,
            "hang" => return Some(Err(RpcError::new(CODE_TIMEOUT, "no response"))),
            "malformed" => return Some(Ok(respond(vec![0, 0xff]))),
            "device-dies" => {
                eprintln!("fake panic");
                exit(101);
            }
            _ => {}
        }
    }
    let call: MailboxCall = serde_json::from_value(request.params.clone()).expect("a program");
    Some(Ok(respond(run(&call.program))))
}

fn respond(response: Vec<u8>) -> Value {
    to_json(&MailboxResponse { response })
}

/// Runs a program as a driver would that knows nothing but the questions at the start.
fn run(program: &[u8]) -> Vec<u8> {
    let (header, mut rest) = ProgramHeader::read_from_prefix(program).expect("a header");
    assert_eq!(header.magic, PROGRAM_MAGIC);
    let mut results = Vec::new();
    for _ in 0..header.n_operations {
        let (operation, after) = Operation::read_from_prefix(rest).expect("an operation");
        let length = usize::try_from(operation.data_length_bytes).expect("small");
        rest = &after[length.next_multiple_of(8)..];
        results.extend_from_slice(result(&operation).as_bytes());
    }
    let total = size_of::<ResponseHeader>() + results.len();
    let header = ResponseHeader {
        magic: RESPONSE_MAGIC,
        version: header.version,
        outcome: RESPONSE_OK,
        n_results: header.n_operations,
        total_length_bytes: u32::try_from(total).expect("small"),
        ..ResponseHeader::default()
    };
    [header.as_bytes(), &results].concat()
}

fn result(operation: &Operation) -> OperationResult {
    let mut result = OperationResult {
        opcode: operation.opcode,
        ..OperationResult::default()
    };
    if operation.opcode == OP_PING {
        result.value[0] = operation.arg[0];
    } else if operation.opcode == OP_QUERY_DRIVER {
        result.value[1] = 1; // One device is started.
    } else {
        result.outcome = OUTCOME_UNKNOWN;
    }
    result
}

fn to_json(result: &impl Serialize) -> Value {
    serde_json::to_value(result).expect("JSON")
}
