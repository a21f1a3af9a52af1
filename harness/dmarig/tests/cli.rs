//! The command line from outside: every help text and what wrong usage says, as golden texts.

use std::path::Path;
use std::process::Command;

/// Runs the program in an environment of its own; its exit code and what it printed on both streams.
fn dmarig(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_dmarig"))
        .args(arguments)
        .env_clear()
        .env("PATH", "/nonexistent")
        .env("XDG_CACHE_HOME", "/nonexistent/cache")
        .output()
        .expect("dmarig starts");
    format!(
        "exit {}\n{}{}",
        output.status.code().unwrap_or(-1),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Paths and versions are the machine's.
fn settings() -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    let beside = Path::new(env!("CARGO_BIN_EXE_dmarig"));
    let beside = beside.parent().expect("in a folder");
    for (folder, name) in [
        (beside, "[BESIDE]"),
        (beside.parent().expect("in target"), "[TARGET]"),
    ] {
        settings.add_filter(&regex_literal(&folder.display().to_string()), name);
    }
    settings
}

fn regex_literal(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            if c.is_ascii_alphanumeric() {
                vec![c]
            } else {
                vec!['\\', c]
            }
        })
        .collect()
}

#[test]
fn help_texts_are_the_golden_ones() {
    for command in [
        "",
        "run",
        "walk",
        "explore",
        "replay",
        "list",
        "rules",
        "doctor",
        "completions",
    ] {
        let mut arguments: Vec<&str> = vec!["--help"];
        if !command.is_empty() {
            arguments.insert(0, command);
        }
        let name = format!(
            "help_{}",
            if command.is_empty() {
                "dmarig"
            } else {
                command
            }
        );
        insta::assert_snapshot!(name, dmarig(&arguments));
    }
}

#[test]
fn wrong_usage_is_exit_2_and_says_what_is_right() {
    let wrong: [(&str, &[&str]); 6] = [
        ("no_command", &[]),
        ("unknown_sabotage", &["run", "--sabotage", "gremlins"]),
        ("unknown_suite", &["list", "--suite", "gremlins"]),
        ("malformed_glob", &["list", "--filter", "CM-["]),
        ("timeout_of_zero", &["run", "--timeout", "0"]),
        ("unknown_remapping", &["run", "--remapping", "perhaps"]),
    ];
    for (name, arguments) in wrong {
        let seen = dmarig(arguments);
        assert!(seen.starts_with("exit 2"), "{name}: {seen}");
        insta::assert_snapshot!(format!("usage_{name}"), seen);
    }
}

#[test]
fn missing_environment_is_exit_3_and_says_how_to_mend_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let kernel = folder.path().join("kernel");
    std::fs::write(&kernel, b"\x7fELF").expect("written");
    let kernel = kernel.to_str().expect("plain");
    let parts = ["--device-binary", kernel, "--kernel", kernel];
    let missing: [(&str, Vec<&str>); 3] = [
        (
            "named_kernel",
            vec![
                "run",
                "--device-binary",
                kernel,
                "--kernel",
                "/nonexistent/nt",
            ],
        ),
        (
            "driver_is_no_pe",
            [&["run"][..], &parts, &["--driver", kernel]].concat(),
        ),
        ("qemu", vec!["doctor", "--qemu", "/nonexistent/qemu"]),
    ];
    for (name, arguments) in missing {
        let seen = dmarig(&arguments);
        assert!(seen.starts_with("exit 3"), "{name}: {seen}");
        if name != "qemu" {
            let mut settings = settings();
            settings.add_filter(&regex_literal(kernel), "[KERNEL]");
            settings.bind(|| insta::assert_snapshot!(format!("missing_{name}"), seen));
        } else {
            assert!(seen.contains("/nonexistent/qemu does not start"), "{seen}");
            assert!(
                seen.contains("help: name another one with --qemu"),
                "{seen}"
            );
        }
    }
}

#[test]
fn filter_that_matches_nothing_is_exit_4() {
    assert!(dmarig(&["list", "--filter", "XX-*"]).starts_with("exit 4"));
}

#[test]
fn lists_are_json_on_demand() {
    for what in [
        &["list", "--json"][..],
        &["list", "--suites", "--json"],
        &["list", "--sabotages", "--json"],
    ] {
        let seen = dmarig(what);
        let json = seen.strip_prefix("exit 0\n").expect("success");
        let value: serde_json::Value = serde_json::from_str(json).expect("JSON");
        assert_eq!(value["schema_version"], 1);
    }
}

#[test]
fn inner_verbs_refuse_strangers() {
    assert!(dmarig(&["tether"]).starts_with("exit 3"));
    assert!(dmarig(&["janitor"]).starts_with("exit 2"));
}

#[test]
fn rule_names_its_cases_and_the_coverage() {
    let text = dmarig(&["rules", "--filter", "VF-E6-19", "--results", "/nonexistent"]);
    settings().bind(|| insta::assert_snapshot!("rules", text));
}
