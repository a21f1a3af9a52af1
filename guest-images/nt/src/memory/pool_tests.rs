//! The pool on an arena of the host: addresses are the kernel's, bytes are looked at through the direct map.

use super::super::{GuestPhysAddr, is_ram, translate};
use super::*;
use proptest::prelude::*;

const TAG: Tag = u32::from_le_bytes(*b"Test");

fn request(len_bytes: u64, content: Content) -> PoolRequest {
    kernel_space::install_arena();
    PoolRequest {
        len_bytes,
        tag: TAG,
        kind: PoolKind::NonPaged,
        content,
        executable: false,
        caller: 0x77,
    }
}

fn allocate_bytes(len_bytes: u64) -> VirtAddr {
    allocate(&request(len_bytes, Content::Poison)).expect("there is memory")
}

fn byte_at(address: VirtAddr) -> u8 {
    let physical = translate(address).expect("mapped");
    let word = kernel_space::with(|kernel| kernel.space.map.read_u64(physical.align_down(8)));
    word.to_le_bytes()[usize::try_from(physical.raw() % 8).expect("small")]
}

fn set_byte(address: VirtAddr, value: u8) {
    let physical = translate(address).expect("mapped");
    let frame = Pfn::containing(physical);
    let offset = physical.raw() % PAGE_SIZE;
    kernel_space::with(|kernel| {
        kernel
            .space
            .map
            .fill_bytes(frame, offset..offset + 1, value)
    });
}

#[test]
fn books_hold_what_was_asked_until_it_is_freed() {
    let address = allocate_bytes(100);
    let expected = Allocation {
        address,
        len_bytes: 100,
        tag: TAG,
        kind: PoolKind::NonPaged,
        caller: 0x77,
    };
    assert_eq!(find(address), Some(expected));
    assert_eq!(find(address + 1), None);
    assert_eq!(find_containing(address + 99), Some(expected));
    assert_eq!(find_containing(address + 100), None);
    assert!(live().contains(&expected));
    assert_eq!(free(address, 0), Ok(expected));
    assert!(
        !live()
            .iter()
            .any(|allocation| allocation.address == address)
    );
    assert_eq!(translate(address), None);
}

#[test]
fn fresh_memory_is_poison_or_zero_as_asked() {
    let poisoned = allocate_bytes(3);
    let zeroed = allocate(&request(5000, Content::Zero)).expect("there is memory");
    assert!((0..3).all(|offset| byte_at(poisoned + offset) == 0xCD));
    assert!((0..5000).all(|offset| byte_at(zeroed + offset) == 0));
    assert!(zeroed.is_aligned(PAGE_SIZE));
    assert!(free(poisoned, TAG).is_ok() && free(zeroed, TAG).is_ok());
}

#[test]
fn each_wrong_free_is_told_apart_and_frees_nothing() {
    let address = allocate_bytes(64);
    let allocation = find(address).expect("live");
    assert_eq!(free(address + 16, TAG), Err(FreeError::Inside(allocation)));
    assert_eq!(free(address, TAG + 1), Err(FreeError::WrongTag(allocation)));
    assert_eq!(free(VirtAddr::new(0x1000), TAG), Err(FreeError::Unknown));
    assert_eq!(free(address, TAG), Ok(allocation));
    assert_eq!(free(address, TAG), Err(FreeError::FreedBefore));
}

#[test]
fn damage_on_either_side_is_found_at_its_byte() {
    for len_bytes in [1, 20, 4095, 5000] {
        let address = allocate_bytes(len_bytes);
        let allocation = find(address).expect("live");
        let behind = address + len_bytes;
        set_byte(behind, 0);
        assert_eq!(
            free(address, TAG),
            Err(FreeError::DamagedBehind(allocation, behind))
        );
        set_byte(behind, PADDING);
        if len_bytes < 4000 {
            let before = address - 1;
            set_byte(before, 0);
            assert_eq!(
                free(address, TAG),
                Err(FreeError::DamagedBefore(allocation, before))
            );
            set_byte(before, PADDING);
        }
        assert_eq!(free(address, TAG), Ok(allocation));
    }
}

#[test]
fn length_beyond_memory_is_refused() {
    for len_bytes in [1 << 30, u64::MAX - 1, u64::MAX] {
        assert_eq!(allocate(&request(len_bytes, Content::Zero)), None);
    }
    assert!(!is_ram(Pfn::containing(GuestPhysAddr::new(1 << 30))));
}

proptest! {
    #[test]
    fn allocations_are_aligned_apart_and_end_at_their_guard_page(
        lengths in proptest::collection::vec(0u64..20_000, 1..20),
    ) {
        let addresses: Vec<VirtAddr> = lengths.iter().map(|len| allocate_bytes(*len)).collect();
        for (address, len_bytes) in addresses.iter().zip(&lengths) {
            let len_bytes = (*len_bytes).max(1);
            let page_end = (address.as_u64() + len_bytes).next_multiple_of(PAGE_SIZE);
            prop_assert!(address.is_aligned(16u64));
            let slack = page_end - (address.as_u64() + len_bytes);
            let most = if len_bytes < PAGE_SIZE { ALIGNMENT } else { PAGE_SIZE };
            prop_assert!(slack < most);
            prop_assert_eq!(translate(VirtAddr::new(page_end)), None);
        }
        for address in addresses {
            prop_assert!(free(address, TAG).is_ok());
        }
    }
}
