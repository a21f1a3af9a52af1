//! DMA adapters: the records behind the DMA_ADAPTER structures that drivers hold.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use super::common_buffer::CommonBuffer;
use super::description::AdapterSettings;
use super::operations;
use crate::arch::guarded::Guarded;
use crate::ke::irql::{self, Irql};
use crate::mdl::PAGE_BYTES;
use crate::memory::{self, Pfn, VirtAddr, low_resources};
use crate::ntoskrnl::kernel_memory;
use crate::ntoskrnl::shared::write_u64;
use crate::ntoskrnl::verifier::{self, DMA_VIOLATION, Documented};
use crate::pci::RequesterId;

const TAG: u32 = u32::from_le_bytes(*b"DmaA");
/// Released adapters that are remembered, so that their use is told apart from a wild pointer.
const REMEMBERED: usize = 256;

/// An adapter that a driver holds.
#[derive(Clone, Debug)]
pub(super) struct Adapter {
    pub(super) requester: RequesterId,
    pub(super) settings: AdapterSettings,
    table: u64,
}

struct State {
    adapters: BTreeMap<u64, Adapter>,
    /// Buffers by adapter.
    buffers: BTreeMap<u64, Vec<CommonBuffer>>,
    /// Buffers of adapters that were put too early: nothing frees them any more, and another adapter at the same
    /// address must not get them.
    orphans: Vec<CommonBuffer>,
    released: VecDeque<(u64, u64)>,
}

static STATE: Guarded<State> = Guarded::new(State {
    adapters: BTreeMap::new(),
    buffers: BTreeMap::new(),
    orphans: Vec::new(),
    released: VecDeque::new(),
});

/// Adapters that are not put, and common buffers that are not freed.
#[must_use]
pub(crate) fn live_counts() -> (usize, usize) {
    STATE.with(|state| {
        let buffers: usize = state.buffers.values().map(Vec::len).sum();
        (state.adapters.len(), buffers + state.orphans.len())
    })
}

/// Adapters of a device that are not put; a driver puts them while the device stops (PA-2).
#[must_use]
pub(crate) fn live_of(requester: RequesterId) -> usize {
    STATE.with(|state| {
        let adapters = state.adapters.values();
        adapters
            .filter(|adapter| adapter.requester == requester)
            .count()
    })
}

/// Makes an adapter; the address of its DMA_ADAPTER, or `None` where memory is short.
///
/// The table ends with its version's last member at a guard page: a driver that calls a member which its
/// version lacks reads unmapped memory.
pub(super) fn create(requester: RequesterId, settings: AdapterSettings) -> Option<u64> {
    if low_resources::strikes() {
        return None;
    }
    let entries = operations::table(settings.table_version);
    let size = entries.len() as u64 * 8;
    let table = kernel_memory::allocate(size, TAG)?;
    let adapter = (!low_resources::strikes()).then(|| kernel_memory::allocate(0x10, TAG));
    let Some(adapter) = adapter.flatten() else {
        kernel_memory::free(table);
        return None;
    };
    for (slot, entry) in (table..).step_by(8).zip(entries) {
        write_u64(slot, entry);
    }
    write_u64(table, size);
    // Version is 1 whatever was asked for (GA-4); Size is that of the public structure.
    write_u64(adapter, 1 | (0x10 << 16));
    write_u64(adapter + 8, table);
    let record = Adapter {
        requester,
        settings,
        table,
    };
    STATE.with(|state| state.adapters.insert(adapter, record));
    Some(adapter)
}

/// Ends an adapter; says how many common buffers it still had. The structure stays for a while, so that
/// later use is recognized.
pub(super) fn put(address: u64) -> usize {
    let (n_buffers, oldest) = STATE.with(|state| {
        let Some(adapter) = state.adapters.remove(&address) else {
            return (0, None);
        };
        state.released.push_back((address, adapter.table));
        let oldest = (state.released.len() > REMEMBERED).then(|| state.released.pop_front());
        let mut orphans = state.buffers.remove(&address).unwrap_or_default();
        let n_buffers = orphans.len();
        state.orphans.append(&mut orphans);
        (n_buffers, oldest.flatten())
    });
    if let Some((address, table)) = oldest {
        kernel_memory::free(address);
        kernel_memory::free(table);
    }
    n_buffers
}

/// The adapter at an address, if there is one.
pub(super) fn look_up(address: u64) -> Option<Adapter> {
    STATE.with(|state| state.adapters.get(&address).cloned())
}

/// The adapter that a routine was called with. A null, released or unknown one is reported by its
/// documented code, and gives `None`.
pub(super) fn find(address: u64, routine: &str) -> Option<Adapter> {
    let (adapter, was_released) = STATE.with(|state| {
        let was_released = state
            .released
            .iter()
            .any(|(released, _)| *released == address);
        (state.adapters.get(&address).cloned(), was_released)
    });
    if adapter.is_some() {
        return adapter;
    }
    let (id, code) = match (address, was_released) {
        (0, _) => ("adapter-null", 0x19),
        (_, true) => ("adapter-used-after-release", 0x18),
        (_, false) => {
            verifier::undocumented_violation(
                "adapter-unknown",
                format_args!("{routine} with {address:#x}, which is no adapter"),
            );
            return None;
        }
    };
    violation(
        id,
        format_args!("{routine} with adapter {address:#x}"),
        [code, address, 0, 0],
    );
    None
}

/// Notes a buffer of an adapter; gives it back where there is no memory for that.
pub(super) fn add_buffer(adapter: u64, buffer: CommonBuffer) -> Result<(), CommonBuffer> {
    STATE.with(|state| {
        let buffers = state.buffers.entry(adapter).or_default();
        if low_resources::reserve(buffers, 1).is_none() {
            return Err(buffer);
        }
        buffers.push(buffer);
        Ok(())
    })
}

/// Takes the buffer that `matches` off an adapter.
pub(super) fn take_buffer(
    adapter: u64,
    matches: impl Fn(&CommonBuffer) -> bool,
) -> Option<CommonBuffer> {
    STATE.with(|state| {
        let buffers = state.buffers.get_mut(&adapter)?;
        // From the end: who frees the newest first is answered at once.
        let position = buffers.iter().rposition(matches)?;
        let buffer = buffers.swap_remove(position);
        if buffers.is_empty() {
            state.buffers.remove(&adapter);
        }
        Some(buffer)
    })
}

/// Says which of an adapter's buffers has one of the values that FreeCommonBuffer was given.
pub(super) fn nearest_buffer(adapter: u64, iova: u64, va: u64) -> Option<(u32, u64, u64)> {
    STATE.with(|state| {
        let buffers = state.buffers.get(&adapter)?;
        let found = buffers
            .iter()
            .find(|buffer| buffer.iova == iova)
            .or_else(|| buffers.iter().find(|buffer| buffer.is_at(va)))?;
        Some((found.len_bytes, found.iova, found.va))
    })
}

/// CM-27: notes that `routine` gives frames back that a driver-backed common buffer still lies on, whatever address
/// or MDL they are called by.
pub(crate) fn check_frames_released(routine: &str, frames: impl Iterator<Item = u64>) {
    let is_any_alive = STATE.with(|state| {
        let mut buffers = state.buffers.values().flatten().chain(&state.orphans);
        buffers.any(CommonBuffer::is_driver_backed)
    });
    if !is_any_alive {
        return;
    }
    let mut frames: Vec<u64> = frames.collect();
    frames.sort_unstable();
    let hit = STATE.with(|state| {
        let mut buffers = state.buffers.values().flatten().chain(&state.orphans);
        buffers.find_map(|buffer| Some((buffer.iova, buffer.page_among(&frames)?)))
    });
    if let Some((iova, pfn)) = hit {
        verifier::undocumented_violation(
            "common-buffer-memory-released",
            format_args!(
                "CM-27: {routine} gives frame {pfn:#x} back under the common buffer at {iova:#x}, which is not freed"
            ),
        );
    }
}

/// The frames behind a range of mapped addresses.
pub(crate) fn frames_behind(start: u64, len_bytes: u64) -> impl Iterator<Item = u64> {
    let first = start & !(PAGE_BYTES - 1);
    let n_pages = (start - first + len_bytes).div_ceil(PAGE_BYTES);
    (0..n_pages)
        .filter_map(move |page| VirtAddr::try_new(first + page * PAGE_BYTES).ok())
        .filter_map(memory::translate)
        .map(|at| Pfn::containing(at).raw())
}

/// CM-27: notes that `routine` takes addresses away that a driver-backed common buffer still lies on.
pub(crate) fn check_released(routine: &str, start: u64, len_bytes: u64) {
    let buffer = STATE.with(|state| {
        let mut buffers = state.buffers.values().flatten().chain(&state.orphans);
        let is_hit = |va: u64| {
            va.checked_sub(start)
                .is_some_and(|offset| offset < len_bytes)
        };
        buffers
            .find(|buffer| buffer.is_driver_backed() && is_hit(buffer.va))
            .map(|buffer| (buffer.iova, buffer.va))
    });
    if let Some((iova, va)) = buffer {
        verifier::undocumented_violation(
            "common-buffer-memory-released",
            format_args!(
                "CM-27: {routine} takes {va:#x} away from the common buffer at {iova:#x}, which is not freed"
            ),
        );
    }
}

/// Page faults of drivers: one in the guard pages of a common buffer is named as such.
pub(crate) fn explain_fault(address: u64, instruction: u64) {
    let hit = STATE.try_with(|state| {
        let mut buffers = state.buffers.values().flatten();
        let is_hit = |buffer: &&CommonBuffer| buffer.has_guard_at(address);
        let buffer = buffers.find(is_hit)?;
        Some((buffer.va, buffer.iova, buffer.len_bytes))
    });
    if let Some((va, iova, len_bytes)) = hit.flatten() {
        verifier::undocumented_violation_at(
            "common-buffer-guard-touched",
            format_args!(
                "AC-4: the CPU touched {address:#x}, a guard page of the common buffer at {va:#x} (logical address \
                 {iova:#x}, length {len_bytes:#x})"
            ),
            instruction,
        );
    }
}

/// Requires an exact IRQL (`is_exact`) or one at most `level`: 0xE6/0x13.
pub(super) fn require_irql(routine: &str, level: Irql, is_exact: bool) {
    let current = irql::current();
    let kind = match current {
        current if is_exact && current != level => 1,
        current if current > level => 2,
        _ => return,
    };
    violation(
        "dma-irql",
        format_args!("{routine} at IRQL {current}, documented: {level}"),
        [0x13, kind, level.into(), current.into()],
    );
}

/// A broken rule with a parameter of bug check 0xE6.
pub(super) fn violation(id: &str, detail: core::fmt::Arguments<'_>, parameters: [u64; 4]) {
    let documented = Documented {
        code: DMA_VIOLATION,
        parameters,
    };
    verifier::violation(id, detail, documented);
}
