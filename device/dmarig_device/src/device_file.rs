//! The device file: what a device under test is, in TOML. `devices/dmarig-dut.toml` shows every key.

use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};

use dmarig_abi::registers::{DUT_MSIX_VECTORS, PCI_DEVICE_ID_DUT, PCI_VENDOR_ID};
use serde::Deserialize;
use toml::Spanned;

/// Largest device file that is read.
pub const MAX_FILE_BYTES: u64 = 64 * 1024;
/// What `address_width` may be.
pub const ADDRESS_WIDTHS: RangeInclusive<u8> = 32..=64;

/// A checked description of a device under test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceDescription {
    /// PCI identity.
    pub identity: Identity,
    /// MSI-X vectors, 0 for none.
    pub msix_vectors: u16,
    /// Bits of an address that the device can put on the bus.
    pub address_width: u8,
}

/// The IDs in configuration space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Identity {
    /// Vendor ID.
    pub vendor_id: u16,
    /// Device ID.
    pub device_id: u16,
    /// Revision ID.
    pub revision: u8,
    /// Subsystem vendor ID.
    pub subsystem_vendor_id: u16,
    /// Subsystem ID.
    pub subsystem_id: u16,
}

impl Default for Identity {
    fn default() -> Self {
        Self {
            vendor_id: PCI_VENDOR_ID,
            device_id: PCI_DEVICE_ID_DUT,
            revision: 1,
            subsystem_vendor_id: PCI_VENDOR_ID,
            subsystem_id: PCI_DEVICE_ID_DUT,
        }
    }
}

impl Default for DeviceDescription {
    fn default() -> Self {
        Self {
            identity: Identity::default(),
            msix_vectors: DUT_MSIX_VECTORS,
            address_width: *ADDRESS_WIDTHS.end(),
        }
    }
}

/// Why a device file cannot be used.
#[derive(Debug, thiserror::Error)]
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
    /// It is no TOML, or has keys or types that are not ours.
    #[error("device file {}: {source}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The cause, with line, column and the line itself.
        source: Box<toml::de::Error>,
    },
    /// A value is out of its range.
    #[error("device file {}, line {line}, column {column}: {key} is {value}, but must be {wanted}",
        path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// The key.
        key: &'static str,
        /// Its value.
        value: i64,
        /// What it may be.
        wanted: String,
    },
}

/// Reads and checks the device file at `path`.
///
/// # Errors
/// Any [`DeviceFileError`].
pub fn read(path: &Path) -> Result<DeviceDescription, DeviceFileError> {
    use std::io::Read as _;

    let read_error = |source| DeviceFileError::Read {
        path: path.to_owned(),
        source,
    };
    let file = std::fs::File::open(path).map_err(read_error)?;
    let mut text = String::new();
    let n = file
        .take(MAX_FILE_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(read_error)?;
    if n as u64 > MAX_FILE_BYTES {
        return Err(DeviceFileError::TooLarge {
            path: path.to_owned(),
        });
    }
    parse(path, &text)
}

/// Checks the text of a device file; `path` is for messages alone.
///
/// # Errors
/// `Syntax` and `Value`.
pub fn parse(path: &Path, text: &str) -> Result<DeviceDescription, DeviceFileError> {
    let file: File = toml::from_str(text).map_err(|source| DeviceFileError::Syntax {
        path: path.to_owned(),
        source: Box::new(source),
    })?;
    let default = DeviceDescription::default();
    let check = |key, value: Option<Spanned<i64>>, range: RangeInclusive<u8>, default: u8| {
        let Some(value) = value else {
            return Ok(default);
        };
        u8::try_from(*value.get_ref())
            .ok()
            .filter(|number| range.contains(number))
            .ok_or_else(|| {
                let (line, column) = place(text, value.span());
                DeviceFileError::Value {
                    path: path.to_owned(),
                    line,
                    column,
                    key,
                    value: *value.get_ref(),
                    wanted: format!("{} to {}", range.start(), range.end()),
                }
            })
    };
    let most_vectors = u8::try_from(DUT_MSIX_VECTORS).unwrap_or(u8::MAX);
    Ok(DeviceDescription {
        identity: file.identity,
        msix_vectors: check(
            "interrupts.msix_vectors",
            file.interrupts.msix_vectors,
            0..=most_vectors,
            most_vectors,
        )?
        .into(),
        address_width: check(
            "dma.address_width",
            file.dma.address_width,
            ADDRESS_WIDTHS,
            default.address_width,
        )?,
    })
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    identity: Identity,
    interrupts: Interrupts,
    dma: Dma,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Interrupts {
    msix_vectors: Option<Spanned<i64>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Dma {
    address_width: Option<Spanned<i64>>,
}

/// Line and column, from 1, of the start of `span`.
fn place(text: &str, span: Range<usize>) -> (usize, usize) {
    let before = text.get(..span.start).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{DeviceDescription, parse};

    fn parse_error(text: &str) -> String {
        parse(Path::new("x.toml"), text)
            .expect_err("bad file")
            .to_string()
    }

    #[test]
    fn committed_example_is_the_built_in_device() {
        let text = include_str!("../devices/dmarig-dut.toml");
        let device = parse(Path::new("dmarig-dut.toml"), text).expect("valid");
        assert_eq!(device, DeviceDescription::default());
    }

    #[test]
    fn empty_file_is_the_built_in_device() {
        let device = parse(Path::new("empty.toml"), "").expect("valid");
        assert_eq!(device, DeviceDescription::default());
    }

    #[test]
    fn value_out_of_range_names_line_column_and_range() {
        let error = parse_error("[dma]\n  address_width = 65\n");
        assert_eq!(
            error,
            "device file x.toml, line 2, column 19: dma.address_width is 65, but must be 32 to 64"
        );
        let error = parse_error("[interrupts]\nmsix_vectors = -1\n");
        assert!(error.contains("line 2, column 16"), "{error}");
    }

    #[test]
    fn unknown_key_and_bad_syntax_name_the_line() {
        for text in [
            "[dma]\nwidth = 64\n",
            "[dma]\naddress_width = \n",
            "[identity]\nvendor_id = 65536\n",
        ] {
            let error = parse_error(text);
            assert!(error.contains("line 2"), "{error}");
        }
    }
}
