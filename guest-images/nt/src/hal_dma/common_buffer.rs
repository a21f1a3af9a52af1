//! Common buffers: memory of the HAL's own, or a driver's pages, at one contiguous range of logical addresses.

use alloc::vec::Vec;
use core::ops::Range;

use super::adapter::{self, Adapter};
use super::bounds::Bounds;
use super::canary;
use super::from_mdl::{HardwareAccess, Plan};
use super::iova::IovaRequest;
use super::sabotage;
use super::space;
use crate::log;
use crate::memory::low_resources::{collect, strikes};
use crate::memory::{
    self, Cache, GuestPhysAddr, PageLayout, PageRequest, Pfn, Protection, VirtAddr,
};
use crate::ntoskrnl::verifier;
use crate::pci::RequesterId;
use crate::vtd::{self, Permissions};

const PAGE_BYTES: u64 = 0x1000;
const PAGE_LEN: usize = 0x1000;
/// Pages of a 2 MiB chunk.
const LARGE_PAGES: u64 = 512;
/// Tells a buffer's poison from pool poison in a dump.
const POISON: u8 = 0xB5;

/// A buffer as the adapter remembers it.
#[derive(Clone, Debug)]
pub(super) struct CommonBuffer {
    pub(super) len_bytes: u32,
    pub(super) iova: u64,
    pub(super) va: u64,
    /// What FreeCommonBuffer must say; `None` where the documents do not tell.
    pub(super) cache_enabled: Option<bool>,
    requester: RequesterId,
    n_pages: u64,
    backing: Backing,
}

#[derive(Clone, Debug)]
enum Backing {
    /// Pages of the HAL; canaries only without remapping, where a neighbor page can be hit.
    Hal {
        pages: Vec<Pfn>,
        canaries: Option<Canaries>,
    },
    /// The driver's pages; its mapping and lock stay its own. Sabotaged, the second half lies at an address
    /// of its own.
    Driver {
        second_half: Option<u64>,
        /// Of the MDL's first byte; differs from the buffer's for a SubSection.
        mdl_va: u64,
        /// The pages, which must stay the driver's for as long as the buffer lives (CM-27).
        pfns: Vec<u64>,
    },
}

/// Mapped canary pages before and behind the buffer's.
#[derive(Clone, Debug)]
struct Canaries {
    before: u64,
    behind: u64,
    frames: [Pfn; 2],
}

impl CommonBuffer {
    /// Whether its pages are the driver's.
    pub(super) fn is_driver_backed(&self) -> bool {
        matches!(self.backing, Backing::Driver { .. })
    }

    /// Whether the CPU meets the page right before or behind the buffer's at `address`; none is mapped there.
    pub(super) fn has_guard_at(&self, address: u64) -> bool {
        let start = self.va & !(PAGE_BYTES - 1);
        let end = start + self.n_pages * PAGE_BYTES;
        let page = address & !(PAGE_BYTES - 1);
        page == start.wrapping_sub(PAGE_BYTES) || page == end
    }

    /// The first of the driver's pages under it that is among `frames`, which are sorted.
    pub(super) fn page_among(&self, frames: &[u64]) -> Option<u64> {
        let Backing::Driver { pfns, .. } = &self.backing else {
            return None;
        };
        let is_among = |pfn: &&u64| frames.binary_search(pfn).is_ok();
        pfns.iter().find(is_among).copied()
    }

    /// Whether FreeCommonBuffer may call it by `va`. For a SubSection the documents do not tell whether that is
    /// the MDL's address or the part's, so both are right.
    pub(super) fn is_at(&self, va: u64) -> bool {
        self.va == va || matches!(self.backing, Backing::Driver { mdl_va, .. } if mdl_va == va)
    }
}

/// What an allocation asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    pub(super) len_bytes: u32,
    pub(super) bounds: Bounds,
    pub(super) cache: Cache,
    pub(super) is_large: bool,
    pub(super) cache_enabled: Option<bool>,
}

/// Allocates a common buffer; gives VA and logical address.
pub(super) fn allocate(
    adapter_address: u64,
    adapter: &Adapter,
    request: Request,
) -> Option<(u64, u64)> {
    let bounds = request.bounds.within(adapter.settings.bounds);
    let len = u64::from(request.len_bytes);
    if !bounds.have_room(len) {
        return None;
    }
    let grain = if request.is_large { LARGE_PAGES } else { 1 };
    let n_pages = len.div_ceil(PAGE_BYTES).checked_next_multiple_of(grain)?;
    let request = Request { bounds, ..request };
    let buffer = if vtd::is_enabled() {
        remapped(adapter, &request, n_pages, grain)?
    } else {
        physical(adapter, &request, n_pages, grain)?
    };
    let tail = usize::try_from(n_pages * PAGE_BYTES - len).ok()?;
    crate::ntoskrnl::shared::fill(buffer.va, len, POISON);
    canary::fill(buffer.va + len, tail);
    let addresses = (buffer.va, buffer.iova);
    keep(adapter_address, buffer)?;
    Some(addresses)
}

/// Scattered pages, contiguous for CPU and device by their page tables.
fn remapped(
    adapter: &Adapter,
    request: &Request,
    n_pages: u64,
    grain: u64,
) -> Option<CommonBuffer> {
    let layout = if grain == 1 {
        PageLayout::Scattered
    } else {
        PageLayout::Chunks(grain)
    };
    if strikes() {
        return None;
    }
    let pages = pages(n_pages, Bounds::of_width(64), layout)?;
    let Some(pfns) = collect(pages.iter().map(|page| page.raw()), pages.len()) else {
        release(&pages);
        return None;
    };
    let iovas = IovaRequest {
        pfns: &pfns,
        align_bytes: grain * PAGE_BYTES,
        bounds: request.bounds,
    };
    let va = (!strikes()).then(|| map_for_cpu(&pages, request.cache));
    let Some(va) = va.flatten() else {
        release(&pages);
        return None;
    };
    let Some(iova) = space::map(adapter.requester, &pages, iovas, Permissions::ReadWrite) else {
        unmap_for_cpu(va);
        release(&pages);
        return None;
    };
    Some(CommonBuffer {
        len_bytes: request.len_bytes,
        iova,
        va,
        cache_enabled: request.cache_enabled,
        requester: adapter.requester,
        n_pages,
        backing: Backing::Hal {
            pages,
            canaries: None,
        },
    })
}

/// One physical run inside the bounds, between canary pages where there is room for them.
fn physical(
    adapter: &Adapter,
    request: &Request,
    n_pages: u64,
    grain: u64,
) -> Option<CommonBuffer> {
    // Canaries are nt's own: without memory for them the buffer does without.
    if strikes() {
        return None;
    }
    let (pages, canaries) = match pages_with_canaries(request, n_pages, grain) {
        Some((pages, canaries)) => (pages, Some(canaries)),
        None => {
            let layout = if grain == 1 {
                PageLayout::Contiguous
            } else {
                PageLayout::Chunks(grain)
            };
            let pages = pages(n_pages, request.bounds, layout)?;
            let is_run = pages
                .windows(2)
                .all(|pair| pair[1].raw() == pair[0].raw() + 1);
            if !is_run {
                release(&pages);
                return None;
            }
            (pages, None)
        }
    };
    let va = (!strikes()).then(|| map_for_cpu(&pages, request.cache));
    let Some(va) = va.flatten() else {
        release(&pages);
        if let Some(canaries) = canaries {
            canaries.remove();
        }
        return None;
    };
    Some(CommonBuffer {
        len_bytes: request.len_bytes,
        iova: pages[0].start().raw(),
        va,
        cache_enabled: request.cache_enabled,
        requester: adapter.requester,
        n_pages,
        backing: Backing::Hal { pages, canaries },
    })
}

fn pages_with_canaries(
    request: &Request,
    n_pages: u64,
    grain: u64,
) -> Option<(Vec<Pfn>, Canaries)> {
    if grain != 1 {
        return None;
    }
    let wider = Bounds {
        minimum: request.bounds.minimum.saturating_sub(PAGE_BYTES),
        maximum: request.bounds.maximum.saturating_add(PAGE_BYTES),
    };
    let mut run = pages(n_pages + 2, wider, PageLayout::Contiguous)?;
    let start = run[1].start().raw();
    let last = run.pop()?;
    let first = run.remove(0);
    if !request.bounds.hold(start, u64::from(request.len_bytes)) {
        run.extend([first, last]);
        release(&run);
        return None;
    }
    match Canaries::put(first, last) {
        Some(canaries) => Some((run, canaries)),
        None => {
            run.extend([first, last]);
            release(&run);
            None
        }
    }
}

impl Canaries {
    fn put(first: Pfn, last: Pfn) -> Option<Self> {
        let before = map_for_cpu(&[first], Cache::Cached)?;
        let Some(behind) = map_for_cpu(&[last], Cache::Cached) else {
            unmap_for_cpu(before);
            return None;
        };
        canary::fill(before, PAGE_LEN);
        canary::fill(behind, PAGE_LEN);
        Some(Self {
            before,
            behind,
            frames: [first, last],
        })
    }

    fn check(&self, buffer: &CommonBuffer) {
        let end = buffer.iova + buffer.n_pages * PAGE_BYTES;
        report_damage(
            buffer,
            self.before,
            PAGE_LEN,
            buffer.iova - PAGE_BYTES,
            "before",
        );
        report_damage(buffer, self.behind, PAGE_LEN, end, "behind");
    }

    fn remove(self) {
        unmap_for_cpu(self.before);
        unmap_for_cpu(self.behind);
        release(&self.frames);
    }
}

/// Makes a common buffer of a driver's pages; gives the logical address.
pub(super) fn create_from_plan(
    adapter_address: u64,
    adapter: &Adapter,
    plan: &Plan,
) -> Option<u64> {
    let n_pages = plan.pfns.len();
    let pfns = collect(plan.pfns.iter().copied(), n_pages)?;
    let (iova, second_half) = if !vtd::is_enabled() {
        (*plan.pfns.first()? * PAGE_BYTES, None)
    } else if sabotage::is_split_logical() && n_pages > 1 {
        // Negative control: the second half goes elsewhere, the address claims to be one range.
        let first = map_driver_pages(adapter, plan, 0..n_pages / 2)?;
        let Some(second) = map_driver_pages(adapter, plan, n_pages / 2..n_pages) else {
            space::unmap(adapter.requester, first, n_pages as u64 / 2);
            return None;
        };
        (first, Some(second))
    } else {
        (map_driver_pages(adapter, plan, 0..n_pages)?, None)
    };
    let buffer = CommonBuffer {
        len_bytes: plan.len_bytes,
        iova,
        va: plan.system_va,
        cache_enabled: None,
        requester: adapter.requester,
        n_pages: n_pages as u64,
        backing: Backing::Driver {
            second_half,
            mdl_va: plan.mdl_va,
            pfns,
        },
    };
    keep(adapter_address, buffer)?;
    Some(iova)
}

/// Notes a buffer of the adapter; where there is no memory for that, it ends at once.
fn keep(adapter_address: u64, buffer: CommonBuffer) -> Option<()> {
    let Err(buffer) = adapter::add_buffer(adapter_address, buffer) else {
        return Some(());
    };
    // Negative control: what was made stays behind.
    if !sabotage::is_leak_on_failure() {
        free(buffer);
    }
    None
}

fn map_driver_pages(adapter: &Adapter, plan: &Plan, range: Range<usize>) -> Option<u64> {
    let permissions = match plan.access {
        HardwareAccess::ReadOnly => Permissions::Read,
        HardwareAccess::WriteOnly => Permissions::Write,
        HardwareAccess::ReadWrite => Permissions::ReadWrite,
    };
    let pfns = plan.pfns.get(range)?;
    let pages = collect(pfns.iter().copied().map(Pfn::new), pfns.len())?;
    let request = IovaRequest {
        pfns,
        align_bytes: PAGE_BYTES,
        bounds: plan.bounds,
    };
    space::map(adapter.requester, &pages, request, permissions)
}

/// Takes the buffer's mapping away; it is flushed when this returns.
fn unmap_for_device(buffer: &CommonBuffer) {
    let first_half = buffer.n_pages / 2;
    let parts = match buffer.backing {
        Backing::Driver {
            second_half: Some(second),
            ..
        } => [
            (buffer.iova, first_half),
            (second, buffer.n_pages - first_half),
        ],
        Backing::Driver { .. } | Backing::Hal { .. } => [(buffer.iova, buffer.n_pages), (0, 0)],
    };
    for (iova, n_pages) in parts {
        if n_pages > 0 && !space::unmap(buffer.requester, iova, n_pages) {
            log!("hal: {iova:#x} was not mapped when it was freed");
        }
    }
}

/// Ends a buffer that has been taken off its adapter.
pub(super) fn free(buffer: CommonBuffer) {
    if vtd::is_enabled() && !sabotage::is_leave_mapping() {
        unmap_for_device(&buffer);
    }
    let tail_start = u64::from(buffer.len_bytes);
    let tail = usize::try_from(buffer.n_pages * PAGE_BYTES - tail_start).unwrap_or(0);
    if let Backing::Hal { pages, canaries } = &buffer.backing {
        report_damage(
            &buffer,
            buffer.va + tail_start,
            tail,
            buffer.iova + tail_start,
            "in the tail of",
        );
        if let Some(canaries) = canaries {
            canaries.check(&buffer);
        }
        unmap_for_cpu(buffer.va);
        release(pages);
        if let Some(canaries) = canaries.clone() {
            canaries.remove();
        }
    }
}

/// Checks canary bytes at the CPU's address `va`, which lie at `logical` for the device.
fn report_damage(buffer: &CommonBuffer, va: u64, len_bytes: usize, logical: u64, place: &str) {
    if let Some(damage) = canary::damage(va, len_bytes) {
        let first = logical + damage.offset as u64;
        adapter::violation(
            "common-buffer-overrun",
            format_args!(
                "{} bytes {place} the common buffer at {:#x} (length {:#x}) were overwritten, the first at \
                 {first:#x}: {:02x?}",
                damage.count, buffer.iova, buffer.len_bytes, damage.seen
            ),
            [
                0x0F,
                if place == "before" { 4 } else { 5 },
                buffer.va,
                first,
            ],
        );
    }
}

pub(super) fn pages(n_pages: u64, bounds: Bounds, layout: PageLayout) -> Option<Vec<Pfn>> {
    let pages = memory::allocate_pages(&PageRequest {
        pages: n_pages,
        low: GuestPhysAddr::new(bounds.minimum),
        high: GuestPhysAddr::new(bounds.maximum),
        layout,
    });
    if pages.len() as u64 == n_pages {
        return Some(pages);
    }
    release(&pages);
    None
}

pub(super) fn release(pages: &[Pfn]) {
    if let Err(frame) = memory::free_pages(pages) {
        verifier::finding(
            "hal-frame-freed-twice",
            format_args!(
                "frame {:#x} of a common buffer is not allocated",
                frame.raw()
            ),
        );
    }
}

fn map_for_cpu(pages: &[Pfn], cache: Cache) -> Option<u64> {
    memory::map_pages(pages, cache, Protection::ReadWrite)
        .ok()
        .map(VirtAddr::as_u64)
}

fn unmap_for_cpu(va: u64) {
    if memory::unmap(VirtAddr::new(va)).is_err() {
        log!("hal: {va:#x} was not mapped when it was freed");
    }
}
