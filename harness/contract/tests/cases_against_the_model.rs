//! Every case of the default suite is green on a model that keeps the contract, and each way of breaking it turns some
//! case red with a message that says where.

mod model;

use contract::{CaseOutcome, DEFAULT_PROFILE, Finding, Remapping, SUITES};
use model::{Fault, Model};

/// Runs every case of one mode that asks nothing special of its boot, each on a fresh model; returns the
/// red ones.
fn red(remapping: Remapping, fault: Option<Fault>) -> Vec<(&'static str, Vec<Finding>)> {
    SUITES[0]
        .cases()
        .filter(|case| case.modes.contains(&remapping))
        .filter(|case| *case.profile == DEFAULT_PROFILE && case.stop.is_none())
        .filter_map(|case| {
            let report = case
                .run(&mut Model::new(remapping, fault))
                .expect("the model never breaks");
            match report.outcome {
                CaseOutcome::Failed(findings) => Some((case.id, findings)),
                CaseOutcome::Passed => None,
                CaseOutcome::Skipped(reason) => panic!("{} was skipped: {reason}", case.id),
            }
        })
        .collect()
}

#[test]
fn model_that_keeps_the_contract_is_green_in_both_modes() {
    for mode in [Remapping::On, Remapping::Off] {
        assert_eq!(red(mode, None), [], "remapping {}", mode.as_str());
    }
}

#[track_caller]
fn check(remapping: Remapping, fault: Fault, expected_red: &[&str], text: &str) {
    let red = red(remapping, Some(fault));
    let ids: Vec<_> = red.iter().map(|(id, _)| *id).collect();
    for id in expected_red {
        assert!(
            ids.contains(id),
            "{fault:?}: {id} stayed green; red: {ids:?}"
        );
    }
    let all: Vec<String> = red
        .iter()
        .flat_map(|(_, f)| f)
        .map(ToString::to_string)
        .collect();
    assert!(
        all.iter().any(|line| line.contains(text)),
        "{fault:?}: no {text:?} in {all:#?}"
    );
}

#[test]
fn flipped_bit_names_address_expected_and_seen_byte() {
    for mode in [Remapping::On, Remapping::Off] {
        check(
            mode,
            Fault::FlipBit,
            &["CM-1/nonpaged-pool", "AB-1/no-bounds"],
            "at offset 0x0, seen 0x",
        );
        check(
            mode,
            Fault::FlipBit,
            &["CM-2/locked-and-mapped"],
            "buffer locked MDL",
        );
    }
}

#[test]
fn skipped_write_is_seen_by_the_cpu() {
    for mode in [Remapping::On, Remapping::Off] {
        check(
            mode,
            Fault::DropWrite,
            &["CM-25/create-free-create"],
            "what the CPU reads after",
        );
    }
}

#[test]
fn write_past_the_end_is_seen_in_the_canary_page() {
    check(
        Remapping::Off,
        Fault::WritePastEnd,
        &["CM-1/nonpaged-pool"],
        "canary page behind",
    );
}

#[test]
fn mapping_left_behind_is_seen_by_probe_and_by_mapping_set() {
    let ids = [
        "CM-25/create-free-create",
        "CM-26/mdl-untouched",
        "AB-10/allocate-and-free",
    ];
    check(
        Remapping::On,
        Fault::LeaveMapping,
        &ids,
        "a probe of the freed logical range",
    );
}

#[test]
fn range_that_is_not_contiguous_is_seen_by_the_iommu_view() {
    check(
        Remapping::On,
        Fault::SplitLogical,
        &["CM-9/scattered-mapped"],
        "the mapping of a live common buffer",
    );
}

#[test]
fn reported_success_of_a_refused_call_is_red() {
    for mode in [Remapping::On, Remapping::Off] {
        check(
            mode,
            Fault::ReportSuccess,
            &["CM-6/byte-offset", "CM-19/two-limits"],
            "STATUS_SUCCESS",
        );
    }
}

#[test]
fn permission_that_is_not_enforced_is_red() {
    let ids = ["CM-18/read-only-enforced", "CM-18/write-only-enforced"];
    check(
        Remapping::On,
        Fault::IgnorePermission,
        &ids,
        "a refusal, asked by message",
    );
    check(
        Remapping::On,
        Fault::SilentBlock,
        &ids,
        "one write fault at this page",
    );
    check(
        Remapping::On,
        Fault::MapReadWrite,
        &ids[..1],
        "mapped read-only",
    );
}

#[test]
fn ignored_bounds_are_red() {
    for mode in [Remapping::On, Remapping::Off] {
        check(
            mode,
            Fault::IgnoreBounds,
            &["AB-9/minimum-above-maximum"],
            "expected NULL",
        );
        check(mode, Fault::IgnoreBounds, &["AB-3/both"], "a range inside");
    }
}

#[test]
fn lost_interrupt_is_red() {
    for mode in [Remapping::On, Remapping::Off] {
        let ids = ["CM-1/nonpaged-pool", "AB-1/by-ring"];
        check(
            mode,
            Fault::LoseInterrupt,
            &ids,
            "the end, but no interrupt",
        );
    }
}

#[test]
fn message_that_was_none_is_red() {
    for mode in [Remapping::On, Remapping::Off] {
        let ids = ["CM-2/locked-and-mapped"];
        check(
            mode,
            Fault::IgnoreMessageFlag,
            &ids,
            "expected by message, seen mapped",
        );
    }
}

#[test]
fn adapter_of_an_impossible_width_is_red() {
    for mode in [Remapping::On, Remapping::Off] {
        let ids = ["GA-7/width-0", "GA-7/width-65", "GA-8/width-23"];
        check(mode, Fault::AnyWidth, &ids, "expected NULL");
    }
}

#[test]
fn adapter_that_tells_its_table_version_is_red() {
    for mode in [Remapping::On, Remapping::Off] {
        let ids = ["GA-4/version-is-1"];
        check(
            mode,
            Fault::AdapterVersion,
            &ids,
            "DMA_ADAPTER.Version for version 0: expected 0x1, seen 0x0",
        );
    }
}

#[test]
fn address_inside_a_page_is_red() {
    for mode in [Remapping::On, Remapping::Off] {
        let ids = ["AC-7/page-aligned", "AX-1/address-or-null"];
        check(
            mode,
            Fault::Misaligned,
            &ids,
            "a page-aligned logical address",
        );
    }
}

#[test]
fn overlooked_configurations_are_red() {
    for mode in [Remapping::On, Remapping::Off] {
        let ids = [
            "CM-16/room-too-small",
            "CM-20/type-77",
            "CM-20/access-unknown",
            "CM-21/count-without-array",
        ];
        check(
            mode,
            Fault::IgnoreConfigs,
            &ids,
            "expected a failure, seen STATUS_SUCCESS",
        );
    }
}

#[test]
fn mapping_left_by_a_call_that_ran_out_of_memory_is_red() {
    let ids = [
        "CM-22/each-allocation",
        "CM-22/fresh-tables",
        "AX-1/low-resources",
    ];
    check(
        Remapping::On,
        Fault::LeakOnFailure,
        &ids,
        "that ran out at allocation",
    );
}

#[test]
fn other_status_where_memory_ran_out_is_red() {
    for mode in [Remapping::On, Remapping::Off] {
        let ids = ["CM-22/each-allocation"];
        check(
            mode,
            Fault::WrongFailure,
            &ids,
            "expected STATUS_INSUFFICIENT_RESOURCES or NULL, seen STATUS_INVALID_PARAMETER",
        );
    }
}
