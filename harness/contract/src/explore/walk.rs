//! [`walk`]: carries a list of actions out on a rig, many in one program, and judges each.
//!
//! A *batch* ends where an action needs an answer to an earlier one (frames, an address, an outcome that the
//! rules leave open), or where the program is full. After each batch all views are compared.

mod results;
mod views;

use std::collections::BTreeMap;

use dmarig_abi::mailbox::CONTEXT_CONTROL_THREAD;
use dmarig_abi::operation::{self as op, OPERATION_RESULT_SIZE_BYTES};

use super::action::Action;
use super::expected_mappings::ExpectedMappings;
use super::judge::{Difference, Disagreement, Judged, Planned, differs};
use super::lower::lower;
use super::model::{Expect, Model, Setting};
use super::tally::Tally;
use crate::bench::release_and_reset;
use crate::finding::Finding;
use crate::oracle::PAGE_SIZE;
use crate::rig::{MappingView, Remapping, Rig, RigError};
use crate::step::{Step, StepResult};
use views::ranges;

/// Most operations of one program of ours; the driver takes more.
const BATCH_STEPS_MAX: usize = 160;
/// Most bytes of results in one program; the response window is larger.
const BATCH_RESPONSE_MAX_BYTES: usize = 0x6000;
/// Most bytes of operations with their data.
const BATCH_REQUEST_MAX_BYTES: usize = 0x5000;

/// How far a walk has come; of use where the rig breaks under it.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// Actions before this index have been judged, or left out.
    pub n_judged: usize,
    /// Actions before this index may have reached the driver.
    pub n_sent: usize,
    /// What was done.
    pub tally: Tally,
}

/// Carries out a list of actions on a rig without objects, and leaves it so.
///
/// Gives the first disagreement, if there is one.
///
/// # Errors
/// The rig broke. `progress` tells where.
pub fn walk(
    rig: &mut dyn Rig,
    actions: &[Action],
    memory_bytes: u64,
    progress: &mut Progress,
) -> Result<Option<Disagreement>, RigError> {
    let mut walk = Walk::begin(rig, memory_bytes, progress)?;
    let ended = walk.carry_out(actions);
    let found = match ended {
        Ok(()) => None,
        Err(End::Found(found)) => Some(*found),
        Err(End::Rig(error)) => return Err(error),
    };
    let late = walk.finish(actions.len())?;
    Ok(found.or(late))
}

enum End {
    Found(Box<Disagreement>),
    Rig(RigError),
}

impl From<RigError> for End {
    fn from(error: RigError) -> Self {
        Self::Rig(error)
    }
}

/// A logical range that is no more.
struct Gone {
    name: String,
    start: u64,
    len: u64,
}

struct Walk<'r> {
    rig: &'r mut dyn Rig,
    model: Model,
    progress: &'r mut Progress,
    before: MappingView,
    planned: Vec<Planned>,
    steps: Vec<Step>,
    request_bytes: usize,
    response_bytes: usize,
    /// What the ledger knows: slot and first address to its numbers.
    declared: BTreeMap<(u32, u64), Vec<u64>>,
    gone: Vec<Gone>,
}

impl<'r> Walk<'r> {
    fn begin(
        rig: &'r mut dyn Rig,
        memory_bytes: u64,
        progress: &'r mut Progress,
    ) -> Result<Self, RigError> {
        release_and_reset(rig)?;
        // What came before is no business of this list.
        rig.take_violations()?;
        rig.take_faults(false)?;
        rig.take_guest_findings()?;
        let before = rig.mappings()?;
        let setting = Setting {
            remapping: Some(rig.remapping()),
            memory_bytes,
        };
        Ok(Self {
            rig,
            model: Model::new(setting),
            progress,
            before,
            planned: Vec::new(),
            steps: Vec::new(),
            request_bytes: 0,
            response_bytes: 0,
            declared: BTreeMap::new(),
            gone: Vec::new(),
        })
    }

    fn carry_out(&mut self, actions: &[Action]) -> Result<(), End> {
        for (index, action) in actions.iter().enumerate() {
            // The ledger learns at the end of a batch what is freed; a ring must not be where that was by then.
            let is_ring = matches!(action, Action::OpenRing { .. });
            if self.model.needs_answers(action) || (is_ring && !self.gone.is_empty()) {
                self.run_batch()?;
            }
            let verdict = self.model.predict(action);
            if let Expect::LeaveOut(why) = verdict.expect {
                self.progress.tally.left_out(why);
                continue;
            }
            let lowered = lower(&self.model, action);
            self.make_room(&lowered.steps, action)?;
            self.note_gone(action, verdict.may_succeed());
            let is_release = matches!(action, Action::ReleaseAll);
            let n_released = is_release.then(|| self.model.n_objects());
            self.model.apply(action, verdict);
            let read = action.described_mdl().and_then(|slot| self.model.mdl(slot));
            self.planned.push(Planned {
                index,
                action: action.clone(),
                verdict,
                pattern: lowered.pattern,
                n_steps: lowered.steps.len(),
                mdl: read.map(|(mdl, _)| mdl.clone()),
                n_released,
            });
            self.steps.extend(lowered.steps);
        }
        self.run_batch()?;
        self.progress.n_judged = actions.len();
        Ok(())
    }

    /// Ends the batch if these operations do not fit in any more.
    fn make_room(&mut self, steps: &[Step], action: &Action) -> Result<(), End> {
        let request: usize = steps
            .iter()
            .map(|step| op::OPERATION_SIZE_BYTES + step.data.len().next_multiple_of(8))
            .sum();
        let response =
            steps.len() * OPERATION_RESULT_SIZE_BYTES + frames_bytes(&self.model, action);
        if self.steps.len() + steps.len() > BATCH_STEPS_MAX
            || self.request_bytes + request > BATCH_REQUEST_MAX_BYTES
            || self.response_bytes + response > BATCH_RESPONSE_MAX_BYTES
        {
            self.run_batch()?;
        }
        self.request_bytes += request;
        self.response_bytes += response;
        Ok(())
    }

    /// Remembers the ranges that an action is about to end.
    fn note_gone(&mut self, action: &Action, has_effect: bool) {
        if !has_effect {
            return;
        }
        let ends = |slot: u32| match *action {
            Action::FreeBuffer { buffer: gone } | Action::CloseRing { ring: gone } => gone == slot,
            Action::ReleaseAll => true,
            _ => false,
        };
        for (slot, object) in self.model.objects().filter(|(slot, _)| ends(*slot)) {
            for (start, len, _, _) in ranges(object) {
                let name = format!("what was in slot {slot}");
                self.gone.push(Gone { name, start, len });
            }
        }
    }

    /// Runs what is planned, and compares all views.
    fn run_batch(&mut self) -> Result<(), End> {
        if self.steps.is_empty() {
            return Ok(());
        }
        let steps = std::mem::take(&mut self.steps);
        let planned = std::mem::take(&mut self.planned);
        (self.request_bytes, self.response_bytes) = (0, 0);
        let last = planned.last().map_or(0, |planned| planned.index);
        self.progress.n_sent = last + 1;
        self.progress.tally.n_programs += 1;
        let results = self.rig.run(CONTEXT_CONTROL_THREAD, &steps)?;
        let mut rest = results.as_slice();
        for planned in &planned {
            let Some((own, behind)) = rest.split_at_checked(planned.n_steps) else {
                let text = format!("{} results to {} operations", results.len(), steps.len());
                return Err(RigError(text).into());
            };
            rest = behind;
            self.take_results(planned, own)
                .map_err(|difference| found(planned.index, planned.verdict.rule, *difference))?;
        }
        self.compare_views(last)?;
        self.progress.n_judged = last + 1;
        Ok(())
    }

    /// Releases everything, and checks that nothing is left.
    fn finish(&mut self, index: usize) -> Result<Option<Disagreement>, RigError> {
        let results = release_and_reset(self.rig)?;
        for id in std::mem::take(&mut self.declared).into_values().flatten() {
            self.rig.undeclare(id)?;
        }
        let late = self.left_over(&results)?.err();
        Ok(late.map(|difference| Disagreement {
            index,
            rule: "FC-3",
            check: difference.check,
            finding: difference.finding,
        }))
    }

    /// Whether anything is left after everything was released.
    fn left_over(&mut self, released: &[StepResult]) -> Result<Judged, RigError> {
        if let Some(failed) = released.iter().find(|result| !result.is_success()) {
            let finding = Finding {
                view: "driver",
                what: "releasing everything and resetting the engine".to_owned(),
                buffer: None,
                logical_address: None,
                expected: "success".to_owned(),
                seen: failed.describe(),
            };
            return Ok(differs("release", finding));
        }
        let nothing = ExpectedMappings::of(&Model::new(Setting {
            remapping: None,
            memory_bytes: 0,
        }));
        let now = self.rig.mappings()?;
        let is_remapped = self.rig.remapping() == Remapping::On;
        match nothing.compare(&self.before, &now, is_remapped) {
            Ok(()) => self.reports(),
            differs => Ok(differs),
        }
    }
}

fn found(index: usize, rule: &'static str, difference: Difference) -> End {
    End::Found(Box::new(Disagreement {
        index,
        rule,
        check: difference.check,
        finding: difference.finding,
    }))
}

/// Bytes of frames that may come with an action's results.
fn frames_bytes(model: &Model, action: &Action) -> usize {
    let pages = match *action {
        Action::AllocatePages { pages, .. } => pages,
        Action::BuildPartial { length_bytes, .. } => length_bytes / PAGE_SIZE + 2,
        _ => action
            .described_mdl()
            .and_then(|mdl| model.mdl(mdl))
            .map_or(0, |(mdl, _)| mdl.n_pages()),
    };
    usize::try_from(pages * 8).unwrap_or(usize::MAX)
}
