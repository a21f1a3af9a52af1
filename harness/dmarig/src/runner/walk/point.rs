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

/// All that can go wrong at a point of the device.
pub fn device_faults(point: &str, channel: Option<u32>) -> Vec<Fault> {
    let faults = EFFECTS.iter().map(|effect| Fault::Device {
        point: point.to_owned(),
        channel,
        effect: (*effect).to_owned(),
    });
    let can_be = |fault: &Fault| {
        fault_injection::rule_file::parse(Path::new("a rule of the walk"), &fault.rule()).is_ok()
    };
    faults.filter(can_be).collect()
}

/// A fault point of a golden run: what fails, and where it was met first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    /// What is made to fail.
    pub fault: Fault,
    /// What the guest asked of the driver just then, or `running`.
    pub phase: String,
    /// The profile of the boot.
    pub profile: String,
    /// Its mode.
    pub remapping: Mode,
    /// The case that ran; none before the first and after the last.
    pub case: Option<String>,
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

    /// The call site.
    pub fn place(&self) -> String {
        match self {
            Self::Call { location, .. } => location.clone(),
            Self::Device { channel, .. } => channel.map_or_else(
                || "the function".to_owned(),
                |channel| format!("channel {channel}"),
            ),
        }
    }

    /// The call site's offset in the driver's image.
    pub fn rva(&self) -> Option<u64> {
        match self {
            Self::Call { location, .. } => CallSite::parse(location).map(|site| site.rva),
            Self::Device { .. } => None,
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
            } => {
                let condition = channel.map_or(String::new(), |channel| {
                    format!("match = {{ channel = {channel} }}\n")
                });
                format!(
                    "[[rule]]\nname = \"{}\"\nevent = \"{point}\"\n{condition}times = 1\neffect = {effect}\n",
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
            let faults = device_faults(point, None);
            faults.iter().map(Fault::name).collect()
        };
        let at_msix = names("msix");
        assert!(at_msix.contains(&"drop at msix".to_owned()), "{at_msix:?}");
        assert!(!at_msix.contains(&"iommu-fault at msix".to_owned()));
        assert!(names("translate").contains(&"iommu-fault at translate".to_owned()));
        assert!(names("no-such-point").is_empty());
        let mut used: Vec<&str> = Vec::new();
        for point in fault_injection::Point::ALL {
            for fault in device_faults(point.name(), None) {
                if let Fault::Device { effect, .. } = fault {
                    used.extend(EFFECTS.iter().find(|known| ***known == effect));
                }
            }
        }
        let unused = EFFECTS.iter().find(|effect| !used.contains(*effect));
        assert_eq!(unused, None, "an effect that no point can have");
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
