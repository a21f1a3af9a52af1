//! [`Content`]: which bytes of a memory must hold which pattern.

use dmarig_abi::pattern::PATTERN_INCREMENT;

/// Bytes of one pattern word.
const WORD: u64 = 8;

/// A run of bytes with the pattern of `seed`, whose position 0 is the first of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) start: u64,
    pub(super) len: u64,
    pub(super) seed: u64,
}

impl Extent {
    const fn end(self) -> u64 {
        self.start + self.len
    }

    /// The part inside `start..end`, as far as it is a pattern itself: it may begin at whole words only.
    fn inside(self, start: u64, end: u64) -> Option<Self> {
        let n_words = start.saturating_sub(self.start).div_ceil(WORD);
        let first = self.start.checked_add(n_words * WORD)?;
        let last = end.min(self.end());
        (first < last).then(|| Self {
            start: first,
            len: last - first,
            seed: self
                .seed
                .wrapping_add(n_words.wrapping_mul(PATTERN_INCREMENT)),
        })
    }
}

/// What is known of a memory's bytes; of the rest nothing is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Content {
    extents: Vec<Extent>,
}

impl Content {
    /// Somebody wrote a pattern.
    pub(super) fn write(&mut self, written: Extent) {
        let old = std::mem::take(&mut self.extents);
        for extent in old {
            self.extents.extend(extent.inside(0, written.start));
            self.extents.extend(extent.inside(written.end(), u64::MAX));
        }
        self.extents.push(written);
    }

    /// The patterns within `start..start + len`, oldest first.
    pub(super) fn within(&self, start: u64, len: u64) -> Vec<Extent> {
        let end = start.saturating_add(len);
        self.extents
            .iter()
            .filter_map(|extent| extent.inside(start, end))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use dmarig_abi::pattern::{fill_pattern, pattern_byte};

    use super::*;

    fn index(offset: u64) -> usize {
        usize::try_from(offset).expect("small")
    }

    #[test]
    fn what_is_left_of_older_patterns_is_what_memory_holds() {
        let mut content = Content::default();
        let mut memory = vec![0_u8; 256];
        let writes = [
            (0, 200, 7),
            (33, 50, 8),
            (90, 1, 9),
            (40, 8, 10),
            (64, 192, 11),
        ];
        for (start, len, seed) in writes {
            content.write(Extent { start, len, seed });
            let (first, last) = (index(start), index(start + len));
            fill_pattern(seed, 0, &mut memory[first..last]);
        }
        let within = content.within(5, 240);
        assert!(within.len() >= 4, "{within:?}");
        for extent in within {
            for position in 0..extent.len {
                let at = index(extent.start + position);
                assert_eq!(
                    memory[at],
                    pattern_byte(extent.seed, position),
                    "{extent:?}"
                );
            }
        }
    }
}
