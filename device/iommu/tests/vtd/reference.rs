//! A walker as slow and as plain as the specification's text: bit by bit, with no cache and no masks.

use dmarig_abi::{GuestPhysAddr, RequesterId};
use iommu::vtd::{PhysicalMemory, UnitConfig};

/// A page as the tables have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    pub size_bytes: u64,
    pub target: u64,
    pub readable: bool,
    pub writable: bool,
}

/// A context entry as the tables have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    pub domain: u64,
    pub passes: bool,
    pub levels: u64,
    pub top: u64,
    pub hides_faults: bool,
}

/// A fault's code, and whether it is recorded.
pub type Refused = (u8, bool);

fn bit(word: u64, number: u64) -> bool {
    word / 2_u64.pow(u32::try_from(number).expect("below 64")) % 2 == 1
}

fn field(word: u64, high: u64, low: u64) -> u64 {
    (low..=high)
        .filter(|number| bit(word, *number))
        .map(|number| 2_u64.pow(u32::try_from(number - low).expect("below 64")))
        .sum()
}

fn any(word: u64, high: u64, low: u64) -> bool {
    field(word, high, low) != 0
}

fn read(memory: &impl PhysicalMemory, at: u64) -> Option<u64> {
    memory.read_u64(GuestPhysAddr::new(at))
}

/// The context entry of a requester.
pub fn context(
    memory: &impl PhysicalMemory,
    config: &UnitConfig,
    root: u64,
    requester: RequesterId,
) -> Result<Context, Refused> {
    let host = u64::from(config.host_address_bits);
    let at = root + 16 * u64::from(requester.bus());
    let low = read(memory, at).ok_or((8, true))?;
    let high = read(memory, at + 8).ok_or((8, true))?;
    if !bit(low, 0) {
        return Err((1, true));
    }
    if any(low, 11, 1) || any(low, 63, host) || any(high, 63, 0) {
        return Err((0xa, true));
    }
    let function = u64::from(requester.device()) * 8 + u64::from(requester.function());
    let at = field(low, host - 1, 12) * 4096 + 16 * function;
    let low = read(memory, at).ok_or((9, true))?;
    let high = read(memory, at + 8).ok_or((9, true))?;
    let hides_faults = bit(low, 1);
    if !bit(low, 0) {
        return Err((2, !hides_faults));
    }
    if any(low, 11, 4) || any(low, 63, host) || bit(high, 7) || any(high, 63, 24) {
        return Err((0xb, !hides_faults));
    }
    let levels = match field(high, 2, 0) {
        1 if config.has_3_levels => 3,
        2 if config.has_4_levels => 4,
        _ => return Err((3, !hides_faults)),
    };
    let is_supported = match field(low, 3, 2) {
        0 => true,
        1 => config.has_device_tlb,
        2 => config.has_pass_through,
        _ => false,
    };
    if !is_supported {
        return Err((3, !hides_faults));
    }
    Ok(Context {
        domain: field(high, 23, 8),
        passes: field(low, 3, 2) == 2,
        levels,
        top: field(low, host - 1, 12) * 4096,
        hides_faults,
    })
}

/// The page of an IOVA under a context entry.
pub fn page(
    memory: &impl PhysicalMemory,
    config: &UnitConfig,
    context: &Context,
    iova: u64,
    is_write: bool,
) -> Result<Page, Refused> {
    let is_recorded = !context.hides_faults;
    if context.passes {
        if any(iova, 63, config.host_address_bits.into()) {
            return Err((4, is_recorded));
        }
        return Ok(Page {
            size_bytes: 4096,
            target: iova / 4096 * 4096,
            readable: true,
            writable: true,
        });
    }
    let width = (12 + 9 * context.levels).min(config.guest_address_bits.into());
    if any(iova, 63, width) {
        return Err((4, is_recorded));
    }
    let found = descend(memory, config, context.top, context.levels, iova, is_write);
    match found {
        Ok(page) => Ok(page),
        // A top table that is not there makes the context entry invalid.
        Err((7, level)) if level == context.levels => Err((3, is_recorded)),
        Err((code, _)) => Err((code, is_recorded)),
    }
}

/// Reads the entry of one table and goes on below it; a refusal comes with its level.
fn descend(
    memory: &impl PhysicalMemory,
    config: &UnitConfig,
    table: u64,
    level: u64,
    iova: u64,
    is_write: bool,
) -> Result<Page, (u8, u64)> {
    let shift = 12 + 9 * (level - 1);
    let at = table + 8 * field(iova, shift + 8, shift);
    let entry = read(memory, at).ok_or((7, level))?;
    let (readable, writable) = (bit(entry, 0), bit(entry, 1));
    if is_write && !writable {
        return Err((5, level));
    }
    if !is_write && !readable {
        return Err((6, level));
    }
    let may_be_large = match level {
        3 => config.has_1_gib_leaves,
        2 => config.has_2_mib_leaves,
        _ => false,
    };
    let is_leaf = level == 1 || (may_be_large && bit(entry, 7));
    let host = u64::from(config.host_address_bits);
    let mut is_wrong = host < 52 && any(entry, 51, host);
    is_wrong |= bit(entry, 11) && !(is_leaf && config.has_snoop_control);
    is_wrong |= bit(entry, 62) && !(is_leaf && config.has_device_tlb);
    is_wrong |= bit(entry, 7) && !is_leaf;
    is_wrong |= is_leaf && level > 1 && any(entry, shift - 1, 12);
    if is_wrong {
        return Err((0xc, level));
    }
    if is_leaf {
        return Ok(Page {
            size_bytes: 2_u64.pow(u32::try_from(shift).expect("small")),
            target: field(entry, host - 1, 12) * 4096,
            readable,
            writable,
        });
    }
    let below = field(entry, host - 1, 12) * 4096;
    let page = descend(memory, config, below, level - 1, iova, is_write)?;
    Ok(Page {
        readable: page.readable && readable,
        writable: page.writable && writable,
        ..page
    })
}
