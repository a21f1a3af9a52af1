//! [`Disagreement`]: what a walk found; and the judging of one action's results.

use dmarig_abi::Iova;
use dmarig_abi::completion::{DMA_STATUS_MISMATCH, DMA_STATUS_SUCCESS};
use dmarig_abi::operation::{self as op, TRANSFER_VALUE_INTERRUPT_SEEN};
use dmarig_abi::pattern::fill_pattern;

use super::action::{Action, Way};
use super::content::Extent;
use super::model::{Expect, Mdl, Verdict};
use crate::bench::{describe_dma_status, transfer_status, went_by_message};
use crate::finding::Finding;
use crate::nt_status::NtStatus;
use crate::step::{StepResult, TransferMode};

const NO_MISMATCH: u64 = u64::MAX;

/// The views disagree with the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disagreement {
    /// Index of the action in the list, or its length where it shows at the end.
    pub index: usize,
    /// The rule that was foretold by, if one.
    pub rule: &'static str,
    /// What kind of check it was: together with the view what makes two disagreements alike.
    pub check: String,
    /// The rest.
    pub finding: Finding,
}

impl Disagreement {
    /// Whether another one is of the same kind.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        self.finding.view == other.finding.view && self.check == other.check
    }
}

/// What is not as it was foretold: the kind of check, and the rest.
#[derive(Debug)]
pub(super) struct Difference {
    pub(super) check: String,
    pub(super) finding: Finding,
}

/// The result of a check.
pub(super) type Judged<T = ()> = Result<T, Box<Difference>>;

/// The failure of a check.
pub(super) fn differs<T>(check: impl Into<String>, finding: Finding) -> Judged<T> {
    Err(Box::new(Difference {
        check: check.into(),
        finding,
    }))
}

/// What was foretold of an action whose results have come.
pub(super) struct Planned {
    pub(super) index: usize,
    pub(super) action: Action,
    pub(super) verdict: Verdict,
    pub(super) pattern: Option<Extent>,
    pub(super) n_steps: usize,
    /// The MDL whose fields are read with it, as it is then.
    pub(super) mdl: Option<Mdl>,
    /// Objects that a release of all must find.
    pub(super) n_released: Option<u64>,
}

/// Whether an open or certain verdict ended well; `Err` where it is not what was foretold.
pub(super) fn judge_outcome(
    action: &Action,
    verdict: Verdict,
    result: &StepResult,
) -> Judged<bool> {
    let outcome = result.result.outcome;
    let has_failed = outcome == op::OUTCOME_DONE && !result.status().is_success();
    let is_null = outcome == op::OUTCOME_NULL;
    let (is_right, expected) = match verdict.expect {
        Expect::Success => (result.is_success(), "success".to_owned()),
        Expect::Outcome(expected) => {
            let mut wanted = StepResult::default();
            wanted.result.outcome = expected;
            (outcome == expected, wanted.describe())
        }
        Expect::Failure(statuses) => {
            let is_one = has_failed && statuses.contains(&result.status());
            (is_one, describe_statuses(statuses))
        }
        Expect::AnyFailure => (has_failed, "a failure".to_owned()),
        Expect::SuccessOrNull => (result.is_success() || is_null, "success or NULL".to_owned()),
        Expect::SuccessOrFailure | Expect::Unclear => (
            result.is_success() || has_failed,
            "success or a failing status".to_owned(),
        ),
        Expect::LeaveOut(why) => (false, format!("nothing: {why}")),
    };
    if is_right {
        return Ok(result.is_success());
    }
    let finding = Finding {
        view: "driver",
        what: format!("what {} returns", action.name()),
        buffer: None,
        logical_address: result
            .is_success()
            .then(|| Iova::new(result.result.logical_address)),
        expected,
        seen: result.describe(),
    };
    differs(format!("outcome of {}", action.name()), finding)
}

fn describe_statuses(statuses: &[NtStatus]) -> String {
    let names: Vec<String> = statuses.iter().map(ToString::to_string).collect();
    format!("one of {}", names.join(", "))
}

/// Judges the bytes of a check or a transfer that ended well.
pub(super) fn judge_bytes(action: &Action, pattern: Option<Extent>, result: &StepResult) -> Judged {
    let Some(pattern) = pattern else {
        return Ok(());
    };
    match *action {
        Action::Check { object, .. } => {
            let bytes = result.result.value[2];
            let at = result.result.value[1];
            judge_mismatch("driver", object, pattern, at, bytes, None)
        }
        Action::DeviceWrite { buffer, way, .. }
        | Action::DeviceVerify { buffer, way, .. }
        | Action::DeviceCrc { buffer, way, .. } => judge_transfer(buffer, pattern, way, result),
        _ => Ok(()),
    }
}

fn judge_mismatch(
    view: &'static str,
    slot: u32,
    pattern: Extent,
    at: u64,
    bytes: u64,
    start: Option<u64>,
) -> Judged {
    if at == NO_MISMATCH {
        return Ok(());
    }
    let offset = pattern.start.wrapping_add(at);
    let finding = Finding {
        view,
        what: format!("the pattern of seed {:#x}", pattern.seed),
        buffer: Some(format!("slot {slot}")),
        logical_address: start.map(|start| Iova::new(start.wrapping_add(at))),
        expected: format!("byte {:#04x} at offset {offset:#x}", bytes & 0xff),
        seen: format!("{:#04x}", (bytes >> 8) & 0xff),
    };
    differs("content", finding)
}

fn judge_transfer(slot: u32, pattern: Extent, way: Way, result: &StepResult) -> Judged {
    let start = result.result.logical_address;
    let status = transfer_status(result);
    if status == DMA_STATUS_MISMATCH {
        let bytes = result.result.value[2] >> 16;
        let at = result.result.value[1];
        return judge_mismatch("device", slot, pattern, at, bytes, Some(start));
    }
    let is_by_interrupt = matches!(
        way.mode,
        TransferMode::RegisterInterrupt | TransferMode::RingInterrupt
    );
    let has_interrupted = result.result.value[2] & TRANSFER_VALUE_INTERRUPT_SEEN != 0;
    let (check, expected, seen) = if status != DMA_STATUS_SUCCESS {
        let seen = describe_dma_status(status);
        ("transfer status", "success".to_owned(), seen)
    } else if result.result.length != pattern.len {
        let seen = format!("{:#x}", result.result.length);
        ("bytes moved", format!("{:#x} bytes", pattern.len), seen)
    } else if went_by_message(result) != way.by_message {
        let expected = format!("by message: {}", way.by_message);
        ("path", expected, format!("by message: {}", !way.by_message))
    } else if is_by_interrupt && !has_interrupted {
        let expected = "the channel's interrupt".to_owned();
        (
            "interrupt",
            expected,
            "the end, but no interrupt".to_owned(),
        )
    } else {
        return judge_crc(slot, pattern, start, result);
    };
    let finding = Finding {
        view: "device",
        what: format!("a transfer of {:#x} bytes", pattern.len),
        buffer: Some(format!("slot {slot}")),
        logical_address: Some(Iova::new(start)),
        expected,
        seen,
    };
    differs(check, finding)
}

fn judge_crc(slot: u32, pattern: Extent, start: u64, result: &StepResult) -> Judged {
    let mut bytes = vec![0; usize::try_from(pattern.len).unwrap_or(0)];
    fill_pattern(pattern.seed, 0, &mut bytes);
    let expected = crc32c::crc32c(&bytes);
    let seen = result.result.value[0];
    if seen == u64::from(expected) {
        return Ok(());
    }
    let finding = Finding {
        view: "device",
        what: format!("the CRC-32C of {:#x} bytes", pattern.len),
        buffer: Some(format!("slot {slot}")),
        logical_address: Some(Iova::new(start)),
        expected: format!("{expected:#010x}"),
        seen: format!("{seen:#010x}"),
    };
    differs("content", finding)
}
