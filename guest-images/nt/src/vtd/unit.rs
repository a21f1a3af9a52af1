//! [`Unit`]: one remapping unit with the domains attached to it. Pure but for registers and frames, so host
//! tests run it on a model of both.
//!
//! Invalidation goes by registers. Mapping and unmapping flush page by page, never a whole domain: under
//! caching mode a wider flush would report changes that somebody forgot to flush, and so hide them.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Range;

use super::fault::{self, FaultLog};
use super::invalidate::{PageBlock, blocks};
use super::registers::{Capabilities, RemappingRegisters, global, offset};
use super::tables::{ContextEntry, ContextTables};
use super::types::Target;
use super::{DomainError, Fault, Iova, Permissions, RequesterId, VtdError};
use crate::memory::direct_map::DirectMap;
use crate::memory::radix::{Radix, RadixError, SECOND_LEVEL, TableFrames};
use crate::memory::{GuestPhysAddr, PAGE_SIZE};

/// Reads of a register until the unit counts as dead. QEMU's acts within the write itself.
const MAX_POLLS: u32 = 1_000_000;
/// Physical addresses end here.
const PHYSICAL_LIMIT: u64 = 1 << 52;
/// Requests to these addresses are interrupt messages and never translated.
const INTERRUPT_RANGE: Range<u64> = 0xFEE0_0000..0xFEF0_0000;

// Context command register.
const CONTEXT_INVALIDATE: u64 = 1 << 63;
const CONTEXT_GLOBAL: u64 = 1 << 61;
const CONTEXT_DEVICE: u64 = 3 << 61;

// IOTLB registers: address, and invalidate behind it.
const IOTLB_INVALIDATE: u64 = 8;
const IOTLB_BUSY: u64 = 1 << 63;
const IOTLB_GLOBAL: u64 = 1 << 60;
const IOTLB_DOMAIN: u64 = 2 << 60;
const IOTLB_PAGES: u64 = 3 << 60;
/// Reads and writes under way are to be done before the answer.
const IOTLB_DRAIN: u64 = 3 << 48;

/// The frames of tables, and where they come from.
pub(super) struct TableMemory<'memory> {
    pub map: &'memory DirectMap,
    pub frames: &'memory mut dyn TableFrames,
}

/// Pages from `iova` on.
#[derive(Clone, Copy, Debug)]
pub(super) struct PageRun {
    pub iova: Iova,
    pub pages: u64,
}

/// A remapping unit, turned on.
#[derive(Debug)]
pub(super) struct Unit<R> {
    registers: R,
    capabilities: Capabilities,
    contexts: ContextTables,
    domains: BTreeMap<RequesterId, Attached>,
    log: FaultLog,
}

#[derive(Debug)]
struct Attached {
    id: u16,
    tables: Radix,
}

impl<R: RemappingRegisters> Unit<R> {
    /// Turns translation on with no requester attached: every request faults. `contexts` is empty.
    pub fn enable(registers: R, contexts: ContextTables) -> Result<Self, VtdError> {
        let capabilities = Capabilities::decode(
            registers.read_u64(offset::CAPABILITY),
            registers.read_u64(offset::EXTENDED_CAPABILITY),
        );
        if !capabilities.has_caching_mode {
            return Err(VtdError::NoCachingMode);
        }
        if !capabilities.is_suitable() {
            return Err(VtdError::Unsuitable);
        }
        let mut unit = Self {
            registers,
            capabilities,
            contexts,
            domains: BTreeMap::new(),
            log: FaultLog::new(),
        };
        unit.start()?;
        Ok(unit)
    }

    fn start(&mut self) -> Result<(), VtdError> {
        let root = self.contexts.root().start().raw();
        self.registers.write_u64(offset::ROOT_TABLE, root);
        self.command(global::ROOT_TABLE)?;
        self.invalidate_contexts(CONTEXT_GLOBAL)?;
        self.invalidate_iotlb(IOTLB_GLOBAL, 0, None)?;
        self.command(global::TRANSLATION)
    }

    /// Lets the unit send a message for each fault.
    pub fn send_faults_to(&mut self, address: u32, vector: u8) {
        let registers = &mut self.registers;
        registers.write_u32(offset::FAULT_EVENT_DATA, u32::from(vector));
        registers.write_u32(offset::FAULT_EVENT_ADDRESS, address);
        registers.write_u32(offset::FAULT_EVENT_UPPER_ADDRESS, 0);
        registers.write_u32(offset::FAULT_EVENT_CONTROL, 0);
    }

    /// One past the highest IOVA.
    pub fn address_limit(&self) -> u64 {
        self.capabilities.address_limit()
    }

    /// The faults so far.
    pub fn log(&self) -> &FaultLog {
        &self.log
    }

    /// Gives a requester an empty domain.
    pub fn attach(
        &mut self,
        memory: TableMemory<'_>,
        requester: RequesterId,
    ) -> Result<(), DomainError> {
        if self.domains.contains_key(&requester) {
            return Err(DomainError::AlreadyMapped);
        }
        let id = self.free_id().ok_or(DomainError::Exhausted)?;
        let levels = self
            .capabilities
            .levels
            .expect("`enable` refuses a unit without");
        let root = memory.frames.take().ok_or(DomainError::Exhausted)?;
        let entry = ContextEntry {
            tables: root,
            levels,
            domain: id,
        };
        if self
            .contexts
            .set(memory.map, memory.frames, requester, &entry)
            .is_none()
        {
            memory.frames.give_back(root);
            return Err(DomainError::Exhausted);
        }
        let tables = Radix::new(root, levels, &SECOND_LEVEL);
        self.domains.insert(requester, Attached { id, tables });
        // What was not present is cached under domain 0.
        self.flush_context(requester, 0);
        Ok(())
    }

    /// Takes a requester's domain away, with whatever is mapped in it.
    pub fn detach(&mut self, memory: TableMemory<'_>, requester: RequesterId) {
        let Some(attached) = self.domains.remove(&requester) else {
            return;
        };
        self.contexts.clear(memory.map, requester);
        self.flush_context(requester, attached.id);
        // The domain ceases to be, and its ID may come back: here, all of it must go.
        let done = self.invalidate_iotlb(IOTLB_DOMAIN, attached.id, None);
        must_answer(done);
        attached.tables.release(memory.map, memory.frames);
    }

    /// Maps pages from `iova` on and flushes. All or nothing.
    pub fn map(
        &mut self,
        memory: TableMemory<'_>,
        requester: RequesterId,
        iova: Iova,
        pages: &[GuestPhysAddr],
        permissions: Permissions,
    ) -> Result<(), DomainError> {
        let run = PageRun {
            iova,
            pages: pages.len() as u64,
        };
        self.check_range(run)?;
        if !pages.iter().all(|page| is_frame(*page)) {
            return Err(DomainError::BadAddress);
        }
        let attached = self.attached(requester);
        if addresses(run).any(|at| attached.tables.lookup(memory.map, at).is_some()) {
            return Err(DomainError::AlreadyMapped);
        }
        let result = attached.fill(memory, run, pages, permissions);
        // After a failure, too: the device may have looked at what was there for a moment.
        let id = attached.id;
        self.flush_pages(id, run);
        result
    }

    /// Unmaps pages and flushes: after it the device has lost them. All or nothing.
    pub fn unmap(
        &mut self,
        map: &DirectMap,
        requester: RequesterId,
        run: PageRun,
    ) -> Result<(), DomainError> {
        self.check_range(run)?;
        let attached = self.attached(requester);
        if addresses(run).any(|at| attached.tables.lookup(map, at).is_none()) {
            return Err(DomainError::NotMapped);
        }
        for at in addresses(run) {
            attached.tables.clear(map, at);
        }
        let id = attached.id;
        self.flush_pages(id, run);
        Ok(())
    }

    /// What the tables yield.
    pub fn translate(&self, map: &DirectMap, requester: RequesterId, iova: Iova) -> Option<Target> {
        if iova.raw() >= self.address_limit() {
            return None;
        }
        let leaf = self.attached(requester).tables.lookup(map, iova.raw())?;
        let permissions = Permissions::of_entry(leaf.entry)?;
        Some((leaf.target(iova.raw()), permissions))
    }

    /// Takes the recorded faults. The page of each is dropped from the IOTLB, or a later write to a page
    /// whose read translation is cached would be refused in silence.
    pub fn take_faults(&mut self) -> Vec<Fault> {
        let mut faults = Vec::new();
        for idx in 0..self.capabilities.fault_count {
            let at = self.capabilities.fault_offset + idx * fault::RECORD_BYTES;
            let (low, high) = (self.registers.read_u64(at), self.registers.read_u64(at + 8));
            let Some(fault) = fault::decode(low, high) else {
                continue;
            };
            if let Some(id) = self.domains.get(&fault.requester).map(|domain| domain.id) {
                self.flush_pages(
                    id,
                    PageRun {
                        iova: fault.iova,
                        pages: 1,
                    },
                );
            }
            self.registers.write_u64(at + 8, fault::IS_VALID);
            self.log.note(fault);
            faults.push(fault);
        }
        let status = self.registers.read_u32(offset::FAULT_STATUS);
        if status & fault::OVERFLOW != 0 {
            self.registers
                .write_u32(offset::FAULT_STATUS, fault::OVERFLOW);
        }
        faults
    }

    fn attached(&self, requester: RequesterId) -> &Attached {
        self.domains
            .get(&requester)
            .expect("a domain is asked for by its handle, which lives no longer than it")
    }

    /// The lowest domain ID that is free; 0 is reserved.
    fn free_id(&self) -> Option<u16> {
        let ids = 1..self.capabilities.domain_count;
        ids.filter_map(|id| u16::try_from(id).ok())
            .find(|id| self.domains.values().all(|domain| domain.id != *id))
    }

    fn check_range(&self, run: PageRun) -> Result<(), DomainError> {
        let end = run
            .pages
            .checked_mul(PAGE_SIZE)
            .and_then(|len_bytes| run.iova.checked_add(len_bytes))
            .ok_or(DomainError::BadAddress)?;
        let (start, end) = (run.iova.raw(), end.raw());
        let meets_interrupts = start < INTERRUPT_RANGE.end && INTERRUPT_RANGE.start < end;
        if !run.iova.is_aligned(PAGE_SIZE) || end > self.address_limit() || meets_interrupts {
            return Err(DomainError::BadAddress);
        }
        Ok(())
    }

    fn flush_pages(&mut self, domain: u16, run: PageRun) {
        let max_mask = self.capabilities.max_address_mask;
        for block in blocks(run.iova.raw(), run.pages, max_mask) {
            must_answer(self.invalidate_iotlb(IOTLB_PAGES, domain, Some(block)));
        }
    }

    fn flush_context(&mut self, requester: RequesterId, domain: u16) {
        let scope = CONTEXT_DEVICE | u64::from(requester.raw()) << 16 | u64::from(domain);
        must_answer(self.invalidate_contexts(scope));
    }

    fn invalidate_contexts(&mut self, scope: u64) -> Result<(), VtdError> {
        self.flush_write_buffer()?;
        let at = offset::CONTEXT_COMMAND;
        self.registers.write_u64(at, CONTEXT_INVALIDATE | scope);
        self.wait(at, |registers| {
            registers.read_u64(at) & CONTEXT_INVALIDATE == 0
        })
    }

    fn invalidate_iotlb(
        &mut self,
        scope: u64,
        domain: u16,
        block: Option<PageBlock>,
    ) -> Result<(), VtdError> {
        self.flush_write_buffer()?;
        let at = self.capabilities.iotlb_offset;
        if let Some(block) = block {
            self.registers
                .write_u64(at, block.iova | u64::from(block.address_mask));
        }
        let command = IOTLB_BUSY | scope | IOTLB_DRAIN | u64::from(domain) << 32;
        self.registers.write_u64(at + IOTLB_INVALIDATE, command);
        self.wait(at + IOTLB_INVALIDATE, |registers| {
            registers.read_u64(at + IOTLB_INVALIDATE) & IOTLB_BUSY == 0
        })
    }

    fn flush_write_buffer(&mut self) -> Result<(), VtdError> {
        if !self.capabilities.needs_write_buffer_flush {
            return Ok(());
        }
        self.write_command(global::WRITE_BUFFER);
        self.wait(offset::GLOBAL_STATUS, |registers| {
            registers.read_u32(offset::GLOBAL_STATUS) & global::WRITE_BUFFER == 0
        })
    }

    /// Gives a global command and waits until its status bit is set.
    fn command(&mut self, bit: u32) -> Result<(), VtdError> {
        self.write_command(bit);
        self.wait(offset::GLOBAL_STATUS, |registers| {
            registers.read_u32(offset::GLOBAL_STATUS) & bit != 0
        })
    }

    fn write_command(&mut self, bit: u32) {
        let status = self.registers.read_u32(offset::GLOBAL_STATUS);
        self.registers
            .write_u32(offset::GLOBAL_COMMAND, (status & global::PERSISTENT) | bit);
    }

    fn wait(&self, register: u64, is_done: impl Fn(&R) -> bool) -> Result<(), VtdError> {
        if (0..MAX_POLLS).any(|_| is_done(&self.registers)) {
            Ok(())
        } else {
            Err(VtdError::NoAnswer { register })
        }
    }
}

impl Attached {
    /// Sets the leaves; takes back what it has set if one cannot be.
    fn fill(
        &self,
        memory: TableMemory<'_>,
        run: PageRun,
        pages: &[GuestPhysAddr],
        permissions: Permissions,
    ) -> Result<(), DomainError> {
        for (at, page) in addresses(run).zip(pages) {
            let entry = page.raw() | permissions.entry_bits();
            let set = self.tables.set(memory.map, memory.frames, at, 1, entry);
            if let Err(error) = set {
                for undone in addresses(run).take_while(|undone| *undone < at) {
                    self.tables.clear(memory.map, undone);
                }
                return Err(match error {
                    RadixError::Exhausted => DomainError::Exhausted,
                    RadixError::Occupied => DomainError::AlreadyMapped,
                });
            }
        }
        Ok(())
    }
}

/// Ends the kernel if the unit is dead: nothing that was said about DMA would be true any more.
fn must_answer(result: Result<(), VtdError>) {
    if let Err(error) = result {
        panic!("{error}");
    }
}

/// The address of each page; the range was checked.
fn addresses(run: PageRun) -> impl Iterator<Item = u64> {
    (0..run.pages).map(move |page| run.iova.raw() + page * PAGE_SIZE)
}

fn is_frame(page: GuestPhysAddr) -> bool {
    page.is_aligned(PAGE_SIZE) && page.raw() < PHYSICAL_LIMIT
}

#[cfg(test)]
#[path = "unit_tests.rs"]
mod tests;
