//! What a driver can do wrong with MDLs and common buffers: each is the negative control of one rule, by the end
//! that it must have.

use core::cell::Cell;

use super::Test;
use super::fatal::End;
use crate::hal_dma::operations as hal;
use crate::ke::irql::{self, DISPATCH_LEVEL};
use crate::ke::pool;
use crate::mdl::{MAPPED_TO_SYSTEM_VA, Mdl, PAGE_BYTES, PAGES_LOCKED};
use crate::memory::VirtAddr;
use crate::memory::pool::{Content, PoolKind, PoolRequest};
use crate::ntoskrnl::io_mdl::{io_allocate_mdl, io_build_partial_mdl, set_pfns};
use crate::ntoskrnl::mm_mdl::{
    mm_build_mdl_for_nonpaged_pool, mm_map_locked_pages_specify_cache, mm_unlock_pages,
    probe_and_lock_pages,
};
use crate::ntoskrnl::shared::{fill, read_u64, shared};
use crate::ntoskrnl::verifier;
use crate::pci;
use crate::pnp::device::{self, Device, State};

const DMA_VIOLATION: u32 = 0xE6;
const DETECTED_VIOLATION: u32 = 0xC4;
const BUFFER_BYTES: u32 = 0x2000;
const TAG: u32 = u32::from_le_bytes(*b"Test");
/// The physical device object of the tests' device; only its address counts.
const PDO: u64 = 0xFFFF_9ABC_0000_0000;

/// Test, end.
pub(super) const TESTS: &[(Test, End)] = &[
    end!(common_buffer_is_freed_twice => End::Violation(DMA_VIOLATION, 0x03)),
    end!(common_buffer_was_overrun => End::Violation(DMA_VIOLATION, 0x0F)),
    end!(adapter_is_put_with_a_common_buffer => End::Violation(DMA_VIOLATION, 0x07)),
    end!(adapter_is_used_after_its_release => End::Violation(DMA_VIOLATION, 0x18)),
    end!(common_buffer_is_freed_by_a_wrong_length => End::Stop("free-common-buffer-mismatch")),
    end!(common_buffer_is_freed_by_a_wrong_cache_type => End::Stop("free-common-buffer-cache")),
    end!(bounded_buffer_is_freed_by_a_wrong_cache_type => End::Stop("free-common-buffer-cache")),
    end!(mapping_of_a_common_buffer_is_removed => End::Stop("common-buffer-memory-released")),
    end!(adapter_of_a_device_that_is_gone => End::Finding("adapter-of-removed-device")),
    end!(adapter_of_a_device_that_was_removed => End::Finding("adapter-of-removed-device")),
    end!(partial_mdl_of_an_unlocked_source => End::Stop("partial-mdl-of-unlocked-source")),
    end!(mdl_is_built_twice => End::Stop("mdl-built-twice")),
    end!(mdl_of_paged_pool_is_built => End::Violation(DETECTED_VIOLATION, 0x7F)),
    end!(paged_pool_is_locked_at_dispatch_level => End::Violation(DETECTED_VIOLATION, 0x70)),
    end!(mdl_with_a_page_that_is_no_ram_is_mapped => End::Violation(DETECTED_VIOLATION, 0x89)),
];

/// What must bring no finding, for the same calls.
pub(super) const SOUND: &[Test] = &[
    (
        "sound_common_buffers_bring_no_finding",
        sound_common_buffers_bring_no_finding,
    ),
    (
        "partial_mdl_of_a_built_source_has_its_pages",
        partial_mdl_of_a_built_source_has_its_pages,
    ),
    (
        "sub_section_is_freed_by_either_address",
        sub_section_is_freed_by_either_address,
    ),
];

/// An adapter of version 3 and 64 bits, of a device that PnP believes in.
fn adapter() -> u64 {
    adapter_in(State::Started)
}

fn adapter_in(state: State) -> u64 {
    let mut functions = pci::devices().into_iter();
    device::add(Device {
        name: "dut0".into(),
        function: functions.next().expect("the machine has functions"),
        pdo: PDO,
        state,
        vectors: None,
        before_query: State::Removed,
        reached: device::Reached::default(),
    });
    new_adapter()
}

fn new_adapter() -> u64 {
    let description = allocate(0x40, PoolKind::NonPaged);
    fill(description, 0x40, 0);
    for (offset, value) in [(0, 3), (0x04, 1), (0x14, 5), (0x20, 0x10_0000), (0x28, 64)] {
        shared::<Cell<u32>>(description + offset).set(value);
    }
    let n_registers = allocate(8, PoolKind::NonPaged);
    hal::io_get_dma_adapter(PDO, description, n_registers)
}

fn allocate(len_bytes: u64, kind: PoolKind) -> u64 {
    let request = PoolRequest {
        len_bytes,
        tag: TAG,
        kind,
        content: Content::Zero,
        executable: false,
        caller: 0,
    };
    pool::allocate(&request).expect("there is memory").as_u64()
}

/// A cached common buffer of two pages less some bytes: virtual and logical address.
fn buffer(adapter: u64) -> (u64, u64) {
    let logical = allocate(8, PoolKind::NonPaged);
    let va = hal::allocate_common_buffer(adapter, BUFFER_BYTES - 0x100, logical, 1);
    assert_ne!(va, 0);
    (va, read_u64(logical))
}

fn free(adapter: u64, (va, iova): (u64, u64)) {
    hal::free_common_buffer(adapter, BUFFER_BYTES - 0x100, iova, va, 1);
}

/// The MDL of fresh memory of whole pages, not built.
fn mdl_over(kind: PoolKind) -> (u64, u64) {
    let memory = allocate(BUFFER_BYTES.into(), kind);
    let mdl = io_allocate_mdl(memory, BUFFER_BYTES, 0, 0, 0);
    assert_ne!(mdl, 0);
    (mdl, memory)
}

fn built_mdl() -> (u64, u64) {
    let (mdl, memory) = mdl_over(PoolKind::NonPaged);
    mm_build_mdl_for_nonpaged_pool(mdl);
    (mdl, memory)
}

fn common_buffer_is_freed_twice() {
    let adapter = adapter();
    let buffer = buffer(adapter);
    free(adapter, buffer);
    free(adapter, buffer);
}

fn common_buffer_was_overrun() {
    let adapter = adapter();
    let buffer = buffer(adapter);
    fill(buffer.0 + u64::from(BUFFER_BYTES) - 0x100, 1, 0);
    free(adapter, buffer);
}

fn adapter_is_put_with_a_common_buffer() {
    let adapter = adapter();
    buffer(adapter);
    hal::put_dma_adapter(adapter);
}

fn adapter_is_used_after_its_release() {
    let adapter = adapter();
    hal::put_dma_adapter(adapter);
    hal::get_dma_alignment(adapter);
}

fn common_buffer_is_freed_by_a_wrong_length() {
    let adapter = adapter();
    let (va, iova) = buffer(adapter);
    hal::free_common_buffer(adapter, BUFFER_BYTES, iova, va, 1);
}

fn common_buffer_is_freed_by_a_wrong_cache_type() {
    let adapter = adapter();
    let (va, iova) = buffer(adapter);
    hal::free_common_buffer(adapter, BUFFER_BYTES - 0x100, iova, va, 0);
}

fn bounded_buffer_is_freed_by_a_wrong_cache_type() {
    let adapter = adapter();
    // MmNonCached = 0.
    let (logical, cache_type) = (
        allocate(8, PoolKind::NonPaged),
        allocate(8, PoolKind::NonPaged),
    );
    let va = hal::allocate_common_buffer_with_bounds(
        adapter,
        0,
        0,
        BUFFER_BYTES,
        0,
        cache_type,
        0,
        logical,
    );
    assert_ne!(va, 0);
    hal::free_common_buffer(adapter, BUFFER_BYTES, read_u64(logical), va, 1);
}

fn mapping_of_a_common_buffer_is_removed() {
    let adapter = adapter();
    let (mdl, _) = mdl_over(PoolKind::Paged);
    assert!(probe_and_lock_pages(mdl, 0, 1).is_success());
    assert_ne!(mm_map_locked_pages_specify_cache(mdl, 0, 1, 0, 0, 0), 0);
    let logical = allocate(8, PoolKind::NonPaged);
    let status = hal::create_common_buffer_from_mdl(adapter, mdl, 0, 0, logical);
    assert!(status.is_success());
    mm_unlock_pages(mdl);
}

fn adapter_of_a_device_that_is_gone() {
    assert_eq!(adapter_in(State::SurpriseRemoved), 0);
}

fn adapter_of_a_device_that_was_removed() {
    assert_ne!(adapter_in(State::Removed), 0, "AddDevice is under way");
    // IRP_MN_REMOVE_DEVICE
    device::update(PDO, |device| device.reached.note(2));
    assert_eq!(new_adapter(), 0);
}

fn partial_mdl_of_an_unlocked_source() {
    let (source, memory) = mdl_over(PoolKind::NonPaged);
    let target = io_allocate_mdl(memory, BUFFER_BYTES, 0, 0, 0);
    io_build_partial_mdl(source, target, memory, 0);
}

fn mdl_is_built_twice() {
    let (mdl, _) = built_mdl();
    mm_build_mdl_for_nonpaged_pool(mdl);
}

fn mdl_of_paged_pool_is_built() {
    let (mdl, _) = mdl_over(PoolKind::Paged);
    mm_build_mdl_for_nonpaged_pool(mdl);
}

fn paged_pool_is_locked_at_dispatch_level() {
    let (mdl, _) = mdl_over(PoolKind::Paged);
    assert!(probe_and_lock_pages(mdl, 0, 1).is_success(), "at PASSIVE");
    let (other, _) = mdl_over(PoolKind::NonPaged);
    let (paged, _) = mdl_over(PoolKind::Paged);
    irql::raise(DISPATCH_LEVEL);
    assert!(probe_and_lock_pages(other, 0, 1).is_success(), "nonpaged");
    probe_and_lock_pages(paged, 0, 1);
}

fn mdl_with_a_page_that_is_no_ram_is_mapped() {
    let (address, _) = mdl_over(PoolKind::NonPaged);
    let mdl: &Mdl = shared(address);
    mdl.add_flags(PAGES_LOCKED);
    set_pfns(mdl, [0xF_EE00, 1 << 52]);
    mm_map_locked_pages_specify_cache(address, 0, 1, 0, 0, 0);
}

fn sound_common_buffers_bring_no_finding() {
    let before = verifier::findings();
    let adapter = adapter();
    let buffers = [buffer(adapter), buffer(adapter)];
    let (mdl, memory) = built_mdl();
    let logical = allocate(8, PoolKind::NonPaged);
    let status = hal::create_common_buffer_from_mdl(adapter, mdl, 0, 0, logical);
    assert!(status.is_success());
    hal::free_common_buffer(adapter, BUFFER_BYTES, read_u64(logical), memory, 1);
    for buffer in buffers {
        free(adapter, buffer);
    }
    hal::put_dma_adapter(adapter);
    assert_eq!(verifier::findings(), before);
}

fn partial_mdl_of_a_built_source_has_its_pages() {
    let (source, memory) = built_mdl();
    let target = io_allocate_mdl(memory, BUFFER_BYTES, 0, 0, 0);
    io_build_partial_mdl(source, target, memory + PAGE_BYTES, 0);
    let mdl: &Mdl = shared(target);
    assert_eq!(mdl.n_pages(), 1);
    let expected = crate::memory::translate(VirtAddr::new(memory + PAGE_BYTES)).expect("mapped");
    let frames = crate::ntoskrnl::io_mdl::pfns(mdl);
    assert!(frames.eq([expected.raw() / PAGE_BYTES]));
    assert!(!mdl.has(MAPPED_TO_SYSTEM_VA));
}

fn sub_section_is_freed_by_either_address() {
    let before = verifier::findings();
    let adapter = adapter();
    let (mdl, memory) = built_mdl();
    let logical = allocate(8, PoolKind::NonPaged);
    // One SubSection: the second page.
    let configuration = allocate(0x28, PoolKind::NonPaged);
    for (offset, value) in [(0, 1), (8, PAGE_BYTES), (0x10, PAGE_BYTES)] {
        shared::<Cell<u64>>(configuration + offset).set(value);
    }
    for va in [memory, memory + PAGE_BYTES] {
        let status = hal::create_common_buffer_from_mdl(adapter, mdl, configuration, 1, logical);
        assert!(status.is_success());
        hal::free_common_buffer(adapter, 0x1000, read_u64(logical), va, 1);
    }
    assert_eq!(crate::hal_dma::adapter::live_counts().1, 0);
    assert_eq!(verifier::findings(), before);
}
