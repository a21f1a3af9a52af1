//! The unit on a model of its registers that notes each step, and on tables in an arena, which a second
//! walker reads.
#![expect(unsafe_code, reason = "an arena of the host stands for RAM")]

use std::collections::{BTreeMap, BTreeSet};
use std::vec;
use std::vec::Vec;

use super::*;
use crate::memory::Pfn;
use proptest::prelude::*;

const FAULT_OFFSET: u64 = 0x220;
const IOTLB_OFFSET: u64 = 0xF0;
const LEVELS_39: u64 = 1 << 9;
const LEVELS_48: u64 = 1 << 10;

/// Domains of 4 bits, one fault record, caching mode, page-selective up to 2^9 pages.
fn capability(widths: u64) -> u64 {
    widths | 1 << 7 | 47 << 16 | (FAULT_OFFSET / 16) << 24 | 1 << 39 | 9 << 48
}

fn device() -> RequesterId {
    RequesterId::try_new(1, 0, 0).expect("in range")
}

/// What was written to the unit, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Command(u32),
    Context(u64),
    Pages { domain: u16, block: PageBlock },
    Global,
    Domain(u16),
    FaultCleared,
}

#[derive(Debug, Default)]
struct Model {
    words: BTreeMap<u64, u64>,
    steps: Vec<Step>,
    is_dead: bool,
}

impl Model {
    fn new(widths: u64) -> Self {
        let mut model = Self::default();
        model.words.insert(offset::CAPABILITY, capability(widths));
        model
            .words
            .insert(offset::EXTENDED_CAPABILITY, (IOTLB_OFFSET / 16) << 8);
        model
    }

    fn word(&self, at: u64) -> u64 {
        self.words.get(&at).copied().unwrap_or(0)
    }

    fn invalidate_iotlb(&mut self, command: u64) {
        let domain = (command >> 32 & 0xFFFF) as u16;
        let address = self.word(IOTLB_OFFSET);
        let block = PageBlock {
            iova: address & !0xFFF,
            address_mask: (address & 0x3F) as u8,
        };
        self.steps.push(match command >> 60 & 3 {
            1 => Step::Global,
            2 => Step::Domain(domain),
            _ => Step::Pages { domain, block },
        });
    }
}

impl RemappingRegisters for Model {
    fn read_u32(&self, at: u64) -> u32 {
        u32::try_from(self.word(at)).expect("written with 32 bits")
    }

    fn write_u32(&mut self, at: u64, value: u32) {
        if at == offset::GLOBAL_COMMAND {
            self.steps.push(Step::Command(value));
            if !self.is_dead {
                self.words.insert(offset::GLOBAL_STATUS, u64::from(value));
            }
        } else {
            self.words.insert(at, u64::from(value));
        }
    }

    fn read_u64(&self, at: u64) -> u64 {
        self.word(at)
    }

    fn write_u64(&mut self, at: u64, value: u64) {
        match at {
            offset::CONTEXT_COMMAND => self.steps.push(Step::Context(value & !(1 << 63))),
            _ if at == IOTLB_OFFSET + 8 => self.invalidate_iotlb(value),
            _ if at == FAULT_OFFSET + 8 => {
                self.steps.push(Step::FaultCleared);
                self.words.insert(at, 0);
            }
            _ => {
                self.words.insert(at, value);
            }
        }
    }
}

/// Frames of an arena, of which `left` are left.
struct Arena {
    map: DirectMap,
    next: u64,
    left: u64,
    taken: BTreeSet<Pfn>,
}

impl Arena {
    fn new(pages: u64) -> Self {
        let bytes = usize::try_from((pages + 2) * PAGE_SIZE).expect("small");
        let arena = Vec::leak(vec![0u64; bytes / 8]).as_mut_ptr();
        let base = (arena.expose_provenance() as u64).next_multiple_of(PAGE_SIZE);
        // SAFETY: the arena is leaked, writable, and reached through this map alone.
        let map = unsafe { DirectMap::new(base, (pages + 1) * PAGE_SIZE) };
        Self {
            map,
            next: 1,
            left: pages,
            taken: BTreeSet::new(),
        }
    }

    fn memory(&mut self) -> (DirectMap, &mut Self) {
        (self.map, self)
    }
}

impl TableFrames for Arena {
    fn take(&mut self) -> Option<Pfn> {
        self.left = self.left.checked_sub(1)?;
        let frame = Pfn::new(self.next);
        self.next += 1;
        self.taken.insert(frame);
        Some(frame)
    }

    fn give_back(&mut self, frame: Pfn) {
        assert!(self.taken.remove(&frame), "{frame:?} was not taken");
    }
}

/// A unit with its arena, and the calls with the memory filled in.
struct Bench {
    unit: Unit<Model>,
    arena: Arena,
}

impl Bench {
    fn new(widths: u64) -> Self {
        let mut arena = Arena::new(120);
        let contexts = ContextTables::new(&mut arena).expect("room");
        let unit = Unit::enable(Model::new(widths), contexts).expect("a good unit");
        Self { unit, arena }
    }

    /// With the device attached and the steps so far forgotten.
    fn attached(widths: u64) -> Self {
        let mut bench = Self::new(widths);
        bench.attach(device()).expect("free");
        bench.unit.registers.steps.clear();
        bench
    }

    fn attach(&mut self, requester: RequesterId) -> Result<(), DomainError> {
        let (map, frames) = self.arena.memory();
        self.unit
            .attach(TableMemory { map: &map, frames }, requester)
    }

    fn detach(&mut self, requester: RequesterId) {
        let (map, frames) = self.arena.memory();
        self.unit
            .detach(TableMemory { map: &map, frames }, requester);
    }

    fn map(&mut self, iova: u64, pages: &[u64], how: Permissions) -> Result<(), DomainError> {
        let pages: Vec<_> = pages.iter().copied().map(GuestPhysAddr::new).collect();
        let (map, frames) = self.arena.memory();
        let memory = TableMemory { map: &map, frames };
        self.unit
            .map(memory, device(), Iova::new(iova), &pages, how)
    }

    fn unmap(&mut self, iova: u64, pages: u64) -> Result<(), DomainError> {
        let iova = Iova::new(iova);
        self.unit
            .unmap(&self.arena.map, device(), PageRun { iova, pages })
    }

    fn translate(&self, iova: u64) -> Option<(u64, Permissions)> {
        self.unit
            .translate(&self.arena.map, device(), Iova::new(iova))
            .map(|(target, how)| (target.raw(), how))
    }

    /// The walk of the hardware, from the root table, knowing nothing of the code under test.
    fn walk(&self, requester: RequesterId, iova: u64) -> Option<(u64, u64)> {
        let word = |at: u64| self.arena.map.read_u64(GuestPhysAddr::new(at));
        let root = self.unit.registers.word(offset::ROOT_TABLE);
        let root_entry = word(root + u64::from(requester.bus()) * 16);
        if root_entry & 1 == 0 {
            return None;
        }
        let index = u64::from(requester.raw() & 0xFF);
        let context = (root_entry & !0xFFF) + index * 16;
        let (low, high) = (word(context), word(context + 8));
        if low & 1 == 0 {
            return None;
        }
        assert_eq!(low & 0xFFE, 0, "legacy mode, faults recorded");
        assert_ne!(high >> 8 & 0xFFFF, 0, "domain 0 is reserved");
        let levels = (high & 7) + 2;
        let mut table = low & !0xFFF;
        let mut rights = 3;
        for level in (0..levels).rev() {
            let entry = word(table + (iova >> (12 + 9 * level) & 0x1FF) * 8);
            rights &= entry & 3;
            if rights == 0 {
                return None;
            }
            assert_eq!(entry & 0x80, 0, "4 KiB leaves only");
            table = entry & 0x000F_FFFF_FFFF_F000;
        }
        Some((table | (iova & 0xFFF), rights))
    }

    fn steps(&mut self) -> Vec<Step> {
        core::mem::take(&mut self.unit.registers.steps)
    }
}

fn pages_step(domain: u16, iova: u64, address_mask: u8) -> Step {
    let block = PageBlock { iova, address_mask };
    Step::Pages { domain, block }
}

#[test]
fn enabling_loads_the_root_flushes_everything_then_translates() {
    let mut bench = Bench::new(LEVELS_39 | LEVELS_48);
    assert_eq!(
        bench.steps(),
        [
            Step::Command(global::ROOT_TABLE),
            Step::Context(CONTEXT_GLOBAL),
            Step::Global,
            Step::Command(global::TRANSLATION),
        ]
    );
    assert_eq!(bench.walk(device(), 0), None, "nobody is attached");
    assert_eq!(bench.unit.address_limit(), 1 << 48);
    assert_eq!(Bench::new(LEVELS_39).unit.address_limit(), 1 << 39);
}

#[test]
fn unit_that_lacks_something_is_refused() {
    let check = |capability: u64, expected: VtdError| {
        let mut model = Model::new(LEVELS_48);
        model.words.insert(offset::CAPABILITY, capability);
        let contexts = ContextTables::new(&mut Arena::new(4)).expect("room");
        let error = Unit::enable(model, contexts).expect_err("refused");
        assert_eq!(error, expected);
    };
    let good = capability(LEVELS_48);
    check(good & !(1 << 7), VtdError::NoCachingMode);
    check(good & !(1 << 39), VtdError::Unsuitable);
    check(good & !LEVELS_48, VtdError::Unsuitable);
    assert!(std::format!("{}", VtdError::NoCachingMode).contains("caching-mode=on"));
}

#[test]
fn dead_unit_is_an_error_and_not_a_hang() {
    let mut model = Model::new(LEVELS_48);
    model.is_dead = true;
    let contexts = ContextTables::new(&mut Arena::new(4)).expect("room");
    let register = offset::GLOBAL_STATUS;
    assert_eq!(
        Unit::enable(model, contexts).expect_err("dead"),
        VtdError::NoAnswer { register }
    );
}

#[test]
fn mapped_pages_are_what_the_hardware_walks_to() {
    for widths in [LEVELS_39, LEVELS_48] {
        let mut bench = Bench::attached(widths);
        bench
            .map(0x1234_5000, &[0x8_0000, 0x3000], Permissions::ReadWrite)
            .expect("room");
        bench
            .map(0x1234_7000, &[0x9000], Permissions::Read)
            .expect("room");
        bench
            .map(0x1234_8000, &[0xA000], Permissions::Write)
            .expect("room");

        assert_eq!(bench.walk(device(), 0x1234_5678), Some((0x8_0678, 3)));
        assert_eq!(bench.walk(device(), 0x1234_6FFF), Some((0x3FFF, 3)));
        assert_eq!(bench.walk(device(), 0x1234_7000), Some((0x9000, 1)));
        assert_eq!(bench.walk(device(), 0x1234_8000), Some((0xA000, 2)));
        assert_eq!(bench.walk(device(), 0x1234_9000), None);
        assert_eq!(
            bench.translate(0x1234_8123),
            Some((0xA123, Permissions::Write))
        );
    }
}

#[test]
fn mapping_and_unmapping_flush_exactly_their_pages() {
    let mut bench = Bench::attached(LEVELS_48);
    let pages: Vec<u64> = (0..16).map(|page| 0x10_0000 + page * PAGE_SIZE).collect();

    bench
        .map(0x20_0000, &pages, Permissions::ReadWrite)
        .expect("room");
    assert_eq!(bench.steps(), [pages_step(1, 0x20_0000, 4)]);

    bench.unmap(0x20_1000, 2).expect("mapped");
    let two = [pages_step(1, 0x20_1000, 0), pages_step(1, 0x20_2000, 0)];
    assert_eq!(bench.steps(), two);
    assert_eq!(bench.walk(device(), 0x20_1000), None);
    assert!(bench.walk(device(), 0x20_3000).is_some());
}

#[test]
fn refused_calls_change_nothing() {
    let mut bench = Bench::attached(LEVELS_39);
    bench
        .map(0x5000, &[0x1000], Permissions::Read)
        .expect("room");
    bench.steps();

    let how = Permissions::ReadWrite;
    assert_eq!(
        bench.map(0x4000, &[0x1000, 0x2000], how),
        Err(DomainError::AlreadyMapped)
    );
    assert_eq!(bench.unmap(0x5000, 2), Err(DomainError::NotMapped));
    assert_eq!(bench.unmap(0x4000, 2), Err(DomainError::NotMapped));
    for (iova, page) in [
        (0x4800, 0x1000),
        (0x4000, 0x1001),
        (0x4000, 1 << 52),
        (1 << 39, 0x1000),
        (0u64.wrapping_sub(PAGE_SIZE), 0x1000),
        (0xFEE0_0000, 0x1000),
        (0xFEEF_F000, 0x1000),
    ] {
        let refused = bench.map(iova, &[page], how);
        assert_eq!(refused, Err(DomainError::BadAddress), "{iova:#x}");
    }
    assert_eq!(bench.unmap(0x5000, u64::MAX), Err(DomainError::BadAddress));
    assert_eq!(bench.unmap(0xFEDF_F000, 2), Err(DomainError::BadAddress));
    assert_eq!(bench.steps(), []);
    assert_eq!(bench.walk(device(), 0x4000), None);
    assert!(bench.walk(device(), 0x5000).is_some());
    assert_eq!(bench.map(0xFEDF_F000, &[0x1000], how), Ok(()));
}

#[test]
fn mapping_without_frames_for_tables_is_undone_and_flushed() {
    let mut bench = Bench::attached(LEVELS_48);
    bench
        .map(0x1F_F000, &[0x1000], Permissions::Read)
        .expect("room");
    bench.unmap(0x1F_F000, 1).expect("mapped");
    bench.steps();
    bench.arena.left = 0;

    // The first page's table is there, the second's is not.
    assert_eq!(
        bench.map(0x1F_F000, &[0x1000, 0x2000], Permissions::Read),
        Err(DomainError::Exhausted)
    );
    assert_eq!(bench.walk(device(), 0x1F_F000), None);
    let both = [pages_step(1, 0x1F_F000, 0), pages_step(1, 0x20_0000, 0)];
    assert_eq!(bench.steps(), both);
}

#[test]
fn attaching_reaches_the_requester_alone_and_detaching_frees_all() {
    let mut bench = Bench::new(LEVELS_48);
    let other = RequesterId::try_new(1, 0, 1).expect("in range");
    bench.steps();

    bench.attach(device()).expect("free");
    assert_eq!(bench.attach(device()), Err(DomainError::AlreadyMapped));
    bench.attach(other).expect("free");
    let scope = CONTEXT_DEVICE | 0x0100 << 16;
    let both = [Step::Context(scope), Step::Context(scope | 1 << 16)];
    assert_eq!(bench.steps(), both);
    let before = bench.arena.taken.len();

    bench
        .map(0x7000, &[0x1000], Permissions::ReadWrite)
        .expect("room");
    assert_eq!(bench.walk(other, 0x7000), None);
    bench.steps();
    bench.detach(device());
    assert_eq!(bench.walk(device(), 0x7000), None);
    let gone = [Step::Context(scope | 1), Step::Domain(1)];
    assert_eq!(bench.steps(), gone);
    assert_eq!(bench.arena.taken.len(), before - 1);
    bench.detach(device());
    assert_eq!(bench.steps(), [], "nothing left to detach");
    assert_eq!(bench.attach(device()), Ok(()));
}

#[test]
fn domain_ids_run_out() {
    let mut bench = Bench::new(LEVELS_39);
    let requester = |device| RequesterId::try_new(0, device, 0).expect("in range");
    for device in 0..15 {
        bench.attach(requester(device)).expect("an ID");
    }
    let before = bench.arena.taken.len();
    assert_eq!(bench.attach(requester(15)), Err(DomainError::Exhausted));
    bench.detach(requester(3));
    assert_eq!(bench.attach(requester(15)), Ok(()));
    assert_eq!(bench.arena.taken.len(), before);
}

#[test]
fn fault_is_taken_once_and_its_page_is_flushed_before_the_record_is_free() {
    let mut bench = Bench::attached(LEVELS_48);
    let registers = &mut bench.unit.registers;
    registers.words.insert(FAULT_OFFSET, 0x1234_5000);
    registers
        .words
        .insert(FAULT_OFFSET + 8, fault::IS_VALID | 5 << 32 | 0x0100);
    registers.words.insert(offset::FAULT_STATUS, 0b11);

    let fault = Fault {
        reason: 5,
        requester: device(),
        iova: Iova::new(0x1234_5000),
        is_write: true,
    };
    assert_eq!(bench.unit.take_faults(), [fault]);
    assert_eq!(
        bench.steps(),
        [pages_step(1, 0x1234_5000, 0), Step::FaultCleared]
    );
    assert_eq!(
        bench.unit.registers.read_u32(offset::FAULT_STATUS),
        fault::OVERFLOW,
        "written as one to clear it"
    );
    assert_eq!(bench.unit.take_faults(), []);
    assert_eq!(
        (bench.unit.log().total(), bench.unit.log().latest()),
        (1, vec![fault])
    );
}

#[derive(Clone, Debug)]
enum Action {
    Map(u64, u64, Permissions),
    Unmap(u64, u64),
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let how = prop_oneof![
        Just(Permissions::Read),
        Just(Permissions::Write),
        Just(Permissions::ReadWrite)
    ];
    // Pages around a 2 MiB border, so that runs need two tables.
    let action = prop_oneof![
        (500u64..530, 0u64..8, how).prop_map(|(at, len, how)| Action::Map(at, len, how)),
        (500u64..530, 0u64..8).prop_map(|(at, len)| Action::Unmap(at, len)),
    ];
    prop::collection::vec(action, 1..60)
}

proptest! {
    #[test]
    fn hardware_sees_what_a_naive_model_holds_and_only_through_flushes(actions in actions()) {
        let mut bench = Bench::attached(LEVELS_48);
        let mut model: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
        for (round, action) in (1u64..).zip(actions) {
            let before: Vec<_> = (495..545).map(|page| model.get(&page).copied()).collect();
            match action {
                Action::Map(at, len, how) => {
                    let pages: Vec<u64> = (0..len).map(|page| (round * 64 + page * 3) << 12).collect();
                    let is_free = (at..at + len).all(|page| !model.contains_key(&page));
                    prop_assert_eq!(bench.map(at << 12, &pages, how).is_ok(), is_free);
                    if is_free {
                        model.extend((at..).zip(pages.into_iter().map(|page| (page, how.entry_bits()))));
                    }
                }
                Action::Unmap(at, len) => {
                    let is_whole = (at..at + len).all(|page| model.contains_key(&page));
                    prop_assert_eq!(bench.unmap(at << 12, len).is_ok(), is_whole);
                    if is_whole {
                        model.retain(|page, _| !(at..at + len).contains(page));
                    }
                }
            }
            let mut flushed = BTreeSet::new();
            for step in bench.steps() {
                let Step::Pages { domain: 1, block } = step else {
                    panic!("{step:?} is wider than pages");
                };
                let first = block.iova >> 12;
                flushed.extend(first..first + (1 << block.address_mask));
            }
            for (page, before) in (495u64..545).zip(before) {
                let expected = model.get(&page).copied();
                prop_assert_eq!(bench.walk(device(), page << 12), expected);
                prop_assert_eq!(flushed.contains(&page), before != expected);
            }
        }
    }
}
