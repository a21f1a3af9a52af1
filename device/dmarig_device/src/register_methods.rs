//! The method `registers.coverage`: what a driver has touched.

use control_api::ledger::AccessDirection;
use control_api::registers::{FieldUse, OddAccess, OddReason, RegisterCoverage, RegisterUse};
use control_api::request::RegistersCoverage;
use endpoint::Direction;
use register_coverage::{Coverage, Reason};

use crate::methods::{Outcome, done, dut};
use crate::rig::Rig;

/// Bytes of registers of one page, so that a page with the list of accesses fits a line.
const PAGE_BYTES: usize = 32 * 1024;
/// Bytes of a register or field beside its name, at most.
const ENTRY_BYTES: usize = 160;

pub(crate) fn coverage(rig: &mut Rig, ask: &RegistersCoverage) -> Outcome {
    let coverage = dut(rig, ask.function)?.model().coverage();
    done::<RegistersCoverage>(page(coverage, ask.from))
}

fn page(coverage: &Coverage, from: u32) -> RegisterCoverage {
    let mut result = RegisterCoverage::default();
    if from == 0 {
        let odd = coverage.odd_accesses();
        result.odd_accesses = odd.iter().map(odd_access).collect();
        result.dropped_odd_accesses = odd.dropped();
    }
    let mut room = PAGE_BYTES;
    let start = usize::try_from(from).unwrap_or(usize::MAX);
    for (number, register) in (from..).zip(coverage.registers().iter().skip(start)) {
        let names = register.fields.iter().map(|field| &field.name);
        let names = names.chain([&register.name]);
        let bytes: usize = names.map(|name| name.len() + ENTRY_BYTES).sum();
        if bytes > room && !result.registers.is_empty() {
            result.next = Some(number);
            break;
        }
        room = room.saturating_sub(bytes);
        result.registers.push(register_use(register));
    }
    result
}

fn register_use(register: &register_coverage::RegisterUse) -> RegisterUse {
    let access = match (register.is_readable, register.is_writable) {
        (true, false) => "r",
        (false, true) => "w",
        _ => "rw",
    };
    RegisterUse {
        name: register.name.clone(),
        bar: register.bar,
        offset: register.offset,
        width: register.width_bytes.saturating_mul(8),
        access: access.into(),
        reads: register.reads,
        writes: register.writes,
        fields: register
            .fields
            .iter()
            .map(|field| FieldUse {
                name: field.name.clone(),
                mask: field.mask,
                reads_set: field.reads_set,
                writes_set: field.writes_set,
            })
            .collect(),
    }
}

fn odd_access(odd: register_coverage::OddAccess) -> OddAccess {
    OddAccess {
        bar: odd.bar,
        offset: odd.offset,
        width: odd.len_bytes.saturating_mul(8),
        direction: match odd.direction {
            Direction::Read => AccessDirection::Read,
            Direction::Write => AccessDirection::Write,
        },
        reason: match odd.reason {
            Reason::NoRegister => OddReason::NoRegister,
            Reason::Width => OddReason::Width,
            Reason::WriteOnly => OddReason::WriteOnly,
            Reason::ReadOnly => OddReason::ReadOnly,
        },
        count: odd.count,
    }
}
