//! What can be wrong with a driver file: what, where, and how to mend it.

use alloc::string::String;
use core::fmt;

/// A driver file that cannot be loaded. `Display` gives the finding, [`PeError::help`] the mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeError {
    /// The file's headers or tables do not parse.
    Malformed {
        /// Which part.
        part: &'static str,
        /// What the parser met.
        detail: String,
    },
    /// Not built for x64.
    Machine {
        /// `IMAGE_FILE_HEADER.Machine`.
        machine: u16,
    },
    /// A header field has a value that no loader takes.
    Field {
        /// Name of the field.
        field: &'static str,
        /// Its value.
        value: u64,
        /// What it must be.
        expected: &'static str,
    },
    /// A section does not fit the file or the image.
    Section {
        /// Number of the section.
        index: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The checksum in the header is not the file's.
    Checksum {
        /// As the header says.
        stated: u32,
        /// As computed.
        computed: u32,
    },
    /// The image must move, and has no relocations.
    NotRelocatable,
    /// A relocation of a kind or at a place that cannot be applied.
    Relocation {
        /// Where, as RVA.
        rva: u32,
        /// `IMAGE_REL_BASED_*`.
        kind: u16,
    },
    /// An import without a name.
    ImportByOrdinal {
        /// The library.
        dll: String,
        /// The ordinal.
        ordinal: u16,
    },
    /// An import that the kernel lacks, under `strict-imports=on`.
    MissingImport {
        /// The library.
        dll: String,
        /// The name.
        name: String,
    },
}

impl PeError {
    /// How to mend it.
    #[must_use]
    pub fn help(&self) -> &'static str {
        match self {
            Self::Malformed { .. } | Self::Section { .. } => {
                "rebuild the driver or copy the file again; it is cut or damaged"
            }
            Self::Machine { .. } => "build the driver for x64 (machine 0x8664)",
            Self::Field { .. } => "link with /driver /subsystem:native and default alignments",
            Self::Checksum { .. } => {
                "link with /release, or sign the file: both write the checksum; if it was right, the file is damaged"
            }
            Self::NotRelocatable => "link with /dynamicbase (do not strip relocations)",
            Self::Relocation { .. } => "build for x64 without 32-bit absolute addresses",
            Self::ImportByOrdinal { .. } => "import by name",
            Self::MissingImport { .. } => {
                "leave out strict-imports=on to bind it to a reporting thunk"
            }
        }
    }

    pub(super) fn malformed(part: &'static str, error: object::Error) -> Self {
        Self::Malformed {
            part,
            detail: alloc::format!("{error}"),
        }
    }
}

impl fmt::Display for PeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed { part, detail } => write!(f, "{part}: {detail}"),
            Self::Machine { machine } => write!(f, "machine {machine:#x} is not x64"),
            Self::Field {
                field,
                value,
                expected,
            } => write!(f, "{field} is {value:#x}, expected {expected}"),
            Self::Section { index, problem } => write!(f, "section {index}: {problem}"),
            Self::Checksum { stated, computed } => {
                write!(
                    f,
                    "checksum {stated:#x} in the header, {computed:#x} computed"
                )
            }
            Self::NotRelocatable => write!(f, "the image has no relocations"),
            Self::Relocation { rva, kind } => {
                write!(f, "relocation of kind {kind} at RVA {rva:#x}")
            }
            Self::ImportByOrdinal { dll, ordinal } => {
                write!(f, "{dll} is imported by ordinal {ordinal}")
            }
            Self::MissingImport { dll, name } => write!(f, "import {dll}!{name} is missing"),
        }
    }
}
