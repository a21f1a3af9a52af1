//! The rules of CreateCommonBufferFromMdl (windows-dma-ddi section 2.6), as one sequence of checks. Each
//! refusal names its rule. Nothing here touches memory: the shell takes a snapshot first.

use alloc::vec::Vec;

use super::bounds::Bounds;
use crate::mdl::{
    MAPPED_TO_SYSTEM_VA, PAGE_BYTES, PAGE_SHIFT, PAGES_LOCKED, PARTIAL, SOURCE_IS_NONPAGED_POOL,
};
use crate::memory::low_resources::collect;
use crate::ntoskrnl::status::{self, NtStatus};

/// Bits of a page frame number: what x86-64 page tables and VT-d can hold.
const PFN_BITS: u32 = 40;

/// One MDL of the chain, as it was when the call came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MdlSnapshot {
    /// MdlFlags.
    pub flags: u16,
    /// Offset of the first byte in its page.
    pub byte_offset: u32,
    /// Length in bytes.
    pub byte_count: u32,
    /// MappedSystemVa; means something by the flags only.
    pub mapped_system_va: u64,
    /// Page frame numbers; empty where the flags say that there are none.
    pub pfns: Vec<u64>,
}

/// DMA_COMMON_BUFFER_EXTENDED_CONFIGURATION as it lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct RawConfiguration {
    /// ConfigType.
    pub config_type: u32,
    /// Padding.
    pub reserved: u32,
    /// The union.
    pub union: [u64; 4],
}

const _: () = assert!(size_of::<RawConfiguration>() == 0x28);

/// What the device may do with the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HardwareAccess {
    /// The device may only read.
    ReadOnly,
    /// The device may only write.
    WriteOnly,
    /// Both.
    ReadWrite,
}

/// What the caller asks for.
#[derive(Clone, Debug)]
pub struct Request<'call> {
    /// The chain, head first.
    pub chain: &'call [MdlSnapshot],
    /// The extended configurations.
    pub configurations: &'call [RawConfiguration],
    /// What the adapter's width reaches.
    pub adapter: Bounds,
    /// Whether the device's addresses are translated.
    pub remapping: bool,
    /// Whether a frame is RAM.
    pub is_ram: fn(u64) -> bool,
}

/// A request that keeps the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// System address of the first byte.
    pub system_va: u64,
    /// System address of the MDL's first byte; differs from `system_va` for a SubSection.
    pub mdl_va: u64,
    /// Length in bytes, whole pages.
    pub len_bytes: u32,
    /// The pages in order.
    pub pfns: Vec<u64>,
    /// Where the logical address must lie.
    pub bounds: Bounds,
    /// Permission of the device.
    pub access: HardwareAccess,
}

/// A request that breaks a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Rule of windows-dma-ddi section 2.6.
    pub rule: &'static str,
    /// What the caller gets.
    pub status: NtStatus,
    /// What was wrong.
    pub why: &'static str,
}

/// Judges a request.
///
/// # Errors
/// The first rule that is broken.
pub fn check(request: &Request<'_>) -> Result<Plan, Refusal> {
    let configuration = Configuration::decode(request.configurations)?;
    check_access_is_supported(request, &configuration)?;
    let part = match configuration.sub_section {
        None => whole_mdl(request.chain)?,
        Some(sub_section) => sub_section_of(request.chain, sub_section)?,
    };
    check_locked_and_mapped(part.mdl)?;
    let plan = Plan {
        system_va: part.mdl.mapped_system_va.wrapping_add(part.offset),
        mdl_va: part.mdl.mapped_system_va,
        len_bytes: part.len_bytes,
        pfns: pages(&part, request.is_ram)?,
        bounds: request.adapter.within(configuration.limits),
        access: configuration.access,
    };
    if !plan.bounds.have_room(u64::from(plan.len_bytes)) {
        return Err(invalid(
            "CM-16",
            "the address limits leave no room in the adapter's width",
        ));
    }
    if !request.remapping {
        check_physical_pages(&plan, request.adapter)?;
    }
    Ok(plan)
}

struct SubSection {
    offset: u64,
    len_bytes: u32,
}

struct Configuration {
    limits: Bounds,
    sub_section: Option<SubSection>,
    access: HardwareAccess,
}

impl Configuration {
    fn decode(raw: &[RawConfiguration]) -> Result<Self, Refusal> {
        let mut limits = None;
        let mut sub_section = None;
        let mut access = None;
        for entry in raw {
            let is_first = match entry.config_type {
                0 => limits
                    .replace(Bounds {
                        minimum: entry.union[0],
                        maximum: entry.union[1],
                    })
                    .is_none(),
                1 => sub_section
                    .replace(SubSection {
                        offset: entry.union[0],
                        len_bytes: low_half(entry.union[1]),
                    })
                    .is_none(),
                2 => access
                    .replace(decode_access(low_half(entry.union[0]))?)
                    .is_none(),
                _ => return Err(invalid("CM-20", "unknown configuration type")),
            };
            if !is_first {
                return Err(invalid("CM-19", "a configuration type comes twice"));
            }
        }
        Ok(Self {
            limits: limits.unwrap_or(Bounds::of_width(64)),
            sub_section,
            access: access.unwrap_or(HardwareAccess::ReadWrite),
        })
    }
}

fn decode_access(value: u32) -> Result<HardwareAccess, Refusal> {
    match value {
        0 => Ok(HardwareAccess::ReadOnly),
        1 => Ok(HardwareAccess::WriteOnly),
        2 => Ok(HardwareAccess::ReadWrite),
        _ => Err(invalid("CM-20", "unknown hardware access type")),
    }
}

/// CM-18: without translation nothing can withhold an access.
fn check_access_is_supported(
    request: &Request<'_>,
    configuration: &Configuration,
) -> Result<(), Refusal> {
    if request.remapping || configuration.access == HardwareAccess::ReadWrite {
        return Ok(());
    }
    Err(Refusal {
        rule: "CM-18",
        status: status::NOT_SUPPORTED,
        why: "access permissions need DMA remapping",
    })
}

/// The part of the chain that becomes the buffer.
struct Part<'call> {
    mdl: &'call MdlSnapshot,
    /// Of the part's first byte, from the MDL's first byte.
    offset: u64,
    len_bytes: u32,
}

fn whole_mdl(chain: &[MdlSnapshot]) -> Result<Part<'_>, Refusal> {
    let [mdl] = chain else {
        return Err(match chain {
            [] => invalid("CM-5", "there is no MDL"),
            _ => invalid("CM-8", "the MDL is chained and no SubSection is given"),
        });
    };
    if mdl.byte_offset != 0 {
        return Err(invalid("CM-6", "the MDL does not start at a page boundary"));
    }
    if mdl.byte_count == 0 || !u64::from(mdl.byte_count).is_multiple_of(PAGE_BYTES) {
        return Err(invalid(
            "CM-7",
            "the MDL's length is not a multiple of a page",
        ));
    }
    Ok(Part {
        mdl,
        offset: 0,
        len_bytes: mdl.byte_count,
    })
}

/// The offset counts bytes from the head of the chain (how the page is read; not established).
fn sub_section_of(chain: &[MdlSnapshot], wanted: SubSection) -> Result<Part<'_>, Refusal> {
    let is_page_multiple = |value: u64| value.is_multiple_of(PAGE_BYTES);
    if wanted.len_bytes == 0 || !is_page_multiple(wanted.len_bytes.into()) {
        return Err(invalid(
            "CM-14",
            "the SubSection's length is not a positive multiple of a page",
        ));
    }
    if !is_page_multiple(wanted.offset) {
        return Err(invalid(
            "CM-14",
            "the SubSection's offset is not a multiple of a page",
        ));
    }
    let mut start = 0u64;
    for mdl in chain {
        let end = start + u64::from(mdl.byte_count);
        if wanted.offset < end {
            return part_in(mdl, wanted.offset - start, wanted.len_bytes, chain.len());
        }
        start = end;
    }
    Err(invalid("CM-14", "the SubSection starts beyond the MDL"))
}

fn part_in(
    mdl: &MdlSnapshot,
    offset: u64,
    len_bytes: u32,
    chain_len: usize,
) -> Result<Part<'_>, Refusal> {
    if offset + u64::from(len_bytes) > u64::from(mdl.byte_count) {
        return Err(match chain_len {
            0 | 1 => invalid("CM-14", "the SubSection ends beyond the MDL"),
            _ => invalid(
                "CM-13",
                "the SubSection spans two MDLs or ends beyond the chain",
            ),
        });
    }
    if !(u64::from(mdl.byte_offset) + offset).is_multiple_of(PAGE_BYTES) {
        return Err(invalid(
            "CM-14",
            "the SubSection does not start at a page boundary",
        ));
    }
    Ok(Part {
        mdl,
        offset,
        len_bytes,
    })
}

fn check_locked_and_mapped(mdl: &MdlSnapshot) -> Result<(), Refusal> {
    if mdl.flags & (PAGES_LOCKED | SOURCE_IS_NONPAGED_POOL | PARTIAL) == 0 {
        return Err(invalid(
            "CM-5",
            "the MDL's pages are neither locked nor nonpaged pool",
        ));
    }
    if mdl.flags & (MAPPED_TO_SYSTEM_VA | SOURCE_IS_NONPAGED_POOL) == 0 {
        return Err(invalid("CM-4", "the MDL is not mapped into system space"));
    }
    Ok(())
}

/// The driver wrote the frame numbers, or could have: each is looked at.
fn pages(part: &Part<'_>, is_ram: fn(u64) -> bool) -> Result<Vec<u64>, Refusal> {
    let first = (u64::from(part.mdl.byte_offset) + part.offset) >> PAGE_SHIFT;
    let n_pages = u64::from(part.len_bytes) >> PAGE_SHIFT;
    let pfns = usize::try_from(first)
        .ok()
        .zip(usize::try_from(first + n_pages).ok())
        .and_then(|(first, end)| part.mdl.pfns.get(first..end))
        .ok_or_else(|| invalid("CM-5", "the MDL has fewer pages than its length says"))?;
    if pfns.iter().any(|pfn| pfn >> PFN_BITS != 0 || !is_ram(*pfn)) {
        return Err(invalid("CM-5", "a page of the MDL is no RAM"));
    }
    collect(pfns.iter().copied(), pfns.len()).ok_or(Refusal {
        rule: "CM-22",
        status: status::INSUFFICIENT_RESOURCES,
        why: "the list of pages does not fit into memory",
    })
}

/// Without translation the device sees the pages as they are.
fn check_physical_pages(plan: &Plan, adapter: Bounds) -> Result<(), Refusal> {
    let is_contiguous = plan
        .pfns
        .windows(2)
        .all(|pair| pair[1] == pair[0].wrapping_add(1));
    if !is_contiguous {
        return Err(invalid("CM-9", "the pages are not physically contiguous"));
    }
    let start = plan.pfns.first().map_or(0, |pfn| pfn << PAGE_SHIFT);
    let len_bytes = u64::from(plan.len_bytes);
    if !adapter.hold(start, len_bytes) {
        return Err(invalid(
            "CM-10",
            "the pages lie beyond the adapter's address width",
        ));
    }
    if !plan.bounds.hold(start, len_bytes) {
        return Err(invalid("CM-15", "the pages lie outside the address limits"));
    }
    Ok(())
}

fn low_half(value: u64) -> u32 {
    let [a, b, c, d, ..] = value.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

const fn invalid(rule: &'static str, why: &'static str) -> Refusal {
    Refusal {
        rule,
        status: status::INVALID_PARAMETER,
        why,
    }
}
