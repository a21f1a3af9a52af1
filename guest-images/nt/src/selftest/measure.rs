//! What an access to a BAR costs the guest. Run by name alone, as it needs our functions on the bus: those of
//! one device ID are measured in turns, so that a peer under the same ID is compared in the same run.

use alloc::format;
use alloc::vec::Vec;

use super::Test;
use crate::arch::clock;
use crate::arch::mmio::Registers;
use crate::console::Event;
use crate::pci::{self, Function, command};

pub(super) const MEASUREMENTS: &[Test] = &[("bar_access", bar_access)];

const VENDOR: u16 = 0x1234;
/// Devices under test: BAR 0 is trapped, and writes to its scratch register are posted.
const TRAPPED: u16 = 0xD0A0;
/// Control function: BAR 0 is memory that the guest maps.
const MAPPABLE: u16 = 0xD0C0;
const SCRATCH: u64 = 0x10;
/// Behind what the mailbox uses.
const UNUSED: u64 = 0xFFF8;

const N_ROUNDS: u64 = 15;
const N_READS: u64 = 1000;
const N_WRITES: u64 = 5000;
const N_MAPPED_READS: u64 = 200_000;

/// Nanoseconds in a unit of the clock.
const UNIT_NS: u64 = 100;

fn bar_access() {
    let trapped = bars(TRAPPED);
    let mappable = bars(MAPPABLE);
    assert!(!trapped.is_empty(), "there is no device under test");
    for round in 0..N_ROUNDS {
        for (number, bar) in trapped.iter().enumerate() {
            report("read", number, round, N_READS, || {
                let _ = bar.read::<u32>(SCRATCH);
            });
            report("posted write", number, round, N_WRITES, || {
                bar.write(SCRATCH, 1_u32);
            });
            // Waits for what was posted, so that the next round begins with an empty queue.
            let _ = bar.read::<u32>(SCRATCH);
        }
        for (number, bar) in mappable.iter().enumerate() {
            report("mapped read", number, round, N_MAPPED_READS, || {
                let _ = bar.read::<u32>(UNUSED);
            });
        }
    }
}

/// BAR 0 of every function with that device ID, in bus order.
fn bars(device_id: u16) -> Vec<Registers> {
    let is_wanted =
        |function: &Function| function.vendor_id == VENDOR && function.device_id == device_id;
    let functions = pci::devices().into_iter().filter(is_wanted);
    functions
        .map(|function| {
            pci::update_command(function.id, command::MEMORY, 0);
            let bar = function.bars.first().expect("our functions have a BAR 0");
            let address = bar.address.expect("there was room for it");
            Registers::map(address, bar.len_bytes).expect("room")
        })
        .collect()
}

fn report(what: &str, number: usize, round: u64, count: u64, mut access: impl FnMut()) {
    let start = clock::now();
    for _ in 0..count {
        access();
    }
    let ps = (clock::now() - start) * UNIT_NS * 1000 / count;
    Event::new("measured")
        .text("what", what)
        .display("number", &number)
        .display("round", &round)
        .text("ns", &format!("{}.{:03}", ps / 1000, ps % 1000))
        .send();
}
