//! [`IovaRange`]: a half-open range of IOVAs that may end at 2^64.

use std::fmt;

use dmarig_abi::Iova;

/// From `start`, `len_bytes` long; what would pass 2^64 is cut off.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct IovaRange {
    start: Iova,
    len_bytes: u64,
}

impl IovaRange {
    /// Puts start and length together.
    #[must_use]
    pub fn new(start: Iova, len_bytes: u64) -> Self {
        // A start of 0 leaves 2^64 bytes, which no u64 length reaches.
        let most = 0_u64.wrapping_sub(start.raw());
        let len_bytes = if most == 0 {
            len_bytes
        } else {
            len_bytes.min(most)
        };
        Self { start, len_bytes }
    }

    /// The first byte.
    #[must_use]
    pub const fn start(self) -> Iova {
        self.start
    }

    /// The length in bytes.
    #[must_use]
    pub const fn len_bytes(self) -> u64 {
        self.len_bytes
    }

    /// Whether any byte is in both.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self.first() < other.end() && other.first() < self.end()
    }

    /// Whether all of `other` is inside.
    #[must_use]
    pub fn holds(self, other: Self) -> bool {
        self.first() <= other.first() && other.end() <= self.end()
    }

    fn first(self) -> u128 {
        self.start.raw().into()
    }

    fn end(self) -> u128 {
        self.first() + u128::from(self.len_bytes)
    }
}

impl fmt::Display for IovaRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IOVA {} (length {:#x})", self.start, self.len_bytes)
    }
}

impl fmt::Debug for IovaRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::{Iova, IovaRange};

    #[test]
    fn ranges_at_the_end_of_the_space_neither_wrap_nor_touch_zero() {
        let top = IovaRange::new(Iova::new(u64::MAX - 0xfff), 0x2000);
        assert_eq!(top.len_bytes(), 0x1000);
        assert!(top.overlaps(IovaRange::new(Iova::new(u64::MAX), 1)));
        assert!(!top.overlaps(IovaRange::new(Iova::new(0), 0x1000)));
        assert!(IovaRange::new(Iova::new(0), u64::MAX).holds(IovaRange::new(Iova::new(5), 7)));
    }

    #[test]
    fn neighbors_do_not_overlap() {
        let low = IovaRange::new(Iova::new(0x1000), 0x1000);
        let high = IovaRange::new(Iova::new(0x2000), 0x1000);
        assert!(!low.overlaps(high) && !high.overlaps(low));
        assert!(!low.holds(high) && low.holds(low));
    }
}
