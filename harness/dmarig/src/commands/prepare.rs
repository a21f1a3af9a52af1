//! What `run`, `explore` and `replay` do before anything is started: parts, folder, reports.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use contract::{Case, DEFAULT_PROFILE, DriverKind, OWN_IOMMU_PLACE, Remapping};
use device_file::DeviceFileError;
use dmarig_abi::registers::{PCI_DEVICE_ID_DUT, PCI_VENDOR_ID};
use fault_injection::RuleFileError;
use qemu::accel;
use qemu::binary;

use crate::artifacts;
use crate::cli::RigArgs;
use crate::entry::print_error;
use crate::event::{Event, SCHEMA_VERSION};
use crate::exit_code::Exit;
use crate::faults::Faults;
use crate::guest::nt;
use crate::report::{
    COVERAGE_FILE, CoverageReport, EVENTS_FILE, HumanReport, JsonReport, JunitReport, ReportError,
    Reports,
};
use crate::run_folder::{RunFolder, RunFolderError};
use crate::runner::{
    BundleError, DescribedDevice, Journal, Plan, RecordingError, Signals, WalkError, choose_cpu,
    is_log_folder,
};
use crate::sabotage;
use crate::selection::SelectionError;

/// By these our drivers know a device under test.
const OUR_IDS: (u16, u16) = (PCI_VENDOR_ID, PCI_DEVICE_ID_DUT);
/// Most devices under test: the test driver numbers no more.
const MAX_DUTS: usize = 8;

/// Why nothing could be started.
#[derive(Debug, thiserror::Error)]
pub(super) enum PrepareError {
    #[error(transparent)]
    Selection(#[from] SelectionError),
    #[error("no case matches the filters in the modes asked for\nhelp: dmarig list shows them")]
    NothingToRun,
    #[error(transparent)]
    Walk(#[from] WalkError),
    #[error(transparent)]
    Rules(#[from] RuleFileError),
    #[error(transparent)]
    DeviceFile(#[from] DeviceFileError),
    #[error("{} times --device\nhelp: at most {MAX_DUTS}, one for each device under test", .0)]
    TooManyDevices(usize),
    #[error(transparent)]
    Bundle(#[from] BundleError),
    #[error(transparent)]
    Recording(#[from] RecordingError),
    #[error(transparent)]
    Artifact(#[from] artifacts::ArtifactError),
    #[error(transparent)]
    Qemu(#[from] binary::BinaryError),
    #[error(transparent)]
    Kvm(#[from] accel::KvmRefused),
    #[error(
        "the rule {name:?} is for dut{function}, and the run has {n_duts} devices under test\nhelp: leave `match.function` out, or give more devices with --device"
    )]
    RuleForNoDevice {
        name: String,
        function: u16,
        n_duts: u16,
    },
    #[error(
        "no driver for device {vendor:04x}:{device:04x} of {}\nhelp: the INF matches PCI\\VEN_{:04X}&DEV_{:04X}; --own-ids gives the device these IDs",
        .file.display(), PCI_VENDOR_ID, PCI_DEVICE_ID_DUT
    )]
    NoDriver {
        file: PathBuf,
        vendor: u16,
        device: u16,
    },
    #[error(transparent)]
    Recorded(#[from] recording::bundle::BundleError),
    #[error(transparent)]
    RunFolder(#[from] RunFolderError),
    #[error("cannot make the folder {}\nhelp: name another one with --out", .path.display())]
    Out { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Report(#[from] ReportError),
    #[error("cannot listen to signals")]
    Signals(#[source] io::Error),
    #[error("cannot find this program's own file")]
    Program(#[source] io::Error),
}

impl PrepareError {
    const fn exit(&self) -> Exit {
        match self {
            Self::Selection(_)
            | Self::Rules(_)
            | Self::DeviceFile(_)
            | Self::TooManyDevices(_)
            | Self::NoDriver { .. }
            | Self::RuleForNoDevice { .. } => Exit::Usage,
            Self::NothingToRun => Exit::NothingRan,
            _ => Exit::EnvironmentMissing,
        }
    }
}

/// Reads the device files, so that what is wrong with them is told before anything starts.
fn check_devices(rig: &RigArgs) -> Result<Vec<DescribedDevice>, PrepareError> {
    if rig.device.len() > MAX_DUTS {
        return Err(PrepareError::TooManyDevices(rig.device.len()));
    }
    let read = |file: &PathBuf| {
        let mut description = device_file::read(file)?;
        let identity = &mut description.identity;
        let has_ours = (identity.vendor_id, identity.device_id) == OUR_IDS;
        let is_changed = rig.own_ids && !has_ours;
        if is_changed {
            (identity.vendor_id, identity.device_id) = OUR_IDS;
        }
        Ok(DescribedDevice {
            file: file.clone(),
            has_msix: description.interrupts.msix_vectors > 0,
            has_unit: description.iommu.as_ref().is_some_and(|unit| {
                let (bar, offset) = OWN_IOMMU_PLACE;
                unit.register_bar == Some(bar) && unit.register_offset == offset
            }),
            ids: (
                description.identity.vendor_id,
                description.identity.device_id,
            ),
            is_ours: has_ours || is_changed,
            changed: is_changed.then(|| Box::new(description)),
        })
    };
    rig.device.iter().map(read).collect()
}

/// The cases drive the first devices; a driver that is not theirs would be waited for in vain.
fn check_drivers(plan: &Plan) -> Result<(), PrepareError> {
    let driven = plan.cases.iter().map(|case| case.profile.duts).max();
    let n_driven = usize::from(driven.unwrap_or(DEFAULT_PROFILE.duts));
    let mut devices = plan.devices.iter().take(n_driven);
    match devices.find(|device| !device.is_ours) {
        Some(DescribedDevice { file, ids, .. }) => Err(PrepareError::NoDriver {
            file: file.clone(),
            vendor: ids.0,
            device: ids.1,
        }),
        None => Ok(()),
    }
}

/// The exit code, once what went wrong was told.
pub(super) fn exit_of(ended: Result<Exit, PrepareError>) -> Exit {
    match ended {
        Ok(exit) => exit,
        Err(error) => {
            print_error(&error);
            error.exit()
        }
    }
}

/// What is asked for.
pub(super) struct Wanted<'a> {
    /// Name of what runs, in reports.
    pub(super) suite: &'a str,
    /// Name of the guest.
    pub(super) guest: &'static str,
    /// The cases; none where no cases are run.
    pub(super) cases: Vec<&'static Case>,
    /// The modes.
    pub(super) modes: &'static [Remapping],
    /// What misbehaves.
    pub(super) sabotage: Option<&'a str>,
    /// What goes wrong on purpose.
    pub(super) faults: Faults,
    /// Folder of reports and logs.
    pub(super) out: &'a Path,
    /// How it is run.
    pub(super) rig: &'a RigArgs,
    /// Whether the device under test is recorded.
    pub(super) record: bool,
}

/// Everything that a run needs, ready.
pub(super) struct Prepared {
    pub(super) plan: Plan,
    pub(super) signals: Signals,
    pub(super) folder: RunFolder,
    pub(super) journal: Journal,
}

impl Prepared {
    /// Finds the parts, makes the folders, opens the reports, and tells that the run starts with `n_cases`
    /// checks.
    pub(super) fn new(
        wanted: Wanted<'_>,
        n_cases: impl FnOnce(&Plan) -> usize,
    ) -> Result<Self, PrepareError> {
        let (suite, guest) = (wanted.suite.to_owned(), wanted.guest);
        let (out, json) = (wanted.out.to_owned(), wanted.rig.json);
        let (plan, note) = plan(wanted)?;
        let n_cases = n_cases(&plan);
        if n_cases == 0 {
            return Err(PrepareError::NothingToRun);
        }
        let signals = Signals::listen().map_err(PrepareError::Signals)?;
        let folder = RunFolder::create(&plan.program)?;
        let mut journal = Journal::new(reports(&out, json)?);
        journal.tell(started(suite, guest, &plan, n_cases));
        if let Some(text) = note {
            journal.tell(Event::Note { text });
        }
        Ok(Self {
            plan,
            signals,
            folder,
            journal,
        })
    }

    /// Ends the reports; `exit` is how it ended, unless one cannot be written.
    pub(super) fn finish(mut self, exit: Exit) -> Exit {
        let exit = match self.journal.summary().failed {
            0 => exit,
            _ => exit.max(Exit::ChecksFailed),
        };
        let exit = self.journal.finish(exit);
        for failure in self.journal.reports().failures() {
            print_error(failure);
        }
        exit
    }
}

fn plan(wanted: Wanted<'_>) -> Result<(Plan, Option<String>), PrepareError> {
    let rig = wanted.rig;
    let drivers = wanted.cases.iter().map(|case| case.profile.driver);
    let artifacts = if wanted.cases.is_empty() {
        artifacts::find_all(&rig.parts, [DriverKind::default()])?
    } else {
        artifacts::find_all(&rig.parts, drivers)?
    };
    let qemu = binary::find(rig.parts.qemu.as_deref())?;
    let (accel, note) = accel::choose(rig.accel.into(), nt::CPU_FEATURES)?;
    let plan = Plan {
        cases: wanted.cases,
        modes: wanted.modes,
        sabotage: wanted.sabotage.and_then(sabotage::find),
        artifacts,
        qemu,
        accel,
        cpu: if rig.no_pin { None } else { choose_cpu() },
        sandbox: !rig.no_sandbox,
        timeout: rig.timeout,
        program: env::current_exe().map_err(PrepareError::Program)?,
        out: wanted.out.to_owned(),
        faults: wanted.faults,
        devices: check_devices(wanted.rig)?,
        record: wanted.record,
    };
    check_functions(&plan)?;
    check_drivers(&plan)?;
    Ok((plan, note))
}

/// A rule for a device that no boot has would never strike.
fn check_functions(plan: &Plan) -> Result<(), PrepareError> {
    let profiles = plan.cases.iter().map(|case| case.profile);
    let n_duts = profiles.map(|profile| plan.n_duts(profile)).max();
    let n_duts = n_duts.unwrap_or_else(|| plan.n_duts(&DEFAULT_PROFILE));
    for rule in &plan.faults.rules.plan.rules {
        if let Some(function) = rule.condition.function
            && function >= n_duts
        {
            return Err(PrepareError::RuleForNoDevice {
                name: rule.name.clone(),
                function,
                n_duts,
            });
        }
    }
    Ok(())
}

fn reports(out: &Path, json: bool) -> Result<Reports, PrepareError> {
    let failed = |source| PrepareError::Out {
        path: out.to_owned(),
        source,
    };
    fs::create_dir_all(out).map_err(failed)?;
    remove_old_logs(out).map_err(failed)?;
    // It is written where there is something to tell; that there was none harms nobody.
    let _ = fs::remove_file(out.join(COVERAGE_FILE));
    let mut reports = Reports::default();
    reports.add(JsonReport::create(&out.join(EVENTS_FILE))?);
    reports.add(JunitReport::new(&out.join("junit.xml")));
    reports.add(CoverageReport::new(&out.join(COVERAGE_FILE)));
    if json {
        reports.add(JsonReport::stdout());
    } else {
        reports.add(HumanReport::stdout(out.to_owned()));
    }
    Ok(reports)
}

/// Removes the logs of an older run, which this one would not overwrite and a reader would take for
/// its own. Whatever does not bear the name of such a folder, or is a link, stays.
fn remove_old_logs(out: &Path) -> io::Result<()> {
    for entry in fs::read_dir(out)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() && entry.file_name().to_str().is_some_and(is_log_folder) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

fn started(suite: String, guest: &str, plan: &Plan, n_cases: usize) -> Event {
    let drivers = plan.artifacts.drivers.values();
    let drivers = drivers.map(|path| path.display().to_string());
    Event::RunStarted {
        schema_version: SCHEMA_VERSION,
        dmarig_version: env!("CARGO_PKG_VERSION").into(),
        suite,
        guest: guest.into(),
        driver: drivers.collect::<Vec<_>>().join(", "),
        qemu_version: plan.qemu.version.to_string(),
        accel: plan.accel.name().into(),
        cpu: plan.cpu,
        sabotage: plan.sabotage.map(|sabotage| sabotage.name.into()),
        n_cases,
    }
}
