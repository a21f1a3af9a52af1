use std::collections::BTreeSet;

use super::*;

#[test]
fn numbers_are_unique_and_start_with_their_family() {
    let mut seen = BTreeSet::new();
    for family in FAMILIES {
        assert!(!family.rules.is_empty(), "{}", family.prefix);
        for rule in family.rules {
            let prefix = rule.id.split_once('-').map(|(prefix, _)| prefix);
            assert_eq!(prefix, Some(family.prefix), "{}", rule.id);
            assert!(seen.insert(rule.id), "{} twice", rule.id);
        }
    }
}

#[test]
fn every_rule_says_something_and_where_it_stands() {
    for rule in rules() {
        assert!(!rule.modes.is_empty(), "{} applies nowhere", rule.id);
        assert!(
            !rule.source.is_empty() && !rule.sentence.is_empty(),
            "{}",
            rule.id
        );
        assert!(
            !rule.sentence.ends_with('.'),
            "{} ends with a full stop",
            rule.id
        );
    }
}
