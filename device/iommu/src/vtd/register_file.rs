//! [`RegisterFile`]: the registers by which software programs a unit (section 11.4).
//!
//! What is there: version, capabilities, global command and status (SRTP, TE), root table address, context
//! command, IOTLB invalidation with its address, fault status, event control and recording registers.
//! Invalidation is by registers only. What is not there reads as zero and takes no write, as the
//! capabilities say. No access can wait or loop: an invalidation touches at most every entry of a cache.
//!
//! An access is one or two aligned words of 32 bits; any other write is dropped, any other read gives the
//! bytes that lie there. A write of 64 bits is one of the lower word and then one of the upper.

use dmarig_abi::GuestPhysAddr;

use super::command::{ContextCommand, IotlbCommand};
use super::invalidation::{Invalidation, InvalidationMode};
use super::register_layout::{self as at, SET_ROOT_TABLE, TRANSLATION_ENABLE, set_half};
use super::unit::RemappingUnit;

/// Bytes of a word.
const WORD: u64 = 4;
/// RTADDR: the address. The mode's bits are 00, legacy, as there is no other.
const ROOT_ADDRESS: u64 = !0xfff;
/// FSTS.PFO: a fault was lost.
const FAULT_OVERFLOW: u32 = 1;
/// FSTS.PPF: a record is pending.
const FAULT_PENDING: u32 = 1 << 1;
/// FECTL.IM: the fault event is masked. It always is: the unit has no way to send one.
const EVENT_MASKED: u32 = 1 << 31;
/// FECTL.IP: an event waits.
const EVENT_PENDING: u32 = 1 << 30;
/// Uppermost word of a fault recording register: F, which frees it when written.
const FAULT_VALID: u32 = 1 << 31;

/// What a write has set off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegisterEffect {
    /// Requests are translated from now on, by the root table there.
    Enabled(GuestPhysAddr),
    /// Requests pass untranslated from now on.
    Disabled,
    /// The unit has taken the root table's address.
    RootTable(GuestPhysAddr),
    /// An invalidation was ordered.
    Ordered(Invalidation),
    /// An invalidation was ordered that cannot be; it was ignored.
    OrderIgnored,
}

/// A unit with its registers; off at first.
#[derive(Debug)]
pub struct RegisterFile {
    unit: RemappingUnit,
    is_enabled: bool,
    is_root_set: bool,
    root_address: u64,
    context_command: u64,
    invalidate_address: u64,
    iotlb_command: u64,
    event_data: u32,
    event_address: u64,
}

impl RegisterFile {
    /// The registers of a unit, as after a reset.
    #[must_use]
    pub const fn new(unit: RemappingUnit) -> Self {
        Self {
            unit,
            is_enabled: false,
            is_root_set: false,
            root_address: 0,
            context_command: 0,
            invalidate_address: 0,
            iotlb_command: 0,
            event_data: 0,
            event_address: 0,
        }
    }

    /// The unit.
    #[must_use]
    pub const fn unit(&self) -> &RemappingUnit {
        &self.unit
    }

    /// The unit, to ask it.
    pub const fn unit_mut(&mut self) -> &mut RemappingUnit {
        &mut self.unit
    }

    /// GSTS.TES: whether requests are translated.
    #[must_use]
    pub const fn is_enabled(&self) -> bool {
        self.is_enabled
    }

    /// Takes a root table and translates from now on, as SRTP and TE do.
    pub fn enable(&mut self, root_table: GuestPhysAddr) {
        self.root_address = root_table.raw() & ROOT_ADDRESS;
        self.set_root_table();
        self.is_enabled = true;
    }

    /// Reads registers. To look at a command that has not taken effect yet is a tick of deferred
    /// invalidation; where there is no tick, it is the wait.
    pub fn read(&mut self, offset: u64, data: &mut [u8]) {
        let mut done = 0;
        while done < data.len() {
            let here = offset.saturating_add(done as u64);
            let word = self.read_word(here & !(WORD - 1)).to_le_bytes();
            let start = usize::try_from(here % WORD).unwrap_or(0);
            let n = (word.len() - start).min(data.len() - done);
            data[done..done + n].copy_from_slice(&word[start..start + n]);
            done += n;
        }
    }

    /// Writes registers; tells what that set off.
    pub fn write(&mut self, offset: u64, data: &[u8]) -> Vec<RegisterEffect> {
        let mut effects = Vec::new();
        let (words, rest) = data.as_chunks::<4>();
        if !offset.is_multiple_of(WORD) || !rest.is_empty() || words.len() > 2 {
            return effects;
        }
        for (offset, word) in (offset..).step_by(4).zip(words) {
            self.write_word(offset, u32::from_le_bytes(*word), &mut effects);
        }
        effects
    }

    fn read_word(&mut self, offset: u64) -> u32 {
        self.settle();
        let config = self.unit.config();
        let register = offset & !7;
        let value = match register {
            at::VERSION => at::VERSION_1_0,
            at::CAPABILITIES => at::capabilities(config),
            at::EXTENDED_CAPABILITIES => at::extended_capabilities(config),
            at::ROOT_ADDRESS => self.root_address,
            at::CONTEXT_COMMAND => self.context_command,
            at::INVALIDATE_ADDRESS => self.invalidate_address,
            at::IOTLB_COMMAND => self.iotlb_command,
            at::EVENT_ADDRESS => self.event_address,
            _ => return self.read_single_word(offset),
        };
        let is_command = matches!(register, at::CONTEXT_COMMAND | at::IOTLB_COMMAND);
        if is_command && offset != register {
            self.poll();
        }
        let half = if offset == register { 0 } else { 32 };
        u32::try_from(value >> half & 0xffff_ffff).unwrap_or(0)
    }

    fn read_single_word(&self, offset: u64) -> u32 {
        match offset {
            at::GLOBAL_STATUS => {
                let enabled = if self.is_enabled {
                    TRANSLATION_ENABLE
                } else {
                    0
                };
                let root = if self.is_root_set { SET_ROOT_TABLE } else { 0 };
                enabled | root
            }
            at::FAULT_STATUS => self.fault_status(),
            at::EVENT_CONTROL if self.fault_status() != 0 => EVENT_MASKED | EVENT_PENDING,
            at::EVENT_CONTROL => EVENT_MASKED,
            at::EVENT_DATA => self.event_data,
            _ => self.fault_word(offset),
        }
    }

    fn fault_status(&self) -> u32 {
        let first = self.unit.first_fault_register();
        let index = first.and_then(|first| u32::try_from(first).ok());
        let pending = index.map_or(0, |index| FAULT_PENDING | index << 8);
        let overflow = if self.unit.has_overflowed() {
            FAULT_OVERFLOW
        } else {
            0
        };
        pending | overflow
    }

    fn fault_word(&self, offset: u64) -> u32 {
        let Some((index, in_record)) = at::fault_record(offset) else {
            return 0;
        };
        let record = self.unit.fault_register(index);
        let words = record.map_or([0; 2], super::FaultRecord::to_words);
        let word = words[usize::from(in_record >= 8)] >> (in_record % 8 * 8);
        u32::try_from(word & 0xffff_ffff).unwrap_or(0)
    }

    fn write_word(&mut self, offset: u64, word: u32, effects: &mut Vec<RegisterEffect>) {
        self.settle();
        let is_busy = |command: u64| command & at::COMMAND_BUSY != 0;
        match offset & !7 {
            at::ROOT_ADDRESS => {
                set_half(&mut self.root_address, offset, word);
                self.root_address &= ROOT_ADDRESS;
            }
            at::EVENT_ADDRESS => {
                set_half(&mut self.event_address, offset, word);
                self.event_address &= !3;
            }
            at::INVALIDATE_ADDRESS => set_half(&mut self.invalidate_address, offset, word),
            at::CONTEXT_COMMAND if !is_busy(self.context_command) => {
                set_half(&mut self.context_command, offset, word);
                self.order_context(effects);
            }
            at::IOTLB_COMMAND if !is_busy(self.iotlb_command) => {
                set_half(&mut self.iotlb_command, offset, word);
                self.order_iotlb(effects);
            }
            _ => self.write_single_word(offset, word, effects),
        }
    }

    fn write_single_word(&mut self, offset: u64, word: u32, effects: &mut Vec<RegisterEffect>) {
        match offset {
            at::GLOBAL_COMMAND => self.command(word, effects),
            at::FAULT_STATUS if word & FAULT_OVERFLOW != 0 => self.unit.clear_overflow(),
            at::EVENT_DATA => self.event_data = word,
            _ => {
                if let Some((index, 12)) = at::fault_record(offset)
                    && word & FAULT_VALID != 0
                {
                    self.unit.free_fault_register(index);
                }
            }
        }
    }

    /// SRTP acts once, TE is the state to be in (section 11.4.4.1).
    fn command(&mut self, word: u32, effects: &mut Vec<RegisterEffect>) {
        if word & SET_ROOT_TABLE != 0 {
            self.set_root_table();
            effects.push(RegisterEffect::RootTable(self.unit.root_table()));
        }
        let is_enabled = word & TRANSLATION_ENABLE != 0;
        if is_enabled != self.is_enabled {
            self.is_enabled = is_enabled;
            effects.push(if is_enabled {
                RegisterEffect::Enabled(self.unit.root_table())
            } else {
                RegisterEffect::Disabled
            });
        }
    }

    fn set_root_table(&mut self) {
        self.unit
            .set_root_table(GuestPhysAddr::new(self.root_address));
        self.is_root_set = true;
    }

    fn order_context(&mut self, effects: &mut Vec<RegisterEffect>) {
        let command = ContextCommand(self.context_command);
        if command.is_order() {
            let is_taken = self.order(command.order(), effects);
            self.context_command = command.answered(is_taken).0;
            self.settle();
        }
    }

    fn order_iotlb(&mut self, effects: &mut Vec<RegisterEffect>) {
        let command = IotlbCommand(self.iotlb_command);
        if command.is_order() {
            let is_taken = self.order(command.order(self.invalidate_address), effects);
            self.iotlb_command = command.answered(is_taken).0;
            self.settle();
        }
    }

    /// Orders an invalidation; whether it was taken.
    fn order(&mut self, order: Option<Invalidation>, effects: &mut Vec<RegisterEffect>) -> bool {
        let taken = order.filter(|order| self.unit.invalidate(*order).is_ok());
        effects.push(taken.map_or(RegisterEffect::OrderIgnored, RegisterEffect::Ordered));
        taken.is_some()
    }

    /// Software looks whether its command is done.
    fn poll(&mut self) {
        match self.unit.config().invalidation {
            InvalidationMode::Immediate => {}
            InvalidationMode::Deferred { ticks: None } => {
                self.unit.wait();
            }
            InvalidationMode::Deferred { ticks: Some(_) } => self.unit.tick(),
        }
        self.settle();
    }

    /// Clears the busy bits of what has taken effect. Orders end in the order given.
    fn settle(&mut self) {
        if self.unit.n_pending() == 0 {
            self.context_command &= !at::COMMAND_BUSY;
            self.iotlb_command &= !at::COMMAND_BUSY;
        }
    }
}
