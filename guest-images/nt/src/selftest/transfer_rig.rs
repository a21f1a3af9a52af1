//! [`Rig`]: `edu` with an adapter of its own, for tests of transfers, and what they share.

use alloc::vec::Vec;
use core::cell::Cell;
use core::sync::atomic::{AtomicU64, Ordering};

use super::devices::{EDU_BUFFER, Edu, TO_MEMORY};
use crate::hal_dma::operations as hal;
use crate::hal_dma::transfer::{
    self, channel_operations as channels, info_operations as info, list_operations as lists,
    map_operations as maps,
};
use crate::ke::irql::{self, DISPATCH_LEVEL, PASSIVE_LEVEL};
use crate::ke::pool;
use crate::mdl::{Mdl, PAGE_BYTES};
use crate::memory::pool::{Content, PoolKind, PoolRequest};
use crate::ntoskrnl::io_mdl::io_allocate_mdl;
use crate::ntoskrnl::mm_mdl::mm_build_mdl_for_nonpaged_pool;
use crate::ntoskrnl::shared::{read_u64, shared, write_bytes};
use crate::ntoskrnl::status;
use crate::ntoskrnl::verifier;
use crate::pnp::device::{self, Device, State};

/// `edu` reaches 28 bits.
const WIDTH: u32 = 28;
const TAG: u32 = u32::from_le_bytes(*b"Test");
/// The physical device object of the tests' device; only its address counts.
const PDO: u64 = 0xFFFF_9ABC_0000_0000;
/// Returned by the tests' AdapterControl.
pub(super) static ACTION: AtomicU64 = AtomicU64::new(3);
/// What the execution routine was last given, and how often it ran.
static GIVEN: AtomicU64 = AtomicU64::new(0);
static RUNS: AtomicU64 = AtomicU64::new(0);

/// A device with an adapter.
pub(super) struct Rig {
    pub(super) edu: Edu,
    pub(super) adapter: u64,
    pub(super) device_object: u64,
}

impl Rig {
    /// Version 3, scatter/gather, transfers up to 64 KiB.
    pub(super) fn new() -> Self {
        Self::of(3, true, 0x1_0000)
    }

    pub(super) fn of(version: u32, scatter_gather: bool, maximum_length: u32) -> Self {
        let edu = Edu::start();
        device::add(Device {
            name: "dut0".into(),
            function: edu.function.clone(),
            pdo: PDO,
            state: State::Started,
            vectors: None,
            before_query: State::Removed,
            reached: device::Reached::default(),
        });
        let description = allocate(0x40);
        let fields = [
            (0, version),
            (0x04, 1 | u32::from(scatter_gather) << 8),
            (0x14, 5),
            (0x20, maximum_length),
            (0x28, WIDTH),
        ];
        for (offset, value) in fields {
            shared::<Cell<u32>>(description + offset).set(value);
        }
        let adapter = hal::io_get_dma_adapter(PDO, description, allocate(8));
        assert_ne!(adapter, 0);
        Self {
            edu,
            adapter,
            device_object: allocate(0x150),
        }
    }

    /// Puts the adapter; nothing may be left, and nothing found.
    pub(super) fn end(self, findings_before: u64) {
        hal::put_dma_adapter(self.adapter);
        let left = transfer::live();
        assert_eq!((left.channels, left.lists, left.map_registers), (0, 0, 0));
        assert_eq!(verifier::findings(), findings_before);
    }

    /// What the device reads at a logical address, 8 bytes.
    pub(super) fn device_reads(&self, iova: u64) -> u64 {
        self.edu.dma(iova, EDU_BUFFER, 8, 0);
        let scratch = Scratch::new(self);
        self.edu.dma(EDU_BUFFER, scratch.iova, 8, TO_MEMORY);
        scratch.word()
    }

    /// The device writes 8 bytes at a logical address.
    pub(super) fn device_writes(&self, iova: u64, value: u64) {
        let scratch = Scratch::new(self);
        scratch.set_word(value);
        self.edu.dma(scratch.iova, EDU_BUFFER, 8, 0);
        self.edu.dma(EDU_BUFFER, iova, 8, TO_MEMORY);
    }

    pub(super) fn get_list(&self, mdl: u64, offset: u64, len: u32, write_to_device: bool) -> u64 {
        let va = shared::<Mdl>(mdl).virtual_address() + offset;
        let status = at_dispatch(|| {
            lists::get_scatter_gather_list(
                self.adapter,
                self.device_object,
                mdl,
                va,
                len,
                list_control(),
                0x77,
                write_to_device.into(),
            )
        });
        assert_eq!(status, status::SUCCESS);
        given()
    }

    pub(super) fn put_list(&self, list: u64, write_to_device: bool) {
        at_dispatch(|| {
            lists::put_scatter_gather_list(self.adapter, list, write_to_device.into());
        });
    }

    /// A channel of so many registers, kept or not by the routine's result; its MapRegisterBase.
    pub(super) fn channel(&self, n_registers: u32, action: u64) -> u64 {
        ACTION.store(action, Ordering::Relaxed);
        let status = at_dispatch(|| {
            channels::allocate_adapter_channel(
                self.adapter,
                self.device_object,
                n_registers,
                adapter_control(),
                0,
            )
        });
        assert_eq!(status, status::SUCCESS);
        given()
    }

    pub(super) fn free_registers(&self, base: u64, n_registers: u32) {
        at_dispatch(|| channels::free_map_registers(self.adapter, base, n_registers));
    }

    /// MapTransfer at an offset: logical address and bytes.
    pub(super) fn map(
        &self,
        mdl: u64,
        base: u64,
        offset: u64,
        len: u32,
        write: bool,
    ) -> (u64, u32) {
        let n_bytes = allocate(8);
        shared::<Cell<u32>>(n_bytes).set(len);
        let va = shared::<Mdl>(mdl).virtual_address() + offset;
        let iova = maps::map_transfer(self.adapter, mdl, base, va, n_bytes, write.into());
        (iova, shared::<Cell<u32>>(n_bytes).get())
    }

    pub(super) fn flush(&self, mdl: u64, base: u64, offset: u64, len: u32, write: bool) -> bool {
        let va = shared::<Mdl>(mdl).virtual_address() + offset;
        maps::flush_adapter_buffers(self.adapter, mdl, base, va, len, write.into()) != 0
    }

    pub(super) fn context(&self) -> u64 {
        let context = allocate(128);
        let status = info::initialize_dma_transfer_context(self.adapter, context);
        assert_eq!(status, status::SUCCESS);
        context
    }

    pub(super) fn channel_ex(&self, context: u64, n_registers: u32) -> status::NtStatus {
        ACTION.store(3, Ordering::Relaxed);
        at_dispatch(|| {
            channels::allocate_adapter_channel_ex(
                self.adapter,
                self.device_object,
                context,
                n_registers,
                0,
                adapter_control(),
                0,
                0,
            )
        })
    }
}

/// A word of a common buffer, for the device's other hand.
struct Scratch {
    adapter: u64,
    va: u64,
    iova: u64,
}

impl Scratch {
    fn new(rig: &Rig) -> Self {
        let logical = allocate(8);
        let va = hal::allocate_common_buffer(rig.adapter, 0x1000, logical, 1);
        assert_ne!(va, 0);
        Self {
            adapter: rig.adapter,
            va,
            iova: read_u64(logical),
        }
    }

    fn word(&self) -> u64 {
        read_u64(self.va)
    }

    fn set_word(&self, value: u64) {
        write_bytes(self.va, &value.to_le_bytes());
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        hal::free_common_buffer(self.adapter, 0x1000, self.iova, self.va, 1);
    }
}

pub(super) fn allocate(len_bytes: u64) -> u64 {
    let request = PoolRequest {
        len_bytes,
        tag: TAG,
        kind: PoolKind::NonPaged,
        content: Content::Zero,
        executable: false,
        caller: 0,
    };
    pool::allocate(&request).expect("there is memory").as_u64()
}

/// The MDL of so many bytes at that offset of fresh pages, built; and their address.
pub(super) fn buffer(offset: u64, len: u32) -> (u64, u64) {
    let memory = allocate(offset + u64::from(len) + PAGE_BYTES).next_multiple_of(PAGE_BYTES);
    let va = memory + offset;
    let mdl = io_allocate_mdl(va, len, 0, 0, 0);
    assert_ne!(mdl, 0);
    mm_build_mdl_for_nonpaged_pool(mdl);
    (mdl, va)
}

pub(super) fn at_dispatch<R>(body: impl FnOnce() -> R) -> R {
    let old = irql::raise(DISPATCH_LEVEL);
    let result = body();
    irql::lower(old);
    result
}

extern "win64" fn on_list(_device: u64, _irp: u64, list: u64, context: u64) {
    assert_eq!((irql::current(), context), (DISPATCH_LEVEL, 0x77));
    note(list);
}

extern "win64" fn on_channel(_device: u64, _irp: u64, base: u64, _context: u64) -> u32 {
    assert_eq!(irql::current(), DISPATCH_LEVEL);
    note(base);
    u32::try_from(ACTION.load(Ordering::Relaxed)).expect("an action")
}

fn note(what: u64) {
    GIVEN.store(what, Ordering::Relaxed);
    RUNS.fetch_add(1, Ordering::Relaxed);
}

pub(super) fn list_control() -> u64 {
    let routine = on_list as extern "win64" fn(u64, u64, u64, u64);
    (routine as *const ()).expose_provenance() as u64
}

pub(super) fn adapter_control() -> u64 {
    let routine = on_channel as extern "win64" fn(u64, u64, u64, u64) -> u32;
    (routine as *const ()).expose_provenance() as u64
}

/// What the routine was given. Below DISPATCH_LEVEL it has run, from a DPC at the latest.
pub(super) fn given() -> u64 {
    assert_eq!(irql::current(), PASSIVE_LEVEL);
    let given = GIVEN.swap(0, Ordering::Relaxed);
    assert_ne!(given, 0, "the routine has not run");
    given
}

pub(super) fn runs() -> u64 {
    RUNS.load(Ordering::Relaxed)
}

/// Address and bytes of each element.
pub(super) fn elements(list: u64) -> Vec<(u64, u64)> {
    let n_elements = u64::from(shared::<Cell<u32>>(list).get());
    (0..n_elements)
        .map(|idx| {
            let element = list + 0x10 + idx * 0x18;
            let len = shared::<Cell<u32>>(element + 8).get();
            (read_u64(element), u64::from(len))
        })
        .collect()
}
