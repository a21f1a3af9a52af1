//! CM_RESOURCE_LIST as START_DEVICE carries it: 4-byte packed (windows-dma-ddi section 5.3).

use alloc::vec::Vec;

/// PCIBus
const INTERFACE_TYPE: u32 = 5;
const TYPE_PORT: u8 = 1;
const TYPE_INTERRUPT: u8 = 2;
const TYPE_MEMORY: u8 = 3;
const SHARE_DEVICE_EXCLUSIVE: u8 = 1;
const SHARE_SHARED: u8 = 3;
const FLAG_PREFETCHABLE: u16 = 4;
const FLAG_BAR: u16 = 0x80;
const FLAG_LATCHED: u16 = 1;
const FLAG_MESSAGE: u16 = 2;

/// One resource of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// A memory BAR.
    Memory {
        /// Physical address.
        start: u64,
        /// Length.
        len_bytes: u32,
        /// Reads have no side effect.
        is_prefetchable: bool,
    },
    /// An I/O BAR.
    Port {
        /// First port.
        start: u64,
        /// Number of ports.
        len_bytes: u32,
    },
    /// One MSI-X message.
    Message {
        /// CPU vector.
        vector: u8,
        /// Its IRQL.
        irql: u8,
    },
    /// A line interrupt.
    Line {
        /// CPU vector.
        vector: u8,
        /// Its IRQL.
        irql: u8,
        /// Input of the interrupt controller.
        input: u32,
    },
}

/// Which of the two lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// What the device is programmed with.
    Raw,
    /// What the driver maps and connects.
    Translated,
}

/// Lays out a list with one full descriptor.
#[must_use]
pub fn resource_list(bus: u8, resources: &[Resource], view: View) -> Vec<u8> {
    let mut list = Vec::new();
    let count = u32::try_from(resources.len()).unwrap_or(0);
    list.extend(1u32.to_le_bytes());
    list.extend(INTERFACE_TYPE.to_le_bytes());
    list.extend(u32::from(bus).to_le_bytes());
    list.extend(1u16.to_le_bytes());
    list.extend(1u16.to_le_bytes());
    list.extend(count.to_le_bytes());
    for resource in resources {
        list.extend(descriptor(*resource, view));
    }
    list
}

fn descriptor(resource: Resource, view: View) -> [u8; 0x14] {
    let (kind, share, flags) = match resource {
        Resource::Memory {
            is_prefetchable, ..
        } => {
            let prefetchable = if is_prefetchable {
                FLAG_PREFETCHABLE
            } else {
                0
            };
            (TYPE_MEMORY, SHARE_DEVICE_EXCLUSIVE, FLAG_BAR | prefetchable)
        }
        Resource::Port { .. } => (TYPE_PORT, SHARE_DEVICE_EXCLUSIVE, FLAG_BAR | 1),
        Resource::Message { .. } => (
            TYPE_INTERRUPT,
            SHARE_DEVICE_EXCLUSIVE,
            FLAG_LATCHED | FLAG_MESSAGE,
        ),
        Resource::Line { .. } => (TYPE_INTERRUPT, SHARE_SHARED, 0),
    };
    let mut bytes = [0; 0x14];
    bytes[0] = kind;
    bytes[1] = share;
    bytes[2..4].copy_from_slice(&flags.to_le_bytes());
    match resource {
        Resource::Memory {
            start, len_bytes, ..
        }
        | Resource::Port { start, len_bytes } => {
            bytes[4..12].copy_from_slice(&start.to_le_bytes());
            bytes[12..16].copy_from_slice(&len_bytes.to_le_bytes());
        }
        Resource::Message { vector, irql } => {
            interrupt(&mut bytes, message_level(irql, view), vector)
        }
        Resource::Line {
            vector,
            irql,
            input,
        } => match view {
            View::Raw => interrupt(&mut bytes, input, input.to_le_bytes()[0]),
            View::Translated => interrupt(&mut bytes, irql.into(), vector),
        },
    }
    bytes
}

/// Raw: group 0 in the low half, one message in the high half. Translated: the IRQL.
fn message_level(irql: u8, view: View) -> u32 {
    match view {
        View::Raw => 1 << 16,
        View::Translated => irql.into(),
    }
}

fn interrupt(bytes: &mut [u8; 0x14], level: u32, vector: u8) {
    bytes[4..8].copy_from_slice(&level.to_le_bytes());
    bytes[8..12].copy_from_slice(&u32::from(vector).to_le_bytes());
    bytes[12..20].copy_from_slice(&1u64.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESOURCES: [Resource; 2] = [
        Resource::Memory {
            start: 0x12_3456_7000,
            len_bytes: 0x10000,
            is_prefetchable: false,
        },
        Resource::Message {
            vector: 0x61,
            irql: 6,
        },
    ];

    #[test]
    fn list_is_packed_by_four_bytes() {
        let list = resource_list(1, &RESOURCES, View::Translated);
        assert_eq!(list.len(), 0x14 + 2 * 0x14);
        assert_eq!(
            list[..0x14],
            [1, 0, 0, 0, 5, 0, 0, 0, 1, 0, 0, 0, 1, 0, 1, 0, 2, 0, 0, 0]
        );
        let memory = &list[0x14..0x28];
        assert_eq!(memory[..4], [3, 1, 0x80, 0]);
        assert_eq!(memory[4..12], 0x12_3456_7000u64.to_le_bytes());
        assert_eq!(memory[12..16], 0x10000u32.to_le_bytes());
    }

    #[test]
    fn message_interrupt_has_flags_3_and_its_irql_when_translated() {
        let translated = &resource_list(1, &RESOURCES, View::Translated)[0x28..];
        assert_eq!(translated[..12], [2, 1, 3, 0, 6, 0, 0, 0, 0x61, 0, 0, 0]);
        assert_eq!(translated[12..20], 1u64.to_le_bytes());
        let raw = &resource_list(1, &RESOURCES, View::Raw)[0x28..];
        assert_eq!(raw[4..8], [0, 0, 1, 0], "group 0, one message");
    }
}
