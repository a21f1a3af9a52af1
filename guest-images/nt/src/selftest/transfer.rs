//! Channels, map registers, transfers and scatter/gather lists, with `edu` as the device. They hold under every
//! `bounce=`, `map-registers=` and `sg-callback=`.

use alloc::vec::Vec;
use core::cell::Cell;
use core::sync::atomic::{AtomicU64, Ordering};

use super::Test;
use super::devices::{EDU_BUFFER, Edu, TO_MEMORY};
use crate::boot::{self, Bounce};
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
use crate::ntoskrnl::shared::{fill, read_bytes, read_u64, shared, write_bytes};
use crate::ntoskrnl::status;
use crate::ntoskrnl::verifier;
use crate::pnp::device::{self, Device, State};
use crate::vtd;

pub(super) const SOUND: &[Test] = &[
    (
        "list_moves_data_to_the_device",
        list_moves_data_to_the_device,
    ),
    (
        "list_moves_data_from_the_device",
        list_moves_data_from_the_device,
    ),
    (
        "transfer_is_split_by_its_map_registers",
        transfer_is_split_by_its_map_registers,
    ),
    (
        "transfers_without_a_list_go_piece_by_piece",
        transfers_without_a_list_go_piece_by_piece,
    ),
    (
        "device_without_scatter_gather_gets_one_piece",
        device_without_scatter_gather_gets_one_piece,
    ),
    (
        "waiting_channel_runs_when_registers_come_free",
        waiting_channel_runs_when_registers_come_free,
    ),
    ("cancelled_channel_never_runs", cancelled_channel_never_runs),
    (
        "synchronous_list_is_freed_by_its_adapter_object",
        synchronous_list_is_freed_by_its_adapter_object,
    ),
    (
        "transfer_refusals_have_their_documented_status",
        transfer_refusals_have_their_documented_status,
    ),
];

/// `edu` reaches 28 bits.
const WIDTH: u32 = 28;
const TAG: u32 = u32::from_le_bytes(*b"Test");
/// The physical device object of the tests' device; only its address counts.
const PDO: u64 = 0xFFFF_9ABC_0000_0000;
const OFFSET: u64 = 0x804;
const LEN: u32 = 0x1900;
/// Returned by the tests' AdapterControl.
static ACTION: AtomicU64 = AtomicU64::new(3);
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
    fn end(self, findings_before: u64) {
        hal::put_dma_adapter(self.adapter);
        let left = transfer::live();
        assert_eq!((left.channels, left.lists, left.map_registers), (0, 0, 0));
        assert_eq!(verifier::findings(), findings_before);
    }

    /// What the device reads at a logical address, 8 bytes.
    fn device_reads(&self, iova: u64) -> u64 {
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

    fn channel_ex(&self, context: u64, n_registers: u32) -> status::NtStatus {
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

fn list_control() -> u64 {
    let routine = on_list as extern "win64" fn(u64, u64, u64, u64);
    (routine as *const ()).expose_provenance() as u64
}

fn adapter_control() -> u64 {
    let routine = on_channel as extern "win64" fn(u64, u64, u64, u64) -> u32;
    (routine as *const ()).expose_provenance() as u64
}

/// What the routine was given. Below DISPATCH_LEVEL it has run, from a DPC at the latest.
fn given() -> u64 {
    assert_eq!(irql::current(), PASSIVE_LEVEL);
    let given = GIVEN.swap(0, Ordering::Relaxed);
    assert_ne!(given, 0, "the routine has not run");
    given
}

fn runs() -> u64 {
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

fn is_always_bounced() -> bool {
    boot::info().is_none_or(|info| info.options.bounce == Bounce::Always)
}

fn list_moves_data_to_the_device() {
    let before = verifier::findings();
    let rig = Rig::new();
    let (mdl, va) = buffer(OFFSET, LEN);
    let bytes: Vec<u8> = (0..LEN)
        .map(|idx| (idx.wrapping_mul(7) >> 2).to_le_bytes()[0])
        .collect();
    write_bytes(va, &bytes);

    let list = rig.get_list(mdl, 0, LEN, true);

    fill(va, LEN.into(), 0xEE);
    let elements = elements(list);
    assert_eq!(
        elements.iter().map(|(_, len)| len).sum::<u64>(),
        u64::from(LEN)
    );
    let mut position = 0;
    for (iova, len) in &elements {
        let seen = rig.device_reads(*iova).to_le_bytes();
        let expected = if is_always_bounced() {
            &bytes[position..position + 8]
        } else {
            &[0xEE; 8]
        };
        assert_eq!(seen, expected, "element at {iova:#x}");
        position += usize::try_from(*len).expect("small");
    }
    rig.put_list(list, true);
    if vtd::is_enabled() {
        let faults = vtd::fault_count();
        rig.edu.dma(elements[0].0, EDU_BUFFER, 8, 0);
        assert_eq!(vtd::fault_count(), faults + 1, "the mapping is gone");
    }
    assert_eq!(read_bytes(va, 8), [0xEE; 8], "nothing comes back");
    rig.end(before);
}

fn list_moves_data_from_the_device() {
    let before = verifier::findings();
    let rig = Rig::new();
    let (mdl, va) = buffer(OFFSET, LEN);
    fill(va, LEN.into(), 0x11);
    let (offset, len) = (0x10, LEN - 0x20);

    let list = rig.get_list(mdl, offset, len, false);

    let elements = elements(list);
    for (idx, (iova, _)) in elements.iter().enumerate() {
        rig.device_writes(*iova, 0x1000 + idx as u64);
    }
    if is_always_bounced() {
        assert_eq!(
            read_bytes(va + offset, 8),
            [0xB7; 8],
            "poison until it is put"
        );
    }
    rig.put_list(list, false);
    let mut at = va + offset;
    for (idx, (_, len)) in elements.iter().enumerate() {
        assert_eq!(
            read_bytes(at, 8),
            (0x1000 + idx as u64).to_le_bytes(),
            "element {idx}"
        );
        at += len;
    }
    assert_eq!(read_bytes(va, 0x10), [0x11; 0x10], "before the transfer");
    assert_eq!(read_bytes(at, 0x10), [0x11; 0x10], "behind it");
    rig.end(before);
}

/// MapTransferEx with the list buffer of GetDmaTransferInfo, until all is moved.
fn transfer_is_split_by_its_map_registers() {
    let before = verifier::findings();
    let rig = Rig::of(3, true, 0x2000);
    let (mdl, _) = buffer(0x800, 0x7000);
    let info = allocate(0x14);
    shared::<Cell<u32>>(info).set(2);
    let status = info::get_dma_transfer_info(rig.adapter, mdl, 0, 0x7000, 0, info);
    assert_eq!(status, status::SUCCESS);
    let word = |offset: u64| shared::<Cell<u32>>(info + offset).get();
    assert_eq!((word(0x4), word(0x10)), (8, 8));
    let (list, list_len) = (allocate(word(0xC).into()), word(0xC));
    let context = rig.context();
    assert_eq!(rig.channel_ex(context, 2), status::SUCCESS);
    let base = given();

    let (mut offset, mut n_steps) = (0u64, 0);
    while offset < 0x7000 {
        let len = allocate(8);
        shared::<Cell<u32>>(len).set(0x7000 - u32::try_from(offset).expect("small"));
        let status = maps::map_transfer_ex(
            rig.adapter,
            mdl,
            base,
            offset,
            0,
            len,
            1,
            list,
            list_len,
            0,
            0,
        );
        assert_eq!(status, status::SUCCESS);
        let n_bytes = shared::<Cell<u32>>(len).get();
        let sum: u64 = elements(list).iter().map(|(_, len)| len).sum();
        assert_eq!(sum, u64::from(n_bytes));
        let status = maps::flush_adapter_buffers_ex(rig.adapter, mdl, base, offset, n_bytes, 1);
        assert_eq!(status, status::SUCCESS);
        offset += u64::from(n_bytes);
        n_steps += 1;
    }
    assert_eq!(n_steps, 4, "two pages at a time");
    rig.free_registers(base, 2);
    rig.end(before);
}

fn transfers_without_a_list_go_piece_by_piece() {
    let before = verifier::findings();
    let rig = Rig::of(3, true, 0x4000);
    let (mdl, va) = buffer(0x800, 0x1000);
    let base = rig.channel(2, 3);

    let (first, n_first) = rig.map(mdl, base, 0, 0x1000, false);
    assert!(n_first == 0x800 || !is_always_bounced());
    rig.device_writes(first, 0xABCD);
    if n_first < 0x1000 {
        let (second, n_second) = rig.map(mdl, base, n_first.into(), 0x1000 - n_first, false);
        assert_eq!(n_first + n_second, 0x1000);
        rig.device_writes(second, 0xEF01);
    } else {
        rig.device_writes(first + 0x800, 0xEF01);
    }
    assert!(rig.flush(mdl, base, 0, 0x1000, false), "both in one call");
    assert_eq!((read_u64_at(va), read_u64_at(va + 0x800)), (0xABCD, 0xEF01));
    rig.free_registers(base, 2);
    rig.end(before);
}

fn read_u64_at(va: u64) -> u64 {
    u64::from_le_bytes(read_bytes(va, 8).try_into().expect("eight bytes"))
}

/// A chain of two MDLs that fill no whole pages, as one run for the device.
fn device_without_scatter_gather_gets_one_piece() {
    let before = verifier::findings();
    let rig = Rig::of(3, false, 0x4000);
    let (mdl, va) = buffer(0x800, 0x900);
    let (second, second_va) = buffer(0x10, 0x100);
    shared::<Mdl>(mdl).next.set(shared::<Mdl>(second));
    write_bytes(va + 0x8f8, &[1; 8]);
    write_bytes(second_va, &[2; 8]);

    let list = rig.get_list(mdl, 0, 0xA00, true);

    let elements = elements(list);
    let [(iova, 0xA00)] = elements[..] else {
        panic!("{elements:x?}");
    };
    assert_eq!(rig.device_reads(iova + 0x8fc), 0x0202_0202_0101_0101);
    rig.put_list(list, true);
    rig.end(before);
}

fn waiting_channel_runs_when_registers_come_free() {
    let before = verifier::findings();
    let rig = Rig::of(3, true, 0x3000);
    let contexts = [rig.context(), rig.context(), rig.context()];
    assert_eq!(rig.channel_ex(contexts[0], 2), status::SUCCESS);
    let first = given();
    let n_runs = runs();

    // The second may fit; the third does not, or waits behind it.
    assert_eq!(rig.channel_ex(contexts[1], 2), status::SUCCESS);
    assert_eq!(rig.channel_ex(contexts[2], 1), status::SUCCESS);
    let granted = boot::info().and_then(|info| info.options.map_registers);
    let n_running = u64::from(granted.is_none_or(|granted| granted >= 4));
    assert_eq!(runs(), n_runs + n_running);
    rig.free_registers(first, 2);
    assert_eq!(runs(), n_runs + 2);
    // MapRegisterBases are given in order: the second one's lies before the last.
    let last = given();
    rig.free_registers(last, 1);
    rig.free_registers(last - 0x1000, 2);
    rig.end(before);
}

fn cancelled_channel_never_runs() {
    let before = verifier::findings();
    let rig = Rig::of(3, true, 0x1000);
    let contexts = [rig.context(), rig.context(), rig.context()];
    assert_eq!(rig.channel_ex(contexts[0], 2), status::SUCCESS);
    let base = given();
    let n_runs = runs();
    let cancel =
        |context| channels::cancel_adapter_channel(rig.adapter, rig.device_object, context);

    assert_eq!(rig.channel_ex(contexts[1], 1), status::SUCCESS);
    assert_eq!(cancel(contexts[1]), 1, "it waits");
    assert_eq!(cancel(contexts[0]), 0, "it has run");
    assert_eq!(cancel(contexts[2]), 1, "before its request");
    assert_eq!(rig.channel_ex(contexts[2], 1), status::CANCELLED);
    rig.free_registers(base, 2);
    assert_eq!(runs(), n_runs);

    // The contexts are free again.
    assert_eq!(rig.channel_ex(contexts[2], 1), status::SUCCESS);
    rig.free_registers(given(), 1);
    rig.end(before);
}

fn synchronous_list_is_freed_by_its_adapter_object() {
    let before = verifier::findings();
    let rig = Rig::of(3, true, 0x1000);
    let (mdl, _) = buffer(0, 0x2000);
    let out = allocate(8);
    let get = |context: u64| {
        lists::get_scatter_gather_list_ex(
            rig.adapter,
            rig.device_object,
            context,
            mdl,
            0,
            0x2000,
            1,
            0,
            0,
            1,
            0,
            0,
            out,
        )
    };
    let contexts = [rig.context(), rig.context()];

    assert_eq!(get(contexts[0]), status::SUCCESS);
    let list = read_u64(out);
    assert_eq!(
        get(contexts[1]),
        status::INSUFFICIENT_RESOURCES,
        "the first has it"
    );
    channels::free_adapter_object(rig.adapter, 1);
    assert_eq!(
        get(contexts[1]),
        status::INSUFFICIENT_RESOURCES,
        "KeepObject"
    );
    channels::free_adapter_object(rig.adapter, 3);
    assert_eq!(
        get(contexts[1]),
        status::INSUFFICIENT_RESOURCES,
        "no registers"
    );
    rig.put_list(list, true);
    assert_eq!(get(contexts[1]), status::SUCCESS);
    rig.put_list(read_u64(out), true);
    channels::free_adapter_object(rig.adapter, 2);
    rig.end(before);
}

fn transfer_refusals_have_their_documented_status() {
    let before = verifier::findings();
    let rig = Rig::of(3, true, 0x3000);
    let (mdl, va) = buffer(0, 0x2000);
    let (long, long_va) = buffer(0, 0x9000);
    let (list, out) = (allocate(0x1000), allocate(8));
    let get = |mdl, va, len: u32| {
        at_dispatch(|| {
            lists::get_scatter_gather_list(
                rig.adapter,
                rig.device_object,
                mdl,
                va,
                len,
                list_control(),
                0x77,
                1,
            )
        })
    };
    assert_eq!(
        get(long, long_va, 0x9000),
        status::INSUFFICIENT_RESOURCES,
        "SG-1"
    );
    let build = |buffer_len: u32| {
        at_dispatch(|| {
            lists::build_scatter_gather_list(
                rig.adapter,
                rig.device_object,
                mdl,
                va,
                0x10,
                list_control(),
                0x77,
                1,
                list,
                buffer_len,
            )
        })
    };
    assert_eq!(build(0x20), status::BUFFER_TOO_SMALL, "SG-5");
    assert_eq!(build(0x1000), status::SUCCESS);
    assert_eq!(given(), list);
    let take =
        |original| lists::build_mdl_from_scatter_gather_list(rig.adapter, list, original, out);
    assert_eq!(take(0), status::INVALID_PARAMETER, "SG-6");
    assert_eq!(
        (take(mdl), take(mdl)),
        (status::SUCCESS, status::NONE_MAPPED)
    );
    rig.put_list(list, true);

    let calculate = |mdl, va, len| {
        let status = info::calculate_scatter_gather_list(rig.adapter, mdl, va, len, out, out + 4);
        assert_eq!(status, status::SUCCESS);
        shared::<Cell<u32>>(out + 4).get()
    };
    assert_eq!(
        (calculate(0, 0, 0x4000), calculate(0, 1, 0x4000)),
        (4, 5),
        "SG-4"
    );
    let context = rig.context();
    let get_ex = |flags, routine, completion, out| {
        lists::get_scatter_gather_list_ex(
            rig.adapter,
            rig.device_object,
            context,
            mdl,
            0,
            0x10,
            flags,
            routine,
            0,
            1,
            completion,
            0,
            out,
        )
    };
    let refused = [
        get_ex(0, 0, 0, out),
        get_ex(1, 0, 0, 0),
        get_ex(2, list_control(), 0, out),
        get_ex(0, list_control(), 1, out),
    ];
    assert_eq!(refused, [status::INVALID_PARAMETER; 4], "SX-1, SX-2, SX-4");
    let info_of = |version| {
        shared::<Cell<u32>>(out).set(version);
        info::get_dma_transfer_info(rig.adapter, mdl, 0, 1, 0, out)
    };
    assert_eq!(
        (info_of(0), info_of(3)),
        (status::NOT_SUPPORTED, status::NOT_SUPPORTED),
        "TI-1"
    );
    assert_eq!(
        info::initialize_dma_transfer_context(rig.adapter, 0),
        status::INVALID_PARAMETER,
        "TC-1"
    );
    rig.end(before);
}
