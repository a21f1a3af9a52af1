//! How the pieces of a transfer become elements of a scatter/gather list. Pure.
//!
//! With `bounce=always` each page is an element of its own, so that a driver which looks at the first one alone
//! is seen. A device without scatter/gather gets one element, through memory of the HAL where the pages are not
//! one run.

use alloc::vec::Vec;
use core::ops::Range;

use super::range::{Piece, len_of};
use crate::boot::Bounce;
use crate::hal_dma::bounds::Bounds;
use crate::mdl::{PAGE_BYTES, PAGE_SHIFT, pages_spanned};

/// SCATTER_GATHER_LIST up to its elements.
pub const LIST_HEADER_BYTES: u64 = 0x10;
/// SCATTER_GATHER_ELEMENT.
pub const ELEMENT_BYTES: u64 = 0x18;
/// What a list buffer must hold behind its elements (TI-2: "internal data that the operating system stores").
pub const LIST_TAIL_BYTES: u64 = 0x20;

/// What decides how elements are made.
#[derive(Clone, Copy, Debug)]
pub struct PlanRules {
    /// Which transfers are double-buffered.
    pub bounce: Bounce,
    /// Whether the device takes several elements.
    pub scatter_gather: bool,
    /// Whether its addresses are translated.
    pub remapping: bool,
    /// What its address width reaches.
    pub reach: Bounds,
}

/// One element to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    /// Its pieces, by their places in the list.
    pub pieces: Range<usize>,
    /// Offset of the first byte in its page.
    pub offset: u64,
    /// Bytes.
    pub len: u64,
    /// Through memory of the HAL.
    pub is_bounced: bool,
}

impl Element {
    /// Pages, each of which takes a map register.
    #[must_use]
    pub fn n_pages(&self) -> u64 {
        pages_spanned(self.offset, self.len)
    }
}

/// The elements for `pieces`, in order.
#[must_use]
pub fn elements(pieces: &[Piece], rules: PlanRules) -> Vec<Element> {
    if !rules.scatter_gather {
        return only_element(pieces, rules).into_iter().collect();
    }
    let mut elements: Vec<Element> = Vec::new();
    for (idx, piece) in pieces.iter().enumerate() {
        let is_bounced = is_bounced(piece, rules);
        let before = idx.checked_sub(1).and_then(|idx| pieces.get(idx));
        let is_next = before.is_some_and(|before| joins(before, piece, rules.remapping));
        match elements.last_mut() {
            Some(last) if is_next && !is_bounced && !last.is_bounced => {
                last.pieces.end = idx + 1;
                last.len += piece.len;
            }
            _ => elements.push(Element {
                pieces: idx..idx + 1,
                offset: piece.offset,
                len: piece.len,
                is_bounced,
            }),
        }
    }
    elements
}

/// Map registers that they take.
#[must_use]
pub fn registers(elements: &[Element]) -> u64 {
    elements.iter().map(Element::n_pages).sum()
}

/// Bytes of a list of so many elements, with the private tail (TI-2).
#[must_use]
pub const fn list_bytes(n_elements: u64) -> u64 {
    LIST_HEADER_BYTES + n_elements * ELEMENT_BYTES + LIST_TAIL_BYTES
}

/// Elements for which a list buffer of `len_bytes` has room.
#[must_use]
pub const fn elements_in(len_bytes: u32) -> u64 {
    (len_bytes as u64).saturating_sub(LIST_HEADER_BYTES + LIST_TAIL_BYTES) / ELEMENT_BYTES
}

fn only_element(pieces: &[Piece], rules: PlanRules) -> Option<Element> {
    let first = pieces.first()?;
    let is_run = pieces
        .windows(2)
        .all(|pair| joins(&pair[0], &pair[1], rules.remapping));
    let is_bounced = !is_run || pieces.iter().any(|piece| is_bounced(piece, rules));
    Some(Element {
        pieces: 0..pieces.len(),
        offset: first.offset,
        len: len_of(pieces),
        is_bounced,
    })
}

fn is_bounced(piece: &Piece, rules: PlanRules) -> bool {
    let start = (piece.pfn << PAGE_SHIFT) + piece.offset;
    rules.bounce == Bounce::Always || (!rules.remapping && !rules.reach.hold(start, piece.len))
}

/// Whether the device sees `next` right behind `piece`: with remapping, whole pages are laid side by side.
fn joins(piece: &Piece, next: &Piece, remapping: bool) -> bool {
    let at_page_boundary = piece.offset + piece.len == PAGE_BYTES && next.offset == 0;
    at_page_boundary && (remapping || next.pfn == piece.pfn + 1)
}

#[cfg(test)]
mod tests {
    use super::super::range::pieces;
    use super::super::range::tests::mdl;
    use super::*;

    const AS_NEEDED: PlanRules = PlanRules {
        bounce: Bounce::AsNeeded,
        scatter_gather: true,
        remapping: false,
        reach: Bounds::of_width(32),
    };

    /// Frames 0x10 and 0x11 from 0x800 on, then 0x20 from 0x10 on.
    fn chain() -> Vec<Piece> {
        let chain = [mdl(0x10, 0x800, 0x1800), mdl(0x20, 0x10, 0x20)];
        pieces(&chain, 0, 0x1820, |_| true).expect("inside")
    }

    fn check(rules: PlanRules, pieces: &[Piece], expected: &[(u64, u64, bool)]) {
        let seen: Vec<_> = elements(pieces, rules)
            .iter()
            .map(|element| (element.offset, element.len, element.is_bounced))
            .collect();
        assert_eq!(seen, expected);
    }

    #[test]
    fn strict_elements_are_pages_and_others_are_runs() {
        let strict = PlanRules {
            bounce: Bounce::Always,
            ..AS_NEEDED
        };
        let pages = [(0x800, 0x800, true), (0, 0x1000, true), (0x10, 0x20, true)];
        check(strict, &chain(), &pages);
        check(
            AS_NEEDED,
            &chain(),
            &[(0x800, 0x1800, false), (0x10, 0x20, false)],
        );
    }

    #[test]
    fn pages_beyond_the_width_are_bounced_where_nothing_translates() {
        let mut pages = chain();
        pages[1].pfn = 0x12_3456;
        let expected = [
            (0x800, 0x800, false),
            (0, 0x1000, true),
            (0x10, 0x20, false),
        ];
        check(AS_NEEDED, &pages, &expected);
        let remapped = PlanRules {
            remapping: true,
            ..AS_NEEDED
        };
        check(
            remapped,
            &pages,
            &[(0x800, 0x1800, false), (0x10, 0x20, false)],
        );
    }

    #[test]
    fn device_without_scatter_gather_gets_one_element() {
        let single = PlanRules {
            scatter_gather: false,
            ..AS_NEEDED
        };
        check(single, &chain(), &[(0x800, 0x1820, true)]);
        check(single, &chain()[..2], &[(0x800, 0x1800, false)]);
        let registers = registers(&elements(&chain(), single));
        assert_eq!(registers, 3, "0x1820 bytes from 0x800 on");
    }

    #[test]
    fn list_buffer_has_room_for_the_elements_it_was_sized_for() {
        for n_elements in [1, 2, 100] {
            let bytes = u32::try_from(list_bytes(n_elements)).expect("small");
            assert_eq!(elements_in(bytes), n_elements);
            assert_eq!(elements_in(bytes - 1), n_elements - 1);
        }
        assert_eq!(elements_in(0), 0);
    }
}
