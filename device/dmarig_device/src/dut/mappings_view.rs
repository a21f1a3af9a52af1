//! The mapping table as the control socket shows it.

use control_api::response::{self, Backing, MappingRun, Mappings, MappingsSummary};
use dmarig_abi::Iova;
use iommu::{PAGE_SIZE_BYTES, Permissions, Run};

use super::memory::{self, DutMemory};

/// One page of runs from `start` on.
pub(super) fn page(memory: &DutMemory, start: Iova, limit: u32) -> Mappings {
    let mut runs = memory.table().runs(start);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mappings = runs.by_ref().take(limit).map(|run| view(&run)).collect();
    Mappings {
        epoch: memory.epoch(),
        mappings,
        next: runs.next().map(|run| run.iova),
    }
}

/// Counts over all runs.
pub(super) fn summary(memory: &DutMemory) -> MappingsSummary {
    let mut summary = MappingsSummary {
        epoch: memory.epoch(),
        mappings: 0,
        bytes: 0,
        first_unmap_seen: memory.memory_was_unmapped(),
    };
    for run in memory.table().runs(Iova::new(0)) {
        summary.mappings += 1;
        summary.bytes = summary.bytes.saturating_add(size_bytes(&run));
    }
    summary
}

fn view(run: &Run<memory::Backing>) -> MappingRun {
    MappingRun {
        iova: run.iova,
        size: size_bytes(run),
        permissions: match run.permissions {
            Permissions::Read => response::Permissions::Read,
            Permissions::Write => response::Permissions::Write,
            Permissions::ReadWrite => response::Permissions::ReadWrite,
        },
        backing: match run.backing {
            Some(_) => Backing::Memory {
                file_offset: run.offset_bytes,
            },
            None => Backing::Message,
        },
    }
}

/// Only a run over all of the address space does not fit; it is shown one byte short.
fn size_bytes(run: &Run<memory::Backing>) -> u64 {
    run.size_pages.saturating_mul(PAGE_SIZE_BYTES)
}
