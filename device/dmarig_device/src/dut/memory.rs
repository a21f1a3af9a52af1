//! [`DutMemory`]: which IOVA leads where, and the memory there.
//!
//! Joins the mapping table of `iommu` with the regions of `guest_memory`. A mapping without a file,
//! or with one that is not safe to map, has no region: its bytes are reached by message only.

mod by_removed;

use std::cell::{Ref, RefCell};

use dmarig_abi::Iova;
use endpoint::{BusFault, BusFaultKind, Direction};
use guest_memory::{GuestMemory, MappedRange, PAGE_SIZE_BYTES, RegionId};
use iommu::vtd::{FaultFate, FaultRecord, FaultRecording, GuestPhysical};
use iommu::{Mapping, MappingTable, Permissions, Removed, Segment};
use recording::log;
use tracing::{debug, warn};
use vfio_user::{DmaMap, DmaUnmap, Errno};

use super::remapping::{Platform, Remapping, access, bus_fault};
use super::removed_ranges;
use super::stale::StaleTranslations;
use super::tape::Tape;
use crate::ledger::IovaRange;

/// What a mapping leads to: a region, or nothing that we can map.
pub(super) type Backing = Option<RegionId>;

/// The mappings of one function, and the bytes behind them.
#[derive(Debug, Default)]
pub struct DutMemory {
    table: MappingTable<Backing>,
    guest: GuestMemory,
    stale: Option<StaleTranslations>,
    /// In a cell, because the tables of the DUT's own unit are read by look-ups that change nothing else.
    tape: RefCell<Tape>,
    remapping: Option<Remapping>,
    memory_was_unmapped: bool,
    message_only_mappings: u64,
}

impl DutMemory {
    pub(super) fn epoch(&self) -> u64 {
        self.table.epoch()
    }

    pub(super) const fn table(&self) -> &MappingTable<Backing> {
        &self.table
    }

    /// Whether memory was unmapped since the connection began.
    pub(super) const fn memory_was_unmapped(&self) -> bool {
        self.memory_was_unmapped
    }

    pub(super) const fn stale(&self) -> Option<&StaleTranslations> {
        self.stale.as_ref()
    }

    pub(super) fn tape(&self) -> Ref<'_, Tape> {
        self.tape.borrow()
    }

    pub(super) fn tape_mut(&mut self) -> &mut Tape {
        self.tape.get_mut()
    }

    /// From now on translations that go away are kept and used, or no longer.
    pub(super) fn set_stale(&mut self, stale: Option<StaleTranslations>) {
        self.forget_stale();
        self.stale = stale;
    }

    /// Enters a mapping.
    ///
    /// # Errors
    /// `EINVAL` for one that permits nothing, is not made of pages, or wraps; `ENOSPC` when the table
    /// is full.
    pub fn map(&mut self, map: DmaMap) -> Result<(), Errno> {
        let permissions = Permissions::from_flags(map.permissions.read, map.permissions.write)
            .ok_or(Errno::EINVAL)?;
        let mut note = self.tape.get_mut().recorder().map(|recorder| {
            let file = map.fd.as_ref().and_then(|fd| recorder.identify(fd));
            (recorder, file)
        });
        let backing =
            map.fd.and_then(
                |fd| match self.guest.attach(fd, map.file_offset, map.size) {
                    Ok(region) => Some(region),
                    Err(error) => {
                        self.message_only_mappings += 1;
                        if self.message_only_mappings.is_power_of_two() {
                            warn!(iova = map.iova, %error, n = self.message_only_mappings,
                            "mapping is served by message only");
                        }
                        None
                    }
                },
            );
        if let Some((recorder, file)) = &mut note {
            recorder.log.note(&log::Event::Map(log::Mapping {
                iova: map.iova,
                size: map.size,
                read: map.permissions.read,
                write: map.permissions.write,
                file_offset: map.file_offset,
                file: file.filter(|_| backing.is_some()),
            }));
        }
        let mapping = Mapping {
            iova: Iova::new(map.iova),
            len_bytes: map.size,
            backing,
            offset_bytes: if backing.is_some() {
                map.file_offset
            } else {
                0
            },
            permissions,
        };
        let guest = &mut self.guest;
        let outcome = self.table.map(&mapping, |removed| {
            if let Some(region) = removed.backing {
                guest.release(region, removed.size_pages);
            }
        });
        outcome.map_err(|error| {
            debug!(%error, "mapping refused");
            if let Some(region) = backing {
                self.guest
                    .release(region, map.size.div_ceil(PAGE_SIZE_BYTES));
            }
            match error {
                iommu::MappingError::Full { .. } => Errno::ENOSPC,
                _ => Errno::EINVAL,
            }
        })
    }

    /// Removes mappings and returns the ranges that were mapped, neighbors joined.
    pub(super) fn unmap(&mut self, unmap: DmaUnmap) -> Result<Vec<IovaRange>, Errno> {
        self.tape.get_mut().note(|| {
            log::Event::Unmap(match unmap {
                DmaUnmap::All => log::Unmapping::All,
                DmaUnmap::Range { iova, size } => log::Unmapping::Range { iova, size },
            })
        });
        let mut ranges = Vec::new();
        let (guest, stale) = (&mut self.guest, &mut self.stale);
        let mut had_memory = false;
        let mut take = |removed: Removed<Backing>| {
            had_memory |= removed.backing.is_some();
            removed_ranges::note(&mut ranges, &removed);
            // The stale translations own the pages that they take.
            let is_kept = stale.as_mut().is_some_and(|stale| stale.keep(&removed));
            if let (Some(region), false) = (removed.backing, is_kept) {
                guest.release(region, removed.size_pages);
            }
        };
        let outcome = match unmap {
            DmaUnmap::All => {
                self.table.unmap_all(&mut take);
                Ok(())
            }
            DmaUnmap::Range { iova, size } => {
                let outcome = self.table.unmap(Iova::new(iova), size, &mut take);
                outcome.map(|_| ()).map_err(|error| {
                    debug!(%error, "unmap refused");
                    Errno::EINVAL
                })
            }
        };
        self.memory_was_unmapped |= had_memory;
        outcome.map(|()| ranges)
    }

    /// Forgets everything, as when the connection ends.
    pub(super) fn clear(&mut self) {
        self.forget_stale();
        let guest = &mut self.guest;
        self.table.unmap_all(|removed| {
            if let Some(region) = removed.backing {
                guest.release(region, removed.size_pages);
            }
        });
        self.memory_was_unmapped = false;
    }

    /// Gives back what stale translations hold.
    fn forget_stale(&mut self) {
        let Some(stale) = &mut self.stale else {
            return;
        };
        for (region, n_pages) in stale.take_regions() {
            self.guest.release(region, n_pages);
        }
    }

    /// Puts a remapping unit in front of the platform's mappings, or takes it away.
    pub(super) fn set_remapping(&mut self, remapping: Option<Remapping>) {
        self.remapping = remapping;
    }

    /// The remapping unit, whether it is on or off.
    pub(super) const fn remapping_mut(&mut self) -> Option<&mut Remapping> {
        self.remapping.as_mut()
    }

    /// What the remapping unit refused last, once.
    pub(super) fn take_remapping_fault(&mut self) -> Option<(FaultRecord, FaultFate)> {
        self.remapping.as_mut()?.take_fault()
    }

    /// The remapping unit, if it is on.
    fn active_remapping(&self) -> Option<&Remapping> {
        self.remapping.as_ref().filter(|unit| unit.is_enabled())
    }

    /// Where the platform takes a message for `iova`; `None` if the DUT's own unit refuses it.
    pub(super) fn message_target(
        &mut self,
        iova: Iova,
        len_bytes: u64,
        direction: Direction,
    ) -> Option<Iova> {
        let remapping = self.remapping.as_mut().filter(|unit| unit.is_enabled());
        let Some(remapping) = remapping else {
            return Some(iova);
        };
        let platform = Platform {
            table: &self.table,
            guest: &self.guest,
            tape: &self.tape,
        };
        remapping.message_target(platform, iova, len_bytes, direction)
    }

    /// How many bytes from `iova` on one message can carry.
    pub(super) fn message_reach(&self, iova: Iova, len_bytes: u64, direction: Direction) -> u64 {
        let Some(remapping) = self.active_remapping() else {
            return len_bytes;
        };
        remapping.message_reach(self.platform(), iova, len_bytes, direction)
    }

    /// How many bytes from `iova` on can be accessed, 1 to `len_bytes`.
    pub(super) fn probe(
        &self,
        iova: Iova,
        len_bytes: u64,
        direction: Direction,
    ) -> Result<u64, BusFault> {
        let Some(remapping) = self.active_remapping() else {
            return Ok(self.find(iova, len_bytes, direction)?.len_bytes);
        };
        let physical = remapping.peek(self.platform(), iova, len_bytes, direction)?;
        let segment = self.find_physical(iova, &physical, direction)?;
        Ok(segment.len_bytes)
    }

    /// Reads mapped memory.
    ///
    /// # Errors
    /// The first byte that has no usable mapping; what lies before it is in `buffer`.
    #[inline]
    pub fn read(&mut self, iova: Iova, buffer: &mut [u8]) -> Result<(), BusFault> {
        if self.tape.get_mut().is_off() {
            return self.copy_out(iova, buffer);
        }
        self.read_with_tape(iova, buffer)
    }

    #[inline]
    fn copy_out(&mut self, iova: Iova, buffer: &mut [u8]) -> Result<(), BusFault> {
        self.for_each_piece(iova, buffer.len(), Direction::Read, |offset, piece| {
            piece.read_into(&mut buffer[offset..]);
        })
    }

    /// Reads and writes down what came, or takes what was written down; the mappings say how much.
    fn read_with_tape(&mut self, iova: Iova, buffer: &mut [u8]) -> Result<(), BusFault> {
        let outcome = if self.tape.get_mut().is_replaying() {
            self.for_each_piece(iova, buffer.len(), Direction::Read, |_, _| ())
        } else {
            self.copy_out(iova, buffer)
        };
        let reached = reached(iova, buffer.len(), outcome);
        if reached > 0 {
            self.tape.get_mut().exchange(iova, &mut buffer[..reached]);
        }
        outcome
    }

    /// Writes mapped memory.
    ///
    /// # Errors
    /// The first byte that has no usable mapping; what lies before it is written.
    #[inline]
    pub fn write(&mut self, iova: Iova, data: &[u8]) -> Result<(), BusFault> {
        if self.tape.get_mut().is_replaying() {
            // What it reads later was recorded: there is no memory to fill.
            return self.for_each_piece(iova, data.len(), Direction::Write, |_, _| ());
        }
        self.for_each_piece(iova, data.len(), Direction::Write, |offset, piece| {
            piece.write_from(&data[offset..]);
        })
    }

    /// Hands the mapped pieces of an access to `visit` in order, each with its offset in the access.
    ///
    /// # Errors
    /// The first byte that has no usable mapping; what lies before it was visited.
    #[inline]
    fn for_each_piece(
        &mut self,
        iova: Iova,
        len: usize,
        direction: Direction,
        mut visit: impl FnMut(usize, &MappedRange<'_>),
    ) -> Result<(), BusFault> {
        let mut done = 0;
        while done < len {
            let here = at(iova, done);
            let left = as_u64(len - done);
            let segment = if self.active_remapping().is_some() {
                // The engine asks again from where a piece behind the first is refused.
                let recording = if done == 0 {
                    FaultRecording::Record
                } else {
                    FaultRecording::Leave
                };
                self.remap(here, left, direction, recording)?
            } else {
                self.find(here, left, direction)?
            };
            let Some(region) = segment.backing else {
                return Err(BusFault {
                    iova: here,
                    kind: BusFaultKind::MessageOnly,
                });
            };
            let piece_len = usize::try_from(segment.len_bytes).unwrap_or(usize::MAX);
            let piece_len = piece_len.min(len - done);
            let range = self
                .guest
                .range(region, segment.offset_bytes, piece_len)
                .expect("a region was checked to hold its mappings, and it never shrinks");
            visit(done, &range);
            done += piece_len;
        }
        Ok(())
    }

    /// The piece of the platform's mappings at an address, a stale one if need be and set.
    #[inline]
    fn find(
        &self,
        iova: Iova,
        len_bytes: u64,
        direction: Direction,
    ) -> Result<Segment<Backing>, BusFault> {
        self.table
            .translate_first(iova, len_bytes, access(direction))
            .map_err(bus_fault)
            .or_else(|fault| self.translate_stale(fault, len_bytes, direction))
    }

    /// The same for what the DUT's own unit has translated. A fault is one of the IOVA.
    fn find_physical(
        &self,
        iova: Iova,
        physical: &Segment<GuestPhysical>,
        direction: Direction,
    ) -> Result<Segment<Backing>, BusFault> {
        let address = Iova::new(physical.offset_bytes);
        self.find(address, physical.len_bytes, direction)
            .map_err(|fault| BusFault { iova, ..fault })
    }

    /// Translates a piece of an access by the DUT's own unit, and then by the platform's mappings.
    fn remap(
        &mut self,
        iova: Iova,
        len_bytes: u64,
        direction: Direction,
        recording: FaultRecording,
    ) -> Result<Segment<Backing>, BusFault> {
        let Some(remapping) = &mut self.remapping else {
            return self.find(iova, len_bytes, direction);
        };
        let platform = Platform {
            table: &self.table,
            guest: &self.guest,
            tape: &self.tape,
        };
        let physical =
            remapping.translate_mapped(platform, iova, len_bytes, direction, recording)?;
        self.find_physical(iova, &physical, direction)
    }

    const fn platform(&self) -> Platform<'_> {
        Platform {
            table: &self.table,
            guest: &self.guest,
            tape: &self.tape,
        }
    }

    fn translate_stale(
        &self,
        fault: BusFault,
        len_bytes: u64,
        direction: Direction,
    ) -> Result<Segment<Backing>, BusFault> {
        let stale = self.stale.as_ref().ok_or(fault)?;
        stale
            .translate(fault.iova, len_bytes, access(direction))
            .ok_or(fault)
    }
}

/// Bytes in front of what stopped an access at `iova`.
fn reached(iova: Iova, len: usize, outcome: Result<(), BusFault>) -> usize {
    outcome.map_or_else(
        |fault| {
            fault
                .iova
                .checked_offset_from(iova)
                .and_then(|reached| usize::try_from(reached).ok())
                .unwrap_or(0)
        },
        |()| len,
    )
}

/// The address of byte `offset` of an access that does not wrap.
fn at(iova: Iova, offset: usize) -> Iova {
    iova.checked_add(as_u64(offset))
        .expect("the engine refuses requests that wrap")
}

fn as_u64(len: usize) -> u64 {
    u64::try_from(len).expect("usize fits into u64 on every target of ours")
}
