//! WDF_DRIVER_GLOBALS: one block for each bound driver, and what the framework knows of that client.

use alloc::collections::BTreeMap;

use super::object::Handle;
use crate::arch::guarded::Guarded;
use crate::ntoskrnl::kernel_memory;
use crate::ntoskrnl::shared::{write_bytes, write_u64};

const TAG: u32 = u32::from_le_bytes(*b"WdfG");
/// Size of WDF_DRIVER_GLOBALS.
const GLOBALS_BYTES: u64 = 0x38;
const DRIVER: u64 = 0x00;
const DRIVER_TAG: u64 = 0x0C;
const DRIVER_NAME: u64 = 0x10;
const DRIVER_NAME_BYTES: usize = 32;
const DISPLACE_DRIVER_UNLOAD: u64 = 0x30;

/// What the framework knows of a bound driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its DRIVER_OBJECT.
    pub driver_object: u64,
    /// KMDF 1.x that it was built for: x.
    pub minor: u32,
    /// Slots that it was built for.
    pub function_count: u32,
    /// Its WDFDRIVER.
    pub driver: Option<Handle>,
}

static CLIENTS: Guarded<BTreeMap<u64, Client>> = Guarded::new(BTreeMap::new());

/// Makes the block of a client; `None` where memory is short. `name` is that of the service.
pub(super) fn add(client: Client, name: &str) -> Option<u64> {
    let globals = kernel_memory::allocate(GLOBALS_BYTES, TAG)?;
    let name = name.as_bytes();
    // A zero stays behind the name.
    write_bytes(
        globals + DRIVER_NAME,
        &name[..name.len().min(DRIVER_NAME_BYTES - 1)],
    );
    write_bytes(globals + DRIVER_TAG, b"WDFd");
    CLIENTS.with(|clients| clients.insert(globals, client));
    Some(globals)
}

/// Forgets a client and frees its block; gives what it was.
pub(super) fn remove(globals: u64) -> Option<Client> {
    let client = CLIENTS.with(|clients| clients.remove(&globals))?;
    kernel_memory::free(globals);
    Some(client)
}

/// Clients that are bound, for the leak report.
#[must_use]
pub fn bound_count() -> usize {
    CLIENTS.with(|clients| clients.len())
}

/// The client of a block.
#[must_use]
pub fn client(globals: u64) -> Option<Client> {
    CLIENTS.with(|clients| clients.get(&globals).copied())
}

/// The WDFDRIVER of a client.
#[must_use]
pub fn driver(globals: u64) -> Option<Handle> {
    client(globals)?.driver
}

/// Whether a client was built for KMDF 1.`minor` or later.
#[must_use]
pub fn is_at_least(globals: u64, minor: u32) -> bool {
    client(globals).is_none_or(|client| client.minor >= minor)
}

/// The block of the client whose DRIVER_OBJECT this is.
#[must_use]
pub(super) fn of_driver_object(driver_object: u64) -> Option<u64> {
    CLIENTS.with(|clients| {
        let mut clients = clients.iter();
        clients
            .find(|(_, client)| client.driver_object == driver_object)
            .map(|(globals, _)| *globals)
    })
}

/// Notes the WDFDRIVER, or that it is gone, in the block as well.
pub(super) fn set_driver(globals: u64, driver: Option<Handle>) {
    CLIENTS.with(|clients| {
        if let Some(client) = clients.get_mut(&globals) {
            client.driver = driver;
        }
    });
    write_u64(globals + DRIVER, driver.map_or(0, Handle::raw));
}

/// Asks the driver's entry stub to unbind when the driver is unloaded: DisplaceDriverUnload.
pub(super) fn displace_unload(globals: u64) {
    write_bytes(globals + DISPLACE_DRIVER_UNLOAD, &[1]);
}
