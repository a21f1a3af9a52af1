//! The call sites seen so far, the orders that wait for theirs, and what becomes of a call.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};

use super::fallible::{FALLIBLE, Failure};
use super::order::Order;
use super::phase;
use crate::arch::guarded::Guarded;
use crate::arch::images::{self, Symbolic};
use crate::console::Event;
use crate::ke::irql;
use crate::ntoskrnl::status;

/// Call sites that are remembered; a driver with more has the rest unlisted and unfailed.
const SITES_MAX: usize = 8192;
/// Orders that may wait at a time.
const ORDERS_MAX: usize = 64;

/// Whether calls are watched at all.
static IS_ON: AtomicBool = AtomicBool::new(false);
static STATE: Guarded<State> = Guarded::new(State::new());

struct State {
    /// Hits by routine and return address.
    sites: BTreeMap<(usize, u64), u64>,
    orders: Vec<Order>,
    has_struck: bool,
}

/// What a call meets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Met {
    is_new: bool,
    /// The call's number at this site, from 1.
    hit: u64,
    is_to_fail: bool,
}

/// The arguments of a call that decide on its failure.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arguments {
    pub(super) first: u64,
    pub(super) fifth: u64,
}

/// How a call ends that does not reach its routine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// It returns this.
    Return(u64),
    /// It raises this status.
    Raise(u32),
}

impl State {
    const fn new() -> Self {
        Self {
            sites: BTreeMap::new(),
            orders: Vec::new(),
            has_struck: false,
        }
    }

    fn meet(&mut self, routine: usize, address: u64, rva: u64) -> Met {
        let is_full = self.sites.len() >= SITES_MAX;
        let hits = match self.sites.get_mut(&(routine, address)) {
            Some(hits) => hits,
            None if is_full => return Met::default(),
            None => self.sites.entry((routine, address)).or_insert(0),
        };
        *hits += 1;
        let hit = *hits;
        let mut is_to_fail = false;
        for order in &mut self.orders {
            let is_meant = order.routine == routine && order.rva.is_none_or(|at| at == rva);
            if is_meant && order.hit > 0 {
                order.hit -= 1;
                is_to_fail |= order.hit == 0;
            }
        }
        self.orders.retain(|order| order.hit > 0);
        self.has_struck |= is_to_fail;
        Met {
            is_new: hit == 1,
            hit,
            is_to_fail,
        }
    }
}

/// Watches the calls of drivers that are loaded from now on (`call-faults=on`).
pub(crate) fn switch_on() {
    IS_ON.store(true, Ordering::Relaxed);
}

/// Whether calls are watched.
pub(crate) fn is_on() -> bool {
    IS_ON.load(Ordering::Relaxed)
}

/// Lets one more call fail; `false` where too many wait, or calls are not watched.
pub fn arm(order: Order) -> bool {
    STATE.with(|state| {
        state.has_struck = false;
        let has_room = is_on() && state.orders.len() < ORDERS_MAX;
        if has_room {
            state.orders.push(order);
        }
        has_room
    })
}

/// Takes all orders back; whether one has struck since the last order was given.
pub(crate) fn disarm() -> bool {
    STATE.with(|state| {
        state.orders.clear();
        core::mem::take(&mut state.has_struck)
    })
}

/// Notes a call of `routine` that returns to `address`. How it ends, if it is to fail.
pub(super) fn note(routine: usize, address: u64, arguments: Arguments) -> Option<Ending> {
    // A routine that the kernel calls for a driver is no call site of the driver's.
    let rva = images::rva_of(address)?;
    let fallible = FALLIBLE.get(routine)?;
    let ending = ending(fallible.failure, arguments)?;
    let met = STATE.with(|state| state.meet(routine, address, rva));
    if met.is_new {
        Event::new("call-site")
            .text("routine", fallible.name)
            .text("door", fallible.door.name())
            .display("location", &Symbolic(address))
            .text("phase", phase::current())
            .hex("irql", irql::current().into())
            .send();
    }
    if !met.is_to_fail {
        return None;
    }
    let (how, value) = match ending {
        Ending::Return(value) => ("returned", value),
        Ending::Raise(value) => ("raised", value.into()),
    };
    Event::new("call-failed")
        .text("routine", fallible.name)
        .display("location", &Symbolic(address))
        .hex("hit", met.hit)
        .hex(how, value)
        .text("phase", phase::current())
        .send();
    Some(ending)
}

/// The documented failure; `None` where this call, with these arguments, cannot fail.
fn ending(failure: Failure, arguments: Arguments) -> Option<Ending> {
    let raised = Ending::Raise(status::INSUFFICIENT_RESOURCES.0);
    match failure {
        Failure::Null => Some(Ending::Return(0)),
        Failure::Status(status) => Some(Ending::Return(status.0.into())),
        Failure::Raise(status) => Some(Ending::Raise(status.0)),
        Failure::NullOrRaise(bit) if arguments.first & bit != 0 => Some(raised),
        Failure::NullOrRaise(_) => Some(Ending::Return(0)),
        // A BOOLEAN argument is the low byte of its slot.
        Failure::NullUnlessFatal => (arguments.fifth & 0xFF == 0).then_some(Ending::Return(0)),
    }
}

/// Writes how often each call site was hit. Call while the images are still registered.
pub(crate) fn report_hits() {
    if !is_on() {
        return;
    }
    let sites = STATE.with(|state| core::mem::take(&mut state.sites));
    for ((routine, address), hits) in sites {
        Event::new("call-hits")
            .text("routine", FALLIBLE[routine].name)
            .display("location", &Symbolic(address))
            .hex("hits", hits)
            .send();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Arguments = Arguments { first: 0, fifth: 0 };

    fn order(routine: usize, rva: Option<u64>, hit: u64) -> Order {
        Order { routine, rva, hit }
    }

    #[test]
    fn the_chosen_hit_of_the_chosen_site_fails_once() {
        let mut state = State::new();
        state.orders.push(order(3, Some(0x20), 2));
        let fails: Vec<bool> = [(3, 0x20), (3, 0x30), (4, 0x20), (3, 0x20), (3, 0x20)]
            .into_iter()
            .map(|(routine, rva)| state.meet(routine, 0x1000 + rva, rva).is_to_fail)
            .collect();
        assert_eq!(fails, [false, false, false, true, false]);
        assert!(state.has_struck);
        assert_eq!(state.sites[&(3, 0x1020)], 3, "every hit counts");
    }

    #[test]
    fn an_order_without_a_site_counts_all_of_them() {
        let mut state = State::new();
        state.orders.push(order(3, None, 2));
        assert!(!state.meet(3, 0x1020, 0x20).is_to_fail);
        let second = state.meet(3, 0x1030, 0x30);
        assert!(second.is_to_fail && second.is_new && second.hit == 1);
    }

    #[test]
    fn sites_beyond_the_bound_are_let_alone() {
        let mut state = State::new();
        for address in 0..SITES_MAX as u64 {
            assert!(state.meet(0, address, address).is_new);
        }
        state.orders.push(order(0, None, 1));
        assert_eq!(state.meet(0, SITES_MAX as u64, 0), Met::default());
        assert!(state.meet(0, 0, 0).is_to_fail, "known ones go on");
    }

    #[test]
    fn failure_depends_on_what_the_caller_asked_for() {
        let raised = Some(Ending::Raise(0xC000_009A));
        let with_first = |first| Arguments { first, fifth: 0 };
        assert_eq!(ending(Failure::NullOrRaise(0x20), with_first(0x60)), raised);
        assert_eq!(
            ending(Failure::NullOrRaise(0x20), with_first(0x40)),
            Some(Ending::Return(0))
        );
        let fatal = Arguments {
            first: 0,
            fifth: 0xFFFF_FF01,
        };
        assert_eq!(ending(Failure::NullUnlessFatal, fatal), None);
        let not_fatal = Arguments {
            first: 0,
            fifth: 0xFFFF_FF00,
        };
        assert_eq!(
            ending(Failure::NullUnlessFatal, not_fatal),
            Some(Ending::Return(0))
        );
        assert_eq!(
            ending(Failure::Status(status::WDF_BUSY), NOTHING),
            Some(Ending::Return(0xC020_0204))
        );
    }
}
