//! From a checked file to a memory image ready to run at a given address.

use object::pe;

use super::error::PeError;
use super::file::PeFile;
use super::import::{self, Binding};
use super::{cookie, relocate};

/// What the kernel must know of a prepared image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// Address of the entry point.
    pub entry: u64,
    /// RVA and size of the function table (`.pdata`), if there is one.
    pub function_table: Option<(u32, u32)>,
}

/// Builds the image of `file` in `image` (zeroed, [`PeFile::image_bytes`] long) as it must look at the
/// address `base`.
///
/// # Errors
/// If a table of the file is damaged, or `binding` refuses an import.
///
/// # Panics
/// If `image` has another length.
pub fn prepare(
    file: &PeFile<'_>,
    image: &mut [u8],
    base: u64,
    random: u64,
    binding: &mut dyn Binding,
) -> Result<Prepared, PeError> {
    assert_eq!(
        image.len(),
        file.image_bytes() as usize,
        "the caller sizes the image by the file"
    );
    let header_bytes = file.header_bytes().min(file.data.len());
    image[..header_bytes].copy_from_slice(&file.data[..header_bytes]);
    for section in file.sections() {
        let start = section.rva as usize;
        // Both ranges were checked by `PeFile::parse`.
        image[start..start + section.file_bytes].copy_from_slice(
            &file.data[section.file_offset..section.file_offset + section.file_bytes],
        );
    }
    cookie::seed(file, image, random)?;
    relocate::relocate(file, image, base)?;
    import::bind(file, image, binding)?;
    Ok(Prepared {
        entry: base + u64::from(file.entry_rva()),
        function_table: file.directory(pe::IMAGE_DIRECTORY_ENTRY_EXCEPTION, "function table")?,
    })
}
