//! Hands one input to the device, checked as the connection checks what comes from QEMU.

use endpoint::{MessageError, Tick, Ticket};
use recording::log::{MAX_SLICES, Mapping, ReplyFailure, ResetInput, Unmapping};
use rustix::event::{EventfdFlags, eventfd};
use vfio_user::{
    DeviceModel as _, DmaMap, DmaPermissions, DmaUnmap, IrqAction, IrqData, IrqIndex, IrqSet,
    RegionIndex,
};

use super::files::Files;
use super::input::{Input, Irqs};
use crate::dut::Dut;

/// Longest access to a region; QEMU may send no longer one.
const MAX_ACCESS_BYTES: u64 = 1 << 20;

/// Carries one input out. What the device answers is not looked at: the trace tells it.
///
/// # Errors
/// What is impossible about the input.
pub(super) fn apply(dut: &mut Dut, files: &mut Files, input: Input) -> Result<(), String> {
    match input {
        Input::Read {
            region,
            offset,
            length,
        } => {
            let region = checked(dut, region, offset, length.into())?;
            let mut data = vec![0; usize::try_from(length).unwrap_or(0)];
            dut.read_region(region, offset, &mut data).ok();
        }
        Input::Write {
            region,
            offset,
            data,
        } => {
            let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
            let region = checked(dut, region, offset, length)?;
            dut.write_region(region, offset, &data).ok();
        }
        Input::Map(mapping) => {
            dut.dma_map(map(files, &mapping)?).ok();
        }
        Input::Unmap(unmapping) => {
            dut.dma_unmap(unmap(unmapping)?).ok();
        }
        Input::SetIrqs(irqs) => {
            dut.set_irqs(irq_set(dut, &irqs)?).ok();
        }
        Input::Reset(ResetInput::Platform) => {
            dut.reset().ok();
        }
        Input::Reset(ResetInput::Control) => dut.reset_by_control(),
        Input::Disconnected => dut.disconnected(),
        Input::Reply { ticket, outcome } => {
            let answer = outcome.as_deref().map_err(|failure| match failure {
                ReplyFailure::Refused => MessageError::Refused,
                ReplyFailure::TimedOut => MessageError::Timeout,
                ReplyFailure::Disconnected => MessageError::Disconnected,
            });
            dut.message_answered(Ticket(ticket), answer);
        }
        Input::Control(text) => dut.change_by_text(&text)?,
        Input::Work { slices } => {
            if slices > MAX_SLICES {
                return Err(format!("{slices} slices of work in one event"));
            }
            for _ in 0..slices {
                dut.work_without_platform();
            }
        }
        Input::Tick { us } => dut.set_now(Tick::from_micros(us)),
        Input::Position(_) => {}
    }
    Ok(())
}

fn checked(dut: &Dut, region: u32, offset: u64, length: u64) -> Result<RegionIndex, String> {
    let index =
        RegionIndex::try_new(region).ok_or_else(|| format!("there is no region {region}"))?;
    let size = dut.region_info(index).size;
    let is_inside = offset.checked_add(length).is_some_and(|end| end <= size);
    if length == 0 || length > MAX_ACCESS_BYTES || !is_inside {
        return Err(format!(
            "an access of {length:#x} bytes at {offset:#x} of region {region}, which has {size:#x}"
        ));
    }
    Ok(index)
}

fn map(files: &mut Files, mapping: &Mapping) -> Result<DmaMap, String> {
    let ends_well = mapping.size > 0
        && mapping.iova.checked_add(mapping.size - 1).is_some()
        && mapping.file_offset.checked_add(mapping.size).is_some();
    if !ends_well {
        return Err(format!(
            "a mapping of {:#x} bytes at {:#x}",
            mapping.size, mapping.iova
        ));
    }
    Ok(DmaMap {
        iova: mapping.iova,
        size: mapping.size,
        permissions: DmaPermissions {
            read: mapping.read,
            write: mapping.write,
        },
        fd: mapping
            .file
            .map(|file| files.descriptor(file))
            .transpose()?,
        file_offset: mapping.file_offset,
    })
}

fn unmap(unmapping: Unmapping) -> Result<DmaUnmap, String> {
    match unmapping {
        Unmapping::All => Ok(DmaUnmap::All),
        Unmapping::Range { iova, size } if size > 0 && iova.checked_add(size - 1).is_some() => {
            Ok(DmaUnmap::Range { iova, size })
        }
        Unmapping::Range { iova, size } => Err(format!("an unmap of {size:#x} bytes at {iova:#x}")),
    }
}

fn irq_set(dut: &Dut, irqs: &Irqs) -> Result<IrqSet, String> {
    let index = IrqIndex::try_new(irqs.index)
        .ok_or_else(|| format!("there is no interrupt kind {}", irqs.index))?;
    let there_are = dut.irq_info(index).count;
    let end = irqs.start.checked_add(irqs.count);
    if end.is_none_or(|end| end > there_are) || irqs.eventfds.is_some_and(|n| n > irqs.count) {
        return Err(format!(
            "{} vectors from {} of interrupt kind {}, which has {there_are}",
            irqs.count, irqs.start, irqs.index
        ));
    }
    let data = match (&irqs.flags, irqs.eventfds) {
        (Some(flags), _) => IrqData::Flags(flags.iter().map(|flag| *flag != 0).collect()),
        (None, None) => IrqData::None,
        (None, Some(count)) => {
            let flags = EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC;
            let fds = (0..count).map(|_| eventfd(0, flags));
            let fds: Result<_, _> = fds.collect();
            IrqData::EventFds(fds.map_err(|error| format!("no eventfd can be had: {error}"))?)
        }
    };
    Ok(IrqSet {
        index,
        start: irqs.start,
        count: irqs.count,
        action: match irqs.action {
            0 => IrqAction::Mask,
            1 => IrqAction::Unmask,
            2 => IrqAction::Trigger,
            other => return Err(format!("there is no action {other} on interrupts")),
        },
        data,
    })
}
