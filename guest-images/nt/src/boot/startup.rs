//! The order in which the kernel comes up.
#![expect(unsafe_code, reason = "takes the machine over from the firmware")]

use alloc::boxed::Box;
use core::ops::Range;

use super::archive::Archive;
use super::command_line::Options;
use super::start_info::StartInfo;
use crate::arch::exit::{ExitCode, exit};
use crate::arch::guarded::Guarded;
use crate::arch::{apic, descriptors, processor, vectors};
use crate::console::Event;
use crate::ke::{self, thread};
use crate::memory::{self, Cache, GuestPhysAddr, Protection, Section, VirtAddr, layout};
use crate::{acpi, pci, vtd};

/// What the firmware and the harness handed over.
#[derive(Debug)]
pub struct BootInfo {
    /// The command line.
    pub options: Options,
    /// The boot archive, if there is one.
    pub archive: Option<Archive<'static>>,
    /// Physical address of the ACPI root pointer.
    pub rsdp: u64,
}

static BOOT_INFO: Guarded<Option<&'static BootInfo>> = Guarded::new(None);

/// The boot information; `None` in the host build and before it is known.
#[must_use]
pub fn info() -> Option<&'static BootInfo> {
    BOOT_INFO.with(|slot| *slot)
}

/// Brings the kernel up and starts `main` in the first system thread.
///
/// `start_info` is the physical address of the PVH start info, `kernel` the sections of the running image.
///
/// # Safety
/// Called once, by the boot code, on the boot tables and the boot stack, interrupts off.
pub unsafe fn start(start_info: u64, kernel: &[Section], main: fn(u64)) -> ! {
    // SAFETY: the caller's promise, passed on.
    unsafe {
        descriptors::load();
        vectors::load();
    }
    processor::load();
    let start_info = StartInfo::parse(start_info, &read_physical)
        .unwrap_or_else(|error| panic!("PVH start info: {error:?}"));
    let module = start_info.module.clone().unwrap_or(0..0);
    // SAFETY: called once, on the boot tables, with the firmware's map.
    unsafe { memory::initialize(start_info.ram(), core::slice::from_ref(&module), kernel) }
        .expect("the machine has RAM for a heap of 4 MiB and page tables");
    let info = boot_info(&start_info, &module);
    BOOT_INFO.with(|slot| *slot = Some(info));
    memory::prefer(info.options.memory);
    announce(info);
    apic::initialize().expect("memory has just come up");
    bring_up_devices(info).unwrap_or_else(|error| refuse(error.as_ref()));
    ke::start().expect("memory has just come up");
    thread::create("main", thread::Start::Kernel(main, 0)).expect("memory has just come up");
    ke::idle()
}

fn boot_info(start_info: &StartInfo, module: &Range<u64>) -> &'static BootInfo {
    let options = Options::parse(&start_info.command_line()).unwrap_or_else(|error| refuse(&error));
    let archive = (!module.is_empty()).then(|| {
        let bytes = map_archive(module);
        Archive::parse(bytes).unwrap_or_else(|error| refuse(&error))
    });
    Box::leak(Box::new(BootInfo {
        options,
        archive,
        rsdp: start_info.rsdp,
    }))
}

fn announce(info: &BootInfo) {
    Event::new("boot")
        .display("remapping", &info.options.remapping)
        .hex("memory_bytes", memory::memory_bytes())
        .text("version", env!("CARGO_PKG_VERSION"))
        .send();
}

/// Remapping comes first, so that no device has ever seen memory that a driver did not map for it.
fn bring_up_devices(info: &BootInfo) -> Result<(), Box<dyn core::fmt::Display>> {
    let tables = acpi::Tables::read(&acpi::MappedMemory, GuestPhysAddr::new(info.rsdp))
        .map_err(displayed)?;
    if info.options.remapping.is_on() {
        vtd::initialize(&tables.remapping_units).map_err(displayed)?;
    }
    pci::initialize(&tables.ecam).map_err(displayed)
}

fn displayed(error: impl core::fmt::Display + 'static) -> Box<dyn core::fmt::Display> {
    Box::new(error)
}

/// The harness asked for something that cannot be: says so and leaves.
fn refuse(error: &dyn core::fmt::Display) -> ! {
    Event::new("panic")
        .display("message", error)
        .text("location", "boot")
        .send();
    exit(ExitCode::EnvironmentMissing)
}

/// Largest boot archive that is taken.
const MAX_ARCHIVE_BYTES: u64 = 64 << 20;

/// Maps the boot archive, for ever and read-only.
fn map_archive(range: &Range<u64>) -> &'static [u8] {
    let len_bytes = range.end - range.start;
    if len_bytes > MAX_ARCHIVE_BYTES {
        refuse(&"boot archive: larger than 64 MiB");
    }
    let start = GuestPhysAddr::new(range.start);
    let address = memory::map_physical(start, len_bytes, Cache::Cached, Protection::ReadOnly)
        .expect("memory has just come up");
    let len = usize::try_from(len_bytes).expect("bounded above");
    // SAFETY: the range was just mapped and never goes; its frames were reserved, so nobody writes there.
    unsafe { core::slice::from_raw_parts(address.as_ptr(), len) }
}

/// Reads physical memory through the boot tables' direct map.
fn read_physical(address: u64, buffer: &mut [u8]) -> bool {
    let direct_map_bytes = layout::DIRECT_MAP.end - layout::DIRECT_MAP.start;
    let is_inside = address
        .checked_add(buffer.len() as u64)
        .is_some_and(|end| end <= direct_map_bytes);
    if !is_inside {
        return false;
    }
    for (offset, byte) in buffer.iter_mut().enumerate() {
        let at = layout::DIRECT_MAP.start + address + offset as u64;
        // SAFETY: the boot tables map the first 512 GiB here; a hole reads as all ones.
        *byte = unsafe { VirtAddr::new_truncate(at).as_ptr::<u8>().read_volatile() };
    }
    true
}
