//! The targets that read a file of the user's, and use what they have read.

use std::path::Path;

use device_file::DeviceDescription;
use dmarig_device::{Dut, MessageDma};
use fault_injection::{Facts, Injector};
use vfio_user::{DeviceModel as _, RegionIndex};

/// Accesses that a plan is asked about.
const ACCESSES: u64 = 64;
/// Configuration space of a PCI Express function.
const CONFIG_BYTES: usize = 4096;

/// A rule file; a plan that is valid is asked at every point that it names.
pub fn rule_file(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(plan) = fault_injection::rule_file::parse(Path::new("fuzz.toml"), &text) else {
        return;
    };
    let points: Vec<_> = plan.rules.iter().map(|rule| rule.event).collect();
    let mut injector = Injector::new(plan.clone());
    let mut again = Injector::new(plan);
    for number in 0..ACCESSES {
        for point in &points {
            let channel = u8::try_from(number % 4).expect("less than 4");
            let facts = Facts::at(*point)
                .on_channel(channel)
                .with_range(number << 12, 64);
            // A decision is a function of the plan and the accesses, and of nothing else.
            assert_eq!(injector.decide(&facts), again.decide(&facts));
        }
    }
    assert_eq!(injector.status(), again.status());
}

/// A device file; a device as it describes has a configuration space that can be read and written.
pub fn device_file(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(description) = device_file::parse(Path::new("fuzz.toml"), &text) else {
        return;
    };
    check_device(&description);
}

fn check_device(description: &DeviceDescription) {
    let mut dut = Dut::new(description, MessageDma::Off).expect("memory for the BARs");
    let mut config = vec![0; CONFIG_BYTES];
    dut.read_region(RegionIndex::CONFIG, 0, &mut config)
        .expect("configuration space is always there");
    for offset in (0..CONFIG_BYTES).step_by(4) {
        // Refused or not, it must not panic.
        let _ = dut.write_region(RegionIndex::CONFIG, offset as u64, &[0xff; 4]);
    }
    for bar in 0..6 {
        let region = RegionIndex::try_new(bar).expect("a BAR");
        let size = dut.region_info(region).size;
        assert!(
            size == 0 || size.is_power_of_two(),
            "BAR {bar} has {size:#x} bytes"
        );
    }
}
