//! Two devices under test at once (DV), each with adapters and buffers of its own, under one driver.

use dmarig_abi::completion::DMA_STATUS_UNMAPPED;
use dmarig_abi::descriptor::{
    DESCRIPTOR_FLAG_MESSAGE, DMA_OP_VERIFY_PATTERN, DMA_OP_WRITE_PATTERN,
};
use dmarig_abi::operation::OUTCOME_NO_DEVICE;

use crate::bench::{
    Bench, Buffer, Errand, MdlSource, Survival, describe_dma_status, driver_finding,
};
use crate::case::{Body, Case};
use crate::cases::{BOTH, ON};
use crate::finding::{CaseEnd, Finding};
use crate::oracle::PAGE_SIZE;
use crate::profile::{DriverKind, Profile};
use crate::step::TransferMode;

/// The WDM driver with two devices.
static TWO: Profile = Profile {
    name: "two-devices",
    duts: 2,
    ..Profile::DEFAULT
};

/// The KMDF driver with two devices.
static TWO_KMDF: Profile = Profile {
    name: "two-devices-kmdf",
    driver: DriverKind::Kmdf,
    duts: 2,
    ..Profile::DEFAULT
};

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    Case::new("DV-1/foreign-address", "each device is refused at the other's logical address, and the fault has its requester ID", ON, foreign_address).under(&TWO),
    Case::new("DV-2/in-turn", "each device moves data both ways over a buffer of its own, canaries round it", BOTH, in_turn).under(&TWO),
    Case::new("DV-2/at-once", "two channels of each device move data at the same time", BOTH, at_once).under(&TWO),
    Case::new("DV-3/free-one", "buffers of both are freed in turn: what the other has left still works", BOTH, free_one).under(&TWO),
    Case::new("DV-4/reset", "one hangs and is reset while the other moves data", BOTH, reset).under(&TWO),
    Case::new("DV-4/stop", "one is stopped by PnP: the other works, then both", BOTH, stop).under(&TWO),
    Case::new("DV-4/d3", "one is in D3: the other works, then both", BOTH, d3).under(&TWO),
    Case::new("DV-4/link-down", "one is gone under a request: the other works; restarted by PnP, both do", BOTH, link_down).under(&TWO),
    Case::new("DV-1/kmdf-foreign-address", "the same with the KMDF driver", ON, |bench| by_enabler(bench, foreign_address)).under(&TWO_KMDF),
    Case::new("DV-2/kmdf-in-turn", "the same with the KMDF driver", BOTH, |bench| by_enabler(bench, in_turn)).under(&TWO_KMDF),
    Case::new("DV-2/kmdf-at-once", "the same with the KMDF driver", BOTH, |bench| by_enabler(bench, at_once)).under(&TWO_KMDF),
    Case::new("DV-3/kmdf-free-one", "the same with the KMDF driver", BOTH, |bench| by_enabler(bench, free_one)).under(&TWO_KMDF),
    Case::new("DV-4/kmdf-reset", "the same with the KMDF driver", BOTH, |bench| by_enabler(bench, reset)).under(&TWO_KMDF),
    Case::new("DV-4/kmdf-stop", "the same with the KMDF driver", BOTH, |bench| by_enabler(bench, stop)).under(&TWO_KMDF),
    Case::new("DV-4/kmdf-s3", "one is sent to sleep: the other works, then both", BOTH, |bench| by_enabler(bench, s3)).under(&TWO_KMDF),
    Case::new("DV-4/kmdf-link-down", "the same with the KMDF driver", BOTH, |bench| by_enabler(bench, link_down)).under(&TWO_KMDF),
];

const DUTS: [u32; 2] = [0, 1];
const PAGES: u64 = 4;
const SEED: u64 = 0xd0_0001;
/// Channel of requests that a fault meets.
const CHANNEL: u32 = 1;
/// Pages that a channel moves while others do: several turns of the engine.
const LONG_PAGES: u64 = 64;
const HANG: &str = "[[rule]]\nname = \"hang\"\nevent = \"payload\"\ntimes = 1\neffect = \"hang\"\n";
const GONE: &str =
    "[[rule]]\nname = \"gone\"\nevent = \"doorbell\"\ntimes = 1\neffect = \"surprise-removal\"\n";

fn by_enabler(bench: &mut Bench<'_>, body: Body) -> Result<(), CaseEnd> {
    bench.open_adapters_by_enabler();
    body(bench)
}

/// A device's own memory with canaries, and a common buffer of it.
struct Own {
    dut: u32,
    source: MdlSource,
    buffer: Buffer,
}

impl Own {
    /// Turns to the device and makes them; the other device's mapping set stays as it is.
    fn make(bench: &mut Bench<'_>, dut: u32) -> Result<Self, CaseEnd> {
        Self::make_of(bench, dut, PAGES)
    }

    fn make_of(bench: &mut Bench<'_>, dut: u32, pages: u64) -> Result<Self, CaseEnd> {
        let others = bench.mappings_of(1 - dut)?;
        let own = Self::make_unwatched(bench, dut, pages)?;
        let what = format!("the creation of {}", own.buffer.name);
        bench.check_mappings_of(1 - dut, &others, &what)?;
        Ok(own)
    }

    fn make_unwatched(bench: &mut Bench<'_>, dut: u32, pages: u64) -> Result<Self, CaseEnd> {
        bench.turn_to(dut)?;
        let adapter = bench.adapter(64)?;
        let source = bench.contiguous_mdl(pages)?;
        let mut buffer = bench.create_ok(adapter, &source, None)?;
        buffer.name = format!("{} of dut{dut}", buffer.name);
        Ok(Self {
            dut,
            source,
            buffer,
        })
    }

    /// Moves data both ways by its own device.
    fn exercise(&self, bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
        bench.turn_to(self.dut)?;
        bench.exercise(&self.buffer)?;
        bench.check_canaries(&self.source)
    }

    /// The other device's mapping set stays as it is.
    fn free(&self, bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
        bench.turn_to(self.dut)?;
        let others = bench.mappings_of(1 - self.dut)?;
        bench.free(&self.buffer)?;
        let what = format!("FreeCommonBuffer of {}", self.buffer.name);
        bench.check_mappings_of(1 - self.dut, &others, &what)
    }

    /// A long request of its own device; it writes.
    fn errand(&self, channel: u32) -> Errand<'_> {
        Errand {
            dut: self.dut,
            channel,
            opcode: DMA_OP_WRITE_PATTERN,
            flags: 0,
            buffer: &self.buffer,
            offset: 0,
            length_bytes: self.buffer.length_bytes,
            seed: SEED ^ u64::from(self.dut),
        }
    }
}

/// What is asked of one device alone: the other has no buffer, so that its own cannot lie at that address
/// by chance.
fn foreign_address(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    for owner in DUTS {
        let other = 1 - owner;
        // The device's own eyes are to see what is wrong, before the mapping sets are compared.
        let own = Own::make_unwatched(bench, owner, PAGES)?;
        own.exercise(bench)?;
        bench.turn_to(other)?;
        let pages = (0..PAGES).map(|page| own.buffer.at(page * PAGE_SIZE).raw());
        if let Some((page, status)) = bench.probe_pages(pages, DMA_STATUS_UNMAPPED)? {
            return Err(Finding {
                view: "device",
                what: format!("a probe by dut{other} of a buffer that is not its own"),
                buffer: Some(own.buffer.name),
                logical_address: Some(page),
                expected: "unmapped".into(),
                seen: describe_dma_status(status),
            }
            .into());
        }
        // The device may have had a buffer of its own at that address, which is gone.
        let probed = bench.declare(&own.buffer, true, true)?;
        for is_write in [false, true] {
            bench.refused_by_iommu(&own.buffer, is_write)?;
        }
        bench.undeclare(probed)?;
        own.exercise(bench)?;
        own.free(bench)?;
    }
    Ok(())
}

fn in_turn(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let first = Own::make(bench, 0)?;
    let second = Own::make(bench, 1)?;
    let (a, b) = (first.buffer.logical_address, second.buffer.logical_address);
    bench.observe(format!("seen: buffers at {a} of dut0 and {b} of dut1"));
    for own in [&first, &second, &first] {
        own.exercise(bench)?;
    }
    second.free(bench)?;
    first.free(bench)
}

/// On each device one channel writes a long pattern, and another one reads a short one by message.
fn at_once(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    const READ_BYTES: u64 = 2 * PAGE_SIZE;
    let mut owns = Vec::new();
    for dut in DUTS {
        owns.push((
            Own::make_of(bench, dut, LONG_PAGES)?,
            Own::make(bench, dut)?,
        ));
    }
    let mut errands = Vec::new();
    for (long, short) in &owns {
        let seed = !SEED ^ u64::from(short.dut);
        bench.turn_to(short.dut)?;
        for own in [long, short] {
            bench.declare(&own.buffer, true, true)?;
        }
        bench.cpu_fill(&short.buffer, seed)?;
        errands.push(long.errand(2));
        errands.push(Errand {
            opcode: DMA_OP_VERIFY_PATTERN,
            flags: DESCRIPTOR_FLAG_MESSAGE,
            length_bytes: READ_BYTES,
            seed,
            ..short.errand(3)
        });
    }
    bench.start(&errands)?;
    for errand in &errands {
        bench.turn_to(errand.dut)?;
        bench.await_end(errand)?;
    }
    for (long, short) in &owns {
        bench.check_canaries(&long.source)?;
        bench.check_canaries(&short.source)?;
    }
    Ok(())
}

fn free_one(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let [first, second] = [Own::make(bench, 0)?, Own::make(bench, 1)?];
    first.free(bench)?;
    second.exercise(bench)?;
    let first = Own::make(bench, 0)?;
    second.free(bench)?;
    first.exercise(bench)?;
    first.free(bench)
}

/// The first device's request hangs until its driver resets it; the second's is under way all the while.
fn reset(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let first = Own::make(bench, 0)?;
    let second = Own::make_of(bench, 1, LONG_PAGES)?;
    bench.declare(&second.buffer, false, true)?;
    let errand = second.errand(2);
    bench.turn_to(0)?;
    bench.declare(&first.buffer, true, true)?;
    let what = "a transfer that hangs beside another device";
    let by = (TransferMode::RegisterInterrupt, CHANNEL);
    let result = bench.under_faults(HANG, |bench| {
        bench.start(std::slice::from_ref(&errand))?;
        bench.transfer_recovering(&first.buffer, by, DMA_OP_WRITE_PATTERN, SEED)
    })?;
    bench.judge_survival(what, &first.buffer, &result, Survival::at_attempt(2))?;
    bench.cpu_check(what, &first.buffer, SEED)?;
    bench.turn_to(1)?;
    bench.await_end(&errand)?;
    bench.check_canaries(&second.source)?;
    bench.check_canaries(&first.source)
}

/// The stop takes adapter and buffer of the first device along.
fn stop(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let first = Own::make(bench, 0)?;
    let second = Own::make(bench, 1)?;
    first.exercise(bench)?;
    let others = bench.mappings_of(1)?;
    bench.order("pnp query-stop dut0")?;
    bench.order("pnp stop dut0")?;
    bench.check_mappings_of(1, &others, "the stop of dut0")?;
    second.exercise(bench)?;
    restarted(bench, &second, &["pnp start dut0"])
}

/// The orders bring the first device back, with nothing of the case; then both work.
fn restarted(bench: &mut Bench<'_>, second: &Own, orders: &[&str]) -> Result<(), CaseEnd> {
    orders.iter().try_for_each(|order| bench.order(order))?;
    bench.turn_to(0)?;
    bench.take_as_before()?;
    let first = Own::make(bench, 0)?;
    first.exercise(bench)?;
    second.exercise(bench)?;
    first.free(bench)?;
    second.free(bench)
}

fn d3(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    asleep(bench, ["power d3 dut0", "power d0 dut0"])
}

/// The framework makes the device's request itself, when the system goes to sleep.
fn s3(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    asleep(bench, ["power s3 dut0", "power s0 dut0"])
}

/// The first device keeps its buffer.
fn asleep(bench: &mut Bench<'_>, [down, up]: [&str; 2]) -> Result<(), CaseEnd> {
    let first = Own::make(bench, 0)?;
    let second = Own::make(bench, 1)?;
    first.exercise(bench)?;
    bench.order(down)?;
    second.exercise(bench)?;
    bench.order(up)?;
    for own in [&first, &second] {
        own.exercise(bench)?;
        own.free(bench)?;
    }
    Ok(())
}

fn link_down(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let first = Own::make(bench, 0)?;
    let second = Own::make(bench, 1)?;
    bench.turn_to(0)?;
    let by = (TransferMode::RegisterPoll, CHANNEL);
    bench.under_faults(GONE, |bench| {
        let result = bench.transfer_recovering(&first.buffer, by, DMA_OP_WRITE_PATTERN, SEED)?;
        if result.result.outcome != OUTCOME_NO_DEVICE {
            let what = "a transfer of a device that is gone";
            return Err(driver_finding(what, "no such device under test", &result).into());
        }
        second.exercise(bench)
    })?;
    let orders = ["pnp query-stop dut0", "pnp stop dut0", "pnp start dut0"];
    restarted(bench, &second, &orders)
}
