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
        "device file x.toml, line 2, column 19: dma.address_width is 65, but must be 24 to 64"
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

#[test]
fn wrong_functions_are_refused_where_the_key_stands() {
    let bar = "[[bar]]\nindex = 0\nsize = 0x1000\n";
    let no_vectors = "[interrupts]\nmsix_vectors = 0\n";
    for (text, expected) in [
        (
            "[[bar]]\nindex = 0\nsize = 0x3000\n[interrupts]\nmsix_vectors = 0\n".to_owned(),
            "line 3, column 8: bar[0].size cannot be: BAR 0: size 0x3000 of a 32-bit memory BAR\nhelp: a power of two",
        ),
        (
            format!("{no_vectors}{bar}[[bar]]\nindex = 0\nsize = 16\n"),
            "line 7, column 9: bar[1].index needs register 0, which another BAR has",
        ),
        (
            format!("{no_vectors}[[bar]]\nindex = 5\nspace = \"memory64\"\nsize = 16\n"),
            "line 4, column 9: bar[0].index cannot be",
        ),
        (
            format!("{no_vectors}[[bar]]\nindex = 0\nsize = 16\nspace = \"io\"\nmappable = true\n"),
            "line 7, column 12: bar[0].mappable is true, but I/O ports cannot be mapped",
        ),
        (
            format!("{no_vectors}[[bar]]\nindex = 0\nsize = 0x800\nmappable = true\n"),
            "line 5, column 8: bar[0].size is 0x800 of a mappable BAR\nhelp: 0x1000 to",
        ),
        (
            format!("{no_vectors}[[bar]]\nindex = 0\nspace = \"memory64\"\nsize = 0x8000000000\n"),
            "line 6, column 8: bar[0].size is 0x8000000000: no guest has room for that",
        ),
        (
            bar.to_owned(),
            "line 1, column 1: interrupts.msix_vectors is 4, but no BAR is named for their table",
        ),
        (
            format!("{bar}[interrupts]\nmsix_table_bar = 1\n"),
            "line 5, column 18: interrupts.msix_table_bar cannot be: MSI-X: table at 0x0 of BAR 1",
        ),
        (
            format!("{bar}[interrupts]\nmsix_table_bar = 0\nmsix_pba_offset = 8\n"),
            "line 6, column 19: interrupts.msix_pba_offset cannot be: MSI-X: table and pending bits overlap",
        ),
        (
            "[interrupts]\nmsi_vectors = 3\n".to_owned(),
            "line 2, column 15: interrupts.msi_vectors cannot be: MSI: 3 vectors\nhelp: 1, 2, 4",
        ),
        (
            "[interrupts]\npin = \"E\"\n".to_owned(),
            "line 2, column 7: unknown variant `E`",
        ),
        (
            "[pcie]\nmax_payload = 100\n".to_owned(),
            "line 2, column 15: pcie.max_payload cannot be",
        ),
        (
            "[pcie]\ntype = \"none\"\n[capabilities]\naer = true\n".to_owned(),
            "line 4, column 7: capabilities.aer cannot be: AER needs PCI Express\nhelp: leave AER out",
        ),
        (
            "[capabilities]\nserial_number = \"00-11\"\n".to_owned(),
            "line 2, column 17: capabilities.serial_number is no serial number\nhelp: eight bytes",
        ),
        (
            "[capabilities]\nvendor_specific = [[]]\n".to_owned(),
            "line 2, column 19: capabilities.vendor_specific cannot be",
        ),
        (
            "[capabilities.pasid]\nwidth = 21\n".to_owned(),
            "line 2, column 9: capabilities.pasid.width cannot be: PASID: 21 bits\nhelp: 1 to 20",
        ),
        (
            "[capabilities.ats]\ninvalidate_queue_depth = 0\n".to_owned(),
            "line 2, column 26: capabilities.ats.invalidate_queue_depth cannot be",
        ),
    ] {
        let error = refused(&text);
        assert!(error.contains(expected), "{text}\n{error}");
    }
}

#[test]
fn remapping_unit_that_cannot_be_is_refused_where_the_key_stands() {
    for (keys, expected) in [
        (
            "requester = \"1:0.0\"",
            "line 2, column 13: iommu.requester is \"1:0.0\", which is no function\nhelp: bus, device",
        ),
        (
            "host_address_width = 35",
            "line 2, column 22: iommu.host_address_width is 35, but must be 36 to 52",
        ),
        (
            "guest_address_width = 49",
            "line 2, column 23: iommu.guest_address_width is 49, but must be 30 to 48",
        ),
        (
            "iotlb_entries = 3",
            "line 2, column 17: iommu.iotlb_entries is 3\nhelp: 0 for none",
        ),
        (
            "fault_records = 0",
            "line 2, column 17: iommu.fault_records is 0, but must be 1 to 256",
        ),
        (
            "levels = [5]",
            "line 2, column 10: iommu.levels is [5]\nhelp: [3]",
        ),
        (
            "levels = [3]",
            "line 2, column 10: iommu.levels is [3]: 3 levels are 39 bits\nhelp: 4 levels",
        ),
        (
            "invalidation_ticks = 3",
            "line 2, column 22: iommu.invalidation_ticks means nothing",
        ),
        (
            "register_offset = 0x1000",
            "line 2, column 19: iommu.register_offset means nothing without register_bar",
        ),
        (
            "register_bar = 4",
            "line 2, column 16: iommu.register_bar is 4, and there is no such BAR",
        ),
        (
            "register_bar = 0\nregister_offset = 0x10",
            "line 3, column 19: iommu.register_offset is 0x10\nhelp: a multiple of 0x1000",
        ),
        (
            "register_bar = 0\nregister_offset = 0xf000\nfault_records = 256",
            "line 3, column 19: iommu.register_offset is 0xf000: 0x2000 bytes do not fit into BAR 0",
        ),
        (
            "register_bar = 2",
            "line 1, column 1: iommu.register_offset is 0x0: 0x1000 bytes there overlap the MSI-X",
        ),
        (
            "large_pages = [\"4M\"]",
            "line 2, column 16: unknown variant `4M`",
        ),
    ] {
        let error = refused(&format!("[iommu]\n{keys}\n"));
        assert!(error.contains(expected), "{keys}\n{error}");
    }
    let board = "[[register]]\nname = \"A\"\noffset = 0x8010\n[iommu]\nregister_bar = 0\n\
                 register_offset = 0x8000\n";
    let error = refused(board);
    assert!(
        error.contains("line 3, column 10: register[0].offset"),
        "{error}"
    );
}

#[test]
fn remapping_unit_is_there_only_where_the_file_tells_of_it() {
    assert_eq!(accepted("").iommu, None);
    let iommu = accepted("[iommu]\n").iommu.expect("a section");
    assert_eq!(iommu.unit_config(), iommu::vtd::UnitConfig::default());
    assert_eq!(iommu.requester().map(|who| who.raw()), Some(0));
}

#[test]
fn vectors_of_the_built_in_device_find_room() {
    for (vectors, bar_size, pba_offset) in [
        (1, 0x2000, 0x1000),
        (256, 0x2000, 0x1000),
        (257, 0x4000, 0x2000),
        (2048, 0x1_0000, 0x8000),
    ] {
        let device = accepted(&format!("[interrupts]\nmsix_vectors = {vectors}\n"));
        assert_eq!(device.effective_bars()[1].size, bar_size);
        let msix = device.interrupts.msix().expect("vectors");
        assert_eq!(msix.pba_offset, pba_offset);
    }
}

#[test]
fn serial_number_is_read_from_the_highest_byte_down() {
    let device = accepted("[capabilities]\nserial_number = \"01-23-45-67-89-ab-cd-EF\"\n");
    let number = device.function_config().serial_number;
    assert_eq!(number, Some(0x0123_4567_89ab_cdef));
    for bad in [
        "",
        "01-23-45-67-89-ab-cd-ef-01",
        "1-23-45-67-89-ab-cd-ef",
        "+1-23-45-67-89-ab-cd-ef",
    ] {
        refused(&format!("[capabilities]\nserial_number = \"{bad}\"\n"));
    }
}
