//! What must hold after each batch: mapping set, freed ranges, ledger, faults, the guest's own findings.

use std::collections::BTreeMap;

use dmarig_abi::Iova;
use dmarig_abi::completion::DMA_STATUS_UNMAPPED;
use dmarig_abi::descriptor::{DESCRIPTOR_FLAG_PROBE, DMA_OP_CRC};

use super::{End, Gone, Walk, found};
use crate::bench::describe_dma_status;
use crate::explore::expected_mappings::ExpectedMappings;
use crate::explore::judge::{Difference, Judged, differs};
use crate::explore::model::Object;
use crate::finding::Finding;
use crate::oracle::PAGE_SIZE;
use crate::rig::{BufferDeclaration, DeviceRequest, Remapping, RigError};

impl Walk<'_> {
    /// What must hold after each batch; `last` is the index of its last action.
    pub(super) fn compare_views(&mut self, last: usize) -> Result<(), End> {
        let report = |difference: Box<Difference>| found(last, "", *difference);
        self.declare_buffers()?;
        let expected = ExpectedMappings::of(&self.model);
        let now = self.rig.mappings()?;
        let is_remapped = self.rig.remapping() == Remapping::On;
        expected
            .compare(&self.before, &now, is_remapped)
            .map_err(report)?;
        let gone = std::mem::take(&mut self.gone);
        if is_remapped {
            for gone in &gone {
                self.probe(gone, &expected)?.map_err(report)?;
            }
        }
        self.reports()?.map_err(report)
    }

    /// What ledger, remapping unit and guest say of themselves.
    pub(super) fn reports(&mut self) -> Result<Judged, RigError> {
        if let Some(violation) = self.rig.take_violations()?.into_iter().next() {
            let finding = Finding {
                view: "ledger",
                what: violation.kind.clone(),
                buffer: None,
                logical_address: violation.iova,
                expected: "no violation".to_owned(),
                seen: violation.detail,
            };
            return Ok(differs(violation.kind, finding));
        }
        if let Some(fault) = self.rig.take_faults(false)?.into_iter().next() {
            let finding = Finding {
                view: "iommu",
                what: "a fault".to_owned(),
                buffer: None,
                logical_address: Some(fault.page),
                expected: "no fault".to_owned(),
                seen: format!("{fault:?}"),
            };
            return Ok(differs("fault", finding));
        }
        let Some(text) = self.rig.take_guest_findings()?.into_iter().next() else {
            return Ok(Ok(()));
        };
        let id = text.split(':').next().unwrap_or_default().to_owned();
        let finding = Finding {
            view: "guest",
            what: "what the guest itself found".to_owned(),
            buffer: None,
            logical_address: None,
            expected: "no finding".to_owned(),
            seen: text,
        };
        Ok(differs(id, finding))
    }

    /// Tells the ledger which buffers there are. What is gone is told first: its addresses may be in use
    /// again.
    fn declare_buffers(&mut self) -> Result<(), RigError> {
        let mut live = BTreeMap::new();
        for (slot, object) in self.model.objects() {
            for (start, len, device_reads, device_writes) in ranges(object) {
                let declaration = BufferDeclaration {
                    name: format!("slot {slot}"),
                    iova: Iova::new(start),
                    length_bytes: len,
                    device_reads,
                    device_writes,
                };
                live.insert((slot, start), declaration);
            }
        }
        let is_gone: Vec<Gone> = std::mem::take(&mut self.gone);
        let ended: Vec<(u32, u64)> = self
            .declared
            .keys()
            .filter(|(slot, start)| {
                !live.contains_key(&(*slot, *start))
                    || is_gone.iter().any(|gone| gone.start == *start)
            })
            .copied()
            .collect();
        self.gone = is_gone;
        for key in ended {
            for id in self.declared.remove(&key).into_iter().flatten() {
                self.rig.undeclare(id)?;
            }
        }
        for (key, declaration) in live {
            if !self.declared.contains_key(&key) {
                let id = self.rig.declare(&declaration)?;
                self.declared.insert(key, vec![id]);
            }
        }
        Ok(())
    }

    /// Asks the device's mapping table about the first and the last page of a freed range.
    fn probe(&mut self, gone: &Gone, expected: &ExpectedMappings) -> Result<Judged, RigError> {
        let last = gone
            .start
            .wrapping_add((gone.len - 1) / PAGE_SIZE * PAGE_SIZE);
        for page in [gone.start, last] {
            if expected.contains(page) {
                continue;
            }
            let answer = self.rig.device(DeviceRequest {
                opcode: DMA_OP_CRC,
                flags: DESCRIPTOR_FLAG_PROBE,
                iova: Iova::new(page),
                length_bytes: PAGE_SIZE,
                seed: 0,
            })?;
            if answer.status != DMA_STATUS_UNMAPPED {
                let finding = Finding {
                    view: "device",
                    what: "a probe of a freed logical range".to_owned(),
                    buffer: Some(gone.name.clone()),
                    logical_address: Some(Iova::new(page)),
                    expected: "unmapped".to_owned(),
                    seen: describe_dma_status(answer.status),
                };
                return Ok(differs("probe after free", finding));
            }
            if page == last {
                break;
            }
        }
        Ok(Ok(()))
    }
}

/// The logical ranges of an object: start, length, whether the device reads, whether it writes.
pub(super) fn ranges(object: &Object) -> Vec<(u64, u64, bool, bool)> {
    match object {
        Object::Buffer(buffer) => buffer
            .logical_address
            .map(|start| (start, buffer.len, buffer.can_read, buffer.can_write))
            .into_iter()
            .collect(),
        Object::Ring(ring) => {
            let len = ring.length_bytes();
            let [descriptors, completions] = match ring.logical_addresses {
                Some(addresses) => addresses,
                None => return Vec::new(),
            };
            vec![
                (descriptors, len, true, false),
                (completions, len, false, true),
            ]
        }
        Object::Adapter(_) | Object::Memory(_) | Object::Mdl(_) => Vec::new(),
    }
}
