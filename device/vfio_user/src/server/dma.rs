//! Mapping announcements. Document: "VFIO_USER_DMA_MAP", "VFIO_USER_DMA_UNMAP".
//!
//! The document wants unmaps to match a mapping exactly. QEMU with a vIOMMU sends ranges that
//! cover hundreds of mappings or none, that end at 2^64, and "all"; the device gets them so.

use std::os::fd::OwnedFd;

use super::{ReplyBody, check_argsz, parse_exact};
use crate::device_model::{DeviceModel, DmaMap, DmaPermissions, DmaUnmap};
use crate::error::Errno;
use crate::message::{DMA_MAP_READ, DMA_MAP_WRITE, DMA_UNMAP_ALL, DmaMapRequest, DmaUnmapRequest};

pub(super) fn map(
    payload: &[u8],
    mut fds: Vec<OwnedFd>,
    device: &mut impl DeviceModel,
) -> Result<(), Errno> {
    let request: DmaMapRequest = parse_exact(payload)?;
    check_argsz::<DmaMapRequest>(request.argsz)?;
    check_range(request.address, request.size)?;
    if request.file_offset.checked_add(request.size).is_none() {
        return Err(Errno::EINVAL);
    }
    // Bits we do not know are newer hints about how to reach the file; they take nothing away
    // from what is mapped.
    let permissions = DmaPermissions {
        read: request.flags & DMA_MAP_READ != 0,
        write: request.flags & DMA_MAP_WRITE != 0,
    };
    device.dma_map(DmaMap {
        iova: request.address,
        size: request.size,
        permissions,
        fd: fds.pop(),
        file_offset: request.file_offset,
    })
}

pub(super) fn unmap(
    payload: &[u8],
    device: &mut impl DeviceModel,
    reply: &mut ReplyBody<'_>,
) -> Result<(), Errno> {
    let request: DmaUnmapRequest = parse_exact(payload)?;
    check_argsz::<DmaUnmapRequest>(request.argsz)?;
    let unmap = match request.flags {
        0 => {
            check_range(request.address, request.size)?;
            DmaUnmap::Range {
                iova: request.address,
                size: request.size,
            }
        }
        DMA_UNMAP_ALL if request.address == 0 && request.size == 0 => DmaUnmap::All,
        _ => return Err(Errno::EINVAL),
    };
    device.dma_unmap(unmap)?;
    reply.output.append(&request);
    Ok(())
}

/// Refuses an empty range and one whose last byte lies beyond 2^64.
fn check_range(address: u64, size: u64) -> Result<(), Errno> {
    let last = size.checked_sub(1).ok_or(Errno::EINVAL)?;
    address.checked_add(last).map(|_| ()).ok_or(Errno::EINVAL)
}
