//! CreateCommonBufferFromMdl on the version 3 adapter of an enabler (KD-1): cases of the WDM suite, with
//! the adapter from another hand.

use super::KMDF;
use crate::bench::Bench;
use crate::case::{Body, Case};
use crate::cases::{BOTH, OFF, ON, from_mdl};
use crate::finding::CaseEnd;

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    Case::new("KD-1/from-mdl-of-nonpaged-pool", "as CM-1/nonpaged-pool, the adapter by an enabler", BOTH, |bench| by_enabler(bench, from_mdl::nonpaged_pool)).under(&KMDF),
    Case::new("KD-1/from-mdl-locked-and-mapped", "as CM-2/locked-and-mapped, the adapter by an enabler", BOTH, |bench| by_enabler(bench, from_mdl::locked_and_mapped)).under(&KMDF),
    Case::new("KD-1/from-mdl-of-contiguous-pages", "as CM-3/contiguous-pages, the adapter by an enabler", BOTH, |bench| by_enabler(bench, from_mdl::contiguous_pages)).under(&KMDF),
    Case::new("KD-1/from-mdl-scattered-mapped", "as CM-9/scattered-mapped, the adapter by an enabler", ON, |bench| by_enabler(bench, from_mdl::scattered_mapped)).under(&KMDF),
    Case::new("KD-1/from-mdl-scattered-refused", "as CM-9/scattered-refused, the adapter by an enabler", OFF, |bench| by_enabler(bench, from_mdl::scattered_refused)).under(&KMDF),
    Case::new("KD-1/from-mdl-chained", "as CM-8/chained-mdl, the adapter by an enabler", BOTH, |bench| by_enabler(bench, from_mdl::chained_mdl)).under(&KMDF),
];

fn by_enabler(bench: &mut Bench<'_>, body: Body) -> Result<(), CaseEnd> {
    bench.open_adapters_by_enabler();
    body(bench)
}
