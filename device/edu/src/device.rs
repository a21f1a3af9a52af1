//! [`Edu`]: the registers, and which of them does what.

use board::{Board, BoardIo, DmaDone, MsixVector, RegisterInfo, Tick};

use crate::dma::Controller;
use crate::factorial::factorial;
use crate::registers::{
    self, CAUSE_DMA, CAUSE_FACTORIAL, DMA_SOURCE, FACTORIAL, IDENTIFICATION, IDENTIFICATION_VALUE,
    INTERRUPT_ACKNOWLEDGE, INTERRUPT_RAISE, INTERRUPT_STATUS, LIVENESS, STATUS, STATUS_COMPUTING,
    STATUS_INTERRUPT,
};

/// The BAR with the registers.
const REGISTER_BAR: u8 = 0;
/// The one message.
const VECTOR: MsixVector = MsixVector::new(0);

/// QEMU's `edu` device.
#[derive(Debug)]
pub struct Edu {
    liveness: u32,
    factorial: u32,
    status: u32,
    interrupt_status: u32,
    /// When the factorial under way is done.
    factorial_done: Option<Tick>,
    dma: Controller,
}

impl Edu {
    /// A device after power-on.
    #[must_use]
    pub fn new() -> Self {
        Self {
            liveness: 0,
            factorial: 0,
            status: 0,
            interrupt_status: 0,
            factorial_done: None,
            dma: Controller::new(),
        }
    }

    /// A register as its low 32 bits, and for DMA all 64.
    fn register(&self, offset: u64) -> Option<u64> {
        let value = match offset {
            IDENTIFICATION => IDENTIFICATION_VALUE,
            LIVENESS => self.liveness,
            FACTORIAL => self.factorial,
            STATUS => self.status,
            INTERRUPT_STATUS => self.interrupt_status,
            _ => return self.dma.register(offset),
        };
        Some(value.into())
    }

    fn write_register(&mut self, offset: u64, value: u32, io: &mut BoardIo<'_>) {
        match offset {
            LIVENESS => self.liveness = !value,
            FACTORIAL if self.status & STATUS_COMPUTING == 0 => {
                self.factorial = value;
                self.status |= STATUS_COMPUTING;
                self.factorial_done = Some(io.now());
            }
            STATUS => {
                let kept = self.status & !STATUS_INTERRUPT;
                self.status = kept | value & STATUS_INTERRUPT;
            }
            INTERRUPT_RAISE => self.raise(value, io),
            INTERRUPT_ACKNOWLEDGE => self.interrupt_status &= !value,
            _ => {}
        }
    }

    fn raise(&mut self, causes: u32, io: &mut BoardIo<'_>) {
        self.interrupt_status |= causes;
        if self.interrupt_status != 0 {
            io.raise(VECTOR);
        }
    }

    fn end_dma(&mut self, io: &mut BoardIo<'_>) {
        if self.dma.end() {
            self.raise(CAUSE_DMA, io);
        }
    }
}

impl Default for Edu {
    fn default() -> Self {
        Self::new()
    }
}

impl Board for Edu {
    fn register_map(&self) -> Vec<RegisterInfo> {
        registers::register_map()
    }

    fn read(&mut self, bar: u8, offset: u64, data: &mut [u8], _io: &mut BoardIo<'_>) {
        // Other sizes read zero; so they do on the device that this is made after.
        if bar != REGISTER_BAR || !is_allowed(data.len()) {
            return;
        }
        let is_wide_allowed = data.len() == 4 || offset >= DMA_SOURCE;
        let register = self.register(offset).filter(|_| is_wide_allowed);
        let bytes = register.unwrap_or(u64::MAX).to_le_bytes();
        data.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
    }

    fn write(&mut self, bar: u8, offset: u64, data: &[u8], io: &mut BoardIo<'_>) {
        if bar != REGISTER_BAR || !is_allowed(data.len()) {
            return;
        }
        let mut bytes = [0; 8];
        bytes[..data.len()].copy_from_slice(data);
        let value = u64::from_le_bytes(bytes);
        match u32::try_from(value) {
            _ if offset >= DMA_SOURCE => self.dma.write(offset, value, io.now()),
            Ok(value) if data.len() == 4 => self.write_register(offset, value, io),
            _ => {}
        }
    }

    fn dma_done(&mut self, done: DmaDone, io: &mut BoardIo<'_>) {
        self.dma.take(&done);
        self.end_dma(io);
    }

    fn next_tick(&self) -> Option<Tick> {
        let ticks = [self.factorial_done, self.dma.next_tick()];
        ticks.into_iter().flatten().min()
    }

    fn on_tick(&mut self, io: &mut BoardIo<'_>) {
        if self
            .factorial_done
            .take_if(|done| *done <= io.now())
            .is_some()
        {
            self.factorial = factorial(self.factorial);
            self.status &= !STATUS_COMPUTING;
            if self.status & STATUS_INTERRUPT != 0 {
                self.raise(CAUSE_FACTORIAL, io);
            }
        }
        if self.dma.begin(io) {
            self.end_dma(io);
        }
    }

    fn reset(&mut self) {
        *self = Self::new();
    }

    fn is_intx_asserted(&self) -> bool {
        self.interrupt_status != 0
    }
}

/// Accesses of 4 and 8 bytes are served.
const fn is_allowed(len: usize) -> bool {
    matches!(len, 4 | 8)
}
