//! [`DescribedBoard`]: the registers of a device file as a board.

use std::collections::BTreeMap;
use std::time::Duration;

use board::{
    Board, BoardIo, ChannelId, DmaDone, DmaJob, FieldInfo, LiveReference, Origin, RegisterInfo,
    Tick,
};
use device_file::{Counts, DeviceDescription, Field, RegisterAccess, TransferDirection};
use dmarig_abi::Iova;
use dmarig_abi::completion::DMA_STATUS_SUCCESS;
use dmarig_abi::descriptor::{DMA_OP_CRC, DMA_OP_WRITE_PATTERN};
use endpoint::Request;

use crate::effects;
use crate::layout::{Layout, Names, RegisterIndex, ResolvedDma};
use crate::ring::{RingContext, RingWorker};
use crate::timers::{Due, Latched, Timers};
use crate::values::{Covered, Values};

/// A device as its file describes it.
#[derive(Debug)]
pub struct DescribedBoard {
    layout: Layout,
    values: Values,
    rings: Vec<RingWorker>,
    timers: Timers,
    /// The action of each job under way.
    jobs: BTreeMap<u64, usize>,
    /// Transfers of actions begun since the last reset: the seed of the pattern.
    transfers: u64,
    channels: u8,
    address_width_bits: u8,
}

impl DescribedBoard {
    /// A device after power-on.
    ///
    /// # Panics
    /// If the description does not come from [`device_file::read`] or [`device_file::parse`].
    #[must_use]
    pub fn new(description: &DeviceDescription) -> Self {
        let layout = Layout::new(description);
        let names = Names::new(&description.registers);
        let rings = description.rings.iter();
        let rings: Vec<_> = rings.map(|ring| RingWorker::new(ring, &names)).collect();
        let dma = layout.actions.iter().filter_map(|action| action.dma);
        let channels = dma
            .map(|dma| dma.channel)
            .chain(rings.iter().map(RingWorker::channel));
        Self {
            channels: channels
                .map(|channel| channel.number() + 1)
                .max()
                .unwrap_or(1),
            values: Values::new(&layout),
            layout,
            rings,
            timers: Timers::default(),
            jobs: BTreeMap::new(),
            transfers: 0,
            address_width_bits: description.dma.address_width,
        }
    }

    fn write_register(
        &mut self,
        index: RegisterIndex,
        covered: Covered,
        data: &[u8],
        io: &mut BoardIo<'_>,
    ) {
        let register = self.layout.register(index);
        let before = self.values.get(index);
        let value = covered.value(data);
        self.values.write(register, index, value, covered.bits());
        if register.access == RegisterAccess::SelfClearing && value != 0 {
            let at = io
                .now()
                .after(Duration::from_micros(register.clear_after_us.into()));
            self.timers.add(
                at,
                Due::Clear {
                    register: index,
                    bits: value,
                },
            );
        }
        effects::enabled(&self.layout, index, before, &self.values, io);
        let mut context = RingContext {
            layout: &self.layout,
            values: &mut self.values,
            io,
        };
        for ring in &mut self.rings {
            ring.written(index, before, &mut context);
        }
        // Half of a register sets nothing off but with its first byte.
        if covered.start == 0 {
            self.set_off(index, value, io);
        }
    }

    /// Sets off the actions of a write.
    fn set_off(&mut self, register: RegisterIndex, value: u64, io: &mut BoardIo<'_>) {
        for position in 0..self.layout.actions_of(register).len() {
            let index = self.layout.actions_of(register)[position];
            let action = &self.layout.actions[index];
            if action
                .when
                .is_some_and(|when| value & when.mask != when.value)
            {
                continue;
            }
            let latched = action.dma.map_or(Latched::default(), |dma| self.latch(dma));
            effects::apply(&action.start, &mut self.values, io);
            if action.after_us == 0 {
                self.go_on(index, latched, io);
            } else {
                let at = io
                    .now()
                    .after(Duration::from_micros(action.after_us.into()));
                self.timers.add(
                    at,
                    Due::Action {
                        action: index,
                        latched,
                    },
                );
            }
        }
    }

    /// Address and length as they are at the write that sets the action off.
    fn latch(&self, dma: ResolvedDma) -> Latched {
        let length = self.values.get(dma.length);
        Latched {
            address: self.values.wide(dma.address),
            length_bytes: length.saturating_mul(dma.length_unit),
        }
    }

    /// What follows the delay of an action.
    fn go_on(&mut self, index: usize, latched: Latched, io: &mut BoardIo<'_>) {
        let action = &self.layout.actions[index];
        let Some(dma) = action.dma else {
            effects::apply(&action.done, &mut self.values, io);
            return;
        };
        let request = match dma.direction {
            TransferDirection::ToDevice => Request {
                opcode: DMA_OP_CRC,
                source: Iova::new(latched.address),
                length_bytes: latched.length_bytes,
                ..Request::default()
            },
            TransferDirection::FromDevice => Request {
                opcode: DMA_OP_WRITE_PATTERN,
                destination: Iova::new(latched.address),
                length_bytes: latched.length_bytes,
                seed: self.transfers,
                ..Request::default()
            },
        };
        self.transfers = self.transfers.wrapping_add(1);
        match io.dma(dma.channel, Origin::Register, DmaJob::Request(request)) {
            Ok(job) => {
                self.jobs.insert(job, index);
            }
            Err(_) => effects::apply(&action.failed, &mut self.values, io),
        }
    }

    fn action_done(&mut self, index: usize, done: &DmaDone, io: &mut BoardIo<'_>) {
        let action = &self.layout.actions[index];
        let record = &done.record;
        self.values.count(&self.layout, Counts::Transfers, 1);
        self.values
            .count(&self.layout, Counts::Bytes, record.done_bytes);
        if let Some(dma) = action.dma {
            let shown = [
                (dma.crc, record.crc32c.into()),
                (dma.moved, record.done_bytes),
            ];
            for (register, value) in shown {
                if let Some(register) = register {
                    self.values.show(&self.layout, register, value);
                }
            }
        }
        let effects = if record.status == DMA_STATUS_SUCCESS {
            &action.done
        } else {
            &action.failed
        };
        effects::apply(effects, &mut self.values, io);
    }
}

impl Board for DescribedBoard {
    fn channel_count(&self) -> u8 {
        self.channels
    }

    fn address_width_bits(&self) -> u8 {
        self.address_width_bits
    }

    fn register_map(&self) -> Vec<RegisterInfo> {
        let registers = self.layout.registers.iter();
        let info = registers.map(|register| RegisterInfo {
            name: register.name.clone().into(),
            bar: register.bar,
            offset: register.offset,
            width_bytes: register.width / 8,
            is_readable: register.access.is_readable(),
            is_writable: register.access.is_writable(),
            is_partial: register.partial,
            fields: register.fields.iter().map(field_info).collect(),
        });
        info.collect()
    }

    fn read(&mut self, bar: u8, offset: u64, data: &mut [u8], io: &mut BoardIo<'_>) {
        let found: Vec<_> = self.layout.within(bar, offset, data.len()).collect();
        for index in found {
            let covered = Covered::new(self.layout.register(index), offset, data.len());
            let value = self.values.read(&self.layout, index, io.now().as_micros());
            covered.lay(value, data);
        }
    }

    fn write(&mut self, bar: u8, offset: u64, data: &[u8], io: &mut BoardIo<'_>) {
        let found: Vec<_> = self.layout.within(bar, offset, data.len()).collect();
        for index in found {
            let register = self.layout.register(index);
            let covered = Covered::new(register, offset, data.len());
            if covered.is_in_order(register, data.len()) {
                self.write_register(index, covered, data, io);
            }
        }
    }

    fn doorbell(&self, bar: u8, offset: u64, len_bytes: usize) -> Option<ChannelId> {
        let mut touched = self.layout.within(bar, offset, len_bytes);
        touched.find_map(|register| {
            let actions = self.layout.actions_of(register).iter();
            let mut dma = actions.filter_map(|action| self.layout.actions[*action].dma);
            let ring = self.rings.iter().find(|ring| ring.has_doorbell(register));
            dma.next()
                .map(|dma| dma.channel)
                .or(ring.map(RingWorker::channel))
        })
    }

    fn dma_done(&mut self, done: DmaDone, io: &mut BoardIo<'_>) {
        if let Some(action) = self.jobs.remove(&done.id) {
            self.action_done(action, &done, io);
            return;
        }
        let mut context = RingContext {
            layout: &self.layout,
            values: &mut self.values,
            io,
        };
        let channel = done.record.channel;
        if let Some(ring) = self.rings.iter_mut().find(|ring| ring.channel() == channel) {
            ring.job_done(&done, &mut context);
        }
    }

    fn next_tick(&self) -> Option<Tick> {
        self.timers.next()
    }

    fn on_tick(&mut self, io: &mut BoardIo<'_>) {
        while let Some(due) = self.timers.take(io.now()) {
            match due {
                Due::Action { action, latched } => self.go_on(action, latched, io),
                Due::Clear { register, bits } => self.values.clear_bits(register, bits),
            }
        }
    }

    fn reset(&mut self) {
        self.values = Values::new(&self.layout);
        self.rings.iter_mut().for_each(RingWorker::reset);
        self.timers = Timers::default();
        self.jobs.clear();
        self.transfers = 0;
    }

    fn is_intx_asserted(&self) -> bool {
        effects::is_asserted(&self.layout, &self.values)
    }

    fn live_references(&self) -> Vec<LiveReference> {
        let rings = self.rings.iter();
        rings
            .filter_map(|ring| ring.live_reference(&self.layout, &self.values))
            .collect()
    }
}

fn field_info(field: &Field) -> FieldInfo {
    FieldInfo {
        name: field.name.clone().into(),
        mask: field.mask,
    }
}
