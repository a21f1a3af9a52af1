//! Framework objects on the bench: enablers, their common buffers, and the log of callbacks.

use dmarig_abi::operation::OUTCOME_DONE;
use dmarig_abi::{Iova, KmdfLogEntry};
use zerocopy::FromBytes as _;

use crate::bench::{Bench, Buffer, driver_finding, pages};
use crate::finding::{CaseEnd, Finding};
use crate::framework::{CommonBufferConfig, DmaProfile, EnablerConfig};
use crate::nt_status::NtStatus;
use crate::oracle::{self, PAGE_SIZE};
use crate::step::{Creation, Step, StepResult};

/// What a receiving pointer of the driver holds before a call.
const UNTOUCHED: u64 = u64::MAX;

/// What a refused creation makes of the pointer that receives the handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OutPointer {
    /// It was refused before the framework looked at it.
    Untouched,
    /// It was refused after the framework had written NULL.
    Null,
    /// The documents do not tell.
    Open,
}

impl Bench<'_> {
    /// WdfDmaEnablerCreate for the device under test that must succeed.
    pub(crate) fn enabler(&mut self, config: EnablerConfig) -> Result<u32, CaseEnd> {
        self.enabler_with(config, Creation::default())
    }

    /// The same with attributes.
    pub(crate) fn enabler_with(
        &mut self,
        config: EnablerConfig,
        creation: Creation,
    ) -> Result<u32, CaseEnd> {
        let slot = self.slot();
        let step = Step::enabler_create(slot, self.dut, config, creation);
        self.require("WdfDmaEnablerCreate", step)?;
        self.here().before = self.rig.mappings()?;
        Ok(slot)
    }

    /// WdfDmaEnablerCreate that must fail with one of `expected`; notes which.
    pub(crate) fn enabler_refused(
        &mut self,
        what: &str,
        config: EnablerConfig,
        creation: Creation,
        expected: &[NtStatus],
    ) -> Result<(), CaseEnd> {
        let slot = self.slot();
        let result = self.run_one(Step::enabler_create(slot, self.dut, config, creation))?;
        self.judge_status(
            &format!("WdfDmaEnablerCreate with {what}"),
            &result,
            expected,
        )
    }

    /// The call was made and gave one of these statuses.
    pub(crate) fn judge_status(
        &mut self,
        what: &str,
        result: &StepResult,
        expected: &[NtStatus],
    ) -> Result<(), CaseEnd> {
        let status = result.status();
        if result.result.outcome != OUTCOME_DONE || !expected.contains(&status) {
            let names: Vec<String> = expected.iter().map(ToString::to_string).collect();
            return Err(driver_finding(what, &names.join(" or "), result).into());
        }
        if expected.len() > 1 {
            self.observe(format!("{what}: seen {status}"));
        }
        Ok(())
    }

    /// WdfDmaEnablerWdmGetDmaAdapter that must give an adapter; the slot stays the enabler's.
    pub(crate) fn adapter_of(
        &mut self,
        enabler: u32,
        direction: u32,
        version: u32,
    ) -> Result<(u32, StepResult), CaseEnd> {
        let slot = self.slot();
        let step = Step::enabler_adapter(slot, enabler, direction, version);
        let result = self.require("WdfDmaEnablerWdmGetDmaAdapter", step)?;
        Ok((slot, result))
    }

    /// From here on every adapter of the case is a framework enabler's.
    pub(crate) fn open_adapters_by_enabler(&mut self) {
        self.adapters_by_enabler = true;
    }

    /// A version 3 adapter of a new enabler.
    pub(super) fn adapter_by_enabler(&mut self, address_width_bits: u32) -> Result<u32, CaseEnd> {
        let mut config = EnablerConfig::new(match address_width_bits {
            ..=32 => DmaProfile::ScatterGather,
            _ => DmaProfile::ScatterGather64,
        })
        .version_3();
        if address_width_bits != 32 && address_width_bits != 64 {
            config.address_width_override = address_width_bits;
        }
        let enabler = self.enabler(config)?;
        Ok(self.adapter_of(enabler, 0, 3)?.0)
    }

    /// WdfCommonBufferCreate or WdfCommonBufferCreateWithConfig that must succeed, of an enabler whose
    /// default mask is `default_mask`: the getters, the alignment and the mapping set agree.
    pub(crate) fn common_buffer(
        &mut self,
        enabler: u32,
        length_bytes: u64,
        config: Option<CommonBufferConfig>,
        default_mask: u64,
    ) -> Result<Buffer, CaseEnd> {
        let slot = self.slot();
        let step =
            Step::common_buffer_create(slot, enabler, length_bytes, config, Creation::default());
        let what = if config.is_some() {
            "WdfCommonBufferCreateWithConfig"
        } else {
            "WdfCommonBufferCreate"
        };
        let created = self.require(what, step)?;
        let buffer = self.framework_buffer(slot, length_bytes, &created)?;
        let mask = config.map_or(default_mask, |config| config.alignment_mask.into());
        self.check_masked(&buffer, &created, mask)?;
        self.check_raw_mapping(&buffer, length_bytes, mask)?;
        Ok(buffer)
    }

    /// The buffer that a creation has made, as its getters tell it.
    pub(crate) fn framework_buffer(
        &mut self,
        slot: u32,
        length_bytes: u64,
        created: &StepResult,
    ) -> Result<Buffer, CaseEnd> {
        let buffer = Buffer {
            name: format!("framework buffer {slot}"),
            slot,
            logical_address: Iova::new(created.result.logical_address),
            length_bytes,
            pfns: None,
        };
        let queried = self.require(
            "the getters of the common buffer",
            Step::common_buffer_query(slot),
        )?;
        for (what, result) in [("creation", created), ("getters", &queried)] {
            if result.result.length != length_bytes
                || result.result.logical_address != created.result.logical_address
                || result.result.virtual_address != created.result.virtual_address
            {
                return Err(Finding {
                    view: "driver",
                    what: format!("what the {what} of a common buffer tell"),
                    buffer: Some(buffer.name),
                    logical_address: Some(buffer.logical_address),
                    expected: format!("WdfCommonBufferGetLength {length_bytes:#x}"),
                    seen: format!("{:x?}", result.result),
                }
                .into());
            }
        }
        Ok(buffer)
    }

    /// The logical address keeps the mask; the virtual one up to masks of a page.
    pub(crate) fn check_masked(
        &mut self,
        buffer: &Buffer,
        created: &StepResult,
        mask: u64,
    ) -> Result<(), CaseEnd> {
        let addresses = [
            ("logical", created.result.logical_address, true),
            ("virtual", created.result.virtual_address, mask < PAGE_SIZE),
        ];
        for (name, address, is_aligned) in addresses {
            if is_aligned && address & mask != 0 {
                return Err(Finding {
                    view: "driver",
                    what: format!("the {name} address of a common buffer"),
                    buffer: Some(buffer.name.clone()),
                    logical_address: Some(buffer.logical_address),
                    expected: format!("a multiple of {:#x}", mask + 1),
                    seen: format!("{address:#x}"),
                }
                .into());
            }
        }
        Ok(())
    }

    /// The mapping set grew by the pages of the raw allocation: Length up to masks of a page, Length
    /// and mask above (KD-11). Without remapping it did not change, and the buffer is mapped.
    fn check_raw_mapping(
        &mut self,
        buffer: &Buffer,
        length_bytes: u64,
        mask: u64,
    ) -> Result<(), CaseEnd> {
        let raw_bytes = length_bytes + if mask < PAGE_SIZE { 0 } else { mask };
        let expected = if self.is_remapped() {
            raw_bytes.div_ceil(PAGE_SIZE)
        } else {
            0
        };
        let now = self.rig.mappings()?;
        let changes = oracle::difference(&self.here().before, &now);
        let unmapped = pages(buffer)
            .find(|page| oracle::translate(&now, *page).is_none_or(|page| !page.writable));
        let added: Vec<u64> = changes.iter().filter(|c| c.added).map(|c| c.page).collect();
        let is_one_range = added.windows(2).all(|pair| pair[1] - pair[0] == PAGE_SIZE);
        let n_added = added.len() as u64;
        if unmapped.is_none()
            && n_added == expected
            && is_one_range
            && changes.iter().all(|change| change.added)
        {
            return Ok(());
        }
        Err(Finding {
            view: "iommu",
            what: "the change of the mapping set by a common buffer of the framework".to_owned(),
            buffer: Some(buffer.name.clone()),
            logical_address: Some(unmapped.map_or(buffer.logical_address, Iova::new)),
            expected: format!(
                "{expected:#x} pages in one range for {raw_bytes:#x} raw bytes, the buffer writable"
            ),
            seen: format!(
                "{} added in {} changes, page not writable: {unmapped:x?}",
                oracle::describe_pages(&added),
                changes.len()
            ),
        }
        .into())
    }

    /// A creation of a common buffer that must fail with one of `expected`, and leave the receiving
    /// pointer as told and the mapping set alone.
    pub(crate) fn common_buffer_refused(
        &mut self,
        what: &str,
        step: Step,
        expected: &[NtStatus],
        out: OutPointer,
    ) -> Result<(), CaseEnd> {
        let result = self.run_one(step)?;
        let what = format!("creating a common buffer with {what}");
        self.judge_status(&what, &result, expected)?;
        let handle = result.result.value[0];
        let is_right = match out {
            OutPointer::Untouched => handle == UNTOUCHED,
            OutPointer::Null => handle == 0,
            OutPointer::Open => true,
        };
        if !is_right {
            return Err(Finding {
                view: "driver",
                what: format!("the receiving pointer after {what}"),
                buffer: None,
                logical_address: None,
                expected: format!("{out:?}"),
                seen: format!("{handle:#x}"),
            }
            .into());
        }
        self.check_unchanged(&what)
    }

    /// Deletes a framework object and checks that the mapping set is what it was before its buffers,
    /// and that no page of these still translates.
    pub(crate) fn delete_with_buffers(
        &mut self,
        object: u32,
        buffers: &[Buffer],
    ) -> Result<(), CaseEnd> {
        self.require("WdfObjectDelete", Step::object_delete(object))?;
        for buffer in buffers {
            self.check_gone(buffer)?;
        }
        self.check_unchanged("WdfObjectDelete of their parent")
    }

    /// What is mapped now is no change any more: for the next buffer of the case.
    pub(crate) fn accept(&mut self) -> Result<(), CaseEnd> {
        self.here().before = self.rig.mappings()?;
        Ok(())
    }

    /// No page of these buffers translates, and the mapping set is the one of the case's start.
    pub(crate) fn check_all_gone(&mut self, buffers: &[Buffer]) -> Result<(), CaseEnd> {
        for buffer in buffers {
            self.check_gone(buffer)?;
        }
        let station = self.here();
        station.before = station.start.clone();
        self.check_unchanged("the end of all buffers")
    }

    /// Empties the log of callbacks.
    pub(crate) fn clear_log(&mut self) -> Result<(), CaseEnd> {
        self.require("emptying the log", Step::log_clear())
            .map(drop)
    }

    /// The callbacks since the log was emptied, in order.
    pub(crate) fn log(&mut self) -> Result<Vec<KmdfLogEntry>, CaseEnd> {
        let mut entries = Vec::new();
        loop {
            let read = self.require("reading the log", Step::log_read(entries.len() as u64))?;
            let before = entries.len();
            for bytes in read.data.chunks_exact(size_of::<KmdfLogEntry>()) {
                entries.push(KmdfLogEntry::read_from_bytes(bytes).expect("chunks of its size"));
            }
            if entries.len() as u64 >= read.result.value[0] || entries.len() == before {
                return Ok(entries);
            }
        }
    }

    /// What the driver answered to a program of an early context.
    pub(crate) fn stored(
        &mut self,
        context: u16,
        steps: &[Step],
    ) -> Result<Vec<StepResult>, CaseEnd> {
        Ok(self.rig.stored(context, steps)?)
    }

    /// Leaves a program for a context that comes by itself.
    pub(crate) fn leave(&mut self, context: u16, steps: &[Step]) -> Result<(), CaseEnd> {
        // The driver has no results yet.
        self.rig.run(context, steps)?;
        Ok(())
    }

    /// Runs one step in a context that the driver can enter by itself.
    pub(crate) fn run_in(&mut self, context: u16, step: Step) -> Result<StepResult, CaseEnd> {
        let mut results = self.rig.run(context, &[step])?;
        Ok(results.pop().expect("one result per step"))
    }

    /// Takes note of what the guest found in a misuse that the case was made for; it may have found this
    /// alone, or nothing.
    pub(crate) fn accept_finding(&mut self, id: &str) -> Result<(), CaseEnd> {
        for text in self.rig.take_guest_findings()? {
            if !text.starts_with(id) {
                return Err(Finding {
                    view: "guest",
                    what: "what the guest itself found".to_owned(),
                    buffer: None,
                    logical_address: None,
                    expected: format!("{id} or no finding"),
                    seen: text,
                }
                .into());
            }
            self.observe(format!("the guest's finding: {text}"));
        }
        Ok(())
    }

    /// Gives the guest's system an order, which must succeed.
    pub(crate) fn order(&mut self, line: &str) -> Result<(), CaseEnd> {
        let status = self.rig.command(line)?;
        if status.is_success() {
            return Ok(());
        }
        Err(Finding {
            view: "guest",
            what: format!("the system's {line}"),
            buffer: None,
            logical_address: None,
            expected: "success".to_owned(),
            seen: status.to_string(),
        }
        .into())
    }

    /// A buffer of an early program, which was there when the case began, is gone: with remapping its
    /// pages, and no others, are. The end of the case is compared with that.
    pub(crate) fn check_adopted_gone(&mut self, buffer: &Buffer) -> Result<(), CaseEnd> {
        self.check_gone(buffer)?;
        let now = self.rig.mappings()?;
        let changes = oracle::difference(&self.here().start, &now);
        let removed: Vec<u64> = changes
            .iter()
            .filter(|change| !change.added)
            .map(|change| change.page)
            .collect();
        let own: Vec<u64> = if self.is_remapped() {
            pages(buffer).collect()
        } else {
            Vec::new()
        };
        if removed != own || changes.len() != removed.len() {
            return Err(Finding {
                view: "iommu",
                what: "the change of the mapping set by the end of the early buffer".to_owned(),
                buffer: Some(buffer.name.clone()),
                logical_address: Some(buffer.logical_address),
                expected: format!("{} removed", oracle::describe_pages(&own)),
                seen: format!(
                    "{} removed in {} changes",
                    oracle::describe_pages(&removed),
                    changes.len()
                ),
            }
            .into());
        }
        self.here().start = now.clone();
        self.here().before = now;
        Ok(())
    }
}
