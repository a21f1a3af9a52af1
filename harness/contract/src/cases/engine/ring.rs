//! [`Ring`]: a descriptor ring that a case drives by the registers, with all that belongs to it in one buffer.

use dmarig_abi::completion::{COMPLETION_FLAG_PHASE, DMA_STATUS_SUCCESS};
use dmarig_abi::descriptor::DMA_OP_WRITE_PATTERN;
use dmarig_abi::registers::{
    CH_COMPLETION_BASE, CH_INDEX_ADDRESS, CH_RING_BASE, CH_RING_CONTROL, CH_RING_ENTRIES,
    CH_RING_TAIL, CHANNEL_BASE, CHANNEL_STRIDE, RING_ENABLE,
};
use dmarig_abi::{CompletionEntry, Descriptor};
use zerocopy::{FromBytes, IntoBytes};

use crate::bench::{Bench, Buffer, driver_number, expect};
use crate::finding::CaseEnd;
use crate::step::Step;

/// The channel of the ring.
pub(super) const CHANNEL: u32 = 1;
pub(super) const ENTRIES: u64 = 4;
/// Where things lie in the buffer.
pub(super) const COMPLETIONS: u64 = 0x400;
pub(super) const INDEX: u64 = 0x800;
pub(super) const LISTS: u64 = 0x1000;
pub(super) const DATA: u64 = 0x4000;
pub(super) const LENGTH: u64 = 0x1_0000;
/// How long a completion entry is awaited: this often for 2 ms.
pub(super) const LOOKS: usize = 1000;
pub(super) const LOOK_US: u64 = 2000;
pub(super) const SEED: u64 = 0xe9;

/// A ring in a common buffer.
pub(super) struct Ring {
    pub(super) buffer: Buffer,
    channel: u32,
    base: u64,
    tail: u64,
}

/// A register of a channel.
pub(super) fn register(channel: u32, offset: u64) -> u64 {
    CHANNEL_BASE + u64::from(channel) * CHANNEL_STRIDE + offset
}

impl Ring {
    pub(super) fn open(bench: &mut Bench<'_>, mode: u32) -> Result<Self, CaseEnd> {
        let adapter = bench.adapter(64)?;
        let buffer = bench.allocate_ok(adapter, LENGTH, None, None)?;
        // Without remapping its address may have been part of what an earlier case has freed.
        bench.declare(&buffer, true, true)?;
        Self::open_in(bench, buffer, CHANNEL, 0, mode)
    }

    /// Opens a ring, and closes it however the body ends: memory that goes back must not be the device's.
    pub(super) fn during(
        bench: &mut Bench<'_>,
        mode: u32,
        body: impl FnOnce(&mut Bench<'_>, &mut Self) -> Result<(), CaseEnd>,
    ) -> Result<(), CaseEnd> {
        Self::open(bench, mode)?.used(bench, body)
    }

    /// Closes the ring however the body ends.
    pub(super) fn used<T>(
        &mut self,
        bench: &mut Bench<'_>,
        body: impl FnOnce(&mut Bench<'_>, &mut Self) -> Result<T, CaseEnd>,
    ) -> Result<T, CaseEnd> {
        let ended = body(bench, self);
        let closed = self.close(bench);
        let value = ended?;
        closed.map(|()| value)
    }

    pub(super) fn open_in(
        bench: &mut Bench<'_>,
        buffer: Buffer,
        channel: u32,
        base: u64,
        mode: u32,
    ) -> Result<Self, CaseEnd> {
        let at = |offset: u64| buffer.at(base + offset).raw();
        let zeros = vec![0; 0x1000];
        let steps = [
            Step::cpu_write(buffer.slot, base, &zeros),
            Step::write_register_64(0, register(channel, CH_RING_BASE), at(0)),
            Step::write_register_64(0, register(channel, CH_COMPLETION_BASE), at(COMPLETIONS)),
            Step::write_register_64(0, register(channel, CH_INDEX_ADDRESS), at(INDEX)),
            Step::write_register(0, register(channel, CH_RING_ENTRIES), ENTRIES),
            Step::write_register(
                0,
                register(channel, CH_RING_CONTROL),
                u64::from(RING_ENABLE | mode),
            ),
        ];
        bench.require_all("opening a ring by its registers", &steps)?;
        Ok(Self {
            buffer,
            channel,
            base,
            tail: 0,
        })
    }

    pub(super) fn iova(&self, offset: u64) -> u64 {
        self.buffer.at(offset).raw()
    }

    /// Puts a descriptor into the ring; its flags come last, as the owner bit must.
    pub(super) fn put(&mut self, descriptor: &Descriptor) -> [Step; 2] {
        let at = self.base + self.tail * 64;
        self.tail = (self.tail + 1) % ENTRIES;
        let bytes = descriptor.as_bytes();
        [
            Step::cpu_write(self.buffer.slot, at + 8, &bytes[8..]),
            Step::cpu_write(self.buffer.slot, at, &bytes[..8]),
        ]
    }

    /// The same, and rings the doorbell.
    pub(super) fn post(
        &mut self,
        bench: &mut Bench<'_>,
        descriptor: &Descriptor,
    ) -> Result<(), CaseEnd> {
        let mut steps = self.put(descriptor).to_vec();
        let tail = register(self.channel, CH_RING_TAIL);
        steps.push(Step::write_register(0, tail, self.tail));
        bench.require_all("posting a descriptor", &steps)
    }

    pub(super) fn entry(
        &self,
        bench: &mut Bench<'_>,
        index: u64,
    ) -> Result<CompletionEntry, CaseEnd> {
        let at = self.base + COMPLETIONS + index * 64;
        let read = bench.require(
            "reading a completion entry",
            Step::cpu_read(self.buffer.slot, at, 64),
        )?;
        let entry = CompletionEntry::read_from_bytes(&read.data);
        entry.map_err(|_| {
            driver_number(
                "bytes of a completion entry",
                "0x40",
                read.data.len() as u64,
            )
            .into()
        })
    }

    /// Waits for the completion entry of the first lap at `index`.
    pub(super) fn completion(
        &self,
        bench: &mut Bench<'_>,
        index: u64,
    ) -> Result<CompletionEntry, CaseEnd> {
        for _ in 0..LOOKS {
            let entry = self.entry(bench, index)?;
            if entry.flags & COMPLETION_FLAG_PHASE != 0 {
                return Ok(entry);
            }
            bench.require("waiting", Step::delay(LOOK_US))?;
        }
        let what = format!("phase bit of completion entry {index} after {LOOKS} looks");
        Err(driver_number(&what, "0x1", 0).into())
    }

    /// Disables the ring, and reads back so that the device has left the buffer.
    fn close(&self, bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
        let control = register(self.channel, CH_RING_CONTROL);
        let steps = [
            Step::write_register(0, control, 0),
            Step::read_register(0, control),
        ];
        bench.require_all("closing the ring", &steps)
    }
}

pub(super) fn success(entry: &CompletionEntry, what: &str) -> Result<(), CaseEnd> {
    expect(
        &format!("status of {what}"),
        DMA_STATUS_SUCCESS.into(),
        entry.status.into(),
    )
}

pub(super) fn pattern(destination: u64, length_bytes: u64, seed: u64) -> Descriptor {
    Descriptor {
        opcode: DMA_OP_WRITE_PATTERN,
        tag: seed,
        destination,
        length_bytes,
        seed,
        ..Descriptor::default()
    }
}

pub(super) fn check_pattern(
    bench: &mut Bench<'_>,
    ring: &Ring,
    offset: u64,
    length: u64,
    seed: u64,
) -> Result<(), CaseEnd> {
    let checked = bench.run_one(Step::cpu_check(ring.buffer.slot, offset, length, seed))?;
    let part = ring.buffer.part(offset, length);
    bench.judge_cpu_check("the device's write", &checked, Some(&part))
}
