//! [`DutState`]: what the rig remembers of one device under test between two questions.

use contract::Violation;
use dmarig_abi::RequesterId;

/// What was learned of one device under test.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct DutState {
    /// The requester ID that the guest gave it.
    pub(super) requester: Option<RequesterId>,
    /// Where its ledger goes on.
    pub(super) ledger_next: u64,
    /// Violations that its ledger had no room for, as far as they were told of.
    dropped_violations: u64,
}

impl DutState {
    /// The violations that the ledger had no room for since the last time, as one.
    pub(super) fn newly_dropped(&mut self, dropped: u64) -> Option<Violation> {
        let more = growth(self.dropped_violations, dropped);
        self.dropped_violations = dropped;
        (more > 0).then(|| Violation {
            kind: "ledger-full".into(),
            detail: format!("{more} violations that the ledger had no room for"),
            iova: None,
        })
    }
}

/// A violation as cases see it.
pub(super) fn violation(violation: &control_api::ledger::Violation) -> Violation {
    let kind = serde_json::to_value(violation.kind)
        .ok()
        .and_then(|name| name.as_str().map(str::to_owned))
        .unwrap_or_default();
    let declared = violation
        .declared
        .as_ref()
        .map_or(String::new(), |name| format!(" ({name})"));
    Violation {
        kind,
        detail: format!("{}{declared}", violation.detail),
        iova: Some(violation.iova),
    }
}

/// How much was added to a count that a clearing of the ledger sets back to zero.
const fn growth(before: u64, now: u64) -> u64 {
    match now.checked_sub(before) {
        Some(more) => more,
        None => now,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropped_violations_count_once_and_again_after_a_clear() {
        assert_eq!(growth(0, 0), 0);
        assert_eq!(growth(2, 5), 3);
        assert_eq!(growth(5, 5), 0);
        assert_eq!(growth(5, 2), 2);
    }
}
