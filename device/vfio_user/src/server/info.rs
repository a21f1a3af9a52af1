//! Descriptions of device, regions and interrupts. Document: "VFIO_USER_DEVICE_GET_INFO",
//! "VFIO_USER_DEVICE_GET_REGION_INFO", "VFIO_USER_DEVICE_GET_IRQ_INFO".

use super::{ReplyBody, check_argsz, parse_exact};
use crate::device_model::{
    DeviceModel, MAX_SPARSE_AREAS, MappableRegion, N_REGIONS, RegionIndex, RegionInfo,
};
use crate::error::Errno;
use crate::irq::{IrqIndex, N_IRQ_INDICES};
use crate::message::{
    CAP_SPARSE_MMAP, DEVICE_FLAG_PCI, DEVICE_FLAG_RESET, DeviceInfoMessage, IRQ_FLAG_AUTOMASKED,
    IRQ_FLAG_EVENTFD, IRQ_FLAG_MASKABLE, IrqInfoMessage, REGION_FLAG_CAPS, REGION_FLAG_MMAP,
    REGION_FLAG_READ, REGION_FLAG_WRITE, RegionInfoMessage, SparseArea, SparseMmapCapability,
};

pub(super) fn device(payload: &[u8], reply: &mut ReplyBody<'_>) -> Result<(), Errno> {
    let request: DeviceInfoMessage = parse_exact(payload)?;
    check_argsz::<DeviceInfoMessage>(request.argsz)?;
    reply.output.append(&DeviceInfoMessage {
        argsz: wire_size(size_of::<DeviceInfoMessage>()),
        flags: DEVICE_FLAG_RESET | DEVICE_FLAG_PCI,
        n_regions: N_REGIONS,
        n_irqs: N_IRQ_INDICES,
    });
    Ok(())
}

/// Answers with as much as the client has room for. Without room for the capabilities it gets
/// the size it needs and asks again; the descriptor goes with the whole answer only.
pub(super) fn region(
    payload: &[u8],
    device: &impl DeviceModel,
    reply: &mut ReplyBody<'_>,
) -> Result<(), Errno> {
    let request: RegionInfoMessage = parse_exact(payload)?;
    check_argsz::<RegionInfoMessage>(request.argsz)?;
    let index = RegionIndex::try_new(request.index).ok_or(Errno::EINVAL)?;
    let info = device.region_info(index);
    let areas = info.mappable.map_or(&[][..], |mappable| mappable.areas);
    let areas = &areas[..areas.len().min(MAX_SPARSE_AREAS)];
    let argsz = wire_size(size_of::<RegionInfoMessage>() + capability_size(areas));
    let has_room = request.argsz >= argsz;
    let has_capability = !areas.is_empty();
    reply.output.append(&RegionInfoMessage {
        argsz,
        flags: region_flags(&info, has_capability),
        index: request.index,
        cap_offset: if has_capability && has_room {
            wire_size(size_of::<RegionInfoMessage>())
        } else {
            0
        },
        size: info.size,
        offset: info.mappable.map_or(0, |mappable| mappable.file_offset),
    });
    if !has_room {
        return Ok(());
    }
    append_sparse_areas(areas, reply);
    if let Some(MappableRegion { fd, .. }) = info.mappable {
        let fd = fd.try_clone_to_owned().map_err(|_| Errno::ENOMEM)?;
        reply.output.attach(reply.mark, fd);
    }
    Ok(())
}

fn region_flags(info: &RegionInfo<'_>, has_capability: bool) -> u32 {
    [
        (info.readable, REGION_FLAG_READ),
        (info.writable, REGION_FLAG_WRITE),
        (info.mappable.is_some(), REGION_FLAG_MMAP),
        (has_capability, REGION_FLAG_CAPS),
    ]
    .into_iter()
    .filter(|(is_set, _)| *is_set)
    .fold(0, |flags, (_, flag)| flags | flag)
}

fn capability_size(areas: &[SparseArea]) -> usize {
    if areas.is_empty() {
        0
    } else {
        size_of::<SparseMmapCapability>() + size_of_val(areas)
    }
}

fn append_sparse_areas(areas: &[SparseArea], reply: &mut ReplyBody<'_>) {
    if areas.is_empty() {
        return;
    }
    reply.output.append(&SparseMmapCapability {
        id: CAP_SPARSE_MMAP,
        version: 1,
        next: 0,
        n_areas: wire_size(areas.len()),
        reserved: 0,
    });
    reply.output.append(areas);
}

pub(super) fn irq(
    payload: &[u8],
    device: &impl DeviceModel,
    reply: &mut ReplyBody<'_>,
) -> Result<(), Errno> {
    let request: IrqInfoMessage = parse_exact(payload)?;
    check_argsz::<IrqInfoMessage>(request.argsz)?;
    let index = IrqIndex::try_new(request.index).ok_or(Errno::EINVAL)?;
    let info = device.irq_info(index);
    let maskable = if info.maskable { IRQ_FLAG_MASKABLE } else { 0 };
    let automasked = if info.automasked {
        IRQ_FLAG_AUTOMASKED
    } else {
        0
    };
    reply.output.append(&IrqInfoMessage {
        argsz: wire_size(size_of::<IrqInfoMessage>()),
        flags: IRQ_FLAG_EVENTFD | maskable | automasked,
        index: request.index,
        count: info.count,
    });
    Ok(())
}

fn wire_size(size: usize) -> u32 {
    u32::try_from(size).expect("sizes of layouts and of at most 64 areas fit into 32 bits")
}
