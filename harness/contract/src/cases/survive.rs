//! A device that misbehaves under the driver's hands (SV): what must be noticed, tried again, reported and
//! kept quiet. Each case loads its faults, and runs with both drivers.

use dmarig_abi::completion::{DMA_STATUS_SUCCESS, DMA_STATUS_UNSUPPORTED_REQUEST};
use dmarig_abi::descriptor::{DMA_OP_VERIFY_PATTERN, DMA_OP_WRITE_PATTERN};
use dmarig_abi::operation::OUTCOME_NO_DEVICE;

use super::kmdf::KMDF;
use crate::bench::{
    Bench, Buffer, Pass, Survival, driver_finding, has_interrupted, transfer_status,
};
use crate::case::{Body, Case};
use crate::cases::BOTH;
use crate::finding::{CaseEnd, Finding};
use crate::step::{Routine, StepResult, TransferMode};

/// Bytes of each case's buffer.
const LENGTH_BYTES: u64 = 0x3000;
const SEED: u64 = 0x5eed_0001;
/// The channel of transfers by registers.
const CHANNEL: u32 = 1;

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    Case::new("SV-1/lost-interrupt", "the vector is dropped once: the transfer ends well all the same, and the next one has its interrupt", BOTH, lost_interrupt),
    Case::new("SV-2/hang", "a request hangs: reset, and the second attempt moves the data", BOTH, hang),
    Case::new("SV-2/hang-in-a-ring", "a descriptor fetch hangs: reset, rings set up anew, the second attempt moves the data", BOTH, hang_in_a_ring),
    Case::new("SV-2/lost-completion-entry", "a completion entry is never written: reset, and the second attempt moves the data", BOTH, lost_completion_entry),
    Case::new("SV-3/passing-errors", "Unsupported Request and Completer Abort, once each: the second attempt moves the data", BOTH, passing_errors),
    Case::new("SV-3/lasting-error", "Unsupported Request for ever: reported after three attempts; without the fault all is well", BOTH, lasting_error),
    Case::new("SV-4/all-ones", "the link goes down under a request: reported as gone at once; when it is back and PnP has restarted it, all is well", BOTH, all_ones),
    Case::new("SV-5/quiet-in-d3", "D3 with a ring open: nothing points into memory any more, and D0 brings the ring back", BOTH, quiet_in_d3),
    Case::new("SV-1/kmdf-lost-interrupt", "the same with the KMDF driver", BOTH, |bench| by_enabler(bench, lost_interrupt)).under(&KMDF),
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
    // Whoever comes back on the bus has forgotten its configuration: only PnP gives it that again. The stop takes the
    // case's adapter and buffer along.
    for order in ["pnp query-stop dut0", "pnp stop dut0", "pnp start dut0"] {
        bench.order(order)?;
    }
    bench.take_as_before()?;
    let (_, buffer) = self::buffer(bench)?;
    works(bench, &buffer, by)
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
