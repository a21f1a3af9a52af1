//! [`Profile`]: what a case needs of its boot, beyond the mode of remapping; [`Stop`]: the end of the
//! guest that a case expects.

use std::fmt;

use crate::step::Step;

/// BAR and offset where cases look for the registers of the device's own remapping unit: in the BAR that
/// our drivers map.
pub const OWN_IOMMU_PLACE: (u8, u64) = (0, 0x8000);

/// Which of our drivers is loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DriverKind {
    /// `dmarig.sys`.
    #[default]
    Wdm,
    /// `dmarig-kmdf.sys`.
    Kmdf,
}

/// Where the guest has its memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GuestMemory {
    /// All of it below 4 GiB.
    #[default]
    Low,
    /// On both sides of 4 GiB; what has no limit comes from below.
    BothSides,
    /// On both sides of 4 GiB; what has no limit comes from above.
    HighFirst,
}

/// When a transfer goes through memory of the HAL's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Bounce {
    /// Always: what the driver forgets to flush is never seen.
    #[default]
    Always,
    /// Only where the device does not reach the memory.
    AsNeeded,
}

/// When the routine that takes a scatter/gather list is called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SgCallback {
    /// Before the call that asked for the list returns.
    #[default]
    Sync,
    /// Later, from a DPC.
    Deferred,
    /// One or the other, by this seed.
    Seeded(u64),
}

/// A program that the driver runs at an event of its life before it can be sent one.
#[derive(Clone, Copy)]
pub struct EarlyProgram {
    /// One of `CONTEXT_*`.
    pub context: u16,
    /// What it does.
    pub steps: fn() -> Vec<Step>,
}

/// What a case needs of its boot. Cases of one profile share boots.
#[derive(Clone, Copy)]
pub struct Profile {
    /// Its name, unique: in events and names of log folders.
    pub name: &'static str,
    /// The driver.
    pub driver: DriverKind,
    /// Whether Driver Verifier's checks are on.
    pub verifier: bool,
    /// The guest's memory.
    pub memory: GuestMemory,
    /// Bouncing of transfers.
    pub bounce: Bounce,
    /// Most map registers of an adapter, if fewer than it asks for.
    pub map_registers: Option<u32>,
    /// Calling of list routines.
    pub sg_callback: SgCallback,
    /// Whether the device under test may come and go. It must have no MSI-X, with which QEMU cannot let go of it; where
    /// `--device` names one, it is that.
    pub hot_plug: bool,
    /// Programs for early events.
    pub programs: &'static [EarlyProgram],
    /// Fewest devices under test; where `--device` names fewer, built-in ones join them.
    pub duts: u16,
    /// Text of the device file of `dut0`, if the case needs another than the built-in one (or the user's). Where
    /// it has a remapping unit of its own, a file of the user's with one at the same place stands in for it.
    pub device: Option<&'static str>,
}

impl Profile {
    /// The strict default: the WDM driver under the verifier's eyes.
    pub const DEFAULT: Self = Self {
        name: "default",
        driver: DriverKind::Wdm,
        verifier: true,
        memory: GuestMemory::Low,
        bounce: Bounce::Always,
        map_registers: None,
        sg_callback: SgCallback::Sync,
        hot_plug: false,
        programs: &[],
        duts: 1,
        device: None,
    };
}

/// The profile of cases that name none.
pub static DEFAULT_PROFILE: Profile = Profile::DEFAULT;

impl Profile {
    /// Whether its cases are about the remapping unit of the device: its file begins with that section.
    #[must_use]
    pub fn has_own_iommu(&self) -> bool {
        self.device.is_some_and(|text| text.starts_with("[iommu]"))
    }
}

impl PartialEq for Profile {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Profile {}

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// How a guest stops on its own account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// With the bug check that the documents name for the misuse.
    BugCheck {
        /// The code.
        code: u32,
        /// Its first parameter.
        parameter_1: u64,
    },
    /// With a finding of the guest, because no bug check is documented for the misuse.
    Finding(&'static str),
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BugCheck { code, parameter_1 } => {
                write!(
                    f,
                    "bug check {code:#x} with first parameter {parameter_1:#x}"
                )
            }
            Self::Finding(id) => write!(f, "a stop by the finding {id}"),
        }
    }
}
