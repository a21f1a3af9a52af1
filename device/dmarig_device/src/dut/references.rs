//! Which registers make the engine access memory now, read by the same face that a driver reads.

use dma_engine::Engine;
use dmarig_abi::Iova;
use dmarig_abi::completion::COMPLETION_SIZE_BYTES;
use dmarig_abi::descriptor::DESCRIPTOR_SIZE_BYTES;
use dmarig_abi::registers::{
    CH_COMPLETION_BASE, CH_DESTINATION, CH_LENGTH, CH_RING_BASE, CH_RING_CONTROL, CH_RING_ENTRIES,
    CH_SOURCE, CH_STATUS, CH_STATUS_BUSY, CHANNEL_BASE, CHANNEL_STRIDE, RING_ENABLE,
};

use crate::ledger::{IovaRange, LiveReference};

/// Every live reference of channels `0..channels`: rings that are enabled, and both addresses of a
/// register-mode request under way (which of the two its operation uses is not asked).
pub(super) fn live(engine: &Engine, channels: u8) -> Vec<LiveReference> {
    let mut references = Vec::new();
    for channel in 0..u32::from(channels) {
        let registers = Registers { engine, channel };
        if registers.read_u32(CH_RING_CONTROL) & RING_ENABLE != 0 {
            registers.push_rings(&mut references);
        }
        if registers.read_u32(CH_STATUS) & CH_STATUS_BUSY != 0 {
            registers.push_request(&mut references);
        }
    }
    references
}

struct Registers<'a> {
    engine: &'a Engine,
    channel: u32,
}

impl Registers<'_> {
    fn push_rings(&self, references: &mut Vec<LiveReference>) {
        let entries = u64::from(self.read_u32(CH_RING_ENTRIES));
        let rings = [
            ("CH_RING_BASE", CH_RING_BASE, DESCRIPTOR_SIZE_BYTES),
            (
                "CH_COMPLETION_BASE",
                CH_COMPLETION_BASE,
                COMPLETION_SIZE_BYTES,
            ),
        ];
        for (name, offset, entry_size) in rings {
            let entry_size = u64::try_from(entry_size).unwrap_or(u64::MAX);
            let len_bytes = entries.saturating_mul(entry_size);
            references.push(self.reference(name, self.read_u64(offset), len_bytes));
        }
    }

    fn push_request(&self, references: &mut Vec<LiveReference>) {
        let len_bytes = self.read_u64(CH_LENGTH);
        for (name, offset) in [("CH_SOURCE", CH_SOURCE), ("CH_DESTINATION", CH_DESTINATION)] {
            references.push(self.reference(name, self.read_u64(offset), len_bytes));
        }
    }

    fn reference(&self, register: &'static str, address: u64, len_bytes: u64) -> LiveReference {
        LiveReference {
            channel: self.channel,
            register,
            range: IovaRange::new(Iova::new(address), len_bytes),
        }
    }

    fn read_u32(&self, offset: u64) -> u32 {
        let mut bytes = [0; 4];
        self.read(offset, &mut bytes);
        u32::from_le_bytes(bytes)
    }

    fn read_u64(&self, offset: u64) -> u64 {
        let mut bytes = [0; 8];
        self.read(offset, &mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn read(&self, offset: u64, bytes: &mut [u8]) {
        let block = CHANNEL_BASE + u64::from(self.channel) * CHANNEL_STRIDE;
        self.engine.read(block + offset, bytes, 0);
    }
}
