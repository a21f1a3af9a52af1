//! Programs for the driver's interpreter, and its responses, which nobody vouches for.
//!
//! A response is written by the guest, so each count and length in it is checked against what was
//! sent and what has come before anything is read or allocated by it.

use contract::{Step, StepResult};
use dmarig_abi::mailbox::{
    MAILBOX_RESPONSE_SIZE_BYTES, MAILBOX_VERSION, PROGRAM_MAGIC, PROGRAM_MAX_OPERATIONS,
    PROGRAM_MAX_SIZE_BYTES, ProgramHeader, RESPONSE_MAGIC, RESPONSE_MALFORMED, RESPONSE_NO_MEMORY,
    RESPONSE_OK, RESPONSE_OVERFLOW, RESPONSE_STORED, RESPONSE_TIMEOUT, ResponseHeader,
};
use dmarig_abi::operation::OperationResult;
use zerocopy::{FromBytes, IntoBytes};

/// Data of operations and results is padded to this.
const ALIGNMENT: usize = 8;
/// What a driver may answer in `version`.
const VERSION: u16 = {
    assert!(MAILBOX_VERSION <= 0xffff);
    (MAILBOX_VERSION & 0xffff) as u16
};

/// Why steps make no program.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ProgramError {
    /// Too many operations.
    #[error("a program of {count} operations: at most {PROGRAM_MAX_OPERATIONS} fit")]
    TooMany {
        /// How many there are.
        count: usize,
    },
    /// Too many bytes.
    #[error("a program of {length} bytes: at most {PROGRAM_MAX_SIZE_BYTES} fit")]
    TooLong {
        /// How many there are.
        length: usize,
    },
}

/// Why a response is none, or says that nothing was done.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ResponseError {
    /// It breaks the format.
    #[error("malformed response of the driver at offset {offset:#x}: {problem}")]
    Malformed {
        /// Where.
        offset: usize,
        /// What is wrong.
        problem: String,
    },
    /// The driver found our program malformed.
    #[error("the driver rejects the program at offset {offset:#x}")]
    ProgramRejected {
        /// Where, in its opinion.
        offset: u32,
    },
    /// The results do not fit the window.
    #[error("the results do not fit the driver's response window, {n_results} of {n_steps} came")]
    Overflow {
        /// Results that came.
        n_results: usize,
        /// Steps sent.
        n_steps: usize,
    },
    /// The context did not come.
    #[error("the driver waited in vain for the program's context")]
    ContextTimeout,
    /// The driver had no memory.
    #[error("the driver had no memory for the program")]
    NoMemory,
}

/// Puts steps into the form that the mailbox carries.
///
/// # Errors
/// The steps are too many or too long.
pub fn encode(context: u16, steps: &[Step]) -> Result<Vec<u8>, ProgramError> {
    let count = steps.len();
    let too_many = ProgramError::TooMany { count };
    let n_operations = u32::try_from(count).map_err(|_| too_many)?;
    if n_operations > PROGRAM_MAX_OPERATIONS {
        return Err(ProgramError::TooMany { count });
    }
    let mut bytes = vec![0; size_of::<ProgramHeader>()];
    for step in steps {
        let mut operation = step.operation;
        let length = step.data.len();
        operation.data_length_bytes =
            u32::try_from(length).map_err(|_| ProgramError::TooLong { length })?;
        bytes.extend_from_slice(operation.as_bytes());
        bytes.extend_from_slice(&step.data);
        bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
    }
    let length = bytes.len();
    let total_length_bytes = u32::try_from(length)
        .ok()
        .filter(|length| *length <= PROGRAM_MAX_SIZE_BYTES)
        .ok_or(ProgramError::TooLong { length })?;
    let header = ProgramHeader {
        magic: PROGRAM_MAGIC,
        version: VERSION,
        context,
        n_operations,
        total_length_bytes,
    };
    bytes[..size_of::<ProgramHeader>()].copy_from_slice(header.as_bytes());
    Ok(bytes)
}

/// Reads the response to `steps`: one result a step, or none where the program was stored for a later
/// context.
///
/// # Errors
/// The response breaks the format, or says that the program was not run.
pub fn decode(response: &[u8], steps: &[Step]) -> Result<Vec<StepResult>, ResponseError> {
    let header = checked_header(response)?;
    let n_results = usize::try_from(header.n_results).unwrap_or(usize::MAX);
    match header.outcome {
        RESPONSE_OK if n_results != steps.len() => Err(malformed(
            8,
            format!("{n_results} results to {} operations", steps.len()),
        )),
        RESPONSE_OK => decode_results(response, steps),
        RESPONSE_STORED => Ok(Vec::new()),
        RESPONSE_MALFORMED => Err(ResponseError::ProgramRejected {
            offset: header.error_offset,
        }),
        RESPONSE_OVERFLOW => Err(ResponseError::Overflow {
            n_results,
            n_steps: steps.len(),
        }),
        RESPONSE_TIMEOUT => Err(ResponseError::ContextTimeout),
        RESPONSE_NO_MEMORY => Err(ResponseError::NoMemory),
        other => Err(malformed(6, format!("unknown outcome {other:#x}"))),
    }
}

fn checked_header(response: &[u8]) -> Result<ResponseHeader, ResponseError> {
    let Ok((header, _)) = ResponseHeader::read_from_prefix(response) else {
        let length = response.len();
        return Err(malformed(0, format!("{length} bytes are no header")));
    };
    if header.magic != RESPONSE_MAGIC {
        return Err(malformed(0, format!("magic {:#010x}", header.magic)));
    }
    if header.version != VERSION {
        let problem = format!("version {}, expected {VERSION}", header.version);
        return Err(malformed(4, problem));
    }
    let is_whole = usize::try_from(header.total_length_bytes) == Ok(response.len());
    if !is_whole || header.total_length_bytes > MAILBOX_RESPONSE_SIZE_BYTES {
        let problem = format!(
            "total length {:#x}, {:#x} bytes came",
            header.total_length_bytes,
            response.len()
        );
        return Err(malformed(12, problem));
    }
    Ok(header)
}

fn decode_results(response: &[u8], steps: &[Step]) -> Result<Vec<StepResult>, ResponseError> {
    let mut offset = size_of::<ResponseHeader>();
    let mut results = Vec::with_capacity(steps.len());
    for step in steps {
        let (result, end) = decode_result(response, offset, step)?;
        results.push(result);
        offset = end;
    }
    if offset != response.len() {
        let surplus = response.len() - offset;
        let problem = format!("{surplus:#x} bytes behind the last result");
        return Err(malformed(offset, problem));
    }
    Ok(results)
}

/// Reads one result; the second part is the offset of the next one, within the response.
fn decode_result(
    response: &[u8],
    offset: usize,
    step: &Step,
) -> Result<(StepResult, usize), ResponseError> {
    let rest = response.get(offset..).unwrap_or_default();
    let Ok((result, data)) = OperationResult::read_from_prefix(rest) else {
        return Err(malformed(offset, "a result is cut short".into()));
    };
    if result.opcode != step.operation.opcode {
        let problem = format!(
            "a result of operation {:#06x} where {:#06x} was asked",
            result.opcode, step.operation.opcode
        );
        return Err(malformed(offset, problem));
    }
    let length = usize::try_from(result.data_length_bytes).unwrap_or(usize::MAX);
    let padded = length.checked_next_multiple_of(ALIGNMENT);
    let (Some(content), Some(padded)) = (
        data.get(..length),
        padded.filter(|padded| *padded <= data.len()),
    ) else {
        let problem = format!("{length:#x} bytes of data pass the end");
        return Err(malformed(offset, problem));
    };
    let end = response.len() - data.len() + padded;
    let data = content.to_vec();
    Ok((StepResult { result, data }, end))
}

fn malformed(offset: usize, problem: String) -> ResponseError {
    ResponseError::Malformed { offset, problem }
}

#[cfg(test)]
mod tests;
