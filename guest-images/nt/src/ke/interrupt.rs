//! KINTERRUPT: which driver routine runs on which vector.

use alloc::vec::Vec;
use core::mem::offset_of;

use super::foreign::{leak, reclaim};
use super::irql::{self, Irql};
use super::spin_lock::{self, SpinLock};
use super::{Foreign, NtStatus};
use crate::arch::dispatch::{self, Interrupted};
use crate::arch::guarded::Guarded;
use crate::arch::win64::Routine;

/// Device IRQLs; the IRQL of a vector is its upper four bits.
const DEVICE_LEVELS: core::ops::RangeInclusive<Irql> = 3..=11;
/// Vectors of one IRQL.
const VECTORS_PER_LEVEL: u8 = 16;
/// Interrupts in a row on one vector that no routine of a line claims before it is called stuck.
const MAX_UNCLAIMED: u32 = 10_000;

/// KINTERRUPT; its content is ours.
#[derive(Debug)]
#[repr(C)]
pub struct Interrupt {
    object_type: u16,
    size_bytes: u16,
    reserved: u32,
    lock: SpinLock,
}

/// InterruptObject of KOBJECTS.
const INTERRUPT_OBJECT: u16 = 22;

/// The service routine's form.
#[derive(Clone, Copy, Debug)]
pub enum Service {
    /// KSERVICE_ROUTINE(interrupt, context).
    Line(Routine),
    /// KMESSAGE_SERVICE_ROUTINE(interrupt, context, message number).
    Message(Routine, u32),
    /// The kernel's own.
    Kernel(fn(u64)),
}

/// What [`connect`] connects.
#[derive(Clone, Copy, Debug)]
pub struct Connection {
    /// Interrupt vector; its upper 4 bits are the interrupt's own IRQL.
    pub vector: u8,
    /// IRQL the routine runs at: at least that of the vector.
    pub synchronize_irql: Irql,
    /// The routine.
    pub service: Service,
    /// Its context.
    pub context: u64,
    /// The driver's own interrupt spin lock, if it brings one.
    pub lock: Option<Foreign<SpinLock>>,
}

#[derive(Clone, Copy)]
struct Connected {
    interrupt: Foreign<Interrupt>,
    connection: Connection,
}

struct Table {
    connected: Vec<Connected>,
    /// Vectors handed out, a bit each.
    allocated: [u16; 16],
    unclaimed: u32,
}

static TABLE: Guarded<Table> = Guarded::new(Table {
    connected: Vec::new(),
    allocated: [0; 16],
    unclaimed: 0,
});

/// Connects a routine to a vector. Several may share one.
///
/// # Errors
/// STATUS_INVALID_PARAMETER for a vector or IRQL that devices cannot have.
pub fn connect(connection: &Connection) -> Result<Foreign<Interrupt>, NtStatus> {
    let own_level = connection.vector >> 4;
    let is_sane = DEVICE_LEVELS.contains(&own_level)
        && (own_level..=irql::HIGH_LEVEL).contains(&connection.synchronize_irql);
    if !is_sane {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    let interrupt = leak(Interrupt {
        object_type: INTERRUPT_OBJECT,
        size_bytes: u16::try_from(size_of::<Interrupt>()).expect("small"),
        reserved: 0,
        lock: SpinLock::default(),
    });
    TABLE.with(|table| {
        table.connected.push(Connected {
            interrupt,
            connection: *connection,
        });
    });
    dispatch::set_handler(connection.vector, Some(handle));
    Ok(interrupt)
}

/// Disconnects it; false if `interrupt` is not connected. On one CPU none of its routines is running then,
/// unless one of them is the caller.
pub fn disconnect(interrupt: Foreign<Interrupt>) -> bool {
    let Some(vector) = TABLE.with(|table| table.remove(interrupt)) else {
        return false;
    };
    let is_last = TABLE.with(|table| table.nth_on(vector, 0).is_none());
    if is_last {
        dispatch::set_handler(vector, None);
    }
    free(interrupt);
    true
}

/// Whether this is a connected interrupt object.
#[must_use]
pub fn is_connected(interrupt: Foreign<Interrupt>) -> bool {
    TABLE.with(|table| table.find(interrupt).is_some())
}

/// KeSynchronizeExecution: the result of the routine. False if `interrupt` is not connected.
pub fn synchronize(interrupt: Foreign<Interrupt>, routine: Routine, context: u64) -> bool {
    let Some(connected) = TABLE.with(|table| table.find(interrupt)) else {
        return false;
    };
    connected.locked(|| call_synchronized(routine, context))
}

/// KeAcquireInterruptSpinLock: returns the old IRQL.
#[must_use]
pub fn acquire_lock(interrupt: Foreign<Interrupt>) -> Irql {
    let Some(connected) = TABLE.with(|table| table.find(interrupt)) else {
        return irql::current();
    };
    let old = irql::raise(connected.connection.synchronize_irql);
    spin_lock::acquire_at_dpc_level(connected.lock());
    old
}

/// KeReleaseInterruptSpinLock.
pub fn release_lock(interrupt: Foreign<Interrupt>, old: Irql) {
    if let Some(connected) = TABLE.with(|table| table.find(interrupt)) {
        spin_lock::release_from_dpc_level(connected.lock());
        irql::lower(old);
    }
}

/// Connected interrupt objects, for the leak report.
#[must_use]
pub fn connected_count() -> usize {
    TABLE.with(|table| {
        let connected = table.connected.iter();
        connected
            .filter(|connected| !matches!(connected.connection.service, Service::Kernel(_)))
            .count()
    })
}

/// Interrupt objects of drivers that are connected to a vector.
#[must_use]
pub fn connected_to(vector: u8) -> usize {
    TABLE.with(|table| {
        let connected = table.connected.iter();
        connected
            .filter(|connected| connected.connection.vector == vector)
            .count()
    })
}

/// The IRQL of a vector.
#[must_use]
pub const fn level_of(vector: u8) -> Irql {
    vector >> 4
}

/// `count` free vectors, of one device IRQL (3 to 11) as long as it has some, then of the ones below and above. All
/// of them or none.
#[must_use]
pub fn allocate_vectors(count: u16, level: Irql) -> Option<Vec<u8>> {
    let below = (*DEVICE_LEVELS.start()..level).rev();
    let above = level.saturating_add(1)..=*DEVICE_LEVELS.end();
    let levels = core::iter::once(level).chain(below).chain(above);
    let mut free = levels.flat_map(|level| core::iter::from_fn(move || allocate_vector(level)));
    let vectors: Vec<u8> = free.by_ref().take(usize::from(count)).collect();
    if vectors.len() == usize::from(count) {
        return Some(vectors);
    }
    vectors.into_iter().for_each(free_vector);
    None
}

/// `count` vectors in a row from a multiple of `count` on, a power of two to 32, as MSI wants them: from the highest
/// place at or below that of `level`, or else the highest of all.
#[must_use]
pub fn allocate_block(count: u8, level: Irql) -> Option<Vec<u8>> {
    debug_assert!(count.is_power_of_two() && count <= 2 * VECTORS_PER_LEVEL);
    let (low, high) = (DEVICE_LEVELS.start() << 4, (DEVICE_LEVELS.end() << 4) | 15);
    let place = |first: u8| first >= low && first <= high - (count - 1);
    let firsts = (low..=high)
        .rev()
        .filter(|first| first.is_multiple_of(count) && place(*first));
    let (near, far): (Vec<u8>, Vec<u8>) = firsts.partition(|first| level_of(*first) <= level);
    TABLE.with(|table| {
        let is_free = |first: &u8| (*first..=first + (count - 1)).all(|it| !table.is_allocated(it));
        let first = near.into_iter().chain(far).find(is_free)?;
        let vectors: Vec<u8> = (first..=first + (count - 1)).collect();
        for vector in &vectors {
            table.allocated[usize::from(level_of(*vector))] |= 1 << (vector & 15);
        }
        Some(vectors)
    })
}

/// A free vector of the given device IRQL (3 to 11).
#[must_use]
pub fn allocate_vector(level: Irql) -> Option<u8> {
    if !DEVICE_LEVELS.contains(&level) {
        return None;
    }
    TABLE.with(|table| {
        let word = &mut table.allocated[usize::from(level)];
        let free = u8::try_from(word.trailing_ones()).ok()?;
        (free < VECTORS_PER_LEVEL).then(|| {
            *word |= 1 << free;
            level << 4 | free
        })
    })
}

/// Gives a vector back.
pub fn free_vector(vector: u8) {
    TABLE.with(|table| table.allocated[usize::from(level_of(vector))] &= !(1 << (vector & 15)));
}

/// Calls the routines of a vector: all of a message's, a line's until one claims the interrupt.
fn handle(interrupted: Interrupted) {
    let mut has_line = false;
    for idx in 0.. {
        let Some(connected) = TABLE.with(|table| table.nth_on(interrupted.vector, idx)) else {
            break;
        };
        let is_claimed = connected.locked(|| connected.serve());
        if matches!(connected.connection.service, Service::Line(_)) {
            has_line = true;
            if is_claimed {
                TABLE.with(|table| table.unclaimed = 0);
                return;
            }
        }
    }
    if has_line {
        note_unclaimed(interrupted.vector);
    }
}

/// A level-triggered line that nobody quiets would come for ever.
fn note_unclaimed(vector: u8) {
    let unclaimed = TABLE.with(|table| {
        table.unclaimed += 1;
        table.unclaimed
    });
    if unclaimed == MAX_UNCLAIMED {
        dispatch::set_handler(vector, None);
        crate::console::Event::new("finding")
            .text("id", "line-interrupt-stuck")
            .display(
                "detail",
                &format_args!("vector {vector:#x}: no routine claims it"),
            )
            .send();
        crate::arch::apic::mask_vector(vector);
    }
}

impl Connected {
    fn lock(&self) -> Foreign<SpinLock> {
        self.connection.lock.unwrap_or_else(|| {
            let offset = offset_of!(Interrupt, lock) as u64;
            Foreign::checked(self.interrupt.address() + offset)
        })
    }

    fn locked<R>(&self, body: impl FnOnce() -> R) -> R {
        let level = self.connection.synchronize_irql;
        irql::at(level, || {
            spin_lock::acquire_at_dpc_level(self.lock());
            let result = body();
            spin_lock::release_from_dpc_level(self.lock());
            result
        })
    }

    #[expect(unsafe_code, reason = "calls a driver's service routine")]
    fn serve(&self) -> bool {
        let (interrupt, context) = (self.interrupt.address(), self.connection.context);
        // SAFETY: service routines as the driver registered them, at their IRQL with their lock held, as they
        // are promised; no guard is held. BOOLEAN is the low byte.
        let result = unsafe {
            match self.connection.service {
                Service::Line(routine) => routine.call2(interrupt, context),
                Service::Message(routine, message) => {
                    routine.call3(interrupt, context, u64::from(message))
                }
                Service::Kernel(routine) => {
                    routine(context);
                    1
                }
            }
        };
        result & 0xFF != 0
    }
}

impl Table {
    fn is_allocated(&self, vector: u8) -> bool {
        self.allocated[usize::from(level_of(vector))] & (1 << (vector & 15)) != 0
    }

    fn find(&self, interrupt: Foreign<Interrupt>) -> Option<Connected> {
        let mut connected = self.connected.iter();
        connected
            .find(|connected| connected.interrupt == interrupt)
            .copied()
    }

    fn nth_on(&self, vector: u8, idx: usize) -> Option<Connected> {
        let connected = self.connected.iter();
        connected
            .filter(|connected| connected.connection.vector == vector)
            .nth(idx)
            .copied()
    }

    fn remove(&mut self, interrupt: Foreign<Interrupt>) -> Option<u8> {
        let mut connected = self.connected.iter();
        let idx = connected.position(|connected| connected.interrupt == interrupt)?;
        Some(self.connected.remove(idx).connection.vector)
    }
}

#[expect(unsafe_code, reason = "calls a driver's synchronized routine")]
fn call_synchronized(routine: Routine, context: u64) -> bool {
    // SAFETY: a KSYNCHRONIZE_ROUTINE as the driver gave it, at the interrupt's IRQL with its lock held.
    let result = unsafe { routine.call1(context) };
    result & 0xFF != 0
}

#[expect(unsafe_code, reason = "frees the object that `connect` leaked")]
fn free(interrupt: Foreign<Interrupt>) {
    // SAFETY: it came from `leak`, and the table has forgotten it.
    unsafe { reclaim(interrupt) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_are_given_out_and_come_back() {
        vectors_of_a_level_run_out_and_come_back();
        many_vectors_are_of_several_levels_and_all_or_none();
        block_lies_at_a_multiple_of_its_length();
    }

    /// By [`vectors_are_given_out_and_come_back`].
    fn vectors_of_a_level_run_out_and_come_back() {
        let mut vectors: Vec<u8> = (0..16).filter_map(|_| allocate_vector(7)).collect();
        vectors.sort_unstable();
        assert_eq!(vectors, (0x70..0x80).collect::<Vec<u8>>());
        assert_eq!(allocate_vector(7), None);
        free_vector(0x75);
        assert_eq!(allocate_vector(7), Some(0x75));
        for level in [0, 2, 12, 255] {
            assert_eq!(allocate_vector(level), None, "{level}");
        }
        vectors.into_iter().for_each(free_vector);
    }

    /// By [`vectors_are_given_out_and_come_back`]: the table is one for all tests.
    fn many_vectors_are_of_several_levels_and_all_or_none() {
        let many = allocate_vectors(40, 5).expect("there are 144");
        let of = |level| many.iter().filter(|it| level_of(**it) == level).count();
        assert_eq!([of(5), of(4), of(3)], [16, 16, 8]);
        assert_eq!(allocate_vectors(105, 5), None);
        let rest = allocate_vectors(104, 5).expect("none was lost");
        assert_eq!(allocate_vector(11), None);
        many.into_iter().chain(rest).for_each(free_vector);
    }

    /// By [`vectors_are_given_out_and_come_back`].
    fn block_lies_at_a_multiple_of_its_length() {
        assert_eq!(allocate_block(4, 6), Some((0x6C..0x70).collect()));
        assert_eq!(allocate_block(32, 6), Some((0x40..0x60).collect()));
        assert_eq!(allocate_block(32, 6), Some((0xA0..0xC0).collect()));
        let one = allocate_vector(8).expect("free");
        assert_eq!(allocate_block(32, 6), None);
        assert_eq!(allocate_block(16, 6), Some((0x30..0x40).collect()));
        free_vector(one);
        for vector in (0x30..0x60).chain(0x6C..0x70).chain(0xA0..0xC0) {
            free_vector(vector);
        }
    }

    #[test]
    fn connection_of_a_foreign_level_is_refused() {
        let connection = |vector, synchronize_irql| Connection {
            vector,
            synchronize_irql,
            service: Service::Kernel(|_| {}),
            context: 0,
            lock: None,
        };
        for (vector, level) in [(0x2F, 5), (0xD1, 13), (0x60, 5), (0x60, 16)] {
            let refused = connect(&connection(vector, level));
            assert_eq!(refused, Err(NtStatus::INVALID_PARAMETER), "{vector:#x}");
        }
        let interrupt = connect(&connection(0x61, 8)).expect("sane");
        assert!(is_connected(interrupt));
        assert!(disconnect(interrupt));
        assert!(!is_connected(interrupt));
    }
}
