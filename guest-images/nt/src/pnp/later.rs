//! IRPs that the bus driver completes from a DPC, a moment after it returned STATUS_PENDING (`bus=pending`).

use crate::arch::win64::Routine;
use crate::ke::Foreign;
use crate::ke::dpc::{self, Dpc};
use crate::ke::timer::{self, Timer, TimerKind};
use crate::ntoskrnl::objects::Irp;
use crate::ntoskrnl::shared::{address_of, shared};
use crate::ntoskrnl::{io_irp, kernel_memory};

const TAG: u32 = u32::from_le_bytes(*b"PciL");
/// KTIMER, then KDPC.
const DPC_OFFSET: u64 = size_of::<Timer>() as u64;
const BLOCK_BYTES: u64 = DPC_OFFSET + size_of::<Dpc>() as u64;
/// 1 ms, in units of 100 ns.
const DELAY: i64 = -10_000;

/// Has the IRP completed in a while; false where memory is short.
pub(super) fn complete(irp: &Irp) -> bool {
    let routine = Routine::new((expired as *const ()).expose_provenance() as u64);
    let block = kernel_memory::allocate(BLOCK_BYTES, TAG);
    let (Some(routine), Some(block)) = (routine, block) else {
        return false;
    };
    let timer = Foreign::<Timer>::checked(block);
    let dpc = Foreign::<Dpc>::checked(block + DPC_OFFSET);
    timer::initialize(timer, TimerKind::Notification);
    dpc::initialize(dpc, routine, address_of(irp));
    timer::set(timer, DELAY, 0, Some(dpc));
    true
}

/// The DPC: its timer has expired, and both may go.
extern "win64" fn expired(dpc: u64, irp: u64, _argument1: u64, _argument2: u64) {
    kernel_memory::free(dpc - DPC_OFFSET);
    io_irp::complete(shared(irp));
}
