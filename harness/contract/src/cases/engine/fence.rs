//! Fences (EN-4), beside a channel whose request a fault holds back.
//!
//! A fence that waits and one that does not differ only while earlier work is under way. So the other
//! channel's request is held by a rule, and as long as its completion entry is missing the fence's must be.

use dmarig_abi::Descriptor;
use dmarig_abi::completion::COMPLETION_FLAG_PHASE;
use dmarig_abi::descriptor::{DMA_OP_FENCE, DMA_OP_NOP, FENCE_ALL_CHANNELS};
use dmarig_abi::registers::CH_RING_TAIL;
use zerocopy::FromBytes as _;

use super::ring::{
    CHANNEL, COMPLETIONS, DATA, LOOK_US, LOOKS, Ring, SEED, check_pattern, pattern, register,
    success,
};
use crate::bench::{Bench, expect};
use crate::finding::{CaseEnd, Finding};
use crate::step::{Step, StepResult};

/// The channel that is held, and where its rings lie.
const HELD_CHANNEL: u32 = 3;
const HELD: u64 = 0x2000;
const HELD_BYTES: u64 = 0x8000;
/// How long it is held. On a busy machine the first time may be over before anybody has looked.
const HOLDS_US: [u32; 3] = [100_000, 500_000, 1_900_000];

/// Completion entries of the ring, in order.
const OWN_FENCE: u64 = 0;
const FENCE: u64 = 1;
const BEHIND: u64 = 2;

/// A fence of the own channel passes at once, which shows that the ring goes on; the fence of all channels
/// and what lies behind it wait.
pub(super) fn waits(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    for hold_us in HOLDS_US {
        let looks = held(bench, hold_us)?;
        if looks > 0 {
            bench.observe(format!("seen: closed in {looks} looks while channel {HELD_CHANNEL} was held for {hold_us} us"));
            return Ok(());
        }
    }
    Err(Finding {
        view: "device",
        what: "a request that a fault holds back".into(),
        buffer: None,
        logical_address: None,
        expected: "under way while the fence is looked at".into(),
        seen: "over before: the case shows nothing".into(),
    }
    .into())
}

/// How often the fence was seen closed while the other channel was held.
fn held(bench: &mut Bench<'_>, hold_us: u32) -> Result<usize, CaseEnd> {
    Ring::open(bench, 0)?.used(bench, |bench, ring| {
        Ring::open_in(bench, ring.buffer.clone(), HELD_CHANNEL, HELD, 0)?
            .used(bench, |bench, other| held_on(bench, ring, other, hold_us))
    })
}

/// The same on two open rings.
fn held_on(
    bench: &mut Bench<'_>,
    ring: &mut Ring,
    other: &mut Ring,
    hold_us: u32,
) -> Result<usize, CaseEnd> {
    let rules = format!(
        "[[rule]]\nname = \"held\"\nevent = \"payload\"\nmatch.channel = {HELD_CHANNEL}\ntimes = 1\n\
         effect.delay.microseconds = {hold_us}\n"
    );
    let looks = bench.under_faults(&rules, |bench| {
        let long = pattern(other.iova(DATA), HELD_BYTES, SEED);
        let mut steps = other.put(&long).to_vec();
        for descriptor in [fence(0), fence(FENCE_ALL_CHANNELS), nothing()] {
            steps.extend(ring.put(&descriptor));
        }
        steps.extend([
            Step::write_register(0, register(HELD_CHANNEL, CH_RING_TAIL), 1),
            Step::write_register(0, register(CHANNEL, CH_RING_TAIL), BEHIND + 1),
        ]);
        bench.require_all("ringing both channels", &steps)?;
        let looks = wait_for_both(bench, ring, other);
        if looks.is_err() {
            // The held write is still to come, and must find the buffer.
            other.completion(bench, 0)?;
        }
        looks
    })?;
    check_pattern(bench, other, DATA, HELD_BYTES, SEED)?;
    Ok(looks)
}

/// How often the fence was seen closed.
fn wait_for_both(bench: &mut Bench<'_>, ring: &Ring, other: &Ring) -> Result<usize, CaseEnd> {
    success(
        &ring.completion(bench, OWN_FENCE)?,
        "the own channel's fence",
    )?;
    let looks = look_while_held(bench, ring)?;
    success(&ring.completion(bench, FENCE)?, "the fence of all channels")?;
    // It has ended, so all before it must have.
    success(&other.entry(bench, 0)?, "the request before the fence")?;
    success(
        &ring.completion(bench, BEHIND)?,
        "what lies behind the fence",
    )?;
    Ok(looks)
}

fn fence(reach: u64) -> Descriptor {
    Descriptor {
        opcode: DMA_OP_FENCE,
        seed: reach,
        ..Descriptor::default()
    }
}

fn nothing() -> Descriptor {
    Descriptor {
        opcode: DMA_OP_NOP,
        ..Descriptor::default()
    }
}

/// Looks until the held request has ended: at the entries behind the fence first, at that request's last, so
/// whatever is missing at last was missing all the time.
fn look_while_held(bench: &mut Bench<'_>, ring: &Ring) -> Result<usize, CaseEnd> {
    let slot = ring.buffer.slot;
    let flags_of = |entry: u64| Step::cpu_read(slot, entry, 64);
    let steps = [
        flags_of(COMPLETIONS + FENCE * 64),
        flags_of(COMPLETIONS + BEHIND * 64),
        flags_of(HELD + COMPLETIONS),
        Step::delay(LOOK_US),
    ];
    for look in 0..LOOKS {
        let results = bench.run(&steps)?;
        let [fence, behind, held, ..] = results.as_slice() else {
            break;
        };
        if is_written(held) {
            return Ok(look);
        }
        let what = |entry| {
            format!(
                "{entry}: its completion entry while channel {HELD_CHANNEL}'s earlier request is under way"
            )
        };
        expect(&what("the fence"), 0, is_written(fence).into())?;
        expect(
            &what("what lies behind the fence"),
            0,
            is_written(behind).into(),
        )?;
    }
    Ok(LOOKS)
}

/// Whether a completion entry that was read has its phase bit.
fn is_written(read: &StepResult) -> bool {
    dmarig_abi::CompletionEntry::read_from_bytes(&read.data)
        .is_ok_and(|entry| entry.flags & COMPLETION_FLAG_PHASE != 0)
}
