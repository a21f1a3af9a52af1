//! Stock QEMU realizes both functions. Needs `DMARIG_QEMU`, the path of a QEMU 11.1 or newer.

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use control_api::FunctionName;
use control_api::request::{MappingsSummary, Status};

use crate::child::{DeviceProcess, PATIENCE, wait_for, wait_until};

/// Why this cannot run here, if it cannot.
pub fn missing() -> Option<&'static str> {
    qemu()
        .is_none()
        .then_some("DMARIG_QEMU does not name a QEMU 11.1 or newer")
}

fn qemu() -> Option<OsString> {
    std::env::var_os("DMARIG_QEMU")
}

pub fn stock_qemu_realizes_both_functions_and_maps_its_memory() {
    let qemu = qemu().expect("asked for before the test is run");
    let process = DeviceProcess::start(&[]);
    let output = process.path("qemu-output");
    let file = std::fs::File::create(&output).expect("file");
    let machine = Command::new(qemu)
        .args([
            "-machine",
            "q35,memory-backend=ram",
            "-accel",
            "tcg",
            "-m",
            "128",
        ])
        .args(["-object", "memory-backend-memfd,id=ram,size=128M,share=on"])
        .args(["-nodefaults", "-display", "none", "-monitor", "stdio"])
        .args(["-device", "intel-iommu,caching-mode=on"])
        .args(["-device", "pcie-root-port,id=rp1,chassis=1,slot=1"])
        .args(["-device", "pcie-root-port,id=rp2,chassis=2,slot=2"])
        .args(["-device", &vfio_user_device("rp1", &process.path("dut"))])
        .args([
            "-device",
            &vfio_user_device("rp2", &process.path("control-function")),
        ])
        .stdin(Stdio::piped())
        .stdout(file.try_clone().expect("file"))
        .stderr(file)
        .spawn()
        .expect("QEMU");
    let mut machine = EndedWithTest(machine);
    let mut monitor = machine.0.stdin.take().expect("piped");
    let mut seen = String::new();
    // Behind a root port a function is visible once the firmware has given the port a bus number.
    wait_until("both functions in `info pci`", || {
        writeln!(monitor, "info pci").ok();
        seen = std::fs::read_to_string(&output).expect("output");
        seen.contains("1234:d0a0") && seen.contains("1234:d0c0")
    });
    let mut harness = process.harness();
    let status = harness.call(&Status {}, PATIENCE).expect("status");
    assert!(status.functions.values().all(|function| function.connected));
    assert_eq!(status.counters.rejected_messages, 0, "{seen}");
    let function = FunctionName::DUT0;
    let summary = harness
        .call(&MappingsSummary { function }, PATIENCE)
        .expect("summary");
    assert!(summary.bytes >= 127 << 20, "{summary:?}");

    writeln!(monitor, "quit").expect("monitor");
    assert!(wait_for(&mut machine.0).success());
    wait_until("the disconnect", || {
        let status = harness.call(&Status {}, PATIENCE).expect("status");
        status
            .functions
            .values()
            .all(|function| !function.connected)
    });
}

fn vfio_user_device(bus: &str, socket: &Path) -> String {
    let socket = socket.display();
    format!(
        r#"{{"driver":"vfio-user-pci","bus":"{bus}","socket":{{"type":"unix","path":"{socket}"}}}}"#
    )
}

struct EndedWithTest(Child);

impl Drop for EndedWithTest {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}
