//! Loads a driver image into the upper half: memory, relocation, imports, protections, registration.
#![expect(unsafe_code, reason = "an image under construction as a byte slice")]

use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use super::{exports, missing, verifier};
use crate::arch::guarded::Guarded;
use crate::arch::images::{self, Image};
use crate::call_faults;
use crate::console::Event;
use crate::ke::time;
use crate::memory::{self, MemoryError, Protection, VirtAddr};
use crate::pe::unwind::FunctionTable;
use crate::pe::{Binding, Import, PeError, PeFile, prepare};

const PAGE_BYTES: u64 = 0x1000;

/// A loaded image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// First address.
    pub base: u64,
    /// Length.
    pub len_bytes: u32,
    /// Entry point.
    pub entry: u64,
    function_table: Option<(u32, u32)>,
}

/// Why an image is not loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadError {
    /// The file is bad, or lacks something.
    File(PeError),
    /// No memory for it.
    Memory(MemoryError),
}

impl LoadError {
    /// How to mend it.
    #[must_use]
    pub fn help(&self) -> &'static str {
        match self {
            Self::File(error) => error.help(),
            Self::Memory(_) => "give the guest more memory",
        }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error) => error.fmt(f),
            Self::Memory(error) => write!(f, "no memory for the image ({error:?})"),
        }
    }
}

static LOADED: Guarded<Vec<Loaded>> = Guarded::new(Vec::new());

/// The function table of the image that holds `address`.
pub(super) fn function_table(address: u64) -> Option<FunctionTable> {
    LOADED.with(|loaded| {
        let image = loaded.iter().find(|image| {
            address
                .checked_sub(image.base)
                .is_some_and(|offset| offset < image.len_bytes.into())
        })?;
        let (rva, len_bytes) = image.function_table.unwrap_or((0, 0));
        Some(FunctionTable {
            image_base: image.base,
            rva,
            len_bytes,
        })
    })
}

/// Loads the image in `data`; `name` is the file's name.
///
/// # Errors
/// [`LoadError`]; nothing of the image is left then.
pub fn load(name: &str, data: &[u8], is_strict: bool) -> Result<Loaded, LoadError> {
    let words = aligned(data);
    let file = PeFile::parse(&zerocopy::IntoBytes::as_bytes(words.as_slice())[..data.len()])
        .map_err(LoadError::File)?;
    if !file.has_checksum() {
        verifier::finding(
            "image-without-checksum",
            format_args!("{name}: Windows refuses drivers whose checksum is 0"),
        );
    }
    let len_bytes = file.image_bytes();
    let start =
        memory::allocate_image(u64::from(len_bytes) / PAGE_BYTES).map_err(LoadError::Memory)?;
    let loaded = build(name, &file, start, is_strict).inspect_err(|_| {
        // The pages are ours alone and known to the allocator.
        let _ = memory::free_image(start);
    })?;
    images::register(Image {
        name: name.to_string(),
        base: loaded.base,
        len_bytes: len_bytes.into(),
    });
    LOADED.with(|all| all.push(loaded.clone()));
    Event::new("image")
        .text("name", name)
        .hex("base", loaded.base)
        .hex("size", len_bytes.into())
        .send();
    Ok(loaded)
}

/// Unloads an image.
pub fn unload(loaded: &Loaded) {
    LOADED.with(|all| all.retain(|image| image.base != loaded.base));
    images::unregister(loaded.base);
    // Known to the allocator since `load`.
    let _ = memory::free_image(VirtAddr::new(loaded.base));
}

fn build(
    name: &str,
    file: &PeFile<'_>,
    start: VirtAddr,
    is_strict: bool,
) -> Result<Loaded, LoadError> {
    let base = start.as_u64();
    let len_bytes = file.image_bytes();
    // SAFETY: `allocate_image` gave these pages, zeroed and writable, to nobody else.
    let image =
        unsafe { core::slice::from_raw_parts_mut(start.as_mut_ptr::<u8>(), len_bytes as usize) };
    let mut binding = Exports {
        image: name,
        is_strict,
    };
    let random = time::performance_counter().wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let prepared = prepare(file, image, base, random, &mut binding).map_err(LoadError::File)?;
    protect(name, file, start).map_err(LoadError::Memory)?;
    Ok(Loaded {
        base,
        len_bytes,
        entry: prepared.entry,
        function_table: prepared.function_table,
    })
}

/// Headers and gaps are read-only; each section gets what its characteristics say.
fn protect(name: &str, file: &PeFile<'_>, start: VirtAddr) -> Result<(), MemoryError> {
    memory::protect(
        start,
        u64::from(file.image_bytes()) / PAGE_BYTES,
        Protection::ReadOnly,
    )?;
    for section in file.sections() {
        let protection = match (section.protection.writable, section.protection.executable) {
            (false, false) => Protection::ReadOnly,
            (true, false) => Protection::ReadWrite,
            (false, true) => Protection::Execute,
            (true, true) => {
                verifier::finding(
                    "image-section-writable-and-executable",
                    format_args!("{name}: section at RVA {:#x}; HVCI refuses it", section.rva),
                );
                Protection::ReadWriteExecute
            }
        };
        let pages = u64::from(section.image_bytes) / PAGE_BYTES;
        if pages > 0 {
            memory::protect(start + u64::from(section.rva), pages, protection)?;
        }
    }
    Ok(())
}

/// Binds imports to the table of exports, the rest to reporting thunks.
struct Exports<'load> {
    image: &'load str,
    is_strict: bool,
}

impl Binding for Exports<'_> {
    fn bind(&mut self, import: Import<'_>) -> Result<u64, PeError> {
        if exports::is_known_library(import.dll)
            && let Some(address) = exports::find(import.name)
        {
            return Ok(call_faults::bind_export(import.name, address));
        }
        match missing::bind(self.image, import) {
            address if address != 0 && !self.is_strict => Ok(address),
            _ => Err(PeError::MissingImport {
                dll: import.dll.to_string(),
                name: import.name.to_string(),
            }),
        }
    }
}

/// A copy in 8-byte words, for the parser's structures want alignment.
fn aligned(data: &[u8]) -> Vec<u64> {
    let mut words = vec![0u64; data.len().div_ceil(8)];
    zerocopy::IntoBytes::as_mut_bytes(words.as_mut_slice())[..data.len()].copy_from_slice(data);
    words
}
