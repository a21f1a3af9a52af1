//! WDFKEY (indices 48, 119, 229 to 231, 234, 235, 238, 240, 241, 244, 246): registry keys as framework objects. IRQL
//! PASSIVE_LEVEL, all of them.

use alloc::format;
use alloc::string::String;
use core::cell::Cell;

use super::attributes::{Attributes, Rules};
use super::creation::{give, parent_or_driver};
use super::family::Family;
use super::object::{self, Handle, Kind};
use super::violation::{at_most, not_null};
use super::{device, driver, tree};
use crate::ke::irql::PASSIVE_LEVEL;
use crate::ntoskrnl::objects::UnicodeString;
use crate::ntoskrnl::shared::{counted_string, optional, read_bytes, wide_text, write_bytes};
use crate::ntoskrnl::status::{self, NtStatus};
use crate::pnp::device::hardware_key;
use crate::registry::{MAX_VALUE_BYTES, PathError, REG_DWORD, REG_SZ, REGISTRY, Value};

/// Longest registry path of a driver, in characters.
const MAX_PATH: usize = 512;
/// PLUGPLAY_REGKEY_DRIVER among the kinds of device keys.
const DRIVER_KEY: u32 = 2;

static KIND: Kind = Kind {
    is_passive: true,
    on_destroy: forget,
    ..Kind::new("WDFKEY")
};

/// The identity of each key in the registry.
static KEYS: Family<String> = Family::new();

fn forget(handle: Handle) {
    KEYS.remove(handle);
}

/// How a path is opened.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Open,
    Create,
}

fn make(
    function: &str,
    globals: u64,
    path: &str,
    mode: Mode,
    attributes: u64,
) -> Result<Handle, NtStatus> {
    let attributes = Attributes::read(attributes, Rules::PLAIN)?;
    let identity = REGISTRY.with(|registry| match mode {
        Mode::Open => registry.open(path),
        Mode::Create => registry.create(path),
    });
    let identity = identity.map_err(|error| match error {
        PathError::NotFound => status::OBJECT_NAME_NOT_FOUND,
        PathError::BadSyntax => status::OBJECT_PATH_SYNTAX_BAD,
    })?;
    let parent = parent_or_driver(function, globals, &attributes);
    let handle = object::create(&KIND, &attributes, parent)?;
    KEYS.insert(handle, identity);
    Ok(handle)
}

/// The path of a name, below a key where one is given.
fn path_of(function: &str, parent: u64, name: u64) -> String {
    let name = counted_string(name);
    match parent {
        0 => name,
        parent => format!(
            r"{}\{}",
            identity(function, parent),
            name.trim_matches('\\')
        ),
    }
}

fn identity(function: &str, key: u64) -> String {
    KEYS.get(object::check(function, key, &KIND))
        .unwrap_or_default()
}

/// `WdfRegistryOpenKey` (wdfregistry.h). STATUS_SUCCESS, STATUS_OBJECT_NAME_NOT_FOUND, STATUS_OBJECT_PATH_SYNTAX_BAD,
/// STATUS_INSUFFICIENT_RESOURCES, or what [`Attributes::read`] says. The driver is the parent where none is named.
pub(super) extern "win64" fn open(
    globals: u64,
    parent: u64,
    name: u64,
    _access: u32,
    attributes: u64,
    out: u64,
) -> NtStatus {
    let function = "WdfRegistryOpenKey";
    not_null(function, "KeyName", name);
    not_null(function, "Key", out);
    at_most(function, PASSIVE_LEVEL);
    let path = path_of(function, parent, name);
    give(out, make(function, globals, &path, Mode::Open, attributes))
}

/// `WdfRegistryCreateKey` (wdfregistry.h). As [`open`], and creates what is missing; REG_CREATED_NEW_KEY (1) or
/// REG_OPENED_EXISTING_KEY (2) where it is wanted.
pub(super) extern "win64" fn create(
    globals: u64,
    parent: u64,
    name: u64,
    _access: u32,
    _options: u32,
    disposition: u64,
    attributes: u64,
    out: u64,
) -> NtStatus {
    let function = "WdfRegistryCreateKey";
    not_null(function, "KeyName", name);
    not_null(function, "Key", out);
    at_most(function, PASSIVE_LEVEL);
    let path = path_of(function, parent, name);
    let existed = REGISTRY.with(|registry| registry.open(&path).is_ok());
    let created = make(function, globals, &path, Mode::Create, attributes);
    if let (Ok(_), Some(disposition)) = (created, optional::<Cell<u32>>(disposition)) {
        disposition.set(if existed { 2 } else { 1 });
    }
    give(out, created)
}

/// `WdfRegistryClose` (wdfregistry.h).
pub(super) extern "win64" fn close(_globals: u64, key: u64) {
    let function = "WdfRegistryClose";
    let handle = object::check(function, key, &KIND);
    at_most(function, PASSIVE_LEVEL);
    tree::delete(handle);
}

/// `WdfDriverOpenParametersRegistryKey` (wdfdriver.h): `Parameters` of the service key, made where it is missing. As
/// [`open`].
pub(super) extern "win64" fn open_parameters(
    globals: u64,
    driver: u64,
    _access: u32,
    attributes: u64,
    out: u64,
) -> NtStatus {
    let function = "WdfDriverOpenParametersRegistryKey";
    let driver = object::check(function, driver, &driver::KIND);
    not_null(function, "Key", out);
    at_most(function, PASSIVE_LEVEL);
    let path = driver::record(driver).map_or(0, |driver| driver.registry_path);
    let service = String::from_utf16_lossy(&wide_text(path, MAX_PATH));
    let path = format!(r"{service}\Parameters");
    give(
        out,
        make(function, globals, &path, Mode::Create, attributes),
    )
}

/// `WdfDeviceOpenRegistryKey` (wdfdevice.h): the device's hardware or software key. As [`open`];
/// STATUS_INVALID_DEVICE_REQUEST for a device that is gone.
pub(super) extern "win64" fn open_of_device(
    globals: u64,
    device: u64,
    kind: u32,
    _access: u32,
    attributes: u64,
    out: u64,
) -> NtStatus {
    let function = "WdfDeviceOpenRegistryKey";
    let device = object::check(function, device, &device::KIND);
    not_null(function, "Key", out);
    at_most(function, PASSIVE_LEVEL);
    let pdo = device::with(device, |device| device.init.pdo);
    let Some(path) = pdo.and_then(hardware_key) else {
        return give(out, Err(status::INVALID_DEVICE_REQUEST));
    };
    let below = match kind & 3 {
        DRIVER_KEY => "Driver",
        _ => "Device Parameters",
    };
    let path = format!(r"{path}\{below}");
    give(
        out,
        make(function, globals, &path, Mode::Create, attributes),
    )
}

fn value(function: &str, key: u64, name: u64) -> Result<Value, NtStatus> {
    let identity = identity(function, key);
    not_null(function, "ValueName", name);
    at_most(function, PASSIVE_LEVEL);
    let name = counted_string(name);
    let value = REGISTRY.with(|registry| registry.value(&identity, &name).cloned());
    value.ok_or(status::OBJECT_NAME_NOT_FOUND)
}

/// `WdfRegistryQueryValue` (wdfregistry.h). STATUS_SUCCESS with the data, its length and type where they are wanted;
/// STATUS_OBJECT_NAME_NOT_FOUND; STATUS_BUFFER_OVERFLOW, with length and type, where the room is too small.
pub(super) extern "win64" fn query_value(
    _globals: u64,
    key: u64,
    name: u64,
    room: u32,
    buffer: u64,
    len_out: u64,
    kind_out: u64,
) -> NtStatus {
    let value = match value("WdfRegistryQueryValue", key, name) {
        Ok(value) => value,
        Err(status) => return status,
    };
    let len = u32::try_from(value.data.len()).unwrap_or(u32::MAX);
    for (out, number) in [(len_out, len), (kind_out, value.kind)] {
        if let Some(out) = optional::<Cell<u32>>(out) {
            out.set(number);
        }
    }
    if buffer == 0 || room < len {
        return status::BUFFER_OVERFLOW;
    }
    write_bytes(buffer, &value.data);
    status::SUCCESS
}

/// `WdfRegistryQueryUnicodeString` (wdfregistry.h). STATUS_SUCCESS; the bytes with the zero where they are wanted;
/// STATUS_OBJECT_NAME_NOT_FOUND, STATUS_OBJECT_TYPE_MISMATCH, STATUS_BUFFER_OVERFLOW.
pub(super) extern "win64" fn query_unicode_string(
    _globals: u64,
    key: u64,
    name: u64,
    len_out: u64,
    string: u64,
) -> NtStatus {
    let value = match value("WdfRegistryQueryUnicodeString", key, name) {
        Ok(value) if value.kind == REG_SZ => value,
        Ok(_) => return status::OBJECT_TYPE_MISMATCH,
        Err(status) => return status,
    };
    let len = u16::try_from(value.data.len()).unwrap_or(u16::MAX);
    if let Some(out) = optional::<Cell<u16>>(len_out) {
        out.set(len);
    }
    let Some(string) = optional::<UnicodeString>(string) else {
        return status::SUCCESS;
    };
    if string.maximum_length.get() < len {
        return status::BUFFER_OVERFLOW;
    }
    write_bytes(string.buffer.get(), &value.data);
    let has_zero = value.data.ends_with(&[0, 0]);
    string.length.set(len - if has_zero { 2 } else { 0 });
    status::SUCCESS
}

/// `WdfRegistryQueryULong` (wdfregistry.h). STATUS_SUCCESS, STATUS_OBJECT_NAME_NOT_FOUND, STATUS_OBJECT_TYPE_MISMATCH.
pub(super) extern "win64" fn query_ulong(_globals: u64, key: u64, name: u64, out: u64) -> NtStatus {
    let function = "WdfRegistryQueryULong";
    let value = value(function, key, name);
    not_null(function, "Value", out);
    match value {
        Ok(value) if value.kind == REG_DWORD && value.data.len() == 4 => {
            write_bytes(out, &value.data);
            status::SUCCESS
        }
        Ok(_) => status::OBJECT_TYPE_MISMATCH,
        Err(status) => status,
    }
}

fn assign(function: &str, key: u64, name: u64, kind: u32, data: &[u8]) -> NtStatus {
    let identity = identity(function, key);
    not_null(function, "ValueName", name);
    at_most(function, PASSIVE_LEVEL);
    let value = Value {
        name: counted_string(name),
        kind,
        data: data.to_vec(),
    };
    REGISTRY.with(|registry| registry.set(&identity, value));
    status::SUCCESS
}

/// `WdfRegistryAssignULong` (wdfregistry.h). STATUS_SUCCESS.
pub(super) extern "win64" fn assign_ulong(
    _globals: u64,
    key: u64,
    name: u64,
    number: u32,
) -> NtStatus {
    let function = "WdfRegistryAssignULong";
    assign(function, key, name, REG_DWORD, &number.to_le_bytes())
}

/// `WdfRegistryAssignUnicodeString` (wdfregistry.h). STATUS_SUCCESS.
pub(super) extern "win64" fn assign_unicode_string(
    _globals: u64,
    key: u64,
    name: u64,
    string: u64,
) -> NtStatus {
    let function = "WdfRegistryAssignUnicodeString";
    not_null(function, "Value", string);
    let text = Value::text("", &counted_string(string));
    assign(function, key, name, REG_SZ, &text.data)
}

/// `WdfRegistryAssignValue` (wdfregistry.h). STATUS_SUCCESS, STATUS_INSUFFICIENT_RESOURCES beyond 1 MiB.
pub(super) extern "win64" fn assign_value(
    _globals: u64,
    key: u64,
    name: u64,
    kind: u32,
    len: u32,
    data: u64,
) -> NtStatus {
    let function = "WdfRegistryAssignValue";
    not_null(function, "Value", data);
    if len as usize > MAX_VALUE_BYTES {
        return status::INSUFFICIENT_RESOURCES;
    }
    assign(function, key, name, kind, &read_bytes(data, len as usize))
}

/// `WdfRegistryRemoveValue` (wdfregistry.h). STATUS_SUCCESS, STATUS_OBJECT_NAME_NOT_FOUND.
pub(super) extern "win64" fn remove_value(_globals: u64, key: u64, name: u64) -> NtStatus {
    let function = "WdfRegistryRemoveValue";
    let identity = identity(function, key);
    not_null(function, "ValueName", name);
    at_most(function, PASSIVE_LEVEL);
    let name = counted_string(name);
    match REGISTRY.with(|registry| registry.remove_value(&identity, &name)) {
        true => status::SUCCESS,
        false => status::OBJECT_NAME_NOT_FOUND,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ntoskrnl::shared::address_of;

    fn string(text: &str, room: u16) -> UnicodeString {
        let mut units: std::vec::Vec<u16> = text.encode_utf16().collect();
        let length = u16::try_from(units.len() * 2).expect("short");
        units.resize(units.len().max(usize::from(room) / 2), 0);
        UnicodeString {
            length: Cell::new(length),
            maximum_length: Cell::new(length.max(room)),
            buffer: Cell::new(units.leak().as_ptr().expose_provenance() as u64),
        }
    }

    #[test]
    fn values_are_written_read_and_told_apart_by_type() {
        let (path, out, disposition) = (
            string(r"\Registry\Machine\WdfKeyTest\Below", 0),
            Cell::new(0u64),
            Cell::new(0u32),
        );
        let open_it = || open(0, 0, address_of(&path), 0, 0, address_of(&out));
        assert_eq!(open_it(), status::OBJECT_NAME_NOT_FOUND);
        let places = (address_of(&disposition), address_of(&out));
        let status = create(0, 0, address_of(&path), 0, 0, places.0, 0, places.1);
        assert_eq!((status, disposition.get()), (status::SUCCESS, 1));
        let key = out.get();
        let (number, text) = (string("Number", 0), string("Text", 0));
        let (number, text) = (address_of(&number), address_of(&text));
        assert_eq!(assign_ulong(0, key, number, 0x1234), status::SUCCESS);
        let value = string("Board", 0);
        assert_eq!(
            assign_unicode_string(0, key, text, address_of(&value)),
            status::SUCCESS
        );
        let seen = Cell::new(0u32);
        assert_eq!(
            query_ulong(0, key, number, address_of(&seen)),
            status::SUCCESS
        );
        assert_eq!(seen.get(), 0x1234);
        let mismatch = status::OBJECT_TYPE_MISMATCH;
        assert_eq!(query_ulong(0, key, text, address_of(&seen)), mismatch);
        let (small, large, len) = (string("", 10), string("", 64), Cell::new(0u16));
        let query = |into: &UnicodeString| {
            query_unicode_string(0, key, text, address_of(&len), address_of(into))
        };
        assert_eq!(query(&small), status::BUFFER_OVERFLOW);
        assert_eq!((query(&large), len.get()), (status::SUCCESS, 12));
        assert_eq!(counted_string(address_of(&large)), "Board");
        let (size, kind) = (Cell::new(0u32), Cell::new(0u32));
        let status = query_value(0, key, number, 0, 0, address_of(&size), address_of(&kind));
        assert_eq!(
            (status, size.get(), kind.get()),
            (status::BUFFER_OVERFLOW, 4, 4)
        );
        assert_eq!(remove_value(0, key, number), status::SUCCESS);
        assert_eq!(remove_value(0, key, number), status::OBJECT_NAME_NOT_FOUND);
        close(0, key);
        assert_eq!(open_it(), status::SUCCESS);
        close(0, out.get());
    }
}
