//! The arithmetic of transactions over chains of MDLs. What they do with a HAL is tested in the VM.

use core::cell::Cell;

use super::super::attributes::Attributes;
use super::super::dma_transaction_functions as functions;
use super::*;
use crate::ntoskrnl::shared::address_of;

/// MDLs of these (address, length) pairs, chained.
fn chain_of(parts: &[(u64, u32)]) -> u64 {
    let mut next = 0;
    for (va, len) in parts.iter().rev() {
        let address = kernel_memory::allocate(size_of::<Mdl>() as u64, 1).expect("memory");
        let mdl: &Mdl = shared(address);
        mdl.initialize(*va, *len);
        mdl.next.set(next as *const Mdl);
        next = address;
    }
    next
}

fn over(mdl: u64, len: u64, maximum: u64) -> Transaction {
    let enabler = object::create(&KIND, &Attributes::NONE, None).expect("memory");
    Transaction {
        mdl,
        len,
        remaining: len,
        maximum,
        ..Transaction::new(enabler, Memory::default(), false)
    }
}

#[test]
fn pages_and_places_are_those_of_each_mdl() {
    let mdl = chain_of(&[(0x1_0800, 0x1000), (0x2_0000, 0x10), (0x3_0FFF, 2)]);
    assert_eq!(chain_bytes(mdl), 0x1012);
    assert_eq!(pages(mdl, 0, 0x1012), 2 + 1 + 2);
    assert_eq!(
        pages(mdl, 0x800, 0x800),
        1,
        "the second page of the first MDL"
    );
    assert_eq!(
        pages(mdl, 0xFFF, 2),
        2,
        "the end of one MDL, the begin of the next"
    );
    let place = |offset| locate(mdl, offset).map(|(found, va)| (found == mdl, va));
    assert_eq!(place(0x10), Some((true, 0x1_0810)));
    assert_eq!(place(0x1000), Some((false, 0x2_0000)));
    assert_eq!(place(0x1011), Some((false, 0x3_1000)));
    assert_eq!(place(0x1012), None);
}

#[test]
fn transfers_end_at_the_maximum_and_at_whole_mdls() {
    let check = |parts: &[(u64, u32)], maximum, transferred, n_registers, expected| {
        let mdl = chain_of(parts);
        let len = chain_bytes(mdl);
        let mut record = over(mdl, len, maximum);
        record.transferred = transferred;
        record.remaining = len - transferred;
        assert_eq!(next_len(&record, n_registers), expected, "{parts:x?}");
    };
    check(&[(0x1000, 0x5000)], 0x2000, 0, 3, 0x2000);
    check(&[(0x1000, 0x5000)], 0x2000, 0x4000, 3, 0x1000);
    // Not aligned: the map registers end it, at a page.
    check(&[(0x1800, 0x5000)], 0x5000, 0, 2, 0x1800);
    // The second MDL does not fit whole.
    check(&[(0x1000, 0x1000), (0x8800, 0x1000)], 0x2000, 0, 2, 0x1000);
    check(&[(0x1000, 0x1000), (0x8800, 0x1000)], 0x2000, 0, 3, 0x2000);
}

#[test]
fn mdl_at_the_end_of_the_address_space_is_no_overflow() {
    let mdl = chain_of(&[(u64::MAX - 0x7FF, 0x2000)]);
    assert_eq!(pages(mdl, 0x800, 0x1000), 1);
    assert_eq!(locate(mdl, 0x1800), Some((mdl, 0x1000)));
}

#[test]
fn buffer_begins_in_the_first_mdl_whatever_its_address() {
    let mdl = chain_of(&[(0, 0x1000), (0x2_0000, 0x1000)]);
    let enabler = object::create(&KIND, &Attributes::NONE, None).expect("memory");
    let handle = object::create(&KIND, &Attributes::NONE, None).expect("memory");
    insert(handle, Transaction::new(enabler, Memory::default(), false));
    for (at, len) in [(0, 0), (0x1000, 8), (0xFFF, 2), (u64::MAX, 1)] {
        let by_va = functions::initialize(0, handle.raw(), 1, 0, mdl, at, len);
        let by_offset = functions::initialize_using_offset(0, handle.raw(), 1, 0, mdl, at, len);
        assert_eq!(
            [by_va, by_offset],
            [status::INVALID_PARAMETER; 2],
            "{at:#x}"
        );
    }
    // It gets as far as the enabler, which is not there.
    let inside = functions::initialize(0, handle.raw(), 1, 0, mdl, 0, 0x1000);
    assert_eq!(inside, status::DELETE_PENDING);
}

#[test]
fn chain_that_points_to_itself_ends() {
    let mdl = chain_of(&[(0x1000, 0)]);
    shared::<Mdl>(mdl).next.set(mdl as *const Mdl);
    assert_eq!(chain_bytes(mdl), 0);
    assert_eq!(locate(mdl, 0), None);
}

#[test]
fn too_many_elements_are_found_in_any_of_the_first_transfers() {
    let mdl = chain_of(&[(0xFFF, 4), (0x2_0000, 4)]);
    assert!(is_too_fragmented(&over(mdl, 8, 8), 2));
    assert!(!is_too_fragmented(&over(mdl, 8, 8), 3));
    assert!(!is_too_fragmented(&over(mdl, 8, 1), 1));
    assert!(is_too_fragmented(&over(mdl, 8, 2), 1));
}

#[test]
fn billions_of_transfers_over_a_chain_without_end_are_not_walked() {
    let mdl = chain_of(&[(0x1000, u32::MAX)]);
    shared::<Mdl>(mdl).next.set(mdl as *const Mdl);
    assert!(!is_too_fragmented(&over(mdl, u64::MAX, 1), 1));
}

#[test]
#[should_panic(expected = "bug check 0x10d [\n    0x8")]
fn wrong_state_is_a_bug_check() {
    let enabler = object::create(&KIND, &Attributes::NONE, None).expect("memory");
    let handle = object::create(&KIND, &Attributes::NONE, None).expect("memory");
    insert(handle, Transaction::new(enabler, Memory::default(), false));
    require("test", handle, &[State::Initialized]);
}

#[test]
fn transaction_keeps_its_memory_until_it_is_destroyed() {
    let unused = Cell::new(0u64);
    let memory = Memory {
        context: address_of(&unused),
        list: 0,
        list_bytes: 0,
    };
    let enabler = object::create(&KIND, &Attributes::NONE, None).expect("memory");
    let handle = object::create(&KIND, &Attributes::NONE, Some(enabler)).expect("memory");
    insert(handle, Transaction::new(enabler, memory, true));
    object::reference(handle);
    tree::delete(enabler);
    let kept = with(handle, |record| (record.state, record.memory));
    assert_eq!(kept, Some((State::Deleted, memory)));
    tree::dereference(handle);
    assert!(with(handle, |_| ()).is_none());
}
