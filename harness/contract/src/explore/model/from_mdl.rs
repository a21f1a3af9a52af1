//! CreateCommonBufferFromMdl: the rules CM-1 to CM-24 of windows-dma-ddi section 2.6.

use dmarig_abi::operation::{OUTCOME_BAD_SLOT, OUTCOME_MEMBER_MISSING};

use super::object::{Mdl, MdlSource, Model};
use super::predict::has_room;
use super::verdict::{Expect, Verdict};
use crate::bench::DOCUMENTED_FAILURES;
use crate::explore::action::{Bound, Config};
use crate::nt_status::NtStatus;
use crate::oracle::{self, PAGE_SIZE};
use crate::rig::Remapping;

const INVALID: &[NtStatus] = &[NtStatus::INVALID_PARAMETER];
/// Rules whose breach is documented as INVALID_PARAMETER, and as nothing else.
const INVALID_ALONE: &[&str] = &["CM-4", "CM-6", "CM-7", "CM-8"];
/// Rules whose status is not documented.
const STATUS_UNKNOWN: &[&str] = &["CM-16", "CM-20"];
/// Members that a chain may have before the driver takes it for endless.
const CHAIN_MAX: usize = 64;
const ACCESS_READ_ONLY: u32 = 0;
const ACCESS_WRITE_ONLY: u32 = 1;
const ACCESS_READ_WRITE: u32 = 2;
/// Logical addresses below this are within any remapping unit's reach.
const REMAPPED_END: u64 = 1 << 38;
const PLENTY_BYTES: u64 = 16 << 20;

/// The part of a chain that a buffer is to cover.
#[derive(Clone, Debug)]
pub(super) struct Covered {
    pub(super) mdl: u64,
    pub(super) root: u64,
    pub(super) start: u64,
    pub(super) len: u64,
    pub(super) can_read: bool,
    pub(super) can_write: bool,
    pub(super) bounds: (u64, u64),
    /// What the adapter's width reaches.
    reach: u64,
}

/// The configurations of one call, each kind once.
#[derive(Default)]
struct Chosen {
    limits: Option<(Bound, Bound)>,
    section: Option<(u64, u64)>,
    access: Option<u32>,
    broken: Vec<&'static str>,
}

impl Model {
    pub(super) fn predict_create(
        &self,
        slot: u32,
        adapter: u32,
        head: u32,
        configs: Option<&[Config]>,
    ) -> Verdict {
        let (Some((adapter, _)), true, Some(chain)) = (
            self.adapter(adapter),
            self.entry(slot).is_none(),
            self.chain(head),
        ) else {
            return Verdict::outcome(OUTCOME_BAD_SLOT);
        };
        if adapter.version < 3 {
            return Verdict::new("CM-23", Expect::Outcome(OUTCOME_MEMBER_MISSING));
        }
        let (covered, mut broken) = self.cover(&chain, configs, adapter.reach);
        if self.setting.remapping == Some(Remapping::Off)
            && let Some(covered) = &covered
        {
            self.add_breaches_without_remapping(covered, &mut broken);
        }
        if let Some(first) = broken.first().copied() {
            return Verdict::new(first, failure(&broken));
        }
        let Some(covered) = covered else {
            return Verdict::leave_out("nothing is covered, and no rule is broken");
        };
        let rule = rule_of_success(&chain, configs, &covered);
        let verdict = self.by_mode(&covered, configs, rule);
        if verdict.may_succeed() && self.is_under_a_buffer(&covered) {
            return Verdict::leave_out("two common buffers over the same pages are not documented");
        }
        // The page names three sources of MDLs, and says nothing of members of a chain that are not used.
        let is_named = chain.iter().all(|(mdl, id)| {
            let is_partial = matches!(mdl.source, MdlSource::Partial(_));
            let is_used = *id == covered.mdl;
            !(is_used && is_partial) && (is_used || (mdl.has_pages() && mdl.has_address()))
        });
        match verdict.expect {
            Expect::Success if !is_named => Verdict::new(rule, Expect::SuccessOrFailure),
            _ => verdict,
        }
    }

    /// What a buffer over this chain covers, once all rules are kept.
    pub(super) fn covered(
        &self,
        adapter: u32,
        head: u32,
        configs: Option<&[Config]>,
    ) -> Option<Covered> {
        let (adapter, _) = self.adapter(adapter)?;
        self.cover(&self.chain(head)?, configs, adapter.reach).0
    }

    /// The members of a chain, head first; `None` where one is gone or it does not end.
    fn chain(&self, head: u32) -> Option<Vec<(&Mdl, u64)>> {
        let mut chain = vec![self.mdl(head)?];
        while let Some((slot, id)) = chain.last()?.0.next {
            let member = self.mdl(slot).filter(|(_, found)| *found == id)?;
            chain.push(member);
            if chain.len() > CHAIN_MAX {
                return None;
            }
        }
        Some(chain)
    }

    fn cover(
        &self,
        chain: &[(&Mdl, u64)],
        configs: Option<&[Config]>,
        reach: u64,
    ) -> (Option<Covered>, Vec<&'static str>) {
        let chosen = choose(configs.unwrap_or_default());
        let mut broken = chosen.broken;
        let part = match chosen.section {
            None => whole(chain, &mut broken),
            Some(section) => section_of(chain, section, &mut broken),
        };
        let Some((mdl, id, offset, len)) = part else {
            return (None, broken);
        };
        let start = mdl.start + offset;
        if !mdl.has_pages() {
            broken.push("CM-5");
        }
        if !mdl.has_address() {
            broken.push("CM-4");
        }
        let limits = chosen
            .limits
            .map_or(Some((0, u64::MAX)), |(minimum, maximum)| {
                let first = self
                    .frames(mdl.root, start, 1)
                    .and_then(|frames| frames.first().copied());
                Some((resolve(minimum, first)?, resolve(maximum, first)?))
            });
        let bounds = limits.map_or((0, reach), |(minimum, maximum)| {
            (minimum, maximum.min(reach))
        });
        if !has_room(bounds, len.max(1)) {
            broken.push("CM-16");
        }
        let access = chosen.access.unwrap_or(ACCESS_READ_WRITE);
        let covered = Covered {
            mdl: id,
            root: mdl.root,
            start,
            len,
            can_read: access != ACCESS_WRITE_ONLY,
            can_write: access != ACCESS_READ_ONLY,
            bounds,
            reach,
        };
        (Some(covered), broken)
    }

    fn by_mode(
        &self,
        covered: &Covered,
        configs: Option<&[Config]>,
        rule: &'static str,
    ) -> Verdict {
        let is_symbolic = configs.unwrap_or_default().iter().any(|config| {
            matches!(config, Config::Limits { minimum, maximum }
                if matches!(minimum, Bound::Physical(_)) || matches!(maximum, Bound::Physical(_)))
        });
        match self.setting.remapping {
            None => Verdict::new(rule, Expect::Unclear),
            Some(Remapping::Off) => {
                let frames = self.frames(covered.root, covered.start, covered.len);
                let expect = frames.map_or(Expect::Unclear, |_| Expect::Success);
                Verdict::new(rule, expect)
            }
            Some(Remapping::On) => {
                let end = covered.bounds.1.min(REMAPPED_END - 1);
                let room = end.saturating_sub(covered.bounds.0);
                if is_symbolic || room < PLENTY_BYTES - 1 {
                    return Verdict::new(rule, Expect::SuccessOrFailure);
                }
                Verdict::success(rule)
            }
        }
    }

    /// What is refused only where the IOMMU does not translate.
    fn add_breaches_without_remapping(&self, covered: &Covered, broken: &mut Vec<&'static str>) {
        if !(covered.can_read && covered.can_write) {
            broken.push("CM-18");
        }
        let Some(frames) = self.frames(covered.root, covered.start, covered.len) else {
            return;
        };
        if !oracle::is_contiguous(&frames) {
            broken.push("CM-9");
        }
        let is_above = |address: u64| frames.iter().any(|frame| frame * PAGE_SIZE > address);
        if is_above(covered.reach) {
            broken.push("CM-10");
        }
        let first = frames.first().map_or(0, |frame| frame * PAGE_SIZE);
        // The bounds end with the reach, which is no fault of the limits.
        let (minimum, maximum) = covered.bounds;
        let maximum = if maximum == covered.reach {
            u64::MAX
        } else {
            maximum
        };
        if first < minimum || first.saturating_add(covered.len.saturating_sub(1)) > maximum {
            broken.push("CM-16");
        }
    }

    fn is_under_a_buffer(&self, covered: &Covered) -> bool {
        self.buffers().any(|buffer| {
            buffer.root == covered.root
                && buffer.start < covered.start + covered.len
                && covered.start < buffer.start + buffer.len
        })
    }
}

fn choose(configs: &[Config]) -> Chosen {
    let mut chosen = Chosen::default();
    for config in configs {
        let is_second = match *config {
            Config::Limits { minimum, maximum } => {
                chosen.limits.replace((minimum, maximum)).is_some()
            }
            Config::SubSection { offset, length } => {
                chosen.section.replace((offset, length.into())).is_some()
            }
            Config::Access { raw } => {
                if raw > ACCESS_READ_WRITE {
                    chosen.broken.push("CM-20");
                }
                chosen.access.replace(raw).is_some()
            }
            Config::Unknown { .. } => {
                chosen.broken.push("CM-20");
                false
            }
        };
        if is_second {
            chosen.broken.push("CM-19");
        }
    }
    chosen
}

type Part<'a> = (&'a Mdl, u64, u64, u64);

fn whole<'a>(chain: &[(&'a Mdl, u64)], broken: &mut Vec<&'static str>) -> Option<Part<'a>> {
    let (mdl, id) = *chain.first()?;
    if chain.len() > 1 {
        broken.push("CM-8");
    }
    if mdl.start % PAGE_SIZE != 0 {
        broken.push("CM-6");
    }
    if mdl.len % PAGE_SIZE != 0 {
        broken.push("CM-7");
    }
    Some((mdl, id, 0, mdl.len))
}

fn section_of<'a>(
    chain: &[(&'a Mdl, u64)],
    (mut offset, len): (u64, u64),
    broken: &mut Vec<&'static str>,
) -> Option<Part<'a>> {
    if offset % PAGE_SIZE != 0 || len % PAGE_SIZE != 0 || len == 0 {
        broken.push("CM-14");
    }
    let is_chain = chain.len() > 1;
    for (mdl, id) in chain {
        if offset >= mdl.len {
            offset -= mdl.len;
            continue;
        }
        if len > mdl.len - offset {
            broken.push(if is_chain { "CM-13" } else { "CM-14" });
        }
        if (mdl.start + offset) % PAGE_SIZE != 0 {
            broken.push("CM-14");
        }
        return Some((mdl, *id, offset, len));
    }
    broken.push("CM-14");
    None
}

/// How a call that breaks these rules must fail.
fn failure(broken: &[&'static str]) -> Expect {
    if broken.iter().any(|rule| STATUS_UNKNOWN.contains(rule)) {
        Expect::AnyFailure
    } else if broken.iter().all(|rule| INVALID_ALONE.contains(rule)) {
        Expect::Failure(INVALID)
    } else {
        Expect::Failure(DOCUMENTED_FAILURES)
    }
}

fn rule_of_success(
    chain: &[(&Mdl, u64)],
    configs: Option<&[Config]>,
    covered: &Covered,
) -> &'static str {
    let configs = configs.unwrap_or_default();
    let has = |wanted: fn(&Config) -> bool| configs.iter().any(wanted);
    let source = chain.iter().find(|(_, id)| *id == covered.mdl);
    if has(|config| matches!(config, Config::SubSection { .. })) {
        if chain.len() > 1 { "CM-12" } else { "CM-11" }
    } else if has(|config| matches!(config, Config::Limits { .. })) {
        "CM-15"
    } else if !(covered.can_read && covered.can_write) {
        "CM-18"
    } else if has(|config| matches!(config, Config::Access { .. })) {
        "CM-17"
    } else {
        match source.map(|(mdl, _)| (mdl.source, mdl.is_locked)) {
            Some((MdlSource::Pages, _)) => "CM-3",
            Some((_, true)) => "CM-2",
            _ => "CM-1",
        }
    }
}

fn resolve(bound: Bound, first_frame: Option<u64>) -> Option<u64> {
    match bound {
        Bound::At(address) => Some(address),
        Bound::Physical(delta) => Some((first_frame? * PAGE_SIZE).saturating_add_signed(delta)),
    }
}

impl Model {
    /// The configurations with addresses in the place of names. An MDL without frames, which is refused
    /// anyway, counts as lying at 0.
    pub(in crate::explore) fn resolved(
        &self,
        head: u32,
        configs: &[Config],
    ) -> Option<Vec<crate::extended_config::ExtendedConfig>> {
        use crate::extended_config::{ExtendedConfig, HardwareAccess};
        let chain = self.chain(head)?;
        let mut ignored = Vec::new();
        let part = match choose(configs).section {
            None => whole(&chain, &mut ignored),
            Some(section) => section_of(&chain, section, &mut ignored),
        };
        let first = part.and_then(|(mdl, _, offset, _)| {
            let frames = self.frames(mdl.root, mdl.start + offset, 1)?;
            frames.first().copied()
        });
        let first = first.or(Some(0));
        configs
            .iter()
            .map(|config| {
                Some(match *config {
                    Config::Limits { minimum, maximum } => ExtendedConfig::LogicalAddressLimits {
                        minimum: resolve(minimum, first)?,
                        maximum: resolve(maximum, first)?,
                    },
                    Config::SubSection { offset, length } => {
                        ExtendedConfig::SubSection { offset, length }
                    }
                    Config::Access { raw } => {
                        ExtendedConfig::HardwareAccess(HardwareAccess::Raw(raw))
                    }
                    Config::Unknown { raw } => ExtendedConfig::UnknownType(raw),
                })
            })
            .collect()
    }
}
