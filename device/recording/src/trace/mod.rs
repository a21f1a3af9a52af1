//! The canonical trace: records, their text, their hash, and the comparison of two traces.

mod comparison;
mod file;
mod ledger_hash;
mod likeness;
mod record;
mod stream;

pub use comparison::{Comparison, Difference};
pub use file::{DEFAULT_MAX_TRACE_BYTES, TraceFile};
pub use ledger_hash::LedgerHash;
pub use likeness::{Item, Likeness, Parting, Stream, compare};
pub use record::{
    FaultRecord, RemappingFate, RemappingRecord, RequestOrigin, RequestRecord, ResetKind,
    TraceRecord, ViolationRecord,
};
pub use stream::{LineSink, Trace, TraceSummary};
