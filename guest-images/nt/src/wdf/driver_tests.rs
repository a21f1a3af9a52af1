//! WDFDRIVER, with the test's own memory in place of a driver's.

use std::vec;

use super::super::globals::Client;
use super::*;
use crate::ntoskrnl::shared::{address_of, narrow_text, wide_text};

/// A bound client of KMDF 1.33, its driver object, and a registry path.
pub(in super::super) fn client() -> (u64, u64, u64) {
    let driver_object = kernel_memory::allocate(0x150, TAG).expect("memory");
    let extension = kernel_memory::allocate(0x28, TAG).expect("memory");
    write_u64(driver_object + 0x30, extension);
    let client = Client {
        driver_object,
        minor: 33,
        function_count: 458,
        driver: None,
    };
    let globals = globals::add(client, "dmarig-kmdf").expect("memory");
    let path = vec![
        u64::from(4u32 | (4 << 16)),
        copy_text(&[0x5C, 0x41]).expect("memory"),
    ];
    (
        globals,
        driver_object,
        vec::Vec::leak(path).as_ptr().expose_provenance() as u64,
    )
}

fn config(size: u64, device_add: u64, flags: u64) -> [Cell<u64>; 4] {
    [size, device_add, 0, flags].map(Cell::new)
}

#[test]
fn driver_is_made_once_and_unload_deletes_it() {
    let (globals, driver_object, path) = client();
    let config = config(0x20, 0x1000, 0);
    let out = Cell::new(0u64);
    let call = || {
        create(
            globals,
            driver_object,
            path,
            0,
            address_of(&config),
            address_of(&out),
        )
    };
    assert_eq!(call(), status::SUCCESS);
    let driver = out.get();
    assert_eq!(read_u64(globals), driver, "WDF_DRIVER_GLOBALS.Driver");
    assert_eq!(narrow_text(globals + 0x10, 32), b"dmarig-kmdf");
    assert_eq!(wide_text(registry_path(globals, driver), 9), [0x5C, 0x41]);
    assert_eq!(wdm_driver_object(globals, driver), driver_object);
    assert_eq!(of_wdm_driver(globals, driver_object), driver);
    assert_eq!(call(), status::DRIVER_INTERNAL_ERROR);
    unload(driver_object);
    assert_eq!(of_wdm_driver(globals, driver_object), 0);
    assert_eq!(read_u64(globals), 0);
    globals::remove(globals);
}

#[test]
fn broken_configuration_is_refused() {
    let (globals, driver_object, path) = client();
    let check = |config: [Cell<u64>; 4], expected| {
        let status = create(globals, driver_object, path, 0, address_of(&config), 0);
        assert_eq!(status, expected);
    };
    check(config(0x18, 0, 0), status::INFO_LENGTH_MISMATCH);
    check(config(0x20, 0, 8), status::INVALID_PARAMETER);
    check(config(0x20, 0x1000, 1), status::INVALID_PARAMETER);
    globals::remove(globals);
}

#[test]
fn versions_up_to_1_33_are_available() {
    let (globals, driver_object, path) = client();
    let out = Cell::new(0u64);
    let config = config(0x20, 0x1000, 0);
    let status = create(
        globals,
        driver_object,
        path,
        0,
        address_of(&config),
        address_of(&out),
    );
    assert_eq!(status, status::SUCCESS);
    let check = |words: [u32; 3], expected| {
        let words = words.map(Cell::new);
        let seen = is_version_available(globals, out.get(), address_of(&words));
        assert_eq!(seen, expected, "{words:?}");
    };
    check([12, 1, 15], 1);
    check([12, 1, 33], 1);
    check([12, 1, 35], 0);
    check([8, 1, 15], 0);
    unload(driver_object);
    globals::remove(globals);
}
