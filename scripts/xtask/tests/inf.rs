//! Either INF names the identities and vectors that the ABI crate gives the functions.

use std::fs;

use dmarig_abi::registers::{
    CONTROL_MSIX_VECTORS, DUT_MAX_CHANNELS, PCI_DEVICE_ID_CONTROL, PCI_DEVICE_ID_DUT, PCI_VENDOR_ID,
};
use xtask::paths;

/// The services, each of which an INF of that name installs.
const SERVICES: [&str; 2] = ["dmarig", "dmarig-kmdf"];

/// The lines of a section, without comments.
fn section(service: &str, name: &str) -> Vec<String> {
    let path = paths::test_driver().join(format!("{service}.inf"));
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
fn install_section(service: &str, device: u16) -> String {
    let id = format!("PCI\\VEN_{PCI_VENDOR_ID:04X}&DEV_{device:04X}");
    let models = section(service, "Models.NTamd64.10.0...20348");
    let line = models.iter().find(|line| line.ends_with(&id));
    let line = line.unwrap_or_else(|| panic!("no model for {id}"));
    let (_, install) = line.split_once("= ").expect("a model line");
    install.split_once(',').expect("a model line").0.to_owned()
}

#[test]
fn both_functions_get_their_vectors_remapping_and_the_service() {
    let functions = [
        (PCI_DEVICE_ID_DUT, DUT_MAX_CHANNELS),
        (PCI_DEVICE_ID_CONTROL, u32::from(CONTROL_MSIX_VECTORS)),
    ];
    for service in SERVICES {
        for (device, vectors) in functions {
            let install = install_section(service, device);
            let hardware = section(service, &format!("{install}.NT.HW")).concat();
            let (_, lists) = hardware.split_once("= ").expect("AddReg = lists");
            let values: Vec<String> = lists
                .split(',')
                .flat_map(|list| section(service, list))
                .collect();
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
            let services = section(service, &format!("{install}.NT.Services"));
            let expected = format!("AddService = {service},0x00000002,Service");
            assert_eq!(services, [expected]);
        }
    }
}

#[test]
fn service_opts_in_to_remapping_and_names_its_image() {
    for service in SERVICES {
        let lines = section(service, "Service");
        let has = |line: &str| lines.iter().any(|seen| seen == line);
        assert!(has("AddReg        = Parameters.AddReg"));
        assert!(has(&format!("ServiceBinary = %13%\\{service}.sys")));
        let parameters = section(service, "Parameters.AddReg");
        assert_eq!(
            parameters,
            ["HKR,Parameters,DmaRemappingCompatible,0x00010001,1"]
        );
    }
}

#[test]
fn kmdf_library_version_is_the_one_that_the_driver_binds_to() {
    let service = "dmarig-kmdf";
    for device in [PCI_DEVICE_ID_DUT, PCI_DEVICE_ID_CONTROL] {
        let install = install_section(service, device);
        let framework = section(service, &format!("{install}.NT.Wdf"));
        assert_eq!(framework, ["KmdfService = dmarig-kmdf,Framework"]);
    }
    let header = paths::test_driver().join("src/kmdf/wdf.h");
    let header = fs::read_to_string(header).expect("the header is committed");
    let minor = header
        .lines()
        .find_map(|line| line.strip_prefix("#define WDF_CLIENT_MINOR "))
        .expect("the client version");
    assert_eq!(
        section(service, "Framework"),
        [format!("KmdfLibraryVersion = 1.{minor}")]
    );
}
