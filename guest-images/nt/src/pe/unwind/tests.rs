//! Tests of the unwinder on hand-made tables.

use std::vec::Vec;

use proptest::prelude::*;

use super::*;

const IMAGE: u64 = 0xFFFF_F880_0000_0000;
const STACK: u64 = 0xFFFF_F900_0000_0000;
const TABLE: FunctionTable = FunctionTable {
    image_base: IMAGE,
    rva: 0x100,
    len_bytes: 24,
};

struct Arrays {
    image: Vec<u8>,
    stack: Vec<u8>,
}

impl Memory for Arrays {
    fn read(&self, address: u64, bytes: &mut [u8]) -> bool {
        for (base, array) in [(IMAGE, &self.image), (STACK, &self.stack)] {
            let Some(offset) = address
                .checked_sub(base)
                .and_then(|at| usize::try_from(at).ok())
            else {
                continue;
            };
            if let Some(source) = offset
                .checked_add(bytes.len())
                .and_then(|end| array.get(offset..end))
            {
                bytes.copy_from_slice(source);
                return true;
            }
        }
        false
    }
}

/// Function 1 at 0x1000: `push rbx; sub rsp, 0x20`, with a handler. Function 2 at 0x2000: frame register
/// RBP, large allocation, saved RSI and XMM6.
fn arrays() -> Arrays {
    let mut image = std::vec![0u8; 0x400];
    let mut put = |at: usize, bytes: &[u8]| image[at..at + bytes.len()].copy_from_slice(bytes);
    for (idx, word) in [0x1000u32, 0x1100, 0x200, 0x2000, 0x2100, 0x240]
        .iter()
        .enumerate()
    {
        put(0x100 + idx * 4, &word.to_le_bytes());
    }
    // Version 1, exception and termination handler; 2 slots: alloc 0x20 at 5, push rbx at 1.
    put(0x200, &[1 | (3 << 3), 5, 2, 0, 5, 2 | (3 << 4), 1, 3 << 4]);
    put(0x200 + 6, &[1, 3 << 4]);
    put(0x208, &0x3000u32.to_le_bytes());
    put(0x20c, &1u32.to_le_bytes());
    for (idx, word) in [0x1010u32, 0x1020, 1, 0x1050].iter().enumerate() {
        put(0x210 + idx * 4, &word.to_le_bytes());
    }
    // Frame register 5, offset 2 * 16; codes from the last to the first.
    put(0x240, &[1, 20, 8, 5 | (2 << 4)]);
    put(0x244, &[20, 8 | (6 << 4), 1, 0]);
    put(0x248, &[15, 4 | (6 << 4), 4, 0]);
    put(0x24c, &[10, 3, 7, 1]);
    put(0x250, &[0x10, 0, 1, 5 << 4]);
    Arrays {
        image,
        stack: (0..64u64)
            .flat_map(|word| (0x1_0000 + word).to_le_bytes())
            .collect(),
    }
}

fn registers(rva: u64) -> Registers {
    let mut general = [0; 16];
    general[4] = STACK;
    Registers {
        general,
        xmm: [[0; 2]; 16],
        rip: IMAGE + rva,
    }
}

#[test]
fn pushed_register_and_return_address_are_restored() {
    let mut registers = registers(0x1015);

    let frame = unwind_frame(&arrays(), TABLE, &mut registers).expect("a sound frame");

    assert_eq!(registers.general[3], 0x1_0004);
    assert_eq!(registers.rip, 0x1_0005);
    assert_eq!(registers.rsp(), STACK + 0x30);
    assert_eq!(frame.establisher, STACK);
    assert_eq!(frame.function_entry, IMAGE + 0x100);
    let handler = frame.handler.expect("a handler");
    assert_eq!(
        (handler.routine, handler.data),
        (IMAGE + 0x3000, IMAGE + 0x20c)
    );
    assert!(handler.on_exception && handler.on_unwind);
}

#[test]
fn prolog_that_has_not_run_is_not_undone() {
    let mut registers = registers(0x1001);
    unwind_frame(&arrays(), TABLE, &mut registers).expect("a sound frame");
    // Only the push had run.
    assert_eq!((registers.general[3], registers.rip), (0x1_0000, 0x1_0001));
}

#[test]
fn frame_register_brings_the_stack_back_whatever_rsp_is() {
    let mut registers = registers(0x2050);
    registers.general[4] = STACK - 0x1000;
    registers.general[5] = STACK + 0x20;

    let frame = unwind_frame(&arrays(), TABLE, &mut registers).expect("a sound frame");

    assert_eq!(frame.establisher, STACK);
    assert_eq!(registers.xmm[6], [0x1_0002, 0x1_0003]);
    assert_eq!(registers.general[6], 0x1_0004);
    // 0x80 bytes allocated, then RBP, then the return address.
    assert_eq!(registers.general[5], 0x1_0010);
    assert_eq!(registers.rip, 0x1_0011);
}

#[test]
fn function_without_an_entry_is_a_leaf() {
    let mut registers = registers(0x3000);
    let frame = unwind_frame(&arrays(), TABLE, &mut registers).expect("a leaf");
    assert_eq!((registers.rip, frame.handler), (0x1_0000, None));
}

#[test]
fn scope_table_finds_the_guarded_call() {
    let memory = arrays();
    let scope = Scope {
        begin: 0x1010,
        end: 0x1020,
        handler: 1,
        target: 0x1050,
    };
    assert_eq!(
        find_scope(&memory, IMAGE + 0x20c, 0x1015, 0),
        Ok(Some((0, scope)))
    );
    assert_eq!(find_scope(&memory, IMAGE + 0x20c, 0x1020, 0), Ok(None));
    assert_eq!(find_scope(&memory, IMAGE + 0x20c, 0x1015, 1), Ok(None));
}

#[test]
fn stack_that_ends_is_an_error() {
    let mut registers = registers(0x1015);
    registers.general[4] = STACK + 64 * 8 - 0x20;
    let address = STACK + 64 * 8;
    assert_eq!(
        unwind_frame(&arrays(), TABLE, &mut registers),
        Err(UnwindError::Memory { address })
    );
}

proptest! {
    #[test]
    fn damaged_tables_never_panic_or_hang(
        changes in prop::collection::vec((0x100usize..0x260, any::<u8>()), 1..16),
        rva in 0u64..0x3000,
    ) {
        let mut memory = arrays();
        for (at, value) in changes {
            memory.image[at] = value;
        }
        let mut registers = registers(rva);
        for _ in 0..8 {
            if unwind_frame(&memory, TABLE, &mut registers).is_err() {
                break;
            }
        }
    }
}
