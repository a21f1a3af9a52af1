//! [`Record`]: one line of the event stream. Every report face, for people or machines, is fed from
//! this stream and from nothing else.
//!
//! The stream is versioned ([`SCHEMA_VERSION`]); its JSON schema lies in `schema/events.json` and a
//! test compares it with these types.

mod buffer_history;
mod register_coverage;
mod walk;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use buffer_history::{BufferAccess, BufferHistory, BufferViolation, DeclaredBuffer};
pub use register_coverage::{FieldUse, OddAccess, RegisterCoverage, RegisterUse};
pub use walk::{PassedPoint, WalkResult, WalkSums, WalkVerdict};

/// Version of the stream. Raised when a consumer of the old one would go wrong.
pub const SCHEMA_VERSION: u32 = 1;

/// One line of `events.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Record {
    /// Milliseconds since the start of the run.
    pub time_ms: u64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// What can happen in a run.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(
    tag = "event",
    rename_all = "kebab-case",
    rename_all_fields = "snake_case"
)]
pub enum Event {
    /// First: what is going to be run, and on what.
    RunStarted {
        /// [`SCHEMA_VERSION`].
        schema_version: u32,
        /// Version of dmarig.
        dmarig_version: String,
        /// Suite of cases.
        suite: String,
        /// Guest that loads the driver.
        guest: String,
        /// The driver; several are parted by commas.
        driver: String,
        /// Version of QEMU.
        qemu_version: String,
        /// `kvm` or `tcg`.
        accel: String,
        /// CPU that QEMU and the device process share, if pinned.
        cpu: Option<usize>,
        /// Part that misbehaves on purpose.
        sabotage: Option<String>,
        /// Number of cases over all modes.
        n_cases: usize,
    },
    /// Something that a person should know and that changes no verdict.
    Note {
        /// What.
        text: String,
    },
    /// Device process and QEMU are being started.
    BootStarted {
        /// Number of the boot, from 1.
        boot: u32,
        /// `on` or `off`.
        remapping: Mode,
        /// The driver and settings that its cases share.
        profile: String,
        /// Folder of its logs.
        logs: String,
    },
    /// The driver reads the mailbox.
    DriverAttached {
        /// Number of the boot.
        boot: u32,
        /// Milliseconds since the start of QEMU.
        after_qemu_start_ms: u64,
    },
    /// Remapping was seen to be on, or off, as asked.
    RemappingProven {
        /// Number of the boot.
        boot: u32,
        /// `on` or `off`.
        remapping: Mode,
        /// What was seen.
        evidence: String,
    },
    /// A machine line of the guest, as it came.
    Guest {
        /// Number of the boot.
        boot: u32,
        /// The line's JSON object.
        line: serde_json::Value,
    },
    /// A case begins.
    CaseStarted {
        /// Number of the boot.
        boot: u32,
        /// The case.
        id: String,
        /// `on` or `off`.
        remapping: Mode,
    },
    /// A case has ended, or will not run any more.
    CaseEnded(CaseResult),
    /// A model-based run begins in a mode.
    ExploreStarted {
        /// `on` or `off`.
        remapping: Mode,
        /// Seed of the list.
        seed: u64,
        /// Actions in the list.
        n_actions: usize,
        /// CRC-32C of the list: the same seed and number give the same.
        list_crc32c: String,
    },
    /// A model-based run has come so far.
    ExploreProgress {
        /// `on` or `off`.
        remapping: Mode,
        /// Actions judged.
        n_judged: u64,
    },
    /// A failing list is being made short.
    ExploreShrinking {
        /// `on` or `off`.
        remapping: Mode,
        /// Actions left.
        n_actions: usize,
        /// Lists tried.
        n_tries: usize,
    },
    /// A failure was written as a bundle.
    ExploreBundle {
        /// `on` or `off`.
        remapping: Mode,
        /// The bundle's folder.
        folder: String,
        /// Actions in it.
        n_actions: usize,
        /// Actions before it was shrunk.
        n_unshrunk: usize,
        /// Lists tried to shrink it.
        n_tries: usize,
        /// Whether the failure showed again when it was tried again.
        is_reproduced: bool,
        /// The actions in words, a line each.
        listing: Vec<String>,
    },
    /// A model-based run has ended in a mode.
    ExploreEnded {
        /// `on` or `off`.
        remapping: Mode,
        /// Sums.
        result: ExploreResult,
    },
    /// A bundle was run again.
    ReplayEnded {
        /// How it went.
        how: ReplayEnding,
    },
    /// The points of fault injection that a case has passed, or the start of the boot, if they are counted.
    FaultPoints {
        /// Number of the boot.
        boot: u32,
        /// The case, or `RIG/boot` for all that came before the first.
        id: String,
        /// The points, in the order of the data.
        points: Vec<PassedPoint>,
    },
    /// The golden run of a fault walk has passed, and its points are tried.
    WalkStarted {
        /// Points in all.
        n_points: usize,
        /// Points that an earlier walk has tried already.
        n_known: usize,
    },
    /// A fault point was tried.
    WalkPoint(WalkResult),
    /// A fault walk has ended.
    WalkEnded(WalkSums),
    /// How a sabotage went.
    Sabotage {
        /// Number of the boot.
        boot: u32,
        /// Its name.
        name: String,
        /// The device under test, where the boot had several.
        #[serde(skip_serializing_if = "Option::is_none")]
        device: Option<String>,
        /// How often it struck.
        struck: u64,
    },
    /// QEMU and the device process are gone.
    BootEnded {
        /// Number of the boot.
        boot: u32,
        /// How.
        how: BootEnding,
        /// The same in words.
        detail: String,
    },
    /// What the drivers have touched of the device's registers.
    RegisterCoverage(RegisterCoverage),
    /// Last: the sum.
    RunEnded(Summary),
}

/// Mode of DMA remapping.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// The IOMMU translates.
    On,
    /// Translation is left disabled.
    Off,
}

impl Mode {
    /// `on` or `off`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
        }
    }
}

impl From<contract::Remapping> for Mode {
    fn from(remapping: contract::Remapping) -> Self {
        match remapping {
            contract::Remapping::On => Self::On,
            contract::Remapping::Off => Self::Off,
        }
    }
}

/// What a model-based run came to in one mode.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct ExploreResult {
    /// Actions judged.
    pub n_judged: u64,
    /// Time spent on them, without boots and shrinking.
    pub exploring_ms: f64,
    /// The rate.
    pub judged_per_second: f64,
    /// Programs that the driver ran for it.
    pub n_programs: u64,
    /// Actions by kind.
    pub actions: BTreeMap<String, u64>,
    /// Actions by what came of them.
    pub outcomes: BTreeMap<String, u64>,
    /// Actions by the rule that told what must come.
    pub rules: BTreeMap<String, u64>,
    /// Actions that were not carried out, by reason.
    pub left_out: BTreeMap<String, u64>,
}

/// How a bundle that was run again went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ReplayEnding {
    /// It fails the same way.
    Same,
    /// It fails in another way.
    Other,
    /// It does not fail any more.
    Passed,
    /// It could not be run to its end.
    BrokenOff,
}

/// How one case ended in one mode.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct CaseResult {
    /// Number of the boot in which it ran, or would have run.
    pub boot: u32,
    /// The case.
    pub id: String,
    /// Its rule.
    pub rule: String,
    /// What it does and expects.
    pub title: String,
    /// `on` or `off`.
    pub remapping: Mode,
    /// How it ended.
    pub verdict: Verdict,
    /// How long it took.
    pub duration_ms: f64,
    /// Facts for the record.
    pub observations: Vec<String>,
    /// What the device's ledger held, if the guest stopped under the case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buffer_history: Option<BufferHistory>,
}

/// How a case ended.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Verdict {
    /// Every view agreed with the contract.
    Passed,
    /// At least one did not.
    Failed {
        /// Each disagreement.
        findings: Vec<FindingRecord>,
    },
    /// The guest hung, stopped, or broke the protocol under the case, or a part died.
    Broken {
        /// What happened.
        reason: String,
    },
    /// It does not apply.
    Skipped {
        /// Why.
        reason: String,
    },
    /// It was not run.
    NotRun {
        /// Why.
        reason: String,
    },
}

impl Verdict {
    /// Whether the case counts as failed.
    #[must_use]
    pub const fn is_red(&self) -> bool {
        matches!(self, Self::Failed { .. } | Self::Broken { .. })
    }
}

/// One disagreement with the contract.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FindingRecord {
    /// Which view disagrees.
    pub view: String,
    /// What was checked.
    pub what: String,
    /// The buffer.
    pub buffer: Option<String>,
    /// Its logical address, or that of the first wrong byte, in hex.
    pub logical_address: Option<String>,
    /// What the contract expects.
    pub expected: String,
    /// What was seen.
    pub seen: String,
}

impl From<&contract::Finding> for FindingRecord {
    fn from(finding: &contract::Finding) -> Self {
        Self {
            view: finding.view.into(),
            what: finding.what.clone(),
            buffer: finding.buffer.clone(),
            logical_address: finding.logical_address.map(|address| address.to_string()),
            expected: finding.expected.clone(),
            seen: finding.seen.clone(),
        }
    }
}

/// How a boot ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BootEnding {
    /// As asked: devices removed, driver unloaded.
    Clean,
    /// The guest stopped with a bug check.
    BugCheck,
    /// The guest kernel failed, or reset the machine.
    GuestFailed,
    /// The guest did not answer in time.
    GuestHung,
    /// The guest, or its mode of remapping, lacks something.
    EnvironmentMissing,
    /// The driver or its guest broke the mailbox protocol.
    ProtocolBroken,
    /// QEMU died unasked.
    QemuDied,
    /// The device process died unasked, or did not do its part.
    DeviceDied,
    /// The harness itself failed.
    HarnessFailed,
    /// A signal asked us to end.
    Interrupted,
}

/// The sum of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Summary {
    /// Cases that passed.
    pub passed: usize,
    /// Cases that failed or broke.
    pub failed: usize,
    /// Cases that do not apply.
    pub skipped: usize,
    /// Cases that were not run.
    pub not_run: usize,
    /// Number of boots.
    pub boots: u32,
    /// Milliseconds from the first start of QEMU to the first verdict.
    pub first_verdict_ms: Option<u64>,
    /// Milliseconds from the first start of QEMU to the end of the run.
    pub total_ms: Option<u64>,
    /// The most memory that one process of each kind had, over all boots.
    pub peak_memory: PeakMemory,
    /// Exit code of the program.
    pub exit_code: u8,
    /// What went wrong beyond single cases.
    pub problems: Vec<String>,
}

/// The most memory that processes had resident, as far as it could be seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PeakMemory {
    /// QEMU with the guest, in KiB.
    pub qemu_kib: Option<u64>,
    /// The device process, in KiB. What it maps of the guest's memory counts.
    pub device_kib: Option<u64>,
}

impl PeakMemory {
    /// The larger of each.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self {
            qemu_kib: self.qemu_kib.max(other.qemu_kib),
            device_kib: self.device_kib.max(other.device_kib),
        }
    }
}

impl Summary {
    /// Counts one case.
    pub const fn count(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Passed => self.passed += 1,
            Verdict::Failed { .. } | Verdict::Broken { .. } => self.failed += 1,
            Verdict::Skipped { .. } => self.skipped += 1,
            Verdict::NotRun { .. } => self.not_run += 1,
        }
    }
}

#[cfg(test)]
mod tests;
