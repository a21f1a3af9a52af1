//! The boot archive: a cpio archive of the "newc" form, files found by name. Read-only, and every number in
//! it is taken as a claim.

use core::fmt;

const HEADER_BYTES: usize = 110;
const MAGIC: &[u8; 6] = b"070701";
const TRAILER: &str = "TRAILER!!!";
/// Files that an archive may hold.
const MAX_FILES: usize = 256;
/// Longest name.
const MAX_NAME_BYTES: usize = 256;

/// An archive in memory.
#[derive(Clone, Copy, Debug)]
pub struct Archive<'bytes> {
    bytes: &'bytes [u8],
}

/// One file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct File<'bytes> {
    /// Its name, as in `drivers/dmarig.sys`.
    pub name: &'bytes str,
    /// What it holds.
    pub content: &'bytes [u8],
}

/// Why an archive is refused; the number is the offset of the entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArchiveError {
    /// It ends inside an entry, or without a trailer.
    Truncated(usize),
    /// An entry does not start with the magic number of newc.
    BadMagic(usize),
    /// A field is not hexadecimal, or a name is not UTF-8, empty or too long.
    BadField(usize),
    /// More files than an archive may hold.
    TooManyFiles,
}

impl<'bytes> Archive<'bytes> {
    /// Checks the whole archive.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub fn parse(bytes: &'bytes [u8]) -> Result<Self, ArchiveError> {
        let mut offset = 0;
        for _ in 0..=MAX_FILES {
            match entry_at(bytes, offset)? {
                None => return Ok(Self { bytes }),
                Some((_, next)) => offset = next,
            }
        }
        Err(ArchiveError::TooManyFiles)
    }

    /// The content of the file of that name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&'bytes [u8]> {
        self.files()
            .find(|file| file.name == name)
            .map(|file| file.content)
    }

    /// All files, in order.
    pub fn files(&self) -> impl Iterator<Item = File<'bytes>> + use<'bytes> {
        let bytes = self.bytes;
        let mut offset = 0;
        core::iter::from_fn(move || {
            // `parse` has been through all of it, so an error cannot come.
            let (file, next) = entry_at(bytes, offset).ok()??;
            offset = next;
            Some(file)
        })
    }
}

impl fmt::Display for ArchiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated(at) => write!(f, "boot archive: cut off in the entry at {at:#x}"),
            Self::BadMagic(at) => write!(f, "boot archive: no newc entry at {at:#x}"),
            Self::BadField(at) => write!(f, "boot archive: bad field in the entry at {at:#x}"),
            Self::TooManyFiles => write!(f, "boot archive: more than {MAX_FILES} files"),
        }
    }
}

/// The file at `offset` and the offset of the next one; `None` at the trailer.
fn entry_at(bytes: &[u8], offset: usize) -> Result<Option<(File<'_>, usize)>, ArchiveError> {
    let truncated = ArchiveError::Truncated(offset);
    let bad_field = ArchiveError::BadField(offset);
    let header = slice(bytes, offset, HEADER_BYTES).ok_or(truncated)?;
    if !header.starts_with(MAGIC) {
        return Err(ArchiveError::BadMagic(offset));
    }
    let content_len = hex_field(header, 6).ok_or(bad_field)?;
    let name_len = hex_field(header, 11).ok_or(bad_field)?;
    if name_len == 0 || name_len > MAX_NAME_BYTES {
        return Err(bad_field);
    }
    let name_at = offset + HEADER_BYTES;
    let name = slice(bytes, name_at, name_len).ok_or(truncated)?;
    let name = name.strip_suffix(b"\0").ok_or(bad_field)?;
    let name = core::str::from_utf8(name).map_err(|_| bad_field)?;
    if name == TRAILER {
        return Ok(None);
    }
    let content_at = (name_at + name_len).next_multiple_of(4);
    let content = slice(bytes, content_at, content_len).ok_or(truncated)?;
    let next = (content_at + content_len).next_multiple_of(4);
    Ok(Some((File { name, content }, next)))
}

fn slice(bytes: &[u8], offset: usize, len: usize) -> Option<&[u8]> {
    bytes.get(offset..)?.get(..len)
}

/// Field `idx` of the 13 that follow the magic number, each of 8 hexadecimal digits.
fn hex_field(header: &[u8], idx: usize) -> Option<usize> {
    let digits = slice(header, MAGIC.len() + idx * 8, 8)?;
    digits.iter().try_fold(0, |value, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        Some(value << 4 | digit as usize)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::format;
    use std::string::String;
    use std::vec::Vec;

    fn entry(archive: &mut Vec<u8>, name: &str, content: &[u8]) {
        let mut fields = [0; 13];
        fields[6] = content.len();
        fields[11] = name.len() + 1;
        let digits: String = fields.iter().map(|field| format!("{field:08x}")).collect();
        archive.extend_from_slice(format!("070701{digits}{name}\0").as_bytes());
        archive.resize(archive.len().next_multiple_of(4), 0);
        archive.extend_from_slice(content);
        archive.resize(archive.len().next_multiple_of(4), 0);
    }

    fn sample() -> Vec<u8> {
        let mut archive = Vec::new();
        entry(&mut archive, "drivers/dmarig.sys", b"MZ of a kind");
        entry(&mut archive, "programs/start-device.bin", b"");
        entry(&mut archive, TRAILER, b"");
        archive
    }

    #[test]
    fn files_are_found_by_name() {
        let bytes = sample();
        let archive = Archive::parse(&bytes).expect("well-formed");
        assert_eq!(
            archive.find("drivers/dmarig.sys"),
            Some(&b"MZ of a kind"[..])
        );
        assert_eq!(archive.find("programs/start-device.bin"), Some(&b""[..]));
        assert_eq!(archive.find("drivers"), None);
        assert_eq!(archive.files().count(), 2);
    }

    #[test]
    fn archive_cut_anywhere_is_refused() {
        let bytes = sample();
        let trailer = bytes
            .windows(TRAILER.len())
            .rposition(|part| part == TRAILER.as_bytes());
        // The padding behind the trailer is not missed.
        let needed = trailer.expect("there is one") + TRAILER.len() + 1;
        for len in 0..needed {
            assert!(Archive::parse(&bytes[..len]).is_err(), "{len}");
        }
    }

    #[test]
    fn broken_entries_are_named() {
        let broken = |at: usize, value: &[u8]| {
            let mut bytes = sample();
            bytes[at..at + value.len()].copy_from_slice(value);
            Archive::parse(&bytes).expect_err("broken")
        };
        assert_eq!(broken(0, b"x"), ArchiveError::BadMagic(0));
        assert_eq!(broken(54, b"ffffffff"), ArchiveError::Truncated(0));
        assert_eq!(broken(54, b"0000000g"), ArchiveError::BadField(0));
        assert_eq!(broken(94, b"00000000"), ArchiveError::BadField(0));
        assert_eq!(broken(94, b"ffffffff"), ArchiveError::BadField(0));
        assert_eq!(broken(110, b"\xFF"), ArchiveError::BadField(0));
    }

    #[test]
    fn too_many_files_are_refused() {
        let mut bytes = Vec::new();
        for _ in 0..=MAX_FILES {
            entry(&mut bytes, "a", b"");
        }
        entry(&mut bytes, TRAILER, b"");
        assert_eq!(
            Archive::parse(&bytes).err(),
            Some(ArchiveError::TooManyFiles)
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_without_panic(
            flips in proptest::collection::vec((0usize..400, any::<u8>()), 0..8),
        ) {
            let mut bytes = sample();
            for (at, value) in flips {
                let len = bytes.len();
                bytes[at % len] = value;
            }
            if let Ok(archive) = Archive::parse(&bytes) {
                prop_assert!(archive.files().count() <= MAX_FILES);
            }
        }
    }
}
