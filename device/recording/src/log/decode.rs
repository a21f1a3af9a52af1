//! Bytes to events. The bytes may come from anybody: every length is checked against what is there,
//! and nothing is allocated.

use super::encode::{irq_data, map_flag, tag};
use super::event::{
    Event, Irqs, Mapping, MappingFile, ReplyFailure, ResetInput, SubmitFailure, Unmapping,
};
use super::varint;
use crate::trace::LedgerHash;

/// Takes an event off the front of a block.
///
/// # Errors
/// What is wrong with it.
pub(super) fn event<'a>(from: &mut &'a [u8]) -> Result<Event<'a>, &'static str> {
    let event = match byte(from)? {
        tag::REGION_READ => Event::RegionRead {
            region: small(from)?,
            offset: number(from)?,
            length: small(from)?,
        },
        tag::REGION_WRITE => Event::RegionWrite {
            region: small(from)?,
            offset: number(from)?,
            data: bytes(from)?,
        },
        tag::MAP => Event::Map(map(from)?),
        tag::UNMAP_ALL => Event::Unmap(Unmapping::All),
        tag::UNMAP => Event::Unmap(Unmapping::Range {
            iova: number(from)?,
            size: number(from)?,
        }),
        tag::SET_IRQS => Event::SetIrqs(set_irqs(from)?),
        tag::RESET_PLATFORM => Event::Reset(ResetInput::Platform),
        tag::RESET_CONTROL => Event::Reset(ResetInput::Control),
        tag::DISCONNECTED => Event::Disconnected,
        tag::REPLY => Event::DmaReply {
            ticket: number(from)?,
            outcome: Ok(bytes(from)?),
        },
        tag::REPLY_REFUSED => failed_reply(from, ReplyFailure::Refused)?,
        tag::REPLY_TIMED_OUT => failed_reply(from, ReplyFailure::TimedOut)?,
        tag::REPLY_DISCONNECTED => failed_reply(from, ReplyFailure::Disconnected)?,
        tag::CONTROL => {
            let text = std::str::from_utf8(bytes(from)?);
            Event::Control(text.map_err(|_| "a control call is no text")?)
        }
        tag::WORK => Event::Work {
            slices: number(from)?,
        },
        tag::TICK => Event::Tick { us: number(from)? },
        tag::BYTES => Event::Bytes(bytes(from)?),
        tag::FILL => Event::Fill {
            byte: u8::try_from(number(from)?).map_err(|_| "a byte is above 255")?,
            length: number(from)?,
        },
        tag::SUBMIT_BUSY => Event::SubmitFailed(SubmitFailure::Busy),
        tag::SUBMIT_UNAVAILABLE => Event::SubmitFailed(SubmitFailure::Unavailable),
        tag::CHECKPOINT => Event::Checkpoint {
            records: number(from)?,
            hash: hash(from)?,
        },
        tag::CUT => Event::Cut,
        tag::END => Event::End {
            records: number(from)?,
            hash: hash(from)?,
        },
        _ => return Err("there is no such event"),
    };
    Ok(event)
}

fn map(from: &mut &[u8]) -> Result<Mapping, &'static str> {
    let flags = byte(from)?;
    if flags & !(map_flag::READ | map_flag::WRITE | map_flag::FILE) != 0 {
        return Err("a mapping has unknown flags");
    }
    let mut mapping = Mapping {
        iova: number(from)?,
        size: number(from)?,
        read: flags & map_flag::READ != 0,
        write: flags & map_flag::WRITE != 0,
        file_offset: number(from)?,
        file: None,
    };
    if flags & map_flag::FILE != 0 {
        mapping.file = Some(MappingFile {
            number: small(from)?,
            size: number(from)?,
        });
    }
    Ok(mapping)
}

fn set_irqs<'a>(from: &mut &'a [u8]) -> Result<Irqs<'a>, &'static str> {
    let mut irqs = Irqs {
        index: small(from)?,
        start: small(from)?,
        count: small(from)?,
        action: u8::try_from(number(from)?).map_err(|_| "an action of interrupts is unknown")?,
        flags: None,
        eventfds: None,
    };
    match byte(from)? {
        irq_data::NONE => {}
        irq_data::FLAGS => irqs.flags = Some(bytes(from)?),
        irq_data::EVENTFDS => irqs.eventfds = Some(small(from)?),
        _ => return Err("data of interrupts are of unknown kind"),
    }
    Ok(irqs)
}

fn failed_reply(from: &mut &[u8], failure: ReplyFailure) -> Result<Event<'static>, &'static str> {
    Ok(Event::DmaReply {
        ticket: number(from)?,
        outcome: Err(failure),
    })
}

fn byte(from: &mut &[u8]) -> Result<u8, &'static str> {
    let (byte, rest) = from.split_first().ok_or("an event is cut off")?;
    *from = rest;
    Ok(*byte)
}

fn number(from: &mut &[u8]) -> Result<u64, &'static str> {
    varint::read(from).ok_or("a number is cut off or too long")
}

fn small(from: &mut &[u8]) -> Result<u32, &'static str> {
    u32::try_from(number(from)?).map_err(|_| "a number is above 2^32")
}

fn bytes<'a>(from: &mut &'a [u8]) -> Result<&'a [u8], &'static str> {
    let length = usize::try_from(number(from)?).map_err(|_| "a length is too large")?;
    let (data, rest) = from
        .split_at_checked(length)
        .ok_or("data are longer than their block")?;
    *from = rest;
    Ok(data)
}

fn hash(from: &mut &[u8]) -> Result<LedgerHash, &'static str> {
    let (hash, rest) = from.split_first_chunk().ok_or("a hash is cut off")?;
    *from = rest;
    Ok(LedgerHash(*hash))
}
