//! Random tables, malformed ones among them, and random orders, against the naive walker.

use dmarig_abi::{Iova, RequesterId};
use iommu::vtd::{
    FaultRecord, Invalidation, InvalidationMode, PhysicalMemory, RemappingUnit, UnitConfig,
};
use iommu::{Access, Fault, Segment};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;

use crate::reference::{self, Context, Page};
use crate::strategies::{Action, Request, action, change, config, memory, mode, request};
use crate::tables::{ROOT, Tables};

/// What a request brought: address and length, or the code that was recorded (`None`: no record).
type Answer = Result<(u64, u64), Option<u8>>;

const LEN_BYTES: u64 = 0x1800;

fn access(request: Request) -> Access {
    if request.is_write {
        Access::Write
    } else {
        Access::Read
    }
}

fn ask(unit: &mut RemappingUnit, memory: &Tables, request: Request) -> Answer {
    let iova = Iova::new(request.iova);
    let peeked = unit.peek(memory, request.requester, iova, LEN_BYTES, access(request));
    let found = unit.translate(memory, request.requester, iova, LEN_BYTES, access(request));
    assert_eq!(peeked, found, "a peek foretells the translation");
    let code = |record: FaultRecord| {
        assert_eq!(record.requester, request.requester);
        assert_eq!(record.iova.raw(), request.iova & !0xfff);
        assert_eq!(record.access, access(request));
        record.reason.code()
    };
    let answer = |segment: Segment<_>| (segment.offset_bytes, segment.len_bytes);
    let refused = |_: Fault| unit.take_faults().pop().map(code);
    found.map(answer).map_err(refused)
}

/// The answer that a page gives to a request.
fn answer_of(page: &Page, request: Request, is_recorded: bool) -> Answer {
    let refused = |code| Err(Some(code).filter(|_| is_recorded));
    if request.is_write && !page.writable {
        return refused(5);
    }
    if !request.is_write && !page.readable {
        return refused(6);
    }
    let in_page = request.iova % page.size_bytes;
    let target = page.target + in_page;
    if (0xfee0_0000..0xfef0_0000).contains(&target) {
        return refused(0xe);
    }
    let mut len_bytes = LEN_BYTES.min(page.size_bytes - in_page);
    if target < 0xfee0_0000 {
        len_bytes = len_bytes.min(0xfee0_0000 - target);
    }
    Ok((target, len_bytes))
}

fn expected(memory: &Tables, config: &UnitConfig, request: Request) -> Answer {
    let refused = |(code, is_recorded)| Some(code).filter(|_| is_recorded);
    let context = reference::context(memory, config, ROOT.raw(), request.requester);
    let context = context.map_err(refused)?;
    let page = reference::page(memory, config, &context, request.iova, request.is_write);
    answer_of(&page.map_err(refused)?, request, !context.hides_faults)
}

/// Caches that never lose anything but by an order that has taken effect: whatever a real cache may hold
/// is in here.
#[derive(Default)]
struct Former {
    contexts: Vec<(RequesterId, Context)>,
    /// Domain, first byte, page.
    pages: Vec<(u64, u64, Page)>,
    pending: Vec<(Option<u64>, Invalidation)>,
    now: u64,
}

impl Former {
    fn order(&mut self, order: Invalidation, mode: InvalidationMode) {
        match mode {
            InvalidationMode::Immediate => self.apply(order),
            InvalidationMode::Deferred { ticks } => {
                let due = ticks.map(|ticks| self.now + u64::from(ticks.get()));
                self.pending.push((due, order));
            }
        }
    }

    fn tick(&mut self) {
        self.now += 1;
        let now = self.now;
        let is_due = |due: &Option<u64>| due.is_some_and(|due| due <= now);
        for (_, order) in self.pending.clone().iter().filter(|(due, _)| is_due(due)) {
            self.apply(*order);
        }
        self.pending.retain(|(due, _)| !is_due(due));
    }

    fn wait(&mut self) {
        for (_, order) in std::mem::take(&mut self.pending) {
            self.apply(order);
        }
    }

    fn apply(&mut self, order: Invalidation) {
        match order {
            Invalidation::ContextGlobal => self.contexts.clear(),
            Invalidation::ContextDomain { domain } => {
                self.contexts
                    .retain(|(_, context)| context.domain != u64::from(domain));
            }
            Invalidation::ContextDevice {
                requester,
                masked_bits,
            } => {
                let compared = [0xffff, 0xfffb, 0xfff9, 0xfff8][usize::from(masked_bits)];
                self.contexts
                    .retain(|(of, _)| of.raw() & compared != requester.raw() & compared);
            }
            Invalidation::IotlbGlobal => self.pages.clear(),
            Invalidation::IotlbDomain { domain } => {
                self.pages.retain(|(of, ..)| *of != u64::from(domain));
            }
            Invalidation::IotlbPages {
                domain,
                iova,
                address_mask,
            } => {
                let (first, end) = (iova.raw(), iova.raw() + (0x1000 << address_mask));
                self.pages.retain(|(of, start, page)| {
                    *of != u64::from(domain) || start + page.size_bytes <= first || *start >= end
                });
            }
        }
    }

    /// Every answer that is right now, and what a cache may have learned by it.
    fn permitted(&mut self, memory: &Tables, config: &UnitConfig, request: Request) -> Vec<Answer> {
        let of = request.requester;
        let mut answers = Vec::new();
        match reference::context(memory, config, ROOT.raw(), of) {
            Ok(context) => self.contexts.push((of, context)),
            Err((code, is_recorded)) => answers.push(Err(Some(code).filter(|_| is_recorded))),
        }
        let contexts = self
            .contexts
            .iter()
            .filter(|(requester, _)| *requester == of);
        let mut learned = Vec::new();
        for (_, context) in contexts {
            let is_recorded = !context.hides_faults;
            match reference::page(memory, config, context, request.iova, request.is_write) {
                Ok(page) => {
                    answers.push(answer_of(&page, request, is_recorded));
                    let start = request.iova / page.size_bytes * page.size_bytes;
                    if !context.passes {
                        learned.push((context.domain, start, page));
                    }
                }
                Err((code, is_recorded)) => {
                    answers.push(Err(Some(code).filter(|_| is_recorded)));
                }
            }
            let former = self.pages.iter().filter(|(domain, start, page)| {
                *domain == context.domain
                    && !context.passes
                    && (*start..start + page.size_bytes).contains(&request.iova)
            });
            answers.extend(former.map(|(.., page)| answer_of(page, request, is_recorded)));
        }
        self.pages.extend(learned);
        answers
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..Default::default() })]

    /// Without caches the unit is the naive walker, for any tables.
    #[test]
    fn unit_without_caches_is_the_reference(
        mut memory in memory(),
        config in config(),
        steps in vec((request(), change()), 1..40),
    ) {
        let mut unit = RemappingUnit::try_new(config, ROOT).expect("valid");
        for (request, change) in steps {
            let expected = expected(&memory, &config, request);
            prop_assert_eq!(ask(&mut unit, &memory, request), expected, "{:x?}", request);
            memory.set(change.at, change.word);
        }
    }

    /// With caches an answer is today's or a former one that no order has taken away yet.
    #[test]
    fn cached_answer_is_current_or_not_yet_invalidated(
        mut memory in memory(),
        mode in mode(),
        entries in (select(&[0_usize, 1, 4, 64][..]), select(&[0_usize, 1, 2, 8, 64][..])),
        actions in vec(action(), 1..60),
    ) {
        let config = UnitConfig {
            context_entries: entries.0,
            iotlb_entries: entries.1,
            invalidation: mode,
            ..UnitConfig::default()
        };
        let mut unit = RemappingUnit::try_new(config, ROOT).expect("valid");
        let mut former = Former::default();
        for action in actions {
            match action {
                Action::Change(change) => memory.set(change.at, change.word),
                Action::Ask(request) => {
                    let permitted = former.permitted(&memory, &config, request);
                    let answer = ask(&mut unit, &memory, request);
                    prop_assert!(
                        permitted.contains(&answer),
                        "{:x?}: {:x?} is none of {:x?}", request, answer, permitted
                    );
                }
                Action::Invalidate(order) => {
                    unit.invalidate(order).expect("valid");
                    former.order(order, mode);
                }
                Action::Tick => {
                    unit.tick();
                    former.tick();
                }
                Action::Wait => {
                    unit.wait();
                    former.wait();
                }
            }
        }
    }

    /// Memory of nothing but noise: an answer, never a panic, and after a bounded number of reads.
    #[test]
    fn noise_is_answered_after_a_bounded_walk(
        seed in any::<u64>(),
        requests in vec((any::<u16>(), any::<u64>(), any::<bool>()), 1..50),
    ) {
        let noise = Noise { seed, n_reads: std::cell::Cell::new(0) };
        let mut unit = RemappingUnit::try_new(UnitConfig::default(), ROOT).expect("valid");
        for (requester, iova, is_write) in requests {
            let access = if is_write { Access::Write } else { Access::Read };
            let requester = RequesterId::from_raw(requester);
            let _ = unit.translate(&noise, requester, Iova::new(iova), 64, access);
            prop_assert!(noise.n_reads.take() <= 8);
        }
    }
}

struct Noise {
    seed: u64,
    n_reads: std::cell::Cell<u32>,
}

impl PhysicalMemory for Noise {
    fn read_u64(&self, address: dmarig_abi::GuestPhysAddr) -> Option<u64> {
        self.n_reads.set(self.n_reads.get() + 1);
        let word = dmarig_abi::pattern::pattern_word(self.seed, address.raw());
        // Mostly low bits, or reserved ones would end every walk at once.
        (!word.is_multiple_of(17)).then_some(word & 0x0000_0000_ffff_f003)
    }
}

/// The strategies above reach every reason there is, and deep enough to succeed.
#[test]
fn random_tables_bring_every_answer() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut seen = std::collections::BTreeMap::new();
    let strategy = (memory(), config(), request());
    for _ in 0..20_000 {
        let sample = strategy.new_tree(&mut runner).expect("no filters");
        let (memory, config, request) = sample.current();
        *seen
            .entry(expected(&memory, &config, request).err())
            .or_insert(0) += 1;
    }
    let codes = (1..=0xe).filter(|code| ![8, 0xd].contains(code));
    let all = codes.map(|code| Some(Some(code))).chain([None, Some(None)]);
    for answer in all {
        let n_seen = seen.get(&answer).copied().unwrap_or(0);
        assert!(n_seen >= 10, "{answer:?} came {n_seen} times: {seen:?}");
    }
}
