//! The pending rule: what a dispatch routine returns must agree with what becomes of its IRP.
//!
//! STATUS_PENDING is returned for an IRP that the routine, or the completion routine above the next driver, has
//! marked pending, and for no other; any other status is that of the completed IRP. Which of it holds is
//! known only when both the routine has returned and the IRP has left its stack location, in either order.

use alloc::vec::Vec;
use core::fmt;

use super::status::{self, NtStatus};

/// A dispatch routine that has returned or an IRP that has left, and not yet the other.
#[derive(Clone, Copy, Debug)]
struct Call {
    number: u64,
    irp: u64,
    location: u64,
    routine: u64,
    returned: Option<NtStatus>,
    left: Option<Left>,
}

/// How an IRP left a stack location.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Left {
    /// The IRP's status then.
    pub status: NtStatus,
    /// Whether the location was marked pending.
    pub is_marked: bool,
}

/// A dispatch routine that broke the rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Breach {
    /// Its address.
    pub routine: u64,
    returned: NtStatus,
    /// None: the IRP is still there.
    left: Option<Left>,
}

/// The calls that are not judged yet.
#[derive(Debug)]
pub(super) struct Calls {
    calls: Vec<Call>,
    next_number: u64,
}

impl Calls {
    pub(super) const fn new() -> Self {
        Self {
            calls: Vec::new(),
            next_number: 0,
        }
    }

    /// A dispatch routine is about to get an IRP at a stack location. The number is for [`Calls::returned`].
    pub(super) fn begin(&mut self, irp: u64, location: u64, routine: u64) -> u64 {
        let number = self.next_number;
        self.next_number = self.next_number.wrapping_add(1);
        self.calls.push(Call {
            number,
            irp,
            location,
            routine,
            returned: None,
            left: None,
        });
        number
    }

    /// The routine has returned.
    pub(super) fn returned(&mut self, number: u64, returned: NtStatus) -> Option<Breach> {
        let idx = self.calls.iter().position(|call| call.number == number)?;
        if self.calls[idx].left.is_none() && returned == status::PENDING {
            self.calls[idx].returned = Some(returned);
            return None;
        }
        let call = self.calls.swap_remove(idx);
        judge(call.routine, returned, call.left)
    }

    /// The IRP has left the location: of every driver that was called with it, for one that skips its own
    /// location shares that with the next.
    pub(super) fn left(&mut self, irp: u64, location: u64, left: Left) -> Option<Breach> {
        let mut breach = None;
        self.calls.retain_mut(|call| {
            if (call.irp, call.location) != (irp, location) || call.left.is_some() {
                return true;
            }
            call.left = Some(left);
            let Some(returned) = call.returned else {
                return true;
            };
            breach = breach.or(judge(call.routine, returned, call.left));
            false
        });
        breach
    }

    /// The IRP is gone: nothing more will be known of calls that it has not left.
    pub(super) fn forget(&mut self, irp: u64) {
        self.calls
            .retain(|call| call.irp != irp || call.left.is_some());
    }
}

fn judge(routine: u64, returned: NtStatus, left: Option<Left>) -> Option<Breach> {
    let is_kept = left.is_some_and(|left| {
        left.is_marked == (returned == status::PENDING)
            && (left.is_marked || left.status == returned)
    });
    (!is_kept).then_some(Breach {
        routine,
        returned,
        left,
    })
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let returned = self.returned;
        match self.left {
            None => write!(
                f,
                "returned {returned} for an IRP that is neither completed nor passed on: that is STATUS_PENDING, \
                 after IoMarkIrpPending"
            ),
            Some(left) if left.is_marked => write!(
                f,
                "returned {returned} for an IRP that is marked pending: that is STATUS_PENDING"
            ),
            Some(_) if returned == status::PENDING => write!(
                f,
                "returned STATUS_PENDING for an IRP that was not marked by IoMarkIrpPending"
            ),
            Some(left) => write!(
                f,
                "returned {returned} for an IRP that was completed with {}",
                left.status
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IRP: u64 = 0x1000;
    const AT: u64 = 0x1100;

    fn left(status: NtStatus, is_marked: bool) -> Left {
        Left { status, is_marked }
    }

    /// The breach of one call; `is_late`: the IRP leaves after the return.
    fn breach(returned: NtStatus, end: Left, is_late: bool) -> bool {
        let mut calls = Calls::new();
        let number = calls.begin(IRP, AT, 1);
        let (first, second) = if is_late {
            (calls.returned(number, returned), calls.left(IRP, AT, end))
        } else {
            (calls.left(IRP, AT, end), calls.returned(number, returned))
        };
        assert!(calls.calls.is_empty(), "judged once");
        first.or(second).is_some()
    }

    #[test]
    fn returned_status_must_agree_with_the_end_of_the_irp() {
        let (success, failure) = (status::SUCCESS, status::UNSUCCESSFUL);
        for (returned, end, is_late, expected) in [
            (success, left(success, false), false, false),
            (failure, left(failure, false), false, false),
            (success, left(failure, false), false, true),
            (status::PENDING, left(success, true), false, false),
            (status::PENDING, left(success, true), true, false),
            (status::PENDING, left(success, false), false, true),
            (status::PENDING, left(success, false), true, true),
            (success, left(success, true), false, true),
            (success, left(success, false), true, true),
        ] {
            assert_eq!(
                breach(returned, end, is_late),
                expected,
                "{returned} {end:?} {is_late}"
            );
        }
    }

    #[test]
    fn drivers_that_share_a_location_are_judged_both() {
        let mut calls = Calls::new();
        let upper = calls.begin(IRP, AT, 1);
        let lower = calls.begin(IRP, AT, 2);
        assert_eq!(calls.left(IRP, AT, left(status::SUCCESS, true)), None);
        assert_eq!(calls.returned(lower, status::PENDING), None);
        let breach = calls.returned(upper, status::SUCCESS);
        assert_eq!(breach.map(|breach| breach.routine), Some(1));
    }

    #[test]
    fn same_location_used_again_is_another_call() {
        let mut calls = Calls::new();
        let first = calls.begin(IRP, AT, 1);
        calls.left(IRP, AT, left(status::UNSUCCESSFUL, false));
        assert_eq!(calls.returned(first, status::UNSUCCESSFUL), None);
        let second = calls.begin(IRP, AT, 1);
        calls.left(IRP, AT, left(status::SUCCESS, false));
        assert_eq!(calls.returned(second, status::SUCCESS), None);
    }

    #[test]
    fn freed_irp_leaves_nothing_behind() {
        let mut calls = Calls::new();
        let number = calls.begin(IRP, AT, 1);
        assert_eq!(calls.returned(number, status::PENDING), None);
        calls.forget(IRP);
        assert!(calls.calls.is_empty());
    }
}
