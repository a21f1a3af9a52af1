//! Events to bytes: a tag, then its fields. `decode` is the other half.

use super::event::{Event, Irqs, Mapping, ReplyFailure, ResetInput, SubmitFailure, Unmapping};
use super::varint;
use crate::trace::LedgerHash;

pub(super) mod tag {
    pub const REGION_READ: u8 = 1;
    pub const REGION_WRITE: u8 = 2;
    pub const MAP: u8 = 3;
    pub const UNMAP_ALL: u8 = 4;
    pub const UNMAP: u8 = 5;
    pub const SET_IRQS: u8 = 6;
    pub const RESET_PLATFORM: u8 = 7;
    pub const RESET_CONTROL: u8 = 8;
    pub const DISCONNECTED: u8 = 9;
    pub const REPLY: u8 = 10;
    pub const REPLY_REFUSED: u8 = 11;
    pub const REPLY_TIMED_OUT: u8 = 12;
    pub const REPLY_DISCONNECTED: u8 = 13;
    pub const CONTROL: u8 = 14;
    pub const WORK: u8 = 15;
    pub const TICK: u8 = 16;
    pub const BYTES: u8 = 17;
    pub const FILL: u8 = 18;
    pub const SUBMIT_BUSY: u8 = 19;
    pub const SUBMIT_UNAVAILABLE: u8 = 20;
    pub const CHECKPOINT: u8 = 21;
    pub const CUT: u8 = 22;
    pub const END: u8 = 23;
}

pub(super) mod map_flag {
    pub const READ: u8 = 1;
    pub const WRITE: u8 = 2;
    pub const FILE: u8 = 4;
}

pub(super) mod irq_data {
    pub const NONE: u8 = 0;
    pub const FLAGS: u8 = 1;
    pub const EVENTFDS: u8 = 2;
}

/// Appends an event.
pub(super) fn event(event: &Event<'_>, to: &mut Vec<u8>) {
    match *event {
        Event::RegionRead {
            region,
            offset,
            length,
        } => {
            numbers(
                tag::REGION_READ,
                &[region.into(), offset, length.into()],
                to,
            );
        }
        Event::RegionWrite {
            region,
            offset,
            data,
        } => {
            numbers(tag::REGION_WRITE, &[region.into(), offset], to);
            bytes(data, to);
        }
        Event::Map(mapping) => map(&mapping, to),
        Event::Unmap(Unmapping::All) => to.push(tag::UNMAP_ALL),
        Event::Unmap(Unmapping::Range { iova, size }) => numbers(tag::UNMAP, &[iova, size], to),
        Event::SetIrqs(irqs) => set_irqs(&irqs, to),
        Event::Reset(ResetInput::Platform) => to.push(tag::RESET_PLATFORM),
        Event::Reset(ResetInput::Control) => to.push(tag::RESET_CONTROL),
        Event::Disconnected => to.push(tag::DISCONNECTED),
        Event::DmaReply { ticket, outcome } => match outcome {
            Ok(data) => {
                numbers(tag::REPLY, &[ticket], to);
                bytes(data, to);
            }
            Err(ReplyFailure::Refused) => numbers(tag::REPLY_REFUSED, &[ticket], to),
            Err(ReplyFailure::TimedOut) => numbers(tag::REPLY_TIMED_OUT, &[ticket], to),
            Err(ReplyFailure::Disconnected) => numbers(tag::REPLY_DISCONNECTED, &[ticket], to),
        },
        Event::Control(text) => {
            to.push(tag::CONTROL);
            bytes(text.as_bytes(), to);
        }
        Event::Work { slices } => numbers(tag::WORK, &[slices], to),
        Event::Tick { us } => numbers(tag::TICK, &[us], to),
        Event::Bytes(data) => {
            to.push(tag::BYTES);
            bytes(data, to);
        }
        Event::Fill { byte, length } => numbers(tag::FILL, &[byte.into(), length], to),
        Event::SubmitFailed(SubmitFailure::Busy) => to.push(tag::SUBMIT_BUSY),
        Event::SubmitFailed(SubmitFailure::Unavailable) => to.push(tag::SUBMIT_UNAVAILABLE),
        Event::Checkpoint { records, hash } => position(tag::CHECKPOINT, records, hash, to),
        Event::Cut => to.push(tag::CUT),
        Event::End { records, hash } => position(tag::END, records, hash, to),
    }
}

fn map(mapping: &Mapping, to: &mut Vec<u8>) {
    let mut flags = 0;
    for (is_set, flag) in [
        (mapping.read, map_flag::READ),
        (mapping.write, map_flag::WRITE),
        (mapping.file.is_some(), map_flag::FILE),
    ] {
        if is_set {
            flags |= flag;
        }
    }
    to.extend([tag::MAP, flags]);
    for number in [mapping.iova, mapping.size, mapping.file_offset] {
        varint::write(number, to);
    }
    if let Some(file) = mapping.file {
        varint::write(file.number.into(), to);
        varint::write(file.size, to);
    }
}

fn set_irqs(irqs: &Irqs<'_>, to: &mut Vec<u8>) {
    let fields = [irqs.index, irqs.start, irqs.count, irqs.action.into()];
    numbers(tag::SET_IRQS, &fields.map(u64::from), to);
    match (irqs.flags, irqs.eventfds) {
        (Some(flags), _) => {
            to.push(irq_data::FLAGS);
            bytes(flags, to);
        }
        (None, Some(count)) => {
            to.push(irq_data::EVENTFDS);
            varint::write(count.into(), to);
        }
        (None, None) => to.push(irq_data::NONE),
    }
}

fn position(tag: u8, records: u64, hash: LedgerHash, to: &mut Vec<u8>) {
    numbers(tag, &[records], to);
    to.extend(hash.0);
}

fn numbers(tag: u8, values: &[u64], to: &mut Vec<u8>) {
    to.push(tag);
    for value in values {
        varint::write(*value, to);
    }
}

fn bytes(data: &[u8], to: &mut Vec<u8>) {
    varint::write(u64::try_from(data.len()).expect("usize fits into u64"), to);
    to.extend(data);
}
