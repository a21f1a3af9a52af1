//! [`Ring`]: indices and addresses of a channel's descriptor ring and its completion ring.
//!
//! All values are latched when the ring is enabled; what the guest writes to the registers later
//! counts at the next enabling. Both rings have the same number of entries, and the entries of the
//! completion ring are written in order, one for each descriptor. How a driver learns of a new entry is
//! the ring's mode: by its phase bit, or by an index that the device writes behind it.

use dmarig_abi::completion::{COMPLETION_FLAG_PHASE, COMPLETION_SIZE_BYTES, DMA_STATUS_RING};
use dmarig_abi::descriptor::{DESCRIPTOR_FLAG_OWNED, DESCRIPTOR_SIZE_BYTES};
use dmarig_abi::registers::{
    RING_ENABLE, RING_INDEX_MODE, RING_MAX_ENTRIES, RING_MIN_ENTRIES, RING_PREFETCH,
};
use dmarig_abi::{CompletionEntry, Iova};
use endpoint::{Request, Tick};
use zerocopy::IntoBytes;

use crate::address_rules::AddressRules;
use crate::entry::{Entry, decode};
use crate::prefetch::{DescriptorBytes, Prefetch};

/// Alignment of both rings in bytes.
const RING_ALIGNMENT_BYTES: u64 = 64;
/// Size and alignment of the producer index in bytes.
const INDEX_SIZE_BYTES: u64 = 4;
/// Where the flags lie in a descriptor.
const FLAGS_OFFSET: u64 = 2;

/// The registers that make a ring.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RingRegisters {
    pub base: u64,
    pub completion_base: u64,
    pub index_address: u64,
    pub entries: u32,
    pub control: u32,
}

/// An enabled ring.
#[derive(Debug)]
pub(crate) struct Ring {
    base: Iova,
    completion_base: Iova,
    /// Where the producer index goes, in index mode.
    index_address: Option<Iova>,
    pub prefetch: Option<Prefetch>,
    entries: u32,
    head: u32,
    tail: u32,
    completion_index: u32,
    phase: bool,
    /// The descriptor under way.
    pub entry: Option<Entry>,
}

impl Ring {
    /// Latches and checks the ring registers; a wrong one is `DMA_STATUS_RING`.
    pub(crate) fn try_new(registers: &RingRegisters, rules: &AddressRules) -> Result<Self, u16> {
        let entries = registers.entries;
        let is_size_good =
            entries.is_power_of_two() && (RING_MIN_ENTRIES..=RING_MAX_ENTRIES).contains(&entries);
        let place = |base: u64| rules.place_own(Iova::new(base));
        let is_base_good = |base: Iova, entry_size: usize| {
            let size_bytes = u64::from(entries) * entry_size as u64;
            base.is_aligned(RING_ALIGNMENT_BYTES) && base.checked_add(size_bytes - 1).is_some()
        };
        let (base, completion_base) = (place(registers.base), place(registers.completion_base));
        let has_index = registers.control & RING_INDEX_MODE != 0;
        let index_address = has_index.then(|| place(registers.index_address));
        if !is_size_good
            || !is_base_good(base, DESCRIPTOR_SIZE_BYTES)
            || !is_base_good(completion_base, COMPLETION_SIZE_BYTES)
            || index_address.is_some_and(|address| !address.is_aligned(INDEX_SIZE_BYTES))
        {
            return Err(DMA_STATUS_RING);
        }
        let polls = registers.control & RING_PREFETCH != 0;
        Ok(Self {
            base,
            completion_base,
            index_address,
            prefetch: polls.then(Prefetch::new),
            entries,
            head: 0,
            tail: 0,
            completion_index: 0,
            phase: true,
            entry: None,
        })
    }

    /// The control register as it was latched.
    pub(crate) fn control(&self) -> u32 {
        let bit = |is_set: bool, bit: u32| if is_set { bit } else { 0 };
        RING_ENABLE
            | bit(self.index_address.is_some(), RING_INDEX_MODE)
            | bit(self.prefetch.is_some(), RING_PREFETCH)
    }

    /// Takes the producer index of the doorbell. An index beyond the ring is `DMA_STATUS_RING`, not
    /// taken modulo: a driver that rings it has lost count. A ring that is polled looks at once.
    pub(crate) fn set_tail(&mut self, tail: u32) -> Result<(), u16> {
        if let Some(prefetch) = &mut self.prefetch {
            prefetch.hurry();
            return Ok(());
        }
        if tail >= self.entries {
            return Err(DMA_STATUS_RING);
        }
        self.tail = tail;
        Ok(())
    }

    /// What the ring makes the device access: register, first byte, length in bytes.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = (&'static str, Iova, u64)> {
        let len_bytes = |entry_size: usize| u64::from(self.entries) * entry_size as u64;
        let index = self.index_address.map(|address| {
            let register = "CH_INDEX_ADDRESS";
            (register, address, INDEX_SIZE_BYTES)
        });
        let rings = [
            ("CH_RING_BASE", self.base, len_bytes(DESCRIPTOR_SIZE_BYTES)),
            (
                "CH_COMPLETION_BASE",
                self.completion_base,
                len_bytes(COMPLETION_SIZE_BYTES),
            ),
        ];
        rings.into_iter().chain(index)
    }

    pub(crate) fn head(&self) -> u32 {
        self.head
    }

    /// Whether there is a descriptor to fetch, or to look at, by now. At most `entries - 1` follow one
    /// doorbell, because head and tail are below `entries` and equal means empty.
    pub(crate) fn has_descriptor(&self, now: Tick) -> bool {
        match &self.prefetch {
            Some(prefetch) => prefetch.due() <= now,
            None => self.head != self.tail,
        }
    }

    /// Descriptors that were rung, or seen, and are not done.
    pub(crate) fn backlog(&self) -> u64 {
        let waiting = match &self.prefetch {
            Some(prefetch) => u32::from(prefetch.seen.is_some()),
            None => self.tail.wrapping_sub(self.head) & (self.entries - 1),
        };
        u64::from(waiting) + u64::from(self.entry.is_some())
    }

    /// The access that fetches the descriptor at the head.
    pub(crate) fn fetch(&self) -> Request {
        fetch_at(self.at(self.head))
    }

    /// The access that looks once more at the descriptor under way.
    pub(crate) fn fetch_again(&self) -> Request {
        let index = self.entry.as_ref().map_or(self.head, |entry| entry.index);
        fetch_at(self.at(index))
    }

    /// Address of a descriptor.
    pub(crate) fn at(&self, index: u32) -> Iova {
        entry(self.base, index, DESCRIPTOR_SIZE_BYTES)
    }

    /// Turns a fetched descriptor into a request and steps on.
    pub(crate) fn take_descriptor(&mut self, bytes: &DescriptorBytes) -> Request {
        let request = decode(bytes);
        let (index, at) = (self.head, self.at(self.head));
        self.head = (self.head + 1) % self.entries;
        self.entry = Some(Entry::new(index, at, *bytes, &request));
        request
    }

    /// The access that gives the descriptor under way back to the driver, and its bytes.
    pub(crate) fn release(&self) -> Option<(Request, Vec<u8>)> {
        let entry = self.entry.as_ref()?;
        let flags = decode(&entry.descriptor).flags & !DESCRIPTOR_FLAG_OWNED;
        let bytes = flags.to_le_bytes().to_vec();
        let destination = self.at(entry.index).checked_add(FLAGS_OFFSET)?;
        Some((store(destination, bytes.len()), bytes))
    }

    /// Index, access and bytes of the completion entry of the descriptor under way.
    pub(crate) fn completion(&self) -> Option<(u32, Request, [u8; COMPLETION_SIZE_BYTES])> {
        let mut completion: CompletionEntry = self.entry.as_ref()?.completion;
        if self.phase && self.index_address.is_none() {
            completion.flags |= COMPLETION_FLAG_PHASE;
        }
        let mut bytes = [0; COMPLETION_SIZE_BYTES];
        bytes.copy_from_slice(completion.as_bytes());
        let at = entry(
            self.completion_base,
            self.completion_index,
            COMPLETION_SIZE_BYTES,
        );
        let request = Request {
            tag: completion.tag,
            ..store(at, COMPLETION_SIZE_BYTES)
        };
        Some((self.completion_index, request, bytes))
    }

    /// What the producer index was one entry ago.
    pub(crate) fn index_before(&self) -> Vec<u8> {
        let before = (self.completion_index + self.entries - 1) % self.entries;
        before.to_le_bytes().to_vec()
    }

    /// Steps on after a completion entry; the phase changes with each lap.
    pub(crate) fn completion_written(&mut self) {
        self.completion_index = (self.completion_index + 1) % self.entries;
        if self.completion_index == 0 {
            self.phase = !self.phase;
        }
    }

    /// The access that tells the driver how far the completion ring is written, in index mode.
    pub(crate) fn producer_index(&self) -> Option<(u32, Request, Vec<u8>)> {
        let bytes = self.completion_index.to_le_bytes().to_vec();
        let request = store(self.index_address?, bytes.len());
        Some((self.completion_index, request, bytes))
    }
}

/// Address of an entry; the ring was checked not to wrap.
fn entry(base: Iova, index: u32, entry_size: usize) -> Iova {
    base.checked_add(u64::from(index) * entry_size as u64)
        .expect("the ring ends below 2^64")
}

/// The access that fetches a descriptor.
pub(crate) fn fetch_at(source: Iova) -> Request {
    Request {
        source,
        length_bytes: DESCRIPTOR_SIZE_BYTES as u64,
        ..Request::default()
    }
}

fn store(destination: Iova, len: usize) -> Request {
    Request {
        destination,
        length_bytes: len as u64,
        ..Request::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(base: u64, completion_base: u64, entries: u32) -> Result<Ring, u16> {
        let registers = RingRegisters {
            base,
            completion_base,
            index_address: 0,
            entries,
            control: RING_ENABLE,
        };
        Ring::try_new(&registers, &AddressRules::default())
    }

    #[test]
    fn wrong_ring_registers_are_refused() {
        let check = |base, completion_base, entries, is_good: bool| {
            let ring = ring(base, completion_base, entries);
            assert_eq!(
                ring.is_ok(),
                is_good,
                "{base:#x} {completion_base:#x} {entries}"
            );
        };
        check(0x1000, 0x2000, 2, true);
        check(0x1000, 0x2000, 4096, true);
        check(u64::MAX - 127, 0x2000, 2, true);
        check(0x1000, 0x2000, 0, false);
        check(0x1000, 0x2000, 1, false);
        check(0x1000, 0x2000, 3, false);
        check(0x1000, 0x2000, 8192, false);
        check(0x1020, 0x2000, 2, false);
        check(0x1000, 0x2001, 2, false);
        check(u64::MAX - 63, 0x2000, 2, false);
    }

    #[test]
    fn tail_beyond_the_ring_is_refused_and_changes_nothing() {
        let mut ring = ring(0, 0x1000, 4).expect("the registers are good");
        ring.set_tail(3).expect("3 is in the ring");
        assert_eq!(ring.set_tail(4), Err(DMA_STATUS_RING));
        assert_eq!(ring.tail, 3);
    }
}
