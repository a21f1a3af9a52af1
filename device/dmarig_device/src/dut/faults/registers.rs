//! Faults of accesses to configuration space and BARs.

use std::borrow::Cow;

use fault_injection::{Decision, Effect, Facts, Point};
use vfio_user::RegionIndex;

use super::Timed;
use crate::dut::Dut;

/// Offset of the capabilities pointer in configuration space.
const CAPABILITIES_POINTER: u64 = 0x34;
/// Capabilities of a list at most: it lies in 192 bytes, and each takes 4.
const MAX_CAPABILITIES: usize = 48;

impl Dut {
    /// Changes what a read has brought, if a rule says so.
    pub(in crate::dut) fn strike_read(
        &mut self,
        region: RegionIndex,
        offset: u64,
        data: &mut [u8],
    ) {
        let point = match region.bar() {
            Some(_) => Point::MmioRead,
            None => Point::ConfigRead,
        };
        if !self.faults.injector.is_armed(point) {
            return;
        }
        let facts = region_facts(point, region, offset).with_value(data);
        let Some(decision) = self.decide(&facts) else {
            return;
        };
        match decision.effect {
            Effect::AllOnes => data.fill(0xff),
            Effect::Set { value } => {
                let bytes = self.struck_bytes(&decision, offset, data);
                for (byte, new) in bytes.iter_mut().zip(value.to_le_bytes()) {
                    *byte = new;
                }
            }
            Effect::Stuck { zeros, ones } => {
                let bytes = self.struck_bytes(&decision, offset, data);
                let masks = zeros.to_le_bytes().into_iter().zip(ones.to_le_bytes());
                for (byte, (zeros, ones)) in bytes.iter_mut().zip(masks) {
                    *byte = *byte & !zeros | ones;
                }
            }
            Effect::FlipBit { bit } => {
                flip(self.struck_bytes(&decision, offset, data), bit);
            }
            Effect::BreakCapabilityChain { next } => self.break_chain(next, offset, data),
            Effect::LinkDown { microseconds } => {
                self.lose_link(Some(microseconds));
                data.fill(0xff);
            }
            Effect::SurpriseRemoval => {
                self.lose_link(None);
                data.fill(0xff);
            }
            other => self.strike_in_passing(other),
        }
    }

    /// What becomes of a write: the bytes that arrive, or `None` if it does not arrive now.
    pub(in crate::dut) fn strike_write<'d>(
        &mut self,
        region: RegionIndex,
        offset: u64,
        data: &'d [u8],
    ) -> Option<Cow<'d, [u8]>> {
        if self.faults.injector.is_idle() {
            return Some(Cow::Borrowed(data));
        }
        let bar = self.front.endpoint_bar(region, offset);
        let channel = bar.and_then(|bar| self.endpoint.doorbell(bar, offset, data.len()));
        let point = match (region.bar(), channel) {
            (Some(_), Some(_)) => Point::Doorbell,
            (Some(_), None) => Point::MmioWrite,
            (None, _) => Point::ConfigWrite,
        };
        if !self.faults.injector.is_armed(point) {
            return Some(Cow::Borrowed(data));
        }
        let facts = Facts {
            channel: channel.map(endpoint::ChannelId::number),
            ..region_facts(point, region, offset).with_value(data)
        };
        let Some(decision) = self.decide(&facts) else {
            return Some(Cow::Borrowed(data));
        };
        match decision.effect {
            Effect::Drop => return None,
            Effect::FlipBit { bit } => {
                let mut data = data.to_vec();
                flip(&mut data, bit);
                return Some(Cow::Owned(data));
            }
            Effect::Duplicate => {
                self.make_write(region, offset, data).ok();
            }
            Effect::Delay { microseconds } if point == Point::Doorbell => {
                let doorbell = Timed::Doorbell {
                    channel: channel?,
                    bar: bar?,
                    offset,
                    data: data.to_vec(),
                };
                let tick = self.later(microseconds);
                self.faults.at(tick, doorbell);
                return None;
            }
            Effect::LinkDown { microseconds } => {
                self.lose_link(Some(microseconds));
                return None;
            }
            Effect::SurpriseRemoval => {
                self.lose_link(None);
                return None;
            }
            other => self.strike_in_passing(other),
        }
        Some(Cow::Borrowed(data))
    }

    /// What leaves the access as it is: an answer that comes late, an interrupt beside it.
    fn strike_in_passing(&mut self, effect: Effect) {
        match effect {
            // QEMU waits for the answer; meanwhile everything else of this device waits, too.
            Effect::Delay { microseconds } => {
                self.faults.hold_until = Some(self.later(microseconds));
            }
            Effect::SpuriousInterrupt { vector } => self.signal(vector),
            _ => {}
        }
    }

    /// Where in the bytes of a read a rule strikes: at the first offset that it matches, else at their
    /// begin. QEMU reads configuration space whole.
    fn struck_bytes<'d>(
        &self,
        decision: &Decision,
        offset: u64,
        data: &'d mut [u8],
    ) -> &'d mut [u8] {
        let rule = &self.faults.injector.plan().rules[decision.rule];
        let first = rule.condition.offset.map_or(offset, |pattern| pattern.min);
        let skipped = usize::try_from(first.saturating_sub(offset)).unwrap_or(0);
        if skipped < data.len() {
            &mut data[skipped..]
        } else {
            data
        }
    }

    /// Sets every next pointer among the bytes of a read of configuration space.
    fn break_chain(&mut self, next: u8, offset: u64, data: &mut [u8]) {
        let mut place = CAPABILITIES_POINTER;
        for _ in 0..MAX_CAPABILITIES {
            let mut pointer = [0];
            self.front
                .read_region(RegionIndex::CONFIG, place, &mut pointer)
                .ok();
            if pointer[0] < 0x40 {
                return;
            }
            place = u64::from(pointer[0]) + 1;
            let inside = place.checked_sub(offset);
            let inside = inside.and_then(|inside| usize::try_from(inside).ok());
            if let Some(byte) = inside.and_then(|inside| data.get_mut(inside)) {
                *byte = next;
            }
        }
    }
}

fn region_facts(point: Point, region: RegionIndex, offset: u64) -> Facts {
    Facts {
        bar: region.bar(),
        offset: Some(offset),
        ..Facts::at(point)
    }
}

/// Flips a bit, counted from the lowest of the first byte, modulo the length.
fn flip(data: &mut [u8], bit: u32) {
    let byte = usize::try_from(bit / 8).unwrap_or(0);
    if let Some(byte) = byte
        .checked_rem(data.len())
        .and_then(|byte| data.get_mut(byte))
    {
        *byte ^= 1 << (bit % 8);
    }
}
