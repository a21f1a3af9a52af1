//! `dmarig explore`: a list of actions from a seed, carried out in each mode, and what comes of it.

use std::path::Path;
use std::sync::Arc;

use contract::Remapping;
use contract::explore::{Action, generate};

use super::prepare::{PrepareError, Prepared, Wanted, exit_of};
use crate::cli::ExploreArgs;
use crate::event::Event;
use crate::exit_code::Exit;
use crate::faults::Faults;
use crate::guest::nt;
use crate::runner::{Bundle, Campaign, CampaignEnd, Found, Origin, Search};

/// Name of what runs, in reports.
pub(super) const SUITE: &str = "explore";
/// Folder in a failure's for the boot in which it was recorded.
const BOOT_FOLDER: &str = "boot";
/// Guest memory in bytes, as the model has it.
pub(super) const MEMORY_BYTES: u64 =
    (nt::memory_mib(contract::DEFAULT_PROFILE.memory) as u64) << 20;

/// Generates, runs, judges.
pub fn run(arguments: &ExploreArgs) -> Exit {
    let episodes = generate(arguments.seed, arguments.steps);
    if arguments.print_actions {
        let lines: String = episodes.iter().flatten().map(line).collect();
        return super::print(&lines, Exit::Success);
    }
    exit_of(prepare_and_run(arguments, episodes))
}

fn prepare_and_run(
    arguments: &ExploreArgs,
    episodes: Vec<Vec<Action>>,
) -> Result<Exit, PrepareError> {
    let modes = arguments.remapping.modes();
    let mut prepared = Prepared::new(
        Wanted {
            suite: SUITE,
            guest: "nt",
            cases: Vec::new(),
            modes,
            sabotage: arguments.sabotage.as_deref(),
            faults: Faults::default(),
            out: &arguments.out,
            rig: &arguments.rig,
            record: false,
        },
        |_| modes.len(),
    )?;
    let list_crc32c = list_crc32c(&episodes);
    let episodes = Arc::new(episodes);
    let mut exit = Exit::Success;
    for remapping in modes {
        exit = exit.max(explore(
            arguments,
            &mut prepared,
            *remapping,
            &episodes,
            &list_crc32c,
        )?);
    }
    // A boot that dies cannot be asked whether the sabotage struck; that something was found says it.
    if exit == Exit::Success && prepared.journal.sabotage_never_struck() {
        exit = exit.max(Exit::ChecksFailed);
        let text = "the sabotage never struck, so the run shows nothing";
        prepared.journal.problem(text.into());
    }
    Ok(prepared.finish(exit))
}

fn explore(
    arguments: &ExploreArgs,
    prepared: &mut Prepared,
    remapping: Remapping,
    episodes: &Arc<Vec<Vec<Action>>>,
    list_crc32c: &str,
) -> Result<Exit, PrepareError> {
    prepared.journal.tell(Event::ExploreStarted {
        remapping: remapping.into(),
        seed: arguments.seed,
        n_actions: arguments.steps,
        list_crc32c: list_crc32c.into(),
    });
    let search = Search::new(Arc::clone(episodes), MEMORY_BYTES);
    let mut campaign = campaign(prepared);
    let end = campaign.run(remapping, search);
    let title = format!(
        "{} actions of seed {}: what comes of them is what the model says",
        arguments.steps, arguments.seed
    );
    campaign.conclude(remapping, &title, &end);
    let origin = Origin {
        seed: arguments.seed,
        steps: arguments.steps,
        list_crc32c,
        remapping,
        sabotage: arguments.sabotage.as_deref(),
    };
    tell_end(prepared, &origin, &end)?;
    Ok(exit(&end))
}

/// Writes the bundle of what was found, and tells the sums.
fn tell_end(
    prepared: &mut Prepared,
    origin: &Origin<'_>,
    end: &CampaignEnd,
) -> Result<(), PrepareError> {
    let remapping = origin.remapping.into();
    if let Some(found) = &end.found {
        let name = format!("failure-remapping-{}", origin.remapping.as_str());
        let folder = prepared.plan.out.join(name);
        Bundle::new(origin, found).write(&folder)?;
        record(prepared, origin.remapping, found, &folder.join(BOOT_FOLDER));
        prepared.journal.tell(Event::ExploreBundle {
            remapping,
            folder: folder.display().to_string(),
            n_actions: found.actions.len(),
            n_unshrunk: found.unshrunk.len(),
            n_tries: found.n_tries,
            is_reproduced: found.is_reproduced,
            listing: found
                .actions
                .iter()
                .map(|action| line(action).trim_end().into())
                .collect(),
        });
    }
    prepared.journal.tell(Event::ExploreEnded {
        remapping,
        result: end.result.clone(),
    });
    Ok(())
}

/// Records what was found, in a boot of its own.
fn record(prepared: &mut Prepared, remapping: Remapping, found: &Found, folder: &Path) {
    if prepared.signals.exit().is_some() {
        return;
    }
    let is_like = campaign(prepared).record(remapping, found, MEMORY_BYTES, folder);
    let how = if is_like {
        "it fails the same way there"
    } else {
        "it does not fail the same way there"
    };
    let text = format!("recorded in {}: {how}", folder.display());
    prepared.journal.tell(Event::Note { text });
}

/// A campaign with what was prepared.
pub(super) fn campaign(prepared: &mut Prepared) -> Campaign<'_> {
    Campaign {
        plan: &prepared.plan,
        folder: &prepared.folder,
        signals: &prepared.signals,
        journal: &mut prepared.journal,
    }
}

fn exit(end: &CampaignEnd) -> Exit {
    let found = end
        .found
        .as_ref()
        .map_or(Exit::Success, |_| Exit::ChecksFailed);
    end.exit.max(found)
}

/// An action as a line of JSON: what lists are printed as, and hashed.
fn line(action: &Action) -> String {
    serde_json::to_string(action).unwrap_or_default() + "\n"
}

fn list_crc32c(episodes: &[Vec<Action>]) -> String {
    let crc = episodes.iter().flatten().fold(0, |crc, action| {
        crc32c::crc32c_append(crc, line(action).as_bytes())
    });
    format!("{crc:08x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seed_and_number_are_the_list() {
        let hash = |seed, steps| list_crc32c(&generate(seed, steps));
        assert_eq!(hash(1, 2000), hash(1, 2000));
        assert_ne!(hash(1, 2000), hash(2, 2000));
        assert_ne!(hash(1, 2000), hash(1, 1999));
    }
}
