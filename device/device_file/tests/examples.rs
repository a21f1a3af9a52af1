//! The device files that come with dmarig are right, and stay so.

use std::fs;
use std::path::Path;

use device_file::{DeviceDescription, read};
use pci_function::ConfigSpace;

fn examples() -> Vec<(String, DeviceDescription)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("devices");
    let mut all: Vec<_> = fs::read_dir(folder)
        .expect("the folder of examples")
        .map(|entry| entry.expect("an example").path())
        .map(|path| {
            let device = read(&path).unwrap_or_else(|error| panic!("{error}"));
            let name = path.file_name().expect("a file").to_string_lossy();
            (name.into_owned(), device)
        })
        .collect();
    all.sort_by(|(one, _), (other, _)| one.cmp(other));
    all
}

#[test]
fn every_example_is_a_function_of_its_own_identity() {
    let examples = examples();
    let names: Vec<_> = examples.iter().map(|(name, _)| name.as_str()).collect();
    for name in [
        "dmarig-dut.toml",
        "legacy-io.toml",
        "msi-only.toml",
        "rich.toml",
    ] {
        assert!(names.contains(&name), "{name} is missing from {names:?}");
    }
    for (name, device) in &examples {
        ConfigSpace::new(&device.function_config()).expect(name);
    }
    let mut ids: Vec<_> = examples
        .iter()
        .map(|(_, device)| (device.identity.vendor_id, device.identity.device_id))
        .collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), examples.len(), "two examples have the same IDs");
}

#[test]
fn description_survives_being_written_and_read() {
    for (name, device) in examples() {
        let text = toml::to_string(&device).expect("TOML");
        let again = device_file::parse(Path::new(&name), &text).expect("its own text");
        assert_eq!(again, device, "{text}");
    }
}
