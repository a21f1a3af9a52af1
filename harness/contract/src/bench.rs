//! [`Bench`]: what a case works with: slots, adapters, MDLs and buffers on top of a [`Rig`], and the
//! end-of-case checks that hold for every case.

mod allocation;
mod exercise;
mod faults;
mod framework;
mod mdl;
mod own_iommu;
mod packet;
mod plug;
mod resources;
mod several;
mod verdict;

use dmarig_abi::Iova;
use dmarig_abi::completion::COMPLETION_SIZE_BYTES;
use dmarig_abi::descriptor::DESCRIPTOR_SIZE_BYTES;
use dmarig_abi::registers::{
    CONTROL_RESET, REG_CONTROL, REG_INTERRUPT_ENABLE, REG_INTERRUPT_ENABLE_HIGH,
};

use crate::device_description::DeviceDescription;
use crate::extended_config::ExtendedConfig;
use crate::finding::{CaseEnd, Finding};
use crate::nt_status::NtStatus;
use crate::oracle::{self, PAGE_SIZE};
use crate::rig::{MappingView, Remapping, Rig, RigError};
use crate::step::{Step, StepResult};

pub(crate) use exercise::{Pass, describe_dma_status, transfer_status, went_by_message};
pub(crate) use faults::{Survival, has_interrupted};
pub(crate) use framework::OutPointer;
pub(crate) use mdl::{MdlSource, frames_of};
pub(crate) use own_iommu::{Entry, Invalidate, OwnIommu};
pub(crate) use packet::{AMPLE_LIST_BYTES, Element, List, Packet, Registers};
pub(crate) use several::Errand;

const CONTROL_THREAD: u16 = dmarig_abi::mailbox::CONTEXT_CONTROL_THREAD;

/// The status codes that the page of CreateCommonBufferFromMdl lists for failures.
pub(crate) const DOCUMENTED_FAILURES: &[NtStatus] = &[
    NtStatus::INVALID_PARAMETER,
    NtStatus::NOT_SUPPORTED,
    NtStatus::INSUFFICIENT_RESOURCES,
];

/// A live common buffer.
#[derive(Clone, Debug)]
pub(crate) struct Buffer {
    /// Name in reports.
    pub(crate) name: String,
    /// Slot in the driver.
    pub(crate) slot: u32,
    /// Logical address.
    pub(crate) logical_address: Iova,
    /// Length in bytes.
    pub(crate) length_bytes: u64,
    /// Frames behind it, in order, where the driver may know them.
    pub(crate) pfns: Option<Vec<u64>>,
}

impl Buffer {
    /// The address of one byte.
    pub(crate) fn at(&self, offset: u64) -> Iova {
        Iova::new(self.logical_address.raw().wrapping_add(offset))
    }

    /// Some bytes of it, for a finding.
    pub(crate) fn part(&self, offset: u64, length_bytes: u64) -> Self {
        Self {
            name: format!("{}, {length_bytes:#x} bytes from {offset:#x} on", self.name),
            logical_address: self.at(offset),
            length_bytes,
            ..self.clone()
        }
    }
}

/// The workbench of one case.
pub struct Bench<'r> {
    rig: &'r mut dyn Rig,
    case_id: &'static str,
    /// Findings of the guest that the case must cause.
    expected_findings: &'static [&'static str],
    /// One for each device under test.
    stations: Vec<Station>,
    /// The number of the device under test that the case is at.
    dut: u32,
    next_slot: u32,
    observations: Vec<String>,
    adapters_by_enabler: bool,
}

/// What the bench knows of one device under test.
#[derive(Debug)]
struct Station {
    /// The mapping set at the start of the case, to which its end must return.
    start: MappingView,
    /// The mapping set before the buffer that is looked at: with the adapter and rings of the case.
    before: MappingView,
    /// Buffers of which the ledger was told.
    declared: Vec<u64>,
}

impl<'r> Bench<'r> {
    /// Starts a case at DUT 0: remembers the mapping set of each device under test.
    pub(crate) fn new(
        rig: &'r mut dyn Rig,
        case_id: &'static str,
        expected_findings: &'static [&'static str],
    ) -> Result<Self, RigError> {
        let stations = each_dut(rig, |rig| {
            let before = rig.mappings()?;
            Ok(Station {
                start: before.clone(),
                before,
                declared: Vec::new(),
            })
        })?;
        Ok(Self {
            rig,
            case_id,
            expected_findings,
            stations,
            dut: 0,
            next_slot: 0,
            observations: Vec::new(),
            adapters_by_enabler: false,
        })
    }

    /// From here on the case is at this device under test: adapters, transfers, rings, mapping set, ledger
    /// and faults are its own.
    ///
    /// # Errors
    /// The rig has no such device.
    pub(crate) fn turn_to(&mut self, dut: u32) -> Result<(), RigError> {
        self.rig.turn_to(dut)?;
        self.dut = dut;
        Ok(())
    }

    /// Where there are several devices under test, a finding says at which of them the case was.
    pub(crate) fn at_this_dut(&self, mut finding: Finding) -> Finding {
        if self.stations.len() > 1 {
            finding.what = format!("dut{}: {}", self.dut, finding.what);
        }
        finding
    }

    fn here(&mut self) -> &mut Station {
        // `turn_to` has refused what is no device of the rig.
        &mut self.stations[self.dut as usize]
    }

    pub(crate) fn is_remapped(&self) -> bool {
        self.rig.remapping() == Remapping::On
    }

    /// Notes a fact for the record.
    pub(crate) fn observe(&mut self, text: String) {
        self.observations.push(text);
    }

    pub(crate) fn slot(&mut self) -> u32 {
        let slot = self.next_slot;
        self.next_slot += 1;
        slot
    }

    /// The first of `count` slots in a row.
    pub(crate) fn slots(&mut self, count: u32) -> u32 {
        let first = self.next_slot;
        self.next_slot += count;
        first
    }

    /// Runs steps in the driver's control thread.
    pub(crate) fn run(&mut self, steps: &[Step]) -> Result<Vec<StepResult>, CaseEnd> {
        let results = self.rig.run(CONTROL_THREAD, steps)?;
        if results.len() != steps.len() {
            let text = format!(
                "{}: the driver answered {} of {} operations",
                self.case_id,
                results.len(),
                steps.len()
            );
            return Err(RigError(text).into());
        }
        Ok(results)
    }

    /// Runs one step.
    pub(crate) fn run_one(&mut self, step: Step) -> Result<StepResult, CaseEnd> {
        let mut results = self.run(&[step])?;
        Ok(results.pop().expect("run returns one result per step"))
    }

    /// Runs one step that must succeed for the case to make sense.
    pub(crate) fn require(&mut self, what: &str, step: Step) -> Result<StepResult, CaseEnd> {
        let result = self.run_one(step)?;
        if result.is_success() {
            return Ok(result);
        }
        Err(driver_finding(what, "success", &result).into())
    }

    /// Runs steps each of which must succeed.
    pub(crate) fn require_all(&mut self, what: &str, steps: &[Step]) -> Result<(), CaseEnd> {
        let results = self.run(steps)?;
        match results.iter().find(|result| !result.is_success()) {
            None => Ok(()),
            Some(result) => Err(driver_finding(what, "success", result).into()),
        }
    }

    /// Opens a version 3 adapter of the device under test.
    pub(crate) fn adapter(&mut self, address_width_bits: u32) -> Result<u32, CaseEnd> {
        if self.adapters_by_enabler {
            return self.adapter_by_enabler(address_width_bits);
        }
        self.adapter_described(DeviceDescription::version_3(address_width_bits))
    }

    /// Opens an adapter of the device under test.
    pub(crate) fn adapter_described(
        &mut self,
        description: DeviceDescription,
    ) -> Result<u32, CaseEnd> {
        let slot = self.slot();
        self.require(
            &format!(
                "IoGetDmaAdapter with DEVICE_DESCRIPTION_VERSION{}",
                description.version
            ),
            Step::adapter_open(slot, self.dut, description),
        )?;
        self.here().before = self.rig.mappings()?;
        Ok(slot)
    }

    /// Opens the rings of a channel, before the case's own buffers.
    pub(crate) fn rings(&mut self, adapter: u32, channel: u32) -> Result<(), CaseEnd> {
        const ENTRIES: u64 = 8;
        let slot = self.slot();
        let opened = self.require(
            "opening a channel's rings",
            Step::ring_open(slot, self.dut, adapter, channel, ENTRIES),
        )?;
        let ring = |name: &str, iova: u64, entry_size_bytes: usize| Buffer {
            name: format!("{name} ring of channel {channel}"),
            slot,
            logical_address: Iova::new(iova),
            length_bytes: ENTRIES * entry_size_bytes as u64,
            pfns: None,
        };
        let descriptors = ring(
            "descriptor",
            opened.result.logical_address,
            DESCRIPTOR_SIZE_BYTES,
        );
        let completions = ring("completion", opened.result.value[0], COMPLETION_SIZE_BYTES);
        self.declare(&descriptors, true, false)?;
        self.declare(&completions, false, true)?;
        self.here().before = self.rig.mappings()?;
        Ok(())
    }

    /// CreateCommonBufferFromMdl, whatever comes of it.
    pub(crate) fn create(
        &mut self,
        adapter: u32,
        source: &MdlSource,
        configs: Option<&[ExtendedConfig]>,
    ) -> Result<(u32, StepResult), CaseEnd> {
        let covered = sub_section(configs).unwrap_or((0, source.length_bytes()));
        let slot = self.slot();
        let step = Step::buffer_create_from_mdl(slot, adapter, source.slot, configs, Some(covered));
        let result = self.run_one(step)?;
        Ok((slot, result))
    }

    /// CreateCommonBufferFromMdl that must succeed; checks the logical address and the mapping set.
    pub(crate) fn create_ok(
        &mut self,
        adapter: u32,
        source: &MdlSource,
        configs: Option<&[ExtendedConfig]>,
    ) -> Result<Buffer, CaseEnd> {
        let (slot, result) = self.create(adapter, source, configs)?;
        if !result.is_success() {
            let what = format!("CreateCommonBufferFromMdl of {}", source.name);
            return Err(driver_finding(&what, "STATUS_SUCCESS", &result).into());
        }
        let (offset, length_bytes) = sub_section(configs).unwrap_or((0, source.length_bytes()));
        let buffer = Buffer {
            name: source.name.clone(),
            slot,
            logical_address: Iova::new(result.result.logical_address),
            length_bytes,
            pfns: source.frames(offset, length_bytes),
        };
        self.check_alignment(&buffer)?;
        let writable = !is_read_only(configs);
        self.check_mapped(&buffer, writable)?;
        Ok(buffer)
    }

    /// CreateCommonBufferFromMdl that must fail with one of `documented`, changing no mapping.
    pub(crate) fn create_refused(
        &mut self,
        adapter: u32,
        source: &MdlSource,
        configs: Option<&[ExtendedConfig]>,
        documented: &[NtStatus],
    ) -> Result<(), CaseEnd> {
        let (_, result) = self.create(adapter, source, configs)?;
        let status = result.status();
        let what = format!("CreateCommonBufferFromMdl of {}", source.name);
        if result.result.outcome != dmarig_abi::operation::OUTCOME_DONE
            || !documented.contains(&status)
        {
            let names: Vec<String> = documented.iter().map(ToString::to_string).collect();
            let mut finding =
                driver_finding(&what, &format!("one of {}", names.join(", ")), &result);
            finding.buffer = Some(source.name.clone());
            if result.is_success() {
                finding.logical_address = Some(Iova::new(result.result.logical_address));
            }
            return Err(finding.into());
        }
        self.observe(format!("seen: {status}"));
        self.check_unchanged(&format!("the refused {what}"))
    }

    /// CreateCommonBufferFromMdl that must fail with a code that the documents leave open, changing no mapping.
    pub(crate) fn create_fails(
        &mut self,
        adapter: u32,
        source: &MdlSource,
        configs: &[ExtendedConfig],
    ) -> Result<(), CaseEnd> {
        let (_, result) = self.create(adapter, source, Some(configs))?;
        let what = format!("CreateCommonBufferFromMdl of {}", source.name);
        if result.result.outcome != dmarig_abi::operation::OUTCOME_DONE
            || result.status().is_success()
        {
            let mut finding = driver_finding(&what, "a failure", &result);
            finding.buffer = Some(source.name.clone());
            finding.logical_address = Some(Iova::new(result.result.logical_address));
            return Err(finding.into());
        }
        self.observe(format!("seen: {}", result.status()));
        self.check_unchanged(&format!("the refused {what}"))
    }

    /// AllocateCommonBufferWithBounds that must succeed inside the bounds.
    pub(crate) fn allocate_ok(
        &mut self,
        adapter: u32,
        length_bytes: u64,
        minimum: Option<u64>,
        maximum: Option<u64>,
    ) -> Result<Buffer, CaseEnd> {
        let slot = self.slot();
        let what = "AllocateCommonBufferWithBounds";
        let step = Step::buffer_allocate_with_bounds(slot, adapter, length_bytes, minimum, maximum);
        let result = self.require(what, step)?;
        let buffer = Buffer {
            name: format!("common buffer {slot}"),
            slot,
            logical_address: Iova::new(result.result.logical_address),
            length_bytes,
            pfns: None,
        };
        self.check_inside(what, &buffer, minimum, maximum)?;
        self.check_mapped(&buffer, true)?;
        Ok(buffer)
    }

    /// AllocateCommonBufferWithBounds that must give NULL and change no mapping.
    pub(crate) fn allocate_refused(
        &mut self,
        adapter: u32,
        length_bytes: u64,
        minimum: Option<u64>,
        maximum: Option<u64>,
    ) -> Result<(), CaseEnd> {
        let slot = self.slot();
        let what = "AllocateCommonBufferWithBounds";
        let step = Step::buffer_allocate_with_bounds(slot, adapter, length_bytes, minimum, maximum);
        let result = self.run_one(step)?;
        if result.result.outcome != dmarig_abi::operation::OUTCOME_NULL {
            let mut finding = driver_finding(what, "NULL", &result);
            finding.logical_address = Some(Iova::new(result.result.logical_address));
            return Err(finding.into());
        }
        self.check_unchanged(&format!("the refused {what}"))
    }

    /// FreeCommonBuffer; the mapping set must be what it was before the buffer, and the range must no
    /// longer translate if remapping is on.
    pub(crate) fn free(&mut self, buffer: &Buffer) -> Result<(), CaseEnd> {
        self.require("FreeCommonBuffer", Step::buffer_free(buffer.slot))?;
        self.check_freed(buffer)
    }

    /// A common buffer that was freed is gone for device and IOMMU.
    pub(crate) fn check_freed(&mut self, buffer: &Buffer) -> Result<(), CaseEnd> {
        self.check_gone(buffer)?;
        self.check_unchanged(&format!("FreeCommonBuffer of {}", buffer.name))
    }

    /// The call gave NULL.
    pub(crate) fn expect_null(&mut self, what: &str, result: &StepResult) -> Result<(), CaseEnd> {
        if result.result.outcome == dmarig_abi::operation::OUTCOME_NULL {
            return Ok(());
        }
        Err(driver_finding(what, "NULL", result).into())
    }

    /// Ends the case: releases what is left in slots and checks what holds for every case. Returns
    /// findings and observations.
    pub(crate) fn finish(mut self) -> Result<(Vec<Finding>, Vec<String>), RigError> {
        let left_over = self.release_and_reset()?;
        for (dut, station) in (0..).zip(&mut self.stations) {
            self.rig.turn_to(dut)?;
            for id in std::mem::take(&mut station.declared) {
                self.rig.undeclare(id)?;
            }
        }
        let mut findings = self.final_findings()?;
        findings.extend(left_over);
        Ok((findings, self.observations))
    }
}

impl Bench<'_> {
    /// Empties the slots and resets the engine.
    fn release_and_reset(&mut self) -> Result<Option<Finding>, RigError> {
        let results = release_and_reset(self.rig)?;
        let refused = results.iter().find(|result| !result.is_success());
        Ok(refused.map(|result| {
            let what = "releasing what the case left, and resetting the engine";
            driver_finding(what, "success", result)
        }))
    }
}

/// Empties the slots, then resets each engine, so that nothing that was left under way in a device (a
/// sabotaged one holds writes back) reaches into what comes next. The reset clears the interrupt enables,
/// which are the driver's: they are put back. The first result is that of the release.
pub(crate) fn release_and_reset(rig: &mut dyn Rig) -> Result<Vec<StepResult>, RigError> {
    let duts = 0..rig.duts();
    let mut release = vec![Step::release_all()];
    release.extend(
        duts.clone()
            .map(|dut| Step::read_register(dut, REG_INTERRUPT_ENABLE)),
    );
    let mut results = rig.run(CONTROL_THREAD, &release)?;
    let enables: Vec<u64> = results
        .iter()
        .skip(1)
        .map(|read| read.result.value[0])
        .collect();
    let mut reset = Vec::new();
    for (dut, enable) in duts.zip(enables) {
        reset.extend([
            Step::write_register(dut, REG_CONTROL, u64::from(CONTROL_RESET)),
            Step::write_register(dut, REG_INTERRUPT_ENABLE, enable),
        ]);
        if enable == u64::from(u32::MAX) {
            // All of the low half: there may be channels in the high one.
            let high = Step::read_register(dut, REG_INTERRUPT_ENABLE_HIGH);
            let read = rig.run(CONTROL_THREAD, &[high])?;
            let enable = read.first().map_or(0, |read| read.result.value[0]);
            let restore = Step::write_register(dut, REG_INTERRUPT_ENABLE_HIGH, enable);
            reset.push(restore);
        }
    }
    results.extend(rig.run(CONTROL_THREAD, &reset)?);
    Ok(results)
}

/// Asks something of each device under test; the rig is at the first one afterwards.
fn each_dut<T>(
    rig: &mut dyn Rig,
    mut ask: impl FnMut(&mut dyn Rig) -> Result<T, RigError>,
) -> Result<Vec<T>, RigError> {
    let answers = (0..rig.duts()).map(|dut| {
        rig.turn_to(dut)?;
        ask(rig)
    });
    let answers = answers.collect::<Result<_, _>>()?;
    rig.turn_to(0)?;
    Ok(answers)
}

pub(crate) fn driver_finding(what: &str, expected: &str, result: &StepResult) -> Finding {
    Finding {
        view: "driver",
        what: what.to_owned(),
        buffer: None,
        logical_address: None,
        expected: expected.to_owned(),
        seen: result.describe(),
    }
}

fn sub_section(configs: Option<&[ExtendedConfig]>) -> Option<(u64, u64)> {
    configs?.iter().find_map(|config| match config {
        ExtendedConfig::SubSection { offset, length } => Some((*offset, u64::from(*length))),
        _ => None,
    })
}

fn is_read_only(configs: Option<&[ExtendedConfig]>) -> bool {
    use crate::extended_config::HardwareAccess;
    configs.is_some_and(|configs| {
        configs.contains(&ExtendedConfig::HardwareAccess(HardwareAccess::ReadOnly))
    })
}

fn pages(buffer: &Buffer) -> impl Iterator<Item = u64> {
    let start = buffer.logical_address.align_down(PAGE_SIZE).raw();
    let end = buffer
        .logical_address
        .raw()
        .saturating_add(buffer.length_bytes);
    let count = end.saturating_sub(start).div_ceil(PAGE_SIZE);
    (0..count).map(move |index| start.wrapping_add(index * PAGE_SIZE))
}

fn describe_changes(changes: &[oracle::Change], added: bool) -> String {
    let pages: Vec<u64> = changes
        .iter()
        .filter(|change| change.added == added)
        .map(|change| change.page)
        .collect();
    oracle::describe_pages(&pages)
}

/// A number that the driver saw must be this one.
pub(crate) fn expect(what: &str, expected: u64, seen: u64) -> Result<(), CaseEnd> {
    if seen == expected {
        return Ok(());
    }
    Err(driver_number(what, &format!("{expected:#x}"), seen).into())
}

/// A number that the driver saw is not what it must be.
pub(crate) fn driver_number(what: &str, expected: &str, seen: u64) -> Finding {
    Finding {
        view: "driver",
        what: what.to_owned(),
        buffer: None,
        logical_address: None,
        expected: expected.to_owned(),
        seen: format!("{seen:#x}"),
    }
}
