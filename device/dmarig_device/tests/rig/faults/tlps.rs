//! Where rules see a request's TLPs end.

use dmarig_abi::descriptor::DMA_OP_CRC;

use super::driver::Driver;

/// A rule that counts the reads of a request, and strikes none but the TLP of this number.
fn rule(tlp: u32) -> String {
    format!(
        "[[rule]]\nname = \"it\"\nevent = \"dma-read\"\nmatch.tlp = {tlp}\noptional = true\n\
         effect = \"poison\"\n"
    )
}

/// The bytes done before the TLP of that number struck, with a device of this boundary.
fn done_before(tlp: u32, boundary: &str) -> u32 {
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("device.toml");
    std::fs::write(&file, format!("[dma]\nboundary = {boundary}\n")).expect("device file");
    let mut driver = Driver::of_device(Some(&rule(tlp)), |options| options.device = vec![file]);
    driver.command(DMA_OP_CRC, 0x1020, 0, 0x400);
    assert_eq!(driver.fired(), 1, "boundary {boundary}, TLP {tlp}");
    driver.done_bytes()
}

#[test]
fn boundary_of_the_device_file_ends_tlps_as_rules_count_them() {
    // Read requests have 512 bytes after a reset.
    for (boundary, tlp, done) in [
        ("0", 1, 0x1e0),
        ("0x100", 1, 0xe0),
        ("0x100", 3, 0x2e0),
        ("0x40", 1, 0x20),
        ("0x40", 16, 0x3e0),
        // A boundary of more than a request changes nothing.
        ("0x10000", 1, 0x1e0),
    ] {
        assert_eq!(done_before(tlp, boundary), done, "{boundary} {tlp}");
    }
}
