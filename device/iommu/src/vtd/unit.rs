//! [`RemappingUnit`]: translation with caches, invalidation and fault records.

use std::ops::Range;

use dmarig_abi::{GuestPhysAddr, Iova, RequesterId};

use super::config::{ConfigError, UnitConfig};
use super::context_cache::ContextCache;
use super::entry::{ContextEntry, PageTranslation, TranslationType};
use super::fault_log::{FaultCounters, FaultFate, FaultLog, FaultRecord};
use super::invalidation::{Invalidation, InvalidationError, InvalidationMode, Pending};
use super::iotlb::Iotlb;
use super::physical_memory::{GuestPhysical, PhysicalMemory};
use super::reason::{FaultReason, Refusal};
use super::walk::{read_context, walk_pages};
use crate::fault::{Fault, FaultKind};
use crate::permissions::Access;
use crate::translate::{Segment, Translate, check_wrap};

/// Requests to these addresses are interrupt messages and never translated (section 3.14).
const INTERRUPT_RANGE: Range<u64> = 0xfee0_0000..0xfef0_0000;

/// Totals of a unit's caches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheCounters {
    /// Requests whose context entry was cached.
    pub context_hits: u64,
    /// Requests whose context entry was read from memory.
    pub context_misses: u64,
    /// Requests whose page was cached.
    pub iotlb_hits: u64,
    /// Requests whose page was walked to in memory.
    pub iotlb_misses: u64,
}

/// A remapping unit, turned on.
#[derive(Debug)]
pub struct RemappingUnit {
    config: UnitConfig,
    root_table: GuestPhysAddr,
    contexts: ContextCache,
    iotlb: Iotlb,
    pending: Pending,
    faults: FaultLog,
    last_fault: Option<(FaultRecord, FaultFate)>,
    counters: CacheCounters,
}

/// What happens to a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultRecording {
    /// It is recorded.
    Record,
    /// It leaves no record: whoever asks will ask again from there.
    Leave,
}

/// What became of a request before anything is kept or recorded.
struct Outcome {
    /// The context entry and whether it was cached, where there was a valid one.
    context: Option<(ContextEntry, bool)>,
    /// The page and whether it was cached.
    page: Result<(PageTranslation, bool), Refusal>,
}

/// One question to the unit.
#[derive(Clone, Copy)]
struct Request {
    requester: RequesterId,
    iova: Iova,
    access: Access,
}

/// A question and its answer.
struct Asked {
    request: Request,
    /// As far as the access may reach before the interrupt addresses.
    len_bytes: u64,
    outcome: Outcome,
}

impl Asked {
    /// The segment of the page that was found, cut where the page or what may be reached in it ends.
    #[inline]
    fn finish(&self) -> Result<Segment<GuestPhysical>, Refusal> {
        let (page, _) = self.outcome.page?;
        let iova = self.request.iova;
        let size_bytes = 1_u64 << page.size_bits;
        let in_page = iova.raw() & (size_bytes - 1);
        let target = page.target.raw() | in_page;
        if INTERRUPT_RANGE.contains(&target) {
            let context = self.outcome.context;
            let is_disabled =
                context.is_some_and(|(context, _)| context.is_fault_processing_disabled);
            return Err(Refusal::new(FaultReason::InterruptAddress).under(is_disabled));
        }
        Ok(Segment {
            iova,
            len_bytes: before_interrupts(target, self.len_bytes.min(size_bytes - in_page)),
            backing: GuestPhysical,
            offset_bytes: target,
        })
    }
}

impl RemappingUnit {
    /// A unit with empty caches whose root table lies at `root_table`; the low 12 bits do not count.
    ///
    /// # Errors
    /// A setting that no unit can have.
    pub fn try_new(config: UnitConfig, root_table: GuestPhysAddr) -> Result<Self, ConfigError> {
        config.check()?;
        Ok(Self {
            config,
            root_table: root_table.align_down(0x1000),
            contexts: ContextCache::new(config.context_entries),
            iotlb: Iotlb::new(config.iotlb_entries),
            pending: Pending::default(),
            faults: FaultLog::new(config.fault_records, config.compresses_faults),
            last_fault: None,
            counters: CacheCounters::default(),
        })
    }

    /// What the unit can do.
    #[must_use]
    pub const fn config(&self) -> &UnitConfig {
        &self.config
    }

    /// Where the root table lies.
    #[must_use]
    pub const fn root_table(&self) -> GuestPhysAddr {
        self.root_table
    }

    /// Points the unit at another root table. The caches keep what they have, as in hardware: software
    /// invalidates them (section 6.6).
    pub fn set_root_table(&mut self, root_table: GuestPhysAddr) {
        self.root_table = root_table.align_down(0x1000);
    }

    /// Translates the first piece of an access; see [`Translate::translate`]. A piece ends with its page.
    ///
    /// # Errors
    /// The fault of the first byte, which is recorded unless FPD says otherwise. A request to
    /// interrupt addresses is refused without a record: it is no DMA.
    #[inline]
    pub fn translate<M: PhysicalMemory + ?Sized>(
        &mut self,
        memory: &M,
        requester: RequesterId,
        iova: Iova,
        len_bytes: u64,
        access: Access,
    ) -> Result<Segment<GuestPhysical>, Fault> {
        let recording = FaultRecording::Record;
        self.translate_with(memory, requester, iova, len_bytes, access, recording)
    }

    /// [`Self::translate`] with a choice of what happens to a fault.
    ///
    /// # Errors
    /// As [`Self::translate`].
    #[inline]
    pub fn translate_with<M: PhysicalMemory + ?Sized>(
        &mut self,
        memory: &M,
        requester: RequesterId,
        iova: Iova,
        len_bytes: u64,
        access: Access,
        recording: FaultRecording,
    ) -> Result<Segment<GuestPhysical>, Fault> {
        let asked = self.ask(memory, requester, iova, len_bytes, access)?;
        self.keep(asked.request, &asked.outcome);
        asked.finish().map_err(|refusal| {
            if recording == FaultRecording::Record {
                self.record(&asked, refusal);
            }
            Fault {
                iova,
                kind: refusal.kind,
            }
        })
    }

    /// What [`Self::translate`] would answer now, cached translations included, without a trace: nothing
    /// is kept, counted or recorded.
    ///
    /// # Errors
    /// The fault of the first byte.
    pub fn peek<M: PhysicalMemory + ?Sized>(
        &self,
        memory: &M,
        requester: RequesterId,
        iova: Iova,
        len_bytes: u64,
        access: Access,
    ) -> Result<Segment<GuestPhysical>, Fault> {
        let asked = self.ask(memory, requester, iova, len_bytes, access)?;
        asked.finish().map_err(|refusal| Fault {
            iova,
            kind: refusal.kind,
        })
    }

    /// What the tables in memory say of a page, whatever is cached.
    ///
    /// # Errors
    /// Why an access there is refused.
    pub fn walk<M: PhysicalMemory + ?Sized>(
        &self,
        memory: &M,
        requester: RequesterId,
        iova: Iova,
        access: Access,
    ) -> Result<PageTranslation, Refusal> {
        let context = read_context(memory, &self.config, self.root_table, requester)?;
        walk_pages(memory, &self.config, &context, iova, access)
            .map_err(|refusal| refusal.under(context.is_fault_processing_disabled))
    }

    /// The unit and the memory that its tables lie in, as a supplier of translations.
    pub fn over<'a, M: PhysicalMemory + ?Sized>(&'a mut self, memory: &'a M) -> UnitOver<'a, M> {
        UnitOver { unit: self, memory }
    }

    /// Orders an invalidation. In deferred mode it waits for [`Self::wait`] or its tick.
    ///
    /// # Errors
    /// [`InvalidationError`]; nothing was ordered.
    pub fn invalidate(&mut self, order: Invalidation) -> Result<(), InvalidationError> {
        order.check()?;
        match self.config.invalidation {
            InvalidationMode::Immediate => self.apply(order),
            InvalidationMode::Deferred { ticks } => self.pending.push(order, ticks)?,
        }
        Ok(())
    }

    /// Carries out every order given so far, as an invalidation wait descriptor demands (section 6.5.2.9);
    /// returns how many there were.
    pub fn wait(&mut self) -> usize {
        let n_orders = self.pending.len();
        while let Some(order) = self.pending.pop() {
            self.apply(order);
        }
        n_orders
    }

    /// Lets one tick pass and carries out what is due. What a tick is, the owner decides.
    pub fn tick(&mut self) {
        self.pending.tick();
        while let Some(order) = self.pending.pop_due() {
            self.apply(order);
        }
    }

    /// Orders that have not taken effect yet.
    #[must_use]
    pub fn n_pending(&self) -> usize {
        self.pending.len()
    }

    /// The fault records that are pending, oldest first.
    pub fn faults(&self) -> impl Iterator<Item = &FaultRecord> {
        self.faults.pending()
    }

    /// Takes the fault records, oldest first, and clears the overflow flag.
    pub fn take_faults(&mut self) -> Vec<FaultRecord> {
        let records = self.faults.pending().copied().collect();
        self.faults.clear();
        records
    }

    /// The last fault that was to be recorded, and what became of it; each is told once.
    pub const fn take_last_fault(&mut self) -> Option<(FaultRecord, FaultFate)> {
        self.last_fault.take()
    }

    /// What fault recording register `index` holds.
    #[must_use]
    pub fn fault_register(&self, index: usize) -> Option<&FaultRecord> {
        self.faults.register(index)
    }

    /// The register of the oldest record that is pending (FSTS.FRI).
    #[must_use]
    pub fn first_fault_register(&self) -> Option<usize> {
        self.faults.first()
    }

    /// Frees a fault recording register for the next fault.
    pub fn free_fault_register(&mut self, index: usize) {
        self.faults.free(index);
    }

    /// Clears the overflow flag: faults are recorded again where a register is free.
    pub const fn clear_overflow(&mut self) {
        self.faults.clear_overflow();
    }

    /// PFO: a fault was lost because the registers were full, and so is every further one.
    #[must_use]
    pub const fn has_overflowed(&self) -> bool {
        self.faults.has_overflowed()
    }

    /// Totals of faults.
    #[must_use]
    pub const fn fault_counters(&self) -> FaultCounters {
        self.faults.counters()
    }

    /// Totals of the caches.
    #[must_use]
    pub const fn cache_counters(&self) -> CacheCounters {
        self.counters
    }

    /// Puts a question without keeping, counting or recording anything.
    #[inline]
    fn ask<M: PhysicalMemory + ?Sized>(
        &self,
        memory: &M,
        requester: RequesterId,
        iova: Iova,
        len_bytes: u64,
        access: Access,
    ) -> Result<Asked, Fault> {
        let len_bytes = dma_reach(iova, len_bytes)?;
        let request = Request {
            requester,
            iova,
            access,
        };
        Ok(Asked {
            request,
            len_bytes,
            outcome: self.resolve(memory, request),
        })
    }

    #[inline]
    fn resolve<M: PhysicalMemory + ?Sized>(&self, memory: &M, request: Request) -> Outcome {
        let cached = self.contexts.get(request.requester);
        let is_cached = cached.is_some();
        let read = || read_context(memory, &self.config, self.root_table, request.requester);
        let context = match cached.map_or_else(read, Ok) {
            Ok(context) => context,
            Err(refusal) => {
                return Outcome {
                    context: None,
                    page: Err(refusal),
                };
            }
        };
        Outcome {
            context: Some((context, is_cached)),
            page: self
                .resolve_page(memory, request, &context)
                .map_err(|refusal| refusal.under(context.is_fault_processing_disabled)),
        }
    }

    /// A cached page is believed, also where it lacks a permission that the tables have by now: more
    /// permissions need an invalidation, too (section 11.4.2, field CM).
    #[inline]
    fn resolve_page<M: PhysicalMemory + ?Sized>(
        &self,
        memory: &M,
        request: Request,
        context: &ContextEntry,
    ) -> Result<(PageTranslation, bool), Refusal> {
        let is_translated = context.translation != TranslationType::PassThrough;
        let cached = is_translated.then(|| self.iotlb.get(context.domain, request.iova));
        if let Some(page) = cached.flatten() {
            if !page.permissions.allows(request.access) {
                return Err(Refusal::missing(request.access, true));
            }
            return Ok((page, true));
        }
        walk_pages(memory, &self.config, context, request.iova, request.access)
            .map(|page| (page, false))
    }

    /// Fills the caches with what was read. What is not present or erroneous is never kept.
    #[inline]
    fn keep(&mut self, request: Request, outcome: &Outcome) {
        let Some((context, is_context_cached)) = outcome.context else {
            self.counters.context_misses += 1;
            return;
        };
        if is_context_cached {
            self.counters.context_hits += 1;
        } else {
            self.counters.context_misses += 1;
            self.contexts.insert(request.requester, context);
        }
        match outcome.page {
            Ok((_, true)) => self.counters.iotlb_hits += 1,
            Ok((page, false)) => {
                self.counters.iotlb_misses += 1;
                if context.translation != TranslationType::PassThrough {
                    self.iotlb.insert(context.domain, request.iova, page);
                }
            }
            Err(_) => self.counters.iotlb_misses += 1,
        }
    }

    fn record(&mut self, asked: &Asked, refusal: Refusal) {
        let request = asked.request;
        let context = asked.outcome.context;
        let record = FaultRecord {
            requester: request.requester,
            iova: request.iova.align_down(0x1000),
            access: request.access,
            reason: refusal.reason,
            domain: context.map(|(context, _)| context.domain),
        };
        let fate = if refusal.is_recorded {
            self.faults.note(record)
        } else {
            self.faults.note_suppressed()
        };
        self.last_fault = Some((record, fate));
    }

    fn apply(&mut self, order: Invalidation) {
        match order {
            Invalidation::ContextGlobal => self.contexts.invalidate_all(),
            Invalidation::ContextDomain { domain } => self.contexts.invalidate_domain(domain),
            Invalidation::ContextDevice {
                requester,
                masked_bits,
            } => self.contexts.invalidate_device(requester, masked_bits),
            Invalidation::IotlbGlobal => self.iotlb.invalidate_all(),
            Invalidation::IotlbDomain { domain } => self.iotlb.invalidate_domain(domain),
            Invalidation::IotlbPages {
                domain,
                iova,
                address_mask,
            } => self.iotlb.invalidate_pages(domain, iova, address_mask),
        }
    }
}

/// How much of an access lies before the interrupt addresses; a fault if it starts there or wraps.
fn dma_reach(iova: Iova, len_bytes: u64) -> Result<u64, Fault> {
    check_wrap(iova, len_bytes)?;
    if INTERRUPT_RANGE.contains(&iova.raw()) {
        return Err(Fault {
            iova,
            kind: FaultKind::Unmapped,
        });
    }
    Ok(before_interrupts(iova.raw(), len_bytes))
}

/// The bytes from `start` on, which lies not among them, that come before the interrupt addresses.
fn before_interrupts(start: u64, len_bytes: u64) -> u64 {
    match INTERRUPT_RANGE.start.checked_sub(start) {
        Some(distance) => len_bytes.min(distance),
        None => len_bytes,
    }
}

/// A unit beside the memory that its tables lie in: the second supplier of translations.
#[derive(Debug)]
pub struct UnitOver<'a, M: ?Sized> {
    unit: &'a mut RemappingUnit,
    memory: &'a M,
}

impl<M: PhysicalMemory + ?Sized> Translate for UnitOver<'_, M> {
    type Backing = GuestPhysical;

    fn translate(
        &mut self,
        requester: RequesterId,
        iova: Iova,
        len_bytes: u64,
        access: Access,
    ) -> Result<Segment<GuestPhysical>, Fault> {
        self.unit
            .translate(self.memory, requester, iova, len_bytes, access)
    }
}
