//! [`Values`]: what the registers hold, and what reads and writes by the driver do to them.

use device_file::{Counts, Register, RegisterAccess};

use crate::layout::{Layout, RegisterIndex, Wide};

/// The value of each register.
#[derive(Debug)]
pub(crate) struct Values(Vec<u64>);

/// Bytes of an access that fall on one register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Covered {
    /// First byte of the register.
    pub start: usize,
    /// First byte of the access.
    pub at: usize,
    pub len: usize,
}

impl Values {
    pub(crate) fn new(layout: &Layout) -> Self {
        Self(
            layout
                .registers
                .iter()
                .map(|register| register.reset)
                .collect(),
        )
    }

    pub(crate) fn get(&self, index: RegisterIndex) -> u64 {
        self.0[index]
    }

    pub(crate) fn wide(&self, wide: Wide) -> u64 {
        let low = self.get(wide.low);
        wide.high
            .map_or(low, |high| low & u64::from(u32::MAX) | self.get(high) << 32)
    }

    /// Sets a value that the device shows; what does not fit the register's width is cut off.
    pub(crate) fn show(&mut self, layout: &Layout, index: RegisterIndex, value: u64) {
        self.0[index] = value & layout.register(index).all_bits();
    }

    pub(crate) fn set_bits(&mut self, index: RegisterIndex, bits: u64) {
        self.0[index] |= bits;
    }

    pub(crate) fn clear_bits(&mut self, index: RegisterIndex, bits: u64) {
        self.0[index] &= !bits;
    }

    /// Adds to the counters of one kind; they wrap at their width.
    pub(crate) fn count(&mut self, layout: &Layout, counts: Counts, by: u64) {
        for (index, register) in layout.registers.iter().enumerate() {
            if register.counts == Some(counts) {
                self.show(layout, index, self.get(index).wrapping_add(by));
            }
        }
    }

    /// What the driver reads.
    pub(crate) fn read(&mut self, layout: &Layout, index: RegisterIndex, now_us: u64) -> u64 {
        let register = layout.register(index);
        let value = self.get(index);
        match (register.access, register.counts) {
            (RegisterAccess::Wo, _) => 0,
            (_, Some(Counts::Reads)) => {
                self.show(layout, index, value.wrapping_add(1));
                value
            }
            (_, Some(Counts::Microseconds)) => now_us & register.all_bits(),
            _ => value,
        }
    }

    /// Takes what the driver writes; `written` are the bits of `value` that the access covers.
    pub(crate) fn write(
        &mut self,
        register: &Register,
        index: RegisterIndex,
        value: u64,
        written: u64,
    ) {
        let current = self.get(index);
        let value = value & written;
        self.0[index] = match register.access {
            RegisterAccess::Const | RegisterAccess::Ro | RegisterAccess::Counter => current,
            RegisterAccess::Rw => {
                let mask = register.write_mask.unwrap_or(u64::MAX) & written;
                current & !mask | value & mask
            }
            RegisterAccess::Wo => current & !written | value,
            RegisterAccess::W1c => current & !value,
            RegisterAccess::SelfClearing => current | value,
        };
    }
}

impl Covered {
    /// What an access of `len` bytes at `offset` covers of a register that it touches.
    pub(crate) fn new(register: &Register, offset: u64, len: usize) -> Self {
        let to_usize = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
        let start = to_usize(offset.saturating_sub(register.offset));
        let at = to_usize(register.offset.saturating_sub(offset));
        let width = to_usize(register.width_bytes());
        Self {
            start,
            at,
            len: width.saturating_sub(start).min(len.saturating_sub(at)),
        }
    }

    /// Whether the access has the register's width, or one that it allows: half of 64 bits, or any.
    pub(crate) fn is_in_order(self, register: &Register, access_len: usize) -> bool {
        let width = register.width / 8;
        let is_whole = self.len == usize::from(width);
        let is_half = width == 8 && self.len == 4 && self.start.is_multiple_of(4);
        register.partial || (access_len == self.len && (is_whole || is_half))
    }

    /// The bits of the register that are covered.
    pub(crate) fn bits(self) -> u64 {
        let all = match self.len {
            0 => 0,
            len if len >= 8 => u64::MAX,
            len => (1 << (8 * len)) - 1,
        };
        all << (8 * self.start.min(7))
    }

    /// The register's value of the covered bytes of an access.
    pub(crate) fn value(self, data: &[u8]) -> u64 {
        let mut bytes = [0; 8];
        let room = bytes.iter_mut().skip(self.start).take(self.len);
        room.zip(data.iter().skip(self.at))
            .for_each(|(to, from)| *to = *from);
        u64::from_le_bytes(bytes)
    }

    /// Lays the covered bytes of a value into an access.
    pub(crate) fn lay(self, value: u64, data: &mut [u8]) {
        let bytes = value.to_le_bytes();
        let from = bytes.iter().skip(self.start).take(self.len);
        data.iter_mut()
            .skip(self.at)
            .zip(from)
            .for_each(|(to, from)| *to = *from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn register(width: u8) -> Register {
        let text = format!("name = \"R\"\noffset = 16\nwidth = {width}");
        toml_register(&text)
    }

    fn toml_register(text: &str) -> Register {
        let file = format!(
            "[[bar]]\nindex = 0\nsize = 4096\n[interrupts]\nmsix_vectors = 0\n[[register]]\n{text}\n"
        );
        let path = std::path::Path::new("test.toml");
        device_file::parse(path, &file)
            .expect("valid")
            .registers
            .remove(0)
    }

    #[test]
    fn accesses_cover_what_they_touch() {
        let check = |width, offset, len, expected: (usize, usize, usize, bool, u64)| {
            let register = register(width);
            let covered = Covered::new(&register, offset, len);
            let seen = (
                covered.start,
                covered.at,
                covered.len,
                covered.is_in_order(&register, len),
                covered.bits(),
            );
            assert_eq!(seen, expected, "{width} {offset} {len}");
        };
        check(32, 16, 4, (0, 0, 4, true, 0xffff_ffff));
        check(32, 18, 1, (2, 0, 1, false, 0xff_0000));
        check(32, 14, 4, (0, 2, 2, false, 0xffff));
        check(32, 16, 8, (0, 0, 4, false, 0xffff_ffff));
        check(64, 16, 8, (0, 0, 8, true, u64::MAX));
        check(64, 20, 4, (4, 0, 4, true, 0xffff_ffff_0000_0000));
        check(64, 18, 4, (2, 0, 4, false, 0xffff_ffff_0000));
    }
}
