//! [`Descriptor`]: one descriptor's bytes, read once, and where its fields lie.

use device_file::DescriptorLayout;

/// A fetched descriptor.
#[derive(Debug)]
pub(super) struct Descriptor {
    layout: DescriptorLayout,
    bytes: Vec<u8>,
}

impl Descriptor {
    pub(super) fn new(layout: &DescriptorLayout, bytes: &[u8]) -> Self {
        Self {
            layout: layout.clone(),
            bytes: bytes.to_vec(),
        }
    }

    /// Whether the owner bit, if there is one, gives the descriptor to the device.
    pub(super) fn is_ours(&self) -> bool {
        let owner = self.layout.owner;
        owner.is_none_or(|owner| self.field(owner.offset, owner.width) & owner.mask != 0)
    }

    /// Address and length in bytes of the buffer.
    pub(super) fn buffer(&self) -> (u64, u64) {
        let (address, length) = (self.layout.address, self.layout.length);
        (
            self.field(address.offset, address.width),
            self.field(length.offset, length.width),
        )
    }

    /// Whether its end is to interrupt.
    pub(super) fn wants_interrupt(&self) -> bool {
        let flag = self.layout.interrupt;
        flag.is_none_or(|flag| self.field(flag.offset, flag.width) & flag.mask != 0)
    }

    /// Gives the descriptor back to the driver: what is to be written, and at which offset; `None` if
    /// nothing is.
    pub(super) fn finish(&mut self, has_failed: bool) -> Option<(u64, Vec<u8>)> {
        let status = self.layout.status;
        let owner = self.layout.owner;
        if let Some(status) = status {
            let failed = if has_failed { status.failed } else { 0 };
            let value = self.field(status.offset, status.width) | status.done | failed;
            self.set_field(status.offset, status.width, value);
        }
        if let Some(owner) = owner {
            let value = self.field(owner.offset, owner.width) & !owner.mask;
            self.set_field(owner.offset, owner.width, value);
        }
        let places = [
            status.map(|status| (status.offset, status.width)),
            owner.map(|owner| (owner.offset, owner.width)),
        ];
        let places = places.into_iter().flatten();
        let ranges = places.map(|(offset, width)| {
            let start = usize::from(offset);
            (start, start + usize::from(width / 8))
        });
        let (start, end) = ranges.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))?;
        let bytes = self.bytes.get(start..end)?.to_vec();
        Some((start as u64, bytes))
    }

    fn field(&self, offset: u16, width: u8) -> u64 {
        let mut value = [0; 8];
        let bytes = self.bytes.iter().skip(offset.into());
        let bytes = bytes.take((width / 8).into());
        value
            .iter_mut()
            .zip(bytes)
            .for_each(|(to, from)| *to = *from);
        u64::from_le_bytes(value)
    }

    fn set_field(&mut self, offset: u16, width: u8, value: u64) {
        let room = self.bytes.iter_mut().skip(offset.into());
        let bytes = value.to_le_bytes();
        let bytes = bytes.iter().take((width / 8).into());
        room.zip(bytes).for_each(|(to, from)| *to = *from);
    }
}
