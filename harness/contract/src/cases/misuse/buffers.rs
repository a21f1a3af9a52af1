//! Misuse of adapters and common buffers under the verifier; each case ends the guest.

use dmarig_abi::Iova;

use crate::bench::{Bench, Buffer, MdlSource, Pass};
use crate::case::Case;
use crate::cases::{BOTH, OFF, ON};
use crate::device_description::DeviceDescription;
use crate::finding::CaseEnd;
use crate::profile::Stop;
use crate::step::{FreedAs, Routine, Step};

use super::dma_violation;

const MISMATCH: Stop = Stop::Finding("free-common-buffer-mismatch");
const RELEASED: Stop = Stop::Finding("common-buffer-memory-released");
const GUARD: Stop = Stop::Finding("common-buffer-guard-touched");

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    Case::new("VF-E6-03/double-free", "a common buffer is freed twice", BOTH, double_free).showing(&["FC-4"]).stops(dma_violation(0x03)),
    Case::new("VF-E6-03/double-free-from-mdl", "a common buffer of an MDL is freed twice", BOTH, double_free_from_mdl).showing(&["FC-4"]).stops(dma_violation(0x03)),
    Case::new("VF-E6-07/put-with-buffer", "the adapter is put before its common buffer is freed", BOTH, put_with_buffer).showing(&["PA-2", "PA-3"]).stops(dma_violation(0x07)),
    Case::new("VF-E6-07/put-with-mdl-buffer", "the adapter is put before the common buffer of an MDL is freed", BOTH, put_with_mdl_buffer).showing(&["PA-2", "PA-3"]).stops(dma_violation(0x07)),
    Case::new("VF-E6-0F/tail-written-by-cpu", "the CPU writes the byte behind a length of 5000", BOTH, tail_by_cpu).showing(&["AC-4", "FC-4"]).stops(dma_violation(0x0f)),
    Case::new("VF-E6-0F/page-before-written-by-device", "the device writes the page before the buffer", OFF, page_before_by_device).showing(&["FC-4"]).stops(dma_violation(0x0f)),
    Case::new("VF-E6-13/allocate-at-dispatch", "AllocateCommonBuffer at DISPATCH_LEVEL", BOTH, |bench| at_dispatch(bench, allocate)).showing(&["AC-1"]).stops(dma_violation(0x13)),
    Case::new("VF-E6-13/allocate-with-bounds-at-dispatch", "AllocateCommonBufferWithBounds at DISPATCH_LEVEL", BOTH, |bench| at_dispatch(bench, allocate_with_bounds)).showing(&["AB-1"]).stops(dma_violation(0x13)),
    Case::new("VF-E6-13/create-at-dispatch", "CreateCommonBufferFromMdl at DISPATCH_LEVEL", BOTH, create_at_dispatch).stops(dma_violation(0x13)),
    Case::new("VF-E6-13/free-at-dispatch", "FreeCommonBuffer at DISPATCH_LEVEL", BOTH, free_at_dispatch).showing(&["FC-1"]).stops(dma_violation(0x13)),
    Case::new("VF-E6-13/put-above-dispatch", "PutDmaAdapter at a device's IRQL", BOTH, put_above_dispatch).showing(&["PA-1"]).stops(dma_violation(0x13)),
    Case::new("VF-E6-13/alignment-at-dispatch", "GetDmaAlignment at DISPATCH_LEVEL", BOTH, |bench| at_dispatch(bench, |_, adapter| Step::adapter_alignment(adapter))).stops(dma_violation(0x13)),
    Case::new("VF-E6-18/allocate-after-put", "a common buffer is asked of an adapter that was put", BOTH, |bench| after_put(bench, allocate)).showing(&["PA-1", "PA-3"]).stops(dma_violation(0x18)),
    Case::new("VF-E6-18/put-twice", "an adapter is put twice", BOTH, |bench| after_put(bench, |_, adapter| Step::adapter_put(adapter).keep())).showing(&["PA-1"]).stops(dma_violation(0x18)),
    Case::new("VF-E6-19/put-of-null", "PutDmaAdapter of NULL", BOTH, |bench| put_other(bench, 0)).stops(dma_violation(0x19)),
    Case::new("PA-1/put-of-no-adapter", "PutDmaAdapter of a pointer that never was one", BOTH, |bench| put_other(bench, 0x1000)).stops(Stop::Finding("adapter-unknown")),
    Case::new("VF-E6-25/version-4", "a device description of version 4", BOTH, unknown_version).stops(dma_violation(0x25)),
    Case::new("VF-E6-26/read-after-free", "the device reads a common buffer that was freed", ON, read_after_free).showing(&["FC-3"]).stops(dma_violation(0x26)),
    Case::new("FC-2/other-length", "freed with a page more than allocated", BOTH, |bench| free_as(bench, |values| values.length_bytes += 0x1000)).stops(MISMATCH),
    Case::new("FC-2/part-of-it", "only its first page is freed", BOTH, |bench| free_as(bench, |values| values.length_bytes = 0x1000)).stops(MISMATCH),
    Case::new("FC-2/other-logical-address", "freed with a logical address one page on", BOTH, |bench| free_as(bench, |values| values.logical_address += 0x1000)).stops(MISMATCH),
    Case::new("FC-2/other-virtual-address", "freed with a virtual address one page on", BOTH, |bench| free_as(bench, |values| values.virtual_address += 0x1000)).showing(&["CM-25"]).stops(MISMATCH),
    Case::new("FC-2/other-cache-setting", "allocated cached, freed as uncached", BOTH, |bench| free_as(bench, |values| values.cache_enabled = false)).stops(Stop::Finding("free-common-buffer-cache")),
    Case::new("CM-27/unlocked-before-free", "MmUnlockPages while the common buffer lives", BOTH, unlocked_before_free).stops(RELEASED),
    Case::new("CM-27/unmapped-before-free", "MmUnmapLockedPages while the common buffer lives", BOTH, unmapped_before_free).stops(RELEASED),
    Case::new("CM-27/pages-freed-before-free", "MmFreePagesFromMdl while the common buffer lives", BOTH, pages_freed_before_free).stops(RELEASED),
    Case::new("CM-27/memory-freed-before-free", "the memory below the MDL goes while the common buffer lives", BOTH, memory_freed_before_free).stops(RELEASED),
    Case::new("AC-4/guard-page-behind", "the CPU writes the page behind a common buffer", BOTH, |bench| touch_guard(bench, 0x4000)).stops(GUARD),
    Case::new("AC-4/guard-page-before", "the CPU writes the page before a common buffer", BOTH, |bench| touch_guard(bench, -1)).stops(GUARD),
];

fn buffer(bench: &mut Bench<'_>) -> Result<Buffer, CaseEnd> {
    let adapter = bench.adapter(64)?;
    allocate_in_use(bench, adapter, 0x4000)
}

fn allocate_in_use(
    bench: &mut Bench<'_>,
    adapter: u32,
    length_bytes: u64,
) -> Result<Buffer, CaseEnd> {
    let buffer = bench.allocate_ok(adapter, length_bytes, None, None)?;
    in_use(bench, buffer)
}

fn create_in_use(
    bench: &mut Bench<'_>,
    adapter: u32,
    source: &MdlSource,
) -> Result<Buffer, CaseEnd> {
    let buffer = bench.create_ok(adapter, source, None)?;
    in_use(bench, buffer)
}

/// The ledger knows the buffer and a write of the device to it, so that the report of the guest's
/// stop has a history to tell.
fn in_use(bench: &mut Bench<'_>, buffer: Buffer) -> Result<Buffer, CaseEnd> {
    bench.declare(&buffer, true, true)?;
    bench.device_to_cpu(&buffer, Pass::DEFAULT[0], 1)?;
    Ok(buffer)
}

fn double_free(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let buffer = buffer(bench)?;
    let free = Step::buffer_free(buffer.slot).keep();
    bench.run(&[free.clone(), free]).map(drop)
}

fn double_free_from_mdl(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let source = bench.locked_mdl(2)?;
    let buffer = create_in_use(bench, adapter, &source)?;
    let free = Step::buffer_free(buffer.slot).keep();
    bench.run(&[free.clone(), free]).map(drop)
}

fn put_with_buffer(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    allocate_in_use(bench, adapter, 0x4000)?;
    bench.run_one(Step::adapter_put(adapter).keep()).map(drop)
}

fn put_with_mdl_buffer(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let source = bench.contiguous_mdl(2)?;
    create_in_use(bench, adapter, &source)?;
    bench.run_one(Step::adapter_put(adapter).keep()).map(drop)
}

fn tail_by_cpu(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let buffer = allocate_in_use(bench, adapter, 5000)?;
    let steps = [
        Step::cpu_touch(buffer.slot, 5000, 0),
        Step::buffer_free(buffer.slot),
    ];
    bench.run(&steps).map(drop)
}

fn page_before_by_device(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let buffer = buffer(bench)?;
    bench.write_outside(&buffer, -16, 16)?;
    bench.run_one(Step::buffer_free(buffer.slot)).map(drop)
}

fn allocate(bench: &mut Bench<'_>, adapter: u32) -> Step {
    Step::buffer_allocate(bench.slot(), adapter, 0x1000, Routine::PLAIN)
}

fn allocate_with_bounds(bench: &mut Bench<'_>, adapter: u32) -> Step {
    Step::buffer_allocate_with_bounds(bench.slot(), adapter, 0x1000, None, None)
}

fn at_dispatch(
    bench: &mut Bench<'_>,
    call: fn(&mut Bench<'_>, u32) -> Step,
) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let step = call(bench, adapter).at_dispatch();
    bench.run_one(step).map(drop)
}

fn create_at_dispatch(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let source = bench.contiguous_mdl(2)?;
    let slot = bench.slot();
    let step = Step::buffer_create_from_mdl(slot, adapter, source.slot, None, None);
    bench.run_one(step.at_dispatch()).map(drop)
}

fn free_at_dispatch(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let buffer = buffer(bench)?;
    bench
        .run_one(Step::buffer_free(buffer.slot).at_dispatch())
        .map(drop)
}

fn put_above_dispatch(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    bench
        .run_one(Step::adapter_put(adapter).at_device_irql())
        .map(drop)
}

fn after_put(bench: &mut Bench<'_>, call: fn(&mut Bench<'_>, u32) -> Step) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let step = call(bench, adapter);
    bench
        .run(&[Step::adapter_put(adapter).keep(), step])
        .map(drop)
}

fn put_other(bench: &mut Bench<'_>, other: u64) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    bench
        .run_one(Step::adapter_put_other(adapter, other))
        .map(drop)
}

fn unknown_version(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let description = DeviceDescription {
        version: 4,
        ..DeviceDescription::version_3(64)
    };
    let slot = bench.slot();
    bench
        .run_one(Step::adapter_open(slot, 0, description))
        .map(drop)
}

fn read_after_free(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let buffer = bench.allocate_ok(adapter, 0x4000, None, None)?;
    let id = bench.declare(&buffer, true, true)?;
    bench.device_to_cpu(&buffer, Pass::DEFAULT[0], 1)?;
    bench.undeclare(id)?;
    bench.free(&buffer)?;
    bench.order("iommu-faults unannounced")?;
    bench.read_freed(&buffer)?;
    // The guest has time to stop while the driver answers.
    bench.run_one(Step::ping(0)).map(drop)
}

fn free_as(bench: &mut Bench<'_>, change: fn(&mut FreedAs)) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let slot = bench.slot();
    let what = "AllocateCommonBufferWithBounds";
    let step = Step::buffer_allocate_with_bounds(slot, adapter, 0x4000, None, None);
    let made = bench.require(what, step)?.result;
    in_use(
        bench,
        Buffer {
            name: format!("common buffer {slot}"),
            slot,
            logical_address: Iova::new(made.logical_address),
            length_bytes: 0x4000,
            pfns: None,
        },
    )?;
    let mut values = FreedAs {
        length_bytes: 0x4000,
        logical_address: made.logical_address,
        virtual_address: made.virtual_address,
        cache_enabled: true,
    };
    change(&mut values);
    bench.run_one(Step::buffer_free_as(slot, values)).map(drop)
}

fn unlocked_before_free(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let source = bench.locked_mdl(2)?;
    create_in_use(bench, adapter, &source)?;
    bench.run_one(Step::mdl_unlock(source.slot)).map(drop)
}

fn unmapped_before_free(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let source = bench.locked_mdl(2)?;
    create_in_use(bench, adapter, &source)?;
    bench.run_one(Step::mdl_unmap(source.slot)).map(drop)
}

fn pages_freed_before_free(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let source = bench.allocated_pages_mdl(2, true)?;
    create_in_use(bench, adapter, &source)?;
    bench.run_one(Step::mdl_free_pages(source.slot)).map(drop)
}

fn memory_freed_before_free(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let source = bench.contiguous_mdl(2)?;
    create_in_use(bench, adapter, &source)?;
    let memory = source.memory().expect("a contiguous MDL lies over memory");
    bench.run_one(Step::memory_free(memory)).map(drop)
}

fn touch_guard(bench: &mut Bench<'_>, offset: i64) -> Result<(), CaseEnd> {
    let buffer = buffer(bench)?;
    bench
        .run_one(Step::cpu_touch(buffer.slot, offset, 0))
        .map(drop)
}
