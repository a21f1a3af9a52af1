//! [`TickClock`]: turns the event loop's instants into ticks and back.

use std::time::{Duration, Instant};

use endpoint::Tick;

/// Counts from the first instant that it is asked about.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TickClock {
    start: Option<Instant>,
}

impl TickClock {
    /// The tick of an instant, rounded down.
    pub(crate) fn tick(&mut self, now: Instant) -> Tick {
        let start = *self.start.get_or_insert(now);
        Tick::ZERO.after(now.saturating_duration_since(start))
    }

    /// The instant of a tick; `None` if it is too far away to come.
    pub(crate) fn instant(&self, tick: Tick) -> Option<Instant> {
        self.start?
            .checked_add(Duration::from_micros(tick.as_micros()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tick_and_instant_are_each_others_inverse_and_the_first_instant_is_zero() {
        let start = Instant::now();
        let later = start + Duration::from_micros(1500);
        let mut clock = TickClock::default();
        assert_eq!(clock.instant(Tick::ZERO), None);
        assert_eq!(clock.tick(start), Tick::ZERO);
        assert_eq!(clock.tick(later), Tick::from_micros(1500));
        assert_eq!(clock.instant(Tick::from_micros(1500)), Some(later));
    }
}
