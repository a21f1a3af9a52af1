//! KUSER_SHARED_DATA: the page at 0xFFFFF780_00000000 whose clocks drivers read inline.

use crate::arch::guarded::Guarded;
use crate::arch::mmio::Registers;
use crate::memory::{self, MemoryError};

use super::time;

// Offsets as drivers are compiled with.
const TICK_COUNT_MULTIPLIER: u64 = 0x04;
const INTERRUPT_TIME: u64 = 0x08;
const SYSTEM_TIME: u64 = 0x14;
const NT_MAJOR_VERSION: u64 = 0x26C;
const NT_MINOR_VERSION: u64 = 0x270;
const TICK_COUNT: u64 = 0x320;
/// Milliseconds in a tick as a fraction of 2^24: a tick is 1 ms.
const ONE_MS_TICKS: u32 = 1 << 24;
const MAJOR_VERSION: u32 = 10;

static PAGE: Guarded<Option<Registers>> = Guarded::new(None);

/// Maps the page, read-only at its fixed address and writable elsewhere.
pub(super) fn map() -> Result<(), MemoryError> {
    let frame = memory::map_shared_data()?;
    let page = Registers::map(frame.start(), memory::PAGE_SIZE)?;
    page.write(TICK_COUNT_MULTIPLIER, ONE_MS_TICKS);
    page.write(NT_MAJOR_VERSION, MAJOR_VERSION);
    page.write(NT_MINOR_VERSION, 0u32);
    PAGE.with(|slot| *slot = Some(page));
    update(0);
    Ok(())
}

/// Writes the clocks; `now` in 100 ns since boot.
pub(super) fn update(now: u64) {
    PAGE.with(|slot| {
        if let Some(page) = slot {
            write_time(page, INTERRUPT_TIME, now);
            write_time(page, SYSTEM_TIME, time::system_time_at(now));
            write_time(page, TICK_COUNT, now / u64::from(time::TIME_INCREMENT));
        }
    });
}

/// KSYSTEM_TIME: the upper half twice, written in the order that readers rely on.
fn write_time(page: &Registers, offset: u64, value: u64) {
    let bytes = value.to_le_bytes();
    let [a, b, c, d, e, f, g, h] = bytes;
    let (low, high) = (
        u32::from_le_bytes([a, b, c, d]),
        u32::from_le_bytes([e, f, g, h]),
    );
    page.write(offset + 8, high);
    page.write(offset, low);
    page.write(offset + 4, high);
}
