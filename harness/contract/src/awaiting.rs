//! Documented rules that have no case, each with its reason. A test fails for one that has.

const WDM: &str = "its cases are being written with the rest of the WDM interface";
const NO_LIMIT: &str = "nt has no transfer that breaks it: any byte alignment and MDLs without a system address are fine";
const FRAMEWORK: &str = "its cases are being written with the driver framework";
const MISUSE: &str = "its cases are being written with misuse and verifier";

/// Rule and reason, in the order of the catalogue.
#[rustfmt::skip]
const AWAITING: &[(&str, &str)] = &[
    ("GA-1", WDM),
    ("GA-5", WDM),
    ("PA-3", MISUSE),
    ("AI-1", WDM),
    ("AC-10", WDM),
    ("FC-4", MISUSE),
    ("CM-22", WDM),
    ("CM-27", MISUSE),
    ("DD-1", WDM),
    ("DD-2", WDM),
    ("DD-3", WDM),
    ("DD-4", WDM),
    ("DD-5", WDM),
    ("MD-1", WDM),
    ("MD-2", WDM),
    ("MD-3", WDM),
    ("MD-4", WDM),
    ("MD-5", WDM),
    ("MD-6", WDM),
    ("MD-7", WDM),
    ("MD-8", WDM),
    ("MD-9", WDM),
    ("MD-10", WDM),
    ("MD-11", WDM),
    ("MD-12", WDM),
    ("MD-13", WDM),
    ("MD-15", WDM),
    ("VF-E6-03", MISUSE),
    ("VF-E6-07", MISUSE),
    ("VF-E6-0F", MISUSE),
    ("VF-E6-11", MISUSE),
    ("VF-E6-14", MISUSE),
    ("VF-E6-18", MISUSE),
    ("VF-E6-19", MISUSE),
    ("VF-E6-1F", NO_LIMIT),
    ("VF-E6-22", NO_LIMIT),
    ("VF-E6-25", MISUSE),
    ("VF-E6-26", MISUSE),
    ("VF-C4-70", MISUSE),
    ("VF-C4-73", MISUSE),
    ("VF-C4-74", MISUSE),
    ("VF-C4-78", MISUSE),
    ("VF-C4-79", MISUSE),
    ("VF-C4-7B", MISUSE),
    ("VF-C4-7C", MISUSE),
    ("VF-C4-7D", MISUSE),
    ("VF-C4-7E", MISUSE),
    ("VF-C4-7F", MISUSE),
    ("VF-C4-82", MISUSE),
    ("VF-C4-83", MISUSE),
    ("VF-C4-85", MISUSE),
    ("VF-C4-89", MISUSE),
    ("VF-C4-B0", MISUSE),
    ("VF-C4-B2", MISUSE),
    ("VF-C4-B3", MISUSE),
    ("VF-C4-B4", MISUSE),
    ("VF-C4-B5", MISUSE),
    ("VF-C4-B6", MISUSE),
    ("VF-C4-B8", MISUSE),
    ("VF-C4-140", MISUSE),
    ("VF-C4-2002", MISUSE),
    ("KD-20", FRAMEWORK),
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
