//! A bus that translates for nothing: what remains is the engine's own cost.

use dma_engine::{BusFault, BusFaultKind, Direction, DmaBus, SubmitError, Ticket};
use dmarig_abi::Iova;

/// Memory from IOVA 0 on, all of it permitted.
#[derive(Debug)]
pub struct FlatBus {
    /// The bytes.
    pub memory: Vec<u8>,
}

impl FlatBus {
    /// Memory of ones.
    pub fn new(size_bytes: usize) -> Self {
        Self {
            memory: vec![1; size_bytes],
        }
    }

    fn range(&self, iova: Iova, len: usize) -> Result<std::ops::Range<usize>, BusFault> {
        let fault = BusFault {
            iova,
            kind: BusFaultKind::Unmapped,
        };
        let start = usize::try_from(iova.raw()).map_err(|_| fault)?;
        let end = start
            .checked_add(len)
            .filter(|end| *end <= self.memory.len());
        end.map(|end| start..end).ok_or(fault)
    }
}

impl DmaBus for FlatBus {
    fn mapping_epoch(&self) -> u64 {
        1
    }

    fn probe(&self, _: Iova, len_bytes: u64, _: Direction) -> Result<u64, BusFault> {
        Ok(len_bytes)
    }

    fn read(&mut self, iova: Iova, buffer: &mut [u8]) -> Result<(), BusFault> {
        let range = self.range(iova, buffer.len())?;
        buffer.copy_from_slice(&self.memory[range]);
        Ok(())
    }

    fn write(&mut self, iova: Iova, data: &[u8]) -> Result<(), BusFault> {
        let range = self.range(iova, data.len())?;
        self.memory[range].copy_from_slice(data);
        Ok(())
    }

    fn submit_read(&mut self, _: Iova, _: usize) -> Result<Ticket, SubmitError> {
        Err(SubmitError::Unavailable)
    }

    fn submit_write(&mut self, _: Iova, _: &[u8]) -> Result<Ticket, SubmitError> {
        Err(SubmitError::Unavailable)
    }
}
