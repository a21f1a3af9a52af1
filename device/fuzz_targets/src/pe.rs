//! The target that loads a driver file into the nt guest, as far as no hardware is needed.

use nt::pe::unwind::{FunctionTable, Memory, Registers, find_scope, unwind_frame};
use nt::pe::{Binding, Import, PeError, PeFile, Prepared, prepare};

/// Where the image is put, as the loader does.
const BASE: u64 = 0xffff_f800_0000_0000;
/// Largest image that is built; a larger one says nothing new.
const MAX_IMAGE_BYTES: u32 = 1 << 20;
/// Frames that are undone from one address.
const MAX_FRAMES: usize = 16;
/// Addresses in the image from which the walk begins.
const STARTS: u32 = 16;

/// A driver file: its image is laid out, relocated and bound; then frames are undone from places all over it, with
/// the image as the stack.
pub fn pe(data: &[u8]) {
    let words = words(data);
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let Some(file) = aligned(&bytes) else {
        return;
    };
    let Ok(parsed) = PeFile::parse(file) else {
        return;
    };
    if parsed.image_bytes() > MAX_IMAGE_BYTES {
        return;
    }
    let mut image = vec![0; parsed.image_bytes() as usize];
    let mut names = Names::default();
    if let Ok(prepared) = prepare(&parsed, &mut image, BASE, 0x1234_5678_9abc, &mut names) {
        assert!(
            (BASE..BASE + u64::from(parsed.image_bytes())).contains(&prepared.entry),
            "{prepared:?}"
        );
        walk(&Image(image), prepared);
    }
}

/// Whole words of eight bytes, the last one filled with zeros.
fn words(data: &[u8]) -> Vec<u64> {
    let word = |chunk: &[u8]| {
        let mut bytes = [0; 8];
        bytes[..chunk.len()].copy_from_slice(chunk);
        u64::from_le_bytes(bytes)
    };
    data.chunks(8).map(word).collect()
}

/// The part of it that lies as the reader wants it.
fn aligned(bytes: &[u8]) -> Option<&[u8]> {
    bytes.get(bytes.as_ptr().align_offset(8)..)
}

/// Gives each import an address, and refuses what has no name.
#[derive(Default)]
struct Names(u64);

impl Binding for Names {
    fn bind(&mut self, import: Import<'_>) -> Result<u64, PeError> {
        self.0 += 16;
        assert!(!import.name.contains('\0'), "{:?}", import.name);
        Ok(BASE - self.0)
    }
}

/// An image at [`BASE`].
struct Image(Vec<u8>);

impl Memory for Image {
    fn read(&self, address: u64, bytes: &mut [u8]) -> bool {
        let start = address
            .checked_sub(BASE)
            .and_then(|start| usize::try_from(start).ok());
        let content = start.and_then(|start| self.0.get(start..start.checked_add(bytes.len())?));
        content.is_some_and(|content| {
            bytes.copy_from_slice(content);
            true
        })
    }
}

fn walk(image: &Image, prepared: Prepared) {
    let Some((rva, len_bytes)) = prepared.function_table else {
        return;
    };
    let table = FunctionTable {
        image_base: BASE,
        rva,
        len_bytes,
    };
    let size = u32::try_from(image.0.len()).expect("it is bounded");
    for start in 0..STARTS {
        let start = BASE + u64::from(size / STARTS * start);
        let mut registers = Registers {
            general: [start; 16],
            xmm: [[0; 2]; 16],
            rip: start,
        };
        for _ in 0..MAX_FRAMES {
            let Ok(frame) = unwind_frame(image, table, &mut registers) else {
                break;
            };
            let rva = u32::try_from(frame.control_pc.wrapping_sub(BASE)).unwrap_or(u32::MAX);
            if let Some(handler) = frame.handler {
                // Damaged scopes are refused, as are damaged frames.
                let _ = find_scope(image, handler.data, rva, 0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The seed must be a driver, or the target looks at headers alone.
    #[test]
    fn seed_is_loaded_and_walked() {
        let seed = include_bytes!("../corpus/pe/driver");
        let words = words(seed);
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let file = aligned(&bytes).expect("it lies well");
        let parsed = PeFile::parse(file).expect("a driver");
        let mut image = vec![0; parsed.image_bytes() as usize];
        let mut names = Names::default();
        let prepared = prepare(&parsed, &mut image, BASE, 1, &mut names).expect("a driver");
        assert!(names.0 > 0, "it imports nothing");
        let (rva, len_bytes) = prepared.function_table.expect("a function table");
        let first = &image[rva as usize..][..4];
        let rip = BASE + u64::from(u32::from_le_bytes(first.try_into().expect("4 bytes")));
        let mut registers = Registers {
            general: [BASE; 16],
            xmm: [[0; 2]; 16],
            rip: rip + 1,
        };
        let table = FunctionTable {
            image_base: BASE,
            rva,
            len_bytes,
        };
        let frame = unwind_frame(&Image(image), table, &mut registers).expect("a frame");
        assert_ne!(frame.function_entry, 0, "{frame:?}");
    }
}
