//! Tests of the rules, by their ids.

use std::vec;
use std::vec::Vec;

use super::bounds::Bounds;
use super::from_mdl::*;
use crate::mdl;
use crate::ntoskrnl::status;

const LOCKED_AND_MAPPED: u16 = mdl::PAGES_LOCKED | mdl::MAPPED_TO_SYSTEM_VA;
const VA: u64 = 0xffff_9000_0000_0000;
/// A frame that is no RAM.
const MMIO: u64 = 0xf_ee00;

fn snapshot(flags: u16, pfns: &[u64]) -> MdlSnapshot {
    MdlSnapshot {
        flags,
        byte_offset: 0,
        byte_count: u32::try_from(pfns.len() * 4096).expect("a small MDL"),
        mapped_system_va: VA,
        pfns: pfns.to_vec(),
    }
}

fn limits(minimum: u64, maximum: u64) -> RawConfiguration {
    configuration(0, minimum, maximum)
}

fn sub_section(offset: u64, len: u64) -> RawConfiguration {
    // Garbage in the upper half of the ULONG's slot must not count.
    configuration(1, offset, len | 0xdead_0000_0000_0000)
}

fn access(kind: u64) -> RawConfiguration {
    configuration(2, kind | 0xdead_0000_0000_0000, 0)
}

fn configuration(config_type: u32, first: u64, second: u64) -> RawConfiguration {
    RawConfiguration {
        config_type,
        reserved: 0xdead,
        union: [first, second, 0, 0],
    }
}

struct Case {
    chain: Vec<MdlSnapshot>,
    configurations: Vec<RawConfiguration>,
    width: u32,
}

impl Case {
    fn of(chain: Vec<MdlSnapshot>) -> Self {
        Self {
            chain,
            configurations: Vec::new(),
            width: 64,
        }
    }

    fn with(mut self, configuration: RawConfiguration) -> Self {
        self.configurations.push(configuration);
        self
    }

    fn width(mut self, bits: u32) -> Self {
        self.width = bits;
        self
    }

    fn run(&self, remapping: bool) -> Result<Plan, Refusal> {
        check(&Request {
            chain: &self.chain,
            configurations: &self.configurations,
            adapter: Bounds::of_width(self.width),
            remapping,
            is_ram: |pfn| pfn != MMIO,
        })
    }

    fn refused(&self, rule: &str) {
        self.refused_with(false, rule);
        self.refused_with(true, rule);
    }

    fn refused_with(&self, remapping: bool, rule: &str) {
        let refusal = self.run(remapping).expect_err(rule);
        assert_eq!(refusal.rule, rule, "{}", refusal.why);
        assert_eq!(refusal.status, status::INVALID_PARAMETER);
    }

    fn accepted(&self) -> Plan {
        let plan = self.run(true).expect("accepted with remapping");
        assert_eq!(self.run(false).expect("accepted without remapping"), plan);
        plan
    }
}

fn contiguous(flags: u16) -> Vec<MdlSnapshot> {
    vec![snapshot(flags, &[0x100, 0x101, 0x102])]
}

#[test]
fn cm1_nonpaged_pool_mdl_is_accepted_whole() {
    let plan = Case::of(contiguous(mdl::SOURCE_IS_NONPAGED_POOL)).accepted();
    assert_eq!((plan.system_va, plan.len_bytes), (VA, 0x3000));
    assert_eq!(plan.pfns, [0x100, 0x101, 0x102]);
    assert_eq!(plan.access, HardwareAccess::ReadWrite);
}

#[test]
fn cm2_locked_and_mapped_mdl_is_accepted() {
    Case::of(contiguous(LOCKED_AND_MAPPED)).accepted();
}

#[test]
fn cm4_mdl_that_was_never_mapped_is_refused() {
    Case::of(contiguous(mdl::PAGES_LOCKED)).refused("CM-4");
}

#[test]
fn cm5_mdl_that_was_never_locked_is_refused() {
    Case::of(contiguous(0)).refused("CM-5");
    Case::of(contiguous(mdl::MAPPED_TO_SYSTEM_VA)).refused("CM-5");
    Case::of(Vec::new()).refused("CM-5");
}

#[test]
fn cm5_page_that_is_no_ram_is_refused() {
    for pfn in [MMIO, 1 << 40, 1 << 52, u64::MAX] {
        for flags in [LOCKED_AND_MAPPED, mdl::PARTIAL | mdl::MAPPED_TO_SYSTEM_VA] {
            Case::of(vec![snapshot(flags, &[0x100, pfn])]).refused("CM-5");
        }
    }
}

#[test]
fn cm6_byte_offset_is_refused() {
    let mut mdl = snapshot(LOCKED_AND_MAPPED, &[1, 2, 3]);
    (mdl.byte_offset, mdl.byte_count) = (0x800, 0x2000);
    Case::of(vec![mdl]).refused("CM-6");
}

#[test]
fn cm7_part_of_a_page_is_refused() {
    for byte_count in [0, 1, 0x1fff] {
        let mut mdl = snapshot(LOCKED_AND_MAPPED, &[1, 2]);
        mdl.byte_count = byte_count;
        Case::of(vec![mdl]).refused("CM-7");
    }
}

#[test]
fn cm8_chain_without_sub_section_is_refused() {
    let mdl = snapshot(LOCKED_AND_MAPPED, &[1]);
    Case::of(vec![mdl.clone(), mdl]).refused("CM-8");
}

#[test]
fn cm3_cm9_scattered_pages_need_remapping() {
    let case = Case::of(vec![snapshot(LOCKED_AND_MAPPED, &[7, 9])]);
    case.refused_with(false, "CM-9");
    assert_eq!(case.run(true).expect("remapped").pfns, [7, 9]);
}

#[test]
fn cm10_pages_beyond_the_width_need_remapping() {
    let case = Case::of(vec![snapshot(LOCKED_AND_MAPPED, &[0x10_0000])]).width(32);
    case.refused_with(false, "CM-10");
    let plan = case.run(true).expect("remapped");
    assert_eq!(plan.bounds.maximum, 0xffff_ffff);
}

#[test]
fn cm11_sub_section_covers_only_its_pages() {
    let plan = Case::of(contiguous(LOCKED_AND_MAPPED))
        .with(sub_section(0x1000, 0x1000))
        .accepted();
    assert_eq!((plan.system_va, plan.len_bytes), (VA + 0x1000, 0x1000));
    assert_eq!(plan.mdl_va, VA);
    assert_eq!(plan.pfns, [0x101]);
}

#[test]
fn cm11_sub_section_of_scattered_pages_may_be_contiguous() {
    Case::of(vec![snapshot(LOCKED_AND_MAPPED, &[9, 20, 21, 3])])
        .with(sub_section(0x1000, 0x2000))
        .accepted();
}

#[test]
fn cm12_sub_section_inside_one_mdl_of_a_chain_is_accepted() {
    let second = snapshot(LOCKED_AND_MAPPED, &[30, 31]);
    let plan = Case::of(vec![snapshot(LOCKED_AND_MAPPED, &[10]), second])
        .with(sub_section(0x2000, 0x1000))
        .accepted();
    assert_eq!((plan.system_va, plan.pfns), (VA + 0x1000, vec![31]));
}

#[test]
fn cm13_sub_section_across_two_mdls_is_refused() {
    let mdl = snapshot(LOCKED_AND_MAPPED, &[10, 11]);
    Case::of(vec![mdl.clone(), mdl])
        .with(sub_section(0x1000, 0x2000))
        .refused("CM-13");
}

#[test]
fn cm14_unaligned_empty_or_overlong_sub_section_is_refused() {
    for (offset, len) in [
        (0x800, 0x1000),
        (0, 0x800),
        (0, 0),
        (0x3000, 0x1000),
        (0x2000, 0x2000),
        (!0xfff, 0x1000),
        (0, 0xffff_f000),
    ] {
        Case::of(contiguous(LOCKED_AND_MAPPED))
            .with(sub_section(offset, len))
            .refused("CM-14");
    }
}

#[test]
fn cm15_limits_are_inclusive_at_both_ends() {
    let plan = Case::of(contiguous(LOCKED_AND_MAPPED))
        .with(limits(0x10_0000, 0x10_2fff))
        .accepted();
    assert_eq!(
        (plan.bounds.minimum, plan.bounds.maximum),
        (0x10_0000, 0x10_2fff)
    );
    let outside = Case::of(contiguous(LOCKED_AND_MAPPED)).with(limits(0x10_1000, 0x20_0000));
    outside.refused_with(false, "CM-15");
    outside.run(true).expect("translation moves it inside");
}

#[test]
fn cm16_limits_without_room_are_refused() {
    for (minimum, maximum) in [(0x2000, 0x1000), (0, 0x2ffe), (1 << 40, u64::MAX)] {
        Case::of(contiguous(LOCKED_AND_MAPPED))
            .with(limits(minimum, maximum))
            .width(32)
            .refused("CM-16");
    }
}

#[test]
fn cm17_read_write_is_accepted_in_both_modes() {
    let plan = Case::of(contiguous(LOCKED_AND_MAPPED))
        .with(access(2))
        .accepted();
    assert_eq!(plan.access, HardwareAccess::ReadWrite);
}

#[test]
fn cm18_one_way_access_is_not_supported_without_remapping() {
    for (kind, expected) in [
        (0, HardwareAccess::ReadOnly),
        (1, HardwareAccess::WriteOnly),
    ] {
        let case = Case::of(contiguous(LOCKED_AND_MAPPED)).with(access(kind));
        let refusal = case.run(false).expect_err("no remapping");
        assert_eq!(
            (refusal.rule, refusal.status),
            ("CM-18", status::NOT_SUPPORTED)
        );
        assert_eq!(case.run(true).expect("remapping").access, expected);
    }
}

#[test]
fn cm19_configuration_twice_is_refused() {
    for twice in [limits(0, u64::MAX), sub_section(0, 0x1000), access(2)] {
        Case::of(contiguous(LOCKED_AND_MAPPED))
            .with(twice)
            .with(twice)
            .refused("CM-19");
    }
}

#[test]
fn cm20_unknown_configuration_is_refused() {
    for unknown in [
        configuration(3, 0, 0),
        configuration(u32::MAX, 0, 0),
        access(3),
    ] {
        Case::of(contiguous(LOCKED_AND_MAPPED))
            .with(unknown)
            .refused("CM-20");
    }
}
