//! [`Point`]: a place at which one thing can be made to fail.

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
        }
    }

    /// The routine.
    pub fn name(&self) -> String {
        match self {
            Self::Call { routine, .. } => routine.clone(),
        }
    }

    /// The call site.
    pub fn place(&self) -> String {
        match self {
            Self::Call { location, .. } => location.clone(),
        }
    }

    /// The call site's offset in the driver's image.
    pub fn rva(&self) -> Option<u64> {
        match self {
            Self::Call { location, .. } => CallSite::parse(location).map(|site| site.rva),
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
        }
    }

    /// A name for a file.
    pub fn file_stem(&self) -> String {
        let place = self.place();
        let place = place.rsplit_once("+0x").map_or("", |(_, rva)| rva);
        format!("{}-{place}", self.name())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

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
