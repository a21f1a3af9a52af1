//! [`Table`]: one node of the radix table, 512 slots of which only the occupied ones take memory.
//!
//! In a *packed* node an occupation bitmap and running counts turn a slot number into a position in a
//! vector, so a node with one slot costs little more than one slot. A node that is almost full is *spread*:
//! every slot has its place, so that entering and removing moves nothing. Either way an occupied slot
//! costs 16 to 64 bytes, and both are read in the same constant time. [`crate::mapping`] gives the nodes their meaning.

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

/// Occupied slots from which a node is spread.
const SPREAD_FROM: usize = 384;
/// Occupied slots below which it is packed again; the distance keeps a node from going to and fro.
const PACK_BELOW: usize = 128;

/// One node: 512 slots.
#[derive(Debug)]
pub(crate) struct Table<B> {
    slots: Slots<B>,
    len: usize,
    occupied: [u64; WORDS],
    /// Packed: occupied slots in all words before this one.
    before: [u16; WORDS],
}

#[derive(Debug)]
enum Slots<B> {
    /// The occupied ones, in order.
    Packed(Vec<Slot<B>>),
    /// All of them.
    Spread(Box<[Option<Slot<B>>]>),
}

impl<B> Table<B> {
    /// A node without slots.
    pub(crate) fn new() -> Self {
        Self {
            slots: Slots::Packed(Vec::new()),
            len: 0,
            occupied: [0; WORDS],
            before: [0; WORDS],
        }
    }

    /// Whether no slot is occupied.
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The slot, if occupied.
    #[inline]
    pub(crate) fn get(&self, index: usize) -> Option<&Slot<B>> {
        match &self.slots {
            Slots::Packed(slots) => slots.get(self.position(index)?),
            Slots::Spread(slots) => slots.get(index)?.as_ref(),
        }
    }

    /// The slot for changing, if occupied.
    pub(crate) fn get_mut(&mut self, index: usize) -> Option<&mut Slot<B>> {
        let position = self.position(index)?;
        match &mut self.slots {
            Slots::Packed(slots) => slots.get_mut(position),
            Slots::Spread(slots) => slots.get_mut(index)?.as_mut(),
        }
    }

    /// Occupies a vacant slot.
    pub(crate) fn insert(&mut self, index: usize, slot: Slot<B>) {
        debug_assert!(self.position(index).is_none());
        let position = self.rank(index);
        match &mut self.slots {
            Slots::Packed(slots) => {
                if slots.is_empty() {
                    // A vector's usual first room of four would make up most of a lone page's cost.
                    slots.reserve_exact(1);
                }
                slots.insert(position, slot);
                for count in &mut self.before[index / 64 + 1..] {
                    *count += 1;
                }
            }
            Slots::Spread(slots) => slots[index] = Some(slot),
        }
        self.occupied[index / 64] |= 1 << (index % 64);
        self.len += 1;
        if self.len >= SPREAD_FROM {
            self.spread();
        }
    }

    /// Vacates the slots `first..=last` and hands each to `taken` with its number, in order.
    pub(crate) fn drain(
        &mut self,
        first: usize,
        last: usize,
        mut taken: impl FnMut(usize, Slot<B>),
    ) {
        let (from, to) = (self.rank(first), self.rank(last + 1));
        let occupied = self.occupied;
        let mut index = first;
        let mut next = || {
            let this = next_set(&occupied, index).unwrap_or(last);
            index = this + 1;
            this
        };
        match &mut self.slots {
            Slots::Packed(slots) => {
                for slot in slots.drain(from..to) {
                    taken(next(), slot);
                    self.len -= 1;
                }
                // A node that lost most of its slots gives the room back, or scattered unmaps would leave
                // a table as large as it ever was.
                if slots.len() * 4 < slots.capacity() {
                    slots.shrink_to(slots.len() * 2);
                }
            }
            Slots::Spread(slots) => {
                for (index, slot) in slots.iter_mut().enumerate().take(last + 1).skip(first) {
                    if let Some(slot) = slot.take() {
                        taken(index, slot);
                        self.len -= 1;
                    }
                }
            }
        }
        self.forget(first, last);
        if self.len < PACK_BELOW {
            self.pack();
        }
    }

    /// The first occupied slot at `from` or later.
    pub(crate) fn next_occupied(&self, from: usize) -> Option<usize> {
        next_set(&self.occupied, from)
    }

    /// All occupied slots in order.
    pub(crate) fn slots(&self) -> impl Iterator<Item = &Slot<B>> {
        let (packed, spread): (&[_], &[_]) = match &self.slots {
            Slots::Packed(slots) => (slots, &[]),
            Slots::Spread(slots) => (&[], slots),
        };
        packed.iter().chain(spread.iter().flatten())
    }

    /// Heap bytes of this node alone, its vector's spare room included.
    pub(crate) fn heap_bytes(&self) -> usize {
        size_of::<Self>()
            + match &self.slots {
                Slots::Packed(slots) => slots.capacity() * size_of::<Slot<B>>(),
                Slots::Spread(slots) => slots.len() * size_of::<Option<Slot<B>>>(),
            }
    }

    /// Gives every slot its place, if that has not been done.
    fn spread(&mut self) {
        let Slots::Packed(packed) = &mut self.slots else {
            return;
        };
        let mut packed = std::mem::take(packed).into_iter();
        let occupied = &self.occupied;
        let place = |index| {
            if is_set(occupied, index) {
                packed.next()
            } else {
                None
            }
        };
        self.slots = Slots::Spread((0..SLOTS).map(place).collect());
    }

    /// Moves the occupied slots together, if that has not been done.
    fn pack(&mut self) {
        let Slots::Spread(spread) = &mut self.slots else {
            return;
        };
        let spread = std::mem::take(spread).into_iter();
        self.slots = Slots::Packed(spread.flatten().collect());
        self.count();
    }

    /// Packed: where an occupied slot lies in the vector.
    #[inline]
    fn position(&self, index: usize) -> Option<usize> {
        if !is_set(&self.occupied, index) {
            return None;
        }
        // Nodes near the root mostly have one slot, which needs no counting, and baseline x86-64 has no
        // instruction for that.
        Some(if self.len == 1 { 0 } else { self.rank(index) })
    }

    /// Packed: number of occupied slots below `index`, which may be one past the last slot.
    fn rank(&self, index: usize) -> usize {
        if index >= SLOTS {
            return self.len;
        }
        let below = self.occupied[index / 64] & ((1 << (index % 64)) - 1);
        usize::from(self.before[index / 64]) + below.count_ones() as usize
    }

    /// Clears the bits `first..=last`, of which the slots are gone.
    fn forget(&mut self, first: usize, last: usize) {
        if first == last {
            // One slot, by far the most frequent.
            let bit = 1 << (first % 64);
            if self.occupied[first / 64] & bit != 0 {
                self.occupied[first / 64] &= !bit;
                for count in &mut self.before[first / 64 + 1..] {
                    // Not kept in a spread node.
                    *count = count.wrapping_sub(1);
                }
            }
            return;
        }
        for (number, word) in self.occupied.iter_mut().enumerate() {
            let (word_first, word_last) = (number * 64, number * 64 + 63);
            if word_first <= last && word_last >= first {
                let low = first.max(word_first) - word_first;
                let high = last.min(word_last) - word_first;
                *word &= !((u64::MAX >> (63 - (high - low))) << low);
            }
        }
        self.count();
    }

    /// Counts the words' slots anew.
    fn count(&mut self) {
        let mut sum: u16 = 0;
        for (word, before) in self.occupied.iter().zip(&mut self.before) {
            *before = sum;
            sum += u16::try_from(word.count_ones()).expect("a word has 64 bits");
        }
    }
}

#[inline]
fn is_set(words: &[u64; WORDS], index: usize) -> bool {
    words[index / 64] >> (index % 64) & 1 == 1
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
