//! `dmarig replay`: a failure that `dmarig explore` found, once more; a recorded boot is
//! `replay_recording`'s.

use std::path::PathBuf;

use contract::Remapping;

use super::explore::{MEMORY_BYTES, SUITE, campaign};
use super::prepare::{PrepareError, Prepared, Wanted, exit_of};
use super::replay_recording;
use crate::cli::ReplayArgs;
use crate::entry::print_error;
use crate::event::{Event, ReplayEnding};
use crate::exit_code::Exit;
use crate::faults::Faults;
use crate::runner::{Bundle, CampaignEnd, Search, recording_at};

/// Reads the bundle, runs it, compares.
pub fn run(arguments: &ReplayArgs) -> Exit {
    match recording_at(&arguments.bundle) {
        Some(folder) => replay_recording::run(arguments, &folder),
        None if arguments.faults.is_some() => {
            print_error(&NoRecordedBoot(arguments.bundle.clone()));
            Exit::Usage
        }
        None => exit_of(prepare_and_run(arguments)),
    }
}

/// Why there is nothing to inject faults into.
#[derive(Debug, thiserror::Error)]
#[error("{} holds no recorded boot, and --faults is for one\nhelp: name a folder boot-N-remapping-MODE of a run", .0.display())]
struct NoRecordedBoot(PathBuf);

fn prepare_and_run(arguments: &ReplayArgs) -> Result<Exit, PrepareError> {
    let bundle = Bundle::read(&arguments.bundle)?;
    let remapping = bundle.mode().unwrap_or(Remapping::On);
    let sabotage = bundle
        .sabotage
        .as_deref()
        .filter(|_| !arguments.no_sabotage);
    let wanted = Wanted {
        suite: SUITE,
        guest: "nt",
        cases: Vec::new(),
        modes: match remapping {
            Remapping::On => &[Remapping::On],
            Remapping::Off => &[Remapping::Off],
        },
        sabotage,
        faults: Faults::default(),
        out: &arguments.out,
        rig: &arguments.rig,
        record: false,
    };
    let mut prepared = Prepared::new(wanted, |_| 1)?;
    prepared.journal.tell(Event::Note {
        text: format!(
            "{} actions that an explore run of seed {} by dmarig {} was shrunk to",
            bundle.actions.len(),
            bundle.seed,
            bundle.dmarig_version
        ),
    });
    let mut campaign = campaign(&mut prepared);
    let search = Search::replay(bundle.actions.clone(), MEMORY_BYTES);
    let end = campaign.run(remapping, search);
    let title = "the actions of a bundle: what comes of them is what the model says";
    campaign.conclude(remapping, title, &end);
    let how = ending(&bundle, &end);
    prepared.journal.tell(Event::ReplayEnded { how });
    let exit = match how {
        ReplayEnding::Same | ReplayEnding::Other => end.exit.max(Exit::ChecksFailed),
        ReplayEnding::Passed | ReplayEnding::BrokenOff => end.exit,
    };
    Ok(prepared.finish(exit))
}

fn ending(bundle: &Bundle, end: &CampaignEnd) -> ReplayEnding {
    match (&end.found, &end.broken_off) {
        (Some(found), _) if bundle.failure.is_like(&found.disagreement) => ReplayEnding::Same,
        (Some(_), _) => ReplayEnding::Other,
        (None, None) => ReplayEnding::Passed,
        (None, Some(_)) => ReplayEnding::BrokenOff,
    }
}
