//! [`Point`]: a place at which one thing can be made to fail.

use std::path::Path;

use fault_injection::CallSite;
use serde::{Deserialize, Serialize};

use crate::event::Mode;

/// Which kinds of points a walk tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Points {
    /// Calls of the driver.
    pub calls: bool,
    /// Accesses of the device.
    pub device: bool,
}

/// What is made to fail.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum Fault {
    /// A call of the driver.
    Call {
        /// `import`, `dma-operation` or `framework`.
        door: String,
        /// The routine.
        routine: String,
        /// The return address, as `module+0xrva`.
        location: String,
    },
    /// An access of the device.
    Device {
        /// The point, as rule files call it.
        point: String,
        /// The channel, where it has one.
        channel: Option<u32>,
        /// What happens there, as rule files write it.
        effect: String,
        /// At which hit on that channel, from 1, since the rule was loaded.
        hit: u64,
    },
}

/// Effects to try, as rule files write them; which of them a point can have is the rule file's business.
const EFFECTS: &[&str] = &[
    "\"unsupported-request\"",
    "\"completer-abort\"",
    "\"poison\"",
    "{ flip-bit = { bit = 5 } }",
    "{ short = { bytes = 8 } }",
    "{ delay = { microseconds = 20000 } }",
    "\"drop\"",
    "\"duplicate\"",
    "\"reorder\"",
    "\"iommu-fault\"",
    "\"stale-translation\"",
    "\"allow-unmapped\"",
    "{ storm = { count = 50 } }",
    "\"all-ones\"",
    "{ set = { value = 0 } }",
    "{ mutate = { times = 3, microseconds = 100, bit = 64 } }",
    "{ torn = { bytes = 16, microseconds = 2000 } }",
    "{ link-down = { microseconds = 20000 } }",
    "\"surprise-removal\"",
    "\"hang\"",
];

/// All that can go wrong at these hits of a point of the device.
pub fn device_faults(point: &str, channel: Option<u32>, hits: &[u64]) -> Vec<Fault> {
    let fault = |effect: &str, hit| Fault::Device {
        point: point.to_owned(),
        channel,
        effect: effect.to_owned(),
        hit,
    };
    let can_be = |effect: &&&str| {
        let rule = fault(effect, 1).rule();
        fault_injection::rule_file::parse(Path::new("a rule of the walk"), &rule).is_ok()
    };
    let effects = EFFECTS.iter().filter(can_be);
    effects
        .flat_map(|effect| hits.iter().map(|hit| fault(effect, *hit)))
        .collect()
}

/// Which hits of a point of the device fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hits {
    /// The first so many.
    First(u64),
    /// All, or where there are more than [`Hits::ALL_MAX`] so many of them, evenly spread.
    All,
}

impl Hits {
    /// Most hits of one point.
    pub const ALL_MAX: u64 = 64;

    /// Those of a point that was passed `n_hits` times.
    pub fn of(self, n_hits: u64) -> Vec<u64> {
        match self {
            Self::First(n) => (1..=n.min(n_hits)).collect(),
            Self::All if n_hits <= Self::ALL_MAX => (1..=n_hits).collect(),
            Self::All => {
                let last = u128::from(n_hits - 1);
                let steps = u128::from(Self::ALL_MAX - 1);
                let hit = |step| 1 + u128::from(step) * last / steps;
                let hits = (0..Self::ALL_MAX).map(hit);
                hits.filter_map(|hit| u64::try_from(hit).ok()).collect()
            }
        }
    }
}

/// The phase of a point that the device passed before the first case.
pub const PHASE_OF_START: &str = "boot";

/// A fault point of a golden run: what fails, and where it was met first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    /// What is made to fail.
    pub fault: Fault,
    /// What the guest asked of the driver just then, `running`, or of the device [`PHASE_OF_START`].
    pub phase: String,
    /// The profile of the boot.
    pub profile: String,
    /// Its mode.
    pub remapping: Mode,
    /// The case that ran; none before the first and after the last.
    pub case: Option<String>,
}

impl Point {
    /// Whether its rule has to be there from before QEMU starts.
    pub fn is_of_start(&self) -> bool {
        matches!(self.fault, Fault::Device { .. }) && self.phase == PHASE_OF_START
    }

    /// Whether others can fail before and after it in the same boot: its rule is loaded for its case alone.
    pub fn can_share_a_boot(&self) -> bool {
        matches!(self.fault, Fault::Device { .. }) && !self.is_of_start() && self.case.is_some()
    }
}

impl Fault {
    /// The kind, as tables group it.
    pub fn kind(&self) -> &str {
        match self {
            Self::Call { door, .. } => door,
            Self::Device { .. } => "device",
        }
    }

    /// The routine.
    pub fn name(&self) -> String {
        match self {
            Self::Call { routine, .. } => routine.clone(),
            Self::Device { point, effect, .. } => format!("{} at {point}", effect_name(effect)),
        }
    }

    /// The call site, or the channel and the hit.
    pub fn place(&self) -> String {
        match self {
            Self::Call { location, .. } => location.clone(),
            Self::Device { channel, hit, .. } => {
                let place = channel.map_or_else(
                    || "the function".to_owned(),
                    |channel| format!("channel {channel}"),
                );
                match hit {
                    1 => place,
                    hit => format!("{place} hit {hit}"),
                }
            }
        }
    }

    /// The call site's offset in the driver's image.
    pub fn rva(&self) -> Option<u64> {
        match self {
            Self::Call { location, .. } => CallSite::parse(location).map(|site| site.rva),
            Self::Device { .. } => None,
        }
    }

    /// The same fault without its channel, if it has one.
    pub fn on_any_channel(&self) -> Option<Self> {
        let mut fault = self.clone();
        match &mut fault {
            Self::Device { channel, .. } => channel.take().map(|_| fault),
            Self::Call { .. } => None,
        }
    }

    /// The rule that makes it fail once.
    pub fn rule(&self) -> String {
        match self {
            Self::Call {
                routine, location, ..
            } => format!(
                "[[call]]\nname = \"{routine} at {location}\"\nroutine = \"{routine}\"\nlocation = \"{location}\"\n"
            ),
            Self::Device {
                point,
                channel,
                effect,
                hit,
            } => {
                let condition = channel.map_or(String::new(), |channel| {
                    format!("match = {{ channel = {channel} }}\n")
                });
                format!(
                    "[[rule]]\nname = \"{}\"\nevent = \"{point}\"\n{condition}nth = {hit}\ntimes = 1\neffect = {effect}\n",
                    self.name()
                )
            }
        }
    }

    /// A name for a file.
    pub fn file_stem(&self) -> String {
        let place = self.place();
        let place = place.rsplit_once("+0x").map_or(&*place, |(_, rva)| rva);
        format!("{}-{place}", self.name()).replace(' ', "-")
    }
}

/// The effect's word.
fn effect_name(effect: &str) -> &str {
    effect
        .split(|c: char| !c.is_ascii_lowercase() && c != '-')
        .find(|word| !word.is_empty())
        .unwrap_or(effect)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_of_a_device_point_are_those_that_it_can_have() {
        let names = |point| -> Vec<String> {
            let faults = device_faults(point, None, &[1]);
            faults.iter().map(Fault::name).collect()
        };
        let at_msix = names("msix");
        assert!(at_msix.contains(&"drop at msix".to_owned()), "{at_msix:?}");
        assert!(!at_msix.contains(&"iommu-fault at msix".to_owned()));
        assert!(names("translate").contains(&"iommu-fault at translate".to_owned()));
        assert!(names("no-such-point").is_empty());
        let mut used: Vec<&str> = Vec::new();
        for point in fault_injection::Point::ALL {
            for fault in device_faults(point.name(), None, &[1]) {
                if let Fault::Device { effect, .. } = fault {
                    used.extend(EFFECTS.iter().find(|known| ***known == effect));
                }
            }
        }
        let unused = EFFECTS.iter().find(|effect| !used.contains(*effect));
        assert_eq!(unused, None, "an effect that no point can have");
    }

    #[test]
    fn hits_are_the_first_or_spread_over_all() {
        assert_eq!(Hits::First(1).of(5), [1]);
        assert_eq!(Hits::First(3).of(2), [1, 2]);
        assert_eq!(Hits::All.of(3), [1, 2, 3]);
        let spread = Hits::All.of(1000);
        assert_eq!(
            (spread.len(), spread.first(), spread.last()),
            (64, Some(&1), Some(&1000))
        );
        assert!(spread.is_sorted());
        assert_eq!(Hits::All.of(u64::MAX).last(), Some(&u64::MAX));
        assert!(Hits::All.of(0).is_empty());
    }

    #[test]
    fn later_hit_is_in_the_rule_and_in_the_place() {
        let faults = device_faults("dma-read", Some(1), &[7]);
        let file = fault_injection::rule_file::parse(Path::new("x"), &faults[0].rule());
        assert_eq!(file.expect("a rule file").rules[0].trigger.nth, 7);
        assert_eq!(faults[0].place(), "channel 1 hit 7");
    }

    #[test]
    fn rule_of_a_call_is_a_rule_file() {
        let fault = Fault::Call {
            door: "import".into(),
            routine: "IoAllocateMdl".into(),
            location: "dmarig.sys+0x68b1".into(),
        };
        let file = fault_injection::rule_file::parse_all(Path::new("x"), &fault.rule());
        let calls = file.expect("a rule file").calls;
        assert_eq!((calls.len(), calls[0].nth), (1, 1));
        assert_eq!(fault.rva(), Some(0x68b1));
        assert_eq!(fault.file_stem(), "IoAllocateMdl-68b1");
    }
}
