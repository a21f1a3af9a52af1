//! One frame: the function's entry, its unwind codes, its language handler.

use core::fmt;

use super::{Memory, read_u16, read_u32, read_u64};

const RSP: usize = 4;
const ENTRY_BYTES: u32 = 12;
const MAX_CHAIN: usize = 32;
const FLAG_EXCEPTION_HANDLER: u8 = 1;
const FLAG_TERMINATION_HANDLER: u8 = 2;
const FLAG_CHAINED: u8 = 4;

/// The registers that unwinding restores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registers {
    /// RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8 to R15, by their hardware numbers.
    pub general: [u64; 16],
    /// XMM0 to XMM15, low half first.
    pub xmm: [[u64; 2]; 16],
    /// The instruction pointer.
    pub rip: u64,
}

impl Registers {
    /// The stack pointer.
    #[must_use]
    pub fn rsp(&self) -> u64 {
        self.general[RSP]
    }
}

/// Where the function table of an image lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FunctionTable {
    /// First address of the image.
    pub image_base: u64,
    /// RVA of the table.
    pub rva: u32,
    /// Its size in bytes.
    pub len_bytes: u32,
}

/// A language handler of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handler {
    /// Address of the routine.
    pub routine: u64,
    /// Address of its data, behind the unwind codes.
    pub data: u64,
    /// It wants to see exceptions on their way up.
    pub on_exception: bool,
    /// It wants to run when its frame is left.
    pub on_unwind: bool,
}

/// What is known of a frame that has been undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The address in the function from which it was left.
    pub control_pc: u64,
    /// Address of the function's entry in the table; 0 for a leaf.
    pub function_entry: u64,
    /// The frame's fixed stack address.
    pub establisher: u64,
    /// Its handler.
    pub handler: Option<Handler>,
}

/// Why the walk cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnwindError {
    /// Table or stack memory is not there.
    Memory {
        /// What was read.
        address: u64,
    },
    /// The unwind information has an unknown form.
    Damaged {
        /// Where it lies.
        unwind_info: u64,
    },
}

impl fmt::Display for UnwindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory { address } => write!(f, "nothing to read at {address:#x}"),
            Self::Damaged { unwind_info } => {
                write!(f, "damaged unwind information at {unwind_info:#x}")
            }
        }
    }
}

/// Undoes the innermost frame of `registers`, whose code lies in the image of `table`.
///
/// # Errors
/// If the tables are damaged or the stack is not readable.
pub fn unwind_frame(
    memory: &dyn Memory,
    table: FunctionTable,
    registers: &mut Registers,
) -> Result<Frame, UnwindError> {
    let control_pc = registers.rip;
    let Some(entry) = table.lookup(memory, control_pc)? else {
        // A leaf: nothing but its return address is on the stack.
        let establisher = registers.rsp();
        registers.rip = pop(memory, registers)?;
        return Ok(Frame {
            control_pc,
            function_entry: 0,
            establisher,
            handler: None,
        });
    };
    let info = UnwindInfo::read(memory, table, entry)?;
    let frame = Frame {
        control_pc,
        function_entry: entry.address,
        establisher: info.establisher(registers),
        handler: info.handler,
    };
    let reached = control_pc.wrapping_sub(table.image_base + u64::from(entry.begin));
    let mut has_machine_frame = info.undo(memory, registers, reached)?;
    let mut chained = info.chained;
    for _ in 0..MAX_CHAIN {
        let Some(parent) = chained else {
            if !has_machine_frame {
                registers.rip = pop(memory, registers)?;
            }
            return Ok(frame);
        };
        let info = UnwindInfo::read(memory, table, parent)?;
        has_machine_frame |= info.undo(memory, registers, u64::MAX)?;
        chained = info.chained;
    }
    Err(UnwindError::Damaged {
        unwind_info: entry.address,
    })
}

/// One RUNTIME_FUNCTION.
#[derive(Clone, Copy)]
struct Entry {
    address: u64,
    begin: u32,
    unwind_info: u32,
}

impl FunctionTable {
    /// Finds the function that holds `pc`. The table is sorted.
    fn lookup(self, memory: &dyn Memory, pc: u64) -> Result<Option<Entry>, UnwindError> {
        let Some(rva) = pc
            .checked_sub(self.image_base)
            .and_then(|rva| u32::try_from(rva).ok())
        else {
            return Ok(None);
        };
        let (mut low, mut high) = (0, self.len_bytes / ENTRY_BYTES);
        while low < high {
            let middle = low + (high - low) / 2;
            let address = self.image_base + u64::from(self.rva) + u64::from(middle * ENTRY_BYTES);
            let (entry, end) = read_entry(memory, address)?;
            if rva < entry.begin {
                high = middle;
            } else if rva >= end {
                low = middle + 1;
            } else {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }
}

fn read_entry(memory: &dyn Memory, address: u64) -> Result<(Entry, u32), UnwindError> {
    let word = |offset| {
        let address = address.wrapping_add(offset);
        read_u32(memory, address).ok_or(UnwindError::Memory { address })
    };
    let entry = Entry {
        address,
        begin: word(0)?,
        unwind_info: word(8)?,
    };
    Ok((entry, word(4)?))
}

fn pop(memory: &dyn Memory, registers: &mut Registers) -> Result<u64, UnwindError> {
    let address = registers.rsp();
    let value = read_u64(memory, address).ok_or(UnwindError::Memory { address })?;
    registers.general[RSP] = address.wrapping_add(8);
    Ok(value)
}

/// UNWIND_INFO with its neighbors.
struct UnwindInfo {
    address: u64,
    n_slots: u64,
    frame_register: usize,
    frame_offset: u64,
    handler: Option<Handler>,
    chained: Option<Entry>,
}

impl UnwindInfo {
    fn read(memory: &dyn Memory, table: FunctionTable, entry: Entry) -> Result<Self, UnwindError> {
        let address = table.image_base + u64::from(entry.unwind_info);
        let head = read_u32(memory, address).ok_or(UnwindError::Memory { address })?;
        let [version_flags, _, n_slots, frame] = head.to_le_bytes();
        let flags = version_flags >> 3;
        // Version 2 adds epilog codes, which are skipped; an odd RVA would be an indirect entry.
        if !matches!(version_flags & 7, 1 | 2) || entry.unwind_info & 1 != 0 {
            return Err(UnwindError::Damaged {
                unwind_info: address,
            });
        }
        let n_slots = u64::from(n_slots);
        // The array of codes is padded to an even number of slots.
        let behind = address + 4 + n_slots.next_multiple_of(2) * 2;
        let mut info = Self {
            address,
            n_slots,
            frame_register: usize::from(frame & 15),
            frame_offset: u64::from(frame >> 4) * 16,
            handler: None,
            chained: None,
        };
        if flags & FLAG_CHAINED != 0 {
            info.chained = Some(read_entry(memory, behind)?.0);
        } else if flags & (FLAG_EXCEPTION_HANDLER | FLAG_TERMINATION_HANDLER) != 0 {
            let routine =
                read_u32(memory, behind).ok_or(UnwindError::Memory { address: behind })?;
            info.handler = Some(Handler {
                routine: table.image_base + u64::from(routine),
                data: behind + 4,
                on_exception: flags & FLAG_EXCEPTION_HANDLER != 0,
                on_unwind: flags & FLAG_TERMINATION_HANDLER != 0,
            });
        }
        Ok(info)
    }

    /// The frame's fixed address: by frame register if there is one, else the stack pointer.
    fn establisher(&self, registers: &Registers) -> u64 {
        if self.frame_register == 0 {
            registers.rsp()
        } else {
            registers.general[self.frame_register].wrapping_sub(self.frame_offset)
        }
    }

    /// Undoes the codes of the prolog up to byte `reached`; says whether a machine frame was popped.
    fn undo(
        &self,
        memory: &dyn Memory,
        registers: &mut Registers,
        reached: u64,
    ) -> Result<bool, UnwindError> {
        let mut idx = 0;
        while idx < self.n_slots {
            let [prolog_offset, operation] = self.slot(memory, idx)?.to_le_bytes();
            let (code, info) = (operation & 15, operation >> 4);
            let operand = self.operand(memory, idx, code, info)?;
            idx += operand.n_slots;
            if u64::from(prolog_offset) > reached {
                continue;
            }
            let register = usize::from(info);
            let base = self.establisher(registers);
            match code {
                0 => registers.general[register] = pop(memory, registers)?,
                1 | 2 => {
                    registers.general[RSP] = registers.rsp().wrapping_add(operand.value);
                }
                3 => registers.general[RSP] = base,
                4 | 5 => {
                    let address = base.wrapping_add(operand.value);
                    registers.general[register] =
                        read_u64(memory, address).ok_or(UnwindError::Memory { address })?;
                }
                8 | 9 => {
                    let address = base.wrapping_add(operand.value);
                    for (half, value) in registers.xmm[register].iter_mut().enumerate() {
                        let address = address.wrapping_add(half as u64 * 8);
                        *value =
                            read_u64(memory, address).ok_or(UnwindError::Memory { address })?;
                    }
                }
                10 => {
                    pop_machine_frame(memory, registers, info != 0)?;
                    return Ok(true);
                }
                // Epilog descriptions of version 2.
                _ => {}
            }
        }
        Ok(false)
    }

    fn slot(&self, memory: &dyn Memory, idx: u64) -> Result<u16, UnwindError> {
        let address = self.address + 4 + idx * 2;
        read_u16(memory, address).ok_or(UnwindError::Memory { address })
    }

    fn operand(
        &self,
        memory: &dyn Memory,
        idx: u64,
        code: u8,
        info: u8,
    ) -> Result<Operand, UnwindError> {
        let small = |idx| self.slot(memory, idx).map(u64::from);
        let far = || Ok(small(idx + 1)? | (small(idx + 2)? << 16));
        let (n_slots, value) = match (code, info) {
            (0 | 3 | 10, _) => (1, 0),
            (1, 0) => (2, small(idx + 1)? * 8),
            (1, 1) | (5 | 9, _) => (3, far()?),
            (2, _) => (1, u64::from(info) * 8 + 8),
            (4, _) => (2, small(idx + 1)? * 8),
            (8, _) => (2, small(idx + 1)? * 16),
            (6, _) => (1, 0),
            (7, _) => (2, 0),
            _ => {
                return Err(UnwindError::Damaged {
                    unwind_info: self.address,
                });
            }
        };
        if idx + n_slots > self.n_slots {
            return Err(UnwindError::Damaged {
                unwind_info: self.address,
            });
        }
        Ok(Operand { n_slots, value })
    }
}

struct Operand {
    n_slots: u64,
    value: u64,
}

/// An interrupt's frame: error code (if any), RIP, CS, RFLAGS, RSP, SS.
fn pop_machine_frame(
    memory: &dyn Memory,
    registers: &mut Registers,
    has_error_code: bool,
) -> Result<(), UnwindError> {
    if has_error_code {
        pop(memory, registers)?;
    }
    registers.rip = pop(memory, registers)?;
    pop(memory, registers)?;
    pop(memory, registers)?;
    registers.general[RSP] = pop(memory, registers)?;
    Ok(())
}
