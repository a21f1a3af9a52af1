//! [`BufferHistory`]: what the device's ledger holds of the buffers concerned when a guest has stopped.

use schemars::JsonSchema;
use serde::Serialize;

/// What the device's ledger held after the guest had stopped.
///
/// It tells of the addresses that the guest's last words name, where the ledger knows them; else of
/// the buffers that the case had declared; else of the last accesses anywhere.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct BufferHistory {
    /// The device under test, where there are several; then the others stand in `beside`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Logical addresses of the guest's last words that the ledger knows, in hex.
    pub named: Vec<String>,
    /// Declared buffers concerned, by the order of their declaration.
    pub buffers: Vec<DeclaredBuffer>,
    /// The last accesses concerned, oldest first.
    pub accesses: Vec<BufferAccess>,
    /// The last violations concerned, oldest first.
    pub violations: Vec<BufferViolation>,
    /// Buffers, accesses and violations concerned for which there was no room here.
    pub n_left_out: u64,
    /// Accesses and violations that the ledger itself had dropped, whatever they concerned.
    pub n_dropped: u64,
    /// Why the ledger could not be read, or not to its end.
    pub unread: Option<String>,
    /// The same of the other devices under test that have something to tell.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub beside: Vec<BufferHistory>,
}

/// A buffer that the case had declared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DeclaredBuffer {
    /// Its name.
    pub name: String,
    /// Its first byte, in hex.
    pub logical_address: String,
    /// Its length in bytes, in hex.
    pub length_bytes: String,
    /// `to_device`, `from_device` or `bidirectional`.
    pub direction: String,
}

/// One access of the device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct BufferAccess {
    /// Its place in the order of all that the ledger saw.
    pub seq: u64,
    /// `read` or `write`, as seen from memory.
    pub direction: String,
    /// Its first byte, in hex.
    pub logical_address: String,
    /// Its length in bytes, in hex.
    pub length_bytes: String,
    /// How the bytes travelled: `mapped`, `message`, `probe` or `none`.
    pub path: String,
    /// How it ended.
    pub status: String,
    /// Mapping epoch when it was issued.
    pub epoch_issue: u64,
    /// Mapping epoch when it ended.
    pub epoch_complete: u64,
    /// The declared buffer that held all of it at that time.
    pub buffer: Option<String>,
}

/// One violation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct BufferViolation {
    /// Its place in the order of all that the ledger saw.
    pub seq: u64,
    /// Its kind, as the control socket names it.
    pub kind: String,
    /// The first byte concerned, in hex.
    pub logical_address: String,
    /// Its length in bytes, in hex.
    pub length_bytes: String,
    /// Mapping epoch at that moment.
    pub epoch: u64,
    /// The declared buffer concerned.
    pub buffer: Option<String>,
    /// The story in words.
    pub detail: String,
}

impl BufferHistory {
    /// The whole in lines for people.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![self.heading()];
        lines.extend(self.buffers.iter().map(DeclaredBuffer::describe));
        lines.extend(self.accesses.iter().map(BufferAccess::describe));
        lines.extend(self.violations.iter().map(BufferViolation::describe));
        if self.accesses.is_empty() && self.unread.is_none() {
            lines.push("  no access of the device".into());
        }
        if self.n_left_out > 0 {
            lines.push(format!("  {} more are not shown", self.n_left_out));
        }
        if self.n_dropped > 0 {
            let n_dropped = self.n_dropped;
            lines.push(format!("  {n_dropped} had been dropped from the ledger"));
        }
        if let Some(reason) = &self.unread {
            lines.push(format!("  the ledger could not be read: {reason}"));
        }
        lines.extend(self.beside.iter().flat_map(Self::lines));
        lines
    }

    /// Whether there is nothing to tell.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.named.is_empty()
            && self.buffers.is_empty()
            && self.accesses.is_empty()
            && self.violations.is_empty()
            && self.unread.is_none()
    }

    fn heading(&self) -> String {
        let whose = self
            .device
            .as_ref()
            .map_or("the device's ledger".to_owned(), |device| {
                format!("the ledger of {device}")
            });
        if !self.named.is_empty() {
            return format!("{whose} of logical address {}:", self.named.join(", "));
        }
        let scope = if self.buffers.is_empty() {
            "no buffer is declared, last accesses anywhere"
        } else {
            "of the declared buffers"
        };
        format!("{whose}, {scope}:")
    }
}

impl DeclaredBuffer {
    fn describe(&self) -> String {
        format!(
            "  {}: {} bytes at {}, {}",
            self.name, self.length_bytes, self.logical_address, self.direction
        )
    }
}

impl BufferAccess {
    fn describe(&self) -> String {
        let epochs = if self.epoch_issue == self.epoch_complete {
            format!("mapping epoch {}", self.epoch_issue)
        } else {
            format!(
                "mapping epochs {} to {}",
                self.epoch_issue, self.epoch_complete
            )
        };
        format!(
            "  #{} {} of {} bytes at {}, path {}, {}, {epochs}{}",
            self.seq,
            self.direction,
            self.length_bytes,
            self.logical_address,
            self.path,
            self.status,
            in_buffer(self.buffer.as_deref())
        )
    }
}

impl BufferViolation {
    fn describe(&self) -> String {
        format!(
            "  #{} violation {}, {} bytes at {}, mapping epoch {}{}: {}",
            self.seq,
            self.kind,
            self.length_bytes,
            self.logical_address,
            self.epoch,
            in_buffer(self.buffer.as_deref()),
            self.detail
        )
    }
}

fn in_buffer(name: Option<&str>) -> String {
    name.map_or(String::new(), |name| format!(" ({name})"))
}
