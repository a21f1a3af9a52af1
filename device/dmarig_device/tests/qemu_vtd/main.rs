//! Our walker against QEMU's VT-d: the same tables in the same memory, in a QEMU without a CPU.
//!
//! The tests write tables into QEMU's memory and program its VT-d by qtest. What QEMU then announces by
//! DMA_MAP, and what it does with messages of the device, must be what [`iommu::vtd`] makes of the very
//! same memory. Needs `DMARIG_QEMU`, the path of a QEMU 11.1 or newer.

#[path = "../process/child.rs"]
#[expect(dead_code, reason = "the other tests of the process need more of it")]
mod child;
mod compare;
mod machine;
mod mappings;
mod messages;
mod qtest;
mod random;
mod tables;

use libtest_mimic::{Arguments, Trial};

const TRIALS: [(&str, fn()); 6] = [
    (
        "announced_mappings_are_those_of_our_walk",
        mappings::announced_mappings_are_those_of_our_walk,
    ),
    (
        "entry_changed_without_invalidation_is_a_difference",
        mappings::entry_changed_without_invalidation_is_a_difference,
    ),
    (
        "messages_reach_the_page_that_our_walk_finds",
        messages::messages_reach_the_page_that_our_walk_finds,
    ),
    (
        "refused_messages_have_the_reason_of_our_walk",
        messages::refused_messages_have_the_reason_of_our_walk,
    ),
    (
        "where_qemu_and_the_specification_part_is_known",
        messages::where_qemu_and_the_specification_part_is_known,
    ),
    (
        "random_tables_mean_the_same_to_both",
        random::random_tables_mean_the_same_to_both,
    ),
];

fn main() {
    let arguments = Arguments::from_args();
    let has_qemu = std::env::var_os("DMARIG_QEMU").is_some();
    let trials = TRIALS.into_iter().map(|(name, test)| {
        let trial = Trial::test(name, move || {
            test();
            Ok(())
        });
        if has_qemu {
            return trial;
        }
        trial
            .with_ignored_flag(true)
            .with_kind("skipped: DMARIG_QEMU does not name a QEMU 11.1 or newer")
    });
    libtest_mimic::run(&arguments, trials.collect()).exit();
}
