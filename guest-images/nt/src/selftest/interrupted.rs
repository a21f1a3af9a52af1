//! Interrupts, and what they must not disturb.
#![expect(
    unsafe_code,
    reason = "assembly below its stack pointer, and the shared page as drivers read it"
)]

use core::arch::naked_asm;
use core::sync::atomic::{AtomicU64, Ordering};

use super::Test;
use super::driver_code::{self, POLL};
use crate::arch::apic;
use crate::arch::irql as cr8;
use crate::ke::interrupt::{self, Connection, Service};
use crate::ke::irql;
use crate::ke::thread::{self, Start};
use crate::ke::{time, wait};

pub(super) const TESTS: &[Test] = &[
    ("interrupt_waits_for_the_irql", interrupt_waits_for_the_irql),
    ("higher_interrupt_nests", higher_interrupt_nests),
    (
        "red_zone_and_sse_survive_interrupts",
        red_zone_and_sse_survive_interrupts,
    ),
    (
        "polling_driver_does_not_stop_others",
        polling_driver_does_not_stop_others,
    ),
    ("shared_clocks_run", shared_clocks_run),
];

const LOW_VECTOR: u8 = 0x65;
const HIGH_VECTOR: u8 = 0x95;

static EVENTS: AtomicU64 = AtomicU64::new(0);

/// Notes a digit, so that the order can be told.
fn note(digit: u64) {
    EVENTS.store(
        EVENTS.load(Ordering::Relaxed) * 10 + digit,
        Ordering::Relaxed,
    );
}

fn connection(vector: u8, service: fn(u64)) -> Connection {
    Connection {
        vector,
        synchronize_irql: vector >> 4,
        service: Service::Kernel(service),
        context: 0,
        lock: None,
    }
}

fn interrupt_waits_for_the_irql() {
    EVENTS.store(0, Ordering::Relaxed);
    let service = |_| note(u64::from(irql::current()));
    let interrupt = interrupt::connect(&connection(LOW_VECTOR, service)).expect("sane");

    let old = irql::raise(6);
    apic::send_to_self(LOW_VECTOR);
    time::stall_us(100);
    assert_eq!(EVENTS.load(Ordering::Relaxed), 0, "masked by its own level");
    cr8::set(5);
    assert_eq!(EVENTS.load(Ordering::Relaxed), 6, "at its level, at once");
    irql::lower(old);
    assert!(interrupt::disconnect(interrupt));
}

fn higher_interrupt_nests() {
    EVENTS.store(0, Ordering::Relaxed);
    let low = |_| {
        note(1);
        apic::send_to_self(HIGH_VECTOR);
        note(3);
        if EVENTS.load(Ordering::Relaxed) == 123 {
            // Its own level stays away until it is done.
            apic::send_to_self(LOW_VECTOR);
            time::stall_us(100);
            note(4);
        }
    };
    let high = |_| note(2);
    let interrupts = [connection(LOW_VECTOR, low), connection(HIGH_VECTOR, high)]
        .map(|connection| interrupt::connect(&connection).expect("sane"));

    let old = irql::raise(6);
    apic::send_to_self(LOW_VECTOR);
    cr8::set(5);
    irql::lower(old);
    assert_eq!(EVENTS.load(Ordering::Relaxed), 1_234_123);
    for interrupt in interrupts {
        assert!(interrupt::disconnect(interrupt));
    }
}

/// Keeps its data in the red zone and in xmm registers while it counts down; the number of corruptions.
#[unsafe(naked)]
extern "C" fn live_in_the_red_zone(turns: u64) -> u64 {
    naked_asm!(
        "xor eax, eax",
        "movq xmm7, rdi",
        "2:",
        "mov [rsp - 8], rdi",
        "mov [rsp - 64], rdi",
        "mov [rsp - 128], rdi",
        "movq xmm0, rdi",
        "mov ecx, 50",
        "3:",
        "dec ecx",
        "jnz 3b",
        "cmp [rsp - 8], rdi",
        "jne 4f",
        "cmp [rsp - 64], rdi",
        "jne 4f",
        "cmp [rsp - 128], rdi",
        "jne 4f",
        "movq rdx, xmm0",
        "cmp rdx, rdi",
        "jne 4f",
        "5:",
        "dec rdi",
        "jnz 2b",
        "ret",
        "4:",
        "inc rax",
        "jmp 5b",
    )
}

fn red_zone_and_sse_survive_interrupts() {
    let ticks = time::tick_count();
    while time::tick_count() < ticks + 50 {
        assert_eq!(live_in_the_red_zone(10_000), 0);
    }
}

static FLAG: AtomicU64 = AtomicU64::new(0);

fn polling_driver_does_not_stop_others() {
    FLAG.store(0, Ordering::Relaxed);
    let setter = |_| FLAG.store(1, Ordering::Relaxed);
    let thread = thread::create("setter", Start::Kernel(setter, 0)).expect("there is memory");
    let poll = driver_code::load(POLL);
    // Comes back only because the end of the quantum lets the setter run.
    driver_code::call(poll, FLAG.as_ptr().expose_provenance() as u64);
    driver_code::unload(poll);
    wait::wait_single(thread.cast(), None);
    thread::dereference(thread);
}

fn shared_clocks_run() {
    let read = |offset: u64| {
        let at = crate::memory::VirtAddr::new(crate::memory::layout::SHARED_DATA + offset);
        // SAFETY: the page is mapped for ever; the offset is that of a 32-bit field.
        unsafe { at.as_ptr::<u32>().read_volatile() }
    };
    let before = read(0x320);
    wait::delay(-50_000);
    assert!(read(0x320) > before, "the tick count stands");
    assert_eq!(
        read(0x0C),
        read(0x10),
        "both upper halves of the interrupt time"
    );
}
