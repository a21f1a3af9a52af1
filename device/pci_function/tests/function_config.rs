//! Functions that cannot be.

#[expect(dead_code, reason = "only the configuration is needed here")]
mod support;

use pci_function::{
    BarDefinition, BarError, BarWidth, ConfigSpace, FunctionConfig, FunctionConfigError,
    MsixConfig, MsixError,
};
use support::config;

#[test]
fn functions_that_cannot_be_are_refused() {
    let bar = |index, size, width| BarDefinition {
        index,
        size,
        width,
        prefetchable: false,
    };
    for (bars, error) in [
        (
            vec![bar(6, 0x1000, BarWidth::Bits32)],
            BarError::Index { index: 6 },
        ),
        (
            vec![bar(255, 0x1000, BarWidth::Bits64)],
            BarError::Index { index: 255 },
        ),
        (
            vec![bar(5, 0x1000, BarWidth::Bits64)],
            BarError::Index { index: 5 },
        ),
        (
            vec![bar(0, 0, BarWidth::Bits32)],
            BarError::Size { index: 0, size: 0 },
        ),
        (
            vec![bar(0, 0x800, BarWidth::Bits32)],
            BarError::Size {
                index: 0,
                size: 0x800,
            },
        ),
        (
            vec![bar(0, 0x3000, BarWidth::Bits32)],
            BarError::Size {
                index: 0,
                size: 0x3000,
            },
        ),
        (
            vec![bar(0, 1 << 32, BarWidth::Bits32)],
            BarError::Size {
                index: 0,
                size: 1 << 32,
            },
        ),
        (
            vec![
                bar(0, 0x1000, BarWidth::Bits64),
                bar(1, 0x1000, BarWidth::Bits32),
            ],
            BarError::Overlap { index: 1 },
        ),
    ] {
        let config = FunctionConfig {
            bars,
            msix: None,
            ..config()
        };
        assert_eq!(
            ConfigSpace::new(&config).err(),
            Some(FunctionConfigError::Bar(error))
        );
    }
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
