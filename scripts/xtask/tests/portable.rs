//! The driver's portable C files on this machine, against what Rust says of the same things: built
//! with sanitizers where the compiler has them, so that a byte out of bounds ends the test.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use dmarig_abi::mailbox::{
    CONTEXT_COUNT, MAILBOX_VERSION, PROGRAM_MAGIC, PROGRAM_MAX_OPERATIONS, RESPONSE_MAGIC,
    RESPONSE_MALFORMED, RESPONSE_OK, RESPONSE_OVERFLOW, RESPONSE_TIMEOUT,
};
use dmarig_abi::operation::{
    OP_BUFFER_FREE, OP_CPU_READ, OP_CPU_WRITE, OP_FLAG_STOP_ON_FAILURE, OP_LOOP, OP_MEMORY_FREE,
    OP_PING, OUTCOME_BAD_ARGUMENT, OUTCOME_DONE, OUTCOME_NO_DEVICE, OUTCOME_SKIPPED,
    OUTCOME_TIMEOUT, OUTCOME_UNKNOWN, OUTCOME_WRONG_IRQL,
};
use dmarig_abi::pattern::fill_pattern;
use dmarig_abi::{Operation, OperationResult, ProgramHeader, ResponseHeader};
use xtask::paths;
use zerocopy::{FromBytes, IntoBytes};

/// Compilers to try, best first.
const COMPILERS: [(&str, &[&str]); 3] = [
    (
        "clang",
        &["-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
    ),
    (
        "gcc",
        &["-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
    ),
    ("cc", &[]),
];

/// Sources of the host program, below the test driver.
const SOURCES: [&str; 7] = [
    "tests/portable.c",
    "src/crc32c.c",
    "src/interpreter.c",
    "src/pattern.c",
    "src/program.c",
    "src/recovery.c",
    "src/slots.c",
];

/// A failing NTSTATUS: STATUS_INVALID_PARAMETER.
const FAILING: u64 = 0xc000_000d;

static PROGRAM: LazyLock<PathBuf> = LazyLock::new(compile);

fn compile() -> PathBuf {
    let folder = paths::test_driver();
    let program = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("portable");
    let mut words = String::new();
    for (compiler, flags) in COMPILERS {
        let output = Command::new(compiler)
            .args(["-std=gnu11", "-g", "-O1", "-Wall", "-Wextra", "-Werror"])
            .args(["-DDMARIG_HOST_TEST", "-Iinclude", "-o"])
            .arg(&program)
            .args(flags)
            .args(SOURCES)
            .current_dir(&folder)
            .output();
        match output {
            Ok(output) if output.status.success() => return program,
            Ok(output) => words += &String::from_utf8_lossy(&output.stderr),
            Err(error) => words += &format!("{compiler}: {error}\n"),
        }
    }
    panic!("no compiler builds the portable files:\n{words}");
}

/// Runs the host program with `input` on its stdin; gives its stdout.
fn run(arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new(PROGRAM.as_path())
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the host program starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin
        .write_all(input)
        .expect("the host program reads its input");
    drop(stdin);
    let output = child.wait_with_output().expect("the host program ends");
    assert!(output.status.success(), "{arguments:?}: {}", output.status);
    output.stdout
}

fn text(output: Vec<u8>) -> String {
    String::from_utf8(output)
        .expect("text")
        .trim_end()
        .to_owned()
}

/// A program of control thread operations, each with its data.
fn program(operations: &[(Operation, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (operation, data) in operations {
        let mut operation = *operation;
        operation.data_length_bytes = u32::try_from(data.len()).expect("short data");
        body.extend_from_slice(operation.as_bytes());
        body.extend_from_slice(data);
        body.resize(body.len().next_multiple_of(8), 0);
    }
    let header = ProgramHeader {
        magic: PROGRAM_MAGIC,
        version: u16::try_from(MAILBOX_VERSION).expect("a small version"),
        context: 0,
        n_operations: u32::try_from(operations.len()).expect("few operations"),
        total_length_bytes: u32::try_from(size_of::<ProgramHeader>() + body.len())
            .expect("a short program"),
    };
    [header.as_bytes(), &body].concat()
}

fn operation(opcode: u16, arg0: u64, arg1: u64) -> Operation {
    Operation {
        opcode,
        arg: [arg0, arg1, 0, 0, 0],
        ..Operation::default()
    }
}

fn stopping(opcode: u16, arg0: u64, arg1: u64) -> Operation {
    Operation {
        flags: OP_FLAG_STOP_ON_FAILURE,
        ..operation(opcode, arg0, arg1)
    }
}

/// A response, taken apart.
struct Response {
    header: ResponseHeader,
    results: Vec<(OperationResult, Vec<u8>)>,
}

impl Response {
    fn outcomes(&self) -> Vec<u16> {
        self.results
            .iter()
            .map(|(result, _)| result.outcome)
            .collect()
    }
}

/// Interprets at an IRQL with room for `capacity` bytes and at most `steps` operations.
fn interpret_at(irql: u8, capacity: usize, steps: usize, program: &[u8]) -> Response {
    let numbers = [irql.to_string(), capacity.to_string(), steps.to_string()];
    let output = run(
        &["interpret", &numbers[0], &numbers[1], &numbers[2]],
        program,
    );
    let (header, mut rest) = ResponseHeader::read_from_prefix(&output).expect("a whole header");
    assert_eq!(header.magic, RESPONSE_MAGIC);
    assert_eq!(header.total_length_bytes as usize, output.len());
    let mut results = Vec::new();
    for _ in 0..header.n_results {
        let (result, after) = OperationResult::read_from_prefix(rest).expect("a whole result");
        let length = result.data_length_bytes as usize;
        results.push((result, after[..length].to_vec()));
        rest = &after[length.next_multiple_of(8)..];
    }
    assert!(
        rest.is_empty(),
        "{} bytes behind the last result",
        rest.len()
    );
    Response { header, results }
}

fn interpret(operations: &[(Operation, &[u8])]) -> Response {
    let response = interpret_at(0, 0x8000, 1_000_000, &program(operations));
    assert_eq!(response.header.outcome, RESPONSE_OK);
    response
}

#[test]
fn crc_is_the_published_check_value() {
    assert_eq!(text(run(&["crc32c"], b"123456789")), "e3069283");
    assert_eq!(text(run(&["crc32c"], b"")), "00000000");
}

#[test]
fn pattern_is_that_of_the_abi_crate() {
    for (seed, length) in [
        (0_u64, 1_usize),
        (7, 8),
        (7, 9),
        (u64::MAX, 4096),
        (1 << 63, 4095),
    ] {
        let mut expected = vec![0; length];
        fill_pattern(seed, 0, &mut expected);
        assert_eq!(
            run(&["pattern", &seed.to_string(), &length.to_string()], &[]),
            expected
        );
    }
}

#[test]
fn comparison_names_the_first_difference() {
    let mut bytes = vec![0; 100];
    fill_pattern(5, 0, &mut bytes);
    let clean = text(run(&["compare", "5"], &bytes));
    assert!(clean.ends_with("ffffffffffffffff 00 00"), "{clean}");
    let (expected, seen) = (bytes[77], bytes[77] ^ 0x10);
    bytes[77] = seen;
    bytes[90] ^= 1;
    let crc = text(run(&["crc32c"], &bytes));
    let found = text(run(&["compare", "5"], &bytes));
    assert_eq!(found, format!("{crc} 4d {expected:02x} {seen:02x}"));
}

#[test]
fn operations_run_in_order_and_keep_their_data() {
    let data: &[u8] = &[9; 13];
    let response = interpret(&[
        (operation(OP_PING, 42, 0), &[]),
        (operation(OP_CPU_READ, 0, 13), &[1, 2, 3]),
        (operation(OP_CPU_WRITE, 0, 0), data),
        (operation(0xffff, 0, 0), &[]),
    ]);
    assert_eq!(
        response.outcomes(),
        [OUTCOME_DONE, OUTCOME_DONE, OUTCOME_DONE, OUTCOME_UNKNOWN]
    );
    assert_eq!(response.results[0].0.value[0], 42);
    assert_eq!(response.results[0].0.logical_address, u64::MAX);
    assert_eq!(response.results[1].1, [0xa5; 13]);
    assert_eq!(
        format!("{:08x}", response.results[2].0.value[0]),
        text(run(&["crc32c"], data))
    );
}

#[test]
fn failure_ends_the_program_only_when_flagged() {
    let fails = |flagged: fn(u16, u64, u64) -> Operation| {
        interpret(&[
            (flagged(OP_MEMORY_FREE, FAILING, 0), &[]),
            (operation(OP_PING, 0, 0), &[]),
        ])
        .outcomes()
    };
    assert_eq!(fails(operation), [OUTCOME_DONE, OUTCOME_DONE]);
    assert_eq!(fails(stopping), [OUTCOME_DONE, OUTCOME_SKIPPED]);
}

#[test]
fn loop_keeps_the_results_of_its_last_turn() {
    let response = interpret(&[
        (operation(OP_LOOP, 1000, 2), &[]),
        (operation(OP_PING, 1, 0), &[]),
        (operation(OP_CPU_READ, 0, 40), &[]),
        (operation(OP_PING, 3, 0), &[]),
    ]);
    assert_eq!(response.outcomes(), [OUTCOME_DONE; 4]);
    assert_eq!(response.results[0].0.value[0], 1000);
    assert_eq!(response.results[2].1, [0xa5; 40]);
    assert_eq!(response.results[3].0.value[0], 3);
}

#[test]
fn loop_stops_at_the_first_failure() {
    let response = interpret(&[
        (stopping(OP_LOOP, 1000, 3), &[]),
        (operation(OP_PING, 1, 0), &[]),
        (operation(OP_MEMORY_FREE, FAILING, 0), &[]),
        (operation(OP_PING, 2, 0), &[]),
        (operation(OP_PING, 3, 0), &[]),
    ]);
    assert_eq!(
        response.outcomes(),
        [
            OUTCOME_DONE,
            OUTCOME_DONE,
            OUTCOME_DONE,
            OUTCOME_SKIPPED,
            OUTCOME_SKIPPED
        ]
    );
    assert_eq!(response.results[0].0.value[0], 1);
    assert_eq!(u64::from(response.results[0].0.status), FAILING);
}

#[test]
fn loop_that_is_out_of_bounds_or_nested_is_refused() {
    for (turns, body) in [(1, 3), (1, u64::MAX), (1_000_001, 2), (u64::MAX, 0)] {
        let response = interpret(&[
            (stopping(OP_LOOP, turns, body), &[]),
            (operation(OP_PING, 1, 0), &[]),
            (operation(OP_PING, 2, 0), &[]),
        ]);
        assert_eq!(
            response.outcomes(),
            [OUTCOME_BAD_ARGUMENT, OUTCOME_SKIPPED, OUTCOME_SKIPPED],
            "{turns} turns of {body}"
        );
    }
    let nested = interpret(&[
        (operation(OP_LOOP, 2, 2), &[]),
        (operation(OP_LOOP, 2, 1), &[]),
        (operation(OP_PING, 1, 0), &[]),
    ]);
    assert_eq!(
        nested.outcomes(),
        [OUTCOME_BAD_ARGUMENT, OUTCOME_BAD_ARGUMENT, OUTCOME_SKIPPED]
    );
}

#[test]
fn operation_above_its_irql_is_not_called() {
    let operations = program(&[
        (operation(OP_BUFFER_FREE, 0, 0), &[]),
        (operation(OP_MEMORY_FREE, 0, 0), &[]),
        (operation(OP_PING, 0, 0), &[]),
    ]);
    let outcomes = |irql| interpret_at(irql, 0x8000, 100, &operations).outcomes();
    assert_eq!(outcomes(0), [OUTCOME_DONE; 3]);
    assert_eq!(
        outcomes(2),
        [OUTCOME_WRONG_IRQL, OUTCOME_DONE, OUTCOME_DONE]
    );
    assert_eq!(
        outcomes(9),
        [OUTCOME_WRONG_IRQL, OUTCOME_WRONG_IRQL, OUTCOME_DONE]
    );
    assert_eq!(interpret_at(9, 0x8000, 100, &operations).header.irql, 9);
}

#[test]
fn results_that_do_not_fit_are_left_out() {
    let operations = program(&[
        (operation(OP_PING, 1, 0), &[]),
        (operation(OP_CPU_READ, 0, 100), &[]),
        (operation(OP_PING, 2, 0), &[]),
    ]);
    // Header, two results, 104 bytes of data, one result.
    let whole = 24 + 80 + 80 + 104 + 80;
    for (capacity, kept) in [
        (24, 0),
        (103, 0),
        (104, 1),
        (287, 1),
        (288, 2),
        (whole - 1, 2),
    ] {
        let response = interpret_at(0, capacity, 100, &operations);
        assert_eq!(
            response.header.outcome, RESPONSE_OVERFLOW,
            "{capacity} bytes"
        );
        assert_eq!(response.results.len(), kept, "{capacity} bytes");
    }
    assert_eq!(
        interpret_at(0, whole, 100, &operations).header.outcome,
        RESPONSE_OK
    );
}

#[test]
fn run_that_must_end_skips_the_rest() {
    let operations = program(&[
        (operation(OP_PING, 1, 0), &[]),
        (operation(OP_LOOP, 1_000_000, 1), &[]),
        (operation(OP_PING, 1, 0), &[]),
        (operation(OP_PING, 2, 0), &[]),
    ]);
    let response = interpret_at(0, 0x8000, 50, &operations);
    assert_eq!(response.header.outcome, RESPONSE_TIMEOUT);
    assert_eq!(
        response.outcomes(),
        [
            OUTCOME_DONE,
            OUTCOME_SKIPPED,
            OUTCOME_SKIPPED,
            OUTCOME_SKIPPED
        ]
    );
    assert_eq!(response.results[1].0.value[0], 50);
}

#[test]
fn malformed_program_is_refused_at_its_mistake() {
    let good = program(&[
        (operation(OP_PING, 1, 0), &[]),
        (operation(OP_PING, 1, 0), &[1; 9]),
    ]);
    let long = u32::try_from(good.len()).expect("a short program");
    let edits: [(&str, usize, &[u8], u32); 8] = [
        ("magic", 0, &[0], 0),
        ("version", 4, &[9], 4),
        ("context", 6, &CONTEXT_COUNT.to_le_bytes(), 6),
        (
            "too many operations",
            8,
            &(PROGRAM_MAX_OPERATIONS + 1).to_le_bytes(),
            8,
        ),
        ("an operation more than there is", 8, &[3], long),
        ("bytes after the last operation", 8, &[1], 16 + 64),
        ("total length", 12, &(long - 8).to_le_bytes(), 12),
        (
            "data beyond the end",
            16 + 64 + 4,
            &u32::MAX.to_le_bytes(),
            16 + 64,
        ),
    ];
    for (mistake, offset, bytes, error_offset) in edits {
        let mut program = good.clone();
        program[offset..offset + bytes.len()].copy_from_slice(bytes);
        let response = interpret_at(0, 0x8000, 100, &program);
        assert_eq!(response.header.outcome, RESPONSE_MALFORMED, "{mistake}");
        assert_eq!(response.header.error_offset, error_offset, "{mistake}");
        assert_eq!(response.header.n_results, 0, "{mistake}");
    }
}

#[test]
fn program_cut_anywhere_is_refused() {
    let good = program(&[(operation(OP_CPU_WRITE, 1, 0), &[1; 20])]);
    for length in 0..good.len() {
        let mut cut = good[..length].to_vec();
        if length >= 16 {
            let total = u32::try_from(length).expect("a short program");
            cut[12..16].copy_from_slice(&total.to_le_bytes());
        }
        let response = interpret_at(0, 0x8000, 100, &cut);
        assert_eq!(
            response.header.outcome, RESPONSE_MALFORMED,
            "{length} bytes"
        );
    }
}

#[test]
fn data_without_its_padding_is_refused() {
    let mut cut = program(&[(operation(OP_CPU_WRITE, 1, 0), &[1; 20])]);
    cut.truncate(16 + 64 + 20);
    cut[8..12].copy_from_slice(&2_u32.to_le_bytes());
    let total = u32::try_from(cut.len()).expect("a short program");
    cut[12..16].copy_from_slice(&total.to_le_bytes());
    let response = interpret_at(0, 0x8000, 100, &cut);
    assert_eq!(response.header.outcome, RESPONSE_MALFORMED);
    assert_eq!(response.header.error_offset, 16);
}

#[test]
fn result_data_of_any_length_is_bounded() {
    for length in [0x8000, u64::from(u32::MAX) - 7, u64::from(u32::MAX)] {
        let operations = program(&[(operation(OP_CPU_READ, 0, length), &[])]);
        let response = interpret_at(0, 0x8000, 100, &operations);
        assert_eq!(
            response.header.outcome, RESPONSE_OVERFLOW,
            "{length:#x} bytes"
        );
    }
}

#[test]
fn random_programs_stay_in_bounds() {
    for seed in ["1", "0x8000000000000001"] {
        let well_formed: u64 = text(run(&["fuzz", seed, "50000"], &[]))
            .parse()
            .expect("a number");
        // Else the fuzzer would only ever see the validation.
        assert!(well_formed > 1000, "{well_formed} of 50000 programs ran");
    }
}

#[test]
fn slot_table_agrees_with_a_naive_model() {
    run(&["slots", "3", "50000"], &[]);
}

/// What the driver does after an attempt: 0 accepts the answer, 1 tries again, 2 gives up, 3 leaves a device that is
/// gone alone.
#[test]
fn recovery_tries_again_what_may_pass_and_a_bounded_number_of_times() {
    use dmarig_abi::completion as c;
    let check = |outcome: u16, status: u16, attempt: u32, expected: &str| {
        let words = [outcome.to_string(), status.to_string(), attempt.to_string()];
        let seen = run(&["recovery", &words[0], &words[1], &words[2]], b"");
        let seen = String::from_utf8_lossy(&seen);
        assert_eq!(
            seen.trim(),
            expected,
            "outcome {outcome}, status {status}, attempt {attempt}"
        );
    };
    for final_status in [
        c::DMA_STATUS_SUCCESS,
        c::DMA_STATUS_MISMATCH,
        c::DMA_STATUS_REFUSED,
        c::DMA_STATUS_UNMAPPED,
        c::DMA_STATUS_PERMISSION,
        c::DMA_STATUS_LENGTH,
    ] {
        check(OUTCOME_DONE, final_status, 1, "0");
    }
    for passing in [
        c::DMA_STATUS_ABORTED,
        c::DMA_STATUS_UNSUPPORTED_REQUEST,
        c::DMA_STATUS_POISONED,
    ] {
        check(OUTCOME_DONE, passing, 1, "1");
        check(OUTCOME_DONE, passing, 2, "1");
        check(OUTCOME_DONE, passing, 3, "2");
    }
    check(OUTCOME_TIMEOUT, 0, 1, "1");
    check(OUTCOME_TIMEOUT, 0, 3, "2");
    check(OUTCOME_NO_DEVICE, 0, 1, "3");
    check(OUTCOME_BAD_ARGUMENT, 0, 1, "0");
}
