//! [`DeviceFileError`]: why a device file cannot be used.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use thiserror::Error;

use crate::read::MAX_FILE_BYTES;

/// Why a device file cannot be used.
#[derive(Debug, Error)]
pub enum DeviceFileError {
    /// It cannot be read.
    #[error("device file {}: cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// It is larger than any device file.
    #[error("device file {}: larger than {MAX_FILE_BYTES} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// It is no TOML, has keys or types that are not ours, or values that cannot be.
    #[error("{}", lines(path, problems))]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong, in the order found; never empty.
        problems: Vec<Located>,
    },
}

/// Something wrong at a place of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub what: String,
    /// How to mend it; may be empty.
    pub help: String,
}

impl Located {
    pub(crate) fn new(text: &str, span: Range<usize>, what: String, help: String) -> Self {
        let before = text.get(..span.start).unwrap_or(text);
        Self {
            line: before.matches('\n').count() + 1,
            column: before.chars().rev().take_while(|&c| c != '\n').count() + 1,
            what,
            help,
        }
    }
}

impl fmt::Display for Located {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, column, .. } = self;
        write!(f, "line {line}, column {column}: {}", self.what)?;
        if !self.help.is_empty() {
            write!(f, "\nhelp: {}", self.help)?;
        }
        Ok(())
    }
}

fn lines(path: &std::path::Path, problems: &[Located]) -> String {
    let line = |problem| format!("device file {}, {problem}", path.display());
    problems.iter().map(line).collect::<Vec<_>>().join("\n")
}
