//! All channels of an engine that has 64 of them (EN-6): their registers, rings and interrupts.
//!
//! The device is one of its own, and so is the boot. Beyond channel 31 an interrupt is told in the upper
//! halves of cause and enable.

use dmarig_abi::completion::DMA_STATUS_SUCCESS;
use dmarig_abi::descriptor::{
    DESCRIPTOR_FLAG_INTERRUPT, DESCRIPTOR_FLAG_MESSAGE, DMA_OP_WRITE_PATTERN,
};
use dmarig_abi::operation::{
    INTERRUPT_STATE_CHANNELS_SHIFT, INTERRUPT_STATE_MESSAGES, INTERRUPT_STATE_PIN,
    INTERRUPT_STATE_POLLING,
};
use dmarig_abi::registers::{
    CAPABILITIES_CHANNELS_MASK, CH_COMMAND, CH_DESTINATION, CH_DONE_BYTES, CH_LENGTH, CH_SEED,
    CH_STATUS, CH_STATUS_BUSY, DUT_MAX_CHANNELS, REG_CAPABILITIES,
};

use super::ring::{LOOK_US, LOOKS, register};
use crate::bench::{Bench, Buffer, Pass, driver_number, expect};
use crate::case::{Body, Case};
use crate::cases::BOTH;
use crate::finding::{CaseEnd, Finding};
use crate::profile::{DriverKind, Profile};
use crate::step::{Routine, Step, TransferMode};

const CHANNELS: u32 = DUT_MAX_CHANNELS;
/// The first and the last, those round the border of the halves, and one more.
const SOME: [u32; 5] = [0, 5, 31, 32, 63];
/// What each channel writes of the common buffer: less than a page, so that neighbors share one.
const SHARE_BYTES: u64 = 0x3f0;
const SEED: u64 = 0xc0a7_0000;
/// How long all of them are held, so that they are under way at once. On a busy machine the first time may
/// be over before the last of them was rung.
const HOLDS_US: [u32; 3] = [100_000, 500_000, 1_900_000];

/// The interrupts that the driver was granted, as it tells of them; without them a case would show nothing.
#[derive(Clone, Copy)]
enum Granted {
    /// So many messages.
    Messages(u64),
    /// The pin.
    Pin,
}

/// A vector for each channel.
static OWN_VECTORS: Profile = Profile {
    name: "64-channels",
    device: Some("[interrupts]\nmsix_vectors = 64\n\n[dma]\nchannels = 64\n"),
    ..Profile::DEFAULT
};
/// The fourth is that of 61 channels.
static SHARED_VECTOR: Profile = Profile {
    name: "64-channels-4-vectors",
    device: Some("[interrupts]\nmsix_vectors = 4\n\n[dma]\nchannels = 64\n"),
    ..Profile::DEFAULT
};
static MSI: Profile = Profile {
    name: "64-channels-msi",
    device: Some("[interrupts]\nmsix_vectors = 0\nmsi_vectors = 32\n\n[dma]\nchannels = 64\n"),
    ..Profile::DEFAULT
};
static PIN: Profile = Profile {
    name: "64-channels-pin",
    device: Some("[interrupts]\nmsix_vectors = 0\n\n[dma]\nchannels = 64\n"),
    ..Profile::DEFAULT
};
static KMDF_OWN_VECTORS: Profile = Profile {
    name: "kmdf-64-channels",
    driver: DriverKind::Kmdf,
    ..OWN_VECTORS
};
static KMDF_SHARED_VECTOR: Profile = Profile {
    name: "kmdf-64-channels-4-vectors",
    driver: DriverKind::Kmdf,
    ..SHARED_VECTOR
};
static KMDF_MSI: Profile = Profile {
    name: "kmdf-64-channels-msi",
    driver: DriverKind::Kmdf,
    ..MSI
};
static KMDF_PIN: Profile = Profile {
    name: "kmdf-64-channels-pin",
    driver: DriverKind::Kmdf,
    ..PIN
};

#[rustfmt::skip]
pub(in crate::cases) const CASES: &[Case] = &[
    Case::new("EN-6/some", "channels 0, 5, 31, 32 and 63 by registers and rings, each with its own interrupt", BOTH, |bench| some(bench, Granted::Messages(64))).under(&OWN_VECTORS),
    Case::new("EN-6/all-at-once", "64 requests under way at once: each moves its own bytes and raises its own vector", BOTH, |bench| all_at_once(bench, Granted::Messages(64))).under(&OWN_VECTORS),
    Case::new("EN-6/shared-vector", "the same with four vectors, of which 61 channels share the last", BOTH, |bench| some_and_all(bench, Granted::Messages(4))).under(&SHARED_VECTOR),
    Case::new("EN-6/msi", "the same with 32 messages of MSI", BOTH, |bench| some_and_all(bench, Granted::Messages(32))).under(&MSI),
    Case::new("EN-6/pin", "the same with the interrupt pin", BOTH, |bench| some_and_all(bench, Granted::Pin)).under(&PIN),
    Case::new("EN-6/kmdf-some", "channels 0, 5, 31, 32 and 63 with the KMDF driver", BOTH, |bench| by_enabler(bench, |bench| some(bench, Granted::Messages(64)))).under(&KMDF_OWN_VECTORS),
    Case::new("EN-6/kmdf-all-at-once", "64 requests at once with the KMDF driver", BOTH, |bench| by_enabler(bench, |bench| all_at_once(bench, Granted::Messages(64)))).under(&KMDF_OWN_VECTORS),
    Case::new("EN-6/kmdf-shared-vector", "four vectors with the KMDF driver", BOTH, |bench| by_enabler(bench, |bench| some_and_all(bench, Granted::Messages(4)))).under(&KMDF_SHARED_VECTOR),
    Case::new("EN-6/kmdf-msi", "32 messages of MSI with the KMDF driver", BOTH, |bench| by_enabler(bench, |bench| some_and_all(bench, Granted::Messages(32)))).under(&KMDF_MSI),
    Case::new("EN-6/kmdf-pin", "the interrupt pin with the KMDF driver", BOTH, |bench| by_enabler(bench, |bench| some_and_all(bench, Granted::Pin))).under(&KMDF_PIN),
];

fn by_enabler(bench: &mut Bench<'_>, body: Body) -> Result<(), CaseEnd> {
    bench.open_adapters_by_enabler();
    body(bench)
}

fn some_and_all(bench: &mut Bench<'_>, granted: Granted) -> Result<(), CaseEnd> {
    some(bench, granted)?;
    all_at_once(bench, granted)
}

fn some(bench: &mut Bench<'_>, granted: Granted) -> Result<(), CaseEnd> {
    check_counts(bench, granted)?;
    let adapter = bench.adapter(64)?;
    for channel in SOME {
        bench.rings(adapter, channel)?;
    }
    let buffer = bench.allocate_by(adapter, SHARE_BYTES, Routine::PLAIN, u64::MAX)?;
    for channel in SOME {
        let pass = |mode, by_message| Pass {
            mode,
            channel,
            by_message,
        };
        let passes = [
            pass(TransferMode::RegisterInterrupt, false),
            pass(TransferMode::RingInterrupt, true),
        ];
        bench.exercise_by(&buffer, &passes)?;
    }
    Ok(())
}

/// Device and driver agree on how many channels there are, and the driver has the interrupts of the case.
fn check_counts(bench: &mut Bench<'_>, granted: Granted) -> Result<(), CaseEnd> {
    let told = bench.require(
        "reading the capabilities",
        Step::read_register(0, REG_CAPABILITIES),
    )?;
    let mask = u64::from(CAPABILITIES_CHANNELS_MASK);
    expect(
        "channels that the device tells of",
        CHANNELS.into(),
        told.result.value[0] & mask,
    )?;
    let state = bench.require("asking the driver", Step::interrupt_state(0, 0))?;
    expect(
        "channels that the driver serves",
        CHANNELS.into(),
        state.result.value[2] >> INTERRUPT_STATE_CHANNELS_SHIFT & 0xff,
    )?;
    let (kind, vectors) = match granted {
        Granted::Messages(vectors) => (INTERRUPT_STATE_MESSAGES, vectors),
        Granted::Pin => (INTERRUPT_STATE_PIN, 1),
    };
    let kinds = INTERRUPT_STATE_MESSAGES | INTERRUPT_STATE_PIN | INTERRUPT_STATE_POLLING;
    expect(
        "kind of the interrupts that the driver was granted",
        kind,
        state.result.value[2] & kinds,
    )?;
    let seen = state.result.value[0];
    expect("vectors that the driver was granted", vectors, seen)
}

fn all_at_once(bench: &mut Bench<'_>, granted: Granted) -> Result<(), CaseEnd> {
    check_counts(bench, granted)?;
    let adapter = bench.adapter(64)?;
    let total = u64::from(CHANNELS) * SHARE_BYTES;
    let buffer = bench.allocate_by(adapter, total, Routine::PLAIN, u64::MAX)?;
    bench.declare(&buffer, true, true)?;
    for (turn, hold_us) in (1..).zip(HOLDS_US) {
        let seed = SEED * turn;
        let before = interrupts(bench)?;
        program(bench, &buffer, seed)?;
        let rules = format!(
            "[[rule]]\nname = \"held\"\nevent = \"payload\"\ntimes = 1\n\
             effect.delay.microseconds = {hold_us}\n"
        );
        let n_busy = bench.under_faults(&rules, |bench| {
            let n_busy = ring_all(bench)?;
            wait_for_all(bench)?;
            Ok(n_busy)
        })?;
        judge(bench, &buffer, seed, &before)?;
        if n_busy == CHANNELS as usize {
            return Ok(());
        }
    }
    Err(Finding {
        view: "device",
        what: "requests that a fault holds back".into(),
        buffer: Some(buffer.name),
        logical_address: Some(buffer.logical_address),
        expected: format!("{CHANNELS} under way at once"),
        seen: "some over before the last was rung: the case shows nothing".into(),
    }
    .into())
}

/// Interrupts of each channel so far.
fn interrupts(bench: &mut Bench<'_>) -> Result<Vec<u64>, CaseEnd> {
    let steps: Vec<Step> = (0..CHANNELS)
        .map(|channel| Step::interrupt_state(0, channel))
        .collect();
    let results = bench.run(&steps)?;
    Ok(results.iter().map(|state| state.result.length).collect())
}

fn seed_of(channel: u32, seed: u64) -> u64 {
    seed + u64::from(channel)
}

/// Writes address, length and seed of each channel.
fn program(bench: &mut Bench<'_>, buffer: &Buffer, seed: u64) -> Result<(), CaseEnd> {
    let steps: Vec<Step> = (0..CHANNELS)
        .flat_map(|channel| {
            let at = buffer.at(u64::from(channel) * SHARE_BYTES).raw();
            [
                Step::write_register_64(0, register(channel, CH_DESTINATION), at),
                Step::write_register_64(0, register(channel, CH_LENGTH), SHARE_BYTES),
                Step::write_register_64(0, register(channel, CH_SEED), seed_of(channel, seed)),
            ]
        })
        .collect();
    bench.require_all("writing the channels' registers", &steps)
}

/// Rings all doorbells, every second channel by message, and tells how many requests are under way after that.
fn ring_all(bench: &mut Bench<'_>) -> Result<usize, CaseEnd> {
    let ring = |channel: u32| {
        let path = if channel.is_multiple_of(2) {
            0
        } else {
            DESCRIPTOR_FLAG_MESSAGE
        };
        let flags = u64::from(DESCRIPTOR_FLAG_INTERRUPT | path);
        let command = u64::from(DMA_OP_WRITE_PATTERN) | flags << 16;
        Step::write_register(0, register(channel, CH_COMMAND), command)
    };
    let steps: Vec<Step> = (0..CHANNELS).map(ring).chain(statuses()).collect();
    let results = bench.run(&steps)?;
    let states = results.iter().skip(CHANNELS as usize);
    Ok(states
        .filter(|state| is_busy(state.result.value[0]))
        .count())
}

fn statuses() -> impl Iterator<Item = Step> {
    (0..CHANNELS).map(|channel| Step::read_register(0, register(channel, CH_STATUS)))
}

fn is_busy(status: u64) -> bool {
    status & u64::from(CH_STATUS_BUSY) != 0
}

fn wait_for_all(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let steps: Vec<Step> = statuses().chain([Step::delay(LOOK_US)]).collect();
    let mut busy = Vec::new();
    for _ in 0..LOOKS {
        let results = bench.run(&steps)?;
        busy = (0..CHANNELS)
            .zip(&results)
            .filter(|(_, state)| is_busy(state.result.value[0]))
            .map(|(channel, _)| channel)
            .collect();
        if busy.is_empty() {
            return Ok(());
        }
    }
    Err(Finding {
        view: "device",
        what: "requests of all channels".into(),
        buffer: None,
        logical_address: None,
        expected: "all ended".into(),
        seen: format!("channels {busy:?} still busy"),
    }
    .into())
}

/// Each channel has moved its share, with its own bytes, and has interrupted once.
fn judge(bench: &mut Bench<'_>, buffer: &Buffer, seed: u64, before: &[u64]) -> Result<(), CaseEnd> {
    let after = interrupts(bench)?;
    for (channel, (before, after)) in (0..CHANNELS).zip(before.iter().zip(after)) {
        let at = u64::from(channel) * SHARE_BYTES;
        let what = format!("channel {channel}'s part of all at once");
        let results = bench.run(&[
            Step::read_register(0, register(channel, CH_STATUS)),
            Step::read_register(0, register(channel, CH_DONE_BYTES)),
            Step::cpu_check(buffer.slot, at, SHARE_BYTES, seed_of(channel, seed)),
        ])?;
        let [status, done, check] = results.as_slice() else {
            return Err(driver_number(&what, "3 results", results.len() as u64).into());
        };
        let code = status.result.value[0] & 0xffff;
        expect(&format!("{what}: status"), DMA_STATUS_SUCCESS.into(), code)?;
        let done_bytes = done.result.value[0];
        expect(&format!("{what}: bytes done"), SHARE_BYTES, done_bytes)?;
        bench.judge_cpu_check(&what, check, Some(&buffer.part(at, SHARE_BYTES)))?;
        expect(
            &format!("{what}: interrupts"),
            1,
            after.saturating_sub(*before),
        )?;
    }
    Ok(())
}
