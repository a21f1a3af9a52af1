//! Scatter/gather lists: what the routine was given, and whether the device reaches it.

use dmarig_abi::operation_transfer::{EXECUTION_AT_DISPATCH, EXECUTION_CURRENT_IRP};

use super::{Element, Packet};
use crate::bench::{Bench, driver_finding};
use crate::finding::{CaseEnd, Finding};
use crate::step::Bytes;
use crate::step::{Step, StepResult};

/// A live list.
#[derive(Clone, Debug)]
pub(crate) struct List {
    pub(crate) slot: u32,
    pub(crate) bytes: Bytes,
    pub(crate) elements: Vec<Element>,
    /// Bits of `EXECUTION_*` of its routine.
    pub(crate) execution: u64,
}

/// The elements in a result's data.
pub(crate) fn elements_of(result: &StepResult) -> Vec<Element> {
    let word = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
    result
        .data
        .chunks_exact(16)
        .map(|pair| Element {
            address: word(&pair[..8]),
            length_bytes: word(&pair[8..]),
        })
        .collect()
}

impl Bench<'_> {
    /// GetScatterGatherList that must succeed.
    pub(crate) fn list(
        &mut self,
        adapter: u32,
        packet: &Packet,
        bytes: Bytes,
    ) -> Result<List, CaseEnd> {
        let slot = self.slot();
        let step = Step::list_get(slot, adapter, bytes);
        self.list_by("GetScatterGatherList", slot, packet, bytes, step)
    }

    /// A request that must give a list of exactly these bytes to its routine, once, at DISPATCH_LEVEL.
    pub(crate) fn list_by(
        &mut self,
        what: &str,
        slot: u32,
        packet: &Packet,
        bytes: Bytes,
        step: Step,
    ) -> Result<List, CaseEnd> {
        let result = self.require(what, step)?;
        self.judge_routine(what, &result)?;
        self.judge_list(what, slot, packet, bytes, &result)
    }

    /// The routine has run once, as documented.
    pub(crate) fn judge_routine(&mut self, what: &str, result: &StepResult) -> Result<(), CaseEnd> {
        let (runs, bits) = (result.result.value[1], result.result.value[2]);
        let wanted = EXECUTION_AT_DISPATCH | EXECUTION_CURRENT_IRP;
        let holds = runs == 1 && bits & wanted == wanted;
        self.demand(
            &format!("the execution routine of {what}"),
            "called once, at DISPATCH_LEVEL, with DeviceObject->CurrentIrp",
            format!("called {runs} times, bits {bits:#x}"),
            holds,
        )
    }

    /// The list in a result holds exactly these bytes, and the device reaches each element.
    pub(crate) fn judge_list(
        &mut self,
        what: &str,
        slot: u32,
        packet: &Packet,
        bytes: Bytes,
        result: &StepResult,
    ) -> Result<List, CaseEnd> {
        let elements = elements_of(result);
        let sum: u64 = elements.iter().map(|element| element.length_bytes).sum();
        let is_whole = elements.len() as u64 == result.result.value[0];
        if !is_whole || sum != bytes.length_bytes {
            let mut finding = driver_finding(what, "", result);
            finding.buffer = Some(packet.name.clone());
            finding.expected = format!("elements of {:#x} bytes in all", bytes.length_bytes);
            finding.seen = format!("{elements:x?}");
            return Err(finding.into());
        }
        self.check_reached(packet, &elements, bytes.write_to_device)?;
        Ok(List {
            slot,
            bytes,
            elements,
            execution: result.result.value[2],
        })
    }

    /// PutScatterGatherList in the list's own direction: afterwards the CPU sees what the device wrote, and the
    /// device has lost its elements.
    pub(crate) fn put(&mut self, packet: &Packet, list: &List) -> Result<(), CaseEnd> {
        let step = Step::list_put(list.slot, list.bytes.write_to_device);
        self.require("PutScatterGatherList", step)?;
        self.judge_data(packet, list.bytes, &list.elements)?;
        self.check_lost(packet, &list.elements, "PutScatterGatherList")
    }

    /// Lists of both directions over the same bytes: the device reads what the CPU wrote, and the CPU what the
    /// device wrote.
    pub(crate) fn both_ways(&mut self, adapter: u32, packet: &Packet) -> Result<(), CaseEnd> {
        self.both_ways_over(adapter, packet, 0, packet.length_bytes())
    }

    /// The same over part of the packet.
    pub(crate) fn both_ways_over(
        &mut self,
        adapter: u32,
        packet: &Packet,
        offset: u64,
        length_bytes: u64,
    ) -> Result<(), CaseEnd> {
        for write_to_device in [true, false] {
            let bytes = packet.part(offset, length_bytes, write_to_device);
            self.prepare(packet, bytes)?;
            let list = self.list(adapter, packet, bytes)?;
            self.move_data(packet, bytes, &list.elements)?;
            self.put(packet, &list)?;
        }
        Ok(())
    }

    /// The mapping set is what it was before the case's transfers, and no element translates any more.
    pub(crate) fn check_lost(
        &mut self,
        packet: &Packet,
        elements: &[Element],
        what: &str,
    ) -> Result<(), CaseEnd> {
        use dmarig_abi::completion::DMA_STATUS_UNMAPPED;
        if self.is_remapped() {
            let pages: Vec<u64> = elements.iter().flat_map(Element::pages).collect();
            let lost = self.probe_pages(pages.into_iter(), DMA_STATUS_UNMAPPED)?;
            if let Some((page, status)) = lost {
                return Err(Finding {
                    view: "device",
                    what: format!("a probe of an element after {what}"),
                    buffer: Some(packet.name.clone()),
                    logical_address: Some(page),
                    expected: "unmapped".to_owned(),
                    seen: crate::bench::exercise::describe_dma_status(status),
                }
                .into());
            }
        }
        self.check_unchanged(what)
    }
}
