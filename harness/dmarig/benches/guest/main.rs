//! What the guest sees of the device's speed, and what a whole run costs. Everything on one CPU.
//!
//! - `read`, `posted write` of a trapped BAR: *subject* is `dmarig-device`, *floor* the least server that
//!   QEMU realizes, both in one machine and measured in turns by the nt guest (`selftest=bar_access`).
//! - `mapped read`: of the control function's BAR, which the guest maps.
//! - `one case`: `dmarig run` of one case, from its start to its end, boot included.
//!
//! Needs the parts (`scripts/build --release`) and `DMARIG_QEMU`. `cargo bench -p dmarig --bench guest`

mod floor;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);
const N_RUNS: usize = 11;
const ONE_CASE: &str = "CM-9/scattered-mapped";

/// By what was measured and the number of the function: nanoseconds, round by round.
type Measured = BTreeMap<(String, String), Vec<f64>>;

fn main() {
    // `cargo test --benches` runs this too; it measures nothing then.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    pin_to_one_cpu();
    let dmarig = PathBuf::from(env!("CARGO_BIN_EXE_dmarig"));
    let beside = dmarig.parent().expect("a folder");
    let qemu = std::env::var_os("DMARIG_QEMU").expect("DMARIG_QEMU: see scripts/setup --print-env");
    let folder = tempfile::tempdir().expect("a folder");

    let measured = bar_access(beside, &qemu, folder.path());
    println!(
        "{:<22} {:>12} {:>12} {:>8}",
        "case", "floor", "subject", "/floor"
    );
    for what in ["read", "posted write"] {
        let of = |number: &str| &measured[&(what.to_owned(), number.to_owned())];
        let (subject, floor) = (of("0"), of("1"));
        let ratios = subject
            .iter()
            .zip(floor)
            .map(|(subject, floor)| subject / floor);
        println!(
            "{what:<22} {:>9.2} µs {:>9.2} µs {:>8.3}",
            median(floor.iter().copied()) / 1000.0,
            median(subject.iter().copied()) / 1000.0,
            median(ratios)
        );
    }
    let mapped = &measured[&("mapped read".to_owned(), "0".to_owned())];
    println!(
        "{:<22} {:>12} {:>9.3} µs",
        "mapped read",
        "",
        median(mapped.iter().copied()) / 1000.0
    );

    let runs = (0..N_RUNS).map(|_| one_case(&dmarig, folder.path()));
    println!(
        "{:<22} {:>12} {:>9.1} ms",
        "one case, whole run",
        "",
        median(runs)
    );
}

/// Boots a machine with subject and floor, and lets the guest measure.
fn bar_access(beside: &Path, qemu: &std::ffi::OsStr, folder: &Path) -> Measured {
    let path = |name: &str| folder.join(name);
    floor::start(&path("floor"));
    let mut device = Ended(
        Command::new(beside.join("dmarig-device"))
            .arg("--socket")
            .arg(path("dut"))
            .arg("--control-function")
            .arg(path("control-function"))
            .spawn()
            .expect("dmarig-device beside dmarig: scripts/build --release"),
    );
    wait_until("the device's socket", || path("control-function").exists());
    let log = path("debug.log");
    let functions = ["dut", "floor", "control-function"];
    let mut machine = Command::new(qemu);
    machine
        .args(
            "-machine q35,memory-backend=ram,sata=off,smbus=off,usb=off -accel tcg -cpu max"
                .split(' '),
        )
        .args("-m 256M -object memory-backend-memfd,id=ram,size=256M,share=on".split(' '))
        .args("-bios qboot.rom -nodefaults -no-reboot -display none".split(' '))
        .args("-device isa-debug-exit,iobase=0xf4 -device intel-iommu,caching-mode=on".split(' '))
        .arg("-debugcon")
        .arg(format!("file:{}", log.display()))
        .arg("-kernel")
        .arg(beside.join("../guest/nt-kernel.elf"))
        .args(["-append", "remapping=off selftest=bar_access"])
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    for (number, name) in functions.iter().enumerate() {
        let socket = path(name);
        machine.args([
            "-device".to_owned(),
            format!("pcie-root-port,id=rp{number},chassis={number},slot={number}"),
            "-device".to_owned(),
            serde_json::json!({
                "driver": "vfio-user-pci",
                "bus": format!("rp{number}"),
                "socket": {"type": "unix", "path": socket},
            })
            .to_string(),
        ]);
    }
    let mut machine = Ended(machine.spawn().expect("QEMU"));
    wait_until("the end of the measurement", || {
        machine.0.try_wait().expect("QEMU").is_some()
    });
    device.0.kill().ok();
    let log = std::fs::read_to_string(&log).expect("the guest's console");
    assert!(
        log.contains(r#""reason":"selftest""#),
        "the guest did not finish:\n{log}"
    );
    measured_in(&log)
}

fn measured_in(log: &str) -> Measured {
    let mut measured = Measured::new();
    for line in log.lines().filter_map(|line| line.strip_prefix('@')) {
        let Ok(event) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
        // The first round warms up.
        if text("event") == "measured" && text("round") != "0" {
            let ns = text("ns").parse().expect("a number");
            measured
                .entry((text("what"), text("number")))
                .or_default()
                .push(ns);
        }
    }
    measured
}

/// Milliseconds of a whole run.
fn one_case(dmarig: &Path, folder: &Path) -> f64 {
    let start = Instant::now();
    let status = Command::new(dmarig)
        .args([
            "run",
            "--no-pin",
            "--remapping",
            "on",
            "--filter",
            ONE_CASE,
            "--out",
        ])
        .arg(folder.join("out"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("dmarig");
    assert!(status.success(), "dmarig run --filter {ONE_CASE}: {status}");
    start.elapsed().as_secs_f64() * 1000.0
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Pins this process, and those it starts later, to the first CPU it may use.
fn pin_to_one_cpu() {
    let allowed = sched_getaffinity(None).expect("affinity can be read");
    let cpu = (0..CpuSet::MAX_CPU).find(|cpu| allowed.is_set(*cpu));
    let mut one = CpuSet::new();
    one.set(cpu.expect("there is a CPU to run on"));
    sched_setaffinity(None, &one).expect("affinity can be narrowed");
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A process that ends with the bench.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}
