//! What an adapter says of itself, domains, cache maintenance (AI, DD-1 to DD-3).

use dmarig_abi::Iova;

use crate::bench::{Bench, Buffer, driver_finding, driver_number, expect};
use crate::case::Case;
use crate::cases::{BOTH, OFF, ON};
use crate::finding::CaseEnd;
use crate::nt_status::NtStatus;
use crate::step::{Routine, Step, StepResult};

const LAST_32_BIT: u64 = 0xffff_ffff;
/// Where DMA_ADAPTER_INFO_V1 has DmaAddressWidth, from the start of the structure.
const WIDTH_OFFSET: usize = 0x0c;

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    Case::new("AI-1/version-1", "version 1: success, the fields are noted", BOTH, version_1),
    Case::new("AI-1/other-versions", "versions 0, 2 and 99: STATUS_NOT_SUPPORTED", BOTH, other_versions),
    Case::new("DD-1/join-and-leave", "an adapter joins the domain of another one, shares its buffers' translation, and leaves", ON, join_and_leave),
    Case::new("DD-1/without-remapping", "what GetDmaDomain and JoinDmaDomain give without remapping is noted", OFF, without_remapping),
    Case::new("DD-1/leave-unjoined", "what LeaveDmaDomain gives an adapter that joined none is noted", BOTH, leave_unjoined),
    Case::new("DD-2/domain-buffer", "AllocateDomainCommonBuffer: data moves both ways, within a maximum", ON, domain_buffer),
    Case::new("DD-2/without-remapping", "what AllocateDomainCommonBuffer gives without remapping is noted", OFF, domain_buffer_without_remapping),
    Case::new("DD-3/no-op", "FlushDmaBuffer in both directions changes no byte and no mapping", BOTH, flush),
];

fn version_1(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    for width in [32_u32, 40, 64] {
        let adapter = bench.adapter(width)?;
        let result = bench.require("GetDmaAdapterInfo", Step::adapter_info(adapter, 1))?;
        let word = |offset: usize| {
            let bytes = result.data.get(offset..offset + 4);
            bytes.map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        };
        let fields: Vec<String> = (4..0x18)
            .step_by(4)
            .map(|at| format!("{:#x}", word(at)))
            .collect();
        bench.observe(format!("seen: {width} bits: {}", fields.join(" ")));
        let seen = u64::from(word(WIDTH_OFFSET));
        if seen == 0 || seen > 64 {
            return Err(driver_number("DmaAddressWidth", "1 to 64", seen).into());
        }
    }
    Ok(())
}

fn other_versions(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    for version in [0, 2, 99] {
        let result = bench.run_one(Step::adapter_info(adapter, version))?;
        if result.status() != NtStatus::NOT_SUPPORTED {
            let what = format!("GetDmaAdapterInfo with version {version}");
            return Err(driver_finding(&what, "STATUS_NOT_SUPPORTED", &result).into());
        }
    }
    Ok(())
}

fn domain_of(bench: &mut Bench<'_>, adapter: u32) -> Result<u64, CaseEnd> {
    let result = bench.require("GetDmaDomain", Step::domain_get(adapter))?;
    Ok(result.result.value[0])
}

fn join_and_leave(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let (first, second) = (bench.adapter(64)?, bench.adapter(64)?);
    let domain = domain_of(bench, first)?;
    if domain == 0 {
        return Err(driver_number("GetDmaDomain", "a handle", domain).into());
    }
    bench.require("JoinDmaDomain", Step::domain_join(second, domain))?;
    expect(
        "the domain of an adapter that joined it",
        domain,
        domain_of(bench, second)?,
    )?;
    bench.allocate_and_exercise(first, 0x2000, Routine::EX, u64::MAX)?;
    bench.allocate_and_exercise(second, 0x2000, Routine::EX, u64::MAX)?;
    bench.require("LeaveDmaDomain", Step::domain_leave(second))?;
    bench.allocate_and_exercise(second, 0x2000, Routine::EX, u64::MAX)
}

fn note(bench: &mut Bench<'_>, name: &str, result: &StepResult) {
    bench.observe(format!("seen: {name}: {}", result.describe()));
}

fn without_remapping(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let domain = domain_of(bench, adapter)?;
    bench.observe(format!("seen: GetDmaDomain: {domain:#x}"));
    let joined = bench.run_one(Step::domain_join(adapter, domain))?;
    note(bench, "JoinDmaDomain", &joined);
    if joined.is_success() {
        bench.require("LeaveDmaDomain", Step::domain_leave(adapter))?;
    }
    bench.check_unchanged("JoinDmaDomain")
}

fn leave_unjoined(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let left = bench.run_one(Step::domain_leave(adapter))?;
    note(bench, "LeaveDmaDomain", &left);
    bench.check_unchanged("LeaveDmaDomain")
}

fn domain_buffer(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    const LENGTH_BYTES: u64 = 0x5000;
    let adapter = bench.adapter(64)?;
    let domain = domain_of(bench, adapter)?;
    for maximum in [None, Some(LAST_32_BIT)] {
        let slot = bench.slot();
        let step = Step::buffer_allocate_domain(slot, adapter, domain, LENGTH_BYTES, maximum);
        let result = bench.require("AllocateDomainCommonBuffer", step)?;
        let buffer = Buffer {
            name: format!("domain common buffer {slot}"),
            slot,
            logical_address: Iova::new(result.result.logical_address),
            length_bytes: LENGTH_BYTES,
            pfns: None,
        };
        bench.check_inside("AllocateDomainCommonBuffer", &buffer, None, maximum)?;
        bench.check_mapped(&buffer, true)?;
        bench.exercise(&buffer)?;
        bench.free(&buffer)?;
    }
    Ok(())
}

fn domain_buffer_without_remapping(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let domain = domain_of(bench, adapter)?;
    let slot = bench.slot();
    let result = bench.run_one(Step::buffer_allocate_domain(
        slot, adapter, domain, 0x1000, None,
    ))?;
    note(bench, "AllocateDomainCommonBuffer", &result);
    if result.is_success() {
        bench.require("FreeCommonBuffer", Step::buffer_free(slot))?;
    }
    bench.check_unchanged("AllocateDomainCommonBuffer and its end")
}

fn flush(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    const SEED: u64 = 0xDD03;
    let adapter = bench.adapter(64)?;
    let source = bench.locked_mdl(4)?;
    bench.mdl_fill(&source, SEED)?;
    for read in [true, false] {
        let step = Step::flush_dma_buffer(adapter, source.slot, read);
        bench.require("FlushDmaBuffer", step)?;
        bench.mdl_check("FlushDmaBuffer", &source, SEED)?;
    }
    bench.check_unchanged("FlushDmaBuffer")?;
    bench.check_canaries(&source)
}
