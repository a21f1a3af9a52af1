//! [`RingWorker`]: a ring of the device file, worked off descriptor by descriptor.
//!
//! Fetch, transfer, write-back; then the head, the effects and the next one. Each step begins when the
//! one before has ended with all its writes answered. A doorbell makes at most as many descriptors be
//! worked off as the ring has.

mod descriptor;

use board::{BoardIo, ChannelId, DmaDone, DmaJob, LiveReference, Origin};
use device_file::{Counts, Ring, SizeUnit, TransferDirection};
use dmarig_abi::Iova;
use dmarig_abi::completion::DMA_STATUS_SUCCESS;
use dmarig_abi::descriptor::{DMA_OP_CRC, DMA_OP_WRITE_PATTERN};
use endpoint::Request;

use crate::effects;
use crate::layout::{Layout, Names, RegisterIndex, ResolvedEffects, Wide};
use crate::values::Values;
use descriptor::Descriptor;

/// Most descriptors of a ring.
const MAX_ENTRIES: u64 = 1 << 16;

/// What a ring is doing.
#[derive(Debug)]
enum Phase {
    Idle,
    Fetching,
    Moving(Descriptor),
    WritingBack {
        has_failed: bool,
        wants_interrupt: bool,
    },
}

/// The descriptors that there are, latched when work begins.
#[derive(Clone, Copy, Debug, Default)]
struct Latched {
    base: u64,
    entries: u64,
}

/// A ring and how far it has come.
#[derive(Debug)]
pub(crate) struct RingWorker {
    description: Ring,
    channel: ChannelId,
    base: Wide,
    size: RegisterIndex,
    head_register: Option<RegisterIndex>,
    tail: Option<RegisterIndex>,
    doorbell: Option<RegisterIndex>,
    enable: Option<(RegisterIndex, u64)>,
    done: ResolvedEffects,
    failed: ResolvedEffects,
    phase: Phase,
    latched: Latched,
    head: u64,
    /// Descriptors that the last doorbell allows.
    left: u64,
    /// Transfers begun since the last reset: the seed of the pattern.
    transfers: u64,
}

/// What a ring works with.
pub(crate) struct RingContext<'a, 'io> {
    pub layout: &'a Layout,
    pub values: &'a mut Values,
    pub io: &'a mut BoardIo<'io>,
}

impl RingWorker {
    pub(crate) fn new(ring: &Ring, names: &Names<'_>) -> Self {
        let done = names.effects(&ring.done);
        Self {
            channel: ChannelId::new(ring.channel),
            base: names.wide(&ring.base, ring.base_high.as_ref()),
            size: names.index(&ring.size),
            head_register: names.optional(ring.head.as_ref()),
            tail: names.optional(ring.tail.as_ref()),
            doorbell: names.optional(ring.doorbell.as_ref()),
            enable: ring.enable.as_ref().map(|bits| names.bits(bits)),
            failed: ring
                .failed
                .as_ref()
                .map_or_else(|| done.clone(), |failed| names.effects(failed)),
            done,
            description: ring.clone(),
            phase: Phase::Idle,
            latched: Latched::default(),
            head: 0,
            left: 0,
            transfers: 0,
        }
    }

    /// The channel that works the ring off.
    pub(crate) fn channel(&self) -> ChannelId {
        self.channel
    }

    /// Whether a write to the register makes the ring work.
    pub(crate) fn has_doorbell(&self, register: RegisterIndex) -> bool {
        [self.tail, self.doorbell].contains(&Some(register))
    }

    /// Brings the ring to its state after power-on; its jobs are ended by the board.
    pub(crate) fn reset(&mut self) {
        self.phase = Phase::Idle;
        self.latched = Latched::default();
        (self.head, self.left, self.transfers) = (0, 0, 0);
    }

    /// Takes a write to a register whose value was `before`.
    pub(crate) fn written(
        &mut self,
        register: RegisterIndex,
        before: u64,
        context: &mut RingContext<'_, '_>,
    ) {
        let is_base = register == self.base.low || self.base.high == Some(register);
        let is_enabled = self.enable.is_some_and(|(enable, bits)| {
            enable == register && before & bits != bits && context.values.get(enable) & bits == bits
        });
        if (is_base && before != context.values.get(register)) || is_enabled {
            self.head = 0;
            self.show_head(context);
        }
        if self.has_doorbell(register) || is_enabled {
            self.ring_doorbell(context);
        }
    }

    /// Takes a job of the ring's channel that has ended.
    pub(crate) fn job_done(&mut self, job: &DmaDone, context: &mut RingContext<'_, '_>) {
        let is_success = job.record.status == DMA_STATUS_SUCCESS;
        match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Idle => {}
            Phase::Fetching if is_success => self.take_descriptor(&job.bytes, context),
            Phase::Fetching => self.stop(context),
            Phase::Moving(descriptor) => {
                context.values.count(context.layout, Counts::Transfers, 1);
                context
                    .values
                    .count(context.layout, Counts::Bytes, job.record.done_bytes);
                self.write_back(descriptor, !is_success, context);
            }
            Phase::WritingBack { .. } if !is_success => self.stop(context),
            Phase::WritingBack {
                has_failed,
                wants_interrupt,
            } => {
                self.advance(has_failed, wants_interrupt, context);
            }
        }
    }

    /// The descriptors, while the device may still go there by itself.
    pub(crate) fn live_reference(&self, layout: &Layout, values: &Values) -> Option<LiveReference> {
        let is_live = match self.enable {
            Some((register, bits)) => values.get(register) & bits == bits,
            None => !matches!(self.phase, Phase::Idle),
        };
        let (base, entries) = match self.phase {
            Phase::Idle => (values.wide(self.base), self.entries(values)),
            _ => (self.latched.base, self.latched.entries),
        };
        is_live.then(|| LiveReference {
            channel: self.channel,
            register: layout.register(self.base.low).name.clone().into(),
            start: Iova::new(base),
            len_bytes: entries.min(MAX_ENTRIES) * u64::from(self.description.descriptor.size),
        })
    }

    fn ring_doorbell(&mut self, context: &mut RingContext<'_, '_>) {
        let is_disabled = self
            .enable
            .is_some_and(|(register, bits)| context.values.get(register) & bits != bits);
        if is_disabled {
            return;
        }
        if !matches!(self.phase, Phase::Idle) {
            self.left = self.latched.entries;
            return;
        }
        self.latched = Latched {
            base: context.values.wide(self.base),
            entries: self.entries(context.values),
        };
        let tail = self.tail.map_or(0, |tail| context.values.get(tail));
        let entries = self.latched.entries;
        if !(1..=MAX_ENTRIES).contains(&entries) || tail >= entries {
            self.stop(context);
            return;
        }
        self.head %= entries;
        self.left = entries;
        self.next(context);
    }

    /// Fetches the next descriptor if the driver has filled it, as far as the tail tells.
    fn next(&mut self, context: &mut RingContext<'_, '_>) {
        let is_empty = self
            .tail
            .is_some_and(|tail| context.values.get(tail) == self.head);
        if is_empty || self.left == 0 {
            return;
        }
        self.left -= 1;
        let job = DmaJob::Read {
            iova: self.descriptor_iova(0),
            len_bytes: self.description.descriptor.size.into(),
        };
        let origin = Origin::DescriptorFetch {
            index: self.index(),
        };
        self.submit(origin, job, Phase::Fetching, context);
    }

    fn take_descriptor(&mut self, bytes: &[u8], context: &mut RingContext<'_, '_>) {
        let descriptor = Descriptor::new(&self.description.descriptor, bytes);
        if !descriptor.is_ours() {
            return;
        }
        let (address, length_bytes) = descriptor.buffer();
        if length_bytes == 0 {
            self.write_back(descriptor, false, context);
            return;
        }
        let request = match self.description.direction {
            TransferDirection::ToDevice => Request {
                opcode: DMA_OP_CRC,
                source: Iova::new(address),
                length_bytes,
                ..Request::default()
            },
            TransferDirection::FromDevice => Request {
                opcode: DMA_OP_WRITE_PATTERN,
                destination: Iova::new(address),
                length_bytes,
                seed: self.transfers,
                ..Request::default()
            },
        };
        self.transfers = self.transfers.wrapping_add(1);
        let origin = Origin::Ring {
            index: self.index(),
        };
        self.submit(
            origin,
            DmaJob::Request(request),
            Phase::Moving(descriptor),
            context,
        );
    }

    fn write_back(
        &mut self,
        mut descriptor: Descriptor,
        has_failed: bool,
        context: &mut RingContext<'_, '_>,
    ) {
        let wants_interrupt = descriptor.wants_interrupt();
        let Some((offset, bytes)) = descriptor.finish(has_failed) else {
            self.advance(has_failed, wants_interrupt, context);
            return;
        };
        let job = DmaJob::Write {
            iova: self.descriptor_iova(offset),
            bytes,
        };
        let origin = Origin::CompletionEntry {
            index: self.index(),
        };
        let phase = Phase::WritingBack {
            has_failed,
            wants_interrupt,
        };
        self.submit(origin, job, phase, context);
    }

    /// Shows that a descriptor is done, and goes on.
    fn advance(
        &mut self,
        has_failed: bool,
        wants_interrupt: bool,
        context: &mut RingContext<'_, '_>,
    ) {
        self.head = (self.head + 1) % self.latched.entries.max(1);
        self.show_head(context);
        let effects = if has_failed { &self.failed } else { &self.done };
        if wants_interrupt || has_failed {
            effects::apply(effects, context.values, context.io);
        } else {
            let quiet = ResolvedEffects {
                interrupt: None,
                ..effects.clone()
            };
            effects::apply(&quiet, context.values, context.io);
        }
        self.next(context);
    }

    /// Ends work until the next doorbell: the ring itself cannot be used.
    fn stop(&mut self, context: &mut RingContext<'_, '_>) {
        self.left = 0;
        effects::apply(&self.failed, context.values, context.io);
    }

    fn submit(
        &mut self,
        origin: Origin,
        job: DmaJob,
        phase: Phase,
        context: &mut RingContext<'_, '_>,
    ) {
        match context.io.dma(self.channel, origin, job) {
            Ok(_) => self.phase = phase,
            Err(_) => self.stop(context),
        }
    }

    fn show_head(&self, context: &mut RingContext<'_, '_>) {
        if let Some(register) = self.head_register {
            context.values.show(context.layout, register, self.head);
        }
    }

    fn entries(&self, values: &Values) -> u64 {
        let size = values.get(self.size);
        match self.description.size_unit {
            SizeUnit::Entries => size,
            SizeUnit::Bytes => size / u64::from(self.description.descriptor.size.max(1)),
        }
    }

    fn index(&self) -> u32 {
        u32::try_from(self.head).unwrap_or(u32::MAX)
    }

    /// The address of a byte of the descriptor at the head. A base near 2^64 wraps, and the transfer
    /// then finds that nothing is there.
    fn descriptor_iova(&self, offset: u64) -> Iova {
        let distance = self.head * u64::from(self.description.descriptor.size) + offset;
        Iova::new(self.latched.base.wrapping_add(distance))
    }
}
