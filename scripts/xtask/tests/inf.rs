//! The INF names the identities and vectors that the ABI crate gives the functions.

use std::fs;

use dmarig_abi::registers::{
    CONTROL_MSIX_VECTORS, DUT_MSIX_VECTORS, PCI_DEVICE_ID_CONTROL, PCI_DEVICE_ID_DUT, PCI_VENDOR_ID,
};
use xtask::paths;

/// The lines of a section, without comments.
fn section(name: &str) -> Vec<String> {
    let path = paths::test_driver().join("dmarig.inf");
    let text = fs::read_to_string(path).expect("the INF is committed");
    let heading = format!("[{name}]");
    let mut lines = text.lines().skip_while(|line| *line != heading).skip(1);
    let body: Vec<String> = lines
        .by_ref()
        .take_while(|line| !line.starts_with('['))
        .filter(|line| !line.is_empty() && !line.starts_with(';'))
        .map(str::to_owned)
        .collect();
    assert!(!body.is_empty(), "section {heading} is missing or empty");
    body
}

/// The section that a model line of this device leads to.
fn install_section(device: u16) -> String {
    let id = format!("PCI\\VEN_{PCI_VENDOR_ID:04X}&DEV_{device:04X}");
    let models = section("Models.NTamd64.10.0...20348");
    let line = models.iter().find(|line| line.ends_with(&id));
    let line = line.unwrap_or_else(|| panic!("no model for {id}"));
    let (_, install) = line.split_once("= ").expect("a model line");
    install.split_once(',').expect("a model line").0.to_owned()
}

#[test]
fn both_functions_get_their_vectors_remapping_and_the_service() {
    let functions = [
        (PCI_DEVICE_ID_DUT, DUT_MSIX_VECTORS),
        (PCI_DEVICE_ID_CONTROL, CONTROL_MSIX_VECTORS),
    ];
    for (device, vectors) in functions {
        let install = install_section(device);
        let hardware = section(&format!("{install}.NT.HW")).concat();
        let (_, lists) = hardware.split_once("= ").expect("AddReg = lists");
        let values: Vec<String> = lists.split(',').flat_map(section).collect();
        let has = |end: &str| values.iter().any(|value| value.ends_with(end));
        assert!(has("MSISupported,0x00010001,1"), "{install}");
        assert!(
            has(&format!("MessageNumberLimit,0x00010001,{vectors}")),
            "{install}"
        );
        assert!(
            has("\"DMA Management\",RemappingSupported,0x00010001,1"),
            "{install}"
        );
        let services = section(&format!("{install}.NT.Services"));
        assert_eq!(services, ["AddService = dmarig,0x00000002,Service"]);
    }
}

#[test]
fn service_opts_in_to_remapping() {
    let service = section("Service");
    assert!(
        service
            .iter()
            .any(|line| line == "AddReg        = Parameters.AddReg")
    );
    let parameters = section("Parameters.AddReg");
    assert_eq!(
        parameters,
        ["HKR,Parameters,DmaRemappingCompatible,0x00010001,1"]
    );
}
