//! IoGetDmaAdapter, PutDmaAdapter, GetDmaAlignment (GA, PA, AL): what an adapter is and what it reaches.

use dmarig_abi::operation::OUTCOME_MEMBER_MISSING;

use crate::bench::{Bench, driver_finding, expect};
use crate::case::Case;
use crate::cases::BOTH;
use crate::device_description::DeviceDescription;
use crate::finding::CaseEnd;
use crate::oracle::PAGE_SIZE;
use crate::step::{Routine, Step};

const MIB: u64 = 0x10_0000;
const LAST_24_BIT: u64 = 0xff_ffff;
const LAST_32_BIT: u64 = 0xffff_ffff;

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    Case::new("GA-2/zeroed-description", "all that is not used is zero: an adapter", BOTH, zeroed_description),
    Case::new("GA-3/versions-0-to-2", "tables of versions 0, 1 and 2 allocate, exercise and free", BOTH, older_versions),
    Case::new("GA-4/version-is-1", "DMA_ADAPTER.Version is 1 for descriptions of versions 0 to 3", BOTH, version_is_1),
    Case::new("GA-6/map-registers", "the grant covers the longest transfer, or less", BOTH, map_registers),
    Case::new("GA-7/widths", "24, 28, 31, 32, 33, 36, 40, 48 and 64 bits: buffers lie inside", BOTH, widths),
    Case::new("GA-7/width-0", "a width of 0 bits gives NULL", BOTH, |bench| bench.adapter_refused("a width of 0", DeviceDescription::version_3(0))),
    Case::new("GA-7/width-65", "a width of 65 bits gives NULL", BOTH, |bench| bench.adapter_refused("a width of 65", DeviceDescription::version_3(65))),
    Case::new("GA-8/width-23", "a width of 23 bits gives NULL", BOTH, |bench| bench.adapter_refused("a width of 23", DeviceDescription::version_3(23))),
    Case::new("GA-9/flags-of-version-2", "version 2 takes its reach from the two address flags", BOTH, flags_of_version_2),
    Case::new("GA-9/flags-of-version-3", "version 3 ignores Dma64BitAddresses: a 32-bit width holds", BOTH, flags_of_version_3),
    Case::new("GA-11/two-adapters", "two adapters of one device are independent", BOTH, two_adapters),
    Case::new("GA-11/eight-adapters", "eight adapters at once, each of another width, with a buffer each", BOTH, eight_adapters),
    Case::new("GA-12/map-register-range", "2 to 0xfffff registers whatever the longest transfer is", BOTH, map_register_range),
    Case::new("PA-1/put-and-open-again", "put and opened again three times", BOTH, put_and_open_again),
    Case::new("PA-2/put-after-free", "the buffers are freed, then the adapter is put: nothing is left", BOTH, put_after_free),
    Case::new("AL-1/bytes", "GetDmaAlignment is a number of bytes, a power of two", BOTH, alignment),
    Case::new("AL-2/one", "what GetDmaAlignment says on x64 is noted", BOTH, alignment),
    Case::new("CM-23/older-tables", "a table of version 1 or 2 has no CreateCommonBufferFromMdl", BOTH, older_tables),
];

fn zeroed_description(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let (adapter, _) = bench.adapter_by(DeviceDescription::version_3(64))?;
    bench.allocate_and_exercise(adapter, PAGE_SIZE, Routine::EX, u64::MAX)
}

fn older_versions(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    for version in 0..=2 {
        let (adapter, opened) = bench.adapter_by(DeviceDescription::of_version(version))?;
        let size = opened.result.value[1];
        bench.observe(format!(
            "seen: version {version}, DMA_OPERATIONS.Size {size:#x}"
        ));
        bench.allocate_and_exercise(adapter, 0x3000, Routine::PLAIN, u64::MAX)?;
        bench.require("PutDmaAdapter", Step::adapter_put(adapter))?;
    }
    Ok(())
}

fn version_is_1(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let older = (0..=2).map(DeviceDescription::of_version);
    for description in older.chain([DeviceDescription::version_3(64)]) {
        let (_, opened) = bench.adapter_by(description)?;
        let what = format!("DMA_ADAPTER.Version for version {}", description.version);
        expect(&what, 1, opened.result.value[2])?;
    }
    Ok(())
}

fn map_registers(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    for pages in [1_u32, 16, 256] {
        let (_, opened) = bench.adapter_by(DeviceDescription {
            maximum_length_bytes: pages * 0x1000,
            ..DeviceDescription::version_3(64)
        })?;
        let granted = opened.result.value[0];
        bench.observe(format!("seen: {granted} map registers for {pages} pages"));
        if granted == 0 || granted > u64::from(pages) + 1 {
            let what = format!("map registers for {pages} pages");
            let expected = format!("1 to {}", pages + 1);
            return Err(expect_words(&what, &expected, granted));
        }
    }
    Ok(())
}

fn widths(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    for width in [24, 28, 31, 32, 33, 36, 40, 48, 64] {
        let adapter = bench.adapter(width)?;
        let last = u64::MAX >> (64 - width);
        for routine in [Routine::PLAIN, Routine::EX, Routine::WITH_BOUNDS] {
            bench.allocate_and_exercise(adapter, 0x2000, routine, last)?;
        }
        bench.require("PutDmaAdapter", Step::adapter_put(adapter))?;
    }
    Ok(())
}

fn flags_of_version_2(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let cases = [
        (true, true, u64::MAX),
        (true, false, u64::MAX),
        (false, true, LAST_32_BIT),
        // ScatterGather on PCI implies 32 bits.
        (false, false, LAST_32_BIT),
    ];
    for (dma_64_bit, dma_32_bit, last) in cases {
        let (adapter, _) = bench.adapter_by(DeviceDescription {
            dma_32_bit,
            dma_64_bit,
            ..DeviceDescription::of_version(2)
        })?;
        bench.allocate_and_exercise(adapter, 0x2000, Routine::PLAIN, last)?;
    }
    Ok(())
}

fn flags_of_version_3(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    for (width, last) in [(24, LAST_24_BIT), (32, LAST_32_BIT)] {
        let (adapter, _) = bench.adapter_by(DeviceDescription {
            dma_64_bit: true,
            dma_32_bit: true,
            ..DeviceDescription::version_3(width)
        })?;
        bench.allocate_and_exercise(adapter, 0x2000, Routine::EX, last)?;
    }
    Ok(())
}

fn two_adapters(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let (first, second) = (bench.adapter(64)?, bench.adapter(32)?);
    let of_first = bench.allocate_by(first, 0x2000, Routine::EX, u64::MAX)?;
    bench.take_as_before()?;
    let of_second = bench.allocate_by(second, 0x2000, Routine::EX, LAST_32_BIT)?;
    bench.exercise(&of_first)?;
    bench.exercise(&of_second)?;
    bench.free(&of_second)?;
    bench.require("PutDmaAdapter", Step::adapter_put(second))?;
    // The other one's end is nothing to the first.
    bench.exercise(&of_first)?;
    bench.require("FreeCommonBuffer", Step::buffer_free(of_first.slot))?;
    bench
        .require("PutDmaAdapter", Step::adapter_put(first))
        .map(drop)
}

fn eight_adapters(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let mut buffers = Vec::new();
    for width in [24, 28, 32, 36, 40, 48, 56, 64] {
        let adapter = bench.adapter(width)?;
        let last = u64::MAX >> (64 - width);
        buffers.push(bench.allocate_by(adapter, 0x2000, Routine::EX, last)?);
        bench.take_as_before()?;
    }
    for buffer in &buffers {
        bench.exercise(buffer)?;
    }
    Ok(())
}

fn map_register_range(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    for maximum_length_bytes in [0, 1, 0x1000, 0x7fff_ffff, u32::MAX] {
        let (_, opened) = bench.adapter_by(DeviceDescription {
            maximum_length_bytes,
            ..DeviceDescription::version_3(64)
        })?;
        let granted = opened.result.value[0];
        if !(2..=0xf_ffff).contains(&granted) {
            let what = format!("map registers for {maximum_length_bytes:#x} bytes");
            return Err(expect_words(&what, "2 to 0xfffff", granted));
        }
    }
    Ok(())
}

fn put_and_open_again(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    for _ in 0..3 {
        let adapter = bench.adapter(64)?;
        bench.allocate_and_exercise(adapter, 0x1000, Routine::PLAIN, u64::MAX)?;
        bench.require("PutDmaAdapter", Step::adapter_put(adapter))?;
    }
    bench.check_unchanged("PutDmaAdapter")
}

fn put_after_free(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let mut buffers = Vec::new();
    for routine in [Routine::PLAIN, Routine::EX, Routine::WITH_BOUNDS] {
        buffers.push(bench.allocate_by(adapter, MIB / 16, routine, u64::MAX)?);
        bench.take_as_before()?;
    }
    for buffer in buffers {
        bench.require("FreeCommonBuffer", Step::buffer_free(buffer.slot))?;
    }
    bench
        .require("PutDmaAdapter", Step::adapter_put(adapter))
        .map(drop)
}

fn alignment(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let result = bench.require("GetDmaAlignment", Step::adapter_alignment(adapter))?;
    let bytes = result.result.value[0];
    bench.observe(format!("seen: {bytes}"));
    if bytes.is_power_of_two() {
        return Ok(());
    }
    Err(expect_words("GetDmaAlignment", "a power of two", bytes))
}

fn older_tables(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    for version in [1, 2] {
        let (adapter, _) = bench.adapter_by(DeviceDescription::of_version(version))?;
        let source = bench.contiguous_mdl(1)?;
        let (_, result) = bench.create(adapter, &source, None)?;
        if result.result.outcome != OUTCOME_MEMBER_MISSING {
            let what = format!("CreateCommonBufferFromMdl in a table of version {version}");
            return Err(driver_finding(&what, "no such member", &result).into());
        }
    }
    Ok(())
}

fn expect_words(what: &str, expected: &str, seen: u64) -> CaseEnd {
    crate::bench::driver_number(what, expected, seen).into()
}
