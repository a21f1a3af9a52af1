//! [`generate`]: lists of actions from a seed.
//!
//! What is generated depends on the seed and the model's own state, never on a guest's answers: the model is
//! asked without a mode of remapping, and what it cannot know counts as possible. So one seed is one list,
//! in both modes and in every boot.

use super::action::{Action, Bound, Config, Way};
use super::model::{Expect, Model, Object, Setting};
use super::random::Random;
use crate::oracle::PAGE_SIZE;
use crate::step::TransferMode;

/// Actions between two points where everything is released. A failure is looked for within one such
/// stretch, so it bounds what has to be shrunk.
pub const EPISODE_LENGTH: usize = 500;

/// Slots that are used.
const SLOTS: u32 = 48;
/// Attempts to find an action that is allowed; some are, whatever the state.
const ATTEMPTS: usize = 200;
/// Most objects of each kind, so that a guest's memory is not exhausted.
const MOST_ADAPTERS: usize = 4;
const MOST_BUFFERS: usize = 12;
const MOST_MEMORIES: usize = 8;
const MOST_MDLS: usize = 16;
const MOST_RINGS: usize = 2;
/// Channels for registers, and for rings.
const REGISTER_CHANNELS: &[u32] = &[0, 1];
const RING_CHANNELS: &[u32] = &[2, 3];
/// Guest memory as far as the generator is concerned. It changes no list but by what may be asked for.
const MEMORY_BYTES: u64 = 256 << 20;

/// A whole run: episodes of [`EPISODE_LENGTH`] actions, the last one perhaps shorter.
#[must_use]
pub fn generate(seed: u64, n_steps: usize) -> Vec<Vec<Action>> {
    let n_episodes = n_steps.div_ceil(EPISODE_LENGTH);
    (0..n_episodes)
        .map(|index| {
            let left = n_steps - index * EPISODE_LENGTH;
            generate_episode(seed, index as u64, left.min(EPISODE_LENGTH))
        })
        .collect()
}

/// One episode. It depends on the seed and its own index alone.
#[must_use]
pub fn generate_episode(seed: u64, index: u64, n_steps: usize) -> Vec<Action> {
    let mut seeds = Random::new(seed);
    let stream = seeds.next() ^ Random::new(index).next();
    let mut generator = Generator {
        random: Random::new(stream),
        model: Model::new(Setting {
            remapping: None,
            memory_bytes: MEMORY_BYTES,
        }),
    };
    (0..n_steps).map(|_| generator.next_action()).collect()
}

struct Generator {
    random: Random,
    model: Model,
}

/// What to do next, with its weight.
const KINDS: &[(Kind, u64)] = &[
    (Kind::OpenAdapter, 4),
    (Kind::PutAdapter, 2),
    (Kind::ReadAlignment, 1),
    (Kind::Allocate, 10),
    (Kind::CreateFromMdl, 18),
    (Kind::FreeBuffer, 10),
    (Kind::AllocateMemory, 6),
    (Kind::FreeMemory, 4),
    (Kind::AllocateMdl, 8),
    (Kind::AllocatePages, 6),
    (Kind::BuildPartial, 2),
    (Kind::BuildNonpaged, 5),
    (Kind::Lock, 6),
    (Kind::Unlock, 3),
    (Kind::Map, 8),
    (Kind::Unmap, 2),
    (Kind::FreeMdl, 5),
    (Kind::FreePages, 4),
    (Kind::Chain, 3),
    (Kind::QueryMdl, 2),
    (Kind::Fill, 12),
    (Kind::Check, 14),
    (Kind::DeviceWrite, 12),
    (Kind::DeviceVerify, 9),
    (Kind::DeviceCrc, 4),
    (Kind::OpenRing, 2),
    (Kind::CloseRing, 1),
];

#[derive(Clone, Copy)]
enum Kind {
    OpenAdapter,
    PutAdapter,
    ReadAlignment,
    Allocate,
    CreateFromMdl,
    FreeBuffer,
    AllocateMemory,
    FreeMemory,
    AllocateMdl,
    AllocatePages,
    BuildPartial,
    BuildNonpaged,
    Lock,
    Unlock,
    Map,
    Unmap,
    FreeMdl,
    FreePages,
    Chain,
    QueryMdl,
    Fill,
    Check,
    DeviceWrite,
    DeviceVerify,
    DeviceCrc,
    OpenRing,
    CloseRing,
}

impl Generator {
    fn next_action(&mut self) -> Action {
        for _ in 0..ATTEMPTS {
            let Some(action) = self.propose() else {
                continue;
            };
            let verdict = self.model.predict(&action);
            let is_wanted = match verdict.expect {
                Expect::LeaveOut(_) => false,
                // Refusals of the interpreter say little, so few of them will do.
                Expect::Outcome(_) if verdict.rule.is_empty() => self.random.chance(1, 10),
                _ => true,
            };
            if is_wanted {
                self.model.apply(&action, verdict);
                return action;
            }
        }
        self.model
            .apply(&Action::ReleaseAll, self.model.predict(&Action::ReleaseAll));
        Action::ReleaseAll
    }

    fn propose(&mut self) -> Option<Action> {
        if self.random.chance(1, 400) {
            return Some(Action::ReleaseAll);
        }
        let kind = self.kind()?;
        match kind {
            Kind::OpenAdapter | Kind::PutAdapter | Kind::ReadAlignment => self.about_adapters(kind),
            Kind::Allocate => self.allocation(),
            Kind::CreateFromMdl => self.creation(),
            Kind::FreeBuffer => Some(Action::FreeBuffer {
                buffer: self.buffer()?,
            }),
            Kind::AllocateMemory | Kind::FreeMemory => self.about_memory(kind),
            Kind::Fill | Kind::Check | Kind::DeviceWrite | Kind::DeviceVerify | Kind::DeviceCrc => {
                self.about_content(kind)
            }
            Kind::OpenRing | Kind::CloseRing => self.about_rings(kind),
            _ => self.about_mdls(kind),
        }
    }

    fn kind(&mut self) -> Option<Kind> {
        let total: u64 = KINDS.iter().map(|(_, weight)| weight).sum();
        let mut at = self.random.below(total);
        for (kind, weight) in KINDS {
            if at < *weight {
                return Some(*kind);
            }
            at -= weight;
        }
        None
    }

    fn about_adapters(&mut self, kind: Kind) -> Option<Action> {
        if !matches!(kind, Kind::OpenAdapter) {
            let adapter = self.adapter()?;
            return Some(match kind {
                Kind::PutAdapter => Action::PutAdapter { adapter },
                _ => Action::ReadAlignment { adapter },
            });
        }
        if self
            .slots(|object| matches!(object, Object::Adapter(_)))
            .len()
            >= MOST_ADAPTERS
        {
            return None;
        }
        let version = self.random.pick(&[3, 3, 3, 3, 3, 3, 2, 1])?;
        let width_bits = match version {
            3 if self.random.chance(1, 12) => self.random.pick(&[0, 1, 23, 65, 128])?,
            3 => self
                .random
                .pick(&[24, 28, 31, 32, 32, 36, 40, 48, 64, 64, 64])?,
            _ => self.random.pick(&[32, 64])?,
        };
        Some(Action::OpenAdapter {
            slot: self.free_slot(),
            version,
            width_bits,
        })
    }

    fn allocation(&mut self) -> Option<Action> {
        if self.n_buffers() >= MOST_BUFFERS {
            return None;
        }
        let (slot, adapter) = (self.free_slot(), self.new_adapter()?);
        let length_bytes = self.buffer_length();
        Some(match self.random.below(4) {
            0 => Action::Allocate {
                slot,
                adapter,
                length_bytes,
                is_cached: self.random.chance(3, 4),
            },
            1 => Action::AllocateEx {
                slot,
                adapter,
                length_bytes,
                maximum: self.maximum(),
                is_cached: self.random.chance(3, 4),
            },
            _ => Action::AllocateWithBounds {
                slot,
                adapter,
                length_bytes,
                minimum: self.minimum(),
                maximum: self.maximum(),
                is_cached: self
                    .random
                    .pick(&[None, Some(true), Some(true), Some(false)])?,
            },
        })
    }

    fn buffer_length(&mut self) -> u64 {
        match self.random.below(8) {
            0 => 1 + self.random.below(64),
            1 | 2 => 1 + self.random.below(3 * PAGE_SIZE),
            3 => (1 + self.random.below(32)) * PAGE_SIZE,
            _ => (1 + self.random.below(4)) * PAGE_SIZE,
        }
    }

    fn minimum(&mut self) -> Option<u64> {
        const MINIMA: &[Option<u64>] = &[
            None,
            None,
            Some(0),
            Some(0x10_0000),
            Some(0x100_0000),
            Some(0x400_0000),
            Some(0x1_0000_0000),
            Some(0x20_0000_0000),
        ];
        self.random.pick(MINIMA).flatten()
    }

    fn maximum(&mut self) -> Option<u64> {
        const MAXIMA: &[Option<u64>] = &[
            None,
            None,
            Some(u64::MAX >> 1),
            Some(0xffff_ffff),
            Some(0x7fff_ffff),
            Some(0x0fff_ffff),
            Some(0xff_ffff),
            Some(0x800),
            Some(0x2f_ffff_ffff),
        ];
        self.random.pick(MAXIMA).flatten()
    }

    fn creation(&mut self) -> Option<Action> {
        if self.n_buffers() >= MOST_BUFFERS {
            return None;
        }
        let (slot, adapter, mdl) = (self.free_slot(), self.new_adapter()?, self.ready_mdl()?);
        let len = self.model.mdl(mdl).map_or(PAGE_SIZE, |(mdl, _)| mdl.len);
        let configs = match self.random.below(10) {
            0..=3 => None,
            4 => Some(Vec::new()),
            _ => Some(self.configs(len)?),
        };
        Some(Action::CreateFromMdl {
            slot,
            adapter,
            mdl,
            configs,
        })
    }

    fn configs(&mut self, len: u64) -> Option<Vec<Config>> {
        let n_configs = self.random.pick(&[1, 1, 1, 1, 2, 2, 3, 4])?;
        let mut kinds = vec![0, 1, 2];
        let mut configs = Vec::new();
        for _ in 0..n_configs {
            // Each kind once, but for a few that are to be refused.
            let kind = if kinds.is_empty() || self.random.chance(1, 20) {
                self.random.below(4)
            } else {
                let index = self.random.below(kinds.len() as u64);
                kinds.remove(usize::try_from(index).ok()?)
            };
            configs.push(self.config(kind, len)?);
        }
        Some(configs)
    }

    fn config(&mut self, kind: u64, len: u64) -> Option<Config> {
        Some(match kind {
            0 => self.limits(len)?,
            1 => self.sub_section(len)?,
            2 => Config::Access {
                raw: self.random.pick(&[0, 1, 2, 2, 2, 2, 3, 0xffff_ffff])?,
            },
            _ => Config::Unknown {
                raw: self.random.pick(&[3, 4, 0x8000_0000])?,
            },
        })
    }

    fn limits(&mut self, len: u64) -> Option<Config> {
        let last = i64::try_from(len.saturating_sub(1)).ok()?;
        let (minimum, maximum) = match self.random.below(8) {
            // Just the place where the pages are.
            0 => (Bound::Physical(0), Bound::Physical(last)),
            1 => (Bound::Physical(0), Bound::Physical(last - 1)),
            2 => (Bound::Physical(1), Bound::At(u64::MAX)),
            3 => (Bound::At(0), Bound::At(u64::MAX)),
            4 => (Bound::At(0x2000), Bound::At(0x1000)),
            5 => (Bound::At(0x20_0000_0000), Bound::At(0x20_3fff_ffff)),
            _ => (
                Bound::At(self.minimum().unwrap_or(0)),
                Bound::At(self.maximum().unwrap_or(u64::MAX)),
            ),
        };
        Some(Config::Limits { minimum, maximum })
    }

    fn sub_section(&mut self, len: u64) -> Option<Config> {
        let pages = (len / PAGE_SIZE).max(1);
        if self.random.chance(1, 5) {
            const OFFSETS: &[u64] = &[0, 0x800, 0x1000, 0x10_0000, 0xffff_ffff_ffff_f000];
            const LENGTHS: &[u32] = &[0, 0x800, 0x1000, 0x1800, 0x2000, 0xffff_f000];
            return Some(Config::SubSection {
                offset: self.random.pick(OFFSETS)?,
                length: self.random.pick(LENGTHS)?,
            });
        }
        // Beyond the end of the MDL, it may lie in the next one of the chain.
        let first = self.random.below(pages + 2);
        let n_pages = 1 + self.random.below(pages.saturating_sub(first).max(1));
        Some(Config::SubSection {
            offset: first * PAGE_SIZE,
            length: u32::try_from(n_pages * PAGE_SIZE).ok()?,
        })
    }

    fn about_memory(&mut self, kind: Kind) -> Option<Action> {
        let memories = self.slots(|object| matches!(object, Object::Memory(_)));
        if matches!(kind, Kind::FreeMemory) {
            let memory = self.random.pick(&memories)?;
            return Some(Action::FreeMemory { memory });
        }
        if memories.len() >= MOST_MEMORIES {
            return None;
        }
        Some(Action::AllocateMemory {
            slot: self.free_slot(),
            is_contiguous: self.random.chance(2, 3),
            pages: 1 + self.random.below(8),
        })
    }

    fn about_mdls(&mut self, kind: Kind) -> Option<Action> {
        let is_full = self.slots(|object| matches!(object, Object::Mdl(_))).len() >= MOST_MDLS;
        match kind {
            Kind::AllocateMdl | Kind::AllocatePages | Kind::BuildPartial if is_full => None,
            Kind::AllocateMdl => self.new_mdl(),
            Kind::AllocatePages => Some(Action::AllocatePages {
                slot: self.free_slot(),
                pages: 1 + self.random.below(16),
                is_contiguous: self.random.chance(1, 2),
            }),
            Kind::BuildPartial => {
                let source = self.mdl()?;
                let len = self.model.mdl(source)?.0.len;
                let (offset, length_bytes) = self.whole_pages(len)?;
                Some(Action::BuildPartial {
                    slot: self.free_slot(),
                    source,
                    offset,
                    length_bytes,
                })
            }
            _ => {
                let mdl = self.mdl()?;
                Some(match kind {
                    Kind::BuildNonpaged => Action::BuildNonpaged { mdl },
                    Kind::Lock => Action::Lock { mdl },
                    Kind::Unlock => Action::Unlock { mdl },
                    Kind::Map => Action::Map { mdl },
                    Kind::Unmap => Action::Unmap { mdl },
                    Kind::FreeMdl => Action::FreeMdl { mdl },
                    Kind::FreePages => Action::FreePages { mdl },
                    Kind::Chain => Action::Chain {
                        mdl,
                        next: if self.random.chance(1, 3) {
                            None
                        } else {
                            Some(self.mdl()?)
                        },
                    },
                    _ => Action::QueryMdl { mdl },
                })
            }
        }
    }

    fn new_mdl(&mut self) -> Option<Action> {
        let memories = self.slots(|object| matches!(object, Object::Memory(_)));
        let memory = self.random.pick(&memories)?;
        let len = self.model.memory(memory)?.len;
        let (offset, length_bytes) = match self.random.below(6) {
            0 => self.any_range(len)?,
            1 | 2 => self.whole_pages(len)?,
            // It starts a page and does not end with one.
            3 if self.random.chance(1, 2) => (0, len - 1 - self.random.below(PAGE_SIZE - 1)),
            _ => (0, len),
        };
        Some(Action::AllocateMdl {
            slot: self.free_slot(),
            memory,
            offset,
            length_bytes,
        })
    }

    fn about_content(&mut self, kind: Kind) -> Option<Action> {
        let pick = u32::try_from(self.random.below(1 << 16)).ok()?;
        match kind {
            Kind::Fill => {
                let object = self.viewed()?;
                let (_, _, len) = self.model.view(object)?;
                let (offset, length_bytes) = self.any_range(len)?;
                Some(Action::Fill {
                    object,
                    offset,
                    length_bytes,
                    seed: self.random.next(),
                })
            }
            Kind::Check => Some(Action::Check {
                object: self.viewed()?,
                pick,
            }),
            _ => {
                let (buffer, way) = (self.buffer()?, self.way()?);
                Some(match kind {
                    Kind::DeviceWrite => {
                        let len = self.model.buffer(buffer)?.len;
                        let (offset, length_bytes) = self.any_range(len)?;
                        Action::DeviceWrite {
                            buffer,
                            offset,
                            length_bytes,
                            seed: self.random.next(),
                            way,
                        }
                    }
                    Kind::DeviceVerify => Action::DeviceVerify { buffer, pick, way },
                    _ => Action::DeviceCrc { buffer, pick, way },
                })
            }
        }
    }

    fn about_rings(&mut self, kind: Kind) -> Option<Action> {
        let rings = self.slots(|object| matches!(object, Object::Ring(_)));
        if matches!(kind, Kind::CloseRing) {
            let ring = self.random.pick(&rings)?;
            return Some(Action::CloseRing { ring });
        }
        if rings.len() >= MOST_RINGS {
            return None;
        }
        Some(Action::OpenRing {
            slot: self.free_slot(),
            adapter: self.adapter()?,
            channel: self.random.pick(RING_CHANNELS)?,
            entries: self.random.pick(&[2, 4, 8, 64, 128])?,
        })
    }

    fn way(&mut self) -> Option<Way> {
        let is_by_ring = self.random.chance(1, 3);
        let channels = if is_by_ring {
            RING_CHANNELS
        } else {
            REGISTER_CHANNELS
        };
        let is_by_interrupt = self.random.chance(1, 3);
        Some(Way {
            mode: match (is_by_ring, is_by_interrupt) {
                (false, false) => TransferMode::RegisterPoll,
                (false, true) => TransferMode::RegisterInterrupt,
                (true, false) => TransferMode::RingPoll,
                (true, true) => TransferMode::RingInterrupt,
            },
            channel: self.random.pick(channels)?,
            by_message: self.random.chance(1, 3),
        })
    }

    /// A range of whole pages.
    fn whole_pages(&mut self, len: u64) -> Option<(u64, u64)> {
        let pages = (len / PAGE_SIZE).max(1);
        let first = self.random.below(pages);
        let n_pages = 1 + self.random.below(pages - first);
        Some((first * PAGE_SIZE, n_pages * PAGE_SIZE))
    }

    /// A range of bytes; most are short, so that many fit.
    fn any_range(&mut self, len: u64) -> Option<(u64, u64)> {
        let most = match self.random.below(8) {
            0 => len,
            1 | 2 => len.min(PAGE_SIZE),
            _ => len.min(512),
        };
        let length_bytes = 1 + self.random.below(most.max(1));
        let offset = self.random.below(len.checked_sub(length_bytes)? + 1);
        Some((offset, length_bytes))
    }

    fn slots(&self, wanted: impl Fn(&Object) -> bool) -> Vec<u32> {
        self.model
            .objects()
            .filter(|(_, object)| wanted(object))
            .map(|(slot, _)| slot)
            .collect()
    }

    fn n_buffers(&self) -> usize {
        self.slots(|object| matches!(object, Object::Buffer(_)))
            .len()
    }

    fn adapter(&mut self) -> Option<u32> {
        self.pick_or_any(|object| matches!(object, Object::Adapter(_)))
    }

    /// An adapter, mostly of version 3, whose table has all the members.
    fn new_adapter(&mut self) -> Option<u32> {
        if self.random.chance(1, 8) {
            return self.adapter();
        }
        self.pick_or_any(
            |object| matches!(object, Object::Adapter(adapter) if adapter.version == 3),
        )
    }

    /// An MDL, mostly one that may make a common buffer.
    fn ready_mdl(&mut self) -> Option<u32> {
        if self.random.chance(1, 4) {
            return self.mdl();
        }
        self.pick_or_any(
            |object| matches!(object, Object::Mdl(mdl) if mdl.has_pages() && mdl.has_address()),
        )
    }

    fn buffer(&mut self) -> Option<u32> {
        self.pick_or_any(|object| matches!(object, Object::Buffer(_)))
    }

    fn mdl(&mut self) -> Option<u32> {
        self.pick_or_any(|object| matches!(object, Object::Mdl(_)))
    }

    fn viewed(&mut self) -> Option<u32> {
        self.pick_or_any(|object| {
            matches!(
                object,
                Object::Buffer(_) | Object::Memory(_) | Object::Mdl(_)
            )
        })
    }

    /// A slot with such an object; now and then any slot.
    fn pick_or_any(&mut self, wanted: impl Fn(&Object) -> bool) -> Option<u32> {
        if self.random.chance(1, 60) {
            return u32::try_from(self.random.below(SLOTS.into())).ok();
        }
        let slots = self.slots(wanted);
        self.random.pick(&slots)
    }

    /// An empty slot; now and then any slot.
    fn free_slot(&mut self) -> u32 {
        let any = u32::try_from(self.random.below(SLOTS.into())).unwrap_or(0);
        if self.random.chance(1, 60) {
            return any;
        }
        (any..SLOTS)
            .chain(0..any)
            .find(|slot| self.model.objects().all(|(taken, _)| taken != *slot))
            .unwrap_or(any)
    }
}
