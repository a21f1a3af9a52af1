//! `dmarig walk`: a golden run, then each of its fault points failed once.

use std::fs;
use std::path::Path;

use super::prepare::{PrepareError, Prepared, Wanted, exit_of};
use crate::cli::{JOBS_MAX, PointsArg, WalkArgs};
use crate::exit_code::Exit;
use crate::faults::Faults;
use crate::runner::{
    Collector, Hits, Plan, Points, Run, Walk, WalkEnd, WalkError, WalkState, allowed_cpus,
};
use crate::selection;

/// Folder in `--out` for the state, the rule files and the logs of bad points.
const WALK_FOLDER: &str = "walk";

/// Walks.
pub fn run(arguments: &WalkArgs) -> Exit {
    exit_of(prepare_and_run(arguments))
}

fn prepare_and_run(arguments: &WalkArgs) -> Result<Exit, PrepareError> {
    let mut cases = selection::select(&arguments.selection)?;
    // A case that stops the guest cannot tell what became of a fault.
    cases.retain(|case| case.stop.is_none());
    if points(arguments).device {
        // A case that loads faults of its own would take the walk's away.
        cases.retain(|case| !case.rule().starts_with("SV-") && !case.rule().starts_with("DV-"));
    }
    if cases.is_empty() {
        return Err(PrepareError::NothingToRun);
    }
    let wanted = Wanted {
        suite: &arguments.selection.suite,
        guest: "nt",
        cases,
        modes: arguments.remapping.modes(),
        sabotage: arguments.sabotage.as_deref(),
        faults: Faults {
            watch_calls: points(arguments).calls,
            record_points: points(arguments).device,
            ..Faults::default()
        },
        out: &arguments.out,
        rig: &arguments.rig,
        record: true,
    };
    let folder = arguments.out.join(WALK_FOLDER);
    let mut prepared = Prepared::new(wanted, Plan::n_cases)?;
    let identity = identity(arguments, &prepared.plan)?;
    let state = if arguments.resume {
        WalkState::read(&folder, &identity)?
    } else {
        match begin(&mut prepared, &folder, arguments, identity)? {
            Ok(state) => state,
            Err(exit) => return Ok(prepared.finish(exit)),
        }
    };
    let walk = Walk {
        plan: &prepared.plan,
        folder: &prepared.folder,
        signals: &prepared.signals,
        journal: &mut prepared.journal,
        state,
        out: folder,
        suite: &arguments.selection.suite,
    };
    let exit = walk.run(WalkEnd {
        limit: arguments.limit.unwrap_or(usize::MAX),
        max_time: arguments.max_time,
        jobs: arguments.jobs.unwrap_or_else(default_jobs),
    })?;
    Ok(prepared.finish(exit))
}

/// The golden run, which must pass; its points are the state of a walk that begins.
fn begin(
    prepared: &mut Prepared,
    folder: &Path,
    arguments: &WalkArgs,
    identity: String,
) -> Result<Result<WalkState, Exit>, PrepareError> {
    clear(folder)?;
    let collector = Collector::new(arguments.hits.into());
    prepared.journal.add_report(collector.clone());
    let Prepared {
        plan,
        signals,
        folder: sockets,
        journal,
    } = prepared;
    let exit = Run::new(plan, sockets, signals, journal).run();
    if exit != Exit::Success {
        journal.problem("the golden run did not pass, so no fault was tried".into());
        return Ok(Err(exit));
    }
    let points = points(arguments);
    let state = WalkState::new(identity, collector.points(points));
    state.write(folder)?;
    Ok(Ok(state))
}

/// One boot for each CPU that we may use.
fn default_jobs() -> usize {
    allowed_cpus().len().clamp(1, JOBS_MAX)
}

const fn points(arguments: &WalkArgs) -> Points {
    Points {
        calls: !matches!(arguments.points, PointsArg::Device),
        device: !matches!(arguments.points, PointsArg::Imports),
    }
}

/// Makes the folder anew: rule files of an older walk would be taken for this one's.
fn clear(folder: &Path) -> Result<(), PrepareError> {
    let failed = |source| PrepareError::Out {
        path: folder.to_owned(),
        source,
    };
    if folder.join("state.json").exists() {
        fs::remove_dir_all(folder).map_err(failed)?;
    }
    fs::create_dir_all(folder).map_err(failed)
}

/// What a walk is made of; a state of anything else says nothing about it.
fn identity(arguments: &WalkArgs, plan: &Plan) -> Result<String, PrepareError> {
    let mut text = format!(
        "suite {}, filters [{}], remapping {:?}, points {:?}, hits {:?}, sabotage {}",
        arguments.selection.suite,
        arguments.selection.filter.join(" "),
        arguments.remapping,
        arguments.points,
        Hits::from(arguments.hits),
        arguments.sabotage.as_deref().unwrap_or("none"),
    )
    .to_lowercase();
    for driver in plan.artifacts.drivers.values() {
        let image = fs::read(driver).map_err(|source| WalkError::Read {
            path: driver.clone(),
            source,
        })?;
        let name = driver.file_name().unwrap_or_default().to_string_lossy();
        text.push_str(&format!(", {name} {:08x}", crc32c::crc32c(&image)));
    }
    Ok(text)
}
