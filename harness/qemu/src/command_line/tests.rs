//! The command line as a golden text, and its refusals.

use super::*;

fn example() -> CommandLine {
    CommandLine {
        accel: Accel::Tcg,
        memory_mib: 256,
        kernel: "/guest/nt-kernel.elf".into(),
        initrd: Some("/run/boot.cpio".into()),
        append: "remapping=on driver=dmarig.sys".into(),
        functions: vec![
            VfioUserFunction {
                id: "control".into(),
                socket: "/run/control-function".into(),
            },
            VfioUserFunction {
                id: "dut0".into(),
                socket: "/run/dut0".into(),
            },
        ],
        hot_plug: false,
        reply_timeout_ms: None,
        debugcon: "/run/debugcon".into(),
        com1: "/run/com1".into(),
        qmp: "/run/qmp".into(),
    }
}

fn lines(command_line: &CommandLine) -> String {
    let arguments = command_line.arguments().expect("valid paths");
    let mut text = String::new();
    for argument in arguments {
        let argument = argument.to_string_lossy().into_owned();
        text.push(match argument.starts_with('-') && !text.is_empty() {
            true => '\n',
            false => ' ',
        });
        text.push_str(&argument);
    }
    text.trim_start().to_owned()
}

#[test]
fn tcg_command_line_is_the_golden_one() {
    insta::assert_snapshot!(lines(&example()));
}

#[test]
fn kvm_uses_the_host_cpu_and_a_split_irqchip() {
    let text = lines(&CommandLine {
        accel: Accel::Kvm,
        ..example()
    });
    assert!(text.contains("-cpu host") && text.contains("kernel-irqchip=split"));
}

#[test]
fn slots_show_only_where_functions_come_and_go() {
    let word = "acpi-pci-hotplug-with-bridge-support=off";
    assert!(!lines(&example()).contains(word));
    let text = lines(&CommandLine {
        hot_plug: true,
        ..example()
    });
    assert!(text.contains(word), "{text}");
}

#[test]
fn iommu_stands_before_every_function_of_ours() {
    let text = lines(&example());
    let iommu = text.find("intel-iommu,caching-mode=on").expect("there");
    let first = text.find("vfio-user-pci").expect("there");
    assert!(iommu < first);
}

#[test]
fn comma_in_a_socket_path_is_doubled_in_key_value_form_only() {
    let text = lines(&CommandLine {
        qmp: "/run/a,b".into(),
        functions: vec![VfioUserFunction {
            id: "dut0".into(),
            socket: "/run/c,d".into(),
        }],
        ..example()
    });
    assert!(text.contains("path=/run/a,,b,server=off"), "{text}");
    assert!(text.contains(r#""path":"/run/c,d""#), "{text}");
}

#[test]
fn socket_path_of_108_bytes_is_refused() {
    let error = CommandLine {
        com1: format!("/{}", "x".repeat(107)).into(),
        ..example()
    }
    .arguments()
    .expect_err("too long");
    assert!(matches!(
        error,
        CommandLineError::TooLong { length: 108, .. }
    ));
}

#[test]
fn socket_path_that_is_not_utf8_is_refused() {
    use std::os::unix::ffi::OsStringExt;
    let error = CommandLine {
        com1: OsString::from_vec(vec![b'/', 0xff]).into(),
        ..example()
    }
    .arguments()
    .expect_err("not text");
    assert!(matches!(error, CommandLineError::NotUtf8 { .. }));
}
