//! Model-based runs on a rig in memory: one that keeps the documents' rules agrees with the model, and each
//! way of breaking them is found and shrunk. No virtual machine takes part.

mod driver;
mod rig;

use contract::Remapping;
use contract::explore::{Action, Disagreement, Progress, Shrinker, generate, walk};
use rig::{FakeRig, Fault, MEMORY_BYTES};

const BOTH: [Remapping; 2] = [Remapping::On, Remapping::Off];
/// Actions in which each fault must be found.
const STEPS: usize = 4000;
/// Most actions that a shrunk list may have.
const SHRUNK_MAX: usize = 12;

fn carry_out(
    remapping: Remapping,
    fault: Option<Fault>,
    actions: &[Action],
) -> Option<Disagreement> {
    let mut rig = FakeRig::new(remapping, fault);
    let mut progress = Progress::default();
    walk(&mut rig, actions, MEMORY_BYTES, &mut progress).expect("the fake never breaks")
}

/// The first failure of a fault, and the list it is shrunk to.
fn find(remapping: Remapping, fault: Fault) -> Option<(Disagreement, Vec<Action>)> {
    for episode in generate(1, STEPS) {
        let Some(found) = carry_out(remapping, Some(fault), &episode) else {
            continue;
        };
        let mut shrinker = Shrinker::new(episode);
        while let Some(list) = shrinker.candidate() {
            let seen = carry_out(remapping, Some(fault), &list);
            let n_needed = seen.as_ref().map_or(0, |seen| seen.index + 1);
            let is_alike = seen.is_some_and(|seen| seen.is_like(&found));
            shrinker.verdict(is_alike, n_needed);
        }
        return Some((found, shrinker.list().to_vec()));
    }
    None
}

#[test]
fn rig_that_keeps_the_rules_agrees_with_the_model() {
    for remapping in BOTH {
        for seed in 1..4 {
            for (index, episode) in generate(seed, 2000).iter().enumerate() {
                let found = carry_out(remapping, None, episode);
                assert_eq!(found, None, "seed {seed}, episode {index}, {remapping:?}");
            }
        }
    }
}

#[track_caller]
fn check(remapping: Remapping, fault: Fault, view: &str, check: &str) {
    let Some((found, list)) = find(remapping, fault) else {
        panic!("{fault:?} is not found in {STEPS} actions");
    };
    assert_eq!(
        (found.finding.view, found.check.as_str()),
        (view, check),
        "{fault:?}: {found:?}"
    );
    assert!(
        !list.is_empty() && list.len() <= SHRUNK_MAX,
        "{fault:?} is shrunk to {} actions: {list:#?}",
        list.len()
    );
    assert_eq!(
        carry_out(remapping, None, &list),
        None,
        "the list itself is right"
    );
}

#[test]
fn faults_of_the_device_are_found() {
    for remapping in BOTH {
        check(remapping, Fault::FlipBit, "device", "content");
        check(remapping, Fault::DropWrite, "device", "content");
        check(remapping, Fault::LoseInterrupt, "device", "interrupt");
        check(remapping, Fault::IgnoreMessageFlag, "device", "path");
        check(remapping, Fault::MoveLess, "device", "bytes moved");
    }
}

#[test]
fn faults_of_the_system_are_found() {
    check(Remapping::On, Fault::LeaveMapping, "iommu", "mapping set");
    check(Remapping::On, Fault::SplitLogical, "iommu", "mapping set");
    check(Remapping::On, Fault::MapReadWrite, "iommu", "mapping set");
    check(Remapping::On, Fault::WrongFrame, "iommu", "mapping set");
    check(Remapping::Off, Fault::WrongFrame, "driver", "MDL");
    for remapping in BOTH {
        check(
            remapping,
            Fault::IgnoreRules,
            "driver",
            "outcome of create-from-mdl",
        );
        check(
            remapping,
            Fault::IgnoreBounds,
            "driver",
            "outcome of allocate-with-bounds",
        );
        check(remapping, Fault::ForgetObject, "driver", "release");
    }
}
