//! [`Coverage`]: takes accesses, finds their registers, counts.

use std::collections::BTreeMap;

use endpoint::{Direction, RegisterInfo};

use crate::odd::{OddAccesses, Reason};
use crate::register_use::RegisterUse;

/// Widest register in bytes.
const MAX_WIDTH: u64 = 8;

/// An access of the driver.
#[derive(Clone, Copy, Debug)]
pub struct Access<'a> {
    /// BAR.
    pub bar: u8,
    /// Offset in bytes.
    pub offset: u64,
    /// Whether the driver reads or writes.
    pub direction: Direction,
    /// What was read or written.
    pub data: &'a [u8],
}

/// Where a register stands.
#[derive(Clone, Copy, Debug)]
struct Place {
    width_bytes: u8,
    is_partial: bool,
    /// Its number among the names.
    index: usize,
}

/// What a driver has touched.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    places: BTreeMap<(u8, u64), Place>,
    registers: Vec<RegisterUse>,
    odd: OddAccesses,
}

impl Coverage {
    /// Nothing touched yet. Without any register nothing is counted.
    #[must_use]
    pub fn new(map: &[RegisterInfo]) -> Self {
        let mut coverage = Self::default();
        let mut names = BTreeMap::new();
        for info in map {
            let next = coverage.registers.len();
            let index = *names.entry(info.name.as_ref()).or_insert(next);
            if index == next {
                coverage.registers.push(RegisterUse::new(info));
            }
            let place = Place {
                width_bytes: info.width_bytes,
                is_partial: info.is_partial,
                index,
            };
            coverage.places.insert((info.bar, info.offset), place);
        }
        coverage
    }

    /// The registers, in the order of the endpoint.
    #[must_use]
    pub fn registers(&self) -> &[RegisterUse] {
        &self.registers
    }

    /// The accesses without behavior.
    #[must_use]
    pub const fn odd_accesses(&self) -> &OddAccesses {
        &self.odd
    }

    /// Notes an access.
    pub fn note(&mut self, access: Access<'_>) {
        if self.places.is_empty() || access.data.is_empty() {
            return;
        }
        if let Err(reason) = self.count(access) {
            let len = access.data.len();
            self.odd
                .note(access.bar, access.offset, len, access.direction, reason);
        }
    }

    /// Counts the access for each register that it touches in order; or why there is none.
    fn count(&mut self, access: Access<'_>) -> Result<(), Reason> {
        let end = access.offset.saturating_add(access.data.len() as u64);
        let from = (access.bar, access.offset.saturating_sub(MAX_WIDTH - 1));
        let near = self.places.range(from..(access.bar, end));
        let mut outcome = Err(Reason::NoRegister);
        for (&(_, offset), &place) in near {
            if offset + u64::from(place.width_bytes) <= access.offset {
                continue;
            }
            let register = &mut self.registers[place.index];
            let counted = count_one(register, offset, place, access);
            // What is in order outweighs what is not: an access over two registers has touched both.
            if outcome != Ok(()) {
                outcome = counted;
            }
        }
        outcome
    }
}

fn count_one(
    register: &mut RegisterUse,
    offset: u64,
    place: Place,
    access: Access<'_>,
) -> Result<(), Reason> {
    let width = u64::from(place.width_bytes);
    let len = access.data.len() as u64;
    let is_half =
        width == 8 && len == 4 && (access.offset == offset || access.offset == offset + 4);
    let is_whole = access.offset == offset && len == width;
    if !(place.is_partial || is_whole || is_half) {
        return Err(Reason::Width);
    }
    let value = value_of(offset, width, access);
    match access.direction {
        Direction::Read if !register.is_readable => return Err(Reason::WriteOnly),
        Direction::Write if !register.is_writable => return Err(Reason::ReadOnly),
        Direction::Read => register.read(value),
        Direction::Write => register.written(value),
    }
    Ok(())
}

/// The access's bytes of a register, at their places.
fn value_of(offset: u64, width: u64, access: Access<'_>) -> u64 {
    let mut bytes = [0; 8];
    for (at, byte) in (access.offset..).zip(access.data) {
        let inside = at.checked_sub(offset).filter(|inside| *inside < width);
        if let Some(slot) = inside
            .and_then(|inside| usize::try_from(inside).ok())
            .and_then(|inside| bytes.get_mut(inside))
        {
            *slot = *byte;
        } else if at >= offset.saturating_add(width) {
            break;
        }
    }
    u64::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use endpoint::FieldInfo;

    use super::*;
    use crate::odd::MAX_ODD_ACCESSES;

    fn register(
        name: &'static str,
        offset: u64,
        width_bytes: u8,
        readable: bool,
        writable: bool,
    ) -> RegisterInfo {
        RegisterInfo {
            name: name.into(),
            bar: 0,
            offset,
            width_bytes,
            is_readable: readable,
            is_writable: writable,
            is_partial: false,
            fields: vec![FieldInfo {
                name: "LOW".into(),
                mask: 1,
            }],
        }
    }

    fn coverage() -> Coverage {
        Coverage::new(&[
            register("A", 0, 4, true, true),
            register("STATUS", 4, 4, true, false),
            register("DOORBELL", 8, 4, false, true),
            register("BASE", 16, 8, true, true),
            register("A", 0x100, 4, true, true),
        ])
    }

    fn note(coverage: &mut Coverage, offset: u64, direction: Direction, data: &[u8]) {
        let access = Access {
            bar: 0,
            offset,
            direction,
            data,
        };
        coverage.note(access);
    }

    #[test]
    fn reads_writes_and_fields_are_counted_by_name() {
        let mut coverage = coverage();
        note(&mut coverage, 0, Direction::Write, &[1, 0, 0, 0]);
        note(&mut coverage, 0x100, Direction::Write, &[2, 0, 0, 0]);
        note(&mut coverage, 4, Direction::Read, &[3, 0, 0, 0]);
        note(&mut coverage, 16, Direction::Write, &[1, 0, 0, 0]);
        note(&mut coverage, 20, Direction::Write, &[1, 0, 0, 0]);
        let seen: Vec<_> = coverage
            .registers()
            .iter()
            .map(|one| {
                (
                    one.name.as_str(),
                    one.reads,
                    one.writes,
                    one.fields[0].reads_set,
                    one.fields[0].writes_set,
                )
            })
            .collect();
        let expected = [
            ("A", 0, 2, 0, 1),
            ("STATUS", 1, 0, 1, 0),
            ("DOORBELL", 0, 0, 0, 0),
            ("BASE", 0, 2, 0, 1),
        ];
        assert_eq!(seen, expected);
        assert_eq!(coverage.odd_accesses().iter().count(), 0);
    }

    #[test]
    fn accesses_without_behavior_are_listed_with_their_reason() {
        let mut coverage = coverage();
        note(&mut coverage, 0x40, Direction::Read, &[0; 4]);
        note(&mut coverage, 0x40, Direction::Read, &[0; 4]);
        note(&mut coverage, 2, Direction::Write, &[0; 2]);
        note(&mut coverage, 4, Direction::Write, &[0; 4]);
        note(&mut coverage, 8, Direction::Read, &[0; 4]);
        note(&mut coverage, 0, Direction::Read, &[0; 8]);
        let seen: Vec<_> = coverage
            .odd_accesses()
            .iter()
            .map(|odd| (odd.offset, odd.len_bytes, odd.reason, odd.count))
            .collect();
        let expected = [
            (0, 8, Reason::Width, 1),
            (2, 2, Reason::Width, 1),
            (4, 4, Reason::ReadOnly, 1),
            (8, 4, Reason::WriteOnly, 1),
            (0x40, 4, Reason::NoRegister, 2),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn list_is_bounded_and_the_rest_is_counted() {
        let mut coverage = coverage();
        let n_places = MAX_ODD_ACCESSES as u64 + 10;
        for number in 0..n_places {
            note(&mut coverage, 0x1000 + number, Direction::Read, &[0]);
        }
        note(&mut coverage, 0x1000, Direction::Read, &[0]);
        let odd = coverage.odd_accesses();
        assert_eq!((odd.iter().count(), odd.dropped()), (MAX_ODD_ACCESSES, 10));
        assert_eq!(odd.iter().next().map(|one| one.count), Some(2));
        note(&mut coverage, u64::MAX, Direction::Read, &[0; 8]);
    }
}
