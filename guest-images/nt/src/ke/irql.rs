//! Checked IRQL changes.

use super::bugcheck::{self, code};
use crate::arch::irql as cr8;

pub use crate::arch::irql::{
    APC_LEVEL, CLOCK_LEVEL, DISPATCH_LEVEL, HIGH_LEVEL, Irql, PASSIVE_LEVEL, current,
};

/// Raises the IRQL and returns the old one; to a lower one is bug check 0x09.
pub fn raise(new: Irql) -> Irql {
    let old = current();
    if new < old || new > HIGH_LEVEL {
        let parameters = [u64::from(old), u64::from(new), 0, 0];
        bugcheck::raise(code::IRQL_NOT_GREATER_OR_EQUAL, parameters);
    }
    cr8::set(new);
    old
}

/// Lowers the IRQL, on which pending interrupts and DPCs run; to a higher one is bug check 0x0A.
pub fn lower(new: Irql) {
    let old = current();
    if new > old {
        let parameters = [u64::from(new), u64::from(old), 0, 0];
        bugcheck::raise(code::IRQL_NOT_LESS_OR_EQUAL, parameters);
    }
    cr8::set(new);
}

/// Runs `body` at `level`, or higher if the IRQL is higher already.
pub fn at<R>(level: Irql, body: impl FnOnce() -> R) -> R {
    let old = current();
    cr8::set(old.max(level));
    let result = body();
    cr8::set(old);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raise_returns_the_old_level_and_lower_goes_back() {
        assert_eq!(raise(DISPATCH_LEVEL), PASSIVE_LEVEL);
        assert_eq!(raise(DISPATCH_LEVEL), DISPATCH_LEVEL);
        assert_eq!(at(PASSIVE_LEVEL, current), DISPATCH_LEVEL);
        assert_eq!(at(HIGH_LEVEL, current), HIGH_LEVEL);
        lower(PASSIVE_LEVEL);
        assert_eq!(current(), PASSIVE_LEVEL);
    }

    #[test]
    #[should_panic(expected = "bug check 0x9")]
    fn raise_to_a_lower_level_is_a_bug_check() {
        raise(DISPATCH_LEVEL);
        raise(APC_LEVEL);
    }

    #[test]
    #[should_panic(expected = "bug check 0xa")]
    fn lower_to_a_higher_level_is_a_bug_check() {
        lower(DISPATCH_LEVEL);
    }
}
