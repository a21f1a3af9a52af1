//! Functions that cannot be.

#[expect(dead_code, reason = "only the configuration is needed here")]
mod support;

use pci_function::{
    AtsConfig, BarDefinition, BarError, BarKind, CapabilityError, ConfigSpace, ExtendedError,
    FunctionConfig, FunctionConfigError, LinkState, MsiConfig, MsiError, MsixConfig, MsixError,
    PasidConfig, PcieConfig, PcieError, PcieSize,
};
use support::config;

fn refused(config: &FunctionConfig) -> FunctionConfigError {
    ConfigSpace::new(config).expect_err("a bad configuration")
}

#[test]
fn bars_that_cannot_be_are_refused() {
    use BarKind::{Io, Memory32, Memory64};
    let bar = |index, size, kind| BarDefinition {
        index,
        size,
        kind,
        prefetchable: false,
    };
    let bad_size = |index, size, kind| BarError::Size { index, size, kind };
    for (bars, error) in [
        (vec![bar(6, 0x1000, Memory32)], BarError::Index { index: 6 }),
        (vec![bar(6, 0x10, Io)], BarError::Index { index: 6 }),
        (
            vec![bar(255, 0x1000, Memory64)],
            BarError::Index { index: 255 },
        ),
        (vec![bar(5, 0x1000, Memory64)], BarError::Index { index: 5 }),
        (vec![bar(0, 0, Memory32)], bad_size(0, 0, Memory32)),
        (vec![bar(0, 8, Memory32)], bad_size(0, 8, Memory32)),
        (vec![bar(0, 8, Memory64)], bad_size(0, 8, Memory64)),
        (
            vec![bar(0, 0x3000, Memory32)],
            bad_size(0, 0x3000, Memory32),
        ),
        (
            vec![bar(0, 1 << 32, Memory32)],
            bad_size(0, 1 << 32, Memory32),
        ),
        (vec![bar(1, 2, Io)], bad_size(1, 2, Io)),
        (vec![bar(1, 0x200, Io)], bad_size(1, 0x200, Io)),
        (
            vec![BarDefinition {
                prefetchable: true,
                ..bar(1, 0x20, Io)
            }],
            BarError::PrefetchableIo { index: 1 },
        ),
        (
            vec![bar(0, 0x1000, Memory64), bar(1, 0x1000, Memory32)],
            BarError::Overlap { index: 1 },
        ),
    ] {
        let config = FunctionConfig {
            bars,
            msix: None,
            ..config()
        };
        assert_eq!(refused(&config), FunctionConfigError::Bar(error));
    }
}

#[test]
fn msix_that_cannot_be_is_refused() {
    let good = config().msix.expect("vectors");
    for msix in [
        MsixConfig {
            n_vectors: 0,
            ..good
        },
        MsixConfig {
            n_vectors: 2049,
            ..good
        },
        MsixConfig {
            table_bar: 1,
            ..good
        },
        MsixConfig {
            table_bar: 255,
            ..good
        },
        MsixConfig {
            table_offset: 0x8004,
            ..good
        },
        MsixConfig {
            table_offset: 0xffc8,
            ..good
        },
        MsixConfig {
            pba_offset: 0xffff_fff8,
            ..good
        },
    ] {
        let config = FunctionConfig {
            msix: Some(msix),
            ..config()
        };
        assert!(ConfigSpace::new(&config).is_err(), "{msix:?}");
    }
    let mut in_io_space = config();
    in_io_space.bars[0] = BarDefinition {
        size: 0x100,
        kind: BarKind::Io,
        ..in_io_space.bars[0]
    };
    in_io_space.msix = Some(MsixConfig {
        table_offset: 0,
        pba_offset: 0x80,
        ..good
    });
    let text = refused(&in_io_space).to_string();
    assert!(
        text.contains("table at 0x0 of BAR 0, of which 0x0"),
        "{text}"
    );
    let overlap = MsixConfig {
        pba_offset: 0x8038,
        ..good
    };
    let config = FunctionConfig {
        msix: Some(overlap),
        ..support::config()
    };
    let error = FunctionConfigError::Msix(MsixError::Overlap);
    assert_eq!(ConfigSpace::new(&config).err(), Some(error));
}

#[test]
fn bad_identities_are_refused() {
    let mut config = config();
    config.identity.class = 0x0100_0000;
    assert!(ConfigSpace::new(&config).is_err());
    config.identity.class = 0;
    config.identity.vendor_id = 0xffff;
    assert!(ConfigSpace::new(&config).is_err());
}

#[test]
fn other_capabilities_that_cannot_be_are_refused() {
    let change = |change: fn(&mut FunctionConfig)| {
        let mut config = config();
        change(&mut config);
        refused(&config)
    };
    for n_vectors in [0, 3, 64] {
        let mut config = config();
        config.msi = Some(MsiConfig {
            n_vectors,
            address_64: true,
            per_vector_masking: false,
        });
        assert_eq!(refused(&config), MsiError::Count { n_vectors }.into());
    }
    for bytes in [0, 64, 192, 8192] {
        let mut config = config();
        config.pcie = Some(PcieConfig {
            max_payload_bytes: bytes,
            ..PcieConfig::default()
        });
        let size = PcieSize::Payload;
        assert_eq!(refused(&config), PcieError::Size { size, bytes }.into());
    }
    for width in [0, 3, 64] {
        let mut config = config();
        let link = LinkState {
            width,
            ..LinkState::default()
        };
        config.pcie = Some(PcieConfig {
            link,
            ..PcieConfig::default()
        });
        assert_eq!(refused(&config), PcieError::LinkWidth { width }.into());
    }
    assert_eq!(
        change(|config| config.pcie = None),
        ExtendedError::NeedsPcie { capability: "AER" }.into()
    );
    assert_eq!(
        change(|config| config.vendor_specific = vec![Vec::new()]),
        CapabilityError::VendorLength { len: 0 }.into()
    );
    assert_eq!(
        change(|config| config.vendor_specific = vec![vec![1; 90], vec![2; 10]]),
        CapabilityError::NoRoom { id: 9 }.into()
    );
    assert_eq!(
        change(|config| {
            config.ats = Some(AtsConfig {
                invalidate_queue_depth: 33,
                page_aligned_requests: false,
            });
        }),
        ExtendedError::InvalidateDepth { depth: 33 }.into()
    );
    assert_eq!(
        change(|config| {
            config.pasid = Some(PasidConfig {
                width_bits: 21,
                execute: false,
                privileged: false,
            });
        }),
        ExtendedError::PasidWidth { width_bits: 21 }.into()
    );
}
