//! The local APIC: end of interrupt, interrupts to oneself, the clock. And the I/O APIC, for line interrupts.

use super::dispatch::{CLOCK_VECTOR, SPURIOUS_VECTOR};
use super::guarded::Guarded;
use super::mmio::Registers;
use super::port;
use crate::memory::{GuestPhysAddr, MemoryError};

/// Where QEMU's machines have them.
const LOCAL_APIC: u64 = 0xFEE0_0000;
const IO_APIC: u64 = 0xFEC0_0000;
/// QEMU's timer counts nanoseconds at divider 1.
pub const TIMER_HZ: u64 = 1_000_000_000;
/// Nanoseconds between ticks.
const TICK_COUNT: u32 = 1_000_000;

// Local APIC registers: Intel SDM volume 3, table 11-1.
const END_OF_INTERRUPT: u64 = 0xB0;
const SPURIOUS: u64 = 0xF0;
const COMMAND: u64 = 0x300;
const TIMER: u64 = 0x320;
const LINT0: u64 = 0x350;
const LINT1: u64 = 0x360;
const INITIAL_COUNT: u64 = 0x380;
const CURRENT_COUNT: u64 = 0x390;
const DIVIDER: u64 = 0x3E0;

const SOFTWARE_ENABLE: u32 = 1 << 8;
const MASKED: u32 = 1 << 16;
const PERIODIC: u32 = 1 << 17;
const TO_SELF: u32 = 1 << 18;
const DIVIDE_BY_1: u32 = 0b1011;

// I/O APIC: index and data registers.
const IO_INDEX: u64 = 0;
const IO_DATA: u64 = 0x10;
const IO_VERSION: u32 = 1;
const IO_REDIRECTION: u32 = 0x10;
const LEVEL_LOW: u32 = 1 << 15 | 1 << 13;

/// Message address of CPU 0; the data is the vector.
pub const MESSAGE_ADDRESS: u64 = 0xFEE0_0000;

struct Apics {
    local: Registers,
    io: Registers,
}

static APICS: Guarded<Option<Apics>> = Guarded::new(None);

/// Maps the APICs, silences the legacy controllers, masks every line.
///
/// # Errors
/// If the registers cannot be mapped.
pub fn initialize() -> Result<(), MemoryError> {
    for legacy_mask in [0x21, 0xA1] {
        port::write_u8(legacy_mask, 0xFF);
    }
    let local = Registers::map(GuestPhysAddr::new(LOCAL_APIC), 0x1000)?;
    let io = Registers::map(GuestPhysAddr::new(IO_APIC), 0x20)?;
    local.write(SPURIOUS, SOFTWARE_ENABLE | u32::from(SPURIOUS_VECTOR));
    local.write(LINT0, MASKED);
    local.write(LINT1, MASKED);
    local.write(TIMER, MASKED);
    local.write(DIVIDER, DIVIDE_BY_1);
    let apics = Apics { local, io };
    for input in 0..apics.input_count() {
        apics.write_io(IO_REDIRECTION + 2 * input, MASKED);
    }
    APICS.with(|slot| *slot = Some(apics));
    Ok(())
}

/// Tells the local APIC that the handler is done.
pub fn end_of_interrupt() {
    with(|apics| apics.local.write(END_OF_INTERRUPT, 0u32));
}

/// Sends this CPU an interrupt.
pub fn send_to_self(vector: u8) {
    with(|apics| apics.local.write(COMMAND, TO_SELF | u32::from(vector)));
}

/// Starts a count down from the highest value, for calibration.
pub fn start_count() {
    with(|apics| apics.local.write(INITIAL_COUNT, u32::MAX));
}

/// Timer counts since [`start_count`].
#[must_use]
pub fn elapsed_count() -> u32 {
    APICS.with(|slot| {
        slot.as_ref()
            .map_or(0, |apics| u32::MAX - apics.local.read::<u32>(CURRENT_COUNT))
    })
}

/// Starts the tick of 1 ms.
pub fn start_clock() {
    with(|apics| {
        apics.local.write(TIMER, PERIODIC | u32::from(CLOCK_VECTOR));
        apics.local.write(INITIAL_COUNT, TICK_COUNT);
    });
}

/// Routes an input of the I/O APIC, level triggered, to a vector; `None` masks it. False if there is no such
/// input.
#[must_use]
pub fn route_line(input: u32, vector: Option<u8>) -> bool {
    APICS.with(|slot| {
        let Some(apics) = slot.as_ref().filter(|apics| input < apics.input_count()) else {
            return false;
        };
        let low = vector.map_or(MASKED, |vector| LEVEL_LOW | u32::from(vector));
        apics.write_io(IO_REDIRECTION + 2 * input + 1, 0);
        apics.write_io(IO_REDIRECTION + 2 * input, low);
        true
    })
}

/// Masks the inputs of the I/O APIC that lead to a vector.
pub fn mask_vector(vector: u8) {
    with(|apics| {
        for input in 0..apics.input_count() {
            let index = IO_REDIRECTION + 2 * input;
            if apics.read_io(index) & 0xFF == u32::from(vector) {
                apics.write_io(index, MASKED);
            }
        }
    });
}

/// Before [`initialize`] there is nothing to tell.
fn with(body: impl FnOnce(&Apics)) {
    APICS.with(|slot| {
        if let Some(apics) = slot {
            body(apics);
        }
    });
}

impl Apics {
    fn input_count(&self) -> u32 {
        (self.read_io(IO_VERSION) >> 16 & 0xFF) + 1
    }

    fn read_io(&self, index: u32) -> u32 {
        self.io.write(IO_INDEX, index);
        self.io.read(IO_DATA)
    }

    fn write_io(&self, index: u32, value: u32) {
        self.io.write(IO_INDEX, index);
        self.io.write(IO_DATA, value);
    }
}
