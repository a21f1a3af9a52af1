//! Packet DMA as a case sees it: the bytes of an MDL chain, the elements that a device is given for them, and the
//! moves by which it is seen that they are the same memory.

mod channel;
mod list;
mod moves;

use dmarig_abi::Iova;

use crate::bench::{Bench, Buffer, MdlSource};
use crate::finding::{CaseEnd, Finding};
use crate::oracle::PAGE_SIZE;
use crate::step::Bytes;
use crate::step::{Step, StepResult};

pub(crate) use channel::{AMPLE_LIST_BYTES, Registers};
pub(crate) use list::List;

/// The memory of a transfer: one MDL or a chain.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    /// Name in reports.
    pub(crate) name: String,
    parts: Vec<Part>,
}

/// One MDL of the chain.
#[derive(Clone, Copy, Debug)]
struct Part {
    mdl: u32,
    /// Offset of its first byte in its page.
    byte_offset: u64,
    length_bytes: u64,
}

/// Bytes that lie in one page of one MDL: elements begin and end where these do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unit {
    mdl: u32,
    /// Offset in the MDL.
    mdl_offset: u64,
    /// Offset in the chain.
    pub(crate) offset: u64,
    pub(crate) length_bytes: u64,
}

/// What the device is told of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Element {
    pub(crate) address: u64,
    pub(crate) length_bytes: u64,
}

impl Packet {
    /// All of one MDL that starts `byte_offset` into a page.
    pub(crate) fn of(source: &MdlSource, byte_offset: u64) -> Self {
        Self {
            name: source.name.clone(),
            parts: vec![Part {
                mdl: source.slot,
                byte_offset,
                length_bytes: source.length_bytes(),
            }],
        }
    }

    /// The chain's MDLs behind one another; they are chained already.
    fn chain(first: &Self, second: &Self) -> Self {
        Self {
            name: format!("{} and {}", first.name, second.name),
            parts: [&first.parts[..], &second.parts[..]].concat(),
        }
    }

    /// All bytes.
    pub(crate) fn length_bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.length_bytes).sum()
    }

    /// All of it, in a direction.
    pub(crate) fn bytes(&self, write_to_device: bool) -> Bytes {
        self.part(0, self.length_bytes(), write_to_device)
    }

    /// Part of it.
    pub(crate) fn part(&self, offset: u64, length_bytes: u64, write_to_device: bool) -> Bytes {
        Bytes {
            mdl: self.parts.first().map_or(0, |part| part.mdl),
            offset,
            length_bytes,
            write_to_device,
        }
    }

    /// The units of a range, in order.
    pub(crate) fn units(&self, bytes: Bytes) -> Vec<Unit> {
        let end = bytes.offset + bytes.length_bytes;
        let mut units = Vec::new();
        let mut start = 0;
        for part in &self.parts {
            let part_end = start + part.length_bytes;
            let mut at = bytes.offset.max(start);
            while at < end.min(part_end) {
                let in_page = (part.byte_offset + at - start) % PAGE_SIZE;
                let length_bytes = (PAGE_SIZE - in_page).min(end.min(part_end) - at);
                units.push(Unit {
                    mdl: part.mdl,
                    mdl_offset: at - start,
                    offset: at,
                    length_bytes,
                });
                at += length_bytes;
            }
            start = part_end;
        }
        units
    }
}

impl Bench<'_> {
    /// Two packets as one chain.
    pub(crate) fn chained(
        &mut self,
        first: (&mut MdlSource, &Packet),
        second: (&MdlSource, &Packet),
    ) -> Result<Packet, CaseEnd> {
        self.chain(first.0, second.0)?;
        Ok(Packet::chain(first.1, second.1))
    }

    /// A built MDL of nonpaged memory, `byte_offset` into a page.
    pub(crate) fn packet(
        &mut self,
        byte_offset: u64,
        length_bytes: u64,
    ) -> Result<(MdlSource, Packet), CaseEnd> {
        let source = self.odd_mdl(byte_offset, length_bytes)?;
        let packet = Packet::of(&source, byte_offset);
        Ok((source, packet))
    }

    /// A step that must fail with this status, call no routine and change no mapping.
    pub(crate) fn refused(
        &mut self,
        what: &str,
        step: Step,
        status: crate::nt_status::NtStatus,
    ) -> Result<(), CaseEnd> {
        let result = self.run_one(step)?;
        let is_status = result.result.outcome == dmarig_abi::operation::OUTCOME_DONE
            && result.status() == status;
        if !is_status || result.result.value[1] != 0 {
            let expected = format!("{status}, and no routine called");
            let mut finding = super::driver_finding(what, &expected, &result);
            if is_status {
                finding.seen = format!("{}, and a routine called", result.describe());
            }
            return Err(finding.into());
        }
        self.check_unchanged(&format!("the refused {what}"))
    }

    /// A step whose outcome the documents leave open: noted, and no mapping may come of it unless it succeeds.
    pub(crate) fn observe_outcome(
        &mut self,
        what: &str,
        step: Step,
    ) -> Result<StepResult, CaseEnd> {
        let result = self.run_one(step)?;
        self.observe(format!("seen: {what}: {}", result.describe()));
        if !result.is_success() {
            self.check_unchanged(&format!("the refused {what}"))?;
        }
        Ok(result)
    }

    /// Demands something of a result, in words.
    pub(crate) fn demand(
        &mut self,
        what: &str,
        expected: &str,
        seen: String,
        holds: bool,
    ) -> Result<(), CaseEnd> {
        if holds {
            return Ok(());
        }
        Err(Finding {
            view: "driver",
            what: what.to_owned(),
            buffer: None,
            logical_address: None,
            expected: expected.to_owned(),
            seen,
        }
        .into())
    }

    /// The guest itself must have found this, and nothing else.
    pub(crate) fn expect_guest_finding(&mut self, id: &str) -> Result<(), CaseEnd> {
        let found = self.rig.take_guest_findings()?;
        let is_it = matches!(&found[..], [only] if only.contains(id));
        if is_it {
            return Ok(());
        }
        Err(Finding {
            view: "guest",
            what: "what the guest finds in a misuse without a documented bug check".to_owned(),
            buffer: None,
            logical_address: None,
            expected: id.to_owned(),
            seen: format!("{found:?}"),
        }
        .into())
    }
}

/// A unit as a buffer for the judges: its address is the device's.
fn unit_buffer(packet: &Packet, unit: Unit, address: u64) -> Buffer {
    Buffer {
        name: format!(
            "{} bytes {:#x}..{:#x}",
            packet.name,
            unit.offset,
            unit.offset + unit.length_bytes
        ),
        slot: dmarig_abi::operation::SLOT_NONE,
        logical_address: Iova::new(address),
        length_bytes: unit.length_bytes,
        pfns: None,
    }
}

/// The address of byte `offset` (from the transfer's start), and how many bytes follow in its element.
fn locate(elements: &[Element], offset: u64) -> Option<(u64, u64)> {
    let mut start = 0;
    for element in elements {
        let end = start + element.length_bytes;
        if offset < end {
            return Some((element.address.wrapping_add(offset - start), end - offset));
        }
        start = end;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet() -> Packet {
        let part = |mdl, byte_offset, length_bytes| Part {
            mdl,
            byte_offset,
            length_bytes,
        };
        Packet {
            name: "two".into(),
            parts: vec![part(1, 0x800, 0x1000), part(2, 0x10, 0x20)],
        }
    }

    #[test]
    fn units_end_at_pages_and_mdls() {
        let packet = packet();
        let seen: Vec<_> = packet
            .units(packet.part(0x10, 0x1008, true))
            .iter()
            .map(|unit| (unit.mdl, unit.mdl_offset, unit.length_bytes))
            .collect();
        assert_eq!(seen, [(1, 0x10, 0x7f0), (1, 0x800, 0x800), (2, 0, 0x18)]);
    }

    #[test]
    fn address_of_a_byte_lies_in_its_element() {
        let element = |address, length_bytes| Element {
            address,
            length_bytes,
        };
        let elements = [element(0x1800, 0x800), element(0x5000, 0x1000)];
        assert_eq!(locate(&elements, 0x7ff), Some((0x1fff, 1)));
        assert_eq!(locate(&elements, 0x800), Some((0x5000, 0x1000)));
        assert_eq!(locate(&elements, 0x1800), None);
    }
}
