//! The few header fields of a PE image that the linker leaves undone: the time stamp, which is set
//! to zero so that equal sources give equal bytes, and the checksum, which Windows demands of drivers.

use anyhow::{Context, Result, bail, ensure};

/// Offset of the field that points at the PE signature.
const LFANEW: usize = 0x3c;
/// Offset of the time stamp from the PE signature (COFF header).
const TIMESTAMP: usize = 8;
/// Offset of the checksum from the PE signature (optional header, both PE32 and PE32+).
const CHECKSUM: usize = 24 + 64;

/// Sets the time stamp to zero and the checksum to its right value.
///
/// # Errors
/// The bytes are no PE image.
pub fn finish(image: &mut [u8]) -> Result<()> {
    let header = pe_offset(image)?;
    image[header + TIMESTAMP..header + TIMESTAMP + 4].fill(0);
    let sum = checksum(image)?;
    image[header + CHECKSUM..header + CHECKSUM + 4].copy_from_slice(&sum.to_le_bytes());
    Ok(())
}

/// The checksum of `image`: a sum of its 16-bit words with end-around carry, with the checksum
/// field taken as zero, plus the length of the file.
///
/// # Errors
/// The bytes are no PE image, or the file is 4 GiB or longer.
pub fn checksum(image: &[u8]) -> Result<u32> {
    let field = pe_offset(image)? + CHECKSUM;
    let mut sum = 0_u32;
    for (index, pair) in image.chunks(2).enumerate() {
        let offset = index * 2;
        let word = if (field..field + 4).contains(&offset) {
            0
        } else {
            u32::from(pair[0]) | u32::from(pair.get(1).copied().unwrap_or(0)) << 8
        };
        sum += word;
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let length = u32::try_from(image.len()).context("the image is longer than 4 GiB")?;
    Ok(sum + length)
}

/// The checksum that stands in the header.
///
/// # Errors
/// The bytes are no PE image.
pub fn stored_checksum(image: &[u8]) -> Result<u32> {
    let field = pe_offset(image)? + CHECKSUM;
    let bytes = image[field..field + 4].try_into().context("four bytes")?;
    Ok(u32::from_le_bytes(bytes))
}

/// Offset of the PE signature; the headers up to the checksum are inside the file.
fn pe_offset(image: &[u8]) -> Result<usize> {
    let Some(bytes) = image.get(LFANEW..LFANEW + 4) else {
        bail!("{} bytes are too few for a PE image", image.len());
    };
    let offset = u32::from_le_bytes(bytes.try_into().context("four bytes")?) as usize;
    let signature = image.get(offset..).and_then(|rest| rest.get(..4));
    ensure!(
        signature == Some(b"PE\0\0"),
        "no PE signature at offset {offset:#x}"
    );
    ensure!(
        offset.is_multiple_of(2),
        "PE header at odd offset {offset:#x}"
    );
    ensure!(
        image.len() >= offset + CHECKSUM + 4,
        "the PE header at {offset:#x} is cut off"
    );
    Ok(offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The smallest image that has all fields: signature at 0x40.
    fn image() -> Vec<u8> {
        let mut image = vec![0_u8; 0x40 + CHECKSUM + 4 + 3];
        image[LFANEW] = 0x40;
        image[0x40..0x44].copy_from_slice(b"PE\0\0");
        image
    }

    #[test]
    fn finished_image_holds_its_checksum_and_no_time() {
        let mut image = image();
        image[0x48..0x4c].fill(0x77);
        finish(&mut image).expect("a PE image");
        assert_eq!(&image[0x48..0x4c], &[0; 4]);
        assert_eq!(stored_checksum(&image).ok(), checksum(&image).ok());
        // 0x40 + "PE" as one word + the length.
        assert_eq!(stored_checksum(&image).ok(), Some(0x40 + 0x4550 + 0x9f));
    }

    #[test]
    fn bytes_that_are_no_image_are_refused() {
        for bytes in [&[][..], &[0; 0x3f], &[0xff; 0x200], &[0; 0x200]] {
            assert!(checksum(bytes).is_err());
        }
        let mut cut = image();
        cut.truncate(0x60);
        assert!(finish(&mut cut).is_err());
    }
}
