//! A device that leaves the machine, by order or by surprise, and comes back (PL). Boots of their own, with a device
//! that has no MSI-X; each case runs with both drivers.

use dmarig_abi::descriptor::DMA_OP_WRITE_PATTERN;

use super::survive::{buffer, by_enabler, expect_no_device, rule, works};
use crate::bench::{Bench, Buffer, Pass};
use crate::case::{Body, Case};
use crate::cases::BOTH;
use crate::finding::CaseEnd;
use crate::profile::{DriverKind, Profile};
use crate::rig::Pull;
use crate::step::{Step, TransferMode};

const SEED: u64 = 0x5eed_0002;
/// Transfers by registers.
const BY_REGISTERS: (TransferMode, u32) = (TransferMode::RegisterInterrupt, 0);
/// Transfers by a ring.
const BY_RING: (TransferMode, u32) = (TransferMode::RingPoll, Pass::RING_CHANNEL);
/// How often the device goes and comes in the case that looks for what adds up.
const ROUNDS: u32 = 4;

/// The device under test may come and go.
static PLUG: Profile = Profile {
    name: "plug",
    device: Some("[interrupts]\nmsix_vectors = 0\n"),
    hot_plug: true,
    ..Profile::DEFAULT
};

/// The same with the KMDF driver.
static PLUG_KMDF: Profile = Profile {
    name: "plug-kmdf",
    driver: DriverKind::Kmdf,
    ..PLUG
};

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    Case::new("PL-1/idle", "unplugged after all was given back: nothing is left, and when it is back all is well", BOTH, |bench| plugged(bench, idle)).showing(&["PL-3"]).under(&PLUG),
    Case::new("PL-2/with-buffers", "unplugged while a program has a buffer and rings open: the driver agrees, and gives them back", BOTH, |bench| plugged(bench, with_buffers)).showing(&["PL-1", "PL-3"]).under(&PLUG),
    Case::new("PL-3/again-and-again", "unplugged and plugged four times, with transfers in between: each time it works, and nothing adds up", BOTH, |bench| plugged(bench, again_and_again)).showing(&["PL-1"]).under(&PLUG),
    Case::new("PL-4/link-down", "the link goes down while a ring is open: told as a surprise, nothing is left, and when it is back all is well", BOTH, |bench| plugged(bench, link_down)).showing(&["PL-3"]).under(&PLUG),
    Case::new("PL-4/hung-up", "the same, and the platform loses the device altogether", BOTH, |bench| plugged(bench, hung_up)).showing(&["PL-3"]).under(&PLUG),
    Case::new("PL-4/under-a-transfer", "pulled out in the middle of a transfer by registers: it fails, and when the device is back the same transfer works", BOTH, |bench| plugged(bench, under_a_transfer)).showing(&["PL-3"]).under(&PLUG),
    Case::new("PL-4/under-a-ring", "pulled out when a ring fetches its descriptor: it fails, and when the device is back the same transfer works", BOTH, |bench| plugged(bench, under_a_ring)).showing(&["PL-3"]).under(&PLUG),
    Case::new("PL-1/kmdf-idle", "the same with the KMDF driver", BOTH, |bench| by_enabler(bench, |bench| plugged(bench, idle))).showing(&["PL-3"]).under(&PLUG_KMDF),
    Case::new("PL-2/kmdf-with-buffers", "the same with the KMDF driver", BOTH, |bench| by_enabler(bench, |bench| plugged(bench, with_buffers))).showing(&["PL-1", "PL-3"]).under(&PLUG_KMDF),
    Case::new("PL-3/kmdf-again-and-again", "the same with the KMDF driver", BOTH, |bench| by_enabler(bench, |bench| plugged(bench, again_and_again))).showing(&["PL-1"]).under(&PLUG_KMDF),
    Case::new("PL-4/kmdf-link-down", "the same with the KMDF driver", BOTH, |bench| by_enabler(bench, |bench| plugged(bench, link_down))).showing(&["PL-3"]).under(&PLUG_KMDF),
    Case::new("PL-4/kmdf-hung-up", "the same with the KMDF driver", BOTH, |bench| by_enabler(bench, |bench| plugged(bench, hung_up))).showing(&["PL-3"]).under(&PLUG_KMDF),
    Case::new("PL-4/kmdf-under-a-transfer", "the same with the KMDF driver", BOTH, |bench| by_enabler(bench, |bench| plugged(bench, under_a_transfer))).showing(&["PL-3"]).under(&PLUG_KMDF),
    Case::new("PL-4/kmdf-under-a-ring", "the same with the KMDF driver", BOTH, |bench| by_enabler(bench, |bench| plugged(bench, under_a_ring))).showing(&["PL-3"]).under(&PLUG_KMDF),
];

/// Runs the body; the device is in the machine afterwards, however it ended.
fn plugged(bench: &mut Bench<'_>, body: Body) -> Result<(), CaseEnd> {
    let ended = body(bench);
    bench.bring_back()?;
    ended
}

/// A buffer and open rings, in use.
fn in_use(bench: &mut Bench<'_>) -> Result<Buffer, CaseEnd> {
    let (adapter, buffer) = buffer(bench)?;
    bench.rings(adapter, Pass::RING_CHANNEL)?;
    works(bench, &buffer, BY_REGISTERS)?;
    works(bench, &buffer, BY_RING)?;
    Ok(buffer)
}

/// The device comes back, and does what it did.
fn comes_back(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    bench.plug()?;
    in_use(bench).map(drop)
}

fn idle(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    in_use(bench)?;
    bench.require("giving everything back", Step::release_all())?;
    bench.unplug()?;
    comes_back(bench)
}

fn with_buffers(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    in_use(bench)?;
    bench.unplug()?;
    comes_back(bench)
}

fn again_and_again(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    in_use(bench)?;
    for _ in 0..ROUNDS {
        bench.unplug()?;
        comes_back(bench)?;
    }
    Ok(())
}

fn link_down(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    in_use(bench)?;
    bench.pull(Pull::LinkDown)?;
    comes_back(bench)
}

fn hung_up(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    in_use(bench)?;
    bench.pull(Pull::HangUp)?;
    comes_back(bench)
}

fn under_a_transfer(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    pulled_under(bench, "payload", BY_REGISTERS)
}

fn under_a_ring(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    pulled_under(bench, "descriptor-fetch", BY_RING)
}

fn pulled_under(
    bench: &mut Bench<'_>,
    event: &str,
    by: (TransferMode, u32),
) -> Result<(), CaseEnd> {
    let buffer = in_use(bench)?;
    let rules = rule(event, "surprise-removal", Some(1));
    let result = bench.under_faults(&rules, |bench| {
        let result = bench.transfer_recovering(&buffer, by, DMA_OP_WRITE_PATTERN, SEED)?;
        // Before the rules end: with them the link would come up.
        bench.expect_pulled()?;
        Ok(result)
    })?;
    expect_no_device(&result)?;
    comes_back(bench)
}
