//! The target that reads a driver's response as the harness does.

use contract::Step;
use dmarig::mailbox::{self, ResponseError};

/// Most steps that a response is read for.
const MAX_STEPS: usize = 8;

/// A response to a program: the first byte chooses the steps, the rest is what the driver left in its window.
pub fn response(data: &[u8]) {
    let (choice, response) = data.split_first().unwrap_or((&0, data));
    let steps = steps(*choice);
    mailbox::encode(0, &steps).expect("a few short steps are a program");
    match mailbox::decode(response, &steps) {
        Ok(results) => {
            assert!(
                results.is_empty() || results.len() == steps.len(),
                "{} results to {} steps",
                results.len(),
                steps.len()
            );
            for (step, result) in steps.iter().zip(&results) {
                assert_eq!(result.result.opcode, step.operation.opcode);
                let length = usize::try_from(result.result.data_length_bytes);
                assert_eq!(length, Ok(result.data.len()));
                // What people read of it.
                let _ = (result.is_success(), result.describe(), result.failure());
            }
            let n_bytes: usize = results.iter().map(|result| result.data.len()).sum();
            assert!(n_bytes <= response.len(), "{n_bytes} bytes of data");
        }
        Err(ResponseError::Malformed { offset, problem }) => {
            assert!(offset <= response.len(), "{offset:#x}: {problem}");
        }
        Err(_) => {}
    }
}

/// Steps of several operations, some with data.
fn steps(choice: u8) -> Vec<Step> {
    let n_steps = usize::from(choice) % (MAX_STEPS + 1);
    let step = |number: usize| match (usize::from(choice) + number) % 3 {
        0 => Step::ping(number as u64),
        1 => Step::query_driver(),
        _ => Step::release_all(),
    };
    (0..n_steps).map(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The seed must be a response that is read to its end.
    #[test]
    fn seed_is_a_response() {
        let seed = include_bytes!("../corpus/response/two-results");
        let results = mailbox::decode(&seed[1..], &steps(seed[0])).expect("a response");
        assert_eq!(results.len(), 2);
    }
}
