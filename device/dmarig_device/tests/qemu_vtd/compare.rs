//! What QEMU announced beside what our unit finds in the same memory.

use control_api::response::{Backing, MappingRun, Permissions};
use dmarig_abi::Iova;
use iommu::Access;
use iommu::vtd::{PageTranslation, RemappingUnit};

use crate::machine::REQUESTER;
use crate::qtest::QTest;

/// A page as QEMU announces it: where it leads, and what may be done. QEMU announces pages that may be
/// written alone as read-write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Page {
    target: u64,
    is_writable: bool,
}

/// Every page of which the two say something else: all that QEMU announced, and the pages `asked`.
pub fn differences(
    qtest: &QTest,
    unit: &RemappingUnit,
    mappings: &[MappingRun],
    asked: &[u64],
) -> Vec<String> {
    let mut differences = Vec::new();
    for iova in asked {
        note(qtest, unit, mappings, *iova, &mut differences);
    }
    for run in mappings {
        let (mut iova, end) = (run.iova.raw(), run.iova.raw() + run.size);
        while iova < end {
            note(qtest, unit, mappings, iova, &mut differences);
            // To the end of our leaf; a page that we do not have is one of the smallest.
            let page = walk(qtest, unit, iova);
            let size_bytes = page.map_or(0x1000, |page| 1 << page.size_bits);
            iova = (iova & !(size_bytes - 1)) + size_bytes;
        }
    }
    differences
}

fn note(
    qtest: &QTest,
    unit: &RemappingUnit,
    mappings: &[MappingRun],
    iova: u64,
    differences: &mut Vec<String>,
) {
    let (announced, walked) = (announced(mappings, iova), walked(qtest, unit, iova));
    if announced != walked {
        differences.push(format!(
            "IOVA {iova:#x}: QEMU announced {announced:x?}, our walk finds {walked:x?}"
        ));
    }
}

fn announced(mappings: &[MappingRun], iova: u64) -> Option<Page> {
    let run = mappings
        .iter()
        .find(|run| (run.iova.raw()..run.iova.raw() + run.size).contains(&iova))?;
    let Backing::Memory { file_offset } = run.backing else {
        panic!("{run:?} is no memory");
    };
    Some(Page {
        target: file_offset + (iova - run.iova.raw()),
        is_writable: run.permissions != Permissions::Read,
    })
}

fn walked(qtest: &QTest, unit: &RemappingUnit, iova: u64) -> Option<Page> {
    let page = walk(qtest, unit, iova)?;
    Some(Page {
        target: page.target.raw() + iova % (1 << page.size_bits),
        is_writable: page.permissions.allows(Access::Write),
    })
}

/// The page, if it permits anything.
fn walk(qtest: &QTest, unit: &RemappingUnit, iova: u64) -> Option<PageTranslation> {
    let walk = |access| unit.walk(qtest, REQUESTER, Iova::new(iova), access).ok();
    walk(Access::Read).or_else(|| walk(Access::Write))
}
