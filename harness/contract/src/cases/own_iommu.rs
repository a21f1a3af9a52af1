//! The device's own remapping unit (RU): tables in a common buffer, programmed by its registers in BAR 0.
//!
//! The unit defers invalidations until the driver has looked whether they are done.

use dmarig_abi::completion::{DMA_STATUS_PERMISSION, DMA_STATUS_SUCCESS, DMA_STATUS_UNMAPPED};
use dmarig_abi::descriptor::{
    DESCRIPTOR_FLAG_MESSAGE, DMA_OP_CRC, DMA_OP_VERIFY_PATTERN, DMA_OP_WRITE_PATTERN,
};

use crate::bench::{Bench, Entry, Invalidate, OwnIommu, describe_dma_status};
use crate::case::Case;
use crate::cases::BOTH;
use crate::finding::{CaseEnd, Finding};
use crate::profile::Profile;

/// The built-in device with a unit whose registers lie in BAR 0 where the bench looks for them.
static UNIT: Profile = Profile {
    name: "own-iommu",
    device: Some(
        "[iommu]\nguest_address_width = 39\nlevels = [3]\niotlb_entries = 64\ncontext_entries = 4\n\
         invalidation = \"deferred\"\nfault_records = 4\nregister_bar = 0\nregister_offset = 0x8000\n",
    ),
    ..Profile::DEFAULT
};

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    Case::new("RU-1/translated", "two pages that the tables map crosswise: each transfer reaches the other's, mapped and by message", BOTH, translated).under(&UNIT),
    Case::new("RU-1/off", "with the unit turned off an address is the platform's again", BOTH, off).under(&UNIT),
    Case::new("RU-1/pass-through", "a context entry lets requests pass, once the unit has forgotten the old one", BOTH, pass_through).under(&UNIT),
    Case::new("RU-2/read-only", "a write to a page that may be read is refused for reason 5h, a read is not", BOTH, read_only).under(&UNIT),
    Case::new("RU-2/write-only", "a read of a page that may be written is refused for reason 6h, a write is not", BOTH, write_only).under(&UNIT),
    Case::new("RU-2/reserved-bit", "an address bit beyond the unit's width in a leaf is refused for reason Ch", BOTH, reserved_bit).under(&UNIT),
    Case::new("RU-2/beyond-width", "an IOVA of 40 bits is refused for reason 4h", BOTH, beyond_width).under(&UNIT),
    Case::new("RU-3/pages", "the old page is used until an invalidation of that page is seen done", BOTH, |bench| stale(bench, Invalidate::Page(0))).under(&UNIT),
    Case::new("RU-3/domain", "the same by an invalidation of the domain", BOTH, |bench| stale(bench, Invalidate::Domain)).under(&UNIT),
    Case::new("RU-3/global", "the same by a global invalidation", BOTH, |bench| stale(bench, Invalidate::Global)).under(&UNIT),
];

const SEED: u64 = 0x1077;
const WRITE: (u16, u16) = (DMA_OP_WRITE_PATTERN, 0);
const READ: (u16, u16) = (DMA_OP_CRC, 0);

/// A transfer that must end so.
fn transfer(
    bench: &mut Bench<'_>,
    unit: &OwnIommu,
    operation: (u16, u16),
    iova: u64,
    seed: u64,
    expected: u16,
) -> Result<(), CaseEnd> {
    let status = unit.transfer(bench, operation, iova, seed)?;
    if status == expected {
        return Ok(());
    }
    Err(Finding {
        view: "device",
        what: "a transfer through the device's own remapping unit".into(),
        buffer: None,
        logical_address: Some(dmarig_abi::Iova::new(iova)),
        expected: describe_dma_status(expected),
        seen: describe_dma_status(status),
    }
    .into())
}

fn translated(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    bench.with_own_iommu(&[Entry::to(1), Entry::to(0)], |bench, unit| {
        for flags in [0, DESCRIPTOR_FLAG_MESSAGE] {
            for (iova, page) in [(0, 1), (1, 0)] {
                let seed = SEED + u64::from(flags) * 16 + iova;
                let operation = (DMA_OP_WRITE_PATTERN, flags);
                let at = OwnIommu::iova(iova);
                transfer(bench, unit, operation, at, seed, DMA_STATUS_SUCCESS)?;
                unit.check_page(bench, "where the tables lead", page, seed, true)?;
                unit.check_page(bench, "where they do not lead", 1 - page, seed, false)?;
                let operation = (DMA_OP_VERIFY_PATTERN, flags);
                transfer(bench, unit, operation, at, seed, DMA_STATUS_SUCCESS)?;
            }
        }
        Ok(())
    })
}

fn off(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    bench.with_own_iommu(&[Entry::to(0)], |bench, unit| {
        let at = unit.untranslated(1);
        transfer(bench, unit, WRITE, at, SEED, DMA_STATUS_UNMAPPED)?;
        // By the page tables, and by nothing above them.
        unit.take_fault(bench)?.check(at, true, 0x5)?;
        unit.check_page(bench, "which no table maps", 1, SEED, false)?;
        unit.turn_off(bench)?;
        transfer(bench, unit, WRITE, at, SEED, DMA_STATUS_SUCCESS)?;
        unit.check_page(bench, "after the unit was turned off", 1, SEED, true)
    })
}

fn pass_through(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    bench.with_own_iommu(&[Entry::to(0)], |bench, unit| {
        let (mapped, passing) = (OwnIommu::iova(0), unit.untranslated(1));
        transfer(bench, unit, WRITE, mapped, SEED, DMA_STATUS_SUCCESS)?;
        unit.set_translation_type(bench, 2)?;
        transfer(bench, unit, WRITE, mapped, SEED + 1, DMA_STATUS_SUCCESS)?;
        unit.check_page(bench, "by a context entry that is stale", 0, SEED + 1, true)?;
        unit.invalidate_contexts(bench)?;
        transfer(bench, unit, WRITE, passing, SEED + 2, DMA_STATUS_SUCCESS)?;
        unit.check_page(bench, "reached untranslated", 1, SEED + 2, true)
    })
}

fn read_only(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let leaf = Entry { page: 0, bits: 1 };
    bench.with_own_iommu(&[leaf], |bench, unit| {
        let at = OwnIommu::iova(0);
        transfer(bench, unit, WRITE, at, SEED, DMA_STATUS_PERMISSION)?;
        unit.take_fault(bench)?.check(at, true, 0x5)?;
        unit.check_page(bench, "which may be read only", 0, SEED, false)?;
        transfer(bench, unit, READ, at, SEED, DMA_STATUS_SUCCESS)
    })
}

fn write_only(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let leaf = Entry { page: 0, bits: 2 };
    bench.with_own_iommu(&[leaf], |bench, unit| {
        let at = OwnIommu::iova(0);
        transfer(bench, unit, READ, at, SEED, DMA_STATUS_PERMISSION)?;
        unit.take_fault(bench)?.check(at, false, 0x6)?;
        transfer(bench, unit, WRITE, at, SEED, DMA_STATUS_SUCCESS)?;
        unit.check_page(bench, "which may be written only", 0, SEED, true)
    })
}

fn reserved_bit(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let bits = 3 | 1 << 50;
    bench.with_own_iommu(&[Entry { page: 0, bits }], |bench, unit| {
        let at = OwnIommu::iova(0);
        transfer(bench, unit, WRITE, at, SEED, DMA_STATUS_UNMAPPED)?;
        unit.take_fault(bench)?.check(at, true, 0xc)?;
        // What is erroneous is not cached: no invalidation is needed.
        unit.set_leaf(bench, 0, Entry::to(0))?;
        transfer(bench, unit, WRITE, at, SEED, DMA_STATUS_SUCCESS)?;
        unit.check_page(bench, "after the bit was cleared", 0, SEED, true)
    })
}

fn beyond_width(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    bench.with_own_iommu(&[Entry::to(0)], |bench, unit| {
        let at = OwnIommu::iova(0) + (1 << 39);
        transfer(bench, unit, WRITE, at, SEED, DMA_STATUS_UNMAPPED)?;
        unit.take_fault(bench)?.check(at, true, 0x4)?;
        unit.check_page(
            bench,
            "at the address without its upper bits",
            0,
            SEED,
            false,
        )
    })
}

fn stale(bench: &mut Bench<'_>, order: Invalidate) -> Result<(), CaseEnd> {
    bench.with_own_iommu(&[Entry::to(0)], |bench, unit| {
        let mut seed = SEED;
        let mut lands_in = |bench: &mut Bench<'_>, page: u64, when: &str| {
            seed += 1;
            transfer(
                bench,
                unit,
                WRITE,
                OwnIommu::iova(0),
                seed,
                DMA_STATUS_SUCCESS,
            )?;
            unit.check_page(bench, when, page, seed, true)?;
            unit.check_page(bench, when, 1 - page, seed, false)
        };
        lands_in(bench, 0, "before the leaf was changed")?;
        unit.set_leaf(bench, 0, Entry::to(1))?;
        lands_in(bench, 0, "after the leaf was changed")?;
        for other in [Invalidate::OtherDomain, Invalidate::Page(1)] {
            unit.invalidate(bench, other)?;
            unit.await_invalidation(bench)?;
            lands_in(bench, 0, &format!("after an invalidation of {other:?}"))?;
        }
        unit.invalidate(bench, order)?;
        lands_in(bench, 0, "after an order that nobody has seen done")?;
        unit.await_invalidation(bench)?;
        lands_in(bench, 1, "after the invalidation was seen done")
    })
}
