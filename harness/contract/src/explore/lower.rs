//! From an action to the driver's operations.

use dmarig_abi::descriptor::{
    DESCRIPTOR_FLAG_MESSAGE, DMA_OP_CRC, DMA_OP_VERIFY_PATTERN, DMA_OP_WRITE_PATTERN,
};
use dmarig_abi::operation::{self as op};

use super::action::{Action, Config, Way};
use super::content::Extent;
use super::model::Model;
use crate::device_description::DeviceDescription;
use crate::step::{Step, Transfer};

/// MM_ALLOCATE_FULLY_REQUIRED of MmAllocatePagesForMdlEx.
const FULLY_REQUIRED: u32 = 0x04;
/// MM_ALLOCATE_REQUIRE_CONTIGUOUS_CHUNKS of the same.
const REQUIRE_CONTIGUOUS: u32 = 0x20;
/// MM_CACHED and MM_NON_CACHED.
const CACHED: u64 = 1;
const NOT_CACHED: u64 = 0;

/// What an action becomes.
pub(super) struct Lowered {
    /// The operations; the first one is the action itself.
    pub(super) steps: Vec<Step>,
    /// The pattern that a check or a transfer is about, with its offset in the object.
    pub(super) pattern: Option<Extent>,
}

/// Turns an action into operations, before it takes effect on the model.
pub(super) fn lower(model: &Model, action: &Action) -> Lowered {
    let mut pattern = None;
    let mut steps = Vec::new();
    match *action {
        Action::Check { object, pick } => {
            pattern = pick_pattern(model, object, pick);
            steps.push(match pattern {
                Some(at) => Step::cpu_check(object, at.start, at.len, at.seed),
                // Nothing is known to lie there: whether the object can be read is asked all the same.
                None => Step::cpu_check(object, 0, 0, 0),
            });
        }
        Action::DeviceVerify { buffer, pick, way } | Action::DeviceCrc { buffer, pick, way } => {
            pattern = pick_pattern(model, buffer, pick);
            let opcode = match action {
                Action::DeviceCrc { .. } => DMA_OP_CRC,
                _ => DMA_OP_VERIFY_PATTERN,
            };
            steps.push(match (pattern, model.buffer(buffer)) {
                (None, Some(_)) => Step::cpu_check(buffer, 0, 0, 0),
                (at, _) => transfer(buffer, opcode, at.unwrap_or(NO_BYTES), way),
            });
        }
        Action::DeviceWrite {
            buffer,
            offset,
            length_bytes,
            seed,
            way,
        } => {
            let at = Extent {
                start: offset,
                len: length_bytes,
                seed,
            };
            pattern = Some(at);
            steps.push(transfer(buffer, DMA_OP_WRITE_PATTERN, at, way));
        }
        Action::CreateFromMdl {
            slot,
            adapter,
            mdl,
            ref configs,
        } => steps.push(create_from_mdl(
            model,
            slot,
            adapter,
            mdl,
            configs.as_deref(),
        )),
        _ => steps.push(plain(action)),
    }
    // Frames are read when they have just been filled in.
    let described = action
        .described_mdl()
        .filter(|_| !matches!(action, Action::QueryMdl { .. }));
    steps.extend(described.map(Step::mdl_query));
    Lowered { steps, pattern }
}

const NO_BYTES: Extent = Extent {
    start: 0,
    len: 1,
    seed: 0,
};

/// One of the patterns that must lie in an object, with its offset in it.
fn pick_pattern(model: &Model, object: u32, pick: u32) -> Option<Extent> {
    let view = model.view(object)?;
    let known = model.known_content(view);
    let index = usize::try_from(pick).ok()?.checked_rem(known.len())?;
    let at = known.get(index)?;
    Some(Extent {
        start: at.start - view.1,
        ..*at
    })
}

fn transfer(buffer: u32, opcode: u16, at: Extent, way: Way) -> Step {
    Step::device_transfer(Transfer {
        device: 0,
        channel: way.channel,
        opcode,
        flags: if way.by_message {
            DESCRIPTOR_FLAG_MESSAGE
        } else {
            0
        },
        mode: way.mode,
        buffer,
        offset: at.start,
        length_bytes: at.len,
        seed: at.seed,
    })
}

fn create_from_mdl(
    model: &Model,
    slot: u32,
    adapter: u32,
    mdl: u32,
    configs: Option<&[Config]>,
) -> Step {
    let resolved = configs.map(|configs| model.resolved(mdl, configs).unwrap_or_default());
    let covered = configs
        .unwrap_or_default()
        .iter()
        .find_map(|config| match config {
            Config::SubSection { offset, length } => Some((*offset, u64::from(*length))),
            _ => None,
        });
    Step::buffer_create_from_mdl(slot, adapter, mdl, resolved.as_deref(), covered)
}

fn plain(action: &Action) -> Step {
    match *action {
        Action::OpenAdapter {
            slot,
            version,
            width_bits,
        } => Step::adapter_open(slot, 0, description(version, width_bits)),
        Action::PutAdapter { adapter } => Step::adapter_put(adapter),
        Action::ReadAlignment { adapter } => {
            Step::of(op::OP_ADAPTER_ALIGNMENT, op::SLOT_NONE, adapter, [0; 5])
        }
        Action::Allocate {
            slot,
            adapter,
            length_bytes,
            is_cached,
        } => {
            let arguments = [length_bytes, is_cached.into(), 0, 0, 0];
            Step::of(op::OP_BUFFER_ALLOCATE, slot, adapter, arguments)
        }
        Action::AllocateEx {
            slot,
            adapter,
            length_bytes,
            maximum,
            is_cached,
        } => {
            let arguments = [length_bytes, is_cached.into(), maximum.unwrap_or(0), 0, 0];
            let mut step = Step::of(op::OP_BUFFER_ALLOCATE_EX, slot, adapter, arguments);
            step.operation.flags = maximum.map_or(0, |_| op::OP_FLAG_MAXIMUM);
            step
        }
        Action::AllocateWithBounds {
            slot,
            adapter,
            length_bytes,
            minimum,
            maximum,
            is_cached,
        } => {
            let mut step =
                Step::buffer_allocate_with_bounds(slot, adapter, length_bytes, minimum, maximum);
            let kind = match is_cached {
                Some(false) => NOT_CACHED,
                Some(true) | None => CACHED,
            };
            step.operation.arg[3] = kind << 32;
            if is_cached.is_none() {
                step.operation.flags &= !op::OP_FLAG_CACHE_TYPE;
            }
            step
        }
        Action::FreeBuffer { buffer } => Step::buffer_free(buffer),
        Action::AllocateMemory {
            slot,
            is_contiguous: true,
            pages,
        } => Step::contiguous_allocate(slot, pages * crate::oracle::PAGE_SIZE),
        Action::AllocateMemory { slot, pages, .. } => {
            Step::pool_allocate(slot, pages * crate::oracle::PAGE_SIZE)
        }
        Action::FreeMemory { memory } => Step::memory_free(memory),
        Action::AllocateMdl {
            slot,
            memory,
            offset,
            length_bytes,
        } => Step::mdl_allocate(slot, memory, offset, length_bytes),
        Action::AllocatePages {
            slot,
            pages,
            is_contiguous,
        } => {
            let flags = if is_contiguous {
                REQUIRE_CONTIGUOUS
            } else {
                FULLY_REQUIRED
            };
            Step::mdl_allocate_pages(slot, pages * crate::oracle::PAGE_SIZE, flags)
        }
        Action::BuildPartial {
            slot,
            source,
            offset,
            length_bytes,
        } => {
            let arguments = [offset, length_bytes, 0, 0, 0];
            Step::of(op::OP_MDL_BUILD_PARTIAL, slot, source, arguments)
        }
        Action::BuildNonpaged { mdl } => Step::mdl_build_nonpaged(mdl),
        Action::Lock { mdl } => Step::mdl_probe_and_lock(mdl),
        Action::Unlock { mdl } => Step::mdl_unlock(mdl),
        Action::Map { mdl } => Step::mdl_map(mdl),
        Action::Unmap { mdl } => Step::of(op::OP_MDL_UNMAP, op::SLOT_NONE, mdl, [0; 5]),
        Action::FreeMdl { mdl } => Step::mdl_free(mdl),
        Action::FreePages { mdl } => Step::mdl_free_pages(mdl),
        Action::Chain { mdl, next } => Step::mdl_chain(mdl, next),
        Action::QueryMdl { mdl } => Step::mdl_query(mdl),
        Action::Fill {
            object,
            offset,
            length_bytes,
            seed,
        } => Step::cpu_fill(object, offset, length_bytes, seed),
        Action::OpenRing {
            slot,
            adapter,
            channel,
            entries,
        } => Step::ring_open(slot, 0, adapter, channel, entries),
        Action::CloseRing { ring } => Step::ring_close(ring),
        // What is lowered with the model's help is no business of this function.
        Action::ReleaseAll
        | Action::CreateFromMdl { .. }
        | Action::Check { .. }
        | Action::DeviceWrite { .. }
        | Action::DeviceVerify { .. }
        | Action::DeviceCrc { .. } => Step::release_all(),
    }
}

fn description(version: u32, width_bits: u32) -> DeviceDescription {
    DeviceDescription {
        version,
        dma_32_bit: version < 3,
        dma_64_bit: version < 3 && width_bits == 64,
        ..DeviceDescription::version_3(width_bits)
    }
}
