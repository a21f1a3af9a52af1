//! What must end in a bug check or a panic line: each of these is a boot of its own, and whoever boots it
//! expects its end.

use super::Test;
use super::driver_code::{self, DIVIDE, FAST_FAIL, RAISE, STORE};
use crate::arch::win64::Routine;
use crate::ke::dpc::{self, Dpc};
use crate::ke::irql::{self, DISPATCH_LEVEL};
use crate::ke::timer::{self, Timer, TimerKind};
use crate::ke::{Foreign, pool, spin_lock, wait};
use crate::memory::VirtAddr;
use crate::memory::pool::{Content, PoolKind, PoolRequest};

/// How a test must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// A bug check of that code.
    BugCheck(u32),
    /// A bug check of that code and first parameter.
    Violation(u32, u64),
    /// A broken rule without a documented code, by its finding.
    Stop(&'static str),
    /// A finding of that id, and the run goes on.
    Finding(&'static str),
    /// The kernel's own panic.
    Panic,
}

/// Test, end.
pub(super) const TESTS: &[(Test, End)] = &[
    (
        ("driver_touches_null", driver_touches_null),
        End::BugCheck(0x50),
    ),
    (
        ("driver_runs_over_its_pool", driver_runs_over_its_pool),
        End::BugCheck(0x50),
    ),
    (
        ("driver_faults_in_its_dpc", driver_faults_in_its_dpc),
        End::BugCheck(0xD1),
    ),
    (
        ("driver_divides_by_zero", driver_divides_by_zero),
        End::BugCheck(0x1E),
    ),
    (
        ("driver_fails_fast", driver_fails_fast),
        End::BugCheck(0x139),
    ),
    (
        ("dpc_changes_the_irql", dpc_changes_the_irql),
        End::BugCheck(0xC8),
    ),
    (
        ("pool_is_freed_twice", pool_is_freed_twice),
        End::BugCheck(0xC2),
    ),
    (
        (
            "pool_is_freed_with_another_tag",
            pool_is_freed_with_another_tag,
        ),
        End::BugCheck(0xC2),
    ),
    (("pool_was_overrun", pool_was_overrun), End::BugCheck(0xC1)),
    (
        ("pool_was_underrun", pool_was_underrun),
        End::BugCheck(0xC1),
    ),
    (
        ("live_timer_is_freed", live_timer_is_freed),
        End::BugCheck(0xC7),
    ),
    (("wait_in_dpc", wait_in_dpc), End::BugCheck(0xB8)),
    (
        ("wait_at_dispatch_level", wait_at_dispatch_level),
        End::BugCheck(0x0A),
    ),
    (
        ("spin_lock_is_taken_twice", spin_lock_is_taken_twice),
        End::BugCheck(0x0F),
    ),
    (
        ("bad_pointer_for_an_object", bad_pointer_for_an_object),
        End::BugCheck(0x50),
    ),
    (("kernel_panics", kernel_panics), End::Panic),
    (("kernel_faults", kernel_faults), End::Panic),
    (
        ("kernel_stack_overflows", kernel_stack_overflows),
        End::Panic,
    ),
];

const TAG: u32 = u32::from_le_bytes(*b"Test");

fn allocate(len_bytes: u64) -> VirtAddr {
    pool::allocate(&PoolRequest {
        len_bytes,
        tag: TAG,
        kind: PoolKind::NonPaged,
        content: Content::Zero,
        executable: false,
        caller: 0,
    })
    .expect("there is memory")
}

fn object<T>() -> Foreign<T> {
    Foreign::checked(allocate(size_of::<T>() as u64).as_u64())
}

fn driver_touches_null() {
    driver_code::call(driver_code::load(STORE), 0);
}

fn driver_runs_over_its_pool() {
    let address = allocate(16);
    driver_code::call(driver_code::load(STORE), address.as_u64() + 16);
}

fn run_as_dpc(routine: Routine) {
    let dpc: Foreign<Dpc> = object();
    dpc::initialize(dpc, routine, 0);
    dpc::insert(dpc, 0, 0);
    wait::delay(-100_000);
}

fn driver_faults_in_its_dpc() {
    // mov dword ptr [rdx], 1: the context is null.
    run_as_dpc(driver_code::load(&[0xC7, 0x02, 1, 0, 0, 0, 0xC3]));
}

fn driver_divides_by_zero() {
    driver_code::call(driver_code::load(DIVIDE), 0);
}

fn driver_fails_fast() {
    driver_code::call(driver_code::load(FAST_FAIL), 3);
}

fn dpc_changes_the_irql() {
    run_as_dpc(driver_code::load(RAISE));
}

fn pool_is_freed_twice() {
    let address = allocate(100);
    pool::free(address, TAG);
    pool::free(address, TAG);
}

fn pool_is_freed_with_another_tag() {
    pool::free(allocate(100), TAG + 1);
}

fn pool_was_overrun() {
    let address = allocate(100);
    driver_code::call(driver_code::load(STORE), address.as_u64() + 100);
    pool::free(address, TAG);
}

fn pool_was_underrun() {
    let address = allocate(100);
    driver_code::call(driver_code::load(STORE), address.as_u64() - 4);
    pool::free(address, TAG);
}

fn live_timer_is_freed() {
    let timer: Foreign<Timer> = object();
    timer::initialize(timer, TimerKind::Notification);
    timer::set(timer, -100_000_000, 0, None);
    pool::free(VirtAddr::new(timer.address()), TAG);
}

extern "win64" fn waiting_dpc(_dpc: u64, _context: u64, _argument1: u64, _argument2: u64) {
    wait::delay(-10_000);
}

fn wait_in_dpc() {
    run_as_dpc(Routine::new(waiting_dpc as *const () as u64).expect("not null"));
}

fn wait_at_dispatch_level() {
    irql::raise(DISPATCH_LEVEL);
    wait::delay(-10_000);
}

fn spin_lock_is_taken_twice() {
    let lock = object();
    spin_lock::initialize(lock);
    let _ = spin_lock::acquire(lock);
    let _ = spin_lock::acquire(lock);
}

fn bad_pointer_for_an_object() {
    let _: Foreign<Dpc> = Foreign::checked(0xFFFF_9000_0000_0000 - 0x1000);
}

fn kernel_panics() {
    panic!("asked for, with \"quotes\"");
}

#[expect(unsafe_code, reason = "breaks things on purpose")]
fn kernel_faults() {
    // SAFETY: none; that is the test.
    unsafe { core::ptr::with_exposed_provenance_mut::<u64>(0x10).write_volatile(1) };
}

fn kernel_stack_overflows() {
    fn deeper(depth: u64) -> u64 {
        let frame = core::hint::black_box([depth; 64]);
        if frame[0] == u64::MAX {
            0
        } else {
            deeper(depth + 1) + frame[63]
        }
    }
    core::hint::black_box(deeper(0));
}
