//! [`Layout`]: the description with numbers in place of names.

use std::collections::BTreeMap;

use board::ChannelId;
use device_file::{
    Action, DeviceDescription, Effects, Raise, Register, RegisterBits, TransferDirection, When,
};

/// Number of a register: its place in the file.
pub(crate) type RegisterIndex = usize;

/// Effects by register numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct ResolvedEffects {
    pub clear: Vec<(RegisterIndex, u64)>,
    pub set: Vec<(RegisterIndex, u64)>,
    pub interrupt: Option<ResolvedRaise>,
}

/// An interrupt by register numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ResolvedRaise {
    pub vector: u16,
    pub cause: RegisterIndex,
    pub bits: u64,
    pub enable: Option<RegisterIndex>,
}

/// A transfer by register numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ResolvedDma {
    pub direction: TransferDirection,
    pub address: Wide,
    pub length: RegisterIndex,
    pub length_unit: u64,
    pub channel: ChannelId,
    pub crc: Option<RegisterIndex>,
    pub moved: Option<RegisterIndex>,
}

/// A value in one register, or in two of 32 bits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wide {
    pub low: RegisterIndex,
    pub high: Option<RegisterIndex>,
}

/// An action by register numbers.
#[derive(Clone, Debug)]
pub(crate) struct ResolvedAction {
    pub when: Option<When>,
    pub start: ResolvedEffects,
    pub after_us: u32,
    pub dma: Option<ResolvedDma>,
    pub done: ResolvedEffects,
    pub failed: ResolvedEffects,
}

/// The whole description by numbers.
#[derive(Debug)]
pub(crate) struct Layout {
    pub registers: Vec<Register>,
    /// Where each register begins.
    places: BTreeMap<(u8, u64), RegisterIndex>,
    pub actions: Vec<ResolvedAction>,
    /// The actions of each register.
    actions_of: Vec<Vec<usize>>,
    /// All interrupts that there are.
    pub raises: Vec<ResolvedRaise>,
}

impl Layout {
    /// # Panics
    /// If the description was not checked.
    pub(crate) fn new(description: &DeviceDescription) -> Self {
        let registers = description.registers.clone();
        let names = Names::new(&registers);
        let places = registers.iter().enumerate();
        let places = places.map(|(index, register)| ((register.bar, register.offset), index));
        let mut actions_of = vec![Vec::new(); registers.len()];
        for (index, action) in description.actions.iter().enumerate() {
            actions_of[names.index(&action.on_write)].push(index);
        }
        let actions = description.actions.iter();
        let actions: Vec<_> = actions.map(|action| names.action(action)).collect();
        let rings = description.rings.iter().flat_map(|ring| {
            let failed = ring.failed.iter();
            std::iter::once(&ring.done).chain(failed)
        });
        let effects = actions
            .iter()
            .flat_map(|action| [&action.start, &action.done, &action.failed])
            .filter_map(|effects| effects.interrupt);
        let mut raises: Vec<_> = effects.collect();
        raises.extend(rings.filter_map(|effects| names.effects(effects).interrupt));
        raises.sort_by_key(|raise| (raise.cause, raise.bits, raise.vector, raise.enable));
        raises.dedup();
        Self {
            places: places.collect(),
            registers,
            actions,
            actions_of,
            raises,
        }
    }

    /// The registers that have bytes in a range, in ascending order.
    pub(crate) fn within(
        &self,
        bar: u8,
        offset: u64,
        len: usize,
    ) -> impl Iterator<Item = RegisterIndex> {
        let end = offset.saturating_add(len as u64);
        // No register is wider than 8 bytes.
        let from = (bar, offset.saturating_sub(7));
        let found = self.places.range(from..(bar, end));
        found
            .map(|(_, index)| *index)
            .filter(move |index| self.end_of(*index) > offset)
    }

    pub(crate) fn actions_of(&self, register: RegisterIndex) -> &[usize] {
        self.actions_of.get(register).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn register(&self, index: RegisterIndex) -> &Register {
        &self.registers[index]
    }

    fn end_of(&self, index: RegisterIndex) -> u64 {
        let register = self.register(index);
        register.offset.saturating_add(register.width_bytes())
    }
}

/// Finds registers by name.
#[derive(Debug)]
pub(crate) struct Names<'a>(BTreeMap<&'a str, RegisterIndex>);

impl<'a> Names<'a> {
    pub(crate) fn new(registers: &'a [Register]) -> Self {
        let registers = registers.iter().enumerate();
        Self(
            registers
                .map(|(index, register)| (register.name.as_str(), index))
                .collect(),
        )
    }

    pub(crate) fn index(&self, name: &str) -> RegisterIndex {
        *self
            .0
            .get(name)
            .expect("a checked file refers to registers that there are")
    }

    pub(crate) fn optional(&self, name: Option<&String>) -> Option<RegisterIndex> {
        name.map(|name| self.index(name))
    }

    pub(crate) fn wide(&self, low: &str, high: Option<&String>) -> Wide {
        Wide {
            low: self.index(low),
            high: self.optional(high),
        }
    }

    pub(crate) fn bits(&self, bits: &RegisterBits) -> (RegisterIndex, u64) {
        (self.index(&bits.register), bits.bits)
    }

    pub(crate) fn effects(&self, effects: &Effects) -> ResolvedEffects {
        let bits = |list: &[RegisterBits]| list.iter().map(|bits| self.bits(bits)).collect();
        ResolvedEffects {
            clear: bits(&effects.clear),
            set: bits(&effects.set),
            interrupt: effects.interrupt.as_ref().map(|raise| self.raise(raise)),
        }
    }

    fn raise(&self, raise: &Raise) -> ResolvedRaise {
        ResolvedRaise {
            vector: raise.vector,
            cause: self.index(&raise.cause),
            bits: raise.bits,
            enable: self.optional(raise.enable.as_ref()),
        }
    }

    fn action(&self, action: &Action) -> ResolvedAction {
        let done = self.effects(&action.done);
        ResolvedAction {
            when: action.when,
            start: self.effects(&action.start),
            after_us: action.after_us,
            dma: action.dma.as_ref().map(|dma| ResolvedDma {
                direction: dma.direction,
                address: self.wide(&dma.address, dma.address_high.as_ref()),
                length: self.index(&dma.length),
                length_unit: dma.length_unit.into(),
                channel: ChannelId::new(dma.channel),
                crc: self.optional(dma.crc.as_ref()),
                moved: self.optional(dma.moved.as_ref()),
            }),
            failed: action
                .failed
                .as_ref()
                .map_or_else(|| done.clone(), |failed| self.effects(failed)),
            done,
        }
    }
}
