//! `dmarig replay` of a recorded boot: without a guest, or with one.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command;

use contract::Remapping;
use recording::bundle::Manifest;
use recording::trace::{Item, Likeness, Parting, Stream, compare};

use super::prepare::{PrepareError, Prepared, Wanted, exit_of};
use crate::artifacts::{self, Kind};
use crate::cli::{ReplayArgs, RigArgs};
use crate::entry::print_error;
use crate::event::Event;
use crate::exit_code::Exit;
use crate::faults::Faults;
use crate::runner::{Plan, RecordedRun, Run, again, first_recording};
use crate::selection;

/// What the device process returns for a replay.
mod device_exit {
    pub const IDENTICAL: i32 = 0;
    pub const DIFFERENT: i32 = 1;
    pub const NO_RECORDING: i32 = 2;
}

/// Runs what is recorded in `folder` again.
pub fn run(arguments: &ReplayArgs, folder: &Path) -> Exit {
    if arguments.guest {
        exit_of(with_guest(arguments, folder))
    } else {
        without_guest(arguments, folder)
    }
}

/// The device process gives itself the recorded inputs; it says what came of it.
fn without_guest(arguments: &ReplayArgs, folder: &Path) -> Exit {
    let parts = &arguments.rig.parts;
    let device = match artifacts::find(Kind::Device, parts.device_binary.as_deref()) {
        Ok(device) => device,
        Err(error) => {
            print_error(&error);
            return Exit::EnvironmentMissing;
        }
    };
    let mut command = Command::new(&device);
    command.arg("replay").arg(folder);
    if let Some(file) = &arguments.faults {
        command.arg("--faults").arg(file);
    }
    if arguments.rig.json {
        command.arg("--json");
    }
    match command.status().map(|status| status.code()) {
        Ok(Some(device_exit::IDENTICAL)) => Exit::Success,
        Ok(Some(device_exit::DIFFERENT)) => Exit::ChecksFailed,
        Ok(Some(device_exit::NO_RECORDING)) => Exit::Usage,
        Ok(_) => Exit::OurBug,
        Err(source) => {
            print_error(&CannotStart { device, source });
            Exit::EnvironmentMissing
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("cannot start the device process {}", .device.display())]
struct CannotStart {
    device: PathBuf,
    source: io::Error,
}

/// The same cases in a boot of their own, and what the device did then beside what it did now.
fn with_guest(arguments: &ReplayArgs, folder: &Path) -> Result<Exit, PrepareError> {
    let recorded = RecordedRun::read(folder)?;
    let sabotage = recorded
        .sabotage
        .as_deref()
        .filter(|_| !arguments.no_sabotage);
    let out = out_beside(&arguments.out, folder);
    let rig = RigArgs {
        device: devices(&arguments.rig.device, folder)?,
        ..arguments.rig.clone()
    };
    let wanted = Wanted {
        suite: selection::ALL_SUITES,
        guest: "nt",
        cases: selection::by_ids(&recorded.cases)?,
        modes: match recorded.mode() {
            Remapping::On => &[Remapping::On],
            Remapping::Off => &[Remapping::Off],
        },
        sabotage,
        faults: match &arguments.faults {
            Some(file) => Faults::read(file)?,
            None => recorded.faults(folder)?,
        },
        out: &out,
        rig: &rig,
        record: true,
    };
    let mut prepared = Prepared::new(wanted, Plan::n_cases)?;
    let Prepared {
        plan,
        signals,
        folder: sockets,
        journal,
    } = &mut prepared;
    let note = format!(
        "{} cases of a boot that dmarig {} has recorded",
        recorded.cases.len(),
        recorded.dmarig_version
    );
    journal.tell(Event::Note { text: note });
    let exit = if recorded.faults_first_case {
        let (exit, text) = match again(plan, sockets, signals, &recorded) {
            Some((verdict, detail)) => (Exit::Success, format!("{}: {detail}", verdict.name())),
            None => (
                signals.exit().unwrap_or(Exit::Interrupted),
                "interrupted".to_owned(),
            ),
        };
        journal.tell(Event::Note { text });
        exit
    } else {
        Run::new(plan, sockets, signals, journal).run()
    };
    let compared = likenesses(folder, &first_recording(&out, recorded.mode()));
    let (text, is_same) = match &compared {
        Ok(likenesses) => judge(likenesses),
        Err(problem) => (format!("the runs cannot be compared: {problem}"), false),
    };
    journal.tell(Event::Note { text });
    Ok(match prepared.finish(exit) {
        // That the run is red again is what one hopes for: the comparison alone counts.
        Exit::Success | Exit::ChecksFailed if is_same => Exit::Success,
        exit => exit.max(Exit::ChecksFailed),
    })
}

/// The device files that are asked for, or else those that were recorded.
fn devices(asked: &[PathBuf], folder: &Path) -> Result<Vec<PathBuf>, PrepareError> {
    if !asked.is_empty() {
        return Ok(asked.to_vec());
    }
    let manifest = Manifest::read(folder)?;
    // Devices with a file come before those without.
    let files = manifest.functions.into_iter();
    let files = files.map_while(|function| function.device_file);
    Ok(files.map(|file| folder.join(file)).collect())
}

/// The folder for the new run. It must not be that of the old one, whose logs would be removed.
fn out_beside(out: &Path, recorded: &Path) -> PathBuf {
    let is_inside = match (out.canonicalize(), recorded.canonicalize()) {
        (Ok(out), Ok(recorded)) => recorded.starts_with(out),
        _ => false,
    };
    if is_inside {
        out.join("replay")
    } else {
        out.to_owned()
    }
}

/// Compares the traces of each device under test.
fn likenesses(recorded: &Path, new: &Path) -> Result<Vec<(String, Likeness)>, String> {
    let manifest = Manifest::read(recorded).map_err(|error| error.to_string())?;
    let functions = manifest.functions.iter();
    functions
        .map(|function| {
            let open = |folder: &Path| {
                let path = folder.join(&function.trace);
                let file = File::open(&path);
                file.map_err(|error| format!("{}: {error}", path.display()))
            };
            let likeness = compare(BufReader::new(open(recorded)?), BufReader::new(open(new)?))?;
            Ok((function.name.clone(), likeness))
        })
        .collect()
}

/// What came of it, and whether it is the same.
fn judge(likenesses: &[(String, Likeness)]) -> (String, bool) {
    let texts: Vec<String> = likenesses
        .iter()
        .map(|(name, likeness)| describe(name, likeness))
        .collect();
    let is_same = likenesses.iter().all(|(_, likeness)| likeness.is_same());
    (texts.join("\n"), is_same)
}

fn describe(name: &str, likeness: &Likeness) -> String {
    let counts = format!(
        "{} requests and {} faults",
        likeness.n_requests, likeness.n_faults
    );
    let mut text = if likeness.is_same() {
        format!("{name}: the same as recorded: {counts}, each at its place in its channel")
    } else {
        format!("{name}: not as recorded ({counts})")
    };
    for parting in &likeness.channels {
        text += &tell(parting);
    }
    if let Some(parting) = &likeness.registers {
        text += &tell(parting);
    }
    text
}

fn tell(parting: &Parting) -> String {
    let stream = match parting.stream {
        Stream::Channel(Some(channel)) => format!("channel {channel}"),
        Stream::Channel(None) => "without channel".into(),
        Stream::Registers => "the guest's accesses, repeated reads as one,".into(),
    };
    let side = |item: &Option<Item>| match item {
        Some(item) => format!("{} (record {})", item.text, item.record),
        None => "nothing more".into(),
    };
    format!(
        "\n  {stream} at {}\n    expected: {}\n    seen:     {}",
        parting.position,
        side(&parting.expected),
        side(&parting.seen)
    )
}
