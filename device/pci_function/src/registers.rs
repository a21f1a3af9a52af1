//! Bytes with masks: which bits a write changes, which it clears, which survive a
//! function-level reset.

use crate::config_space::CONFIG_SPACE_SIZE;

/// One bit of every byte of configuration space has a place in each of the arrays.
#[derive(Clone, Debug)]
pub(crate) struct Registers {
    value: Vec<u8>,
    initial: Vec<u8>,
    writable: Vec<u8>,
    write_one_clears: Vec<u8>,
    sticky: Vec<u8>,
}

/// How the bits of a register behave; bits in no mask are read-only.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Behavior {
    /// A write sets the bit to what is written (RW).
    pub(crate) writable: u32,
    /// A write of 1 clears the bit (RW1C).
    pub(crate) write_one_clears: u32,
    /// The bit survives a function-level reset (RWS, RW1CS, ROS).
    pub(crate) sticky: u32,
}

impl Behavior {
    pub(crate) const READ_ONLY: Self = Self {
        writable: 0,
        write_one_clears: 0,
        sticky: 0,
    };

    pub(crate) const fn writable(mask: u32) -> Self {
        Self {
            writable: mask,
            ..Self::READ_ONLY
        }
    }
}

impl Registers {
    /// All bytes zero and read-only.
    pub(crate) fn new() -> Self {
        let zeroes = vec![0; CONFIG_SPACE_SIZE];
        Self {
            value: zeroes.clone(),
            initial: zeroes.clone(),
            writable: zeroes.clone(),
            write_one_clears: zeroes.clone(),
            sticky: zeroes,
        }
    }

    /// Defines an 8-bit register.
    pub(crate) fn define_u8(&mut self, offset: usize, initial: u8, behavior: Behavior) {
        self.define(offset, &[initial], behavior);
    }

    /// Defines read-only bytes.
    pub(crate) fn define_bytes(&mut self, offset: usize, initial: &[u8]) {
        for (index, byte) in initial.iter().enumerate() {
            self.define_u8(offset + index, *byte, Behavior::READ_ONLY);
        }
    }

    /// Defines a 16-bit register.
    pub(crate) fn define_u16(&mut self, offset: usize, initial: u16, behavior: Behavior) {
        self.define(offset, &initial.to_le_bytes(), behavior);
    }

    /// Defines a 32-bit register.
    pub(crate) fn define_u32(&mut self, offset: usize, initial: u32, behavior: Behavior) {
        self.define(offset, &initial.to_le_bytes(), behavior);
    }

    fn define(&mut self, offset: usize, initial: &[u8], behavior: Behavior) {
        let range = offset..offset + initial.len();
        self.value[range.clone()].copy_from_slice(initial);
        self.initial[range.clone()].copy_from_slice(initial);
        for (masks, mask) in [
            (&mut self.writable, behavior.writable),
            (&mut self.write_one_clears, behavior.write_one_clears),
            (&mut self.sticky, behavior.sticky),
        ] {
            masks[range.clone()].copy_from_slice(&mask.to_le_bytes()[..initial.len()]);
        }
    }

    /// Reads as a guest does; bytes beyond the end are all ones.
    pub(crate) fn read(&self, offset: u64, data: &mut [u8]) {
        data.fill(0xff);
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let source = self.value.get(start..).unwrap_or(&[]);
        let count = source.len().min(data.len());
        data[..count].copy_from_slice(&source[..count]);
    }

    /// Writes as a guest does; bytes beyond the end are dropped.
    pub(crate) fn write(&mut self, offset: u64, data: &[u8]) {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        for (index, written) in (start..CONFIG_SPACE_SIZE).zip(data) {
            let writable = self.writable[index];
            let kept = self.value[index] & !writable & !(self.write_one_clears[index] & written);
            self.value[index] = kept | (written & writable);
        }
    }

    /// Sets every register to its initial value.
    pub(crate) fn reset_all(&mut self) {
        self.value.copy_from_slice(&self.initial);
    }

    /// Sets every register to its initial value, sticky bits apart.
    pub(crate) fn reset_all_but_sticky(&mut self) {
        for (index, value) in self.value.iter_mut().enumerate() {
            let sticky = self.sticky[index];
            *value = (*value & sticky) | (self.initial[index] & !sticky);
        }
    }

    /// Reads a 16-bit register of ours.
    pub(crate) fn get_u16(&self, offset: usize) -> u16 {
        u16::from_le_bytes([self.value[offset], self.value[offset + 1]])
    }

    /// Reads a 32-bit register of ours.
    pub(crate) fn get_u32(&self, offset: usize) -> u32 {
        u32::from(self.get_u16(offset)) | u32::from(self.get_u16(offset + 2)) << 16
    }

    /// Sets a 16-bit register of ours, whatever a guest may write there.
    pub(crate) fn set_u16(&mut self, offset: usize, value: u16) {
        self.value[offset..offset + 2].copy_from_slice(&value.to_le_bytes());
    }

    /// Sets a 32-bit register of ours, whatever a guest may write there.
    pub(crate) fn set_u32(&mut self, offset: usize, value: u32) {
        self.value[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
    }
}
