//! Turns the engine's record of a request into the ledger's records of its accesses.

use control_api::FunctionName;
use control_api::ledger::{AccessDirection, AccessPath, AccessRecord};
use dmarig_abi::Iova;
use endpoint::{Extent, Origin, RequestRecord, RequestRuns};
use recording::trace::{self, RequestOrigin, TraceRecord};

use crate::host_request;

/// One record for each run read and each run written; a request without a list has at most one of each.
pub(super) fn accesses(
    record: &RequestRecord,
    function: FunctionName,
    channel: Option<u32>,
) -> impl Iterator<Item = AccessRecord> {
    let access = move |iova: Iova, length: u64, direction| AccessRecord {
        seq: 0,
        function,
        channel,
        iova,
        length,
        moved: record.done_bytes,
        direction,
        path: path(record.path),
        status: host_request::status(record.status),
        crc32c: Some(record.crc32c),
        epoch_issue: record.epoch_at_issue,
        epoch_complete: record.epoch_at_completion,
        declared: None,
    };
    let runs = record.runs.as_deref();
    // Without runs, the request's own ranges are what it accessed.
    let whole = move |start: Option<Iova>| {
        let start = start.filter(|_| runs.is_none());
        start.map(|start| (start, record.request.length_bytes))
    };
    let listed = |of: fn(&RequestRuns) -> &Vec<Extent>| {
        let runs = runs.map_or(&[][..], |runs| of(runs));
        runs.iter().map(|run| (run.start, run.len_bytes))
    };
    let reads = whole(record.source)
        .into_iter()
        .chain(listed(|runs| &runs.source));
    let writes = whole(record.destination)
        .into_iter()
        .chain(listed(|runs| &runs.destination));
    let read = move |(iova, length)| access(iova, length, AccessDirection::Read);
    let written = move |(iova, length)| access(iova, length, AccessDirection::Write);
    reads.map(read).chain(writes.map(written))
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
            Origin::ListFetch { index } => RequestOrigin::ListFetch(index),
            Origin::DescriptorRelease { index } => RequestOrigin::DescriptorRelease(index),
            Origin::ProducerIndex { index } => RequestOrigin::ProducerIndex(index),
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
