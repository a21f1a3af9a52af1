//! Documented rules that have no case, each with its reason. A test fails for one that has.

const USERS_DRIVER: &str = "it says what a driver makes of NULL; the test driver allocates nothing of its own at its start";
const WINDOWS_ITSELF: &str = "errors of the system's own, which no call of a driver brings about";
const NO_LIMIT: &str = "nt has no transfer that breaks it: any byte alignment and MDLs without a system address are fine";
const NO_REFERENCE: &str = "no documented call takes a reference to an adapter";
const SAME_AS_13: &str = "the page does not tell it from 0x13, which nt raises";
const SAME_AS_85: &str = "the page tells it and 0x85 of one misuse; nt raises 0x85";
const NO_IO_SPACE: &str = "the driver maps device memory at its start only";
const NO_FOREIGN_PAGES: &str = "the driver has no MDL over pages that are no RAM";
const NO_CALL: &str = "the page does not say which call looks for it";
const CODE_INTEGRITY: &str = "it belongs to code integrity checking, which nt does not do";

/// Rule and reason, in the order of the catalogue.
#[rustfmt::skip]
const AWAITING: &[(&str, &str)] = &[
    ("AC-10", USERS_DRIVER),
    ("DD-5", WINDOWS_ITSELF),
    ("VF-E6-1F", NO_LIMIT),
    ("VF-E6-22", NO_LIMIT),
    ("VF-E6-11", NO_REFERENCE),
    ("VF-E6-14", SAME_AS_13),
    ("VF-C4-73", NO_IO_SPACE),
    ("VF-C4-7B", NO_IO_SPACE),
    ("VF-C4-83", NO_IO_SPACE),
    ("VF-C4-89", NO_FOREIGN_PAGES),
    ("VF-C4-B3", SAME_AS_85),
    ("VF-C4-140", NO_CALL),
    ("VF-C4-2002", CODE_INTEGRITY),
];

/// Why a rule has no case, if that is known.
#[must_use]
pub fn awaiting(id: &str) -> Option<&'static str> {
    let entry = AWAITING.iter().find(|(rule, _)| *rule == id);
    entry.map(|(_, reason)| *reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::rule;

    #[test]
    fn only_rules_wait() {
        for (id, _) in AWAITING {
            assert!(rule(id).is_some(), "{id} is no rule");
        }
    }
}
