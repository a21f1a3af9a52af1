//! The target that programs the remapping unit by its registers, as a hostile driver does.

use std::num::NonZeroU32;

use arbitrary::{Arbitrary, Unstructured};
use dmarig_abi::{GuestPhysAddr, Iova, RequesterId};
use iommu::Access;
use iommu::vtd::{InvalidationMode, RegisterFile, RemappingUnit, UnitConfig};

use crate::script::Value;
use crate::vtd::{CACHE_ENTRIES, Words};

/// Operations of one input.
const MAX_OPS: usize = 128;
/// Registers that take commands: global command, root table, context command, invalidate address, IOTLB command,
/// fault status.
const COMMANDS: [u64; 6] = [0x18, 0x20, 0x28, IOTLB - 8, IOTLB, 0x34];
const CONTEXT: u64 = 0x28;
/// Behind the invalidate address register, which lies where the extended capabilities say.
const IOTLB: u64 = 0xf8;
/// Global invalidation with the busy bit, of the context cache and of the IOTLB.
const ALL_CONTEXTS: u64 = 1 << 63 | 1 << 61;
const ALL_TRANSLATIONS: u64 = 1 << 63 | 1 << 60;
/// Reads until a deferred command has taken effect: one for each that can be pending, and one.
const MAX_POLLS: usize = 1 << 12;

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Op {
    /// An entry of a table: to another page of them, or anything.
    Link {
        page: u8,
        index: u8,
        to: u8,
        low: u16,
    },
    Entry {
        page: u8,
        index: u16,
        value: u64,
    },
    /// Any access of a register, of any size.
    Write {
        offset: Value,
        size: u8,
        value: Value,
    },
    Read {
        offset: Value,
        size: u8,
    },
    /// A whole register that takes commands.
    Command {
        which: u8,
        value: Value,
        is_busy: bool,
    },
    Translate {
        requester: u16,
        iova: u64,
        length: u32,
        is_write: bool,
    },
}

/// Registers, tables and accesses in any order. Once all was invalidated by the registers, the answer is that of the
/// tables.
pub fn vtd_registers(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let mode = input.arbitrary::<u8>().unwrap_or(0);
    let config = UnitConfig {
        context_entries: CACHE_ENTRIES,
        iotlb_entries: CACHE_ENTRIES,
        invalidation: match mode % 3 {
            0 => InvalidationMode::Immediate,
            1 => InvalidationMode::Deferred { ticks: None },
            _ => InvalidationMode::Deferred {
                ticks: NonZeroU32::new(3),
            },
        },
        ..UnitConfig::default()
    };
    let root = GuestPhysAddr::new(0x1000);
    let unit = RemappingUnit::try_new(config, root).expect("a setting that can be had");
    let mut registers = RegisterFile::new(unit);
    let mut memory = Words::default();
    assert_eq!(iotlb_register(&mut registers), IOTLB);
    for _ in 0..MAX_OPS {
        if input.is_empty() {
            break;
        }
        let Ok(op) = Op::arbitrary(&mut input) else {
            break;
        };
        step(op, &mut memory, &mut registers);
    }
    check_rest(&memory, registers, config);
}

/// ECAP.IRO, and the register behind that (section 11.4.3).
fn iotlb_register(registers: &mut RegisterFile) -> u64 {
    let mut bytes = [0; 8];
    registers.read(0x10, &mut bytes);
    (u64::from_le_bytes(bytes) >> 8 & 0x3ff) * 16 + 8
}

fn step(op: Op, memory: &mut Words, registers: &mut RegisterFile) {
    match op {
        Op::Link {
            page,
            index,
            to,
            low,
        } => memory.link(page, index.into(), to, low.into()),
        Op::Entry { page, index, value } => memory.put(page, index, value),
        Op::Write {
            offset,
            size,
            value,
        } => {
            let bytes = value.get().to_le_bytes();
            registers.write(offset.get(), &bytes[..usize::from(size % 9)]);
        }
        Op::Read { offset, size } => {
            let mut bytes = [0; 16];
            registers.read(offset.get(), &mut bytes[..usize::from(size % 17)]);
        }
        Op::Command {
            which,
            value,
            is_busy,
        } => {
            let register = COMMANDS[usize::from(which) % COMMANDS.len()];
            let value = value.get() | u64::from(is_busy) << 63;
            registers.write(register, &value.to_le_bytes());
        }
        Op::Translate {
            requester,
            iova,
            length,
            is_write,
        } => {
            let access = if is_write {
                Access::Write
            } else {
                Access::Read
            };
            let requester = RequesterId::from_raw(requester);
            let length = u64::from(length).max(1);
            let answer =
                registers
                    .unit_mut()
                    .translate(memory, requester, Iova::new(iova), length, access);
            if let Ok(segment) = answer {
                assert!(
                    segment.len_bytes >= 1 && segment.len_bytes <= length,
                    "{segment:?}"
                );
            }
        }
    }
}

/// A driver that invalidates everything, and waits as it should, is told what the tables say.
fn check_rest(memory: &Words, mut registers: RegisterFile, config: UnitConfig) {
    for (register, order) in [(CONTEXT, ALL_CONTEXTS), (IOTLB, ALL_TRANSLATIONS)] {
        wait(&mut registers, register);
        registers.write(register, &order.to_le_bytes());
        wait(&mut registers, register);
    }
    assert_eq!(registers.unit().n_pending(), 0, "nobody is busy");
    let root = registers.unit().root_table();
    let plain = RemappingUnit::try_new(config, root).expect("a setting that can be had");
    for number in 0..64_u16 {
        let requester = RequesterId::from_raw(number % 16);
        let iova = Iova::new(u64::from(number / 4) << 12);
        let seen = registers
            .unit()
            .peek(memory, requester, iova, 1, Access::Read);
        let by_tables = plain.peek(memory, requester, iova, 1, Access::Read);
        assert_eq!(
            seen, by_tables,
            "{iova} by {requester} after all was invalidated"
        );
    }
}

fn wait(registers: &mut RegisterFile, register: u64) {
    for _ in 0..MAX_POLLS {
        let mut bytes = [0; 8];
        registers.read(register, &mut bytes);
        if u64::from_le_bytes(bytes) >> 63 == 0 {
            return;
        }
    }
    panic!("the register at {register:#x} stays busy");
}
