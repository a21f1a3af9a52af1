//! The import table: names out, addresses in.

use alloc::string::{String, ToString};

use object::LittleEndian as LE;
use object::pe::{ImageImportDescriptor, ImageNtHeaders64};
use object::read::pe::{Import as Thunk, ImportTable};

use super::error::PeError;
use super::file::PeFile;

/// Most imports of one image; the largest real drivers have a few hundred.
const MAX_IMPORTS: usize = 8192;
const MAX_NAME_BYTES: usize = 256;

/// One imported routine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Import<'file> {
    /// Library as the file spells it.
    pub dll: &'file str,
    /// Name of the routine or variable.
    pub name: &'file str,
}

/// Says which address an import gets; an error fails the load.
pub trait Binding {
    /// The address to store for `import`.
    ///
    /// # Errors
    /// If the load must fail for want of it.
    fn bind(&mut self, import: Import<'_>) -> Result<u64, PeError>;
}

/// Writes the address of every import into `image`.
pub(super) fn bind(
    file: &PeFile<'_>,
    image: &mut [u8],
    binding: &mut dyn Binding,
) -> Result<(), PeError> {
    let malformed = |error| PeError::malformed("import table", error);
    let Some(table) = file.parsed.import_table().map_err(malformed)? else {
        return Ok(());
    };
    let mut n_imports = 0;
    let mut descriptors = table.descriptors().map_err(malformed)?;
    while let Some(descriptor) = descriptors.next().map_err(malformed)? {
        let dll = text(table.name(descriptor.name.get(LE)).map_err(malformed)?)?;
        bind_library(&table, descriptor, dll, &mut n_imports, image, binding)?;
    }
    Ok(())
}

fn bind_library(
    table: &ImportTable<'_>,
    descriptor: &ImageImportDescriptor,
    dll: &str,
    n_imports: &mut usize,
    image: &mut [u8],
    binding: &mut dyn Binding,
) -> Result<(), PeError> {
    let malformed = |error| PeError::malformed("import table", error);
    let names = match descriptor.original_first_thunk.get(LE) {
        0 => descriptor.first_thunk.get(LE),
        rva => rva,
    };
    let mut thunks = table.thunks(names).map_err(malformed)?;
    let mut slot = descriptor.first_thunk.get(LE) as usize;
    while let Some(thunk) = thunks.next::<ImageNtHeaders64>().map_err(malformed)? {
        *n_imports += 1;
        if *n_imports > MAX_IMPORTS {
            return Err(damaged("more than 8192 imports"));
        }
        let name = match table.import::<ImageNtHeaders64>(thunk).map_err(malformed)? {
            Thunk::Name(_, name) => text(name)?,
            Thunk::Ordinal(ordinal) => {
                let dll = dll.to_string();
                return Err(PeError::ImportByOrdinal { dll, ordinal });
            }
        };
        let address = binding.bind(Import { dll, name })?;
        slot.checked_add(8)
            .and_then(|end| image.get_mut(slot..end))
            .ok_or_else(|| damaged("an address slot lies outside the image"))?
            .copy_from_slice(&address.to_le_bytes());
        slot += 8;
    }
    Ok(())
}

fn text(bytes: &[u8]) -> Result<&str, PeError> {
    if bytes.is_empty() || bytes.len() > MAX_NAME_BYTES || !bytes.iter().all(u8::is_ascii_graphic) {
        return Err(damaged("a name is empty, too long or not printable ASCII"));
    }
    core::str::from_utf8(bytes).map_err(|_| damaged("a name is not ASCII"))
}

fn damaged(detail: &str) -> PeError {
    PeError::Malformed {
        part: "import table",
        detail: String::from(detail),
    }
}
