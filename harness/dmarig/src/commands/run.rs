//! `dmarig run`: from the arguments to the plan, and from the run to the exit code.

use std::fs;

use super::prepare::{PrepareError, Prepared, Wanted, exit_of};
use crate::cli::{Guest, RunArgs};
use crate::exit_code::Exit;
use crate::faults::Faults;
use crate::report::COVERAGE_FILE;
use crate::runner::{Plan, Run};
use crate::selection;

/// Runs the cases.
pub fn run(arguments: &RunArgs) -> Exit {
    exit_of(prepare_and_run(arguments))
}

fn prepare_and_run(arguments: &RunArgs) -> Result<Exit, PrepareError> {
    let cases = selection::select(&arguments.selection)?;
    if cases.is_empty() {
        return Err(PrepareError::NothingToRun);
    }
    let wanted = Wanted {
        suite: &arguments.selection.suite,
        guest: match arguments.guest {
            Guest::Nt => "nt",
        },
        cases,
        modes: arguments.remapping.modes(),
        sabotage: arguments.sabotage.as_deref(),
        faults: match &arguments.faults {
            Some(path) => Faults::read(path)?,
            None => Faults::default(),
        },
        out: &arguments.out,
        rig: &arguments.rig,
        record: !arguments.no_record,
    };
    let mut prepared = Prepared::new(wanted, Plan::n_cases)?;
    let Prepared {
        plan,
        signals,
        folder,
        journal,
    } = &mut prepared;
    let exit = Run::new(plan, folder, signals, journal).run();
    let exit = prepared.finish(exit);
    if arguments.coverage {
        // Where no device could be asked, there is no table.
        let table = fs::read_to_string(arguments.out.join(COVERAGE_FILE)).unwrap_or_default();
        return Ok(super::print(&table, exit));
    }
    Ok(exit)
}
