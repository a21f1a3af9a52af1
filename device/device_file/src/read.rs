//! From the bytes of a device file to a checked description.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::description::DeviceDescription;
use crate::error::{DeviceFileError, Located};
use crate::problem::Problems;

/// Largest device file that is read.
pub const MAX_FILE_BYTES: u64 = 64 * 1024;

/// Reads and checks the device file at `path`.
///
/// # Errors
/// Any [`DeviceFileError`].
pub fn read(path: &Path) -> Result<DeviceDescription, DeviceFileError> {
    let read_error = |source| DeviceFileError::Read {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(read_error)?;
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
/// [`DeviceFileError::Content`].
pub fn parse(path: &Path, text: &str) -> Result<DeviceDescription, DeviceFileError> {
    let content = |problems| DeviceFileError::Content {
        path: path.to_owned(),
        problems,
    };
    let description: DeviceDescription =
        toml::from_str(text).map_err(|error| content(vec![syntax(text, &error)]))?;
    let mut problems = Problems::default();
    description.check(&mut problems);
    let problems = problems.into_inner();
    if problems.is_empty() {
        return Ok(description);
    }
    // Parsed a second time, for the places alone: only what is wrong pays for it.
    let tree = DeTable::parse(text).map_err(|error| content(vec![syntax(text, &error)]))?;
    let root = Spanned::new(tree.span(), DeValue::Table(tree.into_inner()));
    let locate = |problem: crate::problem::Problem| {
        let what = format!("{} {}", problem.at, problem.what);
        Located::new(text, problem.at.span(&root), what, problem.help)
    };
    Err(content(problems.into_iter().map(locate).collect()))
}

fn syntax(text: &str, error: &toml::de::Error) -> Located {
    let help = "docs/device-file.md lists every key with its values".to_owned();
    let span = error.span().unwrap_or(0..0);
    Located::new(text, span, error.message().to_owned(), help)
}
