//! [`ControlFunction`]: the PCI function that carries the mailbox.
//!
//! It has no DMA of its own and is never touched by faults, so the conversation with the guest's
//! driver survives whatever happens to the device under test. BAR 0 is the mailbox, mapped by QEMU
//! from our memfd; BAR 2 holds the trapped doorbell.

use std::os::fd::AsFd;

use dmarig_abi::registers::{
    CONTROL_ID_VALUE, CONTROL_MAILBOX_BAR, CONTROL_REG_DOORBELL, CONTROL_REG_ID,
    CONTROL_REGISTER_BAR,
};
use pci_function::ResetKind;
use vfio_user::{
    DeviceModel, DmaError, DmaMap, DmaTicket, DmaUnmap, Errno, InterruptCounters, IrqIndex,
    IrqInfo, IrqSet, MappableRegion, RegionIndex, RegionInfo,
};

use crate::mailbox::{CallError, Mailbox, MailboxError};
use crate::pci_front::PciFront;

/// MSI-X vector that says "a request lies in the mailbox".
const REQUEST_VECTOR: u16 = 0;

/// The control function.
#[derive(Debug)]
pub struct ControlFunction {
    front: PciFront,
    mailbox: Mailbox,
    is_doorbell_rung: bool,
}

impl ControlFunction {
    /// A function after power-on with an empty mailbox.
    ///
    /// # Errors
    /// If there is no memory for the mailbox.
    pub fn new() -> Result<Self, MailboxError> {
        Ok(Self {
            front: PciFront::control(),
            mailbox: Mailbox::new()?,
            is_doorbell_rung: false,
        })
    }

    /// Gives the guest a program and raises the vector; a guest that polls needs none.
    ///
    /// # Errors
    /// [`CallError`]; nothing has changed then.
    pub fn begin_call(&mut self, program: &[u8]) -> Result<(), CallError> {
        self.mailbox.begin_call(program)?;
        self.front.raise(REQUEST_VECTOR);
        Ok(())
    }

    /// Whether the guest has rung, or something else has changed the mailbox, since the last call.
    pub fn take_doorbell(&mut self) -> bool {
        std::mem::take(&mut self.is_doorbell_rung)
    }

    /// The mailbox.
    #[must_use]
    pub const fn mailbox(&self) -> &Mailbox {
        &self.mailbox
    }

    /// The mailbox, to change it.
    pub const fn mailbox_mut(&mut self) -> &mut Mailbox {
        &mut self.mailbox
    }

    /// Configuration space and interrupts.
    #[must_use]
    pub const fn front(&self) -> &PciFront {
        &self.front
    }

    /// Resets the function, and the mailbox with it.
    pub fn reset_function(&mut self, kind: ResetKind) {
        self.front.reset(kind);
        self.mailbox.reset();
        // A call that this cut short is to be answered.
        self.is_doorbell_rung = true;
    }

    /// Totals of interrupts.
    #[must_use]
    pub fn interrupt_counters(&self) -> InterruptCounters {
        self.front.interrupt_counters()
    }

    fn read_register(&self, offset: u64, data: &mut [u8]) {
        data.fill(0);
        let id = CONTROL_ID_VALUE.to_le_bytes();
        let skip = offset.saturating_sub(CONTROL_REG_ID);
        let bytes = id.iter().skip(usize::try_from(skip).unwrap_or(usize::MAX));
        data.iter_mut()
            .zip(bytes)
            .for_each(|(to, from)| *to = *from);
    }

    fn read_mailbox(&self, offset: u64, data: &mut [u8]) -> Result<(), Errno> {
        let range = self.mailbox.memory().range(offset, data.len());
        range.map_err(|_| Errno::EINVAL)?.read_into(data);
        Ok(())
    }

    fn write_mailbox(&mut self, offset: u64, data: &[u8]) -> Result<(), Errno> {
        let range = self.mailbox.memory().range(offset, data.len());
        range.map_err(|_| Errno::EINVAL)?.write_from(data);
        Ok(())
    }
}

impl DeviceModel for ControlFunction {
    fn region_info(&self, region: RegionIndex) -> RegionInfo<'_> {
        let info = self.front.region_info(region);
        if region.get() != CONTROL_MAILBOX_BAR {
            return info;
        }
        RegionInfo {
            mappable: Some(MappableRegion {
                fd: self.mailbox.memory().as_fd(),
                file_offset: 0,
                areas: &[],
            }),
            ..info
        }
    }

    fn irq_info(&self, index: IrqIndex) -> IrqInfo {
        self.front.irq_info(index)
    }

    fn read_region(
        &mut self,
        region: RegionIndex,
        offset: u64,
        data: &mut [u8],
    ) -> Result<(), Errno> {
        match region.get() {
            CONTROL_MAILBOX_BAR => self.read_mailbox(offset, data),
            CONTROL_REGISTER_BAR => {
                self.read_register(offset, data);
                Ok(())
            }
            _ => self.front.read_region(region, offset, data),
        }
    }

    fn write_region(&mut self, region: RegionIndex, offset: u64, data: &[u8]) -> Result<(), Errno> {
        match region.get() {
            CONTROL_MAILBOX_BAR => self.write_mailbox(offset, data),
            CONTROL_REGISTER_BAR => {
                // Any write that touches the doorbell rings it, whatever its size and value.
                let end = offset.saturating_add(data.len() as u64);
                self.is_doorbell_rung |=
                    offset < CONTROL_REG_DOORBELL + 4 && end > CONTROL_REG_DOORBELL;
                Ok(())
            }
            _ => {
                if let Some(kind) = self.front.write_region(region, offset, data)? {
                    self.reset_function(kind);
                }
                Ok(())
            }
        }
    }

    /// QEMU announces all memory to each function; this one uses none.
    fn dma_map(&mut self, _: DmaMap) -> Result<(), Errno> {
        Ok(())
    }

    fn dma_unmap(&mut self, _: DmaUnmap) -> Result<(), Errno> {
        Ok(())
    }

    fn set_irqs(&mut self, set: IrqSet) -> Result<(), Errno> {
        self.front.set_irqs(set)
    }

    fn reset(&mut self) -> Result<(), Errno> {
        self.reset_function(ResetKind::Conventional);
        Ok(())
    }

    fn dma_reply(&mut self, _: DmaTicket, _: Result<&[u8], DmaError>) {}

    fn disconnected(&mut self) {
        self.reset_function(ResetKind::Conventional);
        self.front.disconnect();
    }
}
