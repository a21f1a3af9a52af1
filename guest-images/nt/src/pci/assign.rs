//! Assignment: a window of memory addresses for each bus, an address for each BAR.
//!
//! A bridge gets one window, non-prefetchable and below 4 GiB, which every kind of memory BAR may lie in. It
//! is at least twice as large as what is behind it, so that a device can be moved ([`Resources::reassign`]) and another
//! one come in its place ([`Resources::place_new`]).

use alloc::vec::Vec;
use core::ops::Range;

use super::bar::write_bars;
use super::config::{ConfigAccess, command, offset};
use super::discover::Topology;
use super::window::Window;
use super::{Bar, PciError, RequesterId};
use crate::memory::{GuestPhysAddr, PAGE_SIZE};

/// Ports of the root bus, above those that the chipset decodes. Bridges pass no ports on.
pub(super) const ROOT_PORTS: Range<u64> = 0x6000..0x1_0000;
/// Bridges decode memory in multiples of this.
const BRIDGE_GRANULE: u64 = 1 << 20;
/// A bridge's window is no smaller.
const MIN_BRIDGE_WINDOW: u64 = 2 << 20;

/// What each bus decodes, and what of it is taken.
#[derive(Debug)]
pub(super) struct Resources {
    root_memory: Window,
    root_ports: Window,
    /// By bridge; `None` for a bridge with nothing behind it, or no room.
    behind: Vec<Option<Window>>,
}

impl Resources {
    /// Assigns addresses to everything and writes them, bridges included; memory decoding goes on. Bus
    /// mastering goes on for bridges, which pass requests upstream, and stays off for devices.
    pub fn assign(
        config: &mut dyn ConfigAccess,
        topology: &mut Topology,
        root_memory: Range<u64>,
    ) -> Self {
        let mut resources = Self {
            root_memory: Window::new(root_memory),
            root_ports: Window::new(ROOT_PORTS),
            behind: Vec::new(),
        };
        let needs = needs_of_bridges(topology);
        for (bridge, need) in topology.bridges.iter().zip(needs) {
            let window = resources.open_window(bridge.parent, need);
            write_window(config, bridge.id, window.as_ref().map(Window::range));
            resources.behind.push(window);
        }
        resources.place_bars(topology);
        for bridge in &topology.bridges {
            write_bars(config, bridge.id, &bridge.bars);
            config.update_command(bridge.id, command::MEMORY | command::BUS_MASTER, 0);
        }
        for placed in &topology.functions {
            let function = &placed.function;
            write_bars(config, function.id, &function.bars);
            config.update_command(function.id, decoding_of(&function.bars), 0);
        }
        resources
    }

    /// Moves a function's BARs to other addresses and writes them. All or nothing.
    pub fn reassign(
        &mut self,
        config: &mut dyn ConfigAccess,
        topology: &mut Topology,
        id: RequesterId,
    ) -> Result<Vec<Bar>, PciError> {
        let placed = topology
            .functions
            .iter_mut()
            .find(|placed| placed.function.id == id)
            .ok_or(PciError::NoFunction)?;
        let old = placed.function.bars.clone();
        let mut new = old.clone();
        // The old addresses are still taken here, so that the new ones differ.
        for bar in &mut new {
            bar.address = None;
        }
        if !self.place(placed.parent, new.iter_mut()) {
            self.release(placed.parent, &new);
            return Err(PciError::Exhausted);
        }
        self.release(placed.parent, &old);
        write_bars(config, id, &new);
        placed.function.bars.clone_from(&new);
        Ok(new)
    }

    /// Gives a function that has come since addresses, and lets it decode. All or nothing.
    pub fn place_new(
        &mut self,
        config: &mut dyn ConfigAccess,
        topology: &mut Topology,
        id: RequesterId,
    ) -> Result<(), PciError> {
        let placed = topology
            .functions
            .iter_mut()
            .find(|placed| placed.function.id == id)
            .ok_or(PciError::NoFunction)?;
        let bars = &mut placed.function.bars;
        if !self.place(placed.parent, bars.iter_mut()) {
            return Err(PciError::Exhausted);
        }
        write_bars(config, id, bars);
        config.update_command(id, decoding_of(bars), 0);
        Ok(())
    }

    fn open_window(&mut self, parent: Option<usize>, need: u64) -> Option<Window> {
        if need == 0 {
            return None;
        }
        let start = self.window(parent, true)?.allocate(need)?;
        Some(Window::new(start..start + need))
    }

    /// Largest first, which wastes least.
    fn place_bars(&mut self, topology: &mut Topology) {
        let bridges = topology
            .bridges
            .iter_mut()
            .flat_map(|bridge| of_parent(bridge.parent, &mut bridge.bars));
        let functions = topology
            .functions
            .iter_mut()
            .flat_map(|placed| of_parent(placed.parent, &mut placed.function.bars));
        let mut all: Vec<(Option<usize>, &mut Bar)> = bridges.chain(functions).collect();
        all.sort_by_key(|(_, bar)| core::cmp::Reverse(bar.len_bytes));
        for (parent, bar) in all {
            self.place(parent, core::iter::once(bar));
        }
    }

    /// Gives each BAR an address; false if one found no room.
    fn place<'bar>(
        &mut self,
        parent: Option<usize>,
        bars: impl Iterator<Item = &'bar mut Bar>,
    ) -> bool {
        let mut has_room = true;
        for bar in bars {
            let room = room_for(bar);
            bar.address = self
                .window(parent, bar.is_memory())
                .and_then(|window| window.allocate(room))
                .map(GuestPhysAddr::new);
            has_room &= bar.address.is_some();
        }
        has_room
    }

    /// Takes addresses back.
    pub fn release(&mut self, parent: Option<usize>, bars: &[Bar]) {
        for bar in bars {
            if let (Some(window), Some(address)) =
                (self.window(parent, bar.is_memory()), bar.address)
            {
                window.release(address.raw());
            }
        }
    }

    fn window(&mut self, parent: Option<usize>, is_memory: bool) -> Option<&mut Window> {
        match (parent, is_memory) {
            (None, true) => Some(&mut self.root_memory),
            (None, false) => Some(&mut self.root_ports),
            (Some(bridge), true) => self.behind.get_mut(bridge)?.as_mut(),
            (Some(_), false) => None,
        }
    }
}

fn of_parent(
    parent: Option<usize>,
    bars: &mut [Bar],
) -> impl Iterator<Item = (Option<usize>, &mut Bar)> {
    bars.iter_mut().map(move |bar| (parent, bar))
}

/// A memory BAR gets pages of its own, so that mapping it shows no other device.
fn room_for(bar: &Bar) -> u64 {
    let least = if bar.is_memory() { PAGE_SIZE } else { 4 };
    bar.len_bytes.max(least)
}

/// The decoding that the assigned BARs ask for.
fn decoding_of(bars: &[Bar]) -> u16 {
    bars.iter()
        .filter(|bar| bar.address.is_some())
        .map(|bar| {
            if bar.is_memory() {
                command::MEMORY
            } else {
                command::IO
            }
        })
        .fold(0, |all, bit| all | bit)
}

/// How much each bridge's window spans; 0 for nothing behind it. A need beyond all bounds saturates, and
/// then finds no room.
fn needs_of_bridges(topology: &Topology) -> Vec<u64> {
    let mut needs = alloc::vec![0u64; topology.bridges.len()];
    for placed in &topology.functions {
        add_need(
            &mut needs,
            placed.parent,
            memory_need(&placed.function.bars),
        );
    }
    // Children stand behind their parents: backwards, each is whole when its parent asks.
    for (idx, bridge) in topology.bridges.iter().enumerate().rev() {
        if needs[idx] > 0 {
            needs[idx] = needs[idx]
                .saturating_mul(2)
                .max(MIN_BRIDGE_WINDOW)
                .checked_next_power_of_two()
                .unwrap_or(1 << 63);
        }
        let need = needs[idx].saturating_add(memory_need(&bridge.bars));
        add_need(&mut needs, bridge.parent, need);
    }
    needs
}

fn add_need(needs: &mut [u64], parent: Option<usize>, len_bytes: u64) {
    if let Some(need) = parent.and_then(|bridge| needs.get_mut(bridge)) {
        *need = need.saturating_add(len_bytes);
    }
}

fn memory_need(bars: &[Bar]) -> u64 {
    bars.iter()
        .filter(|bar| bar.is_memory())
        .fold(0, |sum, bar| sum.saturating_add(room_for(bar)))
}

/// Opens a bridge's memory window; `None` closes it. The other two windows are closed: limit below base.
fn write_window(config: &mut dyn ConfigAccess, id: RequesterId, range: Option<Range<u64>>) {
    let (base, last) = match range {
        Some(range) => (range.start, range.end - BRIDGE_GRANULE),
        None => (0xFFF0_0000, 0),
    };
    // The upper 12 of 32 address bits stand in the upper 12 of 16 register bits.
    let field = |address: u64| u32::try_from(address >> 16).unwrap_or(0) & 0xFFF0;
    config.write(id, offset::MEMORY_BASE, 2, field(base));
    config.write(id, offset::MEMORY_LIMIT, 2, field(last));
    config.write(id, offset::PREFETCHABLE_BASE_AND_LIMIT, 4, 0x0000_FFF0);
    config.write(id, offset::PREFETCHABLE_BASE_UPPER, 4, 0);
    config.write(id, offset::PREFETCHABLE_LIMIT_UPPER, 4, 0);
    config.write(id, offset::IO_BASE_AND_LIMIT, 2, 0x00F0);
}
