//! [`PeFile`]: a driver file whose headers and sections have been checked.

use alloc::vec::Vec;

use object::LittleEndian as LE;
use object::pe::{self, ImageNtHeaders64};
use object::read::pe::PeFile64;

use super::checksum::checksum;
use super::error::PeError;

/// Largest image that is taken, in bytes.
pub const MAX_IMAGE_BYTES: u32 = 64 << 20;
const MAX_SECTIONS: usize = 96;
const PAGE: u32 = 0x1000;

/// What code may do with a section's pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protection {
    /// Stores are allowed.
    pub writable: bool,
    /// Instructions may be fetched.
    pub executable: bool,
}

/// A section whose place in file and image has been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// First byte in the image, page aligned.
    pub rva: u32,
    /// Bytes in the image, rounded up to whole pages.
    pub image_bytes: u32,
    /// First byte in the file.
    pub file_offset: usize,
    /// Bytes to copy from the file.
    pub file_bytes: usize,
    /// Protection from the section's characteristics.
    pub protection: Protection,
}

/// A checked x64 driver file.
pub struct PeFile<'file> {
    pub(super) data: &'file [u8],
    pub(super) parsed: PeFile64<'file>,
    sections: Vec<Section>,
}

impl<'file> PeFile<'file> {
    /// Parses and checks a file. `data` must be 8-byte aligned.
    ///
    /// # Errors
    /// Whatever keeps the file from being a loadable x64 driver.
    pub fn parse(data: &'file [u8]) -> Result<Self, PeError> {
        let parsed = PeFile64::parse(data).map_err(|error| PeError::malformed("headers", error))?;
        check_headers(parsed.nt_headers())?;
        let mut file = Self {
            data,
            parsed,
            sections: Vec::new(),
        };
        file.check_checksum()?;
        file.sections = file.checked_sections()?;
        file.check_entry()?;
        Ok(file)
    }

    /// Bytes of the image in memory, whole pages.
    #[must_use]
    pub fn image_bytes(&self) -> u32 {
        // Bounded by `check_headers`, so rounding up cannot overflow.
        self.optional(|header| header.size_of_image.get(LE))
            .next_multiple_of(PAGE)
    }

    /// Bytes of headers that are copied to the start of the image.
    #[must_use]
    pub fn header_bytes(&self) -> usize {
        self.optional(|header| header.size_of_headers.get(LE)) as usize
    }

    /// Address the file was linked for.
    #[must_use]
    pub fn preferred_base(&self) -> u64 {
        self.optional(|header| header.image_base.get(LE))
    }

    /// Entry point, as RVA inside an executable section.
    #[must_use]
    pub fn entry_rva(&self) -> u32 {
        self.optional(|header| header.address_of_entry_point.get(LE))
    }

    /// The sections, in ascending order and without overlap.
    #[must_use]
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// Whether the header carries a checksum at all (lld-link leaves it 0).
    #[must_use]
    pub fn has_checksum(&self) -> bool {
        self.optional(|header| header.check_sum.get(LE)) != 0
    }

    /// RVA and size of a data directory that lies inside the image; `None` if the file has none.
    ///
    /// # Errors
    /// If the directory reaches beyond the image.
    pub fn directory(
        &self,
        index: usize,
        part: &'static str,
    ) -> Result<Option<(u32, u32)>, PeError> {
        let Some(directory) = self.parsed.data_directory(index) else {
            return Ok(None);
        };
        let (rva, size) = directory.address_range();
        if rva == 0 || size == 0 {
            return Ok(None);
        }
        match rva.checked_add(size) {
            Some(end) if end <= self.image_bytes() => Ok(Some((rva, size))),
            _ => Err(PeError::Field {
                field: part,
                value: u64::from(rva),
                expected: "a directory inside the image",
            }),
        }
    }

    fn optional<R>(&self, field: impl FnOnce(&pe::ImageOptionalHeader64) -> R) -> R {
        field(&self.parsed.nt_headers().optional_header)
    }

    fn check_checksum(&self) -> Result<(), PeError> {
        let stated = self.optional(|header| header.check_sum.get(LE));
        // e_lfanew, signature (4), file header (20), then 64 bytes into the optional header.
        let field = self.parsed.dos_header().nt_headers_offset() as usize + 4 + 20 + 64;
        let computed = checksum(self.data, field);
        if stated == 0 || stated == computed {
            return Ok(());
        }
        Err(PeError::Checksum { stated, computed })
    }

    fn checked_sections(&self) -> Result<Vec<Section>, PeError> {
        let table = self.parsed.section_table();
        let mut sections: Vec<Section> = Vec::new();
        let mut next_free = u64::from(PAGE).max(self.header_bytes() as u64);
        for (index, header) in table.iter().enumerate() {
            let problem = |problem| PeError::Section { index, problem };
            if index == MAX_SECTIONS {
                return Err(problem("there are more than 96 sections"));
            }
            let section = self.section(header).map_err(problem)?;
            if u64::from(section.rva) < next_free {
                return Err(problem("it overlaps the headers or an earlier section"));
            }
            next_free = u64::from(section.rva) + u64::from(section.image_bytes);
            if next_free > u64::from(self.image_bytes()) {
                return Err(problem("it ends beyond SizeOfImage"));
            }
            sections.push(section);
        }
        Ok(sections)
    }

    fn section(&self, header: &pe::ImageSectionHeader) -> Result<Section, &'static str> {
        let rva = header.virtual_address.get(LE);
        let virtual_bytes = match header.virtual_size.get(LE) {
            0 => header.size_of_raw_data.get(LE),
            size => size,
        };
        let flags = header.characteristics.get(LE);
        let file_offset = header.pointer_to_raw_data.get(LE) as usize;
        let file_bytes = if flags.contains(pe::IMAGE_SCN_CNT_UNINITIALIZED_DATA) || file_offset == 0
        {
            0
        } else {
            header.size_of_raw_data.get(LE).min(virtual_bytes) as usize
        };
        if !rva.is_multiple_of(PAGE) {
            return Err("its virtual address is not page aligned");
        }
        if virtual_bytes > MAX_IMAGE_BYTES {
            return Err("it is larger than 64 MiB");
        }
        if file_offset
            .checked_add(file_bytes)
            .is_none_or(|end| end > self.data.len())
        {
            return Err("its data end beyond the file");
        }
        Ok(Section {
            rva,
            image_bytes: virtual_bytes.next_multiple_of(PAGE),
            file_offset,
            file_bytes,
            protection: Protection {
                writable: flags.contains(pe::IMAGE_SCN_MEM_WRITE),
                executable: flags.contains(pe::IMAGE_SCN_MEM_EXECUTE),
            },
        })
    }

    fn check_entry(&self) -> Result<(), PeError> {
        let entry = self.entry_rva();
        let is_inside = |section: &Section| {
            section.protection.executable
                && entry
                    .checked_sub(section.rva)
                    .is_some_and(|offset| offset < section.image_bytes)
        };
        if self.sections.iter().any(is_inside) {
            return Ok(());
        }
        Err(PeError::Field {
            field: "AddressOfEntryPoint",
            value: u64::from(entry),
            expected: "an address in an executable section",
        })
    }
}

fn check_headers(headers: &ImageNtHeaders64) -> Result<(), PeError> {
    let machine = headers.file_header.machine.get(LE);
    if machine != pe::IMAGE_FILE_MACHINE_AMD64 {
        return Err(PeError::Machine { machine: machine.0 });
    }
    let optional = &headers.optional_header;
    let field = |field, value, is_good, expected| {
        if is_good {
            return Ok(());
        }
        Err(PeError::Field {
            field,
            value: u64::from(value),
            expected,
        })
    };
    let subsystem = optional.subsystem.get(LE).0;
    field(
        "Subsystem",
        u32::from(subsystem),
        subsystem == 1,
        "1 (native)",
    )?;
    let alignment = optional.section_alignment.get(LE);
    let is_aligned = alignment >= PAGE && alignment.is_power_of_two() && alignment <= 1 << 21;
    field(
        "SectionAlignment",
        alignment,
        is_aligned,
        "a power of two from 0x1000 to 0x200000",
    )?;
    let image = optional.size_of_image.get(LE);
    let is_sized = (PAGE..=MAX_IMAGE_BYTES).contains(&image);
    field("SizeOfImage", image, is_sized, "from 0x1000 to 0x4000000")?;
    let header_bytes = optional.size_of_headers.get(LE);
    let fits = header_bytes > 0 && header_bytes <= image;
    field("SizeOfHeaders", header_bytes, fits, "at most SizeOfImage")
}
