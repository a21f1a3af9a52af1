//! Which driver images lie where, so that an address can be named as `module+0xrva`.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::guarded::Guarded;

/// One loaded image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// File name, as in `dmarig.sys`.
    pub name: String,
    /// First address.
    pub base: u64,
    /// Length of the whole image.
    pub len_bytes: u64,
}

static IMAGES: Guarded<Vec<Image>> = Guarded::new(Vec::new());

/// Notes a loaded image.
pub fn register(image: Image) {
    IMAGES.with(|images| images.push(image));
}

/// Forgets the image at `base`.
pub fn unregister(base: u64) {
    IMAGES.with(|images| images.retain(|image| image.base != base));
}

/// Whether the address lies in a driver image.
#[must_use]
pub fn contains(address: u64) -> bool {
    IMAGES
        .try_with(|images| {
            images
                .iter()
                .any(|image| image.offset_of(address).is_some())
        })
        .unwrap_or(false)
}

/// The offset of an address in the driver image that holds it.
#[must_use]
pub fn rva_of(address: u64) -> Option<u64> {
    IMAGES
        .try_with(|images| images.iter().find_map(|image| image.offset_of(address)))
        .flatten()
}

/// Writes `module+0xrva`, or the bare address where no image holds it. Allocates nothing.
#[derive(Clone, Copy, Debug)]
pub struct Symbolic(pub u64);

impl fmt::Display for Symbolic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let written = IMAGES.try_with(|images| {
            images.iter().find_map(|image| {
                let rva = image.offset_of(self.0)?;
                Some(write!(f, "{}+{rva:#x}", image.name))
            })
        });
        written
            .flatten()
            .unwrap_or_else(|| write!(f, "{:#x}", self.0))
    }
}

impl Image {
    fn offset_of(&self, address: u64) -> Option<u64> {
        address
            .checked_sub(self.base)
            .filter(|rva| *rva < self.len_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn address_in_an_image_is_named_and_any_other_is_bare() {
        register(Image {
            name: "a.sys".to_string(),
            base: 0x5000_0000,
            len_bytes: 0x2000,
        });

        assert_eq!(Symbolic(0x5000_1234).to_string(), "a.sys+0x1234");
        assert_eq!(Symbolic(0x5000_2000).to_string(), "0x50002000");
        assert!(contains(0x5000_0000));
        assert_eq!(rva_of(0x5000_1234), Some(0x1234));
        assert_eq!(rva_of(0x5000_2000), None);

        unregister(0x5000_0000);
        assert!(!contains(0x5000_0000));
    }
}
