//! One run of the real program, the kill in it, and what it left.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::Failed;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::processes::{Process, descendants};
use crate::tally::Fate;
use crate::{DMARIG, Victim};

/// Cases that make two short boots.
const FILTER: &str = "CM-1/*";
/// How long a run may take to end, and its victim to appear.
const DEADLINE: Duration = Duration::from_secs(120);
/// How long what a dead harness leaves may take to go away.
const TIDY_DEADLINE: Duration = Duration::from_secs(20);
const POLL_INTERVAL: Duration = Duration::from_millis(1);
/// Exit code for "QEMU or the device process died unasked".
const OUR_BUG: i32 = 5;

/// Words in front of a verdict as a person sees it.
const VERDICT_WORDS: [&str; 3] = ["pass", "FAIL", "BROKEN"];

/// A run that goes on.
pub struct Run {
    folder: tempfile::TempDir,
    harness: Child,
    start: Instant,
    seen: BTreeSet<Process>,
}

/// A run that has ended.
pub struct Outcome {
    pub duration: Duration,
    status: ExitStatus,
    printed: String,
    events: String,
    junit: String,
}

impl Run {
    pub fn start() -> Result<Self, Failed> {
        let folder = tempfile::tempdir()?;
        let tmp = folder.path().join("tmp");
        fs::create_dir(&tmp)?;
        let printed = fs::File::create(folder.path().join("printed"))?;
        let harness = Command::new(DMARIG)
            .args(["run", "--filter", FILTER, "--timeout", "30", "--out"])
            .arg(folder.path().join("out"))
            .env("TMPDIR", &tmp)
            .stdin(Stdio::null())
            .stderr(printed.try_clone()?)
            .stdout(printed)
            .spawn()?;
        Ok(Self {
            folder,
            harness,
            start: Instant::now(),
            seen: BTreeSet::new(),
        })
    }

    /// Kills the victim so long after it appeared. `false` if it has ended by then.
    pub fn kill(&mut self, victim: Victim, moment: Duration) -> Result<bool, Failed> {
        let Some(pid) = self.await_victim(victim)? else {
            return Ok(false);
        };
        let due = Instant::now() + moment;
        while Instant::now() < due {
            thread::sleep(POLL_INTERVAL.min(due.saturating_duration_since(Instant::now())));
            self.look();
            if self.harness.try_wait()?.is_some() {
                return Ok(false);
            }
        }
        self.look();
        // Of several boots the one that is there now.
        let pid = match victim {
            Victim::Harness => Some(pid),
            _ => self.find(victim),
        };
        let pid = pid.and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        Ok(pid.is_some_and(|pid| kill_process(pid, Signal::KILL).is_ok()))
    }

    /// Waits for the end of the run and of all that it started, and reads what it left.
    pub fn finish(mut self) -> Result<Outcome, Failed> {
        let deadline = Instant::now() + DEADLINE;
        let status = loop {
            if let Some(status) = self.harness.try_wait()? {
                break status;
            }
            self.look();
            if Instant::now() > deadline {
                let _ = self.harness.kill();
                return Err(format!("the run does not end: {}", self.read("printed")).into());
            }
            thread::sleep(POLL_INTERVAL);
        };
        let duration = self.start.elapsed();
        self.await_tidy()?;
        Ok(Outcome {
            duration,
            status,
            printed: self.read("printed"),
            events: self.read("out/events.jsonl"),
            junit: self.read("out/junit.xml"),
        })
    }

    fn await_victim(&mut self, victim: Victim) -> Result<Option<u32>, Failed> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if victim == Victim::Harness {
                return Ok(Some(self.harness.id()));
            }
            self.look();
            if let Some(pid) = self.find(victim) {
                return Ok(Some(pid));
            }
            if self.harness.try_wait()?.is_some() {
                return Ok(None);
            }
            if Instant::now() > deadline {
                return Err(format!("{victim:?} does not appear").into());
            }
            thread::sleep(POLL_INTERVAL);
        }
    }

    fn look(&mut self) {
        self.seen.extend(descendants(self.harness.id()));
    }

    fn find(&self, victim: Victim) -> Option<u32> {
        let mut alive = self.seen.iter().filter(|process| process.is_alive());
        let found = alive.find(|process| {
            process.name.starts_with(victim.name()) && !process.is_version_query()
        })?;
        Some(found.pid)
    }

    /// No process lives that was ever seen, and nothing lies in the folder of sockets.
    fn await_tidy(&self) -> Result<(), Failed> {
        let deadline = Instant::now() + TIDY_DEADLINE;
        loop {
            let strays: Vec<_> = self
                .seen
                .iter()
                .filter(|process| process.is_alive())
                .collect();
            let left: Vec<_> = fs::read_dir(self.folder.path().join("tmp"))?
                .flatten()
                .map(|entry| entry.path())
                .collect();
            if strays.is_empty() && left.is_empty() {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!("left behind: processes {strays:?}, files {left:?}").into());
            }
            thread::sleep(POLL_INTERVAL);
        }
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap_or_default()
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.harness.kill();
        let _ = self.harness.wait();
    }
}

impl Outcome {
    /// Verdicts in the event stream.
    pub fn n_verdicts(&self) -> usize {
        self.verdicts().len()
    }

    /// The run came to its end and everything passed.
    pub fn expect_whole(&self) -> Result<(), Failed> {
        if self.status.code() != Some(0) {
            return self.fail("an undisturbed run does not pass");
        }
        self.check_reports(true)
    }

    /// What came of the kill, if all is as it must be.
    pub fn judge(&self, victim: Victim, undisturbed: &Self) -> Result<Fate, Failed> {
        // Whoever has ended and is not waited for yet can be killed, too.
        let has_ended = self.status.code() == Some(0);
        if victim == Victim::Harness && !has_ended {
            if self.status.signal() != Some(Signal::KILL.as_raw()) {
                return self.fail("the harness was killed and did not end by it");
            }
            self.check_reports(false)?;
            return Ok(Fate::Told);
        }
        self.check_reports(true)?;
        if has_ended {
            // It had done its work; then every case must have passed.
            if self.verdicts() != undisturbed.verdicts() {
                return self.fail("exit code 0, and not all cases have passed");
            }
            return Ok(Fate::TooLateToMatter);
        }
        if self.status.code() != Some(OUR_BUG) {
            return self.fail("exit code 5 is due");
        }
        let named = format!("{} ended by itself with signal 9", victim.title());
        if !self.events.contains(&named) {
            return self.fail(&format!("the events do not say: {named}"));
        }
        Ok(Fate::Told)
    }

    /// The reports can be read and hold every verdict that was printed; `is_ended` is whether the
    /// harness has written its last word.
    fn check_reports(&self, is_ended: bool) -> Result<(), Failed> {
        if !self.events.is_empty() && !self.events.ends_with('\n') {
            return self.fail("events.jsonl ends in the middle of a line");
        }
        let kept = self.verdicts();
        for printed in self.printed_verdicts() {
            if !kept
                .iter()
                .any(|(mode, id, _)| *mode == printed.0 && *id == printed.1)
            {
                return self.fail(&format!("lost: {printed:?}"));
            }
        }
        // The last second may be missing from junit.xml when the harness itself is killed.
        if !self.junit.is_empty() && !self.junit.trim_end().ends_with("</testsuites>") {
            return self.fail("junit.xml is not whole");
        }
        if !is_ended {
            return Ok(());
        }
        if !self.events.contains(r#""event":"run-ended""#) {
            return self.fail("events.jsonl has no last word");
        }
        let in_junit = self.junit.matches("<testcase ").count();
        let in_events = self.events.matches(r#""event":"case-ended""#).count();
        if in_junit != in_events {
            return self.fail(&format!("junit.xml has {in_junit} results of {in_events}"));
        }
        Ok(())
    }

    /// Mode, id and kind of each verdict in the event stream, but for those that say "not run".
    fn verdicts(&self) -> BTreeSet<(String, String, String)> {
        let word = |value: &Value| value.as_str().unwrap_or("?").to_owned();
        let records = self.events.lines().map(|line| {
            let record: Value = serde_json::from_str(line).expect("events.jsonl is JSON");
            record
        });
        records
            .filter(|record| record["event"] == "case-ended")
            .map(|record| {
                let kind = word(&record["verdict"]["kind"]);
                (word(&record["remapping"]), word(&record["id"]), kind)
            })
            .filter(|(_, _, kind)| kind != "not-run")
            .collect()
    }

    /// Mode and id of each verdict that a person has seen.
    fn printed_verdicts(&self) -> Vec<(String, String)> {
        let lines = self.printed.lines().map(|line| line.split_whitespace());
        lines
            .filter_map(|mut words| {
                let is_verdict = VERDICT_WORDS.contains(&words.next()?);
                let (mode, id) = (words.next()?, words.next()?);
                is_verdict.then(|| (mode.to_owned(), id.to_owned()))
            })
            .collect()
    }

    fn fail<T>(&self, what: &str) -> Result<T, Failed> {
        Err(format!(
            "{what}\n{}\nprinted:\n{}\nevents:\n{}",
            self.status, self.printed, self.events
        )
        .into())
    }
}
