//! Devices that come and go while the system runs (`hot-plug=on`): the slots are looked at at the idle tick, and what
//! has happened is carried out in the command thread, so that a device gets one request after the other.
//!
//! A press of a slot's attention button asks for an orderly removal of what is in it. A device that answers with all
//! ones, or that a slot no longer has, is gone. In either case the slot's power goes off last.

use alloc::vec::Vec;
use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};

use super::device::{self, Device, State};
use super::manager;
use super::requests::{self, Request};
use crate::arch::clock;
use crate::arch::guarded::Guarded;
use crate::console::Event;
use crate::ke;
use crate::ntoskrnl::io_device;
use crate::ntoskrnl::shared::shared;
use crate::pci::{self, RequesterId, Slot, SlotPower, SlotStatus};

/// Time between two looks, in units of 100 ns: 5 ms.
const INTERVAL: u64 = 50_000;
/// The vendor ID where nothing answers.
const NO_VENDOR: u32 = 0xFFFF;

/// A slot, and whether what is in it has been looked at.
#[derive(Clone, Copy)]
struct Watched {
    slot: Slot,
    is_occupied: bool,
}

/// What is to be done about a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    TakeIn,
    RemoveInOrder,
    RemoveGone,
    /// What was in it and had no stack is gone.
    Empty,
}

static SLOTS: Guarded<Vec<Watched>> = Guarded::new(Vec::new());
static NEXT_LOOK: AtomicU64 = AtomicU64::new(0);

/// Begins to look after all slots but that of the control function, which carries the conversation.
pub(super) fn start() {
    let control = device::by_name("control").map(|device| device.function.id.bus());
    let slots = pci::slots();
    let slots = slots.into_iter().filter(|slot| Some(slot.bus) != control);
    let watched = slots.map(|slot| Watched {
        slot,
        is_occupied: pci::read_slot(slot).is_present,
    });
    let watched = watched.collect();
    SLOTS.with(|slots| *slots = watched);
    ke::watch_at_idle(has_work, look_after_slots);
}

/// Whether a slot is to be looked after. At the idle tick.
fn has_work() -> bool {
    let now = clock::now();
    if now < NEXT_LOOK.load(Ordering::Relaxed) {
        return false;
    }
    NEXT_LOOK.store(now + INTERVAL, Ordering::Relaxed);
    all()
        .into_iter()
        .any(|watched| action_for(watched, pci::read_slot(watched.slot)).is_some())
}

fn look_after_slots() {
    for watched in all() {
        let slot = watched.slot;
        let status = pci::read_slot(slot);
        let Some(action) = action_for(watched, status) else {
            continue;
        };
        pci::clear_slot(slot, status);
        let is_occupied = match (action, occupant(slot)) {
            (Action::TakeIn, _) => {
                take_in(slot);
                true
            }
            (Action::RemoveInOrder, Some(device)) => !remove_in_order(slot, &device),
            (Action::RemoveGone, Some(device)) => {
                remove_gone(slot, &device);
                false
            }
            (Action::RemoveInOrder, None) => {
                pci::set_slot_power(slot, SlotPower::Off);
                false
            }
            (Action::RemoveGone | Action::Empty, _) => false,
        };
        note(slot, is_occupied);
    }
}

fn action_for(watched: Watched, status: SlotStatus) -> Option<Action> {
    if !watched.is_occupied {
        return status.is_present.then_some(Action::TakeIn);
    }
    match device_in(watched.slot) {
        Some(id) if is_silent(id) || !status.is_present => Some(Action::RemoveGone),
        None if !status.is_present => Some(Action::Empty),
        _ => status.is_button_pressed.then_some(Action::RemoveInOrder),
    }
}

fn all() -> Vec<Watched> {
    SLOTS.with(|slots| slots.clone())
}

fn note(slot: Slot, is_occupied: bool) {
    SLOTS.with(|slots| {
        if let Some(watched) = slots.iter_mut().find(|it| it.slot == slot) {
            watched.is_occupied = is_occupied;
        }
    });
}

/// The function in a slot, if it has a stack.
fn device_in(slot: Slot) -> Option<RequesterId> {
    occupant(slot).map(|device| device.function.id)
}

fn occupant(slot: Slot) -> Option<Device> {
    let id = RequesterId::try_new(slot.bus, 0, 0)?;
    device::by_requester(id)
}

/// Whether it answers with all ones.
fn is_silent(id: RequesterId) -> bool {
    pci::read_config(id, 0, 2) == NO_VENDOR
}

/// QUERY_REMOVE, then REMOVE; whether it is out. Whoever refuses the query keeps the device, and its power.
fn remove_in_order(slot: Slot, device: &Device) -> bool {
    pci::set_slot_power(slot, SlotPower::Busy);
    if Request::QueryRemove.may_follow(device.state) {
        let status = requests::send(device, Request::QueryRemove);
        if !status.is_success() {
            send_now(device, Request::CancelRemove);
            pci::set_slot_power(slot, SlotPower::On);
            tell(slot, "kept", &status);
            return false;
        }
    }
    finish(slot, device, "removed");
    true
}

/// SURPRISE_REMOVAL, then REMOVE.
fn remove_gone(slot: Slot, device: &Device) {
    send_now(device, Request::SurpriseRemoval);
    finish(slot, device, "surprise-removed");
}

/// The last requests, and the end of the bus driver's own object. Then the power goes.
fn finish(slot: Slot, device: &Device, what: &str) {
    send_now(device, Request::Remove);
    // The function's resources are known by it until here.
    device::forget(device.pdo);
    io_device::delete(shared(device.pdo));
    pci::unplug(device.function.id);
    pci::set_slot_power(slot, SlotPower::Off);
    tell(slot, what, &"0x0");
}

/// Sends a request where the device's state, as it is now, allows it.
fn send_now(device: &Device, request: Request) {
    if let Some(now) = device::by_pdo(device.pdo)
        && request.may_follow(now.state)
    {
        requests::send(&now, request);
    }
}

/// Power, addresses, a stack, a start.
fn take_in(slot: Slot) {
    pci::set_slot_power(slot, SlotPower::On);
    match pci::plug(slot) {
        Ok(function) => {
            let name = manager::add_device(function);
            if let Some(device) = name.and_then(|name| device::by_name(&name))
                && device.state == State::Added
            {
                requests::send(&device, Request::Start);
            }
            tell(slot, "plugged", &"0x0");
        }
        Err(error) => {
            pci::set_slot_power(slot, SlotPower::Off);
            tell(slot, "refused", &alloc::format!("{error:?}"));
        }
    }
}

/// What has become of what was in a slot.
fn tell(slot: Slot, what: &str, status: &dyn fmt::Display) {
    Event::new("hot-plug")
        .display("port", &slot.port)
        .text("what", what)
        .display("status", status)
        .send();
}
