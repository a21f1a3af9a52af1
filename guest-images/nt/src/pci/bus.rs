//! [`Bus`]: the functions that were found, with their resources; one place for all that changes them.

use alloc::vec::Vec;
use core::ops::Range;

use super::assign::Resources;
use super::config::ConfigAccess;
use super::discover::{Topology, discover};
use super::msi::Msi;
use super::msix::Msix;
use super::slot::Slot;
use super::{Bar, Function, PciError, RequesterId};

/// Class code of host bridges, ISA bridges and their like.
const BASE_CLASS_BRIDGE: u32 = 0x06;

/// All functions behind one [`ConfigAccess`].
#[derive(Debug)]
pub(super) struct Bus<C> {
    pub config: C,
    topology: Topology,
    resources: Resources,
}

impl<C: ConfigAccess> Bus<C> {
    /// Discovers everything and assigns addresses in `memory`.
    pub fn bring_up(mut config: C, memory: Range<u64>) -> Self {
        let mut topology = discover(&mut config);
        let resources = Resources::assign(&mut config, &mut topology, memory);
        Self {
            config,
            topology,
            resources,
        }
    }

    /// All functions but bridges of any kind, in bus order.
    pub fn devices(&self) -> Vec<Function> {
        let mut devices: Vec<Function> = self
            .topology
            .functions
            .iter()
            .map(|placed| &placed.function)
            .filter(|function| function.class >> 16 != BASE_CLASS_BRIDGE)
            .cloned()
            .collect();
        devices.sort_by_key(|function| function.id);
        devices
    }

    /// One function.
    pub fn function(&self, id: RequesterId) -> Result<&Function, PciError> {
        self.topology
            .functions
            .iter()
            .map(|placed| &placed.function)
            .find(|function| function.id == id)
            .ok_or(PciError::NoFunction)
    }

    /// Moves a function to other addresses.
    pub fn reassign(&mut self, id: RequesterId) -> Result<Vec<Bar>, PciError> {
        self.resources
            .reassign(&mut self.config, &mut self.topology, id)
    }

    /// The slots in which functions may come and go.
    pub fn slots(&mut self) -> Vec<Slot> {
        let ports: Vec<RequesterId> = self.topology.bridges.iter().map(|it| it.id).collect();
        let find = |port: RequesterId| Slot::find(&mut self.config, port);
        ports.into_iter().filter_map(find).collect()
    }

    /// Takes in function 0 of the device that has come into a slot: reads it, and gives it addresses. All or nothing.
    pub fn plug(&mut self, slot: Slot) -> Result<Function, PciError> {
        let id = self.topology.discover_behind(&mut self.config, slot)?;
        let placed = self
            .resources
            .place_new(&mut self.config, &mut self.topology, id);
        if let Err(error) = placed {
            self.unplug(id);
            return Err(error);
        }
        self.function(id).cloned()
    }

    /// Forgets a function that is gone, and takes its addresses back.
    pub fn unplug(&mut self, id: RequesterId) {
        if let Some(placed) = self.topology.forget(id) {
            self.resources.release(placed.parent, &placed.function.bars);
        }
    }

    /// The MSI capability of a function.
    pub fn msi(&mut self, id: RequesterId) -> Result<Msi, PciError> {
        self.function(id)?;
        Msi::find(&mut self.config, id)
    }

    /// The MSI-X capability of a function.
    pub fn msix(&mut self, id: RequesterId) -> Result<Msix, PciError> {
        let bars = self.function(id)?.bars.clone();
        Msix::find(&mut self.config, id, &bars)
    }
}

#[cfg(test)]
#[path = "bus_tests.rs"]
mod tests;
