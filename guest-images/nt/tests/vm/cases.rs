//! What is booted, and what must come.

use nt::arch::exit::ExitCode;
use nt::selftest::{self, End};

use crate::driver_cases;

/// One boot.
pub struct Case {
    /// The test's name: condition and outcome.
    pub name: String,
    /// The kernel's command line.
    pub words: String,
    /// The IOMMU; none for a machine without.
    pub iommu: Option<&'static str>,
    /// The boot archive's bytes.
    pub archive: Option<Vec<u8>>,
    /// What the harness writes to COM1.
    pub serial: Vec<u8>,
    /// How the guest must leave.
    pub exit: ExitCode,
    /// What must stand on its debug console.
    pub lines: Vec<String>,
}

impl Case {
    /// A machine with an IOMMU, no archive, nothing on COM1.
    pub fn new(name: &str, words: &str, exit: ExitCode, lines: &[&str]) -> Self {
        Self {
            name: name.into(),
            words: words.into(),
            iommu: Some("intel-iommu,caching-mode=on,intremap=off"),
            archive: None,
            serial: Vec::new(),
            exit,
            lines: lines.iter().map(ToString::to_string).collect(),
        }
    }
}

/// All of them.
pub fn all() -> Vec<Case> {
    let mut cases = selftests();
    cases.extend(transfer_settings());
    cases.extend(lacking_machines());
    cases.extend(bad_input());
    cases.push(commands());
    cases.extend(driver_cases::all());
    cases
}

fn selftests() -> Vec<Case> {
    let passing = selftest::names().into_iter().map(|name| {
        let line = format!("\"name\":\"{name}\",\"status\":\"pass\"");
        let words = format!("selftest={name}");
        Case::new(name, &words, ExitCode::Clean, &[&line])
    });
    let fatal = selftest::fatal_names().into_iter().map(|(name, end)| {
        let words = format!("selftest={name}");
        match end {
            End::BugCheck(code) => {
                let line = format!("\"event\":\"bugcheck\",\"code\":\"{code:#x}\"");
                Case::new(name, &words, ExitCode::BugCheck, &[&line])
            }
            End::Violation(code, first) => {
                let line = format!(
                    "\"event\":\"bugcheck\",\"code\":\"{code:#x}\",\"parameters\":[\"{first:#x}\","
                );
                Case::new(name, &words, ExitCode::BugCheck, &[&line])
            }
            End::Stop(id) => {
                let line = format!("\"event\":\"goodbye\",\"reason\":\"{id}\"");
                Case::new(name, &words, ExitCode::BugCheck, &[&line])
            }
            End::Finding(id) => {
                let line = format!("\"event\":\"finding\",\"id\":\"{id}\"");
                Case::new(name, &words, ExitCode::Clean, &[&line])
            }
            End::Panic => Case::new(name, &words, ExitCode::Panic, &["\"event\":\"panic\""]),
        }
    });
    passing.chain(fatal).collect()
}

/// Tests of transfers under each setting, where the default boots have them under one.
fn transfer_settings() -> impl Iterator<Item = Case> {
    let settings = [
        "remapping=off",
        "bounce=as-needed sg-callback=deferred",
        "remapping=off bounce=as-needed sg-callback=seeded:7 map-registers=3",
    ];
    settings.into_iter().flat_map(|setting| {
        selftest::transfer_names().into_iter().map(move |name| {
            let line = format!("\"name\":\"{name}\",\"status\":\"pass\"");
            let words = format!("selftest={name} {setting}");
            Case::new(
                &format!("{name} ({setting})"),
                &words,
                ExitCode::Clean,
                &[&line],
            )
        })
    })
}

/// Machines on which remapping cannot be on.
fn lacking_machines() -> [Case; 3] {
    let exit = ExitCode::EnvironmentMissing;
    [
        Case {
            iommu: None,
            ..Case::new(
                "remapping_without_a_unit_is_refused",
                "",
                exit,
                &["no VT-d unit: start QEMU with"],
            )
        },
        Case {
            iommu: Some("intel-iommu,caching-mode=off"),
            ..Case::new(
                "remapping_without_caching_mode_is_refused",
                "",
                exit,
                &["start QEMU with caching-mode=on"],
            )
        },
        Case {
            iommu: None,
            ..Case::new(
                "remapping_off_needs_no_unit",
                "remapping=off selftest=device_behind_a_root_port_is_reached",
                ExitCode::Clean,
                &["\"remapping\":\"off\"", "\"status\":\"pass\""],
            )
        },
    ]
}

/// A command line and archives that cannot be.
fn bad_input() -> [Case; 3] {
    let exit = ExitCode::EnvironmentMissing;
    let with_archive = |name, archive: &[u8], line| Case {
        archive: Some(archive.to_vec()),
        ..Case::new(name, "", exit, &[line])
    };
    [
        Case::new(
            "misspelled_command_line_is_refused_by_name",
            "remaping=on",
            exit,
            &["command line: unknown word `remaping=on`"],
        ),
        with_archive(
            "archive_of_another_kind_is_refused",
            &[b'x'; 200],
            "boot archive: no newc entry at 0x0",
        ),
        with_archive(
            "archive_that_was_cut_is_refused",
            b"070701",
            "boot archive: cut off in the entry at 0x0",
        ),
    ]
}

/// Command lines of all sorts, the last of which ends the guest.
fn commands() -> Case {
    let mut serial = b"\n\r\npnp start nowhere\r\n\xFF\xFE\n".to_vec();
    serial.extend_from_slice(&[b'a'; 2000]);
    serial.extend_from_slice(b"\nshutdown\n");
    let lines = [
        "\"line\":\"pnp start nowhere\",\"status\":\"no such device\"",
        "\"status\":\"line is not UTF-8\"",
        "\"status\":\"line too long\"",
        "\"line\":\"shutdown\",\"status\":\"0x0\"",
        "\"event\":\"goodbye\",\"reason\":\"shutdown\"",
    ];
    Case {
        serial,
        ..Case::new(
            "commands_are_answered_one_by_one",
            "",
            ExitCode::Clean,
            &lines,
        )
    }
}
