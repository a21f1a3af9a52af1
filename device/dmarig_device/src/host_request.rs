//! Turns `dma.submit` into a request of the engine, and its record into the answer.

use control_api::request::{DmaOp, DmaPath, DmaSubmit};
use control_api::response::{DmaOutcome, DmaStatus, PathFinding, PathFindingKind};
use dmarig_abi::descriptor::{
    DESCRIPTOR_FLAG_MESSAGE, DESCRIPTOR_FLAG_PROBE, DMA_OP_COPY, DMA_OP_CRC, DMA_OP_FILL,
    DMA_OP_VERIFY_PATTERN, DMA_OP_WRITE_PATTERN,
};
use endpoint::{AccessPath, Request, RequestRecord};

/// Builds the engine's request.
///
/// # Errors
/// A sentence for the client if `destination` is given without need, or missing.
pub fn from_api(ask: &DmaSubmit) -> Result<Request, String> {
    let destination = match (ask.op, ask.destination) {
        (DmaOp::Copy, Some(destination)) => destination,
        (DmaOp::Copy, None) => return Err("copy needs a destination".into()),
        (_, None) => ask.iova,
        (_, Some(_)) => return Err("destination belongs to copy alone; leave it out".into()),
    };
    let opcode = match ask.op {
        DmaOp::WritePattern => DMA_OP_WRITE_PATTERN,
        DmaOp::VerifyPattern => DMA_OP_VERIFY_PATTERN,
        DmaOp::Crc => DMA_OP_CRC,
        DmaOp::Fill => DMA_OP_FILL,
        DmaOp::Copy => DMA_OP_COPY,
    };
    let flags = match ask.path {
        DmaPath::Default => 0,
        DmaPath::Message => DESCRIPTOR_FLAG_MESSAGE,
        DmaPath::Probe => DESCRIPTOR_FLAG_PROBE,
    };
    Ok(Request {
        opcode,
        flags,
        tag: 0,
        source: ask.iova,
        destination,
        length_bytes: ask.length,
        seed: ask.seed,
        ..Request::default()
    })
}

/// Builds the answer.
#[must_use]
pub fn to_api(record: &RequestRecord) -> DmaOutcome {
    let fallback = record.fallback.map(|fallback| PathFinding {
        kind: PathFindingKind::FallbackSucceeded,
        iova: fallback.iova,
    });
    DmaOutcome {
        status: status(record.status),
        crc32c: record.crc32c,
        done_bytes: record.done_bytes,
        mismatch_offset: record.mismatch_offset,
        expected: record.expected,
        seen: record.seen,
        fault_iova: record.fault_iova,
        by_message: matches!(record.path, AccessPath::Message | AccessPath::Both),
        path_findings: fallback.into_iter().collect(),
        epoch_issue: record.epoch_at_issue,
        epoch_complete: record.epoch_at_completion,
    }
}

/// The name of the engine's status code.
#[must_use]
pub fn status(code: u16) -> DmaStatus {
    DmaStatus::from_code(code).expect("the engine uses the codes of the ABI alone")
}
