//! A device that misbehaves under the driver's hands (SV): what must be noticed, tried again, reported and
//! kept quiet. Each case loads its faults, and runs with both drivers.

use dmarig_abi::completion::{DMA_STATUS_SUCCESS, DMA_STATUS_UNSUPPORTED_REQUEST};
use dmarig_abi::descriptor::{DMA_OP_VERIFY_PATTERN, DMA_OP_WRITE_PATTERN};
use dmarig_abi::operation::OUTCOME_NO_DEVICE;
use dmarig_abi::registers::{
    CH_COMMAND, CH_DESTINATION, CH_LENGTH, CH_STATUS, CH_STATUS_BUSY, CHANNEL_BASE, CHANNEL_STRIDE,
    REG_CONTROL,
};

use super::kmdf::KMDF;
use crate::bench::{
    Bench, Buffer, Pass, Survival, driver_finding, expect, has_interrupted, transfer_status,
};
use crate::case::{Body, Case};
use crate::cases::BOTH;
use crate::finding::{CaseEnd, Finding};
use crate::profile::Profile;
use crate::step::{Routine, Step, StepResult, TransferMode};

/// Bytes of each case's buffer.
const LENGTH_BYTES: u64 = 0x3000;
const SEED: u64 = 0x5eed_0001;
/// The channel of transfers by registers.
const CHANNEL: u32 = 1;
const BUSY: u64 = CH_STATUS_BUSY as u64;

/// A device that the bus driver cannot reset by itself.
static WITHOUT_FLR: Profile = Profile {
    name: "without-flr",
    device: Some("[pcie]\nflr = false\n"),
    ..Profile::DEFAULT
};

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    Case::new("SV-1/lost-interrupt", "the vector is dropped once: the transfer ends well all the same, and the next one has its interrupt", BOTH, lost_interrupt),
    Case::new("SV-1/lost-for-ever", "no vector is ever raised: each transfer ends well all the same, at the first attempt", BOTH, lost_for_ever),
    Case::new("SV-2/hang", "a request hangs: reset, and the second attempt moves the data", BOTH, hang),
    Case::new("SV-2/hang-in-a-ring", "a descriptor fetch hangs: reset, rings set up anew, the second attempt moves the data", BOTH, hang_in_a_ring),
    Case::new("SV-2/lost-completion-entry", "a completion entry is never written: reset, and the second attempt moves the data", BOTH, lost_completion_entry),
    Case::new("SV-2/lost-reset", "the write that resets a hung engine is lost: it is noticed and made again", BOTH, lost_reset),
    Case::new("SV-2/no-reset", "a hung engine takes no reset, and the function has none: reported as gone, and PnP brings it back", BOTH, no_reset).under(&WITHOUT_FLR),
    Case::new("SV-3/completion-timeout", "a read's Completion does not come, then one is poisoned: the second attempt moves the data", BOTH, completion_timeout),
    Case::new("SV-5/d3-during-work", "D3 while a request hangs: nothing points into memory any more, and D0 brings the device back", BOTH, d3_during_work),
    Case::new("SV-6/function-level-reset", "a hung engine takes no reset: the function is reset, set up anew, and the second attempt moves the data", BOTH, function_level_reset),
    Case::new("SV-3/passing-errors", "Unsupported Request and Completer Abort, once each: the second attempt moves the data", BOTH, passing_errors),
    Case::new("SV-3/lasting-error", "Unsupported Request for ever: reported after three attempts; without the fault all is well", BOTH, lasting_error),
    Case::new("SV-4/all-ones", "the link goes down under a request: reported as gone at once; when it is back and PnP has restarted it, all is well", BOTH, all_ones),
    Case::new("SV-5/quiet-in-d3", "D3 with a ring open: nothing points into memory any more, and D0 brings the ring back", BOTH, quiet_in_d3),
    Case::new("SV-1/kmdf-lost-interrupt", "the same with the KMDF driver", BOTH, |bench| by_enabler(bench, lost_interrupt)).under(&KMDF),
    Case::new("SV-1/kmdf-lost-for-ever", "the same with the KMDF driver", BOTH, |bench| by_enabler(bench, lost_for_ever)).under(&KMDF),
    Case::new("SV-2/kmdf-lost-reset", "the same with the KMDF driver", BOTH, |bench| by_enabler(bench, lost_reset)).under(&KMDF),
    Case::new("SV-3/kmdf-completion-timeout", "the same with the KMDF driver", BOTH, |bench| by_enabler(bench, completion_timeout)).under(&KMDF),
    Case::new("SV-5/kmdf-d3-during-work", "the same with the KMDF driver", BOTH, |bench| by_enabler(bench, s3_during_work)).under(&KMDF),
    Case::new("SV-6/kmdf-function-level-reset", "the same with the KMDF driver", BOTH, |bench| by_enabler(bench, function_level_reset)).under(&KMDF),
    Case::new("SV-2/kmdf-hang", "the same with the KMDF driver", BOTH, |bench| by_enabler(bench, hang)).under(&KMDF),
    Case::new("SV-2/kmdf-hang-in-a-ring", "the same with the KMDF driver", BOTH, |bench| by_enabler(bench, hang_in_a_ring)).under(&KMDF),
    Case::new("SV-2/kmdf-lost-completion-entry", "the same with the KMDF driver", BOTH, |bench| by_enabler(bench, lost_completion_entry)).under(&KMDF),
    Case::new("SV-3/kmdf-passing-errors", "the same with the KMDF driver", BOTH, |bench| by_enabler(bench, passing_errors)).under(&KMDF),
    Case::new("SV-3/kmdf-lasting-error", "the same with the KMDF driver", BOTH, |bench| by_enabler(bench, lasting_error)).under(&KMDF),
    Case::new("SV-4/kmdf-all-ones", "the same with the KMDF driver", BOTH, |bench| by_enabler(bench, all_ones)).under(&KMDF),
    Case::new("SV-5/kmdf-quiet-in-d3", "the same with the KMDF driver", BOTH, |bench| by_enabler(bench, quiet_in_s3)).under(&KMDF),
];

pub(super) fn by_enabler(bench: &mut Bench<'_>, body: Body) -> Result<(), CaseEnd> {
    bench.open_adapters_by_enabler();
    body(bench)
}

/// A rule file of one rule.
pub(super) fn rule(event: &str, effect: &str, times: Option<u32>) -> String {
    let times = times.map_or(String::new(), |times| format!("times = {times}\n"));
    format!(
        "[[rule]]\nname = \"{effect} at {event}\"\nevent = \"{event}\"\n{times}effect = \"{effect}\"\n"
    )
}

/// A buffer that the device may read and write, and its adapter.
pub(super) fn buffer(bench: &mut Bench<'_>) -> Result<(u32, Buffer), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let buffer = bench.allocate_by(adapter, LENGTH_BYTES, Routine::PLAIN, u64::MAX)?;
    bench.declare(&buffer, true, true)?;
    Ok((adapter, buffer))
}

/// The device writes the buffer under the fault; what the CPU reads then is what was to be written.
fn survive(
    bench: &mut Bench<'_>,
    buffer: &Buffer,
    rules: &str,
    by: (TransferMode, u32),
    expected: Survival,
) -> Result<(), CaseEnd> {
    let what = format!("a transfer under the fault ({:?}, channel {})", by.0, by.1);
    let result = bench.under_faults(rules, |bench| {
        bench.transfer_recovering(buffer, by, DMA_OP_WRITE_PATTERN, SEED)
    })?;
    bench.judge_survival(&what, buffer, &result, expected)?;
    if expected.status == DMA_STATUS_SUCCESS {
        bench.cpu_check(&what, buffer, SEED)?;
    }
    works(bench, buffer, by)
}

/// Without a fault a transfer ends well at the first attempt.
pub(super) fn works(
    bench: &mut Bench<'_>,
    buffer: &Buffer,
    by: (TransferMode, u32),
) -> Result<(), CaseEnd> {
    bench.cpu_fill(buffer, !SEED)?;
    let what = "a transfer after the fault";
    let result = bench.transfer_recovering(buffer, by, DMA_OP_VERIFY_PATTERN, !SEED)?;
    bench.judge_survival(what, buffer, &result, Survival::at_attempt(1))
}

fn lost_interrupt(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let by = (TransferMode::RegisterInterrupt, CHANNEL);
    let (_, buffer) = buffer(bench)?;
    let result = bench.under_faults(&rule("msix", "drop", Some(1)), |bench| {
        bench.transfer_recovering(&buffer, by, DMA_OP_WRITE_PATTERN, SEED)
    })?;
    let what = "a transfer whose interrupt is lost";
    bench.judge_survival(what, &buffer, &result, Survival::at_attempt(1))?;
    judge_interrupt(what, false, has_interrupted(&result))?;
    bench.cpu_check(what, &buffer, SEED)?;
    let next = bench.transfer_recovering(&buffer, by, DMA_OP_VERIFY_PATTERN, SEED)?;
    let what = "the transfer after it";
    bench.judge_survival(what, &buffer, &next, Survival::at_attempt(1))?;
    judge_interrupt(what, true, has_interrupted(&next))
}

fn lost_for_ever(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let by = (TransferMode::RegisterInterrupt, CHANNEL);
    let (_, buffer) = buffer(bench)?;
    bench.under_faults(&rule("msix", "drop", None), |bench| {
        for seed in SEED..SEED + 3 {
            let result = bench.transfer_recovering(&buffer, by, DMA_OP_WRITE_PATTERN, seed)?;
            let what = "a transfer without any interrupt";
            bench.judge_survival(what, &buffer, &result, Survival::at_attempt(1))?;
            judge_interrupt(what, false, has_interrupted(&result))?;
            bench.cpu_check(what, &buffer, seed)?;
        }
        Ok(())
    })?;
    works(bench, &buffer, by)
}

fn judge_interrupt(what: &str, expected: bool, seen: bool) -> Result<(), CaseEnd> {
    if expected == seen {
        return Ok(());
    }
    let word = |came| if came { "an interrupt" } else { "no interrupt" };
    Err(Finding {
        view: "driver",
        what: what.into(),
        buffer: None,
        logical_address: None,
        expected: word(expected).into(),
        seen: word(seen).into(),
    }
    .into())
}

fn hang(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let (_, buffer) = buffer(bench)?;
    let by = (TransferMode::RegisterInterrupt, CHANNEL);
    let rules = rule("payload", "hang", Some(1));
    survive(bench, &buffer, &rules, by, Survival::at_attempt(2))
}

fn hang_in_a_ring(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    in_a_ring(bench, &rule("descriptor-fetch", "hang", Some(1)))
}

fn lost_completion_entry(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    in_a_ring(bench, &rule("completion-entry", "drop", Some(1)))
}

fn in_a_ring(bench: &mut Bench<'_>, rules: &str) -> Result<(), CaseEnd> {
    let (adapter, buffer) = buffer(bench)?;
    bench.rings(adapter, Pass::RING_CHANNEL)?;
    let by = (TransferMode::RingPoll, Pass::RING_CHANNEL);
    survive(bench, &buffer, rules, by, Survival::at_attempt(2))
}

/// A request that hangs, in an engine that overlooks so many resets by register.
fn hang_and_lose_resets(times: Option<u32>) -> String {
    let lost = format!(
        "\n[[rule]]\nname = \"lost reset\"\nevent = \"mmio-write\"\nmatch.bar = 0\n\
         match.offset = {REG_CONTROL}\neffect = \"drop\"\n"
    );
    let times = times.map_or(String::new(), |times| format!("times = {times}\n"));
    rule("payload", "hang", Some(1)) + &lost + &times
}

fn lost_reset(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let (_, buffer) = buffer(bench)?;
    let by = (TransferMode::RegisterInterrupt, CHANNEL);
    let rules = hang_and_lose_resets(Some(1));
    survive(bench, &buffer, &rules, by, Survival::at_attempt(2))
}

/// The function is reset with the hung request's addresses in it, which the ledger sees.
fn function_level_reset(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let (adapter, buffer) = buffer(bench)?;
    bench.rings(adapter, Pass::RING_CHANNEL)?;
    let by = (TransferMode::RegisterInterrupt, CHANNEL);
    survive(
        bench,
        &buffer,
        &hang_and_lose_resets(None),
        by,
        Survival::at_attempt(2),
    )?;
    let words = bench.expect_violations("dangling")?;
    bench.observe(format!("seen: {}", words.join("; ")));
    // Rings and interrupts are set up anew as well.
    works(
        bench,
        &buffer,
        (TransferMode::RingInterrupt, Pass::RING_CHANNEL),
    )?;
    let after = bench.transfer_recovering(&buffer, by, DMA_OP_VERIFY_PATTERN, !SEED)?;
    judge_interrupt("a transfer after the reset", true, has_interrupted(&after))
}

fn no_reset(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let (_, buffer) = buffer(bench)?;
    let by = (TransferMode::RegisterPoll, CHANNEL);
    let result = bench.under_faults(&hang_and_lose_resets(None), |bench| {
        bench.transfer_recovering(&buffer, by, DMA_OP_WRITE_PATTERN, SEED)
    })?;
    expect_no_device(&result)?;
    restart(bench)?;
    let (_, buffer) = self::buffer(bench)?;
    works(bench, &buffer, by)
}

/// What only a read can meet.
fn completion_timeout(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let (_, buffer) = buffer(bench)?;
    let by = (TransferMode::RegisterInterrupt, CHANNEL);
    for (seed, effect) in (SEED..).zip(["completion-timeout", "poison"]) {
        bench.cpu_fill(&buffer, seed)?;
        let result = bench.under_faults(&rule("payload", effect, Some(1)), |bench| {
            bench.transfer_recovering(&buffer, by, DMA_OP_VERIFY_PATTERN, seed)
        })?;
        let what = format!("a read under {effect}");
        bench.judge_survival(&what, &buffer, &result, Survival::at_attempt(2))?;
    }
    works(bench, &buffer, by)
}

fn passing_errors(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let (_, buffer) = buffer(bench)?;
    let by = (TransferMode::RegisterPoll, CHANNEL);
    for effect in ["unsupported-request", "completer-abort"] {
        let rules = rule("payload", effect, Some(1));
        survive(bench, &buffer, &rules, by, Survival::at_attempt(2))?;
    }
    Ok(())
}

fn lasting_error(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let (_, buffer) = buffer(bench)?;
    let by = (TransferMode::RegisterPoll, CHANNEL);
    let expected = Survival {
        attempts: 3,
        status: DMA_STATUS_UNSUPPORTED_REQUEST,
    };
    let rules = rule("payload", "unsupported-request", None);
    survive(bench, &buffer, &rules, by, expected)
}

fn all_ones(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let (_, buffer) = buffer(bench)?;
    let by = (TransferMode::RegisterPoll, CHANNEL);
    let result = bench.under_faults(&rule("doorbell", "surprise-removal", Some(1)), |bench| {
        bench.transfer_recovering(&buffer, by, DMA_OP_WRITE_PATTERN, SEED)
    })?;
    expect_no_device(&result)?;
    // Whoever comes back on the bus has forgotten its configuration: only PnP gives it that again.
    restart(bench)?;
    let (_, buffer) = self::buffer(bench)?;
    works(bench, &buffer, by)
}

/// PnP stops the device and starts it again. The stop takes the case's adapter and buffer along.
fn restart(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    for order in ["pnp query-stop dut0", "pnp stop dut0", "pnp start dut0"] {
        bench.order(order)?;
    }
    bench.take_as_before()
}

fn d3_during_work(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    during_work(bench, ["power d3 dut0", "power d0 dut0"])
}

fn s3_during_work(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    during_work(bench, ["power s3 dut0", "power s0 dut0"])
}

/// The driver does not wait for a request that it has rung, and that hangs, when the device goes down.
fn during_work(bench: &mut Bench<'_>, [down, up]: [&str; 2]) -> Result<(), CaseEnd> {
    let (_, buffer) = buffer(bench)?;
    let register = |offset| CHANNEL_BASE + u64::from(CHANNEL) * CHANNEL_STRIDE + offset;
    let status = Step::read_register(0, register(CH_STATUS));
    bench.under_faults(&rule("payload", "hang", Some(1)), |bench| {
        let destination = buffer.logical_address.raw();
        let begun = bench.run(&[
            Step::write_register_64(0, register(CH_DESTINATION), destination),
            Step::write_register_64(0, register(CH_LENGTH), LENGTH_BYTES),
            Step::write_register(0, register(CH_COMMAND), DMA_OP_WRITE_PATTERN.into()),
            status.clone(),
        ])?;
        let is_busy = begun.last().map_or(0, |read| read.result.value[0]) & BUSY;
        expect("the busy bit of a request that hangs", BUSY, is_busy)?;
        bench.order(down)?;
        bench.order(up)?;
        let read = bench.require("reading the status after D0", status.clone())?;
        expect(
            "the busy bit after D3 and D0",
            0,
            read.result.value[0] & BUSY,
        )
    })?;
    works(bench, &buffer, (TransferMode::RegisterInterrupt, CHANNEL))
}

/// The driver has told that the device is gone.
pub(super) fn expect_no_device(result: &StepResult) -> Result<(), CaseEnd> {
    if result.result.outcome == OUTCOME_NO_DEVICE {
        return Ok(());
    }
    let seen = if result.is_success() {
        format!("DMA status {:#x}", transfer_status(result))
    } else {
        result.describe()
    };
    Err(Finding {
        seen,
        ..driver_finding(
            "a transfer of a device that is gone",
            "no such device under test",
            result,
        )
    }
    .into())
}

fn quiet_in_d3(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    quiet(bench, ["power d3 dut0", "power d0 dut0"])
}

/// The framework makes the device's request itself, when the system goes to sleep.
fn quiet_in_s3(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    quiet(bench, ["power s3 dut0", "power s0 dut0"])
}

/// The ledger sees what still points into memory when the device leaves D0: the end of the case judges it.
fn quiet(bench: &mut Bench<'_>, [down, up]: [&str; 2]) -> Result<(), CaseEnd> {
    let (adapter, buffer) = buffer(bench)?;
    bench.rings(adapter, Pass::RING_CHANNEL)?;
    let by = (TransferMode::RingInterrupt, Pass::RING_CHANNEL);
    works(bench, &buffer, by)?;
    bench.order(down)?;
    bench.order(up)?;
    works(bench, &buffer, by)
}
