//! One translation per device: its VT-d domain with its IOVA space. Without remapping there is none, and
//! logical addresses are physical ones.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Range;

use super::iova::{IovaRequest, IovaSpace};
use super::sabotage;
use crate::arch::guarded::Guarded;
use crate::memory::low_resources::{collect, strikes};
use crate::memory::{self, GuestPhysAddr, Pfn};
use crate::pci::{self, RequesterId};
use crate::vtd::{self, Domain, Iova, Permissions};

/// ECAM, BARs, APIC and flash of the q35 machine.
const DEVICE_WINDOW: Range<u64> = 0xB000_0000..0x1_0000_0000;
/// Grain in which RAM is looked for.
const RAM_GRAIN: u64 = 0x20_0000;
const PAGE_BYTES: u64 = 0x1000;

struct DeviceSpace {
    domain: Domain,
    iovas: IovaSpace,
}

static SPACES: Guarded<BTreeMap<u16, DeviceSpace>> = Guarded::new(BTreeMap::new());

/// Attaches an empty domain to a device, so that it can reach nothing. `false` where that fails.
pub(crate) fn attach(requester: RequesterId) -> bool {
    if !vtd::is_enabled() || SPACES.with(|spaces| spaces.contains_key(&requester.raw())) {
        return true;
    }
    let Ok(domain) = Domain::attach(requester) else {
        return false;
    };
    let width = domain.address_limit().checked_ilog2().unwrap_or(0);
    let space = DeviceSpace {
        domain,
        iovas: IovaSpace::new(width, physical_memory()),
    };
    SPACES.with(|spaces| spaces.insert(requester.raw(), space));
    true
}

/// Takes a device's translation down.
pub(crate) fn detach(requester: RequesterId) {
    let space = SPACES.with(|spaces| spaces.remove(&requester.raw()));
    drop(space);
}

/// Reserves IOVAs and maps pages to them.
pub(super) fn map(
    requester: RequesterId,
    pages: &[Pfn],
    request: IovaRequest<'_>,
    permissions: Permissions,
) -> Option<u64> {
    SPACES.with(|spaces| {
        let pages: Vec<GuestPhysAddr> =
            collect(pages.iter().map(|page| page.start()), pages.len())?;
        if strikes() {
            return None;
        }
        let keeper = keeper_of(spaces, requester);
        let iova = spaces.get_mut(&keeper)?.iovas.allocate(request)?;
        let own = spaces.get_mut(&requester.raw())?;
        let mapped = own.domain.map(Iova::new(iova), &pages, permissions);
        if mapped.is_err() {
            spaces.get_mut(&keeper)?.iovas.free(iova);
            return None;
        }
        for other in sharers(spaces, requester) {
            // A sabotage may fail.
            let _ = other.domain.map(Iova::new(iova), &pages, permissions);
        }
        Some(iova)
    })
}

/// Unmaps pages, page by page and flushed, and puts their IOVAs into quarantine.
pub(super) fn unmap(requester: RequesterId, iova: u64, n_pages: u64) -> bool {
    SPACES.with(|spaces| {
        let Some(own) = spaces.get_mut(&requester.raw()) else {
            return false;
        };
        let is_unmapped = own.domain.unmap(Iova::new(iova), n_pages).is_ok();
        for other in sharers(spaces, requester) {
            let _ = other.domain.unmap(Iova::new(iova), n_pages);
        }
        let keeper = keeper_of(spaces, requester);
        if let Some(keeper) = spaces.get_mut(&keeper) {
            keeper.iovas.free(iova);
        }
        is_unmapped
    })
}

/// Whose IOVAs a device gets: its own, or by sabotage those of the first device.
fn keeper_of(spaces: &BTreeMap<u16, DeviceSpace>, requester: RequesterId) -> u16 {
    let first = spaces
        .keys()
        .next()
        .filter(|_| sabotage::is_shared_domain());
    first.copied().unwrap_or(requester.raw())
}

/// The other devices that by sabotage reach what is mapped for this one; else none.
fn sharers(
    spaces: &mut BTreeMap<u16, DeviceSpace>,
    requester: RequesterId,
) -> impl Iterator<Item = &mut DeviceSpace> {
    spaces
        .iter_mut()
        .filter(move |(other, _)| sabotage::is_shared_domain() && **other != requester.raw())
        .map(|(_, space)| space)
}

/// RAM and device memory: addresses that an IOVA should never look like.
fn physical_memory() -> Vec<Range<u64>> {
    let mut ranges = alloc::vec![DEVICE_WINDOW];
    let mut remaining = memory::memory_bytes();
    let mut start = 0;
    // RAM ends at most a device window beyond its own size.
    let end = memory::memory_bytes().saturating_add(DEVICE_WINDOW.end);
    while start < end && remaining > 0 {
        let is_ram = [0, RAM_GRAIN - PAGE_BYTES]
            .iter()
            .any(|offset| memory::is_ram(Pfn::containing(GuestPhysAddr::new(start + offset))));
        if is_ram {
            remaining = remaining.saturating_sub(RAM_GRAIN);
            match ranges.last_mut() {
                Some(last) if last.end == start => last.end += RAM_GRAIN,
                _ => ranges.push(start..start + RAM_GRAIN),
            }
        }
        start += RAM_GRAIN;
    }
    for bar in pci::devices().iter().flat_map(|function| &function.bars) {
        if let Some(address) = bar.address {
            ranges.push(address.raw()..address.raw().saturating_add(bar.len_bytes));
        }
    }
    ranges
}
