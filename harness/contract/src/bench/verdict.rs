//! Judging results: the three views against the contract.

use dmarig_abi::Iova;
use dmarig_abi::completion::{DMA_STATUS_MISMATCH, DMA_STATUS_SUCCESS, DMA_STATUS_UNMAPPED};

use crate::bench::exercise::{Pass, describe_dma_status, transfer_status, went_by_message};
use dmarig_abi::operation::TRANSFER_VALUE_INTERRUPT_SEEN;

use crate::bench::{Bench, Buffer, describe_changes, pages};
use crate::finding::{CaseEnd, Finding};
use crate::oracle::{self, PAGE_SIZE};
use crate::rig::{DeviceResult, MappingView, RigError};
use crate::step::StepResult;

const NO_MISMATCH: u64 = u64::MAX;

/// Most pages of a buffer that are probed one by one; the whole set is compared besides.
const PROBES_MAX: usize = 64;

/// All pages, or evenly chosen ones of them with both ends, where there are many.
fn sample(pages: impl Iterator<Item = u64>) -> impl Iterator<Item = u64> {
    let pages: Vec<u64> = pages.collect();
    let stride = pages.len().div_ceil(PROBES_MAX).max(1);
    let last = pages.len().wrapping_sub(1);
    pages
        .into_iter()
        .enumerate()
        .filter(move |(index, _)| index.is_multiple_of(stride) || *index == last)
        .map(|(_, page)| page)
}

fn finding(
    view: &'static str,
    what: &str,
    buffer: &Buffer,
    expected: String,
    seen: String,
) -> Finding {
    Finding {
        view,
        what: what.to_owned(),
        buffer: Some(buffer.name.clone()),
        logical_address: Some(buffer.logical_address),
        expected,
        seen,
    }
}

impl Bench<'_> {
    /// The logical address starts a page.
    pub(crate) fn check_alignment(&mut self, buffer: &Buffer) -> Result<(), CaseEnd> {
        if buffer.logical_address.is_aligned(PAGE_SIZE) {
            return Ok(());
        }
        let expected = "a page-aligned logical address".to_owned();
        let seen = buffer.logical_address.to_string();
        Err(finding("driver", "the returned address", buffer, expected, seen).into())
    }

    /// `minimum <= LA` and `LA + length - 1 <= maximum`.
    pub(crate) fn check_inside(
        &mut self,
        what: &str,
        buffer: &Buffer,
        minimum: Option<u64>,
        maximum: Option<u64>,
    ) -> Result<(), CaseEnd> {
        let (minimum, maximum) = (minimum.unwrap_or(0), maximum.unwrap_or(u64::MAX));
        let start = buffer.logical_address.raw();
        let last = start.checked_add(buffer.length_bytes.saturating_sub(1));
        if start >= minimum && last.is_some_and(|last| last <= maximum) {
            return Ok(());
        }
        let expected = format!("a range inside {minimum:#x}..={maximum:#x}");
        let seen = format!("{start:#x}, {:#x} bytes", buffer.length_bytes);
        Err(finding("driver", what, buffer, expected, seen).into())
    }

    /// Every page of the buffer is mapped to its frame with the right permission; with remapping
    /// nothing else changed, without it nothing changed at all.
    pub(crate) fn check_mapped(&mut self, buffer: &Buffer, writable: bool) -> Result<(), CaseEnd> {
        self.check_mapped_in(buffer, writable, PAGE_SIZE)
    }

    /// As [`Self::check_mapped`]; the mapping may reach on to the next multiple of `grain_bytes`.
    pub(super) fn check_mapped_in(
        &mut self,
        buffer: &Buffer,
        writable: bool,
        grain_bytes: u64,
    ) -> Result<(), CaseEnd> {
        let now = self.rig.mappings()?;
        for (index, page) in pages(buffer).enumerate() {
            let expected_phys = match &buffer.pfns {
                Some(pfns) => pfns.get(index).map(|pfn| pfn * PAGE_SIZE),
                None => None,
            };
            let seen = oracle::translate(&now, page);
            // Frames are either not to be known at all, or known for every page.
            let right = seen.is_some_and(|seen| {
                seen.writable == writable
                    && (buffer.pfns.is_none()
                        || (expected_phys.is_some() && seen.guest_phys == expected_phys))
            });
            if !right {
                let frame =
                    expected_phys.map_or("its frame".to_owned(), |phys| format!("{phys:#x}"));
                let access = if writable { "read-write" } else { "read-only" };
                let mut finding = finding(
                    "iommu",
                    "the mapping of a live common buffer",
                    buffer,
                    format!("page {page:#x} mapped {access} to {frame}"),
                    seen.map_or("no mapping".to_owned(), |seen| format!("{seen:x?}")),
                );
                finding.logical_address = Some(Iova::new(page));
                return Err(finding.into());
            }
        }
        let changes = oracle::difference(&self.here().before, &now);
        let own: Vec<u64> = if self.is_remapped() {
            let mapped_bytes = buffer.length_bytes.next_multiple_of(grain_bytes);
            let start = buffer.logical_address.raw();
            let count = mapped_bytes / PAGE_SIZE;
            (0..count)
                .map(|index| start.wrapping_add(index * PAGE_SIZE))
                .collect()
        } else {
            Vec::new()
        };
        let added: Vec<u64> = changes.iter().filter(|c| c.added).map(|c| c.page).collect();
        if added == own && changes.iter().all(|change| change.added) {
            return Ok(());
        }
        let expected = format!("{} added, nothing removed", oracle::describe_pages(&own));
        let seen = format!(
            "{} added, {} removed",
            describe_changes(&changes, true),
            describe_changes(&changes, false)
        );
        let what = "the change of the mapping set by the creation";
        Err(finding("iommu", what, buffer, expected, seen).into())
    }

    /// With remapping, the mapping set has just the pages of these buffers more than before; without it,
    /// nothing has changed and each page is there.
    pub(crate) fn check_all_mapped(&mut self, buffers: &[Buffer]) -> Result<(), CaseEnd> {
        let now = self.rig.mappings()?;
        for buffer in buffers {
            let lost = pages(buffer)
                .find(|page| oracle::translate(&now, *page).is_none_or(|target| !target.writable));
            if let Some(page) = lost {
                let expected = format!("page {page:#x} mapped read-write");
                let what = "the mapping of a live common buffer";
                return Err(
                    finding("iommu", what, buffer, expected, "it is not".to_owned()).into(),
                );
            }
        }
        let mut own: Vec<u64> = Vec::new();
        if self.is_remapped() {
            own.extend(buffers.iter().flat_map(pages));
        }
        own.sort_unstable();
        let changes = oracle::difference(&self.here().before, &now);
        let added: Vec<u64> = changes.iter().filter(|c| c.added).map(|c| c.page).collect();
        if added == own && changes.iter().all(|change| change.added) {
            return Ok(());
        }
        Err(Finding {
            view: "iommu",
            what: format!("the mapping set with {} live common buffers", buffers.len()),
            buffer: None,
            logical_address: None,
            expected: format!("{} pages added, nothing removed", own.len()),
            seen: format!("{} added, {} changes", added.len(), changes.len()),
        }
        .into())
    }

    /// The mapping set is what it was before the case's buffers.
    pub(crate) fn check_unchanged(&mut self, what: &str) -> Result<(), CaseEnd> {
        let before = self.here().before.clone();
        match self.mapping_change(&before, what)? {
            None => Ok(()),
            Some(finding) => Err(finding.into()),
        }
    }

    /// What has changed since, if something has.
    pub(super) fn mapping_change(
        &mut self,
        before: &MappingView,
        what: &str,
    ) -> Result<Option<Finding>, RigError> {
        let now = self.rig.mappings()?;
        let changes = oracle::difference(before, &now);
        let Some(first) = changes.first() else {
            return Ok(None);
        };
        Ok(Some(Finding {
            view: "iommu",
            what: format!("the mapping set after {what}"),
            buffer: None,
            logical_address: Some(Iova::new(first.page)),
            expected: "the set from before".to_owned(),
            seen: format!(
                "{} more, {} less",
                describe_changes(&changes, true),
                describe_changes(&changes, false)
            ),
        }))
    }

    /// With remapping, no page of the freed buffer translates any more (asked, not touched).
    pub(crate) fn check_gone(&mut self, buffer: &Buffer) -> Result<(), CaseEnd> {
        if !self.is_remapped() {
            return Ok(());
        }
        let sample = sample(pages(buffer));
        let Some((page, status)) = self.probe_pages(sample, DMA_STATUS_UNMAPPED)? else {
            return Ok(());
        };
        let mut finding = finding(
            "device",
            "a probe of the freed logical range",
            buffer,
            "unmapped".to_owned(),
            describe_dma_status(status),
        );
        finding.logical_address = Some(page);
        Err(finding.into())
    }

    /// A transfer ended well.
    pub(super) fn judge_transfer(
        &mut self,
        what: &str,
        buffer: &Buffer,
        pass: Pass,
        result: &StepResult,
    ) -> Result<(), CaseEnd> {
        let status = transfer_status(result);
        if result.is_success() && status == DMA_STATUS_SUCCESS {
            return self.judge_way(what, buffer, pass, result);
        }
        let offset = result.result.value[1];
        if result.is_success() && status == DMA_STATUS_MISMATCH && offset != NO_MISMATCH {
            let bytes = result.result.value[2] >> 16;
            return Err(mismatch(
                "device",
                what,
                buffer,
                offset,
                bytes & 0xff,
                (bytes >> 8) & 0xff,
            )
            .into());
        }
        let seen = if result.is_success() {
            describe_dma_status(status)
        } else {
            result.describe()
        };
        let expected = format!("success of {:#x} bytes", buffer.length_bytes);
        Err(finding("device", what, buffer, expected, seen).into())
    }

    /// A transfer that ended well took the way that was asked for, as far as it was asked to go.
    fn judge_way(
        &mut self,
        what: &str,
        buffer: &Buffer,
        pass: Pass,
        result: &StepResult,
    ) -> Result<(), CaseEnd> {
        let done_bytes = result.result.length;
        let by_message = went_by_message(result);
        let has_interrupted = result.result.value[2] & TRANSFER_VALUE_INTERRUPT_SEEN != 0;
        let (view, expected, seen) = if done_bytes != buffer.length_bytes {
            let expected = format!("{:#x} bytes moved", buffer.length_bytes);
            ("device", expected, format!("{done_bytes:#x}"))
        } else if by_message != pass.by_message {
            let path = |by_message| if by_message { "by message" } else { "mapped" };
            let expected = path(pass.by_message).to_owned();
            ("device", expected, path(by_message).to_owned())
        } else if pass.is_by_interrupt() && !has_interrupted {
            let expected = "the channel's interrupt".to_owned();
            ("driver", expected, "the end, but no interrupt".to_owned())
        } else {
            return Ok(());
        };
        Err(finding(view, what, buffer, expected, seen).into())
    }

    /// The CRC in a result is that of the pattern.
    pub(super) fn judge_crc(
        &mut self,
        what: &str,
        buffer: &Buffer,
        result: &StepResult,
        crc: u32,
    ) -> Result<(), CaseEnd> {
        if result.is_success() && result.result.value[0] == u64::from(crc) {
            return Ok(());
        }
        let seen = if result.is_success() {
            format!("{:#010x}", result.result.value[0])
        } else {
            result.describe()
        };
        let expected = format!("CRC-32C {crc:#010x}");
        Err(finding("driver", what, buffer, expected, seen).into())
    }

    /// The device's own reading of the buffer.
    pub(super) fn judge_device_crc(
        &mut self,
        buffer: &Buffer,
        pass: Pass,
        result: DeviceResult,
        crc: u32,
    ) -> Result<(), CaseEnd> {
        let is_right = result.status == DMA_STATUS_SUCCESS
            && result.crc32c == crc
            && result.done_bytes == buffer.length_bytes
            && result.by_message == pass.by_message;
        if is_right {
            return Ok(());
        }
        let expected = format!(
            "success, CRC-32C {crc:#010x}, {:#x} bytes, by message: {}",
            buffer.length_bytes, pass.by_message
        );
        let seen = format!(
            "{}, {:#010x}, {:#x} bytes, by message: {}",
            describe_dma_status(result.status),
            result.crc32c,
            result.done_bytes,
            result.by_message
        );
        Err(finding("device", "the device's own reading", buffer, expected, seen).into())
    }

    /// The CPU saw the pattern.
    pub(crate) fn judge_cpu_check(
        &mut self,
        what: &str,
        result: &StepResult,
        buffer: Option<&Buffer>,
    ) -> Result<(), CaseEnd> {
        let offset = result.result.value[1];
        if result.is_success() && offset == NO_MISMATCH {
            return Ok(());
        }
        let bytes = result.result.value[2];
        let (expected, seen) = if result.is_success() {
            (
                format!("byte {:#04x} at offset {offset:#x}", bytes & 0xff),
                format!("{:#04x}", (bytes >> 8) & 0xff),
            )
        } else {
            ("the pattern".to_owned(), result.describe())
        };
        Err(Finding {
            view: "driver",
            what: format!("what the CPU reads after {what}"),
            buffer: buffer.map(|buffer| buffer.name.clone()),
            logical_address: buffer
                .map(|buffer| buffer.at(if result.is_success() { offset } else { 0 })),
            expected,
            seen,
        }
        .into())
    }

    /// The violations that the case has caused must be of this kind, and at least one: their words.
    pub(crate) fn expect_violations(&mut self, kind: &str) -> Result<Vec<String>, CaseEnd> {
        let words = self.violations_of(kind)?;
        if words.is_empty() {
            return Err(violations_finding(kind, "none".into()).into());
        }
        Ok(words)
    }

    /// The violations that the case has caused, which may be of this kind alone: their words.
    pub(crate) fn violations_of(&mut self, kind: &str) -> Result<Vec<String>, CaseEnd> {
        let found = self.rig.take_violations()?;
        if let Some(other) = found.iter().find(|violation| violation.kind != kind) {
            let seen = format!("{}: {}", other.kind, other.detail);
            return Err(violations_finding(kind, seen).into());
        }
        Ok(found
            .into_iter()
            .map(|violation| violation.detail)
            .collect())
    }

    /// What must hold at the end of every case, of one device under test.
    fn findings_of_dut(&mut self) -> Result<Vec<Finding>, RigError> {
        let start = self.here().start.clone();
        let change = self.mapping_change(&start, "everything was released")?;
        let violations = self.rig.take_violations()?;
        let violations = violations.into_iter().map(|violation| Finding {
            view: "ledger",
            what: violation.kind,
            buffer: None,
            logical_address: violation.iova,
            expected: "no violation".to_owned(),
            seen: violation.detail,
        });
        Ok(change.into_iter().chain(violations).collect())
    }

    /// What must hold at the end of every case.
    pub(super) fn final_findings(&mut self) -> Result<Vec<Finding>, RigError> {
        let mut findings = Vec::new();
        for dut in 0..self.rig.duts() {
            self.turn_to(dut)?;
            for finding in self.findings_of_dut()? {
                findings.push(self.at_this_dut(finding));
            }
        }
        for fault in self.rig.take_faults(false)? {
            findings.push(Finding {
                view: "iommu",
                what: "a fault that no probe announced".to_owned(),
                buffer: None,
                logical_address: Some(fault.page),
                expected: "no fault".to_owned(),
                seen: format!(
                    "reason {:#x}, requester {}, {}",
                    fault.reason,
                    fault.requester,
                    if fault.is_write { "write" } else { "read" }
                ),
            });
        }
        let found = self.rig.take_guest_findings()?;
        findings.extend(self.judge_guest_findings(found));
        Ok(findings)
    }

    /// The guest found what the case is about, and nothing else.
    fn judge_guest_findings(&mut self, found: Vec<String>) -> Vec<Finding> {
        let id_of = |text: &str| text.split(':').next().unwrap_or_default().to_owned();
        let (expected, others): (Vec<_>, Vec<_>) = found
            .into_iter()
            .partition(|text| self.expected_findings.contains(&id_of(text).as_str()));
        let guest = |expected: String, seen: String| Finding {
            view: "guest",
            what: "what the guest itself found".to_owned(),
            buffer: None,
            logical_address: None,
            expected,
            seen,
        };
        let is_missing = |id: &&&str| !expected.iter().any(|text| id_of(text) == **id);
        let missing = self.expected_findings.iter().filter(is_missing);
        let findings = others
            .into_iter()
            .map(|text| guest("no finding".to_owned(), text))
            .chain(missing.map(|id| guest(format!("the finding {id}"), "none".to_owned())))
            .collect();
        for text in expected {
            self.observe(format!("the guest says: {text}"));
        }
        findings
    }
}

fn mismatch(
    view: &'static str,
    what: &str,
    buffer: &Buffer,
    offset: u64,
    expected: u64,
    seen: u64,
) -> Finding {
    Finding {
        view,
        what: what.to_owned(),
        buffer: Some(buffer.name.clone()),
        logical_address: Some(buffer.at(offset)),
        expected: format!("byte {expected:#04x} at offset {offset:#x}"),
        seen: format!("{seen:#04x}"),
    }
}

fn violations_finding(kind: &str, seen: String) -> Finding {
    Finding {
        view: "ledger",
        what: "violations".to_owned(),
        buffer: None,
        logical_address: None,
        expected: format!("violations of the kind {kind}"),
        seen,
    }
}
