//! What the PVH boot protocol hands over: `hvm_start_info` version 1 and what it points to.
//!
//! Physical memory is reached through a reader, so that the parser runs on the host as well; every address
//! and count is taken as a claim and bounded.

use alloc::string::String;
use core::ops::Range;

/// Reads `buffer.len()` bytes of physical memory; false if they are not there.
pub type ReadPhysical<'reader> = &'reader dyn Fn(u64, &mut [u8]) -> bool;

const MAGIC: u32 = 0x336E_C578;
/// Type of RAM in the memory map.
const MEMORY_TYPE_RAM: u32 = 1;
/// Bytes of the structure that are read: up to the memory map's count.
const HEADER_BYTES: usize = 56;
/// Longest command line.
pub const MAX_COMMAND_LINE: usize = 2048;
/// Ranges of RAM that are kept.
pub const MAX_RAM_RANGES: usize = crate::memory::MAX_RANGES;
/// Entries of the memory map that are looked at.
const MAX_MAP_ENTRIES: u32 = 128;

/// Why the start info is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartInfoError {
    /// It cannot be read, or its magic number or version is wrong.
    BadHeader,
    /// The memory map cannot be read or has no RAM.
    BadMemoryMap,
    /// The command line cannot be read or is not UTF-8.
    BadCommandLine,
    /// The module list cannot be read.
    BadModule,
}

/// The start info, checked. Holds no heap memory, for it is needed to find room for the heap.
#[derive(Clone, Debug)]
pub struct StartInfo {
    ram: [Range<u64>; MAX_RAM_RANGES],
    ram_count: usize,
    command_line: [u8; MAX_COMMAND_LINE],
    command_line_len: usize,
    /// Module 0 (`-initrd`), as physical addresses.
    pub module: Option<Range<u64>>,
    /// The ACPI root pointer.
    pub rsdp: u64,
}

impl StartInfo {
    /// Parses the start info at `address`.
    ///
    /// # Errors
    /// [`StartInfoError`].
    pub fn parse(address: u64, read: ReadPhysical<'_>) -> Result<Self, StartInfoError> {
        let mut header = [0; HEADER_BYTES];
        if !read(address, &mut header) {
            return Err(StartInfoError::BadHeader);
        }
        let version = u32_at(&header, 4);
        if u32_at(&header, 0) != MAGIC || version < 1 {
            return Err(StartInfoError::BadHeader);
        }
        let mut info = Self {
            ram: [const { 0..0 }; MAX_RAM_RANGES],
            ram_count: 0,
            command_line: [0; MAX_COMMAND_LINE],
            command_line_len: 0,
            module: None,
            rsdp: u64_at(&header, 32),
        };
        info.read_memory_map(u64_at(&header, 40), u32_at(&header, 48), read)?;
        info.read_command_line(u64_at(&header, 24), read)?;
        if u32_at(&header, 12) > 0 {
            info.module = Some(module_at(u64_at(&header, 16), read)?);
        }
        Ok(info)
    }

    /// Ranges of RAM.
    #[must_use]
    pub fn ram(&self) -> &[Range<u64>] {
        &self.ram[..self.ram_count]
    }

    /// The command line.
    #[must_use]
    pub fn command_line(&self) -> String {
        String::from_utf8_lossy(&self.command_line[..self.command_line_len]).into_owned()
    }

    fn read_memory_map(
        &mut self,
        map: u64,
        entries: u32,
        read: ReadPhysical<'_>,
    ) -> Result<(), StartInfoError> {
        for idx in 0..u64::from(entries.min(MAX_MAP_ENTRIES)) {
            let mut entry = [0; 24];
            let at = map
                .checked_add(idx * 24)
                .ok_or(StartInfoError::BadMemoryMap)?;
            if !read(at, &mut entry) {
                return Err(StartInfoError::BadMemoryMap);
            }
            let (start, len) = (u64_at(&entry, 0), u64_at(&entry, 8));
            let end = start.checked_add(len).ok_or(StartInfoError::BadMemoryMap)?;
            let is_ram = u32_at(&entry, 16) == MEMORY_TYPE_RAM && len > 0;
            if is_ram && self.ram_count < MAX_RAM_RANGES {
                self.ram[self.ram_count] = start..end;
                self.ram_count += 1;
            }
        }
        if self.ram_count == 0 {
            return Err(StartInfoError::BadMemoryMap);
        }
        Ok(())
    }

    fn read_command_line(
        &mut self,
        address: u64,
        read: ReadPhysical<'_>,
    ) -> Result<(), StartInfoError> {
        if address == 0 {
            return Ok(());
        }
        for idx in 0..MAX_COMMAND_LINE {
            let mut byte = [0];
            if !read(address.wrapping_add(idx as u64), &mut byte) {
                return Err(StartInfoError::BadCommandLine);
            }
            if byte[0] == 0 {
                self.command_line_len = idx;
                let text = core::str::from_utf8(&self.command_line[..idx]);
                return text.map(|_| ()).map_err(|_| StartInfoError::BadCommandLine);
            }
            self.command_line[idx] = byte[0];
        }
        Err(StartInfoError::BadCommandLine)
    }
}

fn module_at(address: u64, read: ReadPhysical<'_>) -> Result<Range<u64>, StartInfoError> {
    let mut entry = [0; 16];
    if !read(address, &mut entry) {
        return Err(StartInfoError::BadModule);
    }
    let (start, len) = (u64_at(&entry, 0), u64_at(&entry, 8));
    let end = start.checked_add(len).ok_or(StartInfoError::BadModule)?;
    Ok(start..end)
}

fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    let field = bytes
        .get(offset..offset + 4)
        .and_then(|field| field.try_into().ok());
    u32::from_le_bytes(field.expect("offsets here lie inside their fixed-size structures"))
}

fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    u64::from(u32_at(bytes, offset)) | u64::from(u32_at(bytes, offset + 4)) << 32
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    /// Start info at 0, map at 0x100, module list at 0x200, command line at 0x300.
    fn image() -> Vec<u8> {
        let mut bytes = vec![0; 0x400];
        put(&mut bytes, 0, &MAGIC.to_le_bytes());
        put(&mut bytes, 4, &1u32.to_le_bytes());
        put(&mut bytes, 12, &1u32.to_le_bytes());
        put(&mut bytes, 16, &0x200u64.to_le_bytes());
        put(&mut bytes, 24, &0x300u64.to_le_bytes());
        put(&mut bytes, 32, &0xF_5A00u64.to_le_bytes());
        put(&mut bytes, 40, &0x100u64.to_le_bytes());
        put(&mut bytes, 48, &2u32.to_le_bytes());
        put(&mut bytes, 0x108, &0x9_FC00u64.to_le_bytes());
        put(&mut bytes, 0x110, &1u32.to_le_bytes());
        put(&mut bytes, 0x118, &0xA_0000u64.to_le_bytes());
        put(&mut bytes, 0x120, &0x1000u64.to_le_bytes());
        put(&mut bytes, 0x128, &2u32.to_le_bytes());
        put(&mut bytes, 0x200, &0x80_0000u64.to_le_bytes());
        put(&mut bytes, 0x208, &0x1234u64.to_le_bytes());
        put(&mut bytes, 0x300, b"remapping=on\0");
        bytes
    }

    fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
        bytes[at..at + value.len()].copy_from_slice(value);
    }

    fn parse(bytes: &[u8]) -> Result<StartInfo, StartInfoError> {
        StartInfo::parse(0, &|address, buffer| {
            let start = usize::try_from(address).unwrap_or(usize::MAX);
            let found = start
                .checked_add(buffer.len())
                .and_then(|end| bytes.get(start..end));
            found.is_some_and(|found| {
                buffer.copy_from_slice(found);
                true
            })
        })
    }

    #[test]
    fn ram_module_command_line_and_rsdp_are_found() {
        let info = parse(&image()).expect("well-formed");
        assert_eq!(info.ram(), core::slice::from_ref(&(0..0x9_FC00)));
        assert_eq!(info.module, Some(0x80_0000..0x80_1234));
        assert_eq!(info.command_line(), "remapping=on");
        assert_eq!(info.rsdp, 0xF_5A00);
    }

    #[test]
    fn each_broken_field_is_named() {
        let broken = |at: usize, value: &[u8]| {
            let mut bytes = image();
            put(&mut bytes, at, value);
            parse(&bytes).expect_err("broken")
        };
        assert_eq!(broken(0, &[0]), StartInfoError::BadHeader);
        assert_eq!(broken(4, &[0]), StartInfoError::BadHeader);
        assert_eq!(broken(40, &[0xFF; 8]), StartInfoError::BadMemoryMap);
        assert_eq!(broken(0x110, &[2]), StartInfoError::BadMemoryMap, "no RAM");
        assert_eq!(
            broken(0x100, &[0xFF; 8]),
            StartInfoError::BadMemoryMap,
            "wraps"
        );
        assert_eq!(broken(24, &[0xFF; 8]), StartInfoError::BadCommandLine);
        assert_eq!(broken(0x300, &[0x80]), StartInfoError::BadCommandLine);
        assert_eq!(
            broken(0x300, &[b'a'; 0x100]),
            StartInfoError::BadCommandLine
        );
        assert_eq!(broken(16, &[0xFF; 8]), StartInfoError::BadModule);
        assert_eq!(broken(0x208, &[0xFF; 8]), StartInfoError::BadModule);
    }

    #[test]
    fn truncated_memory_never_panics() {
        let bytes = image();
        for len in 0..0x30C {
            assert!(parse(&bytes[..len]).is_err(), "{len:#x}");
        }
    }
}
