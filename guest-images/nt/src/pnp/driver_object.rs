//! Driver objects.

use crate::ntoskrnl::io_irp;
use crate::ntoskrnl::kernel_memory;
use crate::ntoskrnl::loader::Loaded;
use crate::ntoskrnl::objects::{DriverExtension, DriverObject, UnicodeString};
use crate::ntoskrnl::shared::{address_of, shared, write_bytes};
use crate::ntoskrnl::status::{self, NtStatus};
use crate::registry;

const TAG: u32 = u32::from_le_bytes(*b"Driv");
/// DRVO_LEGACY_DRIVER is not set: the driver has AddDevice.
const FLAGS: u32 = 0x10;

/// Allocates a driver object whose dispatch routines all fail with STATUS_INVALID_DEVICE_REQUEST.
pub(super) fn allocate(name: &str) -> Option<&'static DriverObject> {
    let driver: &DriverObject = shared(kernel_memory::allocate(
        size_of::<DriverObject>() as u64,
        TAG,
    )?);
    let extension: &DriverExtension = shared(kernel_memory::allocate(
        size_of::<DriverExtension>() as u64,
        TAG,
    )?);
    driver.kind.set(4);
    driver.size.set(0x150);
    driver.flags.set(FLAGS);
    driver.driver_extension.set(extension);
    extension.driver_object.set(driver);
    set_text(&driver.driver_name, &alloc::format!(r"\Driver\{name}"))?;
    set_text(&extension.service_key_name, name)?;
    for slot in &driver.major_function {
        slot.set((invalid_request as *const ()).expose_provenance() as u64);
    }
    Some(driver)
}

/// Tells the object about its image.
pub(super) fn set_image(driver: &DriverObject, image: &Loaded) {
    driver.driver_start.set(image.base);
    driver.driver_size.set(image.len_bytes);
    driver.driver_init.set(image.entry);
}

/// The service key's path as a UNICODE_STRING, for DriverEntry.
pub(super) fn registry_path(name: &str) -> Option<u64> {
    let string: &UnicodeString = shared(kernel_memory::allocate(
        size_of::<UnicodeString>() as u64,
        TAG,
    )?);
    set_text(string, &alloc::format!(r"{}\{name}", registry::SERVICES))?;
    Some(address_of(string))
}

/// What major functions without a routine do.
extern "win64" fn invalid_request(_device: u64, irp: u64) -> NtStatus {
    io_irp::complete_with(shared(irp), status::INVALID_DEVICE_REQUEST)
}

fn set_text(string: &UnicodeString, text: &str) -> Option<()> {
    let bytes: alloc::vec::Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let len = u16::try_from(bytes.len()).ok()?;
    let buffer = kernel_memory::allocate(u64::from(len) + 2, TAG)?;
    write_bytes(buffer, &bytes);
    string.buffer.set(buffer);
    string.length.set(len);
    string.maximum_length.set(len + 2);
    Some(())
}
