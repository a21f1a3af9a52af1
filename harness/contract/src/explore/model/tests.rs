//! The model against sentences of the documents, one row for each.

use dmarig_abi::operation::{
    OUTCOME_BAD_ARGUMENT, OUTCOME_BAD_SLOT, OUTCOME_MEMBER_MISSING, OUTCOME_NULL,
};

use super::{Expect, Model, Setting};
use crate::bench::DOCUMENTED_FAILURES;
use crate::explore::action::{Action, Bound, Config};
use crate::nt_status::NtStatus;
use crate::rig::Remapping;

const MEMORY_BYTES: u64 = 256 << 20;
const BOTH: [Remapping; 2] = [Remapping::On, Remapping::Off];
const PAGE: u64 = 0x1000;
/// Slots.
const ADAPTER: u32 = 0;
const OLD_ADAPTER: u32 = 1;
const NARROW_ADAPTER: u32 = 2;
const MEMORY: u32 = 3;
const MDL: u32 = 4;
const PAGES: u32 = 5;
const NEW: u32 = 9;

const INVALID: Expect = Expect::Failure(&[NtStatus::INVALID_PARAMETER]);
const REFUSED: Expect = Expect::Failure(DOCUMENTED_FAILURES);

/// A model with adapters of three kinds, memory of 4 pages, an MDL over it, and mapped pages that do not
/// follow one another.
fn model(remapping: Remapping, mdl: (u64, u64)) -> Model {
    let mut model = Model::new(Setting {
        remapping: Some(remapping),
        memory_bytes: MEMORY_BYTES,
    });
    let adapter = |slot, version, width_bits| Action::OpenAdapter {
        slot,
        version,
        width_bits,
    };
    let actions = [
        adapter(ADAPTER, 3, 64),
        adapter(OLD_ADAPTER, 2, 64),
        adapter(NARROW_ADAPTER, 3, 24),
        Action::AllocateMemory {
            slot: MEMORY,
            is_contiguous: true,
            pages: 4,
        },
        Action::AllocateMdl {
            slot: MDL,
            memory: MEMORY,
            offset: mdl.0,
            length_bytes: mdl.1,
        },
        Action::AllocatePages {
            slot: PAGES,
            pages: 2,
            is_contiguous: false,
        },
        Action::Map { mdl: PAGES },
    ];
    for action in actions {
        carry_out(&mut model, &action);
    }
    tell_frames(&mut model, MDL, &[0x2000, 0x2001, 0x2002, 0x2003]);
    tell_frames(&mut model, PAGES, &[0x3000, 0x3002]);
    model
}

fn carry_out(model: &mut Model, action: &Action) {
    let verdict = model.predict(action);
    assert!(
        verdict.may_succeed(),
        "{action:?} must succeed to begin with: {verdict:?}"
    );
    model.apply(action, verdict);
}

fn tell_frames(model: &mut Model, mdl: u32, frames: &[u64]) {
    let root = model.mdl(mdl).expect("there").0.root;
    model
        .learn_frames(root, 0, frames)
        .expect("nothing is contradicted");
}

fn create(adapter: u32, mdl: u32, configs: &[Config]) -> Action {
    Action::CreateFromMdl {
        slot: NEW,
        adapter,
        mdl,
        configs: Some(configs.to_vec()),
    }
}

const fn section(offset: u64, length: u32) -> Config {
    Config::SubSection { offset, length }
}

const fn limits(minimum: u64, maximum: u64) -> Config {
    Config::Limits {
        minimum: Bound::At(minimum),
        maximum: Bound::At(maximum),
    }
}

#[track_caller]
fn check(model: &Model, action: &Action, rule: &str, expect: Expect) {
    let verdict = model.predict(action);
    assert_eq!((verdict.rule, verdict.expect), (rule, expect), "{action:?}");
}

#[test]
fn built_mdl_makes_a_buffer_as_the_page_says() {
    let rows: &[(&[Config], &str, Expect)] = &[
        (&[], "CM-1", Expect::Success),
        (&[section(PAGE, 0x2000)], "CM-11", Expect::Success),
        (&[section(PAGE, 0x4000)], "CM-14", REFUSED),
        (&[section(0x800, 0x1000)], "CM-14", REFUSED),
        (&[section(0, 0)], "CM-14", REFUSED),
        (&[section(0xffff_ffff_ffff_f000, 0x1000)], "CM-14", REFUSED),
        (&[limits(0, u64::MAX)], "CM-15", Expect::Success),
        (&[limits(0x2000, 0x1000)], "CM-16", Expect::AnyFailure),
        (&[limits(0, 0x3ffe)], "CM-16", Expect::AnyFailure),
        (&[Config::Access { raw: 2 }], "CM-17", Expect::Success),
        (&[Config::Access { raw: 3 }], "CM-20", Expect::AnyFailure),
        (&[Config::Unknown { raw: 3 }], "CM-20", Expect::AnyFailure),
        (
            &[limits(0, u64::MAX), limits(0, u64::MAX)],
            "CM-19",
            REFUSED,
        ),
    ];
    for mode in BOTH {
        let mut model = model(mode, (0, 4 * PAGE));
        carry_out(&mut model, &Action::BuildNonpaged { mdl: MDL });
        for (configs, rule, expect) in rows {
            check(&model, &create(ADAPTER, MDL, configs), rule, *expect);
        }
    }
}

#[test]
fn one_way_access_needs_remapping() {
    for raw in [0, 1] {
        for (mode, expect) in [(Remapping::On, Expect::Success), (Remapping::Off, REFUSED)] {
            let mut model = model(mode, (0, 4 * PAGE));
            carry_out(&mut model, &Action::BuildNonpaged { mdl: MDL });
            let action = create(ADAPTER, MDL, &[Config::Access { raw }]);
            check(&model, &action, "CM-18", expect);
        }
    }
}

#[test]
fn scattered_pages_need_remapping() {
    for (mode, rule, expect) in [
        (Remapping::On, "CM-3", Expect::Success),
        (Remapping::Off, "CM-9", REFUSED),
    ] {
        let model = model(mode, (0, PAGE));
        check(&model, &create(ADAPTER, PAGES, &[]), rule, expect);
    }
}

#[test]
fn pages_above_the_width_need_remapping() {
    for (mode, rule, expect) in [
        (Remapping::On, "CM-1", Expect::Success),
        (Remapping::Off, "CM-10", REFUSED),
    ] {
        let mut model = model(mode, (0, 4 * PAGE));
        carry_out(&mut model, &Action::BuildNonpaged { mdl: MDL });
        check(&model, &create(NARROW_ADAPTER, MDL, &[]), rule, expect);
    }
}

#[test]
fn limits_hold_where_the_pages_are_without_remapping() {
    let mut model = model(Remapping::Off, (0, 4 * PAGE));
    carry_out(&mut model, &Action::BuildNonpaged { mdl: MDL });
    let run = 0x2000 * PAGE;
    let exact = create(ADAPTER, MDL, &[limits(run, run + 4 * PAGE - 1)]);
    check(&model, &exact, "CM-15", Expect::Success);
    let short = create(ADAPTER, MDL, &[limits(run - PAGE, run + 4 * PAGE - 2)]);
    check(&model, &short, "CM-16", Expect::AnyFailure);
    let above = create(ADAPTER, MDL, &[limits(run + PAGE, u64::MAX)]);
    check(&model, &above, "CM-16", Expect::AnyFailure);
    let symbolic = Config::Limits {
        minimum: Bound::Physical(0),
        maximum: Bound::Physical(4 * 0x1000 - 1),
    };
    check(
        &model,
        &create(ADAPTER, MDL, &[symbolic]),
        "CM-15",
        Expect::Success,
    );
}

#[test]
fn mdl_that_is_not_ready_is_refused() {
    for mode in BOTH {
        let mut model = model(mode, (0, 4 * PAGE));
        check(&model, &create(ADAPTER, MDL, &[]), "CM-5", REFUSED);
        carry_out(&mut model, &Action::Lock { mdl: MDL });
        check(&model, &create(ADAPTER, MDL, &[]), "CM-4", INVALID);
        carry_out(&mut model, &Action::Map { mdl: MDL });
        check(&model, &create(ADAPTER, MDL, &[]), "CM-2", Expect::Success);
        carry_out(&mut model, &Action::Unlock { mdl: MDL });
        check(&model, &create(ADAPTER, MDL, &[]), "CM-5", REFUSED);
    }
}

#[test]
fn mdl_of_odd_bytes_or_with_a_next_is_refused_as_a_whole() {
    for mode in BOTH {
        for (part, rule) in [((16, 2 * PAGE), "CM-6"), ((0, 2 * PAGE - 16), "CM-7")] {
            let mut model = model(mode, part);
            carry_out(&mut model, &Action::BuildNonpaged { mdl: MDL });
            check(&model, &create(ADAPTER, MDL, &[]), rule, INVALID);
        }
        let mut model = model(mode, (0, 4 * PAGE));
        carry_out(&mut model, &Action::BuildNonpaged { mdl: MDL });
        let next = Some(PAGES);
        carry_out(&mut model, &Action::Chain { mdl: MDL, next });
        check(&model, &create(ADAPTER, MDL, &[]), "CM-8", INVALID);
        let second = create(ADAPTER, MDL, &[section(5 * PAGE, 0x1000)]);
        check(&model, &second, "CM-12", Expect::Success);
        let spanning = create(ADAPTER, MDL, &[section(3 * PAGE, 0x2000)]);
        check(&model, &spanning, "CM-13", REFUSED);
    }
}

#[test]
fn old_tables_lack_the_late_members() {
    let model = model(Remapping::On, (0, PAGE));
    let missing = Expect::Outcome(OUTCOME_MEMBER_MISSING);
    check(&model, &create(OLD_ADAPTER, PAGES, &[]), "CM-23", missing);
}

#[test]
fn bounds_that_cannot_be_met_give_null() {
    let allocate = |minimum, maximum| Action::AllocateWithBounds {
        slot: NEW,
        adapter: NARROW_ADAPTER,
        length_bytes: PAGE + 1,
        minimum,
        maximum,
        is_cached: None,
    };
    let null = Expect::Outcome(OUTCOME_NULL);
    for mode in BOTH {
        let model = model(mode, (0, PAGE));
        check(&model, &allocate(Some(0x3000), Some(0x2000)), "AB-9", null);
        check(&model, &allocate(None, Some(PAGE - 1)), "AB-9", null);
        check(&model, &allocate(Some(1 << 24), None), "AB-9", null);
        let verdict = model.predict(&allocate(None, None));
        assert!(verdict.may_succeed(), "{verdict:?}");
    }
}

#[test]
fn what_a_buffer_lies_on_is_left_alone() {
    for mode in BOTH {
        let mut model = model(mode, (0, 4 * PAGE));
        carry_out(&mut model, &Action::Lock { mdl: MDL });
        carry_out(&mut model, &Action::Map { mdl: MDL });
        carry_out(&mut model, &create(ADAPTER, MDL, &[section(0, 0x1000)]));
        for action in [
            Action::Unlock { mdl: MDL },
            Action::Unmap { mdl: MDL },
            Action::FreeMemory { memory: MEMORY },
            Action::PutAdapter { adapter: ADAPTER },
            Action::CreateFromMdl {
                slot: 20,
                adapter: ADAPTER,
                mdl: MDL,
                configs: None,
            },
        ] {
            let verdict = model.predict(&action);
            assert!(
                matches!(verdict.expect, Expect::LeaveOut(_)),
                "{action:?}: {verdict:?}"
            );
        }
        let elsewhere = Action::CreateFromMdl {
            slot: 20,
            adapter: ADAPTER,
            mdl: MDL,
            configs: Some(vec![section(PAGE, 0x1000)]),
        };
        check(&model, &elsewhere, "CM-11", Expect::Success);
        let free = Action::FreeBuffer { buffer: NEW };
        check(&model, &free, "CM-25", Expect::Success);
        carry_out(&mut model, &free);
        check(&model, &free, "", Expect::Outcome(OUTCOME_BAD_SLOT));
        check(
            &model,
            &Action::Unlock { mdl: MDL },
            "CM-26",
            Expect::Success,
        );
    }
}

#[test]
fn mdls_change_state_in_the_documented_order_only() {
    let mut model = model(Remapping::On, (0, PAGE));
    let refused = Expect::Outcome(OUTCOME_BAD_ARGUMENT);
    let (lock, build) = (
        Action::Lock { mdl: MDL },
        Action::BuildNonpaged { mdl: MDL },
    );
    for early in [
        Action::Unlock { mdl: MDL },
        Action::Map { mdl: MDL },
        Action::Unmap { mdl: MDL },
    ] {
        check(&model, &early, "", refused);
    }
    carry_out(&mut model, &lock);
    for late in [lock, build, Action::FreeMdl { mdl: MDL }] {
        check(&model, &late, "", refused);
    }
    let pages = Action::FreeMdl { mdl: PAGES };
    check(&model, &pages, "", Expect::Outcome(OUTCOME_BAD_SLOT));
}

#[test]
fn without_a_mode_nothing_is_foretold_that_only_one_mode_has() {
    let mut model = model(Remapping::On, (0, 4 * PAGE));
    model.setting.remapping = None;
    carry_out(&mut model, &Action::BuildNonpaged { mdl: MDL });
    let verdict = model.predict(&create(ADAPTER, MDL, &[]));
    assert_eq!(verdict.expect, Expect::Unclear);
    check(
        &model,
        &create(ADAPTER, MDL, &[section(0, 1)]),
        "CM-14",
        REFUSED,
    );
}
