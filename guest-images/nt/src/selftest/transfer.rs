//! Channels, map registers, transfers and scatter/gather lists, with `edu` as the device. They hold under every
//! `bounce=`, `map-registers=` and `sg-callback=`.

use alloc::vec::Vec;
use core::cell::Cell;

use super::Test;
use super::devices::EDU_BUFFER;
use super::transfer_rig::{
    Rig, allocate, at_dispatch, buffer, elements, given, list_control, runs,
};
use crate::boot::{self, Bounce};
use crate::hal_dma::transfer::{
    channel_operations as channels, info_operations as info, list_operations as lists,
    map_operations as maps,
};
use crate::mdl::Mdl;
use crate::ntoskrnl::shared::{fill, read_bytes, read_u64, shared, write_bytes};
use crate::ntoskrnl::status;
use crate::ntoskrnl::verifier;
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
const OFFSET: u64 = 0x804;
const LEN: u32 = 0x1900;

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
