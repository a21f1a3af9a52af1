//! `dmarig run`: from the arguments to the plan, and from the run to the exit code.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use qemu::accel;
use qemu::binary;

use crate::artifacts;
use crate::cli::{Guest, RunArgs};
use crate::entry::print_error;
use crate::event::{Event, SCHEMA_VERSION};
use crate::exit_code::Exit;
use crate::guest::nt;
use crate::report::{HumanReport, JsonReport, JunitReport, ReportError, Reports};
use crate::run_folder::{RunFolder, RunFolderError};
use crate::runner::{Journal, Plan, Run, Signals, choose_cpu, is_log_folder};
use crate::sabotage;
use crate::selection::{self, SelectionError};

/// Why nothing could be started.
#[derive(Debug, thiserror::Error)]
enum PrepareError {
    #[error(transparent)]
    Selection(#[from] SelectionError),
    #[error("no case matches the filters in the modes asked for\nhelp: dmarig list shows them")]
    NothingToRun,
    #[error(transparent)]
    Artifact(#[from] artifacts::ArtifactError),
    #[error(transparent)]
    Qemu(#[from] binary::BinaryError),
    #[error(transparent)]
    Kvm(#[from] accel::KvmRefused),
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
            Self::Selection(_) => Exit::Usage,
            Self::NothingToRun => Exit::NothingRan,
            _ => Exit::EnvironmentMissing,
        }
    }
}

/// Runs the cases.
pub fn run(arguments: &RunArgs) -> Exit {
    match prepare_and_run(arguments) {
        Ok(exit) => exit,
        Err(error) => {
            print_error(&error);
            error.exit()
        }
    }
}

fn prepare_and_run(arguments: &RunArgs) -> Result<Exit, PrepareError> {
    let (plan, note) = plan(arguments)?;
    let signals = Signals::listen().map_err(PrepareError::Signals)?;
    let folder = RunFolder::create(&plan.program)?;
    let mut journal = Journal::new(reports(arguments)?);
    journal.tell(started(arguments, &plan));
    if let Some(text) = note {
        journal.tell(Event::Note { text });
    }
    let exit = Run::new(&plan, &folder, &signals, &mut journal).run();
    let exit = journal.finish(exit);
    for failure in journal.reports().failures() {
        print_error(failure);
    }
    Ok(exit)
}

fn plan(arguments: &RunArgs) -> Result<(Plan, Option<String>), PrepareError> {
    let cases = selection::select(&arguments.selection)?;
    let drivers = cases.iter().map(|case| case.profile.driver);
    let artifacts = artifacts::find_all(&arguments.parts, drivers)?;
    let qemu = binary::find(arguments.parts.qemu.as_deref())?;
    let (accel, note) = accel::choose(arguments.accel.into(), nt::CPU_FEATURES)?;
    let plan = Plan {
        cases,
        modes: arguments.remapping.modes(),
        sabotage: arguments.sabotage.as_deref().and_then(sabotage::find),
        artifacts,
        qemu,
        accel,
        cpu: if arguments.no_pin { None } else { choose_cpu() },
        timeout: arguments.timeout,
        program: env::current_exe().map_err(PrepareError::Program)?,
        out: arguments.out.clone(),
    };
    if plan.n_cases() == 0 {
        return Err(PrepareError::NothingToRun);
    }
    Ok((plan, note))
}

fn reports(arguments: &RunArgs) -> Result<Reports, PrepareError> {
    let out = &arguments.out;
    fs::create_dir_all(out).map_err(|source| PrepareError::Out {
        path: out.clone(),
        source,
    })?;
    remove_old_logs(out).map_err(|source| PrepareError::Out {
        path: out.clone(),
        source,
    })?;
    let mut reports = Reports::default();
    reports.add(JsonReport::create(&out.join("events.jsonl"))?);
    reports.add(JunitReport::new(&out.join("junit.xml")));
    if arguments.json {
        reports.add(JsonReport::stdout());
    } else {
        reports.add(HumanReport::stdout(out.clone()));
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

fn started(arguments: &RunArgs, plan: &Plan) -> Event {
    let drivers = plan.artifacts.drivers.values();
    let drivers = drivers.map(|path| path.display().to_string());
    Event::RunStarted {
        schema_version: SCHEMA_VERSION,
        dmarig_version: env!("CARGO_PKG_VERSION").into(),
        suite: arguments.selection.suite.clone(),
        guest: match arguments.guest {
            Guest::Nt => "nt".into(),
        },
        driver: drivers.collect::<Vec<_>>().join(", "),
        qemu_version: plan.qemu.version.to_string(),
        accel: plan.accel.name().into(),
        cpu: plan.cpu,
        sabotage: plan.sabotage.map(|sabotage| sabotage.name.into()),
        n_cases: plan.n_cases(),
    }
}
