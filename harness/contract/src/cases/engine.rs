//! The engine of the device (EN): the driver writes descriptors and registers by itself.
//!
//! Everything lies in one common buffer: the rings, lists, chained descriptors and the data. The ring is
//! that of a channel that no other case uses.

mod channels;
mod fence;
mod ring;

use dmarig_abi::completion::DMA_STATUS_CHAIN;
use dmarig_abi::descriptor::{
    DESCRIPTOR_FLAG_CHAIN, DESCRIPTOR_FLAG_DESTINATION_LIST, DESCRIPTOR_FLAG_OWNED,
    DESCRIPTOR_FLAG_SOURCE_LIST, DMA_OP_COPY, DMA_OP_NOP,
};
use dmarig_abi::registers::{RING_INDEX_MODE, RING_PREFETCH};
use dmarig_abi::{Descriptor, ListElement};
use zerocopy::IntoBytes;

use self::ring::{
    CHANNEL, DATA, ENTRIES, INDEX, LISTS, LOOK_US, LOOKS, Ring, SEED, check_pattern, pattern,
    success,
};
use crate::bench::{Bench, expect};
use crate::case::Case;
use crate::cases::BOTH;
use crate::finding::CaseEnd;
use crate::step::Step;

/// The violation of a descriptor that changes while it is the device's.
const CHANGED: &str = "descriptor-changed";

/// The suite's lists, in order.
pub(super) const LISTS_OF_CASES: &[&[Case]] = &[CASES, channels::CASES];

#[rustfmt::skip]
const CASES: &[Case] = &[
    Case::new("EN-1/copy", "a copy from a list of 3 elements to one of 2", BOTH, copy_between_lists),
    Case::new("EN-2/chain", "two descriptors follow the ring's own", BOTH, chain),
    Case::new("EN-2/circle", "a chain that leads back is ended and found", BOTH, circle),
    Case::new("EN-3/index", "completions of a whole lap are told by index", BOTH, index),
    Case::new("EN-4/fence", "a fence of all channels waits for another channel's request that a fault holds back", BOTH, fence::waits),
    Case::new("EN-5/owner-bit", "descriptors are taken without a doorbell, and none changes", BOTH, owner_bit),
    Case::new("EN-5/changed", "a descriptor that is written on while it is the device's is found", BOTH, changed),
];

/// The source is one pattern in three places; joined anew it must be the same pattern.
fn copy_between_lists(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    const TOTAL: u64 = 3000;
    Ring::during(bench, 0, |bench, ring| {
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
        check_pattern(bench, ring, DATA + 0x4000, TOTAL, SEED)?;
        Ok(())
    })
}

fn chain(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    Ring::during(bench, 0, |bench, ring| {
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
            check_pattern(bench, ring, at, 256, SEED + number)?;
        }
        Ok(())
    })
}

fn circle(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    Ring::during(bench, 0, |bench, ring| {
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
        Ok(())
    })
}

/// One more than a lap, so that the index comes round.
fn index(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    Ring::during(bench, RING_INDEX_MODE, |bench, ring| {
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
        Ok(())
    })
}

fn owner_bit(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    Ring::during(bench, RING_PREFETCH, |bench, ring| {
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
            check_pattern(bench, ring, at, 512, SEED + number)?;
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
        Ok(())
    })
}

/// On a busy machine the device may have done with a descriptor before the driver's next write.
fn changed(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    const ATTEMPTS: usize = 8;
    let mut ring = Ring::open(bench, RING_PREFETCH)?;
    for _ in 1..ATTEMPTS {
        write_on(bench, &mut ring)?;
        let words = bench.violations_of(CHANGED)?;
        if !words.is_empty() {
            bench.observe(format!("seen: {}", words.join("; ")));
            return Ok(());
        }
        ring = Ring::open_in(bench, ring.buffer, CHANNEL, 0, RING_PREFETCH)?;
    }
    write_on(bench, &mut ring)?;
    bench.expect_violations(CHANGED).map(drop)
}

/// The driver goes on writing a reserved word, with 16 values in turn, from before it gives the
/// descriptor until long after; so first sight, fetch and last look differ.
fn write_on(bench: &mut Bench<'_>, ring: &mut Ring) -> Result<(), CaseEnd> {
    const VALUES: u64 = 16;
    const TURNS: u64 = 2000;
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
    ring.used(bench, |bench, ring| {
        bench.require_all("writing on a descriptor of the device", &steps)?;
        success(
            &ring.completion(bench, 0)?,
            "the descriptor that was written on",
        )
    })
}
