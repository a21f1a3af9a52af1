//! [`Table`]: one node of the radix table, 512 slots of which only the occupied ones take memory.
//!
//! An occupation bitmap and running counts turn a slot number into a position in a dense vector, so a
//! node with one slot costs little more than one slot, a full node costs 16 bytes a slot, and both
//! are read in the same constant time. [`crate::mapping`] gives the nodes their meaning.

use crate::permissions::Permissions;

/// Address bits that one level resolves.
pub(crate) const LEVEL_BITS: u32 = 9;
/// Slots of a node.
pub(crate) const SLOTS: usize = 1 << LEVEL_BITS;
const WORDS: usize = SLOTS / 64;

/// What stands in an occupied slot.
#[derive(Debug)]
pub(crate) enum Slot<B> {
    /// The whole span of the slot is one piece of a backing. The fields lie flat in the variant so
    /// that the discriminant fits beside a 4-byte handle and a slot stays at 16 bytes.
    Leaf {
        /// Offset in the backing, a multiple of the page size, with the permissions in its low bits.
        offset_and_permissions: u64,
        /// The backing's handle.
        backing: B,
    },
    /// The span is cut further. Never an empty table.
    Table(Box<Table<B>>),
}

impl<B> Slot<B> {
    /// Builds a leaf.
    pub(crate) fn leaf(offset_bytes: u64, permissions: Permissions, backing: B) -> Self {
        debug_assert_eq!(offset_bytes % crate::PAGE_SIZE_BYTES, 0);
        Self::Leaf {
            offset_and_permissions: offset_bytes | permissions.bits(),
            backing,
        }
    }
}

/// Takes a leaf's packed word apart: offset in bytes, permissions.
pub(crate) fn unpack(offset_and_permissions: u64) -> (u64, Permissions) {
    (
        offset_and_permissions & !(crate::PAGE_SIZE_BYTES - 1),
        Permissions::from_bits(offset_and_permissions),
    )
}

/// One node: 512 slots, stored densely.
#[derive(Debug)]
pub(crate) struct Table<B> {
    occupied: [u64; WORDS],
    /// Occupied slots in all words before this one.
    before: [u16; WORDS],
    slots: Vec<Slot<B>>,
}

impl<B> Table<B> {
    /// A node without slots.
    pub(crate) fn new() -> Self {
        Self {
            occupied: [0; WORDS],
            before: [0; WORDS],
            slots: Vec::new(),
        }
    }

    /// Whether no slot is occupied.
    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The slot, if occupied.
    #[inline]
    pub(crate) fn get(&self, index: usize) -> Option<&Slot<B>> {
        self.slots.get(self.position(index)?)
    }

    /// The slot for changing, if occupied.
    pub(crate) fn get_mut(&mut self, index: usize) -> Option<&mut Slot<B>> {
        let position = self.position(index)?;
        self.slots.get_mut(position)
    }

    /// Occupies a vacant slot.
    pub(crate) fn insert(&mut self, index: usize, slot: Slot<B>) {
        debug_assert!(self.position(index).is_none());
        let position = self.rank(index);
        self.occupied[index / 64] |= 1 << (index % 64);
        for count in &mut self.before[index / 64 + 1..] {
            *count += 1;
        }
        if self.slots.is_empty() {
            // A vector's usual first room of four would make up most of a lone page's cost.
            self.slots.reserve_exact(1);
        }
        self.slots.insert(position, slot);
    }

    /// Vacates the slots `first..=last` and hands each to `taken` with its number, in order.
    pub(crate) fn drain(
        &mut self,
        first: usize,
        last: usize,
        mut taken: impl FnMut(usize, Slot<B>),
    ) {
        let (from, to) = (self.rank(first), self.rank(last + 1));
        let mut index = first;
        let occupied = self.occupied;
        for slot in self.slots.drain(from..to) {
            index = next_set(&occupied, index).unwrap_or(last);
            taken(index, slot);
            index += 1;
        }
        self.forget(first, last);
    }

    /// The first occupied slot at `from` or later.
    pub(crate) fn next_occupied(&self, from: usize) -> Option<usize> {
        next_set(&self.occupied, from)
    }

    /// All occupied slots in order.
    pub(crate) fn slots(&self) -> &[Slot<B>] {
        &self.slots
    }

    /// Heap bytes of this node alone, its vector's spare room included.
    pub(crate) fn heap_bytes(&self) -> usize {
        size_of::<Self>() + self.slots.capacity() * size_of::<Slot<B>>()
    }

    #[inline]
    fn position(&self, index: usize) -> Option<usize> {
        let word = self.occupied[index / 64];
        if word >> (index % 64) & 1 == 0 {
            return None;
        }
        // Nodes near the root mostly have one slot, and dense leaves' nodes all: neither needs counting,
        // and baseline x86-64 has no instruction for it.
        match self.slots.len() {
            1 => Some(0),
            SLOTS => Some(index),
            _ => Some(self.rank(index)),
        }
    }

    /// Number of occupied slots below `index`, which may be one past the last slot.
    fn rank(&self, index: usize) -> usize {
        if index >= SLOTS {
            return self.slots.len();
        }
        let below = self.occupied[index / 64] & ((1 << (index % 64)) - 1);
        usize::from(self.before[index / 64]) + below.count_ones() as usize
    }

    /// Clears the bits `first..=last` and counts anew.
    fn forget(&mut self, first: usize, last: usize) {
        let mut count: u16 = 0;
        for (number, word) in self.occupied.iter_mut().enumerate() {
            let (word_first, word_last) = (number * 64, number * 64 + 63);
            if word_first <= last && word_last >= first {
                let low = first.max(word_first) - word_first;
                let high = last.min(word_last) - word_first;
                *word &= !((u64::MAX >> (63 - (high - low))) << low);
            }
            self.before[number] = count;
            count += u16::try_from(word.count_ones()).expect("a word has 64 bits");
        }
        // A node that lost most of its slots gives the room back, or scattered unmaps would leave a
        // table as large as it ever was.
        if self.slots.len() * 4 < self.slots.capacity() {
            self.slots.shrink_to(self.slots.len() * 2);
        }
    }
}

fn next_set(words: &[u64; WORDS], from: usize) -> Option<usize> {
    let mut number = from / 64;
    let mut word = words.get(number)? & (u64::MAX << (from % 64));
    while word == 0 {
        number += 1;
        word = *words.get(number)?;
    }
    Some(number * 64 + word.trailing_zeros() as usize)
}
