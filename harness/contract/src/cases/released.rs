//! CM-27: memory under a common buffer that goes by another way than the buffer's own MDL.

use crate::bench::Bench;
use crate::case::Case;
use crate::cases::BOTH;
use crate::finding::CaseEnd;
use crate::profile::Stop;
use crate::step::Step;

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    Case::new("CM-27/freed-by-its-own-address", "the memory goes by the address of its allocation, the buffer lies at a mapping's", BOTH, freed_by_its_own_address).stops(Stop::Finding("common-buffer-memory-released")),
];

fn freed_by_its_own_address(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let source = bench.locked_mdl(2)?;
    bench.create_ok(adapter, &source, None)?;
    let memory = source
        .memory()
        .expect("a locked MDL of the bench describes memory of its own");
    bench.run_one(Step::memory_free(memory)).map(drop)
}
