//! The methods of fault injection.

use control_api::RpcError;
use control_api::request::{FaultsClear, FaultsLoad, FaultsPoints, FaultsRecord, FaultsStatus};
use control_api::response::{Empty, FaultPoints, FaultRules};
use control_api::rpc::CODE_BAD_PARAMS;

use super::{Outcome, done, dut, dut_mut};
use crate::rig::Rig;

/// Rules of one `faults.status` page, and channels of all of them, so that a page fits a line.
const RULES_PER_PAGE: usize = 100;
const CHANNELS_PER_PAGE: usize = 300;

pub(super) fn load(rig: &mut Rig, ask: &FaultsLoad) -> Outcome {
    let dut = dut_mut(rig, ask.function)?;
    dut.load_faults(&ask.rules)
        .map_err(|error| RpcError::new(CODE_BAD_PARAMS, error.to_string()))?;
    done::<FaultsLoad>(Empty {})
}

pub(super) fn clear(rig: &mut Rig, ask: &FaultsClear) -> Outcome {
    dut_mut(rig, ask.function)?.clear_faults();
    done::<FaultsClear>(Empty {})
}

pub(super) fn status(rig: &Rig, ask: &FaultsStatus) -> Outcome {
    let mut rules = dut(rig, ask.function)?.model().fault_rules();
    let from = usize::try_from(ask.from).unwrap_or(usize::MAX);
    rules.drain(..from.min(rules.len()));
    let mut n_channels = 0;
    let n_fitting = rules.iter().take(RULES_PER_PAGE).take_while(|rule| {
        n_channels += rule.channels.len();
        n_channels <= CHANNELS_PER_PAGE
    });
    // A page has at least one rule, so that the pages end.
    let n_fitting = n_fitting.count().max(1).min(rules.len());
    let has_more = n_fitting < rules.len();
    rules.truncate(n_fitting);
    let n_fitting = u32::try_from(n_fitting).unwrap_or(u32::MAX);
    done::<FaultsStatus>(FaultRules {
        rules,
        next: has_more.then(|| ask.from.saturating_add(n_fitting)),
    })
}

pub(super) fn record(rig: &mut Rig, ask: &FaultsRecord) -> Outcome {
    dut_mut(rig, ask.function)?.count_points(ask.on);
    done::<FaultsRecord>(Empty {})
}

pub(super) fn points(rig: &Rig, ask: &FaultsPoints) -> Outcome {
    let points = dut(rig, ask.function)?.model().fault_points();
    done::<FaultsPoints>(FaultPoints { points })
}
