//! Checks registers, actions and rings against each other: places, names, and what may refer to what.

use std::collections::BTreeMap;

use super::action::{Action, ActionDma, Effects, Raise, RegisterBits};
use super::register::{Register, RegisterAccess};
use super::ring::{DescriptorLayout, Ring};
use crate::key_path::KeyPath;
use crate::problem::Problems;

/// Most registers of a device.
pub const MAX_REGISTERS: usize = 4096;
/// Most actions and rings of a device.
pub const MAX_ACTIONS: usize = 1024;
/// Longest name.
const MAX_NAME: usize = 48;
/// Highest channel.
const MAX_CHANNEL: u8 = 63;
/// Widths in bits that there are.
const WIDTHS: [u8; 4] = [8, 16, 32, 64];

/// A range of a BAR: start, length, and what it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub bar: u8,
    pub start: u64,
    pub len_bytes: u64,
}

/// Everything that the checks look at.
#[derive(Debug)]
pub(crate) struct Behavior<'a> {
    pub registers: &'a [Register],
    pub actions: &'a [Action],
    pub rings: &'a [Ring],
    /// The BARs.
    pub bars: &'a [Window],
    /// Where QEMU keeps the vector table and the pending bits.
    pub reserved: &'a [Window],
    /// BARs that are memory of their own.
    pub mappable: &'a [u8],
    /// Vectors of the kind that has most.
    pub vector_count: u16,
}

impl Behavior<'_> {
    pub(crate) fn check(&self, problems: &mut Problems) {
        let root = KeyPath::root();
        let counts = [
            ("register", self.registers.len(), MAX_REGISTERS),
            ("action", self.actions.len(), MAX_ACTIONS),
            ("ring", self.rings.len(), MAX_ACTIONS),
        ];
        for (key, count, max) in counts {
            if count > max {
                problems.note(
                    &root.key(key),
                    format!("is there {count} times"),
                    format!("at most {max}"),
                );
                return;
            }
        }
        let mut names = BTreeMap::new();
        for (index, register) in self.registers.iter().enumerate() {
            let at = root.key("register").item(index);
            self.check_register(register, &at, problems);
            if names.insert(register.name.as_str(), index).is_some() {
                let what = format!("is {:?}, as another register's is", register.name);
                problems.note(
                    &at.key("name"),
                    what,
                    "each register needs a name of its own",
                );
            }
        }
        self.check_overlaps(problems);
        let references = References {
            registers: self.registers,
            names,
            vector_count: self.vector_count,
        };
        for (index, action) in self.actions.iter().enumerate() {
            references.check_action(action, &root.key("action").item(index), problems);
        }
        let mut channels = BTreeMap::new();
        for (index, ring) in self.rings.iter().enumerate() {
            let at = root.key("ring").item(index);
            references.check_ring(ring, &at, problems);
            let is_taken = channels.insert(ring.channel, ()).is_some()
                || self
                    .actions
                    .iter()
                    .flat_map(|action| &action.dma)
                    .any(|dma| dma.channel == ring.channel);
            if is_taken {
                let what = format!("is {}, which another ring or action has", ring.channel);
                problems.note(
                    &at.key("channel"),
                    what,
                    "give each ring a channel of its own",
                );
            }
        }
    }

    fn check_register(&self, register: &Register, at: &KeyPath, problems: &mut Problems) {
        check_name(&register.name, &at.key("name"), problems);
        if !WIDTHS.contains(&register.width) {
            let what = format!("is {}", register.width);
            problems.note(&at.key("width"), what, "8, 16, 32 or 64 bits");
            return;
        }
        if !register.offset.is_multiple_of(register.width_bytes()) {
            let what = format!("is {:#x}, no multiple of the width", register.offset);
            problems.note(
                &at.key("offset"),
                what,
                "registers are aligned to their width",
            );
        }
        self.check_place(register, at, problems);
        let outside = |value: u64| value & !register.all_bits() != 0;
        if outside(register.reset) {
            problems.note(
                &at.key("reset"),
                format!("is {:#x}", register.reset),
                format!("the register has {} bits", register.width),
            );
        }
        let alone = [
            (
                "write_mask",
                register.write_mask.is_some(),
                RegisterAccess::Rw,
                "rw",
            ),
            (
                "clear_after_us",
                register.clear_after_us != 0,
                RegisterAccess::SelfClearing,
                "self-clearing",
            ),
            (
                "counts",
                register.counts.is_some(),
                RegisterAccess::Counter,
                "counter",
            ),
        ];
        for (key, is_given, access, name) in alone {
            if is_given && register.access != access {
                problems.note(
                    &at.key(key),
                    "means nothing here",
                    format!("it belongs to access = {name:?}"),
                );
            }
        }
        if register.access == RegisterAccess::Counter && register.counts.is_none() {
            problems.note(
                &at.key("counts"),
                "is missing",
                "a counter counts \"reads\", \"transfers\", \"bytes\" or \"microseconds\"",
            );
        }
        check_fields(register, at, problems);
    }

    fn check_place(&self, register: &Register, at: &KeyPath, problems: &mut Problems) {
        let Some(bar) = self.bars.iter().find(|bar| bar.bar == register.bar) else {
            let what = format!("is {}, and there is no such BAR", register.bar);
            problems.note(&at.key("bar"), what, "describe it in a [[bar]]");
            return;
        };
        if self.mappable.contains(&register.bar) {
            let what = format!("is {}, which is mappable", register.bar);
            problems.note(
                &at.key("bar"),
                what,
                "QEMU maps it, so no access reaches a register there; give it another BAR",
            );
        }
        let place = place(register);
        if place.end() > u128::from(bar.len_bytes) {
            let what = format!("is {:#x}, outside of BAR {}", register.offset, register.bar);
            problems.note(
                &at.key("offset"),
                what,
                format!("the BAR has {:#x} bytes", bar.len_bytes),
            );
        }
        if self
            .reserved
            .iter()
            .any(|reserved| reserved.overlaps(&place))
        {
            let what = format!(
                "is {:#x}, where the MSI-X table or its pending bits are",
                register.offset
            );
            problems.note(
                &at.key("offset"),
                what,
                "QEMU answers there; move the one or the other",
            );
        }
    }

    fn check_overlaps(&self, problems: &mut Problems) {
        let mut order: Vec<usize> = (0..self.registers.len()).collect();
        order.sort_by_key(|index| {
            let register = &self.registers[*index];
            (register.bar, register.offset, *index)
        });
        for pair in order.windows(2) {
            let [first, second] = [pair[0], pair[1]].map(|index| &self.registers[index]);
            if place(first).overlaps(&place(second)) {
                let at = KeyPath::root().key("register").item(pair[1]).key("offset");
                let what = format!("is {:#x}, which overlaps {}", second.offset, first.name);
                problems.note(&at, what, "registers may touch, not overlap");
            }
        }
    }
}

impl Window {
    pub(crate) fn end(&self) -> u128 {
        u128::from(self.start) + u128::from(self.len_bytes)
    }

    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        self.bar == other.bar
            && u128::from(self.start) < other.end()
            && u128::from(other.start) < self.end()
    }
}

fn place(register: &Register) -> Window {
    Window {
        bar: register.bar,
        start: register.offset,
        len_bytes: register.width_bytes(),
    }
}

fn check_name(name: &str, at: &KeyPath, problems: &mut Problems) {
    let is_good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(is_good) {
        let help = format!("1 to {MAX_NAME} letters, digits, _, - and .");
        problems.note(at, format!("is {name:?}"), help);
    }
}

fn check_fields(register: &Register, at: &KeyPath, problems: &mut Problems) {
    let mut taken = 0;
    for (index, field) in register.fields.iter().enumerate() {
        let at = at.key("fields").item(index);
        check_name(&field.name, &at.key("name"), problems);
        if field.mask == 0 || field.mask & !register.all_bits() != 0 {
            let what = format!("is {:#x}", field.mask);
            problems.note(
                &at.key("mask"),
                what,
                format!("1 or more of the register's {} bits", register.width),
            );
        } else if field.mask & taken != 0 {
            let what = format!("is {:#x}, which overlaps a field in front", field.mask);
            problems.note(&at.key("mask"), what, "a bit belongs to one field");
        }
        taken |= field.mask;
    }
}

/// Checks what refers to registers by name.
#[derive(Debug)]
struct References<'a> {
    registers: &'a [Register],
    names: BTreeMap<&'a str, usize>,
    vector_count: u16,
}

impl References<'_> {
    fn register(&self, name: &str, at: &KeyPath, problems: &mut Problems) -> Option<&Register> {
        let found = self
            .names
            .get(name)
            .and_then(|index| self.registers.get(*index));
        if found.is_none() {
            problems.note(
                at,
                format!("is {name:?}, and there is no such register"),
                "describe it in a [[register]]",
            );
        }
        found
    }

    /// A register that a driver can write, so that something comes of it.
    fn written(&self, name: &str, at: &KeyPath, problems: &mut Problems) {
        let register = self.register(name, at, problems);
        if register.is_some_and(|register| !register.access.is_writable()) {
            problems.note(
                at,
                format!("is {name:?}, which no driver can write"),
                "a register of access rw, wo, w1c or self-clearing",
            );
        }
    }

    /// A register that the device changes.
    fn shown(&self, name: &str, at: &KeyPath, problems: &mut Problems) {
        let register = self.register(name, at, problems);
        let is_fixed = |register: &Register| {
            matches!(
                register.access,
                RegisterAccess::Const | RegisterAccess::Counter | RegisterAccess::Wo
            )
        };
        if register.is_some_and(is_fixed) {
            problems.note(
                at,
                format!("is {name:?}, which the device cannot change"),
                "a register of access ro, rw, w1c or self-clearing",
            );
        }
    }

    fn check_bits(&self, bits: &RegisterBits, at: &KeyPath, problems: &mut Problems) {
        self.shown(&bits.register, &at.key("register"), problems);
        self.check_mask(&bits.register, bits.bits, &at.key("bits"), problems);
    }

    fn check_mask(&self, name: &str, bits: u64, at: &KeyPath, problems: &mut Problems) {
        let register = self
            .names
            .get(name)
            .and_then(|index| self.registers.get(*index));
        if register.is_some_and(|register| bits == 0 || bits & !register.all_bits() != 0) {
            problems.note(
                at,
                format!("is {bits:#x}"),
                format!("1 or more of the bits of {name}"),
            );
        }
    }

    fn check_raise(&self, raise: &Raise, at: &KeyPath, problems: &mut Problems) {
        self.shown(&raise.cause, &at.key("cause"), problems);
        self.check_mask(&raise.cause, raise.bits, &at.key("bits"), problems);
        if let Some(enable) = &raise.enable {
            self.register(enable, &at.key("enable"), problems);
        }
        if self.vector_count > 0 && raise.vector >= self.vector_count {
            problems.note(
                &at.key("vector"),
                format!("is {}", raise.vector),
                format!("the device has {} vectors, from 0", self.vector_count),
            );
        }
    }

    fn check_effects(&self, effects: &Effects, at: &KeyPath, problems: &mut Problems) {
        for (key, list) in [("clear", &effects.clear), ("set", &effects.set)] {
            for (index, bits) in list.iter().enumerate() {
                self.check_bits(bits, &at.key(key).item(index), problems);
            }
        }
        if let Some(raise) = &effects.interrupt {
            self.check_raise(raise, &at.key("interrupt"), problems);
        }
    }

    fn check_action(&self, action: &Action, at: &KeyPath, problems: &mut Problems) {
        self.written(&action.on_write, &at.key("on_write"), problems);
        if let Some(when) = action.when
            && when.value & !when.mask != 0
        {
            let what = format!("is {:#x}, and mask is {:#x}", when.value, when.mask);
            problems.note(
                &at.key("when").key("value"),
                what,
                "only bits of the mask are looked at",
            );
        }
        self.check_effects(&action.start, &at.key("start"), problems);
        self.check_effects(&action.done, &at.key("done"), problems);
        if let Some(failed) = &action.failed {
            self.check_effects(failed, &at.key("failed"), problems);
            if action.dma.is_none() {
                problems.note(
                    &at.key("failed"),
                    "means nothing without dma",
                    "leave it out",
                );
            }
        }
        if let Some(dma) = &action.dma {
            self.check_dma(dma, &at.key("dma"), problems);
        }
    }

    fn check_dma(&self, dma: &ActionDma, at: &KeyPath, problems: &mut Problems) {
        self.register(&dma.address, &at.key("address"), problems);
        if let Some(high) = &dma.address_high {
            self.register(high, &at.key("address_high"), problems);
        }
        self.register(&dma.length, &at.key("length"), problems);
        if dma.length_unit == 0 {
            problems.note(&at.key("length_unit"), "is 0", "1 or more bytes");
        }
        problems.range(&at.key("channel"), dma.channel, 0..=MAX_CHANNEL);
        for (key, name) in [("crc", &dma.crc), ("moved", &dma.moved)] {
            if let Some(name) = name {
                self.shown(name, &at.key(key), problems);
            }
        }
    }

    fn check_ring(&self, ring: &Ring, at: &KeyPath, problems: &mut Problems) {
        check_name(&ring.name, &at.key("name"), problems);
        problems.range(&at.key("channel"), ring.channel, 0..=MAX_CHANNEL);
        self.register(&ring.base, &at.key("base"), problems);
        if let Some(high) = &ring.base_high {
            self.register(high, &at.key("base_high"), problems);
        }
        self.register(&ring.size, &at.key("size"), problems);
        if let Some(head) = &ring.head {
            self.shown(head, &at.key("head"), problems);
        }
        for (key, name) in [("tail", &ring.tail), ("doorbell", &ring.doorbell)] {
            if let Some(name) = name {
                self.written(name, &at.key(key), problems);
            }
        }
        if ring.tail.is_none() && (ring.doorbell.is_none() || ring.descriptor.owner.is_none()) {
            problems.note(
                &at.key("tail"),
                "is missing",
                "give a tail, or a doorbell and descriptor.owner",
            );
        }
        if let Some(enable) = &ring.enable {
            let at = at.key("enable");
            self.written(&enable.register, &at.key("register"), problems);
            self.check_mask(&enable.register, enable.bits, &at.key("bits"), problems);
        }
        check_layout(&ring.descriptor, &at.key("descriptor"), problems);
        self.check_effects(&ring.done, &at.key("done"), problems);
        if let Some(failed) = &ring.failed {
            self.check_effects(failed, &at.key("failed"), problems);
        }
    }
}

fn check_layout(layout: &DescriptorLayout, at: &KeyPath, problems: &mut Problems) {
    problems.range(&at.key("size"), layout.size, 8..=256);
    let mut places = vec![
        ("address", layout.address.offset, layout.address.width),
        ("length", layout.length.offset, layout.length.width),
    ];
    places.extend(layout.owner.map(|flag| ("owner", flag.offset, flag.width)));
    places.extend(
        layout
            .status
            .map(|status| ("status", status.offset, status.width)),
    );
    places.extend(
        layout
            .interrupt
            .map(|flag| ("interrupt", flag.offset, flag.width)),
    );
    for (key, offset, width) in places {
        let at = at.key(key);
        if !WIDTHS.contains(&width) {
            problems.note(
                &at.key("width"),
                format!("is {width}"),
                "8, 16, 32 or 64 bits",
            );
        } else if u32::from(offset) + u32::from(width / 8) > u32::from(layout.size) {
            let what = format!("is {offset:#x}, outside of the descriptor");
            problems.note(
                &at.key("offset"),
                what,
                format!("a descriptor has {:#x} bytes", layout.size),
            );
        }
    }
}
