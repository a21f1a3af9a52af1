//! Interrupt settings. Document: "VFIO_USER_DEVICE_SET_IRQS".

use std::os::fd::OwnedFd;

use zerocopy::FromBytes;

use super::check_argsz;
use crate::device_model::DeviceModel;
use crate::error::Errno;
use crate::irq::{IrqAction, IrqData, IrqIndex, IrqSet};
use crate::message::{
    SET_IRQS_ACTION_MASK, SET_IRQS_ACTION_TRIGGER, SET_IRQS_ACTION_UNMASK, SET_IRQS_DATA_BOOL,
    SET_IRQS_DATA_EVENTFD, SET_IRQS_DATA_NONE, SetIrqsRequest,
};

const DATA_MASK: u32 = SET_IRQS_DATA_NONE | SET_IRQS_DATA_BOOL | SET_IRQS_DATA_EVENTFD;

pub(super) fn set(
    payload: &[u8],
    fds: Vec<OwnedFd>,
    device: &mut impl DeviceModel,
) -> Result<(), Errno> {
    let (request, flags) = SetIrqsRequest::read_from_prefix(payload).map_err(|_| Errno::EINVAL)?;
    check_argsz::<SetIrqsRequest>(request.argsz)?;
    let index = IrqIndex::try_new(request.index).ok_or(Errno::EINVAL)?;
    let end = request.start.checked_add(request.count);
    if end.is_none_or(|end| end > device.irq_info(index).count) {
        return Err(Errno::EINVAL);
    }
    device.set_irqs(IrqSet {
        index,
        start: request.start,
        count: request.count,
        action: parse_action(request.flags)?,
        data: parse_data(&request, flags, fds)?,
    })
}

fn parse_action(flags: u32) -> Result<IrqAction, Errno> {
    match flags & !DATA_MASK {
        SET_IRQS_ACTION_MASK => Ok(IrqAction::Mask),
        SET_IRQS_ACTION_UNMASK => Ok(IrqAction::Unmask),
        SET_IRQS_ACTION_TRIGGER => Ok(IrqAction::Trigger),
        _ => Err(Errno::EINVAL),
    }
}

/// Pairs the data with the range; `count` is at most the device's vectors by now.
fn parse_data(request: &SetIrqsRequest, flags: &[u8], fds: Vec<OwnedFd>) -> Result<IrqData, Errno> {
    let count = usize::try_from(request.count).map_err(|_| Errno::EINVAL)?;
    match request.flags & DATA_MASK {
        SET_IRQS_DATA_NONE if flags.is_empty() && fds.is_empty() => Ok(IrqData::None),
        SET_IRQS_DATA_BOOL if flags.len() == count && fds.is_empty() => Ok(IrqData::Flags(
            flags.iter().map(|flag| *flag != 0).collect(),
        )),
        SET_IRQS_DATA_EVENTFD if flags.is_empty() && (fds.is_empty() || fds.len() == count) => {
            Ok(IrqData::EventFds(fds))
        }
        _ => Err(Errno::EINVAL),
    }
}
