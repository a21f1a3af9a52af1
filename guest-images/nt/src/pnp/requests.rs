//! PnP and power requests to a device's stack, and what they do to its resources.

use alloc::vec::Vec;

use super::device::{self, Device, State, Vectors};
use super::hardware;
use super::resources::{Resource, View, resource_list};
use crate::call_faults::in_phase;
use crate::console::Event;
use crate::hal_dma::{self, space};
use crate::ke::interrupt;
use crate::ke::irql::Irql;
use crate::ntoskrnl::kernel_memory;
use crate::ntoskrnl::mm_memory;
use crate::ntoskrnl::objects::{DeviceObject, IRP_MJ_PNP, IRP_MJ_POWER};
use crate::ntoskrnl::po::{self, DEVICE_POWER_STATE, IRP_MN_SET_POWER, SYSTEM_POWER_STATE};
use crate::ntoskrnl::shared::{shared, write_bytes};
use crate::ntoskrnl::status::{self, NtStatus};
use crate::ntoskrnl::verifier;
use crate::pci::{self, BarKind};
use crate::wdf::dma_enabler;

const TAG: u32 = u32::from_le_bytes(*b"CmRl");
/// IRQL of device interrupts.
const DEVICE_IRQL: Irql = 6;
/// Most messages given to one device.
const MAX_MESSAGES: u16 = 64;

/// A PnP request of the command port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    Start,
    QueryStop,
    CancelStop,
    Stop,
    QueryRemove,
    CancelRemove,
    Remove,
    SurpriseRemoval,
}

impl Request {
    /// By its word on the command port.
    pub(super) fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "start" => Self::Start,
            "query-stop" => Self::QueryStop,
            "cancel-stop" => Self::CancelStop,
            "stop" => Self::Stop,
            "query-remove" => Self::QueryRemove,
            "cancel-remove" => Self::CancelRemove,
            "remove" => Self::Remove,
            "surprise-removal" => Self::SurpriseRemoval,
            _ => return None,
        })
    }

    fn minor(self) -> u8 {
        match self {
            Self::Start => 0x00,
            Self::QueryRemove => 0x01,
            Self::Remove => 0x02,
            Self::CancelRemove => 0x03,
            Self::Stop => 0x04,
            Self::QueryStop => 0x05,
            Self::CancelStop => 0x06,
            Self::SurpriseRemoval => 0x17,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Start => "START_DEVICE",
            Self::QueryRemove => "QUERY_REMOVE_DEVICE",
            Self::Remove => "REMOVE_DEVICE",
            Self::CancelRemove => "CANCEL_REMOVE_DEVICE",
            Self::Stop => "STOP_DEVICE",
            Self::QueryStop => "QUERY_STOP_DEVICE",
            Self::CancelStop => "CANCEL_STOP_DEVICE",
            Self::SurpriseRemoval => "SURPRISE_REMOVAL",
        }
    }

    /// Whether the device may get the request where it stands.
    pub(super) fn may_follow(self, state: State) -> bool {
        use State::{
            Added, RemovePending, Removed, Started, StopPending, Stopped, SurpriseRemoved,
        };
        match self {
            Self::Start => matches!(state, Added | Stopped),
            Self::QueryStop => state == Started,
            Self::CancelStop => matches!(state, StopPending | Started),
            Self::Stop => state == StopPending,
            Self::QueryRemove => matches!(state, Started | Added | Stopped),
            Self::CancelRemove => matches!(state, RemovePending | Started | Added | Stopped),
            Self::Remove => state != Removed,
            Self::SurpriseRemoval => !matches!(state, Removed | SurpriseRemoved),
        }
    }

    /// Where the device stands after a success; a cancelled query leads to where it stood before.
    fn leads_to(self, before: State, before_query: State) -> State {
        match self {
            Self::Start => State::Started,
            Self::CancelStop | Self::CancelRemove => match before {
                State::StopPending | State::RemovePending => before_query,
                _ => before,
            },
            Self::QueryStop => State::StopPending,
            Self::Stop => State::Stopped,
            Self::QueryRemove => State::RemovePending,
            Self::Remove => State::Removed,
            Self::SurpriseRemoval => State::SurpriseRemoved,
        }
    }
}

/// Sends a PnP request through a device's stack.
pub(super) fn send(device: &Device, request: Request) -> NtStatus {
    if !request.may_follow(device.state) {
        return report(device, request.name(), status::INVALID_DEVICE_REQUEST);
    }
    device::update(device.pdo, |record| record.reached.forget(request.minor()));
    let status = in_phase(request.name(), || match request {
        Request::Start => start(device),
        Request::SurpriseRemoval => {
            // The hardware is gone before anybody is told.
            hardware::turn_off(device.function.id);
            plain(device, request.minor())
        }
        _ => plain(device, request.minor()),
    });
    report(device, request.name(), status);
    if status.is_success() {
        succeed(device, request);
    } else if request == Request::Start {
        // A device whose start fails is removed.
        release(device, false);
        let failed = Device {
            state: State::Added,
            ..device.clone()
        };
        send(&failed, Request::Remove);
    }
    status
}

fn succeed(device: &Device, request: Request) {
    let before = device.state;
    device::update(device.pdo, |record| {
        record.state = request.leads_to(before, record.before_query);
        if matches!(request, Request::QueryStop | Request::QueryRemove) {
            record.before_query = before;
        }
    });
    let is_seen = device::by_pdo(device.pdo).is_none_or(|now| now.reached.has(request.minor()));
    if !is_seen {
        verifier::undocumented_violation(
            "irp-never-reached-the-bus",
            format_args!(
                "{} of {} succeeded, and was not passed down to the bus driver",
                request.name(),
                device.name
            ),
        );
    }
    if matches!(request, Request::Stop | Request::Remove) {
        report_what_is_kept(device, request);
        release(device, request == Request::Remove);
    }
}

/// Adapters, mappings of registers and interrupts go while the device stops: afterwards they may not even be used to clean up.
fn report_what_is_kept(device: &Device, request: Request) {
    let (id, name) = (device.function.id, request.name());
    // Those of the framework's enablers stay over a STOP: it gives them back when the enabler is deleted.
    let n_of_enablers = match request {
        Request::Stop => dma_enabler::adapters_on(device.pdo),
        _ => 0,
    };
    let n_adapters = hal_dma::live_adapters(id).saturating_sub(n_of_enablers);
    if n_adapters > 0 {
        verifier::finding(
            "adapter-kept-over-stop",
            format_args!("{n_adapters} adapters of {} live after {name}", device.name),
        );
    }
    let ranges = device.function.bars.iter().filter_map(|bar| {
        let start = bar.address.filter(|_| bar.is_memory())?.raw();
        Some(start..start.saturating_add(bar.len_bytes))
    });
    let n_mapped: usize = ranges.map(|range| mm_memory::io_mappings_of(&range)).sum();
    if n_mapped > 0 {
        verifier::finding(
            "registers-kept-over-stop",
            format_args!(
                "{n_mapped} mappings of registers of {} live after {name}",
                device.name
            ),
        );
    }
    // A line may be shared with another device, which keeps it.
    let Some(Vectors::Messages { vectors, .. }) = device::vectors_of(device.pdo) else {
        return;
    };
    let n_connected: usize = vectors.iter().map(|it| interrupt::connected_to(*it)).sum();
    if n_connected > 0 {
        verifier::finding(
            "interrupt-kept-over-stop",
            format_args!(
                "{n_connected} interrupts of {} are connected after {name}",
                device.name
            ),
        );
    }
}

/// A power state that a command asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Power {
    name: &'static str,
    kind: u64,
    state: u64,
}

impl Power {
    /// By its word on the command port: DEVICE_POWER_STATE and SYSTEM_POWER_STATE.
    pub(super) fn parse(word: &str) -> Option<Self> {
        let (name, kind, state) = match word {
            "d0" => ("D0", DEVICE_POWER_STATE, 1),
            "d3" => ("D3", DEVICE_POWER_STATE, 4),
            "s0" => ("S0", SYSTEM_POWER_STATE, 1),
            "s3" => ("S3", SYSTEM_POWER_STATE, 4),
            _ => return None,
        };
        Some(Self { name, kind, state })
    }
}

/// Sends IRP_MN_SET_POWER. A system state leads to a device state by the driver that owns the policy.
pub(super) fn set_power(device: &Device, power: Power) -> NtStatus {
    // PowerActionSleep for a sleeping state of the system.
    let action = if power.name == "S3" { 2 } else { 0 };
    let parameters = [0, power.kind, power.state, action];
    let pdo: &DeviceObject = shared(device.pdo);
    let (status, _) = in_phase("SET_POWER", || {
        po::send_and_wait(pdo, IRP_MJ_POWER, IRP_MN_SET_POWER, parameters)
    });
    Event::new("power")
        .text("device", &device.name)
        .text("state", power.name)
        .display("status", &status)
        .send();
    status
}

fn plain(device: &Device, minor: u8) -> NtStatus {
    po::send_and_wait(shared(device.pdo), IRP_MJ_PNP, minor, [0; 4]).0
}

/// Assigns interrupts and starts the stack with both resource lists. The bus driver turns the function on.
fn start(device: &Device) -> NtStatus {
    if !space::attach(device.function.id) {
        return status::INSUFFICIENT_RESOURCES;
    }
    let vectors = assign_vectors(device);
    device::update(device.pdo, |record| record.vectors = vectors.clone());
    let resources = resources_of(device, vectors.as_ref());
    let lists = [View::Raw, View::Translated].map(|view| list_in_pool(device, &resources, view));
    let status = match lists {
        [Some(raw), Some(translated)] => {
            let pdo: &DeviceObject = shared(device.pdo);
            po::send_and_wait(pdo, IRP_MJ_PNP, 0, [raw, translated, 0, 0]).0
        }
        _ => status::INSUFFICIENT_RESOURCES,
    };
    // Drivers copy what they keep: with the lists gone, one that did not is found out.
    lists.into_iter().flatten().for_each(kernel_memory::free);
    status
}

fn assign_vectors(device: &Device) -> Option<Vectors> {
    let id = device.function.id;
    if let Ok(messages) = pci::reserve_messages(id, MAX_MESSAGES, DEVICE_IRQL) {
        return Some(Vectors::Messages {
            vectors: messages.vectors,
            address: messages.address,
        });
    }
    let vector = pci::enable_line(id, DEVICE_IRQL).ok()?;
    Some(Vectors::Line {
        vector,
        irql: DEVICE_IRQL,
    })
}

fn resources_of(device: &Device, vectors: Option<&Vectors>) -> Vec<Resource> {
    let bars = device.function.bars.iter().filter_map(|bar| {
        let start = bar.address?.raw();
        let len_bytes = u32::try_from(bar.len_bytes).ok()?;
        Some(match bar.kind {
            BarKind::Io => Resource::Port { start, len_bytes },
            BarKind::Memory32 { is_prefetchable } | BarKind::Memory64 { is_prefetchable } => {
                Resource::Memory {
                    start,
                    len_bytes,
                    is_prefetchable,
                }
            }
        })
    });
    let mut resources: Vec<Resource> = bars.collect();
    match vectors {
        Some(Vectors::Messages { vectors, .. }) => {
            resources.extend(vectors.iter().map(|vector| Resource::Message {
                vector: *vector,
                irql: interrupt::level_of(*vector),
            }));
        }
        Some(Vectors::Line { vector, irql }) => resources.push(Resource::Line {
            vector: *vector,
            irql: *irql,
            input: device.function.line.map_or(0, |line| line.gsi),
        }),
        None => {}
    }
    resources
}

fn list_in_pool(device: &Device, resources: &[Resource], view: View) -> Option<u64> {
    let list = resource_list(device.function.id.bus(), resources, view);
    let block = kernel_memory::allocate(list.len() as u64, TAG)?;
    write_bytes(block, &list);
    Some(block)
}

/// Takes interrupts and bus mastering away; a removed device loses its translation, too.
fn release(device: &Device, is_removed: bool) {
    let id = device.function.id;
    let vectors = device::by_pdo(device.pdo).and_then(|record| record.vectors);
    match vectors {
        Some(Vectors::Messages { .. }) => pci::disable_messages(id),
        Some(Vectors::Line { .. }) => pci::disable_line(id),
        None => {}
    }
    device::update(device.pdo, |record| record.vectors = None);
    // Also where the request never came down to the bus driver.
    hardware::turn_off(id);
    if is_removed {
        space::detach(id);
    }
}

fn report(device: &Device, irp: &str, status: NtStatus) -> NtStatus {
    Event::new("pnp")
        .text("device", &device.name)
        .text("irp", irp)
        .display("status", &status)
        .send();
    status
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_follow_the_documented_states() {
        let check = |request: Request, state, expected| {
            assert_eq!(
                request.may_follow(state),
                expected,
                "{request:?} in {state:?}"
            );
        };
        check(Request::Start, State::Added, true);
        check(Request::Start, State::Started, false);
        check(Request::Stop, State::Started, false);
        check(Request::Stop, State::StopPending, true);
        check(Request::Start, State::Stopped, true);
        check(Request::Remove, State::SurpriseRemoved, true);
        check(Request::Remove, State::Removed, false);
        check(Request::SurpriseRemoval, State::SurpriseRemoved, false);
    }

    #[test]
    fn cancelled_query_leads_back_to_where_the_device_stood() {
        let check = |request: Request, before, before_query, expected| {
            assert_eq!(request.leads_to(before, before_query), expected);
        };
        let (started, stopped, added) = (State::Started, State::Stopped, State::Added);
        check(
            Request::CancelRemove,
            State::RemovePending,
            stopped,
            stopped,
        );
        check(Request::CancelRemove, State::RemovePending, added, added);
        check(Request::CancelStop, State::StopPending, started, started);
        // After a query that failed.
        check(Request::CancelRemove, stopped, started, stopped);
    }
}
