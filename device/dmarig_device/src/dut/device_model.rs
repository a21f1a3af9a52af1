//! The device under test as QEMU meets it: a [`DeviceModel`] of the vfio-user server.

use control_api::ledger::AccessDirection;
use dmarig_abi::Iova;
use endpoint::Direction;
use pci_function::ResetKind;
use recording::log::{Event, ResetInput};
use recording::trace::TraceRecord;
use vfio_user::{
    DeviceModel, DmaError, DmaMap, DmaTicket, DmaUnmap, Errno, IrqIndex, IrqInfo, IrqSet,
    RegionIndex, RegionInfo,
};

use super::tape::IrqNote;
use super::{Dut, on_tape};

impl DeviceModel for Dut {
    fn region_info(&self, region: RegionIndex) -> RegionInfo<'_> {
        self.front.region_info(region)
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
        self.memory
            .tape_mut()
            .note(|| on_tape::region_read(region, offset, data.len()));
        let outcome = if let Some(bar) = self.front.endpoint_bar(region, offset) {
            match self.unit_register(bar, offset) {
                Some(at) => self.read_unit_registers(at, data),
                None => self.endpoint.read(bar, offset, data, self.moment()),
            }
            self.cover(region, offset, Direction::Read, data);
            Ok(())
        } else {
            self.front.read_region(region, offset, data)
        };
        if region.bar().is_some_and(|bar| self.front.has_memory(bar)) {
            // The guest writes such a BAR without telling, so what lies there comes from outside.
            self.memory.tape_mut().exchange(Iova::new(offset), data);
        }
        self.strike_read(region, offset, data);
        self.note_access(region, offset, AccessDirection::Read, data);
        self.follow_pin();
        outcome
    }

    fn write_region(&mut self, region: RegionIndex, offset: u64, data: &[u8]) -> Result<(), Errno> {
        self.memory
            .tape_mut()
            .note_region_write(region, offset, data);
        self.note_access(region, offset, AccessDirection::Write, data);
        self.cover(region, offset, Direction::Write, data);
        match self.strike_write(region, offset, data) {
            Some(data) => self.make_write(region, offset, &data),
            None => Ok(()),
        }
    }

    fn dma_map(&mut self, map: DmaMap) -> Result<(), Errno> {
        self.memory.map(map)
    }

    fn dma_unmap(&mut self, unmap: DmaUnmap) -> Result<(), Errno> {
        let ranges = self.memory.unmap(unmap)?;
        if ranges.is_empty() {
            return Ok(());
        }
        let live = self.live_references();
        let who = self.requester();
        for range in ranges {
            self.ledger.unmapped(who, range, &live);
        }
        Ok(())
    }

    fn set_irqs(&mut self, set: IrqSet) -> Result<(), Errno> {
        // One that is refused has changed nothing.
        let note = IrqNote::new(&self.memory.tape(), &set);
        self.front.set_irqs(set)?;
        self.memory.tape_mut().note_irqs(note);
        Ok(())
    }

    fn reset(&mut self) -> Result<(), Errno> {
        let event = || Event::Reset(ResetInput::Platform);
        self.memory.tape_mut().note(event);
        self.reset_function(ResetKind::Conventional);
        Ok(())
    }

    fn holds_answers(&self) -> bool {
        self.holds_answers_back()
    }

    fn dma_reply(&mut self, ticket: DmaTicket, outcome: Result<&[u8], DmaError>) {
        if let Some((ticket, answer)) = self.messages.take_reply(ticket, outcome) {
            self.message_answered(ticket, answer);
        }
    }

    fn disconnected(&mut self) {
        self.memory.tape_mut().note(|| Event::Disconnected);
        self.ledger.note(|| TraceRecord::Disconnected);
        self.report_live_references("saw the connection end");
        self.endpoint.disconnected();
        self.endpoint.reset(self.moment());
        self.faults.stop(true);
        self.take_events();
        self.memory.clear();
        // It belonged to that machine.
        self.renew_built_in_unit();
        self.front.disconnect();
        self.follow_config();
    }
}
