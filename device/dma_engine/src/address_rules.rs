//! [`AddressRules`]: which addresses the device can use, and what becomes of the others.
//!
//! Real devices do one of two things with an address that their counters cannot hold: they refuse it, or
//! they use the bits that they have and move bytes somewhere else. Both are here, as the device file says.

use dmarig_abi::Iova;
use dmarig_abi::completion::{DMA_STATUS_ADDRESS, DMA_STATUS_ALIGNMENT, DMA_STATUS_BOUNDARY};

/// What the device does with an address that has too many bits, or is not aligned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Breach {
    /// It ends the request with `DMA_STATUS_ADDRESS` or `DMA_STATUS_ALIGNMENT`.
    #[default]
    Refuse,
    /// It drops the bits that it has no lines for, and goes on at 0 behind its last address.
    Truncate,
}

/// What the device does with a range that crosses its boundary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Crossing {
    /// It splits its requests there; the range is as good as any.
    #[default]
    Split,
    /// It ends the request with `DMA_STATUS_BOUNDARY`.
    Refuse,
    /// Its counter has no more bits: it goes on where the block between two boundaries begins.
    Wrap,
}

/// The rules of one device. Rings and lists are refused where they do not fit, or have their upper
/// bits dropped; alignment and boundary are about payload alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressRules {
    /// Address bits that the device drives, 1 to 64.
    pub width_bits: u8,
    /// What a payload address is to be a multiple of: a power of two.
    pub alignment_bytes: u64,
    /// The boundary, a power of two; 0 for none.
    pub boundary_bytes: u64,
    /// What becomes of an address with too many bits or not aligned.
    pub breach: Breach,
    /// What becomes of a range across the boundary.
    pub crossing: Crossing,
}

impl Default for AddressRules {
    fn default() -> Self {
        Self::of_width(64)
    }
}

impl AddressRules {
    /// A device that drives so many bits, and has no other rule.
    #[must_use]
    pub fn of_width(width_bits: u8) -> Self {
        Self {
            width_bits: width_bits.clamp(1, 64),
            alignment_bytes: 1,
            boundary_bytes: 0,
            breach: Breach::Refuse,
            crossing: Crossing::Split,
        }
    }

    /// Numbers that the arithmetic cannot do with, brought into range.
    #[must_use]
    pub(crate) fn in_range(self) -> Self {
        let power = |bytes: u64| bytes.checked_ilog2().map_or(0, |log| 1 << log);
        Self {
            width_bits: self.width_bits.clamp(24, 64),
            alignment_bytes: power(self.alignment_bytes).max(1),
            boundary_bytes: power(self.boundary_bytes),
            ..self
        }
    }

    /// The highest address that the device drives.
    pub(crate) fn last_address(&self) -> u64 {
        u64::MAX >> (64 - self.width_bits)
    }

    /// Whether bytes may go elsewhere than they were asked to.
    pub(crate) fn places(&self) -> bool {
        let drops_bits = self.width_bits < 64 || self.alignment_bytes > 1;
        (self.breach == Breach::Truncate && drops_bits) || self.wraps()
    }

    /// Why a payload range of `len_bytes` bytes, at least 1, is refused.
    pub(crate) fn refusal(&self, start: Iova, len_bytes: u64) -> Option<u16> {
        let (start, run_bytes) = self.place(start, 0);
        if self.breach == Breach::Refuse {
            let end = start.raw().checked_add(len_bytes.min(run_bytes) - 1);
            if end.is_none_or(|end| end > self.last_address()) {
                return Some(DMA_STATUS_ADDRESS);
            }
            if !start.is_aligned(self.alignment_bytes) {
                return Some(DMA_STATUS_ALIGNMENT);
            }
        }
        if self.crossing == Crossing::Refuse && self.boundary_bytes > 0 {
            let to_boundary = self.boundary_bytes - start.raw() % self.boundary_bytes;
            return (len_bytes > to_boundary).then_some(DMA_STATUS_BOUNDARY);
        }
        None
    }

    /// Why the engine's own access, or a piece that was placed before, is refused.
    pub(crate) fn refusal_of_width(&self, start: Iova, len_bytes: u64) -> Option<u16> {
        let end = start.raw().checked_add(len_bytes - 1);
        end.is_none_or(|end| end > self.last_address())
            .then_some(DMA_STATUS_ADDRESS)
    }

    /// Where byte `offset` of a payload range goes, and how many bytes from there on lie side by side.
    pub(crate) fn place(&self, start: Iova, offset: u64) -> (Iova, u64) {
        let start = match self.breach {
            Breach::Refuse => start.raw(),
            Breach::Truncate => start.raw() & self.last_address() & !(self.alignment_bytes - 1),
        };
        let linear = start.wrapping_add(offset);
        let (at, run_bytes) = if self.wraps() {
            let mask = self.boundary_bytes - 1;
            let inside = linear & mask;
            (start & !mask | inside, self.boundary_bytes - inside)
        } else {
            (linear, u64::MAX)
        };
        match self.breach {
            Breach::Refuse => (Iova::new(at), run_bytes),
            Breach::Truncate => {
                let at = at & self.last_address();
                let to_end = (self.last_address() - at).saturating_add(1);
                (Iova::new(at), run_bytes.min(to_end))
            }
        }
    }

    /// The address that the engine uses of one that it was given for a ring or a list.
    pub(crate) fn place_own(&self, start: Iova) -> Iova {
        match self.breach {
            Breach::Refuse => start,
            Breach::Truncate => Iova::new(start.raw() & self.last_address()),
        }
    }

    fn wraps(&self) -> bool {
        self.crossing == Crossing::Wrap && self.boundary_bytes > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(rules: &AddressRules, start: u64, offset: u64) -> (u64, u64) {
        let (at, run_bytes) = rules.place(Iova::new(start), offset);
        (at.raw(), run_bytes)
    }

    #[test]
    fn refusing_device_names_the_rule() {
        let rules = AddressRules {
            alignment_bytes: 16,
            boundary_bytes: 0x1_0000,
            crossing: Crossing::Refuse,
            ..AddressRules::of_width(24)
        };
        let check = |start, len_bytes, expected| {
            let refusal = rules.refusal(Iova::new(start), len_bytes);
            assert_eq!(refusal, expected, "{start:#x} {len_bytes:#x}");
        };
        check(0xff_fff0, 16, None);
        check(0xff_fff0, 17, Some(DMA_STATUS_ADDRESS));
        check(0x100_0000, 1, Some(DMA_STATUS_ADDRESS));
        check(u64::MAX, 2, Some(DMA_STATUS_ADDRESS));
        check(0x1008, 1, Some(DMA_STATUS_ALIGNMENT));
        check(0x1_0000, 0x1_0000, None);
        check(0x1_0010, 0x1_0000, Some(DMA_STATUS_BOUNDARY));
        assert!(!rules.places());
    }

    #[test]
    fn truncating_device_drops_bits_and_goes_on_at_zero() {
        let rules = AddressRules {
            alignment_bytes: 8,
            breach: Breach::Truncate,
            ..AddressRules::of_width(24)
        };
        assert!(rules.places());
        assert_eq!(placed(&rules, 0x1234_5678_9abc, 0), (0x78_9ab8, 0x87_6548));
        assert_eq!(placed(&rules, 0xff_fff8, 8), (0, 0x100_0000));
        assert_eq!(rules.refusal(Iova::new(u64::MAX), u64::MAX), None);
    }

    #[test]
    fn wrapping_device_stays_inside_the_block() {
        let rules = AddressRules {
            boundary_bytes: 0x1_0000,
            crossing: Crossing::Wrap,
            ..AddressRules::of_width(32)
        };
        assert_eq!(placed(&rules, 0x5_fff0, 0), (0x5_fff0, 0x10));
        assert_eq!(placed(&rules, 0x5_fff0, 0x10), (0x5_0000, 0x1_0000));
        assert_eq!(rules.refusal(Iova::new(0xffff_fff0), 0x100), None);
    }
}
