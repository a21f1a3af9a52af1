//! What a driver can do wrong with channels, map registers, transfers and lists: each is the negative control of one
//! rule, by the end that it must have.

use core::cell::Cell;

use super::Test;
use super::fatal::End;
use super::transfer_rig::{Rig, allocate, at_dispatch, buffer, elements};
use crate::hal_dma::operations as hal;
use crate::hal_dma::transfer::{
    channel_operations as channels, info_operations as info, list_operations as lists,
    map_operations as maps,
};
use crate::mdl::{Mdl, SOURCE_IS_NONPAGED_POOL};
use crate::ntoskrnl::shared::shared;
use crate::ntoskrnl::status;

const DMA_VIOLATION: u32 = 0xE6;
const KEEP: u64 = 1;
const KEEP_REGISTERS: u64 = 3;

/// Test, end.
pub(super) const TESTS: &[(Test, End)] = &[
    end!(more_is_flushed_than_there_are_registers => End::Violation(DMA_VIOLATION, 0x00)),
    end!(channel_is_freed_twice => End::Violation(DMA_VIOLATION, 0x04)),
    end!(map_registers_are_freed_twice => End::Violation(DMA_VIOLATION, 0x05)),
    end!(list_is_put_twice => End::Violation(DMA_VIOLATION, 0x06)),
    end!(adapter_is_put_with_a_channel => End::Violation(DMA_VIOLATION, 0x08)),
    end!(adapter_is_put_with_map_registers => End::Violation(DMA_VIOLATION, 0x09)),
    end!(adapter_is_put_with_a_list => End::Violation(DMA_VIOLATION, 0x0A)),
    end!(channel_is_allocated_twice => End::Violation(DMA_VIOLATION, 0x0B)),
    end!(transfer_takes_more_registers_than_there_are => End::Violation(DMA_VIOLATION, 0x0C)),
    end!(channel_goes_before_its_flush => End::Violation(DMA_VIOLATION, 0x0D)),
    end!(transfer_of_an_unlocked_mdl => End::Violation(DMA_VIOLATION, 0x0E)),
    end!(device_writes_beyond_its_transfer => End::Violation(DMA_VIOLATION, 0x0F)),
    end!(map_registers_go_before_their_flush => End::Violation(DMA_VIOLATION, 0x10)),
    end!(list_is_got_below_dispatch_level => End::Violation(DMA_VIOLATION, 0x13)),
    end!(more_map_registers_are_asked_for_than_granted => End::Violation(DMA_VIOLATION, 0x15)),
    end!(other_buffer_is_flushed_than_mapped => End::Violation(DMA_VIOLATION, 0x16)),
    end!(transfer_starts_outside_its_mdl => End::Violation(DMA_VIOLATION, 0x1B)),
    end!(range_is_mapped_twice => End::Violation(DMA_VIOLATION, 0x1D)),
    end!(empty_map_registers_are_flushed => End::Violation(DMA_VIOLATION, 0x20)),
    end!(transfer_of_no_bytes => End::Violation(DMA_VIOLATION, 0x21)),
    end!(transfer_is_longer_than_its_mdl => End::Violation(DMA_VIOLATION, 0x24)),
    end!(transfer_is_mapped_before_the_last_is_flushed => End::Stop("transfer-mapped-before-flush")),
    end!(map_register_base_is_wild => End::Stop("map-registers-unknown")),
    end!(mdl_goes_while_it_is_mapped_for_a_device => End::Stop("transfer-memory-released")),
    end!(list_is_put_in_the_other_direction => End::Finding("transfer-flush-direction")),
    end!(less_is_flushed_than_mapped => End::Finding("flush-of-other-bytes")),
    end!(list_is_overwritten => End::Finding("scatter-gather-list-overwritten")),
    end!(map_registers_are_freed_in_part => End::Finding("map-registers-freed-in-part")),
    end!(transfer_context_is_not_initialized => End::Finding("transfer-context-not-initialized")),
    end!(transfer_context_is_used_twice => End::Finding("transfer-context-in-use")),
    end!(allocation_action_is_unknown => End::Finding("allocation-action-unknown")),
    end!(counter_of_a_bus_master_is_read => End::Finding("system-dma-routine")),
];

const LEN: u32 = 0x1000;

fn more_is_flushed_than_there_are_registers() {
    let rig = Rig::new();
    let (mdl, _) = buffer(0, 0x8000);
    let base = rig.channel(1, KEEP_REGISTERS);
    rig.map(mdl, base, 0, LEN, true);
    rig.flush(mdl, base, 0, 0x8000, true);
}

fn channel_is_freed_twice() {
    let rig = Rig::new();
    rig.channel(1, KEEP);
    at_dispatch(|| channels::free_adapter_channel(rig.adapter));
    at_dispatch(|| channels::free_adapter_channel(rig.adapter));
}

fn map_registers_are_freed_twice() {
    let rig = Rig::new();
    let base = rig.channel(1, KEEP_REGISTERS);
    rig.free_registers(base, 1);
    rig.free_registers(base, 1);
}

fn list_is_put_twice() {
    let rig = Rig::new();
    let list = rig.get_list(buffer(0, LEN).0, 0, LEN, true);
    rig.put_list(list, true);
    rig.put_list(list, true);
}

fn adapter_is_put_with_a_channel() {
    let rig = Rig::new();
    rig.channel(0, KEEP);
    hal::put_dma_adapter(rig.adapter);
}

fn adapter_is_put_with_map_registers() {
    let rig = Rig::new();
    rig.channel(1, KEEP_REGISTERS);
    hal::put_dma_adapter(rig.adapter);
}

fn adapter_is_put_with_a_list() {
    let rig = Rig::new();
    rig.get_list(buffer(0, LEN).0, 0, LEN, true);
    hal::put_dma_adapter(rig.adapter);
}

fn channel_is_allocated_twice() {
    let rig = Rig::new();
    rig.channel(1, KEEP);
    rig.channel(1, KEEP);
}

fn transfer_takes_more_registers_than_there_are() {
    let rig = Rig::of(1, false, 0x4000);
    let base = rig.channel(1, KEEP_REGISTERS);
    rig.map(buffer(0, 0x2000).0, base, 0, 0x2000, true);
}

fn channel_goes_before_its_flush() {
    let rig = Rig::new();
    let base = rig.channel(1, KEEP);
    rig.map(buffer(0, LEN).0, base, 0, LEN, true);
    at_dispatch(|| channels::free_adapter_channel(rig.adapter));
}

fn transfer_of_an_unlocked_mdl() {
    let rig = Rig::new();
    let (mdl, _) = buffer(0, LEN);
    shared::<Mdl>(mdl).clear_flags(SOURCE_IS_NONPAGED_POOL);
    rig.get_list(mdl, 0, LEN, true);
}

fn device_writes_beyond_its_transfer() {
    let rig = Rig::new();
    let list = rig.get_list(buffer(0x100, 0x20).0, 0, 0x20, false);
    let (iova, len) = elements(list)[0];
    rig.device_writes(iova + len, 1);
    rig.put_list(list, false);
}

fn map_registers_go_before_their_flush() {
    let rig = Rig::new();
    let base = rig.channel(1, KEEP_REGISTERS);
    rig.map(buffer(0, LEN).0, base, 0, LEN, true);
    rig.free_registers(base, 1);
}

fn list_is_got_below_dispatch_level() {
    let rig = Rig::new();
    let (mdl, va) = buffer(0, LEN);
    let device = rig.device_object;
    lists::get_scatter_gather_list(rig.adapter, device, mdl, va, LEN, 0, 0, 1);
}

fn more_map_registers_are_asked_for_than_granted() {
    let rig = Rig::of(3, true, 0x1000);
    rig.channel(3, KEEP);
}

fn other_buffer_is_flushed_than_mapped() {
    let rig = Rig::new();
    let base = rig.channel(1, KEEP_REGISTERS);
    rig.map(buffer(0, LEN).0, base, 0, LEN, true);
    rig.flush(buffer(0, LEN).0, base, 0, LEN, true);
}

fn transfer_starts_outside_its_mdl() {
    let rig = Rig::new();
    rig.get_list(buffer(0, LEN).0, LEN.into(), 1, true);
}

fn range_is_mapped_twice() {
    let rig = Rig::new();
    let (mdl, _) = buffer(0, LEN);
    let base = rig.channel(2, KEEP_REGISTERS);
    rig.map(mdl, base, 0, LEN, true);
    rig.map(mdl, base, 0x800, 8, true);
}

fn empty_map_registers_are_flushed() {
    let rig = Rig::new();
    let (mdl, _) = buffer(0, LEN);
    let base = rig.channel(1, KEEP_REGISTERS);
    rig.map(mdl, base, 0, LEN, true);
    rig.flush(mdl, base, 0, LEN, true);
    rig.flush(mdl, base, 0, LEN, true);
}

fn transfer_of_no_bytes() {
    let rig = Rig::new();
    rig.get_list(buffer(0, LEN).0, 0, 0, true);
}

fn transfer_is_longer_than_its_mdl() {
    let rig = Rig::new();
    rig.get_list(buffer(0, LEN).0, 8, LEN, true);
}

/// A mapping of one page by MapTransferEx.
fn map_ex(rig: &Rig, mdl: u64, base: u64, offset: u64) {
    let (len, list) = (allocate(8), allocate(0x100));
    shared::<Cell<u32>>(len).set(LEN);
    maps::map_transfer_ex(rig.adapter, mdl, base, offset, 0, len, 1, list, 0x100, 0, 0);
}

fn transfer_is_mapped_before_the_last_is_flushed() {
    let rig = Rig::new();
    let (mdl, _) = buffer(0, 0x2000);
    let base = rig.channel(2, KEEP_REGISTERS);
    map_ex(&rig, mdl, base, 0);
    map_ex(&rig, mdl, base, LEN.into());
}

fn map_register_base_is_wild() {
    let rig = Rig::new();
    rig.map(buffer(0, LEN).0, 0x1234, 0, LEN, true);
}

fn mdl_goes_while_it_is_mapped_for_a_device() {
    let rig = Rig::new();
    let (mdl, _) = buffer(0, LEN);
    rig.get_list(mdl, 0, LEN, false);
    crate::ntoskrnl::io_mdl::io_free_mdl(mdl);
}

fn list_is_put_in_the_other_direction() {
    let rig = Rig::new();
    let list = rig.get_list(buffer(0, LEN).0, 0, LEN, false);
    rig.put_list(list, true);
}

fn less_is_flushed_than_mapped() {
    let rig = Rig::new();
    let (mdl, _) = buffer(0, LEN);
    let base = rig.channel(1, KEEP_REGISTERS);
    rig.map(mdl, base, 0, LEN, true);
    rig.flush(mdl, base, 0, LEN - 1, true);
}

fn list_is_overwritten() {
    let rig = Rig::new();
    let list = rig.get_list(buffer(0, LEN).0, 0, LEN, true);
    shared::<Cell<u32>>(list).set(7);
    rig.put_list(list, true);
}

fn map_registers_are_freed_in_part() {
    let rig = Rig::new();
    let base = rig.channel(2, KEEP_REGISTERS);
    rig.free_registers(base, 1);
}

fn channel_with(rig: &Rig, context: u64) -> status::NtStatus {
    let (device, out) = (rig.device_object, allocate(8));
    at_dispatch(|| {
        channels::allocate_adapter_channel_ex(rig.adapter, device, context, 1, 1, 0, 0, out)
    })
}

fn transfer_context_is_not_initialized() {
    let rig = Rig::new();
    let status = channel_with(&rig, allocate(128));
    assert_eq!(status, status::INVALID_PARAMETER);
}

fn transfer_context_is_used_twice() {
    let rig = Rig::new();
    let context = rig.context();
    assert_eq!(channel_with(&rig, context), status::SUCCESS);
    assert_eq!(channel_with(&rig, context), status::INVALID_PARAMETER);
}

fn allocation_action_is_unknown() {
    let rig = Rig::new();
    rig.channel(1, 9);
}

fn counter_of_a_bus_master_is_read() {
    let rig = Rig::new();
    assert_eq!(info::read_dma_counter(rig.adapter), 0);
}
