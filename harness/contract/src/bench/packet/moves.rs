//! Moving data through the elements of a transfer. Each unit has a pattern of its own, so that a swapped or repeated
//! element shows.

use dmarig_abi::Iova;
use dmarig_abi::descriptor::{DMA_OP_VERIFY_PATTERN, DMA_OP_WRITE_PATTERN};

use super::{Element, Packet, Unit, locate, unit_buffer};
use crate::bench::exercise::transfer;
use crate::bench::{Bench, Buffer, Pass};
use crate::finding::{CaseEnd, Finding};
use crate::oracle::{self, PAGE_SIZE};
use crate::rig::BufferDeclaration;
use crate::step::Bytes;
use crate::step::Step;

/// Operations in one program: the mailbox holds a few hundred.
const BATCH: usize = 64;
/// What the driver's memory holds where no data are due yet.
const STALE_SEED: u64 = 0x57A1_E000;

fn seed_of(unit: Unit) -> u64 {
    0x5EED_0000_0000 | unit.offset
}

impl Element {
    /// Pages that it touches.
    pub(super) fn pages(&self) -> impl Iterator<Item = u64> + use<> {
        let first = self.address & !(PAGE_SIZE - 1);
        let end = self.address.saturating_add(self.length_bytes);
        let count = end.saturating_sub(first).div_ceil(PAGE_SIZE);
        (0..count).map(move |index| first.wrapping_add(index * PAGE_SIZE))
    }
}

impl Bench<'_> {
    /// Before the mapping: the CPU writes what the device is to read, or what it is to overwrite.
    pub(crate) fn prepare(&mut self, packet: &Packet, bytes: Bytes) -> Result<(), CaseEnd> {
        let steps = packet.units(bytes).into_iter().map(|unit| {
            let seed = if bytes.write_to_device {
                seed_of(unit)
            } else {
                STALE_SEED
            };
            Step::cpu_fill(unit.mdl, unit.mdl_offset, unit.length_bytes, seed)
        });
        let steps: Vec<Step> = steps.collect();
        steps
            .chunks(BATCH)
            .try_for_each(|batch| self.require_all("the CPU's write", batch))
    }

    /// While it is mapped: the device reads and compares, or writes, through its own mapping and by messages.
    pub(crate) fn move_data(
        &mut self,
        packet: &Packet,
        bytes: Bytes,
        elements: &[Element],
    ) -> Result<(), CaseEnd> {
        let declared = self.declare_elements(packet, elements, bytes.write_to_device)?;
        for pass in Pass::DEFAULT {
            self.move_by(packet, bytes, elements, pass)?;
        }
        declared.into_iter().try_for_each(|id| self.undeclare(id))
    }

    fn move_by(
        &mut self,
        packet: &Packet,
        bytes: Bytes,
        elements: &[Element],
        pass: Pass,
    ) -> Result<(), CaseEnd> {
        let (opcode, word) = if bytes.write_to_device {
            (DMA_OP_VERIFY_PATTERN, "read")
        } else {
            (DMA_OP_WRITE_PATTERN, "write")
        };
        let moves = self.located(packet, bytes, elements)?;
        for batch in moves.chunks(BATCH) {
            let dut = self.dut;
            let steps: Vec<Step> = batch
                .iter()
                .map(|(unit, buffer)| transfer(dut, buffer, pass, opcode, seed_of(*unit)))
                .collect();
            let results = self.run(&steps)?;
            for ((_, buffer), result) in batch.iter().zip(&results) {
                let what = format!("the device's {word} of its element ({})", pass.describe());
                self.judge_transfer(&what, buffer, pass, result)?;
            }
        }
        Ok(())
    }

    /// After the flush: what the device wrote is what the CPU reads, up to the last byte and not beyond.
    pub(crate) fn judge_data(
        &mut self,
        packet: &Packet,
        bytes: Bytes,
        elements: &[Element],
    ) -> Result<(), CaseEnd> {
        if bytes.write_to_device {
            return Ok(());
        }
        let moves = self.located(packet, bytes, elements)?;
        for batch in moves.chunks(BATCH) {
            let steps: Vec<Step> = batch
                .iter()
                .map(|(unit, _)| {
                    let (offset, length) = (unit.mdl_offset, unit.length_bytes);
                    Step::cpu_check(unit.mdl, offset, length, seed_of(*unit))
                })
                .collect();
            let results = self.run(&steps)?;
            for ((_, buffer), result) in batch.iter().zip(&results) {
                self.judge_cpu_check("the device's write and the flush", result, Some(buffer))?;
            }
        }
        Ok(())
    }

    /// Each unit with the address at which the device reaches it.
    fn located(
        &mut self,
        packet: &Packet,
        bytes: Bytes,
        elements: &[Element],
    ) -> Result<Vec<(Unit, Buffer)>, CaseEnd> {
        let mut found = Vec::new();
        for unit in packet.units(bytes) {
            match locate(elements, unit.offset - bytes.offset) {
                Some((address, room)) if room >= unit.length_bytes => {
                    found.push((unit, unit_buffer(packet, unit, address)));
                }
                other => {
                    let buffer = unit_buffer(packet, unit, 0);
                    return Err(Finding {
                        view: "driver",
                        what: "the elements of the list".to_owned(),
                        buffer: Some(buffer.name),
                        logical_address: None,
                        expected: "elements that end at pages and MDLs".to_owned(),
                        seen: format!("{other:x?} of {elements:x?}"),
                    }
                    .into());
                }
            }
        }
        Ok(found)
    }

    fn declare_elements(
        &mut self,
        packet: &Packet,
        elements: &[Element],
        write_to_device: bool,
    ) -> Result<Vec<u64>, CaseEnd> {
        let mut ids = Vec::new();
        for (index, element) in elements.iter().enumerate() {
            let id = self.rig.declare(&BufferDeclaration {
                name: format!("element {index} of {}", packet.name),
                iova: Iova::new(element.address),
                length_bytes: element.length_bytes,
                device_reads: write_to_device,
                device_writes: !write_to_device,
            })?;
            self.here().declared.push(id);
            ids.push(id);
        }
        Ok(ids)
    }

    /// The IOMMU view: with remapping each page of each element is mapped, writable where the device is to write,
    /// and nothing else has come; without it nothing has changed.
    pub(crate) fn check_reached(
        &mut self,
        packet: &Packet,
        elements: &[Element],
        write_to_device: bool,
    ) -> Result<(), CaseEnd> {
        let now = self.rig.mappings()?;
        for page in elements.iter().flat_map(Element::pages) {
            let seen = oracle::translate(&now, page);
            if !seen.is_some_and(|seen| write_to_device || seen.writable) {
                let access = if write_to_device { "read" } else { "write" };
                return Err(Finding {
                    view: "iommu",
                    what: "the mapping of an element".to_owned(),
                    buffer: Some(packet.name.clone()),
                    logical_address: Some(Iova::new(page)),
                    expected: format!("a page that the device may {access}"),
                    seen: seen.map_or("no mapping".to_owned(), |seen| format!("{seen:x?}")),
                }
                .into());
            }
        }
        Ok(())
    }
}
