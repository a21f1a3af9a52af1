//! [`Trace`]: the running trace of a device: it hashes each record and hands its line on.

use std::fmt;

use sha2::{Digest, Sha256};

use super::ledger_hash::LedgerHash;
use super::record::TraceRecord;

/// Where lines go: to a file, or to a comparison.
pub trait LineSink: Send {
    /// Takes line `number`, from 1, with its newline.
    fn line(&mut self, number: u64, line: &[u8]);

    /// Hands on what it has kept back.
    fn flush(&mut self) {}
}

/// What is known of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceSummary {
    /// Records so far.
    pub records: u64,
    /// Their hash.
    pub hash: LedgerHash,
}

/// The trace of one device, from its power-on.
pub struct Trace {
    hasher: Sha256,
    n_records: u64,
    line: Vec<u8>,
    sink: Option<Box<dyn LineSink>>,
}

impl Trace {
    /// An empty trace whose lines go to `sink`, or are only hashed.
    #[must_use]
    pub fn new(sink: Option<Box<dyn LineSink>>) -> Self {
        Self {
            hasher: Sha256::new(),
            n_records: 0,
            line: Vec::with_capacity(256),
            sink,
        }
    }

    /// Adds a record.
    pub fn add(&mut self, record: &TraceRecord) {
        self.line.clear();
        record.write_line(&mut self.line);
        self.hasher.update(&self.line);
        self.n_records += 1;
        if let Some(sink) = &mut self.sink {
            sink.line(self.n_records, &self.line);
        }
    }

    /// Number of records and their hash so far.
    #[must_use]
    pub fn summary(&self) -> TraceSummary {
        TraceSummary {
            records: self.n_records,
            hash: LedgerHash(self.hasher.clone().finalize().into()),
        }
    }

    /// Hands on what the sink has kept back.
    pub fn flush(&mut self) {
        if let Some(sink) = &mut self.sink {
            sink.flush();
        }
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trace")
            .field("n_records", &self.n_records)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_sha_256_of_the_lines() {
        let mut trace = Trace::new(None);
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(trace.summary().hash.to_string(), empty);
        let mut text = Vec::new();
        for vector in 0..3 {
            let record = TraceRecord::Interrupt { vector };
            record.write_line(&mut text);
            trace.add(&record);
        }
        let summary = trace.summary();
        assert_eq!(summary.records, 3);
        assert_eq!(summary.hash.0, <[u8; 32]>::from(Sha256::digest(&text)));
    }
}
