//! PnP and power requests to a device's stack, and what they do to its resources.

use alloc::vec::Vec;

use super::bus;
use super::device::{self, Device, State, Vectors};
use super::resources::{Resource, View, resource_list};
use crate::console::Event;
use crate::hal_dma::space;
use crate::ke::irql::Irql;
use crate::ntoskrnl::kernel_memory;
use crate::ntoskrnl::objects::{DeviceObject, IRP_MJ_PNP, IRP_MJ_POWER};
use crate::ntoskrnl::po::{self, DEVICE_POWER_STATE, IRP_MN_SET_POWER};
use crate::ntoskrnl::shared::{shared, write_bytes};
use crate::ntoskrnl::status::{self, NtStatus};
use crate::pci::{self, BarKind, command};

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
    fn may_follow(self, state: State) -> bool {
        use State::{
            Added, RemovePending, Removed, Started, StopPending, Stopped, SurpriseRemoved,
        };
        match self {
            Self::Start => matches!(state, Added | Stopped),
            Self::QueryStop => state == Started,
            Self::CancelStop => matches!(state, StopPending | Started),
            Self::Stop => state == StopPending,
            Self::QueryRemove => matches!(state, Started | Added | Stopped),
            Self::CancelRemove => matches!(state, RemovePending | Started),
            Self::Remove => state != Removed,
            Self::SurpriseRemoval => !matches!(state, Removed | SurpriseRemoved),
        }
    }

    /// Where the device stands after a success.
    fn leads_to(self, before: State) -> State {
        match self {
            Self::Start | Self::CancelStop | Self::CancelRemove => State::Started,
            Self::QueryStop => State::StopPending,
            Self::Stop => State::Stopped,
            Self::QueryRemove => State::RemovePending,
            Self::Remove => State::Removed,
            Self::SurpriseRemoval => match before {
                State::Removed => State::Removed,
                _ => State::SurpriseRemoved,
            },
        }
    }
}

/// Sends a PnP request through a device's stack.
pub(super) fn send(device: &Device, request: Request) -> NtStatus {
    if !request.may_follow(device.state) {
        return report(device, request.name(), status::INVALID_DEVICE_REQUEST);
    }
    let status = match request {
        Request::Start => start(device),
        _ => plain(device, request.minor()),
    };
    if status.is_success() {
        let next = request.leads_to(device.state);
        device::update(device.pdo, |record| record.state = next);
        match request {
            Request::Stop | Request::Remove => release(device, request == Request::Remove),
            _ => {}
        }
    } else if request == Request::Start {
        // A driver whose start fails is removed, as Windows does.
        release(device, false);
    }
    report(device, request.name(), status)
}

/// Sends IRP_MN_SET_POWER for a device state (1 = D0, 4 = D3).
pub(super) fn set_power(device: &Device, state: u32) -> NtStatus {
    let parameters = [0, DEVICE_POWER_STATE, state.into(), 0];
    let pdo: &DeviceObject = shared(device.pdo);
    let (status, _) = po::send_and_wait(pdo, IRP_MJ_POWER, IRP_MN_SET_POWER, parameters);
    Event::new("power")
        .text("device", &device.name)
        .text("state", if state == 1 { "D0" } else { "D3" })
        .display("status", &status)
        .send();
    status
}

fn plain(device: &Device, minor: u8) -> NtStatus {
    po::send_and_wait(shared(device.pdo), IRP_MJ_PNP, minor, [0; 4]).0
}

/// Assigns interrupts, turns decoding on, and starts the stack with both resource lists.
fn start(device: &Device) -> NtStatus {
    let id = device.function.id;
    if !space::attach(id) {
        return status::INSUFFICIENT_RESOURCES;
    }
    bus::set_power_state(id, 0);
    pci::update_command(id, command::IO | command::MEMORY | command::BUS_MASTER, 0);
    let vectors = assign_vectors(device);
    device::update(device.pdo, |record| record.vectors = vectors.clone());
    let resources = resources_of(device, vectors.as_ref());
    let raw = list_in_pool(device, &resources, View::Raw);
    let translated = list_in_pool(device, &resources, View::Translated);
    let (Some(raw), Some(translated)) = (raw, translated) else {
        return status::INSUFFICIENT_RESOURCES;
    };
    let pdo: &DeviceObject = shared(device.pdo);
    let (status, _) = po::send_and_wait(pdo, IRP_MJ_PNP, 0, [raw, translated, 0, 0]);
    // Drivers copy what they keep: with the lists gone, one that did not is found out.
    kernel_memory::free(raw);
    kernel_memory::free(translated);
    status
}

fn assign_vectors(device: &Device) -> Option<Vectors> {
    let id = device.function.id;
    if let Ok(messages) = pci::enable_msix(id, MAX_MESSAGES, DEVICE_IRQL) {
        return Some(Vectors::Messages {
            vectors: messages.vectors,
            irql: DEVICE_IRQL,
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
        Some(Vectors::Messages { vectors, irql, .. }) => {
            resources.extend(vectors.iter().map(|vector| Resource::Message {
                vector: *vector,
                irql: *irql,
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
        Some(Vectors::Messages { .. }) => pci::disable_msix(id),
        Some(Vectors::Line { .. }) => pci::disable_line(id),
        None => {}
    }
    device::update(device.pdo, |record| record.vectors = None);
    pci::update_command(id, 0, command::BUS_MASTER | command::MEMORY | command::IO);
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
    fn cancelled_query_leads_back_to_started() {
        assert_eq!(
            Request::CancelRemove.leads_to(State::RemovePending),
            State::Started
        );
        assert_eq!(
            Request::CancelStop.leads_to(State::StopPending),
            State::Started
        );
    }
}
