//! Base relocations.

use object::LittleEndian as LE;
use object::pe;

use super::error::PeError;
use super::file::PeFile;

/// Moves `image`, laid out from `file`, to the address `base`.
pub(super) fn relocate(file: &PeFile<'_>, image: &mut [u8], base: u64) -> Result<(), PeError> {
    let delta = base.wrapping_sub(file.preferred_base());
    if delta == 0 {
        return Ok(());
    }
    let characteristics = file.parsed.nt_headers().file_header.characteristics.get(LE);
    if characteristics.contains(pe::IMAGE_FILE_RELOCS_STRIPPED) {
        return Err(PeError::NotRelocatable);
    }
    // A driver without absolute addresses has an empty table; that is no error.
    let index = pe::IMAGE_DIRECTORY_ENTRY_BASERELOC;
    if file.directory(index, "base relocation table")?.is_none() {
        return Ok(());
    }
    let malformed = |error| PeError::malformed("base relocation table", error);
    let blocks = file
        .parsed
        .data_directories()
        .relocation_blocks(file.data, &file.parsed.section_table())
        .map_err(malformed)?;
    let Some(mut blocks) = blocks else {
        return Ok(());
    };
    while let Some(block) = blocks.next().map_err(malformed)? {
        for relocation in block {
            apply(image, relocation.virtual_address, relocation.typ.0, delta)?;
        }
    }
    Ok(())
}

fn apply(image: &mut [u8], rva: u32, kind: u16, delta: u64) -> Result<(), PeError> {
    let refused = PeError::Relocation { rva, kind };
    match kind {
        // Padding.
        0 => Ok(()),
        // IMAGE_REL_BASED_DIR64.
        10 => {
            let start = rva as usize;
            let slot = image
                .get_mut(start..start.saturating_add(8))
                .ok_or_else(|| refused.clone())?;
            let bytes: [u8; 8] = (&*slot).try_into().map_err(|_| refused)?;
            slot.copy_from_slice(&u64::from_le_bytes(bytes).wrapping_add(delta).to_le_bytes());
            Ok(())
        }
        _ => Err(refused),
    }
}
