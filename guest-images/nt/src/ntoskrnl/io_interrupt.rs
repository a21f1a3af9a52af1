//! IoConnectInterruptEx and its opposite, in the three forms that drivers use.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::cell::Cell;

use super::kernel_memory;
use super::shared::{read_u64, shared, write_u64};
use super::status::{self, NtStatus};
use super::verifier;
use crate::arch::guarded::Guarded;
use crate::arch::win64::Routine;
use crate::ke::interrupt::{self, Connection, Interrupt, Service, level_of};
use crate::ke::irql::PASSIVE_LEVEL;
use crate::ke::spin_lock::SpinLock;
use crate::ke::{Foreign, irql::Irql};
use crate::pnp::device::{self, Vectors};

const TABLE_TAG: u32 = u32::from_le_bytes(*b"IntM");
const FULLY_SPECIFIED: u32 = 1;
const LINE_BASED: u32 = 2;
const MESSAGE_BASED: u32 = 3;
const FULLY_SPECIFIED_GROUP: u32 = 4;

/// Message tables given out, with their interrupt objects.
static TABLES: Guarded<BTreeMap<u64, Vec<u64>>> = Guarded::new(BTreeMap::new());

/// IO_CONNECT_INTERRUPT_PARAMETERS, read once.
struct Parameters {
    pdo: u64,
    /// Where the interrupt object or the message table goes.
    result: u64,
    routine: u64,
    context: u64,
    lock: u64,
    synchronize_irql: Irql,
    fallback: u64,
    vector: u32,
    irql: Irql,
}

impl Parameters {
    fn read(at: u64) -> Self {
        let byte = |offset| shared::<Cell<u8>>(at.wrapping_add(offset)).get();
        Self {
            pdo: read_u64(at.wrapping_add(0x08)),
            result: read_u64(at.wrapping_add(0x10)),
            routine: read_u64(at.wrapping_add(0x18)),
            context: read_u64(at.wrapping_add(0x20)),
            lock: read_u64(at.wrapping_add(0x28)),
            synchronize_irql: byte(0x30),
            fallback: read_u64(at.wrapping_add(0x38)),
            vector: shared::<Cell<u32>>(at.wrapping_add(0x34)).get(),
            irql: byte(0x38),
        }
    }

    fn connect(
        &self,
        vector: u8,
        service: Service,
        irql: Irql,
    ) -> Result<Foreign<Interrupt>, NtStatus> {
        let lock = (self.lock != 0).then(|| Foreign::<SpinLock>::checked(self.lock));
        interrupt::connect(&Connection {
            vector,
            synchronize_irql: self.synchronize_irql.max(irql),
            service,
            context: self.context,
            lock,
        })
    }
}

/// `IoConnectInterruptEx` (wdm.h). IRQL PASSIVE_LEVEL. STATUS_SUCCESS, STATUS_INVALID_PARAMETER,
/// STATUS_NOT_FOUND where the device has no such interrupt, STATUS_INSUFFICIENT_RESOURCES. A
/// message-based call for a device without messages connects the fallback routine to the line and
/// rewrites Version to 2.
pub(super) extern "win64" fn io_connect_interrupt_ex(parameters: u64) -> NtStatus {
    verifier::at_most("IoConnectInterruptEx", PASSIVE_LEVEL);
    let version: &Cell<u32> = shared(parameters);
    let request = Parameters::read(parameters);
    let result = match version.get() {
        FULLY_SPECIFIED | FULLY_SPECIFIED_GROUP => fully_specified(&request),
        LINE_BASED => line_based(&request, request.routine),
        MESSAGE_BASED => match device::vectors_of(request.pdo) {
            Some(Vectors::Messages { .. }) => message_based(&request),
            _ => line_based(&request, request.fallback).inspect(|_| version.set(LINE_BASED)),
        },
        _ => Err(status::INVALID_PARAMETER),
    };
    match result {
        Ok(value) => {
            write_u64(request.result, value);
            status::SUCCESS
        }
        Err(status) => status,
    }
}

fn fully_specified(request: &Parameters) -> Result<u64, NtStatus> {
    let routine = Routine::new(request.routine).ok_or(status::INVALID_PARAMETER)?;
    let vector = u8::try_from(request.vector).map_err(|_| status::INVALID_PARAMETER)?;
    let object = request.connect(vector, Service::Line(routine), request.irql)?;
    Ok(object.address())
}

fn line_based(request: &Parameters, routine: u64) -> Result<u64, NtStatus> {
    let routine = Routine::new(routine).ok_or(status::INVALID_PARAMETER)?;
    let (vector, irql) = match device::vectors_of(request.pdo) {
        Some(Vectors::Line { vector, irql }) => (vector, irql),
        // A line-based driver on a device with messages gets the first one.
        Some(Vectors::Messages { vectors, .. }) => {
            let first = *vectors.first().ok_or(status::NOT_FOUND)?;
            (first, level_of(first))
        }
        None => return Err(status::NOT_FOUND),
    };
    Ok(request
        .connect(vector, Service::Line(routine), irql)?
        .address())
}

/// Connects every message and gives IO_INTERRUPT_MESSAGE_INFO.
fn message_based(request: &Parameters) -> Result<u64, NtStatus> {
    let routine = Routine::new(request.routine).ok_or(status::INVALID_PARAMETER)?;
    let Some(Vectors::Messages { vectors, address }) = device::vectors_of(request.pdo) else {
        return Err(status::NOT_FOUND);
    };
    let mut objects = Vec::new();
    for (number, vector) in (0..).zip(&vectors) {
        match request.connect(
            *vector,
            Service::Message(routine, number),
            level_of(*vector),
        ) {
            Ok(object) => objects.push(object.address()),
            Err(error) => {
                disconnect_all(&objects);
                return Err(error);
            }
        }
    }
    let table = message_table(&vectors, &objects, address);
    match table {
        Some(table) => {
            TABLES.with(|tables| tables.insert(table, objects));
            Ok(table)
        }
        None => {
            disconnect_all(&objects);
            Err(status::INSUFFICIENT_RESOURCES)
        }
    }
}

/// UnifiedIrql is the highest of all.
fn message_table(vectors: &[u8], objects: &[u64], address: u64) -> Option<u64> {
    let unified = vectors.iter().map(|vector| level_of(*vector)).max()?;
    let table = kernel_memory::allocate(8 + 0x30 * vectors.len() as u64, TABLE_TAG)?;
    let count = u64::try_from(vectors.len()).ok()?;
    write_u64(table, u64::from(unified) | (count << 32));
    for (idx, (vector, object)) in (0..).zip(vectors.iter().zip(objects)) {
        let entry = table + 8 + idx * 0x30;
        let irql = level_of(*vector);
        let vector = u64::from(*vector);
        write_u64(entry, address);
        write_u64(entry + 0x08, 1);
        write_u64(entry + 0x10, *object);
        // MessageData and Vector.
        write_u64(entry + 0x18, vector | (vector << 32));
        // Irql, Mode = Latched.
        write_u64(entry + 0x20, u64::from(irql) | (1 << 32));
    }
    Some(table)
}

/// `IoDisconnectInterruptEx` (wdm.h). IRQL PASSIVE_LEVEL.
pub(super) extern "win64" fn io_disconnect_interrupt_ex(parameters: u64) {
    verifier::at_most("IoDisconnectInterruptEx", PASSIVE_LEVEL);
    let version = shared::<Cell<u32>>(parameters).get();
    let context = read_u64(parameters.wrapping_add(8));
    let is_table = TABLES.with(|tables| tables.contains_key(&context));
    if is_table != (version == MESSAGE_BASED) {
        verifier::undocumented_violation(
            "interrupt-version-differs",
            format_args!("IoDisconnectInterruptEx of {context:#x} with version {version}"),
        );
        return;
    }
    match TABLES.with(|tables| tables.remove(&context)) {
        Some(objects) => {
            disconnect_all(&objects);
            kernel_memory::free(context);
        }
        None => disconnect_all(&[context]),
    }
}

fn disconnect_all(objects: &[u64]) {
    for object in objects {
        if !interrupt::disconnect(Foreign::checked(*object)) {
            verifier::undocumented_violation(
                "interrupt-not-connected",
                format_args!("IoDisconnectInterruptEx of {object:#x}"),
            );
        }
    }
}
