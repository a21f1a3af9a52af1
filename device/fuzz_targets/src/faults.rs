//! Rules of fault injection, loaded while the device works.

use arbitrary::Arbitrary;
use fault_injection::Point;
use serde_json::json;

use crate::bed::Bed;

/// Rules of one plan.
const MAX_RULES: usize = 4;
/// Every effect, with `N` for a small number.
const EFFECTS: [&str; 23] = [
    "effect = \"unsupported-request\"",
    "effect = \"completer-abort\"",
    "effect = \"completion-timeout\"",
    "effect = \"poison\"",
    "effect.flip-bit.bit = N",
    "effect.short.bytes = N",
    "effect.delay.microseconds = N",
    "effect = \"drop\"",
    "effect = \"duplicate\"",
    "effect = \"reorder\"",
    "effect = \"iommu-fault\"",
    "effect = \"stale-translation\"",
    "effect = \"allow-unmapped\"",
    "effect.spurious-interrupt.vector = N",
    "effect.early-interrupt.microseconds = N",
    "effect.storm.count = N",
    "effect = \"all-ones\"",
    "effect.set.value = N",
    "effect.stuck.ones = N",
    "effect.break-capability-chain.next = N",
    "effect.mutate = { times = 3, microseconds = 5, bit = N }",
    "effect.torn = { bytes = 8, microseconds = N }",
    "effect.link-down.microseconds = N",
];

/// One rule.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Rule {
    event: u8,
    effect: u8,
    number: u8,
    channel: Option<u8>,
    nth: u8,
}

impl Rule {
    fn text(self, index: usize) -> String {
        let event = json!(Point::ALL[usize::from(self.event) % Point::ALL.len()]);
        let effect = EFFECTS[usize::from(self.effect) % EFFECTS.len()];
        let effect = effect.replace('N', &self.number.to_string());
        let channel = self.channel.map_or(String::new(), |channel| {
            format!("match.channel = {}\n", channel % 4)
        });
        let nth = self.nth;
        format!("[[rule]]\nname = \"r{index}\"\nevent = {event}\nnth = {nth}\n{channel}{effect}\n")
    }
}

/// Loads a plan. One whose event and effect do not fit is refused, which is part of the matter.
pub fn load(bed: &mut Bed, rules: &[Rule]) {
    let rules = rules.iter().take(MAX_RULES).zip(0..);
    let text: String = rules.map(|(rule, index)| rule.text(index)).collect();
    let params = json!({ "function": "dut0", "rules": text });
    let line = json!({ "jsonrpc": "2.0", "id": 9, "method": "faults.load", "params": params });
    bed.say(line.to_string().as_bytes());
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_effect_is_accepted_at_some_point() {
        for effect in 0..u8::try_from(EFFECTS.len()).expect("few") {
            let fits = |event: &u8| {
                let rule = Rule {
                    event: *event,
                    effect,
                    number: 3,
                    channel: None,
                    nth: 1,
                };
                let text = rule.text(0);
                fault_injection::rule_file::parse(Path::new("r"), &text).is_ok()
            };
            assert!(
                (0..16).any(|event| fits(&event)),
                "{}",
                EFFECTS[usize::from(effect)]
            );
        }
    }
}
