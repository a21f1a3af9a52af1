//! [`Verdict`]: what must come of an action, and by which rule.

use crate::nt_status::NtStatus;

/// What must come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::explore) enum Expect {
    /// The call succeeds.
    Success,
    /// The driver's interpreter or the call ends with this `OUTCOME_*`.
    Outcome(u16),
    /// The call fails with one of these.
    Failure(&'static [NtStatus]),
    /// The call fails; which code is not documented.
    AnyFailure,
    /// Both are right: the rules leave it open, or resources may be short. The first is success.
    SuccessOrNull,
    /// Both are right, the failure being a documented one.
    SuccessOrFailure,
    /// It depends on what this model was not told: the mode of remapping, or frames.
    Unclear,
    /// Not to be carried out: undefined, fatal, or of no use. With the reason.
    LeaveOut(&'static str),
}

/// What must come of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::explore) struct Verdict {
    /// The rule that says so; empty where it is the interpreter's own business.
    pub(in crate::explore) rule: &'static str,
    /// What it says.
    pub(in crate::explore) expect: Expect,
}

impl Verdict {
    pub(super) const fn new(rule: &'static str, expect: Expect) -> Self {
        Self { rule, expect }
    }

    pub(super) const fn success(rule: &'static str) -> Self {
        Self::new(rule, Expect::Success)
    }

    pub(super) const fn outcome(outcome: u16) -> Self {
        Self::new("", Expect::Outcome(outcome))
    }

    pub(super) const fn leave_out(why: &'static str) -> Self {
        Self::new("", Expect::LeaveOut(why))
    }

    /// Whether only the guest's answer tells what comes.
    pub(in crate::explore) const fn is_open(self) -> bool {
        matches!(
            self.expect,
            Expect::SuccessOrNull | Expect::SuccessOrFailure | Expect::Unclear
        )
    }

    /// Whether the action takes effect, as far as this is known.
    pub(in crate::explore) const fn may_succeed(self) -> bool {
        self.is_open() || matches!(self.expect, Expect::Success)
    }
}
