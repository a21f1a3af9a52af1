//! The command line. Parses only: touches no file, no device, no environment.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use contract::{Remapping, SUITES};

use crate::exit_code;
use crate::runner::Hits;
use crate::sabotage::SABOTAGES;
use crate::selection::ALL_SUITES;

/// Tests Windows DMA drivers without hardware: a virtual device, stock QEMU, an embedded guest.
#[derive(Clone, Debug, Parser)]
#[command(name = "dmarig", version, after_help = exit_code::HELP, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands; each has a file in `commands`.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Start device, QEMU and guest, run the cases, judge them
    Run(RunArgs),
    /// Fail each fault point of a suite once, and tell what the driver makes of it
    Walk(WalkArgs),
    /// Run generated actions and compare what comes of them with a model
    Explore(ExploreArgs),
    /// Run again what was recorded of a boot, or a failure that explore found
    Replay(ReplayArgs),
    /// List cases, suites or sabotages
    List(ListArgs),
    /// Print the rules with their cases and last results
    Rules(RulesArgs),
    /// Check whether this machine has what a run needs
    Doctor(DoctorArgs),
    /// Print the completion script of a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Arguments of `dmarig run`.
#[derive(Clone, Debug, Args)]
#[command(after_help = exit_code::HELP)]
pub struct RunArgs {
    /// Which cases
    #[command(flatten)]
    pub selection: SelectionArgs,

    /// Guest that loads the driver
    #[arg(long, value_enum, default_value_t)]
    pub guest: Guest,

    /// Modes of DMA remapping to run in
    #[arg(long, value_enum, default_value_t)]
    pub remapping: RemappingChoice,

    /// Folder for junit.xml, events.jsonl and logs
    #[arg(long, value_name = "DIR", default_value = "dmarig-out")]
    pub out: PathBuf,

    /// Make a part misbehave, to see the checks turn red (see `dmarig list --sabotages`)
    #[arg(long, value_name = "NAME", value_parser = sabotage_names(), hide_possible_values = true)]
    pub sabotage: Option<String>,

    /// Let go wrong what this rule file tells (docs/faults.md); a rule that never strikes fails the run
    #[arg(long, value_name = "FILE")]
    pub faults: Option<PathBuf>,

    /// Print the whole table of registers and fields that the driver has touched (register-coverage.txt)
    #[arg(long, conflicts_with = "json")]
    pub coverage: bool,

    /// Do not record what the device under test is told and does (see `dmarig replay`)
    #[arg(long)]
    pub no_record: bool,

    /// How it is run
    #[command(flatten)]
    pub rig: RigArgs,
}

/// Arguments of `dmarig walk`.
#[derive(Clone, Debug, Args)]
#[command(after_help = exit_code::HELP)]
pub struct WalkArgs {
    /// Which cases
    #[command(flatten)]
    pub selection: SelectionArgs,

    /// Modes of DMA remapping of the golden run; each point is tried in the first that has it
    #[arg(long, value_enum, default_value_t)]
    pub remapping: RemappingChoice,

    /// Which fault points to try
    #[arg(long, value_enum, default_value_t)]
    pub points: PointsArg,

    /// Which hits of a point of the device fail, in the case that comes to it first: `first`, `all` (64 of
    /// them, evenly spread, where there are more), or the first N
    #[arg(long, value_name = "first|all|N", default_value = "first", value_parser = hits)]
    pub hits: HitsArg,

    /// Boots at a time; by default one for each CPU, at most 8
    #[arg(long, value_name = "N", value_parser = jobs)]
    pub jobs: Option<usize>,

    /// Try at most so many points, and leave the others for a run with --resume
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,

    /// Begin no further point after so long
    #[arg(long, value_name = "SECONDS", default_value = "3600", value_parser = seconds)]
    pub max_time: Duration,

    /// Go on where the walk in --out was stopped
    #[arg(long)]
    pub resume: bool,

    /// Folder for walk/ (state, rule files of bad points), junit.xml, events.jsonl and logs
    #[arg(long, value_name = "DIR", default_value = "dmarig-out")]
    pub out: PathBuf,

    /// Make a part misbehave, to see the walk turn red (see `dmarig list --sabotages`)
    #[arg(long, value_name = "NAME", value_parser = sabotage_names(), hide_possible_values = true)]
    pub sabotage: Option<String>,

    /// How it is run
    #[command(flatten)]
    pub rig: RigArgs,
}

/// Kinds of fault points.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum PointsArg {
    /// Calls of the driver: imports, DMA operations, framework functions
    Imports,
    /// Accesses of the device
    Device,
    /// Both
    #[default]
    All,
}

/// Hits of a point of the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HitsArg {
    /// The first so many.
    First(u64),
    /// All, within a bound.
    All,
}

impl From<HitsArg> for Hits {
    fn from(argument: HitsArg) -> Self {
        match argument {
            HitsArg::First(n) => Self::First(n),
            HitsArg::All => Self::All,
        }
    }
}

/// How a rig is run; shared by `run`, `explore` and `replay`.
#[derive(Clone, Debug, Args)]
pub struct RigArgs {
    /// Device file of a device under test (docs/device-file.md), once for each: the first is dut0, the
    /// next dut1; without any, one built-in device
    #[arg(long, value_name = "FILE")]
    pub device: Vec<PathBuf>,

    /// Give the devices of --device the vendor and device ID that the driver's INF matches
    #[arg(long, requires = "device")]
    pub own_ids: bool,

    /// Longest time that the boot or one case may take
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub timeout: Duration,

    /// Accelerator of QEMU
    #[arg(long, value_enum, default_value_t)]
    pub accel: AccelArg,

    /// Do not pin QEMU and the device process to one CPU
    #[arg(long)]
    pub no_pin: bool,

    /// Do not lock the device process into its sandbox (docs/security.md), for trusted guests only
    #[arg(long)]
    pub no_sandbox: bool,

    /// Print the event stream (JSON lines) instead of text for people
    #[arg(long)]
    pub json: bool,

    /// Where the parts lie
    #[command(flatten)]
    pub parts: PartArgs,
}

/// Arguments of `dmarig explore`.
#[derive(Clone, Debug, Args)]
#[command(after_help = exit_code::HELP)]
pub struct ExploreArgs {
    /// Seed of the list of actions: the same seed is the same list, everywhere and always
    #[arg(long, value_name = "N", default_value = "1")]
    pub seed: u64,

    /// Number of actions in the list
    #[arg(long, value_name = "M", default_value = "10000", value_parser = steps)]
    pub steps: usize,

    /// Modes of DMA remapping to run in
    #[arg(long, value_enum, default_value_t)]
    pub remapping: RemappingChoice,

    /// Folder for bundles, junit.xml, events.jsonl and logs
    #[arg(long, value_name = "DIR", default_value = "dmarig-out")]
    pub out: PathBuf,

    /// Make a part misbehave, to see that it is found (see `dmarig list --sabotages`)
    #[arg(long, value_name = "NAME", value_parser = sabotage_names(), hide_possible_values = true)]
    pub sabotage: Option<String>,

    /// Print the list of actions (JSON lines) and run nothing
    #[arg(long)]
    pub print_actions: bool,

    /// How it is run
    #[command(flatten)]
    pub rig: RigArgs,
}

/// Arguments of `dmarig replay`.
#[derive(Clone, Debug, Args)]
#[command(after_help = exit_code::HELP)]
pub struct ReplayArgs {
    /// Folder boot-N-remapping-MODE of a run, whose device then runs again without a guest; or the
    /// folder that `dmarig explore` wrote a failure into, or the bundle.json in it
    #[arg(value_name = "BUNDLE")]
    pub bundle: PathBuf,

    /// Run the recorded boot's cases again with a guest, and compare what the device did
    #[arg(long)]
    pub guest: bool,

    /// Inject the faults of this rule file into a recorded boot, in place of those recorded
    #[arg(long, value_name = "FILE")]
    pub faults: Option<PathBuf>,

    /// Folder for junit.xml, events.jsonl and logs
    #[arg(long, value_name = "DIR", default_value = "dmarig-out")]
    pub out: PathBuf,

    /// Leave out the sabotage that the bundle names
    #[arg(long)]
    pub no_sabotage: bool,

    /// How it is run
    #[command(flatten)]
    pub rig: RigArgs,
}

/// Which cases; shared by `run` and `list`.
#[derive(Clone, Debug, Args)]
pub struct SelectionArgs {
    /// Suite of cases
    #[arg(long, value_name = "NAME", value_parser = suite_names(), default_value = SUITES[0].name)]
    pub suite: String,

    /// Only cases whose id or rule matches, such as 'CM-9*'; may be given more than once
    #[arg(long, value_name = "GLOB")]
    pub filter: Vec<String>,
}

/// Where the parts of the rig lie, if not where they are built.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Parts")]
pub struct PartArgs {
    /// QEMU 11.1 or newer (else: DMARIG_QEMU, PATH, the cache of scripts/setup)
    #[arg(long, value_name = "PATH")]
    pub qemu: Option<PathBuf>,

    /// Driver to load instead of the built dmarig.sys
    #[arg(long, value_name = "PATH")]
    pub driver: Option<PathBuf>,

    /// Kernel of the nt guest
    #[arg(long, value_name = "PATH")]
    pub kernel: Option<PathBuf>,

    /// Device process
    #[arg(long, value_name = "PATH")]
    pub device_binary: Option<PathBuf>,
}

/// Arguments of `dmarig list`.
#[derive(Clone, Debug, Args)]
pub struct ListArgs {
    /// Which cases
    #[command(flatten)]
    pub selection: SelectionArgs,

    /// List the sabotages instead
    #[arg(long, conflicts_with = "suites")]
    pub sabotages: bool,

    /// List the suites instead
    #[arg(long)]
    pub suites: bool,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `dmarig rules`.
#[derive(Clone, Debug, Args)]
pub struct RulesArgs {
    /// Only cases of this suite
    #[arg(long, value_name = "NAME", value_parser = suite_names())]
    pub suite: Option<String>,

    /// Only rules whose number matches, such as 'CM-*'; may be given more than once
    #[arg(long, value_name = "GLOB")]
    pub filter: Vec<String>,

    /// Folder that the last run wrote
    #[arg(long, value_name = "DIR", default_value = "dmarig-out")]
    pub results: PathBuf,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `dmarig doctor`.
#[derive(Clone, Debug, Args)]
pub struct DoctorArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,

    /// Where the parts lie
    #[command(flatten)]
    pub parts: PartArgs,
}

/// Guests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Guest {
    /// The embedded NT-compatible kernel
    #[default]
    Nt,
}

/// Modes of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum RemappingChoice {
    /// The IOMMU translates
    On,
    /// Translation is left disabled
    Off,
    /// One boot each
    #[default]
    Both,
}

impl RemappingChoice {
    /// The modes, in the order in which they run.
    #[must_use]
    pub const fn modes(self) -> &'static [Remapping] {
        match self {
            Self::On => &[Remapping::On],
            Self::Off => &[Remapping::Off],
            Self::Both => &[Remapping::On, Remapping::Off],
        }
    }
}

/// Accelerators.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum AccelArg {
    /// KVM where it serves, else TCG
    #[default]
    Auto,
    /// KVM or nothing
    Kvm,
    /// QEMU's own translator
    Tcg,
}

impl From<AccelArg> for qemu::AccelChoice {
    fn from(argument: AccelArg) -> Self {
        match argument {
            AccelArg::Auto => Self::Auto,
            AccelArg::Kvm => Self::Kvm,
            AccelArg::Tcg => Self::Tcg,
        }
    }
}

/// Longest `--timeout`, so that sums of it never overflow.
const TIMEOUT_MAX_SECONDS: u64 = 24 * 60 * 60;

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<u64>() {
        Ok(seconds @ 1..=TIMEOUT_MAX_SECONDS) => Ok(Duration::from_secs(seconds)),
        _ => Err(format!("a number from 1 to {TIMEOUT_MAX_SECONDS}")),
    }
}

/// Longest list of one run.
const STEPS_MAX: usize = 1_000_000;

fn steps(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(steps @ 1..=STEPS_MAX) => Ok(steps),
        _ => Err(format!("a number from 1 to {STEPS_MAX}")),
    }
}

fn hits(text: &str) -> Result<HitsArg, String> {
    match (text, text.parse::<u64>()) {
        ("first", _) => Ok(HitsArg::First(1)),
        ("all", _) => Ok(HitsArg::All),
        (_, Ok(n @ 1..=Hits::ALL_MAX)) => Ok(HitsArg::First(n)),
        _ => Err(format!(
            "`first`, `all`, or a number from 1 to {}",
            Hits::ALL_MAX
        )),
    }
}

/// Most boots at a time.
pub const JOBS_MAX: usize = 8;

fn jobs(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(jobs @ 1..=JOBS_MAX) => Ok(jobs),
        _ => Err(format!("a number from 1 to {JOBS_MAX}")),
    }
}

fn suite_names() -> PossibleValuesParser {
    PossibleValuesParser::new(SUITES.iter().map(|suite| suite.name).chain([ALL_SUITES]))
}

fn sabotage_names() -> PossibleValuesParser {
    PossibleValuesParser::new(SABOTAGES.iter().map(|sabotage| sabotage.name))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn numbers_are_bounded_on_both_sides() {
        for bad in ["0", "-1", "86401", "1.5", ""] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
        for bad in ["0", "1000001", "-1", "many"] {
            assert!(steps(bad).is_err(), "{bad}");
        }
        assert_eq!(seconds("86400"), Ok(Duration::from_secs(86400)));
        for bad in ["0", "65", "last", ""] {
            assert!(hits(bad).is_err(), "{bad}");
        }
        assert_eq!(hits("first"), Ok(HitsArg::First(1)));
        assert_eq!(hits("64"), Ok(HitsArg::First(64)));
        assert!(jobs("0").is_err() && jobs("9").is_err());
        assert_eq!(jobs("8"), Ok(8));
    }
}
