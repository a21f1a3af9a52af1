//! What a client can say about interrupts: kinds, actions, and [`IrqSet`].

use std::os::fd::OwnedFd;

/// Number of interrupt kinds of a PCI device.
pub const N_IRQ_INDICES: u32 = 5;
/// Most vectors of one kind: the size of the largest MSI-X table.
pub const MAX_VECTORS: u32 = 2048;

/// Kind of interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IrqIndex(u32);

impl IrqIndex {
    /// The interrupt pin.
    pub const INTX: Self = Self(0);
    /// Message-signalled interrupts.
    pub const MSI: Self = Self(1);
    /// MSI-X vectors.
    pub const MSIX: Self = Self(2);
    /// Unrecoverable device error; QEMU stops the machine on it.
    pub const ERR: Self = Self(3);
    /// Request to release the device; QEMU never binds it.
    pub const REQ: Self = Self(4);

    /// Takes an index from the wire; `None` if there is no such kind.
    pub const fn try_new(raw: u32) -> Option<Self> {
        if raw < N_IRQ_INDICES {
            Some(Self(raw))
        } else {
            None
        }
    }

    /// Returns the index.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The index, to find the kind in a table by.
    pub(crate) fn slot(self) -> usize {
        usize::try_from(self.0).expect("an interrupt index is below 5")
    }
}

/// An interrupt kind as told to the client. The default is a kind that is not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IrqInfo {
    /// Number of vectors.
    pub count: u32,
    /// The client may mask vectors.
    pub maskable: bool,
    /// A vector masks itself when it fires.
    pub automasked: bool,
}

/// What to do with a range of vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IrqAction {
    /// Hold interrupts back.
    Mask,
    /// Let interrupts through, with those held back.
    Unmask,
    /// Bind or unbind eventfds, or fire.
    Trigger,
}

/// Which vectors of the range are meant, and what comes with them.
#[derive(Debug)]
pub enum IrqData {
    /// Every vector of the range.
    None,
    /// Those whose flag is set; one flag for each vector.
    Flags(Vec<bool>),
    /// One eventfd for each vector, or none at all to unbind the range.
    EventFds(Vec<OwnedFd>),
}

/// A client's setting of interrupts. `start + count` is within the kind's vectors.
#[derive(Debug)]
pub struct IrqSet {
    /// Kind of interrupt.
    pub index: IrqIndex,
    /// First vector.
    pub start: u32,
    /// Number of vectors; 0 with [`IrqAction::Trigger`] and [`IrqData::None`] turns the kind off.
    pub count: u32,
    /// What to do.
    pub action: IrqAction,
    /// For which vectors, with what.
    pub data: IrqData,
}
