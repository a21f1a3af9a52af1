//! [`Random`]: SplitMix64, whose output is part of what a seed means and so must never change.

use dmarig_abi::pattern::pattern_word;

/// A stream of numbers that a seed determines for ever.
#[derive(Clone, Debug)]
pub(super) struct Random {
    seed: u64,
    n_drawn: u64,
}

impl Random {
    pub(super) const fn new(seed: u64) -> Self {
        Self { seed, n_drawn: 0 }
    }

    /// The next number.
    pub(super) const fn next(&mut self) -> u64 {
        let word = pattern_word(self.seed, self.n_drawn);
        self.n_drawn += 1;
        word
    }

    /// A number below `end`, which must not be zero.
    pub(super) const fn below(&mut self, end: u64) -> u64 {
        // The bias of a remainder by small numbers is of no interest here.
        self.next() % end
    }

    /// True `n` times out of `of`.
    pub(super) const fn chance(&mut self, n: u64, of: u64) -> bool {
        self.below(of) < n
    }

    /// One of these.
    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        let len = u64::try_from(from.len()).ok().filter(|len| *len > 0)?;
        let index = usize::try_from(self.below(len)).ok()?;
        from.get(index).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_is_the_published_generator() {
        let mut random = Random::new(1_234_567);
        assert_eq!(random.next(), 6_457_827_717_110_365_317);
        assert_eq!(random.next(), 3_203_168_211_198_807_973);
    }
}
