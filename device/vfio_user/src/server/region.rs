//! Region accesses. Document: "VFIO_USER_REGION_READ", "VFIO_USER_REGION_WRITE".

use zerocopy::FromBytes;

use super::{ReplyBody, parse_exact};
use crate::device_model::{DeviceModel, RegionIndex, RegionInfo};
use crate::error::Errno;
use crate::message::{MAX_DATA_XFER_SIZE, RegionAccess};

/// An access that was checked against its region.
struct CheckedAccess {
    region: RegionIndex,
    offset: u64,
    len: usize,
}

pub(super) fn read(
    payload: &[u8],
    device: &mut impl DeviceModel,
    reply: &mut ReplyBody<'_>,
) -> Result<(), Errno> {
    let access: RegionAccess = parse_exact(payload)?;
    let checked = check(&access, device, |region| region.readable)?;
    reply.output.append(&access);
    let data = reply.output.append_zeroed(checked.len);
    device.read_region(checked.region, checked.offset, data)
}

pub(super) fn write(
    payload: &[u8],
    device: &mut impl DeviceModel,
    reply: &mut ReplyBody<'_>,
) -> Result<(), Errno> {
    let (access, data) = RegionAccess::read_from_prefix(payload).map_err(|_| Errno::EINVAL)?;
    let checked = check(&access, device, |region| region.writable)?;
    if data.len() != checked.len {
        return Err(Errno::EINVAL);
    }
    device.write_region(checked.region, checked.offset, data)?;
    reply.output.append(&access);
    Ok(())
}

/// Checks that the access is not empty, not above the negotiated length, and within its region.
fn check(
    access: &RegionAccess,
    device: &impl DeviceModel,
    permits: impl Fn(&RegionInfo<'_>) -> bool,
) -> Result<CheckedAccess, Errno> {
    let region = RegionIndex::try_new(access.region).ok_or(Errno::EINVAL)?;
    let len = usize::try_from(access.count).map_err(|_| Errno::E2BIG)?;
    if len > MAX_DATA_XFER_SIZE {
        return Err(Errno::E2BIG);
    }
    let info = device.region_info(region);
    let end = access
        .offset
        .checked_add(u64::from(access.count))
        .ok_or(Errno::EINVAL)?;
    if len == 0 || end > info.size {
        return Err(Errno::EINVAL);
    }
    if !permits(&info) {
        return Err(Errno::EACCES);
    }
    Ok(CheckedAccess {
        region,
        offset: access.offset,
        len,
    })
}
