//! The engine of the device (EN): the driver writes descriptors and registers by itself.
//!
//! Everything lies in one common buffer: the rings, lists, chained descriptors and the data. The ring is
//! that of a channel that no other case uses.

use dmarig_abi::completion::{COMPLETION_FLAG_PHASE, DMA_STATUS_CHAIN, DMA_STATUS_SUCCESS};
use dmarig_abi::descriptor::{
    DESCRIPTOR_FLAG_CHAIN, DESCRIPTOR_FLAG_DESTINATION_LIST, DESCRIPTOR_FLAG_OWNED,
    DESCRIPTOR_FLAG_SOURCE_LIST, DMA_OP_COPY, DMA_OP_FENCE, DMA_OP_NOP, DMA_OP_WRITE_PATTERN,
    FENCE_ALL_CHANNELS,
};
use dmarig_abi::registers::{
    CH_COMPLETION_BASE, CH_INDEX_ADDRESS, CH_RING_BASE, CH_RING_CONTROL, CH_RING_ENTRIES,
    CH_RING_TAIL, CHANNEL_BASE, CHANNEL_STRIDE, RING_ENABLE, RING_INDEX_MODE, RING_PREFETCH,
};
use dmarig_abi::{CompletionEntry, Descriptor, ListElement};
use zerocopy::{FromBytes, IntoBytes};

use crate::bench::{Bench, Buffer, driver_number, expect};
use crate::case::Case;
use crate::cases::BOTH;
use crate::finding::CaseEnd;
use crate::step::Step;

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    Case::new("EN-1/copy", "a copy from a list of 3 elements to one of 2", BOTH, copy_between_lists),
    Case::new("EN-2/chain", "two descriptors follow the ring's own", BOTH, chain),
    Case::new("EN-2/circle", "a chain that leads back is ended and found", BOTH, circle),
    Case::new("EN-3/index", "completions of a whole lap are told by index", BOTH, index),
    Case::new("EN-4/fence", "a fence of all channels ends behind another channel's work", BOTH, fence),
    Case::new("EN-5/owner-bit", "descriptors are taken without a doorbell, and none changes", BOTH, owner_bit),
    Case::new("EN-5/changed", "a descriptor that is written on while it is the device's is found", BOTH, changed),
];

const CHANNEL: u32 = 1;
const OTHER_CHANNEL: u32 = 3;
const ENTRIES: u64 = 4;
/// Where things lie in the buffer.
const COMPLETIONS: u64 = 0x400;
const INDEX: u64 = 0x800;
const LISTS: u64 = 0x1000;
const DATA: u64 = 0x4000;
const LENGTH: u64 = 0x1_0000;
/// The other channel's rings.
const OTHER: u64 = 0x2000;
/// How long a completion entry is awaited: this often for 2 ms.
const LOOKS: usize = 500;
const LOOK_US: u64 = 2000;
const SEED: u64 = 0xe9;

/// A ring in a common buffer.
struct Ring {
    buffer: Buffer,
    channel: u32,
    base: u64,
    tail: u64,
}

fn register(channel: u32, offset: u64) -> u64 {
    CHANNEL_BASE + u64::from(channel) * CHANNEL_STRIDE + offset
}

impl Ring {
    fn open(bench: &mut Bench<'_>, mode: u32) -> Result<Self, CaseEnd> {
        let adapter = bench.adapter(64)?;
        let buffer = bench.allocate_ok(adapter, LENGTH, None, None)?;
        // Without remapping its address may have been part of what an earlier case has freed.
        bench.declare(&buffer, true, true)?;
        Self::open_in(bench, buffer, CHANNEL, 0, mode)
    }

    fn open_in(
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

    fn iova(&self, offset: u64) -> u64 {
        self.buffer.at(offset).raw()
    }

    /// Puts a descriptor into the ring; its flags come last, as the owner bit must.
    fn put(&mut self, descriptor: &Descriptor) -> [Step; 2] {
        let at = self.base + self.tail * 64;
        self.tail = (self.tail + 1) % ENTRIES;
        let bytes = descriptor.as_bytes();
        [
            Step::cpu_write(self.buffer.slot, at + 8, &bytes[8..]),
            Step::cpu_write(self.buffer.slot, at, &bytes[..8]),
        ]
    }

    /// The same, and rings the doorbell.
    fn post(&mut self, bench: &mut Bench<'_>, descriptor: &Descriptor) -> Result<(), CaseEnd> {
        let mut steps = self.put(descriptor).to_vec();
        let tail = register(self.channel, CH_RING_TAIL);
        steps.push(Step::write_register(0, tail, self.tail));
        bench.require_all("posting a descriptor", &steps)
    }

    fn entry(&self, bench: &mut Bench<'_>, index: u64) -> Result<CompletionEntry, CaseEnd> {
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
    fn completion(&self, bench: &mut Bench<'_>, index: u64) -> Result<CompletionEntry, CaseEnd> {
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

fn success(entry: &CompletionEntry, what: &str) -> Result<(), CaseEnd> {
    expect(
        &format!("status of {what}"),
        DMA_STATUS_SUCCESS.into(),
        entry.status.into(),
    )
}

fn pattern(destination: u64, length_bytes: u64, seed: u64) -> Descriptor {
    Descriptor {
        opcode: DMA_OP_WRITE_PATTERN,
        tag: seed,
        destination,
        length_bytes,
        seed,
        ..Descriptor::default()
    }
}

fn check_pattern(
    bench: &mut Bench<'_>,
    ring: &Ring,
    offset: u64,
    length: u64,
    seed: u64,
) -> Result<(), CaseEnd> {
    let what = "comparing with the pattern";
    let checked = bench.require(
        what,
        Step::cpu_check(ring.buffer.slot, offset, length, seed),
    )?;
    expect(
        "offset of the first byte that differs from the pattern",
        u64::MAX,
        checked.result.value[1],
    )
}

/// The source is one pattern in three places; joined anew it must be the same pattern.
fn copy_between_lists(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    const TOTAL: u64 = 3000;
    let mut ring = Ring::open(bench, 0)?;
    let slot = ring.buffer.slot;
    let whole = DATA + 0x8000;
    bench.require("filling", Step::cpu_fill(slot, whole, TOTAL, SEED))?;
    let pieces = [(0, 1000), (1000, 7), (1007, 1993)];
    let mut from = Vec::new();
    for (number, (start, length)) in (0..).zip(pieces) {
        let at = DATA + number * 0x1000 + 3;
        let bytes = bench
            .require("reading", Step::cpu_read(slot, whole + start, length))?
            .data;
        bench.require("writing", Step::cpu_write(slot, at, &bytes))?;
        from.push((at, length));
    }
    let to = [(DATA + 0x4000, 2000), (DATA + 0x4000 + 2000, 1000)];
    let list = |elements: &[(u64, u64)]| -> Vec<u8> {
        let elements = elements.iter().map(|(offset, length_bytes)| ListElement {
            iova: ring.iova(*offset),
            length_bytes: *length_bytes,
        });
        elements
            .flat_map(|element| element.as_bytes().to_vec())
            .collect()
    };
    let steps = [
        Step::cpu_write(slot, LISTS, &list(&from)),
        Step::cpu_write(slot, LISTS + 0x400, &list(&to)),
    ];
    bench.require_all("writing the lists", &steps)?;
    let descriptor = Descriptor {
        opcode: DMA_OP_COPY,
        flags: DESCRIPTOR_FLAG_SOURCE_LIST | DESCRIPTOR_FLAG_DESTINATION_LIST,
        source: ring.iova(LISTS),
        source_elements: 3,
        destination: ring.iova(LISTS + 0x400),
        destination_elements: 2,
        length_bytes: TOTAL,
        ..Descriptor::default()
    };
    ring.post(bench, &descriptor)?;
    let entry = ring.completion(bench, 0)?;
    success(&entry, "the copy between lists")?;
    expect("bytes done", TOTAL, entry.done_bytes)?;
    check_pattern(bench, &ring, DATA + 0x4000, TOTAL, SEED)?;
    ring.close(bench)
}

fn chain(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let mut ring = Ring::open(bench, 0)?;
    let chained = |at: u64, seed: u64, next: Option<u64>| Descriptor {
        flags: next.map_or(0, |_| DESCRIPTOR_FLAG_CHAIN),
        next: next.map_or(0, |next| ring.iova(next)),
        ..pattern(ring.iova(at), 256, seed)
    };
    let second = chained(DATA + 0x1000, SEED + 1, Some(LISTS + 64));
    let third = chained(DATA + 0x2000, SEED + 2, None);
    let first = chained(DATA, SEED, Some(LISTS));
    let slot = ring.buffer.slot;
    let steps = [
        Step::cpu_write(slot, LISTS, second.as_bytes()),
        Step::cpu_write(slot, LISTS + 64, third.as_bytes()),
    ];
    bench.require_all("writing the chain", &steps)?;
    ring.post(bench, &first)?;
    let entry = ring.completion(bench, 0)?;
    success(&entry, "the chain")?;
    expect("tag of the chain", SEED, entry.tag)?;
    expect("bytes of the chain", 3 * 256, entry.done_bytes)?;
    expect("chained descriptors", 2, entry.chained.into())?;
    for (number, at) in (0..).zip([DATA, DATA + 0x1000, DATA + 0x2000]) {
        check_pattern(bench, &ring, at, 256, SEED + number)?;
    }
    ring.close(bench)
}

fn circle(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let mut ring = Ring::open(bench, 0)?;
    let descriptor = Descriptor {
        opcode: DMA_OP_NOP,
        flags: DESCRIPTOR_FLAG_CHAIN,
        next: ring.iova(0),
        ..Descriptor::default()
    };
    ring.post(bench, &descriptor)?;
    let entry = ring.completion(bench, 0)?;
    expect(
        "status of the circle",
        DMA_STATUS_CHAIN.into(),
        entry.status.into(),
    )?;
    let words = bench.expect_violations("bad-chain")?;
    bench.observe(format!("seen: {}", words.join("; ")));
    ring.close(bench)
}

/// One more than a lap, so that the index comes round.
fn index(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let mut ring = Ring::open(bench, RING_INDEX_MODE)?;
    for number in 0..=ENTRIES {
        let expected = (number + 1) % ENTRIES;
        let descriptor = pattern(ring.iova(DATA), 64, SEED + number);
        ring.post(bench, &descriptor)?;
        let mut seen = u64::MAX;
        for _ in 0..LOOKS {
            let read = bench.require(
                "reading the index",
                Step::cpu_read(ring.buffer.slot, INDEX, 8),
            )?;
            let bytes = read.data.first_chunk().copied().unwrap_or_default();
            seen = u64::from_le_bytes(bytes);
            if seen == expected {
                break;
            }
            bench.require("waiting", Step::delay(LOOK_US))?;
        }
        expect("producer index of the completion ring", expected, seen)?;
        let entry = ring.entry(bench, number % ENTRIES)?;
        success(&entry, "a descriptor of a ring in index mode")?;
        expect(
            "tag of the entry behind the index",
            SEED + number,
            entry.tag,
        )?;
        expect("flags of that entry", 0, entry.flags.into())?;
    }
    ring.close(bench)
}

/// The other channel's long request is rung first; the fence's entry must find its last byte written.
fn fence(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    const LONG: u64 = 0x8000;
    let mut ring = Ring::open(bench, 0)?;
    let buffer = ring.buffer.clone();
    let mut other = Ring::open_in(bench, buffer, OTHER_CHANNEL, OTHER, 0)?;
    let long = pattern(other.iova(DATA), LONG, SEED);
    let fence = Descriptor {
        opcode: DMA_OP_FENCE,
        seed: FENCE_ALL_CHANNELS,
        ..Descriptor::default()
    };
    let mut steps = other.put(&long).to_vec();
    steps.extend(ring.put(&fence));
    steps.extend([
        Step::write_register(0, register(OTHER_CHANNEL, CH_RING_TAIL), 1),
        Step::write_register(0, register(CHANNEL, CH_RING_TAIL), 1),
    ]);
    bench.require_all("ringing both channels", &steps)?;
    success(&ring.completion(bench, 0)?, "the fence")?;
    let entry = other.entry(bench, 0)?;
    success(&entry, "the request before the fence")?;
    check_pattern(bench, &other, DATA, LONG, SEED)?;
    other.close(bench)?;
    ring.close(bench)
}

fn owner_bit(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let mut ring = Ring::open(bench, RING_PREFETCH)?;
    for number in 0..ENTRIES {
        let at = DATA + number * 0x1000;
        let descriptor = Descriptor {
            flags: DESCRIPTOR_FLAG_OWNED,
            ..pattern(ring.iova(at), 512, SEED + number)
        };
        bench.require_all("giving a descriptor to the device", &ring.put(&descriptor))?;
        let entry = ring.completion(bench, number)?;
        success(&entry, "a descriptor taken by its owner bit")?;
        expect("its tag", SEED + number, entry.tag)?;
        check_pattern(bench, &ring, at, 512, SEED + number)?;
        let flags = bench.require(
            "reading",
            Step::cpu_read(ring.buffer.slot, number * 64 + 2, 2),
        )?;
        let flags = flags
            .data
            .first_chunk()
            .copied()
            .map_or(u16::MAX, u16::from_le_bytes);
        expect("flags of the descriptor given back", 0, flags.into())?;
    }
    ring.close(bench)
}

/// The driver goes on writing a reserved word, with 16 values in turn, from before it gives the
/// descriptor until long after; so first sight, fetch and last look differ.
fn changed(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    const VALUES: u64 = 16;
    const TURNS: u64 = 2000;
    let mut ring = Ring::open(bench, RING_PREFETCH)?;
    let descriptor = Descriptor {
        flags: DESCRIPTOR_FLAG_OWNED,
        ..pattern(ring.iova(DATA), 64, SEED)
    };
    let mut steps = ring.put(&descriptor).to_vec();
    steps.push(Step::repeat(TURNS, VALUES));
    let reserved = 0x38;
    steps.extend(
        (1..=VALUES).map(|value| Step::cpu_write(ring.buffer.slot, reserved, &value.to_le_bytes())),
    );
    bench.require_all("writing on a descriptor of the device", &steps)?;
    success(
        &ring.completion(bench, 0)?,
        "the descriptor that was written on",
    )?;
    let words = bench.expect_violations("descriptor-changed")?;
    bench.observe(format!("seen: {}", words.join("; ")));
    ring.close(bench)
}
