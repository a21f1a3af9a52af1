//! Device files from outside: what is taken, what is refused, and with which words.

use std::path::Path;

use device_file::{DeviceDescription, parse};

fn accepted(text: &str) -> DeviceDescription {
    parse(Path::new("x.toml"), text).expect("valid")
}

fn refused(text: &str) -> String {
    parse(Path::new("x.toml"), text)
        .expect_err("bad file")
        .to_string()
}

#[test]
fn committed_example_is_the_built_in_device() {
    let device = accepted(include_str!("../devices/dmarig-dut.toml"));
    assert_eq!(device, DeviceDescription::default());
}

#[test]
fn empty_file_is_the_built_in_device() {
    assert_eq!(accepted(""), DeviceDescription::default());
}

#[test]
fn value_out_of_range_names_line_column_and_range() {
    assert_eq!(
        refused("[dma]\n  address_width = 65\n"),
        "device file x.toml, line 2, column 19: dma.address_width is 65, but must be 32 to 64"
    );
    let error = refused("[interrupts]\nmsix_vectors = -1\n");
    assert!(error.contains("line 2, column 16"), "{error}");
}

#[test]
fn every_problem_is_told_with_its_mend() {
    let error = refused("[identity]\nclass = 0x1000000\nvendor_id = 0xffff\n");
    for part in [
        "line 2, column 9: identity.class 0x1000000 does not fit into 24 bits\nhelp: base class",
        "line 3, column 13: identity.vendor_id 0xffff means that no device is there\nhelp: ",
    ] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn unknown_key_and_bad_syntax_name_the_place() {
    for (text, place) in [
        (
            "[dma]\nwidth = 64\n",
            "line 2, column 1: unknown field `width`",
        ),
        ("[dma]\naddress_width = \n", "line 2, column 17: "),
        ("[identity]\nvendor_id = 65536\n", "line 2, column 13: "),
        ("[bus]\n", "line 1, column 2: unknown field `bus`"),
    ] {
        let error = refused(text);
        assert!(error.contains(place), "{error}");
        assert!(error.contains("help: "), "{error}");
    }
}
