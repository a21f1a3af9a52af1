//! Turns the engine's record of a request into the ledger's records of its accesses.

use control_api::FunctionName;
use control_api::ledger::{AccessDirection, AccessPath, AccessRecord};
use dmarig_abi::Iova;
use endpoint::{Origin, RequestRecord};
use recording::trace::{self, RequestOrigin, TraceRecord};

use crate::host_request;

/// One record for the range read and one for the range written, where the operation has them.
pub(super) fn accesses(
    record: &RequestRecord,
    channel: Option<u32>,
) -> impl Iterator<Item = AccessRecord> {
    let access = |iova: Iova, direction| AccessRecord {
        seq: 0,
        function: FunctionName::DUT0,
        channel,
        iova,
        length: record.request.length_bytes,
        direction,
        path: path(record.path),
        status: host_request::status(record.status),
        crc32c: Some(record.crc32c),
        epoch_issue: record.epoch_at_issue,
        epoch_complete: record.epoch_at_completion,
        declared: None,
    };
    let read = record
        .source
        .map(|iova| access(iova, AccessDirection::Read));
    let write = record
        .destination
        .map(|iova| access(iova, AccessDirection::Write));
    read.into_iter().chain(write)
}

/// The line of the canonical trace.
pub(super) fn trace_record(record: &RequestRecord, channel: Option<u32>) -> TraceRecord {
    let request = &record.request;
    TraceRecord::Request(trace::RequestRecord {
        channel,
        origin: match record.origin {
            Origin::Register => RequestOrigin::Register,
            Origin::Ring { index } => RequestOrigin::Ring(index),
            Origin::DescriptorFetch { index } => RequestOrigin::DescriptorFetch(index),
            Origin::CompletionEntry { index } => RequestOrigin::CompletionEntry(index),
            Origin::Host { id } => RequestOrigin::Host(id),
        },
        op: request.opcode,
        flags: request.flags,
        source: record.source.map(Iova::raw),
        destination: record.destination.map(Iova::raw),
        length: request.length_bytes,
        done: record.done_bytes,
        status: host_request::status(record.status),
        path: path(record.path),
        crc32c: record.crc32c,
        mismatch: record.mismatch_offset,
        fault_iova: record.fault_iova.map(Iova::raw),
        fallback_iova: record.fallback.map(|fallback| fallback.iova.raw()),
        epochs: [record.epoch_at_issue, record.epoch_at_completion],
    })
}

const fn path(path: endpoint::AccessPath) -> AccessPath {
    match path {
        endpoint::AccessPath::None => AccessPath::None,
        endpoint::AccessPath::Mapped => AccessPath::Mapped,
        endpoint::AccessPath::Message | endpoint::AccessPath::Both => AccessPath::Message,
        endpoint::AccessPath::Probe => AccessPath::Probe,
    }
}
