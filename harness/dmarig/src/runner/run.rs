//! [`Run`]: all modes, each in one boot or, where the guest ends under a case, in several.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::Duration;

use contract::{Case, DEFAULT_PROFILE, Profile, Remapping};
use device_file::DeviceDescription;
use qemu::{Accel, QemuBinary};

use super::boot::{Boot, BootOutcome};
use super::device_faults;
use super::journal::Journal;
use super::recording;
use super::signals::Signals;
use super::watch::Culprit;
use crate::artifacts::Artifacts;
use crate::event::{BootEnding, CaseResult, Event, Verdict};
use crate::exit_code::Exit;
use crate::faults::Faults;
use crate::run_folder::RunFolder;
use crate::sabotage::Sabotage;

/// Most boots of one batch of cases. Each boot but the first is one case that ended the guest.
const BOOTS_PER_BATCH_MAX: usize = 8;

/// What is to be run, on what.
#[derive(Clone)]
pub struct Plan {
    /// The cases.
    pub cases: Vec<&'static Case>,
    /// The modes, in order.
    pub modes: &'static [Remapping],
    /// Part that is to misbehave.
    pub sabotage: Option<&'static Sabotage>,
    /// Kernel, driver, device process.
    pub artifacts: Artifacts,
    /// QEMU.
    pub qemu: QemuBinary,
    /// KVM or TCG.
    pub accel: Accel,
    /// CPU that QEMU and the device process share.
    pub cpu: Option<usize>,
    /// Whether the device process locks itself in.
    pub sandbox: bool,
    /// Longest wait for the driver, and for one case.
    pub timeout: Duration,
    /// This program, which starts its children on a tether.
    pub program: PathBuf,
    /// Folder of the logs.
    pub out: PathBuf,
    /// What goes wrong on purpose.
    pub faults: Faults,
    /// The devices under test that a file describes; where a boot needs more, built-in ones join them.
    pub devices: Vec<DescribedDevice>,
    /// Whether the device under test is recorded.
    pub record: bool,
}

/// A device under test that a file describes.
#[derive(Clone, Debug)]
pub struct DescribedDevice {
    /// The file, checked.
    pub file: PathBuf,
    /// Its vendor and device ID.
    pub ids: (u16, u16),
    /// Whether they are those by which our drivers know it.
    pub is_ours: bool,
    /// Whether it has MSI-X, with which QEMU cannot let go of it.
    pub has_msix: bool,
    /// Whether it has a remapping unit of its own where the cases look for its registers.
    pub has_unit: bool,
    /// What is run in place of the file's text, where the run has changed it.
    pub changed: Option<Box<DeviceDescription>>,
}

impl Plan {
    /// Devices under test in a boot of that profile.
    #[must_use]
    pub fn n_duts(&self, profile: &Profile) -> u16 {
        let described = u16::try_from(self.devices.len()).expect("there are 8 at most");
        profile.duts.max(described)
    }

    /// The cases that apply in a mode.
    pub fn cases_in(&self, remapping: Remapping) -> VecDeque<&'static Case> {
        let applies = |case: &&&'static Case| case.modes.contains(&remapping);
        self.cases.iter().filter(applies).copied().collect()
    }

    /// Cases over all modes.
    #[must_use]
    pub fn n_cases(&self) -> usize {
        self.modes
            .iter()
            .map(|remapping| self.cases_in(*remapping).len())
            .sum()
    }
}

/// What runs together: the cases of one profile, in order, but each case that is to stop the guest by
/// itself.
fn batches(cases: VecDeque<&'static Case>) -> Vec<VecDeque<&'static Case>> {
    let mut batches: Vec<VecDeque<&'static Case>> = Vec::new();
    for case in cases {
        let takes_it = |batch: &VecDeque<&'static Case>| {
            let is_alike = |other: &&Case| other.stop.is_none() && other.profile == case.profile;
            case.stop.is_none() && batch.front().is_some_and(is_alike)
        };
        match batches.iter_mut().find(|batch| takes_it(batch)) {
            Some(batch) => batch.push_back(case),
            None => batches.push(VecDeque::from([case])),
        }
    }
    batches
}

/// The name of the folder with a boot's logs.
pub(super) fn log_folder(boot: u32, remapping: Remapping) -> String {
    format!("boot-{boot}-remapping-{}", remapping.as_str())
}

/// The recording of a run's first boot.
#[must_use]
pub fn first_recording(out: &Path, remapping: Remapping) -> PathBuf {
    out.join(log_folder(1, remapping)).join(recording::FOLDER)
}

/// Whether a folder of this name has a boot's logs.
#[must_use]
pub fn is_log_folder(name: &str) -> bool {
    let number = name
        .strip_prefix("boot-")
        .and_then(|rest| rest.split('-').next())
        .and_then(|number| number.parse().ok());
    number.is_some_and(|number| {
        [Remapping::On, Remapping::Off]
            .iter()
            .any(|remapping| name == log_folder(number, *remapping))
    })
}

/// A run under way.
pub struct Run<'a> {
    plan: &'a Plan,
    folder: &'a RunFolder,
    signals: &'a Signals,
    journal: &'a mut Journal,
    exit: Exit,
}

impl<'a> Run<'a> {
    /// Makes ready.
    pub fn new(
        plan: &'a Plan,
        folder: &'a RunFolder,
        signals: &'a Signals,
        journal: &'a mut Journal,
    ) -> Self {
        Self {
            plan,
            folder,
            signals,
            journal,
            exit: Exit::Success,
        }
    }

    /// Runs everything. Every selected case gets a verdict, if only that it was not run.
    pub fn run(mut self) -> Exit {
        for text in device_faults::describe(&self.plan.faults.rules.plan) {
            self.journal.tell(Event::Note { text });
        }
        for remapping in self.plan.modes {
            self.run_mode(*remapping);
        }
        self.account_faults();
        let summary = self.journal.summary();
        if summary.failed > 0 {
            self.exit = self.exit.max(Exit::ChecksFailed);
        }
        if self.journal.sabotage_never_struck() {
            self.exit = self.exit.max(Exit::ChecksFailed);
            self.journal
                .problem("the sabotage never struck, so the run shows nothing".into());
        }
        self.account_calls();
        let summary = self.journal.summary();
        if summary.passed + summary.failed == 0 {
            self.exit = self.exit.max(Exit::NothingRan);
        }
        self.exit
    }

    /// Each rule of the device has a verdict: whether it ever struck.
    fn account_faults(&mut self) {
        let Some(mode) = self.plan.modes.last() else {
            return;
        };
        let boots = self.journal.summary().boots;
        for rule in &self.plan.faults.rules.plan.rules {
            let seen = self.journal.fault_rule(&rule.name);
            let verdict = device_faults::verdict(rule, &seen, boots, *mode);
            self.journal.case_ended(verdict);
        }
    }

    /// A call that was to fail and never came shows nothing.
    fn account_calls(&mut self) {
        for rule in &self.plan.faults.rules.calls {
            if !rule.is_optional && !self.journal.has_struck(rule) {
                self.exit = self.exit.max(Exit::ChecksFailed);
                self.journal
                    .problem(format!("the rule {:?} never struck", rule.name));
            }
        }
    }

    fn run_mode(&mut self, remapping: Remapping) {
        for batch in batches(self.plan.cases_in(remapping)) {
            self.run_batch(remapping, batch);
        }
    }

    /// Runs cases of one profile, in one boot if all goes well.
    fn run_batch(&mut self, remapping: Remapping, mut pending: VecDeque<&'static Case>) {
        for _ in 0..BOOTS_PER_BATCH_MAX {
            if pending.is_empty() {
                return;
            }
            if let Some(exit) = self.signals.exit() {
                self.exit = self.exit.max(exit);
                break;
            }
            let outcome = self.boot(remapping, &mut pending);
            let is_clean = outcome.ending.how == BootEnding::Clean;
            if !is_clean && outcome.culprit == Culprit::Nobody {
                // Nothing would be different the next time.
                if outcome.ending.how != BootEnding::Interrupted {
                    self.blame_boot(remapping, &outcome.ending.detail);
                }
                self.give_up(remapping, &pending, &outcome.ending.detail);
                return;
            }
        }
        let reason = if self.signals.exit().is_some() {
            "interrupted".to_owned()
        } else {
            format!("the guest ended {BOOTS_PER_BATCH_MAX} times before")
        };
        self.give_up(remapping, &pending, &reason);
    }

    fn boot(&mut self, remapping: Remapping, pending: &mut VecDeque<&'static Case>) -> BootOutcome {
        let number = self.journal.next_boot();
        let logs = self.plan.out.join(log_folder(number, remapping));
        let profile = pending
            .front()
            .map_or(&DEFAULT_PROFILE, |case| case.profile);
        self.journal.tell(Event::BootStarted {
            boot: number,
            remapping: remapping.into(),
            profile: profile.name.into(),
            logs: logs.display().to_string(),
        });
        let boot = Boot {
            plan: self.plan,
            remapping,
            profile,
            number,
            folder: self.folder,
            logs: &logs,
            signals: self.signals,
            faults: &self.plan.faults,
            may_refuse: false,
        };
        let outcome = boot.run(pending, self.journal);
        self.account(number, &outcome);
        outcome
    }

    /// Tells of the boot's end, and lets it count for the exit code.
    fn account(&mut self, boot: u32, outcome: &BootOutcome) {
        let ending = &outcome.ending;
        let exit = match ending.how {
            _ if outcome.culprit == Culprit::ExpectedStop => Exit::Success,
            BootEnding::Clean => Exit::Success,
            BootEnding::BugCheck
            | BootEnding::GuestFailed
            | BootEnding::GuestHung
            | BootEnding::ProtocolBroken => Exit::ChecksFailed,
            BootEnding::EnvironmentMissing => Exit::EnvironmentMissing,
            BootEnding::QemuDied | BootEnding::DeviceDied | BootEnding::HarnessFailed => {
                Exit::OurBug
            }
            BootEnding::Interrupted => self.signals.exit().unwrap_or(Exit::Interrupted),
        };
        self.exit = self.exit.max(exit);
        if exit != Exit::Success {
            let summary = ending.detail.lines().next().unwrap_or_default();
            self.journal.problem(format!("boot {boot}: {summary}"));
        }
        self.journal.tell(Event::BootEnded {
            boot,
            how: ending.how,
            detail: ending.detail.clone(),
        });
    }

    /// An ending that no case is to blame for is red as a case of its own.
    fn blame_boot(&mut self, remapping: Remapping, reason: &str) {
        let boot = self.journal.summary().boots;
        self.journal.case_ended(CaseResult {
            boot,
            id: "RIG/boot".into(),
            rule: "RIG".into(),
            title: "device, QEMU and guest start, and last until the cases are done".into(),
            remapping: remapping.into(),
            verdict: Verdict::Broken {
                reason: reason.into(),
            },
            duration_ms: 0.0,
            observations: Vec::new(),
            buffer_history: None,
        });
    }

    /// The rest of the mode's cases are not run.
    fn give_up(&mut self, remapping: Remapping, pending: &VecDeque<&'static Case>, reason: &str) {
        let boot = self.journal.summary().boots;
        let reason = reason.lines().next().unwrap_or_default();
        for case in pending {
            self.journal.case_ended(CaseResult {
                boot,
                id: case.id.into(),
                rule: case.rule().into(),
                title: case.title.into(),
                remapping: remapping.into(),
                verdict: Verdict::NotRun {
                    reason: reason.into(),
                },
                duration_ms: 0.0,
                observations: Vec::new(),
                buffer_history: None,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use contract::{SUITES, Stop};

    use super::*;

    fn case(id: &'static str, profile: &'static Profile, stop: Option<Stop>) -> &'static Case {
        let model = SUITES[0].cases().next().expect("a case");
        Box::leak(Box::new(Case {
            id,
            profile,
            stop,
            ..*model
        }))
    }

    #[test]
    fn profiles_share_boots_and_cases_that_stop_have_their_own() {
        static OTHER: Profile = Profile {
            name: "other",
            ..Profile::DEFAULT
        };
        let stop = Some(Stop::Finding("wrong"));
        let cases = [
            case("a", &DEFAULT_PROFILE, None),
            case("b", &DEFAULT_PROFILE, stop),
            case("c", &OTHER, None),
            case("d", &DEFAULT_PROFILE, None),
            case("e", &DEFAULT_PROFILE, stop),
            case("f", &OTHER, None),
        ];
        let batches = batches(cases.into());
        let ids: Vec<Vec<&str>> = batches
            .iter()
            .map(|batch| batch.iter().map(|case| case.id).collect())
            .collect();
        assert_eq!(ids, [vec!["a", "d"], vec!["b"], vec!["c", "f"], vec!["e"]]);
    }

    #[test]
    fn device_files_of_profiles_are_sound() {
        let texts = SUITES
            .iter()
            .flat_map(|suite| suite.cases())
            .filter_map(|case| Some((case.profile.name, case.profile.device?)));
        for (name, text) in texts {
            device_file::parse(Path::new(name), text).expect("a device file");
        }
    }
}
