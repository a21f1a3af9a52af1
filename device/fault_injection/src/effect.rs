//! [`Effect`]: what a rule does, with its parameters, and the points at which it can be done.

use std::ops::RangeInclusive;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use crate::number::Number;
use crate::point::Point;
use crate::point::Point::{
    CompletionEntry, ConfigRead, ConfigWrite, DescriptorFetch, DmaRead, DmaWrite, Doorbell, Intx,
    Link, MmioRead, MmioWrite, Msi, Msix, Payload, Reset, Translate,
};

/// Longest delay of an answer that QEMU waits for, in microseconds: QEMU gives up after 5 s, and an
/// answer after that ends the connection.
const MAX_ANSWER_DELAY_US: u32 = 2_000_000;
/// Longest delay of anything else, in microseconds.
const MAX_DELAY_US: u32 = 60_000_000;

/// The numbers of lanes that there are.
const LINK_WIDTHS: [u8; 7] = [1, 2, 4, 8, 12, 16, 32];

/// Speed of a link, in GT/s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum LinkSpeed {
    /// 2.5 GT/s.
    #[serde(rename = "2.5")]
    Gt2_5,
    /// 5 GT/s.
    #[serde(rename = "5")]
    Gt5,
    /// 8 GT/s.
    #[serde(rename = "8")]
    Gt8,
    /// 16 GT/s.
    #[serde(rename = "16")]
    Gt16,
    /// 32 GT/s.
    #[serde(rename = "32")]
    Gt32,
}

/// What happens when a rule strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Effect {
    /// The access is answered with Unsupported Request; nothing moves.
    UnsupportedRequest,
    /// The access is answered with Completer Abort; nothing moves.
    CompleterAbort,
    /// The read is never answered; the device gives up.
    CompletionTimeout,
    /// The read is answered with the poisoned bit set; the device throws the data away.
    Poison,
    /// One bit is the other way round.
    FlipBit {
        /// Which, counted from the lowest bit of the first byte, modulo the length of the access.
        bit: u32,
    },
    /// Only the first bytes move, and the rest is not answered.
    Short {
        /// Bytes that move; as many as the access has at most.
        bytes: u32,
    },
    /// It happens later.
    Delay {
        /// By how much.
        microseconds: u32,
    },
    /// It does not happen, and nobody is told.
    Drop,
    /// It happens twice.
    Duplicate,
    /// It happens after the next of its kind.
    Reorder,
    /// The translation is refused though mapped.
    IommuFault,
    /// The device uses the translation that was last removed for the address.
    StaleTranslation,
    /// The access reaches memory at the untranslated address, though unmapped.
    AllowUnmapped,
    /// An interrupt is raised that nobody asked for.
    SpuriousInterrupt {
        /// The MSI-X vector; ignored where the function uses its pin.
        #[serde(default)]
        vector: u16,
    },
    /// The interrupt is raised before what it tells of.
    EarlyInterrupt {
        /// How long before.
        microseconds: u32,
    },
    /// The interrupt is raised many times.
    Storm {
        /// How many times, 2 to 10,000.
        count: u16,
    },
    /// The answer has all bits set.
    AllOnes,
    /// The answer is a given value.
    Set {
        /// The value, cut to the length of the access.
        #[serde(deserialize_with = "number")]
        #[schemars(with = "Number")]
        value: u64,
    },
    /// Bits of a register stick: those of `zeros` read 0, those of `ones` read 1.
    Stuck {
        /// The bits that are 0.
        #[serde(default, deserialize_with = "number")]
        #[schemars(with = "Number")]
        zeros: u64,
        /// The bits that are 1.
        #[serde(default, deserialize_with = "number")]
        #[schemars(with = "Number")]
        ones: u64,
    },
    /// Every next pointer of the chain of capabilities reads as this.
    BreakCapabilityChain {
        /// The pointer: 0 ends the chain, an offset of a capability before makes a loop.
        next: u8,
    },
    /// The completion entry changes after its interrupt, several times.
    Mutate {
        /// How many times, 1 to 1,000.
        times: u16,
        /// Time between two changes.
        microseconds: u32,
        /// The bit that turns round with each change, as with `flip-bit`.
        bit: u32,
    },
    /// The first half of the completion entry is written now, the rest later.
    Torn {
        /// Bytes written now, 1 to 63.
        bytes: u8,
        /// When the rest follows.
        microseconds: u32,
    },
    /// The link goes down: every register reads all ones, writes are lost, no DMA, no interrupt.
    LinkDown {
        /// For how long.
        microseconds: u32,
    },
    /// The link goes down for good: until the rules are cleared or others loaded.
    SurpriseRemoval,
    /// The link comes up slower or narrower than it can be, until it comes up again.
    DegradedLink {
        /// Its speed at most, in GT/s.
        speed: Option<LinkSpeed>,
        /// Its lanes at most: 1, 2, 4, 8, 12, 16 or 32.
        width: Option<u8>,
    },
    /// The work never goes on: a channel until it is reset, a reset until the next one.
    Hang,
}

impl Effect {
    /// The word for it in rule files.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::UnsupportedRequest => "unsupported-request",
            Self::CompleterAbort => "completer-abort",
            Self::CompletionTimeout => "completion-timeout",
            Self::Poison => "poison",
            Self::FlipBit { .. } => "flip-bit",
            Self::Short { .. } => "short",
            Self::Delay { .. } => "delay",
            Self::Drop => "drop",
            Self::Duplicate => "duplicate",
            Self::Reorder => "reorder",
            Self::IommuFault => "iommu-fault",
            Self::StaleTranslation => "stale-translation",
            Self::AllowUnmapped => "allow-unmapped",
            Self::SpuriousInterrupt { .. } => "spurious-interrupt",
            Self::EarlyInterrupt { .. } => "early-interrupt",
            Self::Storm { .. } => "storm",
            Self::AllOnes => "all-ones",
            Self::Set { .. } => "set",
            Self::Stuck { .. } => "stuck",
            Self::BreakCapabilityChain { .. } => "break-capability-chain",
            Self::Mutate { .. } => "mutate",
            Self::Torn { .. } => "torn",
            Self::LinkDown { .. } => "link-down",
            Self::SurpriseRemoval => "surprise-removal",
            Self::DegradedLink { .. } => "degraded-link",
            Self::Hang => "hang",
        }
    }

    /// The points at which it can happen.
    #[must_use]
    pub const fn points(&self) -> &'static [Point] {
        const REQUEST: &[Point] = &[DmaRead, DmaWrite, DescriptorFetch, Payload, CompletionEntry];
        const READS: &[Point] = &[DmaRead, DescriptorFetch, Payload];
        const ANSWERS: &[Point] = &[ConfigRead, MmioRead];
        match self {
            Self::UnsupportedRequest | Self::CompleterAbort => REQUEST,
            Self::CompletionTimeout | Self::Poison => READS,
            Self::FlipBit { .. } => &[
                ConfigRead,
                ConfigWrite,
                MmioRead,
                MmioWrite,
                Doorbell,
                DmaRead,
                DmaWrite,
                DescriptorFetch,
                Payload,
                CompletionEntry,
            ],
            Self::Short { .. } => &[DmaRead, DmaWrite, DescriptorFetch, Payload],
            Self::Delay { .. } => &[
                ConfigRead,
                ConfigWrite,
                MmioRead,
                MmioWrite,
                Doorbell,
                DmaRead,
                DmaWrite,
                DescriptorFetch,
                Payload,
                CompletionEntry,
                Msix,
                Msi,
                Intx,
                Reset,
            ],
            Self::Drop => &[
                ConfigWrite,
                MmioWrite,
                Doorbell,
                DmaWrite,
                Payload,
                CompletionEntry,
                Msix,
                Msi,
                Intx,
                Reset,
            ],
            Self::Duplicate => &[
                MmioWrite,
                Doorbell,
                DmaWrite,
                Payload,
                CompletionEntry,
                Msix,
                Msi,
                Intx,
            ],
            Self::Reorder => &[DmaWrite, CompletionEntry, Msix, Msi],
            Self::IommuFault | Self::StaleTranslation | Self::AllowUnmapped => &[Translate],
            Self::SpuriousInterrupt { .. } => &[
                ConfigWrite,
                MmioRead,
                MmioWrite,
                Doorbell,
                DescriptorFetch,
                Payload,
                CompletionEntry,
                Reset,
            ],
            Self::EarlyInterrupt { .. } => &[Payload, CompletionEntry],
            Self::Storm { .. } => &[Msix, Msi, Intx],
            Self::AllOnes | Self::Set { .. } | Self::Stuck { .. } => ANSWERS,
            Self::BreakCapabilityChain { .. } => &[ConfigRead],
            Self::Mutate { .. } | Self::Torn { .. } => &[CompletionEntry],
            Self::LinkDown { .. } | Self::SurpriseRemoval => &[
                ConfigRead,
                ConfigWrite,
                MmioRead,
                MmioWrite,
                Doorbell,
                DescriptorFetch,
                Payload,
                CompletionEntry,
                Link,
                Reset,
            ],
            Self::DegradedLink { .. } => &[Link, Reset],
            Self::Hang => &[DescriptorFetch, Payload, CompletionEntry, Reset],
        }
    }

    /// Checks the effect's parameters and that `point` can have it: what is wrong, and how to mend it.
    pub(crate) fn check(&self, point: Point) -> Result<(), (String, String)> {
        if !self.points().contains(&point) {
            let points: Vec<_> = self.points().iter().map(|point| point.name()).collect();
            return Err((
                format!("effect `{}` cannot happen at `{point}`", self.name()),
                format!("it happens at {}", points.join(", ")),
            ));
        }
        let is_answer = matches!(
            point,
            ConfigRead | ConfigWrite | MmioRead | MmioWrite | Doorbell | Reset
        );
        let max_delay = if is_answer && matches!(self, Self::Delay { .. }) {
            MAX_ANSWER_DELAY_US
        } else {
            MAX_DELAY_US
        };
        match *self {
            Self::Delay { microseconds }
            | Self::EarlyInterrupt { microseconds }
            | Self::LinkDown { microseconds } => {
                self.in_range("microseconds", microseconds, 1..=max_delay)
            }
            Self::Storm { count } => self.in_range("count", count, 2..=10_000),
            Self::Mutate {
                times,
                microseconds,
                ..
            } => {
                self.in_range("times", times, 1..=1_000)?;
                self.in_range("microseconds", microseconds, 1..=max_delay)
            }
            Self::Torn {
                bytes,
                microseconds,
            } => {
                self.in_range("bytes", bytes, 1..=63)?;
                self.in_range("microseconds", microseconds, 1..=max_delay)
            }
            Self::DegradedLink {
                speed: None,
                width: None,
            } => Err((
                "effect `degraded-link` degrades nothing".into(),
                "give `speed`, `width` or both".into(),
            )),
            Self::DegradedLink {
                width: Some(width), ..
            } if !LINK_WIDTHS.contains(&width) => Err((
                format!("effect `degraded-link`: `width` is {width}"),
                "a link has 1, 2, 4, 8, 12, 16 or 32 lanes".into(),
            )),
            Self::Stuck { zeros: 0, ones: 0 } => Err((
                "effect `stuck` has no bit that sticks".into(),
                "give `zeros`, `ones` or both".into(),
            )),
            Self::Stuck { zeros, ones } if zeros & ones != 0 => Err((
                format!("effect `stuck` has bits {:#x} in both masks", zeros & ones),
                "a bit sticks at 0 or at 1".into(),
            )),
            _ => Ok(()),
        }
    }

    fn in_range<N: Copy + Into<u32>>(
        &self,
        parameter: &str,
        value: N,
        range: RangeInclusive<u32>,
    ) -> Result<(), (String, String)> {
        let value = value.into();
        if range.contains(&value) {
            return Ok(());
        }
        Err((
            format!("effect `{}`: `{parameter}` is {value}", self.name()),
            format!("it must be {} to {}", range.start(), range.end()),
        ))
    }
}

fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    Number::deserialize(deserializer).map(|number| number.0)
}
