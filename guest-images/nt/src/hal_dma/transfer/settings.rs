//! How strict transfers are, from the command line (`bounce=`, `map-registers=`, `sg-callback=`).

use crate::arch::guarded::Guarded;
use crate::boot::{self, Bounce, ExecutionCallback};

/// State of the generator behind [`ExecutionCallback::Seeded`]; `None` before the first draw.
static RANDOM: Guarded<Option<u64>> = Guarded::new(None);

/// Which transfers are double-buffered.
pub(super) fn bounce() -> Bounce {
    boot::info().map_or(Bounce::Always, |info| info.options.bounce)
}

/// Map registers granted of `wanted`.
pub(in crate::hal_dma) fn granted(wanted: u32) -> u32 {
    let most = boot::info().and_then(|info| info.options.map_registers);
    most.map_or(wanted, |most| most.min(wanted))
}

/// Whether the next execution routine runs from a DPC. Draws, where it is left to chance.
pub(super) fn is_next_callback_deferred() -> bool {
    let callback = boot::info().map_or(ExecutionCallback::Sync, |info| info.options.sg_callback);
    match callback {
        ExecutionCallback::Sync => false,
        ExecutionCallback::Deferred => true,
        ExecutionCallback::Seeded(seed) => RANDOM.with(|random| {
            let next = next_random(random.unwrap_or_else(|| start_of(seed)));
            *random = Some(next);
            next >> 63 != 0
        }),
    }
}

/// Never 0, where the generator would stand still.
const fn start_of(seed: u64) -> u64 {
    (seed << 1 | 1).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// Marsaglia's xorshift of 64 bits.
const fn next_random(state: u64) -> u64 {
    let state = state ^ (state << 13);
    let state = state ^ (state >> 7);
    state ^ (state << 17)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seed_decides_the_draws_and_both_outcomes_come() {
        let draws = |seed| {
            let mut state = start_of(seed);
            [(); 64].map(|()| {
                state = next_random(state);
                state >> 63 != 0
            })
        };
        assert_eq!(draws(7), draws(7));
        assert_ne!(draws(7), draws(8));
        assert!(draws(7).contains(&true) && draws(7).contains(&false));
    }
}
