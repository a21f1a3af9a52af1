//! A function with a bit of everything, and accesses as a guest makes them.

use pci_function::{
    BarDefinition, BarKind, ConfigEffect, ConfigSpace, FunctionConfig, IdentityConfig,
    InterruptPin, MsixConfig,
};

pub const POWER: u64 = 0x40;
pub const PCIE: u64 = 0x50;
pub const MSIX: u64 = 0x90;
pub const AER: u64 = 0x100;

pub fn config() -> FunctionConfig {
    let identity = IdentityConfig {
        vendor_id: 0x1234,
        device_id: 0xd0a0,
        revision: 3,
        class: 0x08_80_00,
        subsystem_vendor_id: 0x5678,
        subsystem_id: 0x9abc,
    };
    FunctionConfig {
        bars: vec![
            BarDefinition {
                index: 0,
                size: 0x1_0000,
                kind: BarKind::Memory32,
                prefetchable: false,
            },
            BarDefinition {
                index: 2,
                size: 1 << 33,
                kind: BarKind::Memory64,
                prefetchable: true,
            },
        ],
        interrupt_pin: InterruptPin::A,
        msix: Some(MsixConfig {
            n_vectors: 4,
            table_bar: 0,
            table_offset: 0x8000,
            pba_bar: 0,
            pba_offset: 0x9000,
        }),
        ..FunctionConfig::new(identity)
    }
}

pub fn space() -> ConfigSpace {
    ConfigSpace::new(&config()).expect("a good configuration")
}

pub fn read_u16(space: &ConfigSpace, offset: u64) -> u16 {
    let mut bytes = [0; 2];
    space.read(offset, &mut bytes);
    u16::from_le_bytes(bytes)
}

pub fn read_u32(space: &ConfigSpace, offset: u64) -> u32 {
    let mut bytes = [0; 4];
    space.read(offset, &mut bytes);
    u32::from_le_bytes(bytes)
}

pub fn write_u16(space: &mut ConfigSpace, offset: u64, value: u16) -> Vec<ConfigEffect> {
    space.write(offset, &value.to_le_bytes())
}

pub fn write_u32(space: &mut ConfigSpace, offset: u64, value: u32) -> Vec<ConfigEffect> {
    space.write(offset, &value.to_le_bytes())
}

pub fn bytes_of(space: &ConfigSpace) -> Vec<u8> {
    let mut bytes = vec![0; 0x1000];
    space.read(0, &mut bytes);
    bytes
}
