//! Line interrupts on q35: from pin to I/O APIC input, and who shares one.
//!
//! In APIC mode the chipset's eight PIRQ lines reach inputs 16 to 23. Slots 1 to 24 of bus 0 use lines E to
//! H by slot; slots 25 to 31 use the reset value of their routing registers (INTA to line A and so on), but
//! for slot 30, whose pins use E to H. A bridge passes its devices' pins on, turned by the device number.

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use super::RequesterId;

/// First I/O APIC input of the PIRQ lines.
const PIRQ_GSI: u32 = 16;
/// PIRQ line E.
const LINE_E: u32 = 4;

/// The I/O APIC input of pin `pin` (0 = INTA) of a function on bus 0.
pub(super) fn gsi_of_root_slot(slot: u8, pin: u8) -> u32 {
    let pin = u32::from(pin);
    PIRQ_GSI
        + match slot {
            0..=24 => LINE_E + (u32::from(slot) + pin) % 4,
            30 => LINE_E + pin % 4,
            _ => pin % 4,
        }
}

/// The pin by which a bridge passes on pin `pin` of device `device` behind it; both 0 = INTA.
pub(super) fn swizzle(device: u8, pin: u8) -> u8 {
    (device + pin) % 4
}

/// The lines in use, which functions may share.
#[derive(Debug, Default)]
pub(super) struct Lines {
    by_gsi: BTreeMap<u32, Line>,
}

#[derive(Debug)]
struct Line {
    vector: u8,
    users: Vec<RequesterId>,
}

impl Lines {
    /// The vector that a line has already, now used by `id` as well.
    pub fn share(&mut self, gsi: u32, id: RequesterId) -> Option<u8> {
        let line = self.by_gsi.get_mut(&gsi)?;
        if !line.users.contains(&id) {
            line.users.push(id);
        }
        Some(line.vector)
    }

    /// Notes the vector of a line that was free.
    pub fn open(&mut self, gsi: u32, id: RequesterId, vector: u8) {
        let users = vec![id];
        self.by_gsi.insert(gsi, Line { vector, users });
    }

    /// Ends the use by `id`; the vector of a line that nobody uses any more.
    pub fn leave(&mut self, gsi: u32, id: RequesterId) -> Option<u8> {
        let line = self.by_gsi.get_mut(&gsi)?;
        line.users.retain(|user| *user != id);
        if !line.users.is_empty() {
            return None;
        }
        self.by_gsi.remove(&gsi).map(|line| line.vector)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_reach_the_inputs_that_the_chipset_gives_them() {
        for (slot, pin, expected) in [
            (1, 0, 21),
            (2, 0, 22),
            (3, 0, 23),
            (4, 0, 20),
            (4, 3, 23),
            (25, 0, 16),
            (31, 2, 18),
            (30, 1, 21),
        ] {
            assert_eq!(gsi_of_root_slot(slot, pin), expected, "slot {slot}");
        }
        assert_eq!(swizzle(0, 0), 0);
        assert_eq!(swizzle(3, 2), 1);
    }

    #[test]
    fn shared_line_stays_open_until_its_last_user_leaves() {
        let mut lines = Lines::default();
        let (one, two) = (RequesterId::from_raw(8), RequesterId::from_raw(16));

        assert_eq!(lines.share(21, one), None);
        lines.open(21, one, 0x70);
        assert_eq!(lines.share(21, two), Some(0x70));
        assert_eq!(lines.share(21, two), Some(0x70));

        assert_eq!(lines.leave(21, one), None);
        assert_eq!(lines.leave(21, two), Some(0x70));
        assert_eq!(lines.leave(21, two), None);
    }
}
