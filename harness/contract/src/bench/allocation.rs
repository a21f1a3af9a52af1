//! Common buffers of the HAL's own memory, by any of the routines that allocate them.

use dmarig_abi::Iova;
use dmarig_abi::operation::OUTCOME_NULL;

use crate::bench::{Bench, Buffer, driver_finding};
use crate::device_description::DeviceDescription;
use crate::finding::{CaseEnd, Finding};
use crate::oracle::PAGE_SIZE;
use crate::step::{Routine, Step, StepResult};

/// Granularity of large-page buffers (AB-6).
const LARGE_PAGE_BYTES: u64 = 0x20_0000;

impl Bench<'_> {
    /// Opens an adapter of the device under test by any description; gives its slot and the call's result.
    pub(crate) fn adapter_by(
        &mut self,
        description: DeviceDescription,
    ) -> Result<(u32, StepResult), CaseEnd> {
        let slot = self.slot();
        let what = format!("IoGetDmaAdapter with version {}", description.version);
        let result = self.require(&what, Step::adapter_open(slot, self.dut, description))?;
        self.here().before = self.rig.mappings()?;
        Ok((slot, result))
    }

    /// IoGetDmaAdapter that must give NULL.
    pub(crate) fn adapter_refused(
        &mut self,
        what: &str,
        description: DeviceDescription,
    ) -> Result<(), CaseEnd> {
        let slot = self.slot();
        let result = self.run_one(Step::adapter_open(slot, self.dut, description))?;
        if result.result.outcome == OUTCOME_NULL {
            return Ok(());
        }
        let what = format!("IoGetDmaAdapter with {what}");
        Err(driver_finding(&what, "NULL", &result).into())
    }

    /// Looks at the mapping set anew: what is mapped now belongs to the case's surroundings.
    pub(crate) fn take_as_before(&mut self) -> Result<(), CaseEnd> {
        self.here().before = self.rig.mappings()?;
        Ok(())
    }

    /// Allocates, whatever comes of it.
    pub(crate) fn try_allocate(
        &mut self,
        adapter: u32,
        length_bytes: u64,
        routine: Routine,
    ) -> Result<(u32, StepResult), CaseEnd> {
        let slot = self.slot();
        let result = self.run_one(Step::buffer_allocate(slot, adapter, length_bytes, routine))?;
        Ok((slot, result))
    }

    /// Allocates; the buffer must start a page, lie inside the caller's bounds and at most at `last`
    /// (the adapter's highest address), and be mapped.
    pub(crate) fn allocate_by(
        &mut self,
        adapter: u32,
        length_bytes: u64,
        routine: Routine,
        last: u64,
    ) -> Result<Buffer, CaseEnd> {
        self.allocate_in_grains(adapter, length_bytes, routine, last, PAGE_SIZE)
    }

    /// Allocates a buffer of 2 MiB pages; the mapping may reach to the end of the last one.
    pub(crate) fn allocate_large(
        &mut self,
        adapter: u32,
        length_bytes: u64,
        routine: Routine,
    ) -> Result<Buffer, CaseEnd> {
        self.allocate_in_grains(adapter, length_bytes, routine, u64::MAX, LARGE_PAGE_BYTES)
    }

    fn allocate_in_grains(
        &mut self,
        adapter: u32,
        length_bytes: u64,
        routine: Routine,
        last: u64,
        grain_bytes: u64,
    ) -> Result<Buffer, CaseEnd> {
        let (slot, result) = self.try_allocate(adapter, length_bytes, routine)?;
        let buffer = self.allocated(routine, length_bytes, slot, &result)?;
        let (minimum, maximum) = routine.bounds();
        let maximum = maximum.unwrap_or(u64::MAX).min(last);
        self.check_inside(routine.name(), &buffer, minimum, Some(maximum))?;
        self.check_mapped_in(&buffer, true, grain_bytes)?;
        Ok(buffer)
    }

    /// The buffer that an allocation gave; both its addresses must start a page.
    pub(crate) fn allocated(
        &mut self,
        routine: Routine,
        length_bytes: u64,
        slot: u32,
        result: &StepResult,
    ) -> Result<Buffer, CaseEnd> {
        if !result.is_success() {
            let what = format!("{} of {length_bytes:#x} bytes", routine.name());
            return Err(driver_finding(&what, "a buffer", result).into());
        }
        let buffer = Buffer {
            name: format!("common buffer {slot}"),
            slot,
            logical_address: Iova::new(result.result.logical_address),
            length_bytes,
            pfns: None,
        };
        self.check_alignment(&buffer)?;
        check_virtual_alignment(&buffer, result)?;
        Ok(buffer)
    }

    /// Allocates, moves data both ways, frees.
    pub(crate) fn allocate_and_exercise(
        &mut self,
        adapter: u32,
        length_bytes: u64,
        routine: Routine,
        last: u64,
    ) -> Result<(), CaseEnd> {
        let buffer = self.allocate_by(adapter, length_bytes, routine, last)?;
        self.exercise(&buffer)?;
        self.free(&buffer)
    }

    /// Allocation that must give NULL and change no mapping.
    pub(crate) fn allocate_null(
        &mut self,
        adapter: u32,
        length_bytes: u64,
        routine: Routine,
    ) -> Result<(), CaseEnd> {
        let (_, result) = self.try_allocate(adapter, length_bytes, routine)?;
        if result.result.outcome != OUTCOME_NULL {
            let mut finding = driver_finding(routine.name(), "NULL", &result);
            finding.logical_address = Some(Iova::new(result.result.logical_address));
            return Err(finding.into());
        }
        self.check_unchanged(&format!("the refused {}", routine.name()))
    }

    /// Allocation of which the documents do not tell what comes: noted, and freed if there is a buffer.
    pub(crate) fn observe_allocation(
        &mut self,
        adapter: u32,
        length_bytes: u64,
        routine: Routine,
    ) -> Result<(), CaseEnd> {
        let (slot, result) = self.try_allocate(adapter, length_bytes, routine)?;
        if result.is_success() {
            let address = Iova::new(result.result.logical_address);
            self.observe(format!("seen: a buffer at {address}"));
            self.require("FreeCommonBuffer", Step::buffer_free(slot))?;
        } else {
            self.observe(format!("seen: {}", result.describe()));
        }
        self.check_unchanged(&format!("{} and its end", routine.name()))
    }
}

/// AC-7: the virtual address starts a page.
fn check_virtual_alignment(buffer: &Buffer, result: &StepResult) -> Result<(), CaseEnd> {
    let va = result.result.virtual_address;
    if va != 0 && va.is_multiple_of(PAGE_SIZE) {
        return Ok(());
    }
    Err(Finding {
        view: "driver",
        what: "the returned virtual address".to_owned(),
        buffer: Some(buffer.name.clone()),
        logical_address: Some(buffer.logical_address),
        expected: "a page-aligned address".to_owned(),
        seen: format!("{va:#x}"),
    }
    .into())
}
