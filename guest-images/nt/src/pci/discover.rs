//! Discovery: walks the buses, numbers those behind bridges, reads each function.

use alloc::vec::Vec;

use super::bar::size_bars;
use super::config::{ConfigAccess, command, offset};
use super::line::{gsi_of_root_slot, swizzle};
use super::slot::Slot;
use super::{Bar, Function, LineInterrupt, PciError, RequesterId};

const HEADER_KIND_MASK: u8 = 0x7F;
const HEADER_KIND_BRIDGE: u8 = 1;
const IS_MULTIFUNCTION: u8 = 0x80;
const FUNCTION_BARS: u8 = 6;
const BRIDGE_BARS: u8 = 2;
/// Nothing answers.
const NO_VENDOR: u16 = u16::MAX;

/// A bridge with its secondary bus.
#[derive(Clone, Debug)]
pub(super) struct Bridge {
    pub id: RequesterId,
    /// Its own BARs.
    pub bars: Vec<Bar>,
    /// Index of the bridge whose secondary bus it sits on; `None` on the root bus.
    pub parent: Option<usize>,
}

/// A function and the bridge it sits behind.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    pub function: Function,
    /// Index of the bridge; `None` on the root bus.
    pub parent: Option<usize>,
}

/// Everything on the bus; parents stand before their children.
#[derive(Clone, Debug, Default)]
pub(super) struct Topology {
    pub bridges: Vec<Bridge>,
    pub functions: Vec<Placed>,
    last_bus_used: u8,
}

/// Walks everything below bus 0. Decoding of what was found is off afterwards.
pub(super) fn discover(config: &mut dyn ConfigAccess) -> Topology {
    let mut topology = Topology::default();
    topology.scan_bus(config, 0, None);
    topology
}

impl Topology {
    /// Recursion is as deep as buses are nested: each level takes a bus number of 256.
    fn scan_bus(&mut self, config: &mut dyn ConfigAccess, bus: u8, parent: Option<usize>) {
        let present = present_on(config, bus);
        // Numbers of the firmware go first: two bridges of this bus that claim the same number would
        // both show what is behind one of them.
        for (id, _) in present.iter().filter(|(_, is_bridge)| *is_bridge) {
            write_bus_numbers(config, *id, 0, 0);
        }
        for (id, is_bridge) in present {
            if is_bridge {
                self.add_bridge(config, id, parent);
            } else {
                self.add_function(config, id, parent);
            }
        }
    }

    /// Numbers the bus behind a bridge and walks it. With no number left, the bridge leads nowhere.
    fn add_bridge(
        &mut self,
        config: &mut dyn ConfigAccess,
        id: RequesterId,
        parent: Option<usize>,
    ) {
        let bars = size_bars(config, id, BRIDGE_BARS);
        let bridge = self.bridges.len();
        self.bridges.push(Bridge { id, bars, parent });
        if self.last_bus_used >= config.last_bus() {
            write_bus_numbers(config, id, 0, 0);
            return;
        }
        self.last_bus_used += 1;
        let secondary = self.last_bus_used;
        // Everything above is passed on while the walk below goes on.
        let last_bus = config.last_bus();
        write_bus_numbers(config, id, secondary, last_bus);
        self.scan_bus(config, secondary, Some(bridge));
        write_bus_numbers(config, id, secondary, self.last_bus_used);
    }

    fn add_function(
        &mut self,
        config: &mut dyn ConfigAccess,
        id: RequesterId,
        parent: Option<usize>,
    ) {
        let [revision, interface, subclass, class] =
            config.read_u32(id, offset::CLASS).to_le_bytes();
        let pin = config.read_u8(id, offset::INTERRUPT_PIN);
        let function = Function {
            id,
            vendor_id: config.read_u16(id, offset::VENDOR_ID),
            device_id: config.read_u16(id, offset::DEVICE_ID),
            revision,
            class: u32::from_le_bytes([interface, subclass, class, 0]),
            subsystem_vendor_id: config.read_u16(id, offset::SUBSYSTEM_VENDOR_ID),
            subsystem_id: config.read_u16(id, offset::SUBSYSTEM_ID),
            bars: size_bars(config, id, FUNCTION_BARS),
            line: self.line(id, parent, pin),
        };
        config.update_command(id, 0, command::BUS_MASTER);
        self.functions.push(Placed { function, parent });
    }

    /// Reads function 0 of what has come into a slot. A bridge is not walked, and so no function.
    pub fn discover_behind(
        &mut self,
        config: &mut dyn ConfigAccess,
        slot: Slot,
    ) -> Result<RequesterId, PciError> {
        let id = RequesterId::try_new(slot.bus, 0, 0).ok_or(PciError::NoFunction)?;
        let parent = self
            .bridges
            .iter()
            .position(|bridge| bridge.id == slot.port);
        let is_known = self.functions.iter().any(|it| it.function.id == id);
        let is_there = config.read_u16(id, offset::VENDOR_ID) != NO_VENDOR;
        let kind = config.read_u8(id, offset::HEADER_TYPE) & HEADER_KIND_MASK;
        if parent.is_none() || is_known || !is_there || kind == HEADER_KIND_BRIDGE {
            return Err(PciError::NoFunction);
        }
        self.add_function(config, id, parent);
        Ok(id)
    }

    /// Takes a function out.
    pub fn forget(&mut self, id: RequesterId) -> Option<Placed> {
        let at = self.functions.iter().position(|it| it.function.id == id)?;
        Some(self.functions.remove(at))
    }

    /// Follows a pin up to bus 0.
    fn line(&self, id: RequesterId, mut parent: Option<usize>, pin: u8) -> Option<LineInterrupt> {
        if !(1..=4).contains(&pin) {
            return None;
        }
        let (mut slot, mut turned) = (id.device(), pin - 1);
        while let Some(bridge) = parent.and_then(|idx| self.bridges.get(idx)) {
            turned = swizzle(slot, turned);
            slot = bridge.id.device();
            parent = bridge.parent;
        }
        let gsi = gsi_of_root_slot(slot, turned);
        Some(LineInterrupt { pin, gsi })
    }
}

/// What answers on a bus, and whether it is a bridge.
fn present_on(config: &mut dyn ConfigAccess, bus: u8) -> Vec<(RequesterId, bool)> {
    let mut present = Vec::new();
    for device in 0..32 {
        for function in 0..8 {
            let Some(id) = RequesterId::try_new(bus, device, function) else {
                continue;
            };
            if config.read_u16(id, offset::VENDOR_ID) == NO_VENDOR {
                if function == 0 {
                    break;
                }
                continue;
            }
            let header = config.read_u8(id, offset::HEADER_TYPE);
            present.push((id, header & HEADER_KIND_MASK == HEADER_KIND_BRIDGE));
            if function == 0 && header & IS_MULTIFUNCTION == 0 {
                break;
            }
        }
    }
    present
}

fn write_bus_numbers(
    config: &mut dyn ConfigAccess,
    id: RequesterId,
    secondary: u8,
    subordinate: u8,
) {
    for (at, bus) in [
        (offset::PRIMARY_BUS, id.bus()),
        (offset::SECONDARY_BUS, secondary),
        (offset::SUBORDINATE_BUS, subordinate),
    ] {
        config.write(id, at, 1, u32::from(bus));
    }
}
