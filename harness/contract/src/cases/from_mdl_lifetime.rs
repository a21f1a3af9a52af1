//! CreateCommonBufferFromMdl: the end of a common buffer (CM-25, CM-26).

use crate::bench::{Bench, frames_of};
use crate::case::Case;
use crate::cases::BOTH;
use crate::finding::{CaseEnd, Finding};

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    Case::new("CM-25/create-free-create", "the same MDL makes a common buffer three times running", BOTH, create_free_create),
    Case::new("CM-26/mdl-untouched", "MDL, lock, mapping and pages survive; the range is gone", BOTH, mdl_untouched),
];

fn create_free_create(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let source = bench.locked_mdl(2)?;
    for _ in 0..3 {
        let buffer = bench.create_ok(adapter, &source, None)?;
        bench.exercise(&buffer)?;
        bench.free(&buffer)?;
    }
    bench.check_canaries(&source)
}

fn mdl_untouched(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    const SEED: u64 = 0x26;
    let adapter = bench.adapter(64)?;
    let source = bench.locked_mdl(4)?;
    let before = bench.query(&source)?;
    let buffer = bench.create_ok(adapter, &source, None)?;
    bench.exercise(&buffer)?;
    bench.cpu_fill(&buffer, SEED)?;
    bench.free(&buffer)?;
    let after = bench.query(&source)?;
    if before.result.value != after.result.value
        || before.result.virtual_address != after.result.virtual_address
        || frames_of(&before) != frames_of(&after)
    {
        return Err(Finding {
            view: "driver",
            what: "the MDL after FreeCommonBuffer".to_owned(),
            buffer: Some(source.name),
            logical_address: Some(buffer.logical_address),
            expected: format!("{:x?}", before.result),
            seen: format!("{:x?}", after.result),
        }
        .into());
    }
    // The pages are still the driver's: content kept, and writable through the MDL's own mapping.
    bench.mdl_check("FreeCommonBuffer", &source, SEED)?;
    bench.mdl_fill(&source, !SEED)?;
    bench.mdl_check("the driver's own write", &source, !SEED)?;
    bench.check_canaries(&source)
}
