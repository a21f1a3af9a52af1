//! What a device reaches of a transfer: bounce memory or the driver's pages, behind IOVAs of their own where
//! remapping is on. Data move at two moments alone: into bounce memory when it is mapped, out of it when it is
//! flushed.

use alloc::vec::Vec;

use super::plan::Element;
use super::range::Piece;
use crate::hal_dma::adapter::{self, Adapter};
use crate::hal_dma::bounds::Bounds;
use crate::hal_dma::common_buffer::{pages, release};
use crate::hal_dma::iova::IovaRequest;
use crate::hal_dma::space;
use crate::log;
use crate::mdl::{PAGE_BYTES, pages_spanned};
use crate::memory::{self, PageLayout, Pfn};
use crate::ntoskrnl::io_mdl::collect;
use crate::pci::RequesterId;
use crate::vtd::{self, Permissions};

/// What bounce memory holds where no data were put: before, behind, and all of it in a read from the device.
const BOUNCE_POISON: u8 = 0xB6;
/// What the driver's pages hold while the device writes to bounce memory in their place.
const ORIGINAL_POISON: u8 = 0xB7;
/// Bytes that are moved at a time; it lies on a driver's stack.
const CHUNK: usize = 512;

/// An element that the device reaches.
#[derive(Debug)]
pub(super) struct Mapped {
    /// Logical address of the first byte.
    pub(super) iova: u64,
    /// Bytes.
    pub(super) len: u64,
    requester: RequesterId,
    pieces: Vec<Piece>,
    frames: Vec<Pfn>,
    is_bounced: bool,
    is_remapped: bool,
}

/// Maps elements; `None` where memory or IOVAs are short, and nothing is mapped then.
pub(super) fn map(
    adapter: &Adapter,
    pieces: &[Piece],
    elements: &[Element],
    write_to_device: bool,
) -> Option<Vec<Mapped>> {
    let mut mapped = Vec::new();
    mapped.try_reserve_exact(elements.len()).ok()?;
    for element in elements {
        let pieces = pieces.get(element.pieces.clone()).unwrap_or_default();
        match map_element(adapter, pieces, element, write_to_device) {
            Some(one) => mapped.push(one),
            None => {
                unmap_all(mapped, false);
                return None;
            }
        }
    }
    // Only now is it certain that the transfer comes about, so only now the driver's pages lose their content.
    if !write_to_device {
        let bounced = mapped.iter().filter(|element| element.is_bounced);
        for piece in bounced.flat_map(|element| &element.pieces) {
            let range = piece.offset..piece.offset + piece.len;
            memory::fill_frame(Pfn::new(piece.pfn), range, ORIGINAL_POISON);
        }
    }
    Some(mapped)
}

/// Ends elements: the device loses them, then what it wrote to bounce memory goes to the driver's pages if
/// `moves_data`. Documented misuse: 0xE6/0x0F (bounce memory round the data was written).
pub(super) fn unmap_all(mapped: Vec<Mapped>, moves_data: bool) {
    for element in mapped {
        element.unmap(moves_data);
    }
}

fn map_element(
    adapter: &Adapter,
    pieces: &[Piece],
    element: &Element,
    write_to_device: bool,
) -> Option<Mapped> {
    let is_remapped = vtd::is_enabled();
    let pieces = collect(pieces.iter().copied(), pieces.len())?;
    let frames = if element.is_bounced {
        let (bounds, layout) = if is_remapped {
            (Bounds::of_width(64), PageLayout::Scattered)
        } else {
            (adapter.settings.bounds, PageLayout::Contiguous)
        };
        self::pages(element.n_pages(), bounds, layout)?
    } else {
        collect(pieces.iter().map(|piece| Pfn::new(piece.pfn)), pieces.len())?
    };
    let mut mapped = Mapped {
        iova: element.offset,
        len: element.len,
        requester: adapter.requester,
        pieces,
        frames,
        is_bounced: element.is_bounced,
        is_remapped,
    };
    if mapped.is_bounced {
        mapped.fill(write_to_device);
    }
    match mapped.logical_page(adapter, write_to_device) {
        Some(page) => {
            mapped.iova = page + element.offset;
            Some(mapped)
        }
        None => {
            mapped.release();
            None
        }
    }
}

impl Mapped {
    /// Logical address of the first page. The device gets the access that the direction needs, and no other.
    fn logical_page(&self, adapter: &Adapter, write_to_device: bool) -> Option<u64> {
        if !self.is_remapped {
            return self.frames.first().map(|frame| frame.start().raw());
        }
        let permissions = if write_to_device {
            Permissions::Read
        } else {
            Permissions::Write
        };
        let pfns = collect(
            self.frames.iter().map(|frame| frame.raw()),
            self.frames.len(),
        )?;
        let request = IovaRequest {
            pfns: &pfns,
            align_bytes: PAGE_BYTES,
            bounds: adapter.settings.bounds,
        };
        space::map(self.requester, &self.frames, request, permissions)
    }

    /// Offset of the first byte in its page.
    fn offset(&self) -> u64 {
        self.iova % PAGE_BYTES
    }

    /// Poison, and the data where the device is to read them.
    fn fill(&self, write_to_device: bool) {
        for frame in &self.frames {
            memory::fill_frame(*frame, 0..PAGE_BYTES, BOUNCE_POISON);
        }
        if write_to_device {
            self.move_data(|original, bounce, bytes| {
                memory::copy_from_frame(original.0, original.1, bytes);
                memory::copy_to_frame(bounce.0, bounce.1, bytes);
            });
        }
    }

    fn unmap(self, moves_data: bool) {
        if self.is_remapped {
            let page = self.iova - self.offset();
            if !space::unmap(self.requester, page, self.frames.len() as u64) {
                log!("hal: {page:#x} was not mapped when it was flushed");
            }
        }
        if self.is_bounced {
            self.check_surroundings();
            if moves_data {
                self.move_data(|original, bounce, bytes| {
                    memory::copy_from_frame(bounce.0, bounce.1, bytes);
                    memory::copy_to_frame(original.0, original.1, bytes);
                });
            }
        }
        self.release();
    }

    fn release(&self) {
        if self.is_bounced {
            release(&self.frames);
        }
    }

    /// Calls `step` with each pair of places (frame and offset) and a scratch of the length that both share.
    fn move_data(&self, step: impl Fn((Pfn, u64), (Pfn, u64), &mut [u8])) {
        let mut scratch = [0; CHUNK];
        let mut position = self.offset();
        for piece in &self.pieces {
            let mut done = 0;
            while done < piece.len {
                let room = PAGE_BYTES - position % PAGE_BYTES;
                let len = (piece.len - done).min(room).min(CHUNK as u64);
                let page = usize::try_from(position / PAGE_BYTES).unwrap_or(usize::MAX);
                let (Some(frame), Some(bytes)) = (
                    self.frames.get(page),
                    usize::try_from(len)
                        .ok()
                        .and_then(|len| scratch.get_mut(..len)),
                ) else {
                    return;
                };
                let original = (Pfn::new(piece.pfn), piece.offset + done);
                step(original, (*frame, position % PAGE_BYTES), bytes);
                done += len;
                position += len;
            }
        }
    }

    /// The device must have left bounce memory before and behind its bytes alone.
    fn check_surroundings(&self) {
        let (Some(first), Some(last)) = (self.frames.first(), self.frames.last()) else {
            return;
        };
        let page = self.iova - self.offset();
        let end = (self.offset() + self.len - 1) % PAGE_BYTES + 1;
        let last_page = page + (pages_spanned(self.iova, self.len) - 1) * PAGE_BYTES;
        let places = [
            (*first, 0..self.offset(), page, "before", 4),
            (*last, end..PAGE_BYTES, last_page, "behind", 5),
        ];
        for (frame, range, logical, place, kind) in places {
            if let Some(offset) = memory::first_byte_other_than(frame, range, BOUNCE_POISON) {
                let at = logical + offset;
                adapter::violation(
                    "transfer-overrun",
                    format_args!(
                        "the device wrote at {at:#x}, {place} the {:#x} bytes at {:#x} that are mapped for it",
                        self.len, self.iova
                    ),
                    [0x0F, kind, self.iova, at],
                );
            }
        }
    }
}
