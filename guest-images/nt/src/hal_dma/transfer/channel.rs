//! The adapter object as a resource: who has it, who waits for it, and what is done when it is had.
//!
//! One request at a time has it, from the moment its map registers are there until its routine has returned (or, for
//! KeepObject and for synchronous requests without a routine, until the driver frees it). The others wait in order.
//! A waiting request is taken up from a DPC, so that no routine runs inside another's call.

use alloc::collections::{BTreeMap, VecDeque};

use super::lists::{self, ListWork};
use super::{callback, context, registers, settings};
use crate::arch::guarded::Guarded;
use crate::arch::win64::Routine;
use crate::hal_dma::adapter::{self, Adapter, violation};
use crate::ke::Foreign;
use crate::ke::dpc::{self, Dpc};
use crate::ke::irql::{self, DISPATCH_LEVEL};
use crate::log;
use crate::ntoskrnl::kernel_memory;
use crate::ntoskrnl::status::{self, NtStatus};
use crate::ntoskrnl::verifier;

const DPC_TAG: u32 = u32::from_le_bytes(*b"DmaD");

/// What a request does when its turn comes.
#[derive(Debug)]
pub(super) enum Work {
    /// Calls an AdapterControl routine, if there is one.
    Channel {
        /// The routine; `None` for a synchronous request whose caller goes on itself.
        routine: Option<Routine>,
        /// Its context.
        argument: u64,
        /// From AllocateAdapterChannel, of which a device object has one at a time (SG-7).
        is_basic: bool,
    },
    /// Builds a scatter/gather list.
    List(ListWork),
}

/// A request for the adapter object and map registers.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) device_object: u64,
    /// DMA transfer context; none in versions 1 and 2.
    pub(super) context: Option<u64>,
    pub(super) n_registers: u32,
    pub(super) work: Work,
}

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It waits.
    Queued,
    /// It has had its turn; the MapRegisterBase or the list.
    Done(u64),
}

#[derive(Clone, Copy, Debug)]
struct Holder {
    base: u64,
    device_object: u64,
    is_basic: bool,
}

#[derive(Default)]
struct Channel {
    holder: Option<Holder>,
    waiting: VecDeque<Request>,
}

struct State {
    channels: BTreeMap<u64, Channel>,
    dpc: Option<Foreign<Dpc>>,
}

static STATE: Guarded<State> = Guarded::new(State {
    channels: BTreeMap::new(),
    dpc: None,
});

/// Puts a request. `is_synchronous`: at once or not at all; else it may wait, and by the settings does.
pub(super) fn submit(
    adapter: u64,
    record: &Adapter,
    request: Request,
    is_synchronous: bool,
) -> Result<Outcome, NtStatus> {
    let is_deferred = !is_synchronous && settings::is_next_callback_deferred();
    let claimed = STATE.with(|state| {
        let channel = state.channels.entry(adapter).or_default();
        let is_next = channel.waiting.is_empty() && !is_deferred;
        if is_next && channel.has_room(adapter, record, request.n_registers) {
            return Some((channel.hold(adapter, &request), request));
        }
        if !is_synchronous {
            channel.waiting.push_back(request);
        } else if let Some(context) = request.context {
            context::release(context);
        }
        None
    });
    match claimed {
        Some((base, request)) => execute(adapter, record, base, request).map(Outcome::Done),
        None if is_synchronous => Err(status::INSUFFICIENT_RESOURCES),
        None => {
            wake();
            Ok(Outcome::Queued)
        }
    }
}

impl Channel {
    fn has_room(&self, adapter: u64, record: &Adapter, n_registers: u32) -> bool {
        let granted = u64::from(record.settings.map_registers);
        self.holder.is_none() && registers::in_use(adapter) + u64::from(n_registers) <= granted
    }

    fn hold(&mut self, adapter: u64, request: &Request) -> u64 {
        let base = registers::open(adapter, request.n_registers, request.context);
        self.holder = Some(Holder {
            base,
            device_object: request.device_object,
            is_basic: matches!(request.work, Work::Channel { is_basic: true, .. }),
        });
        base
    }
}

/// Does a request's work, with the adapter object and the registers at `base` in its hand.
fn execute(adapter: u64, record: &Adapter, base: u64, request: Request) -> Result<u64, NtStatus> {
    let device_object = request.device_object;
    match request.work {
        Work::Channel { routine: None, .. } => Ok(base),
        Work::Channel {
            routine: Some(routine),
            argument,
            ..
        } => {
            let action = callback::call(routine, device_object, base, argument);
            let [action, ..] = action.to_le_bytes();
            release(adapter, "AdapterControl", action.into());
            Ok(base)
        }
        Work::List(work) => {
            let result = lists::build(adapter, record, base, device_object, work);
            if result.is_err() {
                give_up(adapter, base);
            }
            result
        }
    }
}

/// A list could not be built: everything goes back.
fn give_up(adapter: u64, base: u64) {
    let file = registers::close(adapter, base);
    if let Some(context) = file.and_then(|file| file.context) {
        context::release(context);
    }
    let_go(adapter);
}

/// Ends the hold on the adapter object alone.
pub(super) fn let_go(adapter: u64) -> bool {
    let was_held = STATE.with(|state| {
        let channel = state.channels.get_mut(&adapter);
        channel.is_some_and(|channel| channel.holder.take().is_some())
    });
    if was_held {
        wake();
    }
    was_held
}

/// FO-1: what an IO_ALLOCATION_ACTION does to the adapter object, from an AdapterControl routine's result or by
/// FreeAdapterObject. Documented misuse: 0xE6/0x0D (registers go with something mapped), 0x04 (nothing held).
pub(super) fn release(adapter: u64, routine: &str, action: u32) {
    match action {
        1 => {}
        2 | 3 => {
            let holder = STATE.with(|state| state.channels.get_mut(&adapter)?.holder.take());
            let Some(holder) = holder else {
                report_not_held(adapter, routine);
                return;
            };
            if action == 2 {
                close_flushed(adapter, holder.base, routine);
            }
            wake();
        }
        _ => verifier::finding(
            "allocation-action-unknown",
            format_args!("FO-1: {routine} with IO_ALLOCATION_ACTION {action}; taken as KeepObject"),
        ),
    }
}

fn report_not_held(adapter: u64, routine: &str) {
    violation(
        "channel-freed-twice",
        format_args!("{routine}: no request of adapter {adapter:#x} has the adapter object"),
        [0x04, adapter, 0, 0],
    );
}

/// Gives registers back in which nothing may be mapped any more. They may be gone already.
fn close_flushed(adapter: u64, base: u64, routine: &str) {
    let Some(file) = registers::close(adapter, base) else {
        return;
    };
    if let Some(context) = file.context {
        context::release(context);
    }
    lists::forget(base);
    if let Some(mapping) = file.mappings.first() {
        violation(
            "buffers-not-flushed",
            format_args!(
                "{routine}: {:#x} bytes at offset {:#x} of MDL {:#x} are mapped and not flushed",
                mapping.len, mapping.offset, mapping.mdl
            ),
            [0x0D, adapter, base, 0],
        );
    }
    file.drop_mappings();
}

/// Whether AllocateAdapterChannel has an unfinished request for this device object (SG-7).
pub(super) fn has_basic_request(adapter: u64, device_object: u64) -> bool {
    STATE.with(|state| {
        let Some(channel) = state.channels.get(&adapter) else {
            return false;
        };
        let held = channel
            .holder
            .is_some_and(|holder| holder.is_basic && holder.device_object == device_object);
        let mut waiting = channel.waiting.iter();
        held || waiting.any(|request| {
            request.device_object == device_object
                && matches!(request.work, Work::Channel { is_basic: true, .. })
        })
    })
}

/// CX-1: takes the waiting request with this context out of the queue; `false` where none waits.
pub(super) fn cancel(adapter: u64, context: u64) -> bool {
    let removed = STATE.with(|state| {
        let waiting = &mut state.channels.get_mut(&adapter)?.waiting;
        let position = waiting
            .iter()
            .position(|request| request.context == Some(context))?;
        waiting.remove(position)
    });
    if removed.is_none() {
        return false;
    }
    context::release(context);
    // What stood behind it may fit.
    wake();
    true
}

/// Ends an adapter's channel; says how many requests had the adapter object or waited for it.
pub(super) fn abandon(adapter: u64) -> usize {
    let Some(channel) = STATE.with(|state| state.channels.remove(&adapter)) else {
        return 0;
    };
    for context in channel.waiting.iter().filter_map(|request| request.context) {
        context::release(context);
    }
    channel.waiting.len() + usize::from(channel.holder.is_some())
}

/// Requests that have an adapter object or wait for one.
pub(super) fn live_count() -> usize {
    STATE.with(|state| {
        let channels = state.channels.values();
        channels
            .map(|channel| channel.waiting.len() + usize::from(channel.holder.is_some()))
            .sum()
    })
}

/// Has the DPC take up what can go on. Call after anything became free.
pub(super) fn wake() {
    let is_waiting = STATE.with(|state| {
        let mut channels = state.channels.values();
        channels.any(|channel| channel.holder.is_none() && !channel.waiting.is_empty())
    });
    if !is_waiting {
        return;
    }
    let Some(dpc) = STATE.with(|state| state.dpc).or_else(create_dpc) else {
        log!("hal: no memory for the DPC that takes up waiting DMA requests");
        return;
    };
    dpc::insert(dpc, 0, 0);
}

fn create_dpc() -> Option<Foreign<Dpc>> {
    let address = kernel_memory::allocate(size_of::<Dpc>() as u64, DPC_TAG)?;
    let dpc: Foreign<Dpc> = Foreign::checked(address);
    let routine = run_waiting as extern "win64" fn(u64, u64, u64, u64);
    let routine = Routine::new((routine as *const ()).expose_provenance() as u64)?;
    dpc::initialize(dpc, routine, 0);
    STATE.with(|state| state.dpc = Some(dpc));
    Some(dpc)
}

/// The DPC: every request that can have its adapter object now.
extern "win64" fn run_waiting(_dpc: u64, _context: u64, _argument1: u64, _argument2: u64) {
    debug_assert_eq!(irql::current(), DISPATCH_LEVEL);
    while let Some((adapter, record, base, request)) = next_ready() {
        if let Err(status) = execute(adapter, &record, base, request) {
            verifier::finding(
                "waiting-transfer-failed",
                format_args!(
                    "a request of adapter {adapter:#x} came to its turn and failed: {status}"
                ),
            );
        }
    }
}

fn next_ready() -> Option<(u64, Adapter, u64, Request)> {
    let adapters = STATE.with(|state| {
        state
            .channels
            .keys()
            .copied()
            .collect::<alloc::vec::Vec<_>>()
    });
    adapters.into_iter().find_map(|address| {
        let record = adapter::look_up(address)?;
        STATE.with(|state| {
            let channel = state.channels.get_mut(&address)?;
            let n_registers = channel.waiting.front()?.n_registers;
            if !channel.has_room(address, &record, n_registers) {
                return None;
            }
            let request = channel.waiting.pop_front()?;
            let base = channel.hold(address, &request);
            Some((address, record, base, request))
        })
    })
}
