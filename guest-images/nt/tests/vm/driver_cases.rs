//! Driver files that cannot be loaded, imports that nt lacks, and dmarig.sys without its device.
//!
//! The last ones need the driver (`cargo xtask driver`, or `DMARIG_DRIVER`); without it they are left out,
//! with the reason on standard error.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use nt::arch::exit::ExitCode;

use crate::cases::Case;

#[expect(dead_code, reason = "the loader's unit tests use all of it")]
#[path = "../../src/pe/sample.rs"]
mod sample;

/// File offset of the sample driver's code, at RVA 0x1000.
const CODE: usize = 0x400;
/// `sub rsp, 40; call [KeWhatever]; add rsp, 40; ret`: the slot lies at RVA 0x3088.
const CALL_MISSING_IMPORT: [u8; 15] = [
    0x48, 0x83, 0xEC, 0x28, 0xFF, 0x15, 0x7E, 0x20, 0, 0, 0x48, 0x83, 0xC4, 0x28, 0xC3,
];

/// All of them.
pub fn all() -> Vec<Case> {
    let mut cases = refused();
    cases.extend(missing_imports());
    match test_driver() {
        Ok(driver) => {
            cases.extend(sound_driver(&driver));
            cases.extend(failing_calls(&driver));
        }
        Err(reason) => eprintln!("the tests with dmarig.sys are left out: {reason}"),
    }
    cases
}

/// Runs that cannot be what they were asked to be: each says what is wrong and how to mend it.
fn refused() -> Vec<Case> {
    let refused = |name, words, driver: &[u8], lines: &[&str]| Case {
        archive: Some(archive(&[("drivers/a.sys", driver)])),
        ..Case::new(name, words, ExitCode::EnvironmentMissing, lines)
    };
    let sound = sample_driver();
    let mut damaged = sound.clone();
    // The optional header's checksum.
    sample::put(&mut damaged, sample::OPTIONAL + 64, &[1, 2, 3, 4]);
    vec![
        Case::new(
            "driver_without_an_archive_is_refused",
            "driver=a.sys",
            ExitCode::EnvironmentMissing,
            &["there is no boot archive", "by -initrd"],
        ),
        refused(
            "driver_file_that_is_missing_is_named",
            "driver=b.sys",
            &sound,
            &["drivers/b.sys is not in the boot archive"],
        ),
        refused(
            "driver_file_that_is_no_image_is_refused",
            "driver=a.sys",
            b"#!/bin/sh",
            &["drivers/a.sys: headers:", "rebuild the driver"],
        ),
        refused(
            "driver_file_that_was_cut_is_refused",
            "driver=a.sys",
            &sound[..0x500],
            &["drivers/a.sys: section 0: its data end beyond the file"],
        ),
        refused(
            "driver_file_with_a_wrong_checksum_is_refused",
            "driver=a.sys",
            &damaged,
            &["checksum 0x4030201 in the header", "/release"],
        ),
        refused(
            "unknown_sabotage_is_refused",
            "driver=a.sys sabotage=nonsense",
            &sound,
            &["sabotage nonsense is not known", "nt-leave-mapping"],
        ),
    ]
}

fn missing_imports() -> [Case; 2] {
    let with_driver = |name, words, exit, lines: &[&str]| Case {
        archive: Some(archive(&[("drivers/a.sys", &sample_driver())])),
        ..Case::new(name, words, exit, lines)
    };
    [
        with_driver(
            "missing_import_reports_its_name_and_fails_the_call",
            "driver=a.sys",
            ExitCode::Clean,
            &[
                r#""missing-import","image":"a.sys","dll":"NTOSKRNL.exe","name":"KeWhatever""#,
                r#""id":"missing-import-called","detail":"KeWhatever called from a.sys+0x100a""#,
                r#""irp":"DriverEntry","status":"0xc0000002""#,
            ],
        ),
        with_driver(
            "missing_import_fails_the_load_when_imports_are_strict",
            "driver=a.sys strict-imports=on",
            ExitCode::EnvironmentMissing,
            &["import NTOSKRNL.exe!KeWhatever is missing"],
        ),
    ]
}

/// The real test driver, with `edu` in place of its device: it refuses that, and leaves nothing behind.
fn sound_driver(driver: &[u8]) -> [Case; 2] {
    let with_driver = |name, words, lines: &[&str]| Case {
        archive: Some(archive(&[("drivers/dmarig.sys", driver)])),
        serial: b"shutdown\n".to_vec(),
        ..Case::new(name, words, ExitCode::Clean, lines)
    };
    [
        with_driver(
            "driver_that_refuses_a_device_is_unloaded_without_leaks",
            "driver=dmarig.sys strict-imports=on bind=1234:11e8",
            &[
                r#""irp":"DriverEntry","status":"0x0""#,
                r#""device":"dut0","irp":"AddDevice","status":"0xc000000e""#,
                r#""leaks","pool_allocations":"0x0","pool_bytes":"0x0","mdls":"0x0","page_lists":"0x0","work_items":"0x0""#,
                r#""handles":"0x0","irps":"0x0","devices":"0x0","names":"0x0""#,
                r#""goodbye","reason":"shutdown""#,
            ],
        ),
        with_driver(
            "driver_runs_with_remapping_off_too",
            "driver=dmarig.sys remapping=off",
            &[
                r#""irp":"DriverEntry","status":"0x0""#,
                r#""goodbye","reason":"shutdown""#,
            ],
        ),
    ]
}

/// Calls that are watched, and calls that fail: each must be told of, and the driver must give everything back.
fn failing_calls(driver: &[u8]) -> [Case; 6] {
    const NO_LEAKS: &str = r#""leaks","pool_allocations":"0x0","pool_bytes":"0x0""#;
    let with_driver = |name, words: &str, serial: &[u8], exit, lines: &[&str]| Case {
        archive: Some(archive(&[("drivers/dmarig.sys", driver)])),
        serial: serial.to_vec(),
        ..Case::new(
            name,
            &format!("driver=dmarig.sys bind=1234:11e8 {words}"),
            exit,
            lines,
        )
    };
    [
        with_driver(
            "watched_calls_are_listed_and_none_fails",
            "call-faults=on",
            b"fail-call end\nshutdown\n",
            ExitCode::Clean,
            &[
                r#""call-site","routine":"ExAllocatePool2","door":"import","location":"dmarig.sys+0x"#,
                r#""phase":"AddDevice","irql":"0x0""#,
                r#""line":"fail-call end","status":"0xc0000225""#,
                r#""call-hits","routine":"IoGetDeviceProperty","location":"dmarig.sys+0x"#,
                NO_LEAKS,
            ],
        ),
        with_driver(
            "call_that_is_to_fail_returns_its_documented_status",
            "fail-call=IoGetDeviceProperty@*:1",
            b"shutdown\n",
            ExitCode::Clean,
            &[
                r#""call-failed","routine":"IoGetDeviceProperty","location":"dmarig.sys+0x"#,
                r#""hit":"0x1","returned":"0xc0000010","phase":"AddDevice""#,
                r#""irp":"AddDevice","status":"0xc000"#,
                NO_LEAKS,
            ],
        ),
        with_driver(
            "driver_entry_that_fails_leaves_nothing",
            "fail-call=ExAllocatePool2@*:1",
            b"",
            ExitCode::Clean,
            &[
                r#""hit":"0x1","returned":"0x0","phase":"DriverEntry""#,
                r#""irp":"DriverEntry","status":"0xc000009a""#,
                NO_LEAKS,
                r#""goodbye","reason":"DriverEntry failed""#,
            ],
        ),
        with_driver(
            "order_for_a_call_that_is_never_made_changes_nothing",
            "fail-call=IoAllocateIrp@0x1:1",
            b"fail-call end\nshutdown\n",
            ExitCode::Clean,
            &[
                r#""irp":"DriverEntry","status":"0x0""#,
                r#""line":"fail-call end","status":"0xc0000225""#,
                NO_LEAKS,
            ],
        ),
        with_driver(
            "orders_by_command_want_watched_calls",
            "",
            b"fail-call IoAllocateIrp@*:1\nfail-call KeSetEvent@*:1\nshutdown\n",
            ExitCode::Clean,
            &[
                "calls are not watched",
                "`KeSetEvent` is no routine that can be made to fail",
            ],
        ),
        with_driver(
            "call_that_cannot_fail_is_refused_at_the_start",
            "fail-call=KeSetEvent@*:1",
            b"",
            ExitCode::EnvironmentMissing,
            &["command line: fail-call: `KeSetEvent` is no routine that can be made to fail"],
        ),
    ]
}

fn sample_driver() -> Vec<u8> {
    let mut file = sample::bytes(&sample::driver()).to_vec();
    sample::put(&mut file, CODE, &CALL_MISSING_IMPORT);
    file
}

fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let entries = files.iter().map(|(name, content)| {
        let entry = cpio::newc::Builder::new(name).mode(0o100_644);
        (entry, std::io::Cursor::new(content.to_vec()))
    });
    cpio::write_cpio(entries, Vec::new()).expect("a vector takes everything")
}

fn test_driver() -> Result<Vec<u8>, String> {
    let path = env::var_os("DMARIG_DRIVER").map_or_else(default_driver, PathBuf::from);
    fs::read(&path).map_err(|_| format!("there is no {} (cargo xtask driver)", path.display()))
}

fn default_driver() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let target = env::var_os("CARGO_TARGET_DIR");
    let target = target.map_or_else(|| workspace.join("target"), PathBuf::from);
    target.join("guest/dmarig.sys")
}
