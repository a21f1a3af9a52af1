//! The `/GS` security cookie. Drivers built with `/GS` stop themselves (`int 29h`) at entry if the
//! loader has left the linker's default there.

use object::pe;

use super::error::PeError;
use super::file::PeFile;

/// What the compiler puts there; means "not seeded".
const DEFAULT_COOKIE: u64 = 0x2B99_2DDF_A232;
/// `IMAGE_LOAD_CONFIG_DIRECTORY64.SecurityCookie`.
const COOKIE_FIELD: usize = 0x58;
/// x64 cookies keep their high 16 bits clear.
const COOKIE_MASK: u64 = 0xffff_ffff_ffff;

/// Seeds the cookie of `image` with `random`, if the image has one. Call before relocation: the
/// directory names the cookie by its address at the preferred base.
pub(super) fn seed(file: &PeFile<'_>, image: &mut [u8], random: u64) -> Result<(), PeError> {
    let index = pe::IMAGE_DIRECTORY_ENTRY_LOAD_CONFIG;
    let Some((rva, size)) = file.directory(index, "load configuration")? else {
        return Ok(());
    };
    let field = rva as usize + COOKIE_FIELD;
    if (size as usize) < COOKIE_FIELD + 8 {
        return Ok(());
    }
    let Some(address) = read_u64(image, field).filter(|address| *address != 0) else {
        return Ok(());
    };
    let slot = address
        .checked_sub(file.preferred_base())
        .and_then(|offset| usize::try_from(offset).ok());
    let current = slot.and_then(|slot| read_u64(image, slot));
    let (Some(slot), Some(current)) = (slot, current) else {
        return Err(PeError::Field {
            field: "SecurityCookie",
            value: address,
            expected: "an address inside the image",
        });
    };
    if current == 0 || current == DEFAULT_COOKIE {
        image[slot..slot + 8].copy_from_slice(&seeded(random).to_le_bytes());
    }
    Ok(())
}

fn seeded(random: u64) -> u64 {
    match random & COOKIE_MASK {
        0 | DEFAULT_COOKIE => DEFAULT_COOKIE ^ 0x5DEE_CE66,
        cookie => cookie,
    }
}

fn read_u64(image: &[u8], offset: usize) -> Option<u64> {
    let bytes = image.get(offset..offset.checked_add(8)?)?;
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}
