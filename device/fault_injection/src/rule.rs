//! [`Rule`]: one fault with the place, the time and the number of its strikes.

use crate::condition::Condition;
use crate::draw::{draw, name_number, place_word};
use crate::effect::Effect;
use crate::point::Point;

/// On which of its hits a rule strikes. Hits are counted from 1, by channel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trigger {
    /// The first hit that can strike.
    pub nth: u64,
    /// From there on every so many hits.
    pub interval: u64,
    /// How many strikes at most on a channel; without it, no end.
    pub times: Option<u64>,
    /// How likely a hit strikes that the rest permits, above 0 and up to 1.
    pub probability: f64,
}

impl Default for Trigger {
    fn default() -> Self {
        Self {
            nth: 1,
            interval: 1,
            times: None,
            probability: 1.0,
        }
    }
}

/// A checked rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Its name, unlike that of every other rule of the plan.
    pub name: String,
    /// Where it looks.
    pub event: Point,
    /// Which accesses it counts as hits.
    pub condition: Condition,
    /// Which hits strike.
    pub trigger: Trigger,
    /// The state in which it counts hits at all; without it, in each.
    pub state: Option<String>,
    /// The state that follows a strike.
    pub new_state: Option<String>,
    /// Whether a run is good in which it never struck.
    pub is_optional: bool,
    /// What happens.
    pub effect: Effect,
}

impl Rule {
    /// A rule for every hit at a point.
    #[must_use]
    pub fn new(name: impl Into<String>, event: Point, effect: Effect) -> Self {
        Self {
            name: name.into(),
            event,
            condition: Condition::default(),
            trigger: Trigger::default(),
            state: None,
            new_state: None,
            is_optional: false,
            effect,
        }
    }

    /// A rule that fails one hit of a point, on one channel where the point has channels: what a fault
    /// walk makes of a [`crate::PointCount`].
    #[must_use]
    pub fn once(event: Point, channel: Option<u8>, nth: u64, effect: Effect) -> Self {
        let place = channel.map_or_else(String::new, |channel| format!(" of channel {channel}"));
        let mut rule = Self::new(
            format!("{} at {event} {nth}{place}", effect.name()),
            event,
            effect,
        );
        rule.condition.channel = channel;
        rule.trigger.nth = nth;
        rule.trigger.times = Some(1);
        rule
    }

    /// Whether hit `hit` (from 1) on a channel of a device under test strikes, if `times` permits.
    #[must_use]
    pub fn strikes(&self, seed: u64, function: u16, channel: Option<u8>, hit: u64) -> bool {
        let Trigger {
            nth,
            interval,
            probability,
            ..
        } = self.trigger;
        let Some(since) = hit.checked_sub(nth.max(1)) else {
            return false;
        };
        since.is_multiple_of(interval.max(1))
            && (probability >= 1.0 || {
                let place = place_word(function, channel);
                fraction(draw(seed, name_number(&self.name), place, hit)) < probability
            })
    }
}

/// 53 bits of `number` as a fraction of 1.
fn fraction(number: u64) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "53 bits are what the type holds exactly"
    )]
    let fraction = (number >> 11) as f64 / (1_u64 << 53) as f64;
    fraction
}
