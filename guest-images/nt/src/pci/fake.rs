//! A bus in plain memory: functions and bridges that route by the bus numbers written into them.

use std::collections::BTreeMap;
use std::vec::Vec;

use super::RequesterId;
use super::config::{ConfigAccess, offset};

const HEADER_KIND_BRIDGE: u8 = 1;

/// One function: its registers and which bits of its BARs can be written.
#[derive(Clone, Debug)]
pub(super) struct FakeFunction {
    pub bytes: [u8; 256],
    /// Writable bits and fixed bits of each BAR register.
    pub bars: [(u32, u32); 6],
    /// What is behind a bridge, by device and function number.
    pub children: BTreeMap<(u8, u8), FakeFunction>,
}

impl FakeFunction {
    pub fn endpoint(device_id: u16) -> Self {
        let mut function = Self {
            bytes: [0; 256],
            bars: [(0, 0); 6],
            children: BTreeMap::new(),
        };
        function.put_u16(offset::VENDOR_ID, 0x1234);
        function.put_u16(offset::DEVICE_ID, device_id);
        function
    }

    pub fn bridge(children: Vec<((u8, u8), Self)>) -> Self {
        let mut function = Self::endpoint(0xB);
        function.bytes[usize::from(offset::HEADER_TYPE)] = HEADER_KIND_BRIDGE;
        function.put_u16(offset::CLASS + 2, 0x0604);
        function.children = children.into_iter().collect();
        function
    }

    pub fn with_memory_32(mut self, index: usize, len_bytes: u32) -> Self {
        self.bars[index] = (!(len_bytes - 1) & !0xF, 0);
        self
    }

    pub fn with_memory_64(mut self, index: usize, len_bytes: u64) -> Self {
        let mask = !(len_bytes - 1);
        let [a, b, c, d, e, f, g, h] = mask.to_le_bytes();
        self.bars[index] = (u32::from_le_bytes([a, b, c, d]) & !0xF, 0xC);
        self.bars[index + 1] = (u32::from_le_bytes([e, f, g, h]), 0);
        self
    }

    pub fn with_io(mut self, index: usize, len_bytes: u32) -> Self {
        self.bars[index] = (!(len_bytes - 1) & 0xFFFC, 1);
        self
    }

    /// Puts capability `id` at `at`, pointing to `next`; the first one put is the head.
    pub fn with_capability(mut self, at: u8, id: u8, next: u8) -> Self {
        self.bytes[usize::from(offset::STATUS)] |= 0x10;
        let head = &mut self.bytes[usize::from(offset::CAPABILITIES)];
        if *head == 0 {
            *head = at;
        }
        self.bytes[usize::from(at)] = id;
        self.bytes[usize::from(at) + 1] = next;
        self
    }

    pub fn put_u16(&mut self, at: u16, value: u16) {
        self.bytes[usize::from(at)..][..2].copy_from_slice(&value.to_le_bytes());
    }

    pub fn u16_at(&self, at: u16) -> u16 {
        let at = usize::from(at);
        u16::from_le_bytes([self.bytes[at], self.bytes[at + 1]])
    }

    pub fn u32_at(&self, at: u16) -> u32 {
        u32::from(self.u16_at(at)) | u32::from(self.u16_at(at + 2)) << 16
    }

    fn is_bridge(&self) -> bool {
        self.bytes[usize::from(offset::HEADER_TYPE)] & 0x7F == HEADER_KIND_BRIDGE
    }

    fn write(&mut self, at: u16, len_bytes: u8, value: u32) {
        let is_bar = (0x10..0x28).contains(&at) && (!self.is_bridge() || at < 0x18);
        if is_bar {
            assert_eq!(len_bytes, 4, "BARs are written whole");
            let (mask, fixed) = self.bars[usize::from(at - 0x10) / 4];
            let stuck = (value & mask) | fixed;
            self.bytes[usize::from(at)..][..4].copy_from_slice(&stuck.to_le_bytes());
            return;
        }
        let bytes = value.to_le_bytes();
        let len = usize::from(len_bytes);
        self.bytes[usize::from(at)..][..len].copy_from_slice(&bytes[..len]);
    }
}

/// Everything on bus 0.
#[derive(Clone, Debug)]
pub(super) struct FakeBus {
    pub root: BTreeMap<(u8, u8), FakeFunction>,
    pub last_bus: u8,
}

impl FakeBus {
    pub fn new(functions: Vec<((u8, u8), FakeFunction)>) -> Self {
        Self {
            root: functions.into_iter().collect(),
            last_bus: 255,
        }
    }

    pub fn function(&mut self, id: RequesterId) -> Option<&mut FakeFunction> {
        find(&mut self.root, 0, id)
    }
}

fn find(
    functions: &mut BTreeMap<(u8, u8), FakeFunction>,
    bus: u8,
    id: RequesterId,
) -> Option<&mut FakeFunction> {
    if id.bus() == bus {
        return functions.get_mut(&(id.device(), id.function()));
    }
    let bridge = functions.values_mut().find(|function| {
        let secondary = function.bytes[usize::from(offset::SECONDARY_BUS)];
        let subordinate = function.bytes[usize::from(offset::SUBORDINATE_BUS)];
        function.is_bridge() && secondary != 0 && (secondary..=subordinate).contains(&id.bus())
    })?;
    let secondary = bridge.bytes[usize::from(offset::SECONDARY_BUS)];
    find(&mut bridge.children, secondary, id)
}

impl ConfigAccess for FakeBus {
    fn read(&mut self, id: RequesterId, offset: u16, len_bytes: u8) -> u32 {
        assert_eq!(offset % u16::from(len_bytes), 0, "aligned");
        let Some(function) = self.function(id) else {
            return u32::MAX;
        };
        let mut value = [0; 4];
        let len = usize::from(len_bytes);
        value[..len].copy_from_slice(&function.bytes[usize::from(offset)..][..len]);
        u32::from_le_bytes(value)
    }

    fn write(&mut self, id: RequesterId, offset: u16, len_bytes: u8, value: u32) {
        assert_eq!(offset % u16::from(len_bytes), 0, "aligned");
        if let Some(function) = self.function(id) {
            function.write(offset, len_bytes, value);
        }
    }

    fn last_bus(&self) -> u8 {
        self.last_bus
    }
}
