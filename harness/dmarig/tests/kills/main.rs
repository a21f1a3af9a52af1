//! Kill -9 of device process, QEMU and harness at random moments of a real run.
//!
//! After each: no process and no socket is left, every verdict that was printed is in the reports, and
//! the exit code and the text say what died. `DMARIG_KILLS` is the number of kills (6 by default; the
//! figures of docs/security.md are of 200), `DMARIG_KILLS_SEED` chooses the moments. Skipped, with the
//! reason, where the rig lacks something.

mod processes;
mod run;
mod tally;

use std::process::Command;
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::Value;

use run::Run;
use tally::{Fate, Tally};

const DMARIG: &str = env!("CARGO_BIN_EXE_dmarig");
const DEFAULT_KILLS: u64 = 6;
const DEFAULT_SEED: u64 = 1;
/// Kills that came too late, in a row, after which something else is wrong.
const MAX_MISSES: u32 = 50;

/// Who is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Victim {
    /// `dmarig-device`.
    Device,
    /// QEMU.
    Qemu,
    /// The program itself.
    Harness,
}

impl Victim {
    const ALL: [Self; 3] = [Self::Device, Self::Qemu, Self::Harness];

    /// The beginning of its name as the kernel has it.
    fn name(self) -> &'static str {
        match self {
            Self::Device => "dmarig-device",
            Self::Qemu => "qemu-system",
            Self::Harness => "dmarig",
        }
    }

    /// How a verdict names it.
    fn title(self) -> &'static str {
        match self {
            Self::Device => "device process",
            Self::Qemu => "QEMU",
            Self::Harness => "",
        }
    }
}

fn main() {
    let arguments = Arguments::from_args();
    let trial = Trial::test(
        "kill_9_at_any_moment_loses_nothing_and_leaves_nothing",
        kills,
    );
    let trial = match what_is_missing() {
        Some(reason) => trial
            .with_ignored_flag(true)
            .with_kind(format!("skipped: {reason}")),
        None => trial,
    };
    libtest_mimic::run(&arguments, vec![trial]).exit();
}

fn kills() -> Result<(), Failed> {
    let n_kills = number("DMARIG_KILLS", DEFAULT_KILLS);
    let mut random = Random(number("DMARIG_KILLS_SEED", DEFAULT_SEED));
    let undisturbed = Run::start()?.finish()?;
    undisturbed.expect_whole()?;
    println!(
        "{n_kills} kills, seed {}, in runs of {} verdicts and {:.1} s",
        random.0,
        undisturbed.n_verdicts(),
        undisturbed.duration.as_secs_f64()
    );
    let mut tally = Tally::default();
    let mut n_misses = 0;
    while tally.n_kills() < n_kills && n_misses < MAX_MISSES {
        let victim = *random.pick(&Victim::ALL);
        let limit_us = u64::try_from(undisturbed.duration.as_micros()).unwrap_or(u64::MAX);
        let moment = Duration::from_micros(random.below(limit_us));
        let mut run = Run::start()?;
        if !run.kill(victim, moment)? {
            run.finish()?.expect_whole()?;
            n_misses += 1;
            continue;
        }
        n_misses = 0;
        let outcome = run.finish()?;
        match outcome.judge(victim, &undisturbed) {
            Ok(fate) => tally.note(victim, fate, outcome.n_verdicts()),
            Err(failed) => {
                let text = failed.message().unwrap_or_default();
                println!("{victim:?} killed {moment:?} after its start: {text}");
                tally.note(victim, Fate::Wrong, outcome.n_verdicts());
            }
        }
    }
    println!("{tally}");
    if tally.n_kills() < n_kills {
        return Err("the runs end before they can be disturbed".into());
    }
    if tally.count(Fate::Wrong) > 0 {
        return Err(format!("{tally}").into());
    }
    if n_kills >= DEFAULT_KILLS && tally.count(Fate::Told) == 0 {
        return Err("no kill came in the middle of a run".into());
    }
    Ok(())
}

fn number(variable: &str, default: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{variable}={text} is no number")),
        Err(_) => default,
    }
}

/// The first thing that the doctor misses.
fn what_is_missing() -> Option<String> {
    let output = Command::new(DMARIG).args(["doctor", "--json"]).output();
    let output = output.expect("dmarig starts");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let checks = report["checks"].as_array().expect("a list");
    let missing = checks.iter().find(|check| check["state"] == "missing")?;
    Some(format!("{}: {}", missing["name"], missing["detail"]))
}

/// SplitMix64: the same moments for the same seed.
struct Random(u64);

impl Random {
    fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        let index = usize::try_from(self.below(list.len() as u64)).expect("below the length");
        &list[index]
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) % limit.max(1)
    }
}
