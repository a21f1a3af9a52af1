//! [`split`]: a request cut into the transaction layer packets (TLPs) that a PCIe function would send.
//!
//! Pure arithmetic. The engine moves a contiguous run as one copy and asks for packets only where an
//! armed fault rule is about one of them, so nothing here is on the way of an ordinary transfer.
//!
//! A packet ends at the next multiple of its granule: the least of payload or read request size, 4 KiB
//! (PCIe base specification 5.0, sections 2.2.2 and 2.2.7) and the device's own boundary. All of them are
//! powers of two, so a packet that keeps to the least keeps to all. A packet in the middle of a request
//! is therefore a full granule, naturally aligned; the first and the last may be shorter.

use dmarig_abi::Iova;

use crate::bus::Direction;

/// No memory request crosses a multiple of this.
pub const TLP_PAGE_BYTES: u64 = 4096;
/// Smallest and largest payload and read request size.
pub const TLP_SIZES_BYTES: std::ops::RangeInclusive<u32> = 128..=4096;

/// What limits a packet; values that no register can hold are brought into range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TlpLimits {
    max_payload_bytes: u32,
    max_read_request_bytes: u32,
    boundary_bytes: u64,
}

impl Default for TlpLimits {
    /// As after a reset: payloads of 128 bytes, read requests of 512 (section 7.5.3.4).
    fn default() -> Self {
        Self::new(128, 512)
    }
}

impl TlpLimits {
    /// Limits as device control of the PCIe capability has them, in bytes: powers of two from 128 to
    /// 4096; others are rounded down to one of these. There is no boundary of the device's own.
    #[must_use]
    pub fn new(max_payload_bytes: u32, max_read_request_bytes: u32) -> Self {
        let size = |bytes: u32| {
            let bytes = bytes.clamp(*TLP_SIZES_BYTES.start(), *TLP_SIZES_BYTES.end());
            1 << bytes.ilog2()
        };
        Self {
            max_payload_bytes: size(max_payload_bytes),
            max_read_request_bytes: size(max_read_request_bytes),
            boundary_bytes: 0,
        }
    }

    /// The same with a boundary of the device's own, a power of two in bytes, that no packet crosses;
    /// 0 for none. Other values are rounded down to a power of two.
    #[must_use]
    pub const fn with_boundary(self, boundary_bytes: u64) -> Self {
        let boundary_bytes = match boundary_bytes.checked_ilog2() {
            Some(log) => 1 << log,
            None => 0,
        };
        Self {
            boundary_bytes,
            ..self
        }
    }

    /// Most bytes of a write's packet (MPS).
    #[must_use]
    pub const fn max_payload_bytes(&self) -> u32 {
        self.max_payload_bytes
    }

    /// Most bytes that a read's packet asks for (MRRS).
    #[must_use]
    pub const fn max_read_request_bytes(&self) -> u32 {
        self.max_read_request_bytes
    }

    /// The device's own boundary in bytes, 0 for none.
    #[must_use]
    pub const fn boundary_bytes(&self) -> u64 {
        self.boundary_bytes
    }

    /// The multiple at which every packet of this direction ends, in bytes.
    #[must_use]
    pub fn granule_bytes(&self, direction: Direction) -> u64 {
        let size = match direction {
            Direction::Read => self.max_read_request_bytes,
            Direction::Write => self.max_payload_bytes,
        };
        let granule = TLP_PAGE_BYTES.min(size.into());
        match self.boundary_bytes {
            0 => granule,
            boundary => granule.min(boundary),
        }
    }
}

/// One packet of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tlp {
    /// Its first byte.
    pub iova: Iova,
    /// Where that lies in the request, in bytes.
    pub offset: u64,
    /// Its length in bytes: 1 to 4096.
    pub len_bytes: u32,
}

/// The packets of a request that are still to come, in ascending order; see [`split`].
#[derive(Clone, Debug)]
pub struct Tlps {
    start: Iova,
    offset: u64,
    len_bytes: u64,
    granule_bytes: u64,
}

/// Cuts `len_bytes` bytes from `start` on into packets. Together they cover every byte once, in
/// ascending order; a length of 0 has none. Addresses that pass 2^64 - 1 go on at 0; the engine checks
/// that before.
#[must_use]
pub fn split(start: Iova, len_bytes: u64, direction: Direction, limits: &TlpLimits) -> Tlps {
    Tlps {
        start,
        offset: 0,
        len_bytes,
        granule_bytes: limits.granule_bytes(direction),
    }
}

impl Tlps {
    /// How many packets are still to come, without making them.
    #[must_use]
    pub fn remaining(&self) -> u64 {
        let Some(last) = (self.len_bytes - self.offset).checked_sub(1) else {
            return 0;
        };
        // Counted from the start of the granule that holds the next byte, in 128 bits: neither the
        // space's end nor a length of 2^64 - 1 is special.
        let inside = self.at(self.offset) % self.granule_bytes;
        let granules = (u128::from(inside) + u128::from(last)) / u128::from(self.granule_bytes);
        u64::try_from(granules + 1).expect("a packet has at least 1 byte")
    }

    /// The packet that carries byte `offset` of the request, without making those before it; `None`
    /// behind the request's end.
    #[must_use]
    pub fn carrying(&self, offset: u64) -> Option<Tlp> {
        if offset >= self.len_bytes {
            return None;
        }
        // A multiple of the granule, or the request's first byte where that comes later.
        let begin = offset.saturating_sub(self.at(offset) % self.granule_bytes);
        Some(self.starting(begin))
    }

    fn at(&self, offset: u64) -> u64 {
        self.start.raw().wrapping_add(offset)
    }

    fn starting(&self, offset: u64) -> Tlp {
        let to_end = self.granule_bytes - self.at(offset) % self.granule_bytes;
        let len_bytes = to_end.min(self.len_bytes - offset);
        Tlp {
            iova: Iova::new(self.at(offset)),
            offset,
            len_bytes: u32::try_from(len_bytes).expect("a granule has at most 4096 bytes"),
        }
    }
}

impl Iterator for Tlps {
    type Item = Tlp;

    fn next(&mut self) -> Option<Tlp> {
        if self.offset == self.len_bytes {
            return None;
        }
        let tlp = self.starting(self.offset);
        self.offset += u64::from(tlp.len_bytes);
        Some(tlp)
    }
}

#[cfg(test)]
mod tests;
