//! [`Farewell`]: after the last case the devices are removed, the driver is unloaded, and everything
//! that shows up until the processes have ended is judged as the check `RIG/unload`.

use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use contract::{Rig as _, RigError};
use control_api::FunctionName;
use qemu::console::GuestExit;

use super::boot::{Boot, BootOutcome, resolve, take_next};
use super::coverage;
use super::ending::Ending;
use super::machine::Machine;
use super::watch::{Culprit, Happening, Over, Watch};
use super::worker;
use crate::entry::chain;
use crate::event::{BootEnding, CaseResult, Event, FindingRecord, Verdict};
use crate::guest::nt;
use crate::report::describe;
use crate::rig::MachineRig;

/// How long the guest may take to remove its devices, unload the driver and end.
const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(20);

/// The end of a boot whose cases are all done.
pub struct Farewell<'a, 'w> {
    /// The boot.
    pub boot: &'a Boot<'a>,
    /// Its rig, which the worker gave back.
    pub rig: MachineRig,
    /// What was seen so far.
    pub watch: Watch<'w>,
    /// Its processes.
    pub machine: Machine,
    /// What goes on happening.
    pub happenings: Receiver<Happening>,
}

impl Farewell<'_, '_> {
    /// Says it, and judges what comes of it.
    pub fn say(mut self) -> BootOutcome {
        self.end_sabotage();
        let start = Instant::now();
        // What the device did since the last case, and while its driver went.
        let mut found = self.violations();
        let over = self.shut_down();
        let judged = self.judge(over);
        self.machine.end_qemu();
        if judged.is_ok() {
            found.extend(self.violations());
        }
        found.extend(self.rest());
        let ending = match &judged {
            Err(ending) if ending.how != BootEnding::Clean => ending.clone(),
            _ => Ending::new(
                BootEnding::Clean,
                "the driver was unloaded, the guest shut down",
            ),
        };
        let culprit = if ending.how == BootEnding::Interrupted {
            Culprit::Nobody
        } else {
            Culprit::Case
        };
        if culprit == Culprit::Case {
            let result = self.unload_result(verdict(judged, found), start.elapsed());
            self.watch.journal().case_ended(result);
        }
        self.stop_device(ending, culprit)
    }

    fn end_sabotage(&mut self) {
        if let Some(sabotage) = self.boot.plan.sabotage
            && let Ok(Some(struck)) = worker::end_sabotage(&mut self.rig, sabotage)
        {
            self.watch.journal().sabotage_struck(struck.iter().sum());
            let is_one_of_several = struck.len() > 1;
            for (device, struck) in (0..).map(FunctionName::Dut).zip(struck) {
                self.watch.journal().tell(Event::Sabotage {
                    boot: self.boot.number,
                    name: sabotage.name.into(),
                    device: is_one_of_several.then(|| device.to_string()),
                    struck,
                });
            }
        }
    }

    /// What the ledger holds against device or driver; that it cannot be read counts as well.
    fn violations(&mut self) -> Vec<FindingRecord> {
        let found = self.rig.each_dut(|rig| {
            let function = rig.function();
            let violations = rig.take_violations()?;
            Ok::<_, RigError>(violations.into_iter().map(move |found| (function, found)))
        });
        let is_one_of_several = self.rig.duts() > 1;
        match found {
            Ok(found) => found
                .into_iter()
                .flatten()
                .map(|(function, violation)| FindingRecord {
                    view: "ledger".into(),
                    what: if is_one_of_several {
                        format!("{function}: {}", violation.kind)
                    } else {
                        violation.kind
                    },
                    buffer: None,
                    logical_address: violation.iova.map(|iova| iova.to_string()),
                    expected: "no violation".into(),
                    seen: violation.detail,
                })
                .collect(),
            Err(error) => vec![FindingRecord {
                view: "ledger".into(),
                what: "reading the ledger".into(),
                buffer: None,
                logical_address: None,
                expected: "an answer".into(),
                seen: chain(&error),
            }],
        }
    }

    /// What the guest reported since the last case.
    fn rest(&mut self) -> Vec<FindingRecord> {
        let (faults, findings) = self.rig.take_rest();
        let faults = faults.into_iter().map(|fault| FindingRecord {
            view: "iommu".into(),
            what: "a fault after the last case".into(),
            buffer: None,
            logical_address: Some(fault.page.to_string()),
            expected: "no fault".into(),
            seen: format!(
                "reason {:#x}, {} by {}",
                fault.reason,
                if fault.is_write { "write" } else { "read" },
                fault.requester
            ),
        });
        let findings = findings.into_iter().map(|text| FindingRecord {
            view: "guest".into(),
            what: "what the guest found after the last case".into(),
            buffer: None,
            logical_address: None,
            expected: "nothing".into(),
            seen: text,
        });
        faults.chain(findings).collect()
    }

    fn shut_down(&mut self) -> Over {
        if let Err(error) = self.machine.command(nt::SHUTDOWN_COMMAND) {
            let text = format!("the guest takes no command on COM1: {error}");
            return Over::Ending(Ending::new(BootEnding::GuestHung, text));
        }
        let deadline = Instant::now() + SHUTDOWN_DEADLINE;
        loop {
            take_next(&mut self.watch, &self.happenings);
            if let Some(exit) = self.machine.look() {
                self.watch.take(exit, Instant::now());
            }
            match self.watch.over(Instant::now(), self.boot.signals.exit()) {
                Some(Over::WorkDone | Over::Refused) | None => {}
                Some(over) => return over,
            }
            if Instant::now() >= deadline {
                let seconds = SHUTDOWN_DEADLINE.as_secs();
                let text = format!("waited {seconds} s for the guest to unload the driver and end");
                return Over::Ending(Ending::new(BootEnding::GuestHung, text));
            }
        }
    }

    /// Judges how the guest took its leave. An error that is itself [`BootEnding::Clean`] is a guest that
    /// ended as asked and left something allocated.
    fn judge(&mut self, over: Over) -> Result<(), Ending> {
        let is_clean = matches!(over, Over::Qemu(status) if GuestExit::from_status(status) == GuestExit::Clean);
        if !is_clean {
            return Err(resolve(over, &self.watch, &mut self.machine));
        }
        let Some(leaks) = self.watch.leaks() else {
            let text = "the guest ended without saying what it leaves allocated";
            return Err(Ending::new(BootEnding::Clean, text));
        };
        let found = leaks.found();
        if found.is_empty() {
            return Ok(());
        }
        let list: Vec<String> = found
            .iter()
            .map(|(name, count)| format!("{count} {name}"))
            .collect();
        let text = format!(
            "after the driver was unloaded, {} are left",
            list.join(", ")
        );
        Err(Ending::new(BootEnding::Clean, text))
    }

    /// The check that stands at the end of every boot, as a case of its own.
    fn unload_result(&self, verdict: Verdict, duration: Duration) -> CaseResult {
        CaseResult {
            boot: self.boot.number,
            id: "RIG/unload".into(),
            rule: "RIG".into(),
            title: "devices are removed, the driver is unloaded, nothing is left allocated".into(),
            remapping: self.boot.remapping.into(),
            verdict,
            duration_ms: duration.as_secs_f64() * 1000.0,
            observations: Vec::new(),
            buffer_history: None,
        }
    }

    fn stop_device(mut self, ending: Ending, culprit: Culprit) -> BootOutcome {
        self.machine.note_peak_memory();
        let peak = self.machine.peak_memory();
        self.watch.journal().peak_memory(peak);
        self.boot.note_faults(self.watch.journal(), &self.machine);
        for function in (0..self.boot.n_duts()).map(FunctionName::Dut) {
            if let Ok(coverage) = coverage::of_rig(&mut self.rig, function) {
                self.watch.journal().register_coverage(function, coverage);
            }
        }
        let stopped = worker::stop_device(&mut self.rig)
            .map_err(|error| Ending::new(BootEnding::DeviceDied, chain(&error)))
            .and_then(|()| self.machine.await_device_end());
        match stopped {
            Err(device) if ending.how == BootEnding::Clean => BootOutcome {
                ending: device,
                culprit: Culprit::Nobody,
            },
            _ => BootOutcome { ending, culprit },
        }
    }
}

fn verdict(judged: Result<(), Ending>, found: Vec<FindingRecord>) -> Verdict {
    match judged {
        Ok(()) if found.is_empty() => Verdict::Passed,
        Ok(()) => Verdict::Failed { findings: found },
        Err(ending) => {
            let mut reason = ending.detail;
            for finding in &found {
                reason.push('\n');
                reason.push_str(&describe(finding));
            }
            Verdict::Broken { reason }
        }
    }
}
