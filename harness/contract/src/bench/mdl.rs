//! MDLs as the contract knows them: where their pages come from, and what was done to them.

use crate::bench::Bench;
use crate::finding::{CaseEnd, Finding};
use crate::oracle::{self, PAGE_SIZE};
use crate::step::{Step, StepResult};

/// MM_ALLOCATE_REQUIRE_CONTIGUOUS_CHUNKS of MmAllocatePagesForMdlEx.
const REQUIRE_CONTIGUOUS: u32 = 0x20;
/// MM_ALLOCATE_FULLY_REQUIRED of MmAllocatePagesForMdlEx.
const FULLY_REQUIRED: u32 = 0x04;
/// How often a case asks for scattered pages before it gives up.
const SCATTER_ATTEMPTS: u32 = 16;
/// Seed of the pattern in the canary pages round a buffer's memory.
const CANARY_SEED: u64 = 0xCA9A_4100;

/// An MDL in a slot, and what the harness read of it.
#[derive(Clone, Debug)]
pub(crate) struct MdlSource {
    /// Name in reports.
    pub(crate) name: String,
    /// Slot of the MDL.
    pub(crate) slot: u32,
    /// Frames in order; empty where the MDL has none yet.
    pub(crate) pfns: Vec<u64>,
    length_bytes: u64,
    /// Frames of MDLs chained behind this one.
    chained: Vec<u64>,
    canaries: Option<Canaries>,
}

/// Pages before and behind the MDL's pages in the same memory.
#[derive(Clone, Copy, Debug)]
struct Canaries {
    memory: u32,
    after_offset: u64,
}

impl MdlSource {
    /// The slot of the memory that the MDL lies over, if it is the case's own.
    pub(crate) fn memory(&self) -> Option<u32> {
        self.canaries.map(|canaries| canaries.memory)
    }

    /// Length of this MDL, without the chain.
    pub(crate) fn length_bytes(&self) -> u64 {
        self.length_bytes
    }

    /// Frames behind a byte range of the chain, or `None` where they are not known.
    pub(crate) fn frames(&self, offset: u64, length_bytes: u64) -> Option<Vec<u64>> {
        let first = usize::try_from(offset / PAGE_SIZE).ok()?;
        let count = usize::try_from(length_bytes.div_ceil(PAGE_SIZE)).ok()?;
        let all: Vec<u64> = self.pfns.iter().chain(&self.chained).copied().collect();
        Some(all.get(first..first.checked_add(count)?)?.to_vec())
    }
}

impl Bench<'_> {
    /// Memory of `pages` pages with a canary page on either side, and an MDL over the middle that is
    /// neither built nor locked.
    fn bare_mdl(&mut self, name: &str, pages: u64, contiguous: bool) -> Result<MdlSource, CaseEnd> {
        self.bare_mdl_of(name, 0, pages * PAGE_SIZE, contiguous)
    }

    fn bare_mdl_of(
        &mut self,
        name: &str,
        byte_offset: u64,
        length_bytes: u64,
        contiguous: bool,
    ) -> Result<MdlSource, CaseEnd> {
        let memory = self.slot();
        let after_offset = PAGE_SIZE + (byte_offset + length_bytes).next_multiple_of(PAGE_SIZE);
        let total = after_offset + PAGE_SIZE;
        let allocate = if contiguous {
            Step::contiguous_allocate(memory, total)
        } else {
            Step::pool_allocate(memory, total)
        };
        self.require("allocating the buffer's memory", allocate)?;
        for offset in [0, after_offset] {
            let fill = Step::cpu_fill(memory, offset, PAGE_SIZE, CANARY_SEED);
            self.require("filling the canary pages", fill)?;
        }
        let slot = self.slot();
        let step = Step::mdl_allocate(slot, memory, PAGE_SIZE + byte_offset, length_bytes);
        self.require("IoAllocateMdl", step)?;
        Ok(MdlSource {
            name: format!("{name} MDL {slot}"),
            slot,
            pfns: Vec::new(),
            length_bytes,
            chained: Vec::new(),
            canaries: Some(Canaries {
                memory,
                after_offset,
            }),
        })
    }

    /// An MDL over memory, neither built nor locked.
    pub(crate) fn unbuilt_mdl(&mut self, pages: u64) -> Result<MdlSource, CaseEnd> {
        self.bare_mdl("unbuilt", pages, true)
    }

    /// An MDL over nonpaged pool, built. Without remapping it falls back to contiguous memory where
    /// the pool's pages do not follow one another, which is noted.
    pub(crate) fn pool_mdl(&mut self, pages: u64) -> Result<MdlSource, CaseEnd> {
        let mut source = self.bare_mdl("pool", pages, false)?;
        self.build(&mut source)?;
        if self.is_remapped() || oracle::is_contiguous(&source.pfns) {
            return Ok(source);
        }
        self.observe("the pool's pages are scattered: contiguous memory used instead".to_owned());
        self.contiguous_mdl(pages)
    }

    /// An MDL over physically contiguous nonpaged memory, built.
    pub(crate) fn contiguous_mdl(&mut self, pages: u64) -> Result<MdlSource, CaseEnd> {
        let mut source = self.bare_mdl("contiguous", pages, true)?;
        self.build(&mut source)?;
        Ok(source)
    }

    /// A built MDL that starts `byte_offset` into a page and covers `length_bytes`.
    pub(crate) fn odd_mdl(
        &mut self,
        byte_offset: u64,
        length_bytes: u64,
    ) -> Result<MdlSource, CaseEnd> {
        let mut source = self.bare_mdl_of("odd", byte_offset, length_bytes, true)?;
        self.build(&mut source)?;
        Ok(source)
    }

    /// An MDL locked by MmProbeAndLockPages and mapped.
    pub(crate) fn locked_mdl(&mut self, pages: u64) -> Result<MdlSource, CaseEnd> {
        let mut source = self.bare_mdl("locked", pages, true)?;
        self.require("MmProbeAndLockPages", Step::mdl_probe_and_lock(source.slot))?;
        self.require("MmGetSystemAddressForMdlSafe", Step::mdl_map(source.slot))?;
        self.read_frames(&mut source)?;
        Ok(source)
    }

    /// An MDL over contiguous memory between two physical addresses, built.
    pub(crate) fn contiguous_mdl_within(
        &mut self,
        pages: u64,
        lowest: u64,
        highest: u64,
    ) -> Result<MdlSource, CaseEnd> {
        let memory = self.slot();
        let length_bytes = pages * PAGE_SIZE;
        self.require(
            "MmAllocateContiguousMemorySpecifyCache",
            Step::contiguous_allocate_within(memory, length_bytes, lowest, highest),
        )?;
        let slot = self.slot();
        let step = Step::mdl_allocate(slot, memory, 0, length_bytes);
        self.require("IoAllocateMdl", step)?;
        let mut source = MdlSource {
            name: format!("contiguous MDL {slot}"),
            slot,
            pfns: Vec::new(),
            length_bytes,
            chained: Vec::new(),
            canaries: None,
        };
        self.build(&mut source)?;
        check_frames_within(&source, lowest, highest)?;
        Ok(source)
    }

    /// Mapped pages of MmAllocatePagesForMdlEx between two physical addresses.
    pub(crate) fn pages_mdl_within(
        &mut self,
        pages: u64,
        lowest: u64,
        highest: u64,
        contiguous: bool,
    ) -> Result<MdlSource, CaseEnd> {
        let slot = self.slot();
        let length_bytes = pages * PAGE_SIZE;
        let flags = if contiguous {
            REQUIRE_CONTIGUOUS
        } else {
            FULLY_REQUIRED
        };
        let step = Step::mdl_allocate_pages_within(slot, length_bytes, lowest, highest, flags);
        self.require("MmAllocatePagesForMdlEx", step)?;
        self.require("MmGetSystemAddressForMdlSafe", Step::mdl_map(slot))?;
        let mut source = MdlSource {
            name: format!("allocated pages MDL {slot}"),
            slot,
            pfns: Vec::new(),
            length_bytes,
            chained: Vec::new(),
            canaries: None,
        };
        self.read_frames(&mut source)?;
        check_frames_within(&source, lowest, highest)?;
        Ok(source)
    }

    /// An MDL locked by MmProbeAndLockPages, without a system mapping.
    pub(crate) fn locked_unmapped_mdl(&mut self, pages: u64) -> Result<MdlSource, CaseEnd> {
        let mut source = self.bare_mdl("locked, unmapped", pages, true)?;
        self.require("MmProbeAndLockPages", Step::mdl_probe_and_lock(source.slot))?;
        self.read_frames(&mut source)?;
        Ok(source)
    }

    /// A partial MDL over `length_bytes` bytes of another one from `offset` on.
    pub(crate) fn partial_mdl(
        &mut self,
        whole: &MdlSource,
        offset: u64,
        length_bytes: u64,
    ) -> Result<MdlSource, CaseEnd> {
        let slot = self.slot();
        let step = Step::mdl_build_partial(slot, whole.slot, offset, length_bytes);
        self.require("IoBuildPartialMdl", step)?;
        let mut source = MdlSource {
            name: format!("partial MDL {slot} of {}", whole.name),
            slot,
            pfns: Vec::new(),
            length_bytes,
            chained: Vec::new(),
            canaries: None,
        };
        self.read_frames(&mut source)?;
        let first = usize::try_from(offset / PAGE_SIZE).unwrap_or(usize::MAX);
        let expected = whole.pfns.get(first..).unwrap_or_default();
        if expected.starts_with(&source.pfns) {
            return Ok(source);
        }
        Err(Finding {
            view: "driver",
            what: "the frames in the partial MDL".to_owned(),
            buffer: Some(source.name),
            logical_address: None,
            expected: format!("{expected:x?}"),
            seen: format!("{:x?}", source.pfns),
        }
        .into())
    }

    /// Contiguous pages of MmAllocatePagesForMdlEx; mapped if asked for.
    pub(crate) fn allocated_pages_mdl(
        &mut self,
        pages: u64,
        mapped: bool,
    ) -> Result<MdlSource, CaseEnd> {
        self.pages_mdl("allocated pages", pages, REQUIRE_CONTIGUOUS, mapped)
    }

    /// Mapped pages of MmAllocatePagesForMdlEx that do not follow one another.
    pub(crate) fn scattered_mdl(&mut self, pages: u64) -> Result<MdlSource, CaseEnd> {
        for _ in 0..SCATTER_ATTEMPTS {
            let source = self.pages_mdl("scattered", pages, FULLY_REQUIRED, true)?;
            if !oracle::is_contiguous(&source.pfns) {
                return Ok(source);
            }
        }
        Err(CaseEnd::Skipped(format!(
            "the guest handed out contiguous pages {SCATTER_ATTEMPTS} times running"
        )))
    }

    fn pages_mdl(
        &mut self,
        name: &str,
        pages: u64,
        flags: u32,
        mapped: bool,
    ) -> Result<MdlSource, CaseEnd> {
        let slot = self.slot();
        let length_bytes = pages * PAGE_SIZE;
        let result = self.require(
            "MmAllocatePagesForMdlEx",
            Step::mdl_allocate_pages(slot, length_bytes, flags),
        )?;
        if result.result.length != length_bytes {
            return Err(CaseEnd::Skipped(format!(
                "MmAllocatePagesForMdlEx granted {:#x} of {length_bytes:#x} bytes",
                result.result.length
            )));
        }
        let mut source = MdlSource {
            name: format!("{name} MDL {slot}"),
            slot,
            pfns: Vec::new(),
            length_bytes,
            chained: Vec::new(),
            canaries: None,
        };
        if mapped {
            self.require("MmGetSystemAddressForMdlSafe", Step::mdl_map(slot))?;
        }
        self.read_frames(&mut source)?;
        Ok(source)
    }

    fn build(&mut self, source: &mut MdlSource) -> Result<(), CaseEnd> {
        let step = Step::mdl_build_nonpaged(source.slot);
        self.require("MmBuildMdlForNonPagedPool", step)?;
        self.read_frames(source)
    }

    fn read_frames(&mut self, source: &mut MdlSource) -> Result<(), CaseEnd> {
        let query = self.query(source)?;
        source.pfns = frames_of(&query);
        while (source.pfns.len() as u64) < query.result.value[2] {
            let step = Step::mdl_query_from(source.slot, source.pfns.len() as u64);
            let more = frames_of(&self.require("reading the MDL", step)?);
            if more.is_empty() {
                break;
            }
            source.pfns.extend(more);
        }
        let pages = query.result.value[1]
            .saturating_add(source.length_bytes)
            .div_ceil(PAGE_SIZE);
        if source.pfns.len() as u64 == pages {
            return Ok(());
        }
        Err(Finding {
            view: "driver",
            what: "the frames in the MDL".to_owned(),
            buffer: Some(source.name.clone()),
            logical_address: None,
            expected: format!("{pages:#x} frames"),
            seen: format!("{:#x}", source.pfns.len()),
        }
        .into())
    }

    /// Reads an MDL's fields and frames.
    pub(crate) fn query(&mut self, source: &MdlSource) -> Result<StepResult, CaseEnd> {
        self.require("reading the MDL", Step::mdl_query(source.slot))
    }

    /// Sets `first.Next = second`.
    pub(crate) fn chain(
        &mut self,
        first: &mut MdlSource,
        second: &MdlSource,
    ) -> Result<(), CaseEnd> {
        let step = Step::mdl_chain(first.slot, Some(second.slot));
        self.require("chaining two MDLs", step)?;
        first.chained.clone_from(&second.pfns);
        first.chained.extend(&second.chained);
        Ok(())
    }

    /// Checks that nobody wrote into the pages round the buffer's memory.
    pub(crate) fn check_canaries(&mut self, source: &MdlSource) -> Result<(), CaseEnd> {
        let Some(canaries) = source.canaries else {
            return Ok(());
        };
        for (place, offset) in [("before", 0), ("behind", canaries.after_offset)] {
            let step = Step::cpu_check(canaries.memory, offset, PAGE_SIZE, CANARY_SEED);
            let result = self.require("reading the canary page", step)?;
            let what = format!("the canary page {place} the memory of {}", source.name);
            self.judge_cpu_check(&what, &result, None)?;
        }
        Ok(())
    }
}

/// All frames lie between two physical addresses.
fn check_frames_within(source: &MdlSource, lowest: u64, highest: u64) -> Result<(), CaseEnd> {
    let range = lowest / PAGE_SIZE..=highest / PAGE_SIZE;
    let Some(pfn) = source.pfns.iter().find(|pfn| !range.contains(pfn)) else {
        return Ok(());
    };
    Err(Finding {
        view: "driver",
        what: "the frames of memory that was asked for within limits".to_owned(),
        buffer: Some(source.name.clone()),
        logical_address: None,
        expected: format!("frames in {range:x?}"),
        seen: format!("{pfn:#x}"),
    }
    .into())
}

/// The frames in the data of an MDL query.
pub(crate) fn frames_of(query: &StepResult) -> Vec<u64> {
    query
        .data
        .chunks_exact(8)
        .map(|bytes| u64::from_le_bytes(bytes.try_into().expect("chunks of eight")))
        .collect()
}
