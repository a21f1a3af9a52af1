//! The worker's part of a fault walk: point after point, each with its fault and then without one, until a driver
//! has not survived one. What a boot is like after that is nobody's to say.

use std::sync::Mutex;
use std::sync::atomic::Ordering;

use contract::{Case, CaseOutcome, CaseReport, Finding, Rig, RigError};

use super::super::walk::{PointLog, TrialCase};
use super::{Task, Worker};
use crate::rig::Trouble;

/// Effects after which the function is on the bus without its configuration.
const EFFECTS_ON_THE_LINK: [&str; 2] = ["link-down", "surprise-removal"];

/// One fault point of a trial.
#[derive(Clone, Debug)]
pub struct TrialPoint {
    /// The device's rules, for the first case alone.
    pub rules: Option<String>,
    /// The device's rules that are loaded before QEMU starts, and end before the first case.
    pub rules_of_start: Option<String>,
    /// The cases: the first is under the fault.
    pub cases: Vec<&'static Case>,
}

impl Worker {
    /// The driver has started the device: what was counted so far are the points of the start, and rules for the
    /// start end.
    pub(super) fn end_of_start(&mut self) -> Result<(), RigError> {
        let rules = match &self.task {
            Task::Trial(points, _) => points
                .first()
                .and_then(|point| point.rules_of_start.clone()),
            _ => None,
        };
        match rules {
            None => self.tell_points(),
            Some(rules) => {
                self.strikes_of_start = self.end_rules(&rules)?;
                Ok(())
            }
        }
    }

    pub(super) fn try_points(&mut self, points: Vec<TrialPoint>, log: &Mutex<Vec<PointLog>>) {
        for point in points {
            let mut seen = PointLog {
                strikes: self.strikes_of_start,
                n_cases: point.cases.len(),
                cases: Vec::new(),
            };
            if let Ok(mut log) = log.lock() {
                log.push(seen.clone());
            }
            let mut rules = point.rules.as_deref();
            for case in point.cases {
                if self.stop.load(Ordering::Relaxed) {
                    return;
                }
                let Some((ended, strikes)) = self.try_case(case, rules.take()) else {
                    return;
                };
                seen.cases.push(ended);
                seen.strikes += strikes;
                if let Some(last) = log.lock().ok().as_mut().and_then(|log| log.last_mut()) {
                    last.clone_from(&seen);
                }
            }
            if !seen.is_sound() {
                return;
            }
        }
    }

    /// One case, under the device's rules if there are any; what came of it, and how often those have struck.
    /// `None` where the rig broke.
    fn try_case(&mut self, case: &'static Case, rules: Option<&str>) -> Option<(TrialCase, u64)> {
        let mut strikes = 0;
        let report = self.run_case(|worker| {
            if let Some(rules) = rules {
                worker.rig.load_faults(rules)?;
            }
            let mut report = case.run(&mut worker.rig);
            if let Err(error) = &report
                && worker.rig.trouble() == Some(Trouble::DriverRefused)
            {
                // Under a fault that is the driver's report, and it is to work afterwards.
                report = worker.refused(error.to_string());
            }
            if let Some(rules) = rules {
                strikes = worker.end_rules(rules)?;
            }
            report
        })?;
        let ended = TrialCase {
            outcome: report.outcome,
            refusals: self.rig.take_refusals(),
        };
        Some((ended, strikes))
    }

    /// Ends the device's rules; how often they have struck.
    fn end_rules(&mut self, rules: &str) -> Result<u64, RigError> {
        let strikes = self.rig.fault_strikes()?;
        self.rig.clear_faults()?;
        if EFFECTS_ON_THE_LINK
            .iter()
            .any(|effect| rules.contains(effect))
        {
            // Whoever comes back on the bus has forgotten its configuration: only PnP gives it that again.
            for order in ["pnp query-stop dut0", "pnp stop dut0", "pnp start dut0"] {
                self.rig.command(order)?;
            }
        }
        Ok(strikes)
    }

    /// The report of a case whose program the driver refused.
    fn refused(&mut self, seen: String) -> Result<CaseReport, RigError> {
        let mut refusals = self.rig.take_refusals();
        refusals.insert(seen.clone());
        self.rig.clean_up()?;
        self.rig.put_refusals(refusals);
        Ok(CaseReport {
            outcome: CaseOutcome::Failed(vec![Finding {
                view: "driver",
                what: "running the program".into(),
                buffer: None,
                logical_address: None,
                expected: "a response with results".into(),
                seen,
            }]),
            observations: Vec::new(),
        })
    }
}
