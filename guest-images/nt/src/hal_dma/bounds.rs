//! Address bounds of a common buffer: the adapter's width, the caller's limits, both ends inclusive.

/// An inclusive range of addresses a buffer must lie in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Lowest first byte.
    pub minimum: u64,
    /// Highest last byte.
    pub maximum: u64,
}

impl Bounds {
    /// What an adapter of `width_bits` (1 to 64) reaches.
    #[must_use]
    pub const fn of_width(width_bits: u32) -> Self {
        let maximum = match width_bits {
            0..64 => (1 << width_bits) - 1,
            _ => u64::MAX,
        };
        Self {
            minimum: 0,
            maximum,
        }
    }

    /// What lies in both.
    #[must_use]
    pub fn within(self, other: Self) -> Self {
        Self {
            minimum: self.minimum.max(other.minimum),
            maximum: self.maximum.min(other.maximum),
        }
    }

    /// Whether `len_bytes` bytes from `start` on lie inside.
    #[must_use]
    pub fn hold(self, start: u64, len_bytes: u64) -> bool {
        len_bytes > 0
            && start >= self.minimum
            && start
                .checked_add(len_bytes - 1)
                .is_some_and(|last| last <= self.maximum)
    }

    /// Whether page-aligned room for `len_bytes` bytes exists inside at all (AB-9, CM-16).
    #[must_use]
    pub fn have_room(self, len_bytes: u64) -> bool {
        self.minimum
            .checked_next_multiple_of(crate::mdl::PAGE_BYTES)
            .is_some_and(|start| self.hold(start, len_bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn width_is_the_number_of_address_bits() {
        assert_eq!(Bounds::of_width(24).maximum, 0xff_ffff);
        assert_eq!(Bounds::of_width(63).maximum, u64::MAX >> 1);
        assert_eq!(Bounds::of_width(64).maximum, u64::MAX);
    }

    #[test]
    fn both_ends_are_inclusive() {
        let bounds = Bounds {
            minimum: 0x1000,
            maximum: 0x2fff,
        };
        let check =
            |start, len, expected| assert_eq!(bounds.hold(start, len), expected, "{start:#x}");
        check(0x1000, 0x2000, true);
        check(0x0fff, 1, false);
        check(0x1000, 0x2001, false);
        check(0x2fff, 1, true);
        check(0x1000, 0, false);
        check(u64::MAX, 2, false);
    }

    #[test]
    fn impossible_bounds_have_no_room() {
        let check = |minimum, maximum, len, expected| {
            assert_eq!(Bounds { minimum, maximum }.have_room(len), expected);
        };
        check(0x3000, 0x2000, 1, false);
        check(0x1000, 0x1ffe, 0x1000, false);
        check(0x1000, 0x1fff, 0x1000, true);
        check(0x1001, 0x2fff, 0x1000, true);
        check(0x1001, 0x2ffe, 0x1000, false);
        check(u64::MAX, u64::MAX, 1, false);
    }
}
