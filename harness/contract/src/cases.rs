//! The suites: which cases exist, in the order they run.

mod adapter;
mod adapter_info;
mod allocate;
mod allocate_with_bounds;
mod early;
mod engine;
mod from_mdl;
mod from_mdl_combined;
mod from_mdl_configs;
mod from_mdl_lifetime;
mod from_mdl_sources;
mod high_memory;
mod kmdf;
mod large;
mod low_resources;
mod mdl;
mod misuse;
mod own_iommu;
mod plug;
mod released;
mod several;
mod survive;
mod transfer_lists;
mod transfer_lists_ex;
mod transfer_maps;
mod transfer_profiles;
mod vector;

use crate::case::Case;
use crate::rig::Remapping;

const BOTH: &[Remapping] = &[Remapping::On, Remapping::Off];
const ON: &[Remapping] = &[Remapping::On];
const OFF: &[Remapping] = &[Remapping::Off];

/// A named list of cases.
#[derive(Clone, Copy, Debug)]
pub struct Suite {
    /// Name for `--suite`.
    pub name: &'static str,
    /// What it covers, in one line.
    pub title: &'static str,
    lists: &'static [&'static [Case]],
}

impl Suite {
    /// The suite's cases in order.
    pub fn cases(&self) -> impl Iterator<Item = &'static Case> {
        self.lists.iter().copied().flatten()
    }
}

/// All suites; the first is the default.
pub const SUITES: &[Suite] = &[
    Suite {
        name: "common-buffer",
        title: "adapters and common buffers by the WDM interface",
        lists: &[
            adapter::CASES,
            from_mdl::CASES,
            from_mdl_sources::CASES,
            from_mdl_configs::CASES,
            from_mdl_combined::CASES,
            from_mdl_lifetime::CASES,
            allocate::CASES,
            allocate_with_bounds::CASES,
            low_resources::CASES,
        ],
    },
    Suite {
        name: "common-buffer-deep",
        title: "what takes long or boots of its own: large buffers, high memory, domains, vectors, early contexts",
        lists: &[
            adapter_info::CASES,
            vector::CASES,
            large::CASES,
            high_memory::CASES,
            early::CASES,
            released::CASES,
        ],
    },
    Suite {
        name: "kmdf",
        title: "the driver framework: enablers, WdfCommonBufferCreateWithConfig, the order of callbacks",
        lists: kmdf::LISTS,
    },
    Suite {
        name: "transfer",
        title: "packet DMA by the WDM interface: scatter/gather lists, channels, map registers, transfers",
        lists: &[
            transfer_lists::CASES,
            transfer_lists_ex::CASES,
            transfer_maps::CASES,
        ],
    },
    Suite {
        name: "mdl",
        title: "MDLs and memory as the sources of common buffers",
        lists: &[mdl::CASES],
    },
    Suite {
        name: "survive",
        title: "a device that misbehaves: lost interrupts, hangs, bus errors, a device that is gone, D3",
        lists: &[survive::CASES],
    },
    Suite {
        name: "plug",
        title: "a device that leaves the machine, by order or by surprise, and comes back",
        lists: &[plug::CASES],
    },
    Suite {
        name: "misuse",
        title: "misuse: the verifier's bug checks, stops by nt's own findings, retail silence",
        lists: misuse::LISTS,
    },
    Suite {
        name: "engine",
        title: "the device's own engine, driven by its registers: lists, chains, fences, index mode, prefetch, 64 channels",
        lists: engine::LISTS_OF_CASES,
    },
    Suite {
        name: "several",
        title: "two devices under one driver: addresses of their own, transfers at once, one reset, asleep or gone",
        lists: &[several::CASES],
    },
    Suite {
        name: "iommu",
        title: "the device's own remapping unit: the driver builds its tables and programs it by its registers",
        lists: &[own_iommu::CASES],
    },
];

/// The cases of all suites.
pub fn cases() -> impl Iterator<Item = &'static Case> {
    SUITES.iter().flat_map(Suite::cases)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::awaiting::awaiting;
    use crate::profile::Profile;
    use crate::rule::{Certainty, Rule, rule, rules};

    fn has_case(rule: &Rule, mode: Remapping) -> bool {
        cases().any(|case| case.modes.contains(&mode) && case.rules().any(|id| id == rule.id))
    }

    #[test]
    fn every_case_names_rules_that_exist() {
        for case in cases() {
            assert!(case.id.contains('/'), "{} names no variant", case.id);
            for id in case.rules() {
                assert!(rule(id).is_some(), "{} names no rule: {id}", case.id);
            }
        }
    }

    #[test]
    fn every_documented_rule_has_a_case_in_each_mode_or_waits_for_one() {
        let documented = || rules().filter(|rule| rule.certainty == Certainty::Documented);
        let is_whole = |rule: &&Rule| rule.modes.iter().all(|mode| has_case(rule, *mode));
        let ids = |rules: Vec<&'static Rule>| rules.iter().map(|rule| rule.id).collect::<Vec<_>>();
        let done: Vec<_> = documented()
            .filter(|rule| awaiting(rule.id).is_some())
            .filter(is_whole)
            .collect();
        assert_eq!(
            ids(done),
            [""; 0],
            "have cases: take them off the list in awaiting.rs"
        );
        let bare: Vec<_> = documented()
            .filter(|rule| awaiting(rule.id).is_none())
            .filter(|rule| !is_whole(rule))
            .collect();
        assert_eq!(
            ids(bare),
            [""; 0],
            "have no case in a mode in which they apply"
        );
    }

    #[test]
    fn profiles_of_one_name_are_one() {
        let mut known: BTreeMap<&str, &Profile> = BTreeMap::new();
        for case in cases() {
            let first = known.entry(case.profile.name).or_insert(case.profile);
            assert!(std::ptr::eq(*first, case.profile), "{}", case.id);
        }
    }

    #[test]
    fn case_ids_are_unique() {
        let ids: BTreeSet<_> = cases().map(|case| case.id).collect();
        assert_eq!(ids.len(), cases().count());
    }
}
