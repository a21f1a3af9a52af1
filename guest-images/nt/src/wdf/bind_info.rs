//! WDF_BIND_INFO and WDF_BIND_INFO2: what a client brings, and whether this framework can serve it.

use core::cell::Cell;
use core::fmt;

use super::names::FUNCTION_COUNT;
use crate::ntoskrnl::shared::{read_u64, shared};

/// Version of the framework: KMDF 1.33.
const MAJOR: u32 = 1;
const MINOR: u32 = 33;
const BIND_INFO_BYTES: u32 = 0x30;
const BIND_INFO2_BYTES: u32 = 0x58;
/// Sizes of the table that were released, KMDF 1.0 to 1.33.
const RELEASED_COUNTS: [u32; 13] = [
    383, 386, 387, 396, 432, 438, 444, 446, 448, 451, 453, 454, 458,
];
/// The last table that clients hold a copy of: KMDF 1.13.
const LAST_COPIED_COUNT: u32 = 438;

/// How a client holds the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TableForm {
    /// An array of its own: KMDF 1.13 and before.
    Copy,
    /// A pointer to the framework's: KMDF 1.15 and later.
    Pointer,
}

/// A bind information that this framework can serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BindInfo {
    /// Version.Minor: KMDF 1.x.
    pub(super) minor: u32,
    /// FuncCount.
    pub(super) function_count: u32,
    /// FuncTable.
    pub(super) function_table: u64,
    /// ClientVersionHigherThanFramework; 0 for none.
    pub(super) client_is_newer: u64,
}

/// Why a client is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Size is that of neither form.
    Size(u32),
    /// Another major version.
    Major(u32),
    /// Newer than the framework.
    Newer { minor: u32, function_count: u32 },
    /// FuncCount is that of no released version.
    UnreleasedCount(u32),
    /// FuncTable is null.
    NoTable,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Size(size) => write!(
                f,
                "bind information of {size:#x} bytes; {BIND_INFO_BYTES:#x} and {BIND_INFO2_BYTES:#x} are known"
            ),
            Self::Major(major) => write!(f, "KMDF {major}.x; this framework is {MAJOR}.{MINOR}"),
            Self::Newer {
                minor,
                function_count,
            } => write!(
                f,
                "the client wants KMDF 1.{minor} with {function_count} functions; this framework is \
                 {MAJOR}.{MINOR} with {FUNCTION_COUNT}: build the driver for KMDF {MAJOR}.{MINOR} or earlier"
            ),
            Self::UnreleasedCount(count) => write!(
                f,
                "a table of {count} functions belongs to no released KMDF (released: {RELEASED_COUNTS:?})"
            ),
            Self::NoTable => write!(f, "FuncTable is null"),
        }
    }
}

impl BindInfo {
    /// Reads and judges the structure at `at`.
    pub(super) fn read(at: u64) -> Result<Self, Refusal> {
        let word = |offset: u64| shared::<Cell<u32>>(at.wrapping_add(offset)).get();
        let size = word(0x00);
        if !matches!(size, BIND_INFO_BYTES | BIND_INFO2_BYTES) {
            return Err(Refusal::Size(size));
        }
        let (major, minor, function_count) = (word(0x10), word(0x14), word(0x1C));
        let function_table = read_u64(at.wrapping_add(0x20));
        if major != MAJOR {
            return Err(Refusal::Major(major));
        }
        if minor > MINOR || function_count as usize > FUNCTION_COUNT {
            return Err(Refusal::Newer {
                minor,
                function_count,
            });
        }
        if !RELEASED_COUNTS.contains(&function_count) {
            return Err(Refusal::UnreleasedCount(function_count));
        }
        if function_table == 0 {
            return Err(Refusal::NoTable);
        }
        let client_is_newer = match size {
            BIND_INFO2_BYTES => read_u64(at.wrapping_add(0x38)),
            _ => 0,
        };
        Ok(Self {
            minor,
            function_count,
            function_table,
            client_is_newer,
        })
    }

    pub(super) fn table_form(&self) -> TableForm {
        if self.function_count <= LAST_COPIED_COUNT {
            TableForm::Copy
        } else {
            TableForm::Pointer
        }
    }
}
