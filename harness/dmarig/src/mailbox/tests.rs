//! Programs and responses; the responses mostly bad ones.

use dmarig_abi::operation::{OP_PING, Operation};
use proptest::prelude::*;

use super::*;

fn response(outcome: u16, n_results: u32, body: &[u8]) -> Vec<u8> {
    let total = size_of::<ResponseHeader>() + body.len();
    let header = ResponseHeader {
        magic: RESPONSE_MAGIC,
        version: VERSION,
        outcome,
        n_results,
        total_length_bytes: u32::try_from(total).expect("small"),
        error_offset: 0x30,
        irql: 0,
    };
    [header.as_bytes(), body].concat()
}

fn ping_result(data: &[u8]) -> Vec<u8> {
    let result = OperationResult {
        opcode: OP_PING,
        data_length_bytes: u32::try_from(data.len()).expect("small"),
        value: [7, 0, 0],
        ..OperationResult::default()
    };
    let mut bytes = [result.as_bytes(), data].concat();
    bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
    bytes
}

fn problem_of(response: &[u8], steps: &[Step]) -> String {
    decode(response, steps).expect_err("bad").to_string()
}

#[test]
fn program_pads_data_and_counts_everything() {
    let mut step = Step::ping(7);
    step.data = vec![1, 2, 3];
    let program = encode(0, &[step.clone(), Step::ping(8)]).expect("small");
    let header = ProgramHeader::read_from_prefix(&program)
        .expect("a header")
        .0;
    assert_eq!(program.len(), 16 + 64 + 8 + 64);
    assert_eq!((header.n_operations, header.total_length_bytes), (2, 152));
    let operation = Operation::read_from_prefix(&program[16..]).expect("one").0;
    assert_eq!(operation.data_length_bytes, 3);
    assert_eq!(&program[80..88], [1, 2, 3, 0, 0, 0, 0, 0]);
}

#[test]
fn program_beyond_its_bounds_is_refused() {
    let many = vec![Step::ping(0); 257];
    assert_eq!(encode(0, &many), Err(ProgramError::TooMany { count: 257 }));
    let mut long = Step::ping(0);
    long.data = vec![0; 0x7000];
    assert!(matches!(
        encode(0, &[long]),
        Err(ProgramError::TooLong { .. })
    ));
}

#[test]
fn results_come_with_their_data() {
    let body = [ping_result(&[9, 9, 9]), ping_result(&[])].concat();
    let steps = [Step::ping(7), Step::ping(7)];
    let results = decode(&response(RESPONSE_OK, 2, &body), &steps).expect("good");
    assert_eq!(results[0].data, [9, 9, 9]);
    assert_eq!(results[1].result.value[0], 7);
}

#[test]
fn outcomes_other_than_ok_are_told_apart() {
    let steps = [Step::ping(7)];
    let check = |outcome, expected| {
        assert_eq!(decode(&response(outcome, 0, &[]), &steps), expected);
    };
    check(RESPONSE_STORED, Ok(Vec::new()));
    check(
        RESPONSE_MALFORMED,
        Err(ResponseError::ProgramRejected { offset: 0x30 }),
    );
    check(RESPONSE_TIMEOUT, Err(ResponseError::ContextTimeout));
    check(RESPONSE_NO_MEMORY, Err(ResponseError::NoMemory));
    let overflow = ResponseError::Overflow {
        n_results: 0,
        n_steps: 1,
    };
    check(RESPONSE_OVERFLOW, Err(overflow));
    assert!(problem_of(&response(99, 0, &[]), &steps).contains("unknown outcome"));
}

#[test]
fn response_that_breaks_the_format_is_refused() {
    let steps = [Step::ping(7)];
    let good = response(RESPONSE_OK, 1, &ping_result(&[1, 2]));
    let check = |change: &dyn Fn(&mut Vec<u8>), expected: &str| {
        let mut bad = good.clone();
        change(&mut bad);
        let problem = problem_of(&bad, &steps);
        assert!(problem.contains(expected), "{problem}");
    };
    check(&|bytes| bytes.clear(), "no header");
    check(&|bytes| bytes[0] ^= 1, "magic");
    check(&|bytes| bytes[4] = 9, "version");
    check(&|bytes| bytes[8] = 2, "2 results to 1 operations");
    check(&|bytes| bytes.truncate(40), "total length");
    check(&|bytes| bytes[24] ^= 1, "where 0x0001 was asked");
    check(&|bytes| bytes[28] = 200, "pass the end");
    check(&|bytes| bytes[28..32].fill(0xff), "pass the end");
    check(
        &|bytes| *bytes = response(RESPONSE_OK, 1, &ping_result(&[])[..72]),
        "cut short",
    );
    check(
        &|bytes| {
            let surplus = [ping_result(&[]), vec![0; 8]].concat();
            *bytes = response(RESPONSE_OK, 1, &surplus);
        },
        "behind the last result",
    );
}

proptest! {
    #[test]
    fn any_bytes_are_an_error_or_the_right_number_of_results(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..400),
        keep_header in any::<bool>(),
    ) {
        if keep_header {
            bytes = response(RESPONSE_OK, 2, &bytes);
        }
        let steps = [Step::ping(0), Step::ping(1)];
        if let Ok(results) = decode(&bytes, &steps) {
            prop_assert!(results.is_empty() || results.len() == 2);
        }
    }
}
