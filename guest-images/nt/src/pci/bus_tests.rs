//! Whole bus trees brought up on a fake bus.

use super::super::capability;
use super::super::config::{command, find_capability, offset};
use super::super::fake::{FakeBus, FakeFunction};
use super::*;
use crate::pci::BarKind;
use proptest::prelude::*;

const MEMORY: Range<u64> = 0xC000_0000..0xFEC0_0000;

fn id(bus: u8, device: u8) -> RequesterId {
    RequesterId::try_new(bus, device, 0).expect("in range")
}

fn bring_up(functions: Vec<((u8, u8), FakeFunction)>) -> Bus<FakeBus> {
    Bus::bring_up(FakeBus::new(functions), MEMORY)
}

/// The window that a bridge passes on, as its registers say it.
fn bridge_window(bridge: &FakeFunction) -> Range<u64> {
    let base = u64::from(bridge.u16_at(offset::MEMORY_BASE)) << 16;
    let limit = u64::from(bridge.u16_at(offset::MEMORY_LIMIT)) << 16;
    if limit < base {
        return 0..0;
    }
    base..limit + 0x10_0000
}

/// What a BAR's registers decode.
fn bar_range(function: &FakeFunction, bar: &Bar) -> Range<u64> {
    let at = offset::BAR_0 + 4 * u16::from(bar.index);
    let mut address = u64::from(function.u32_at(at) & !0xF);
    if matches!(bar.kind, BarKind::Memory64 { .. }) {
        address |= u64::from(function.u32_at(at + 4)) << 32;
    }
    address..address + bar.len_bytes
}

#[test]
fn function_behind_root_port_is_numbered_sized_and_decodes() {
    let device = FakeFunction::endpoint(0xD0A0)
        .with_memory_32(0, 0x1000)
        .with_memory_64(2, 0x10_0000)
        .with_io(4, 0x20);
    let port = FakeFunction::bridge(vec![((0, 0), device)]).with_memory_32(0, 0x1000);
    let mut bus = bring_up(vec![((3, 0), port)]);

    let devices = bus.devices();
    assert_eq!(devices.len(), 1);
    let function = &devices[0];
    assert_eq!(function.id, id(1, 0));
    assert_eq!((function.vendor_id, function.device_id), (0x1234, 0xD0A0));
    let sizes: Vec<_> = function
        .bars
        .iter()
        .map(|bar| (bar.index, bar.len_bytes, bar.address.is_some()))
        .collect();
    // Root ports pass no ports on.
    assert_eq!(
        sizes,
        [(0, 0x1000, true), (2, 0x10_0000, true), (4, 0x20, false)]
    );

    let port = bus.config.function(id(0, 3)).expect("port").clone();
    assert_eq!(port.bytes[0x18..0x1B], [0, 1, 1]);
    let both = command::MEMORY | command::BUS_MASTER;
    assert_eq!(port.u16_at(offset::COMMAND), both);
    let window = bridge_window(&port);
    let device = bus.config.function(id(1, 0)).expect("device");
    assert_eq!(device.u16_at(offset::COMMAND), command::MEMORY);
    for bar in function.bars.iter().filter(|bar| bar.is_memory()) {
        let range = bar_range(device, bar);
        assert!(window.start <= range.start && range.end <= window.end);
        assert_eq!(bar.address.expect("assigned").raw(), range.start);
    }
    let own = u64::from(port.u32_at(offset::BAR_0));
    assert!(MEMORY.contains(&own) && !window.contains(&own));
}

#[test]
fn bridges_of_any_kind_are_no_devices_and_functions_come_in_bus_order() {
    let mut host = FakeFunction::endpoint(0x29C0);
    host.put_u16(offset::CLASS + 2, 0x0600);
    let port = FakeFunction::bridge(vec![((0, 0), FakeFunction::endpoint(2))]);
    let bus = bring_up(vec![
        ((0, 0), host),
        ((1, 0), port),
        ((4, 0), FakeFunction::endpoint(1)),
    ]);
    let found: Vec<u16> = bus
        .devices()
        .iter()
        .map(|device| device.device_id)
        .collect();
    assert_eq!(found, [1, 2]);
}

#[test]
fn bus_numbers_of_the_firmware_do_not_hide_a_bridge() {
    // As qboot leaves two root ports: numbered in another order than this kernel's.
    let numbered = |device_id: u16, bus: u8| {
        let mut port = FakeFunction::bridge(vec![((0, 0), FakeFunction::endpoint(device_id))]);
        port.bytes[0x18..0x1B].copy_from_slice(&[0, bus, bus]);
        port
    };
    let bus = bring_up(vec![((1, 0), numbered(1, 2)), ((2, 0), numbered(2, 1))]);
    let found: Vec<u16> = bus
        .devices()
        .iter()
        .map(|device| device.device_id)
        .collect();
    assert_eq!(found, [1, 2]);
}

#[test]
fn only_multifunction_devices_are_asked_for_further_functions() {
    let mut first = FakeFunction::endpoint(1);
    first.bytes[usize::from(offset::HEADER_TYPE)] = 0x80;
    let bus = bring_up(vec![
        ((1, 0), first),
        ((1, 5), FakeFunction::endpoint(2)),
        ((2, 0), FakeFunction::endpoint(3)),
        ((2, 1), FakeFunction::endpoint(4)),
        ((3, 1), FakeFunction::endpoint(5)),
    ]);
    let found: Vec<u16> = bus
        .devices()
        .iter()
        .map(|device| device.device_id)
        .collect();
    assert_eq!(found, [1, 2, 3]);
}

#[test]
fn pin_behind_a_bridge_reaches_the_line_of_its_slot() {
    let mut device = FakeFunction::endpoint(1);
    device.bytes[usize::from(offset::INTERRUPT_PIN)] = 1;
    let mut direct = device.clone();
    direct.bytes[usize::from(offset::INTERRUPT_PIN)] = 5;
    let bus = bring_up(vec![
        ((3, 0), FakeFunction::bridge(vec![((0, 0), device)])),
        ((4, 0), direct),
    ]);
    let lines: Vec<_> = bus.devices().iter().map(|device| device.line).collect();
    assert_eq!(lines[0], None, "there is no pin 5");
    let line = lines[1].expect("a line");
    assert_eq!((line.pin, line.gsi), (1, 23));
}

#[test]
fn bridges_end_where_bus_numbers_do() {
    let inner = FakeFunction::bridge(vec![((0, 0), FakeFunction::endpoint(1))]);
    let outer = FakeFunction::bridge(vec![((0, 0), inner)]);
    let mut fake = FakeBus::new(vec![((1, 0), outer)]);
    fake.last_bus = 1;
    let mut bus = Bus::bring_up(fake, MEMORY);
    assert_eq!(bus.devices(), []);
    let inner = bus.config.function(id(1, 0)).expect("inner bridge");
    assert_eq!(inner.bytes[0x18..0x1B], [1, 0, 0]);
}

#[test]
fn bar_without_room_stays_unassigned_and_undecoded() {
    let huge = FakeFunction::endpoint(1).with_memory_64(0, 1 << 40);
    let small = FakeFunction::endpoint(2).with_memory_32(0, 0x1000);
    let mut bus = bring_up(vec![
        ((1, 0), FakeFunction::bridge(vec![((0, 0), huge)])),
        ((2, 0), small),
    ]);
    let devices = bus.devices();
    assert!(devices[0].bars[0].address.is_some(), "the small one");
    assert_eq!(devices[1].bars[0].address, None);
    assert_eq!(devices[1].bars[0].len_bytes, 1 << 40);
    let device = bus.config.function(id(1, 0)).expect("device");
    assert_eq!(device.u16_at(offset::COMMAND), 0);
    assert_eq!(bus.reassign(id(1, 0)), Err(PciError::Exhausted));
}

#[test]
fn reassigned_function_has_other_addresses_in_the_same_window() {
    let device = FakeFunction::endpoint(1)
        .with_memory_32(0, 0x1000)
        .with_memory_64(2, 0x4000);
    let mut bus = bring_up(vec![((1, 0), FakeFunction::bridge(vec![((0, 0), device)]))]);
    let before = bus.devices()[0].bars.clone();
    for _ in 0..10 {
        let old = bus.devices()[0].bars.clone();
        let new = bus.reassign(id(1, 0)).expect("room");
        assert_eq!(bus.devices()[0].bars, new);
        let window = bridge_window(bus.config.function(id(0, 1)).expect("port"));
        let device = bus.config.function(id(1, 0)).expect("device");
        for (bar, old) in new.iter().zip(&old) {
            assert_ne!(bar.address, old.address);
            let range = bar_range(device, bar);
            assert_eq!(bar.address.expect("assigned").raw(), range.start);
            assert!(window.start <= range.start && range.end <= window.end);
        }
    }
    assert_ne!(bus.devices()[0].bars, before);
    assert_eq!(bus.reassign(id(9, 0)), Err(PciError::NoFunction));
}

#[test]
fn capability_lists_that_loop_or_stray_end() {
    let good = FakeFunction::endpoint(1)
        .with_capability(0x40, 1, 0x50)
        .with_capability(0x50, capability::MSIX, 0);
    let looping = FakeFunction::endpoint(2)
        .with_capability(0x40, 1, 0x50)
        .with_capability(0x50, 5, 0x40);
    let itself = FakeFunction::endpoint(3).with_capability(0x40, 1, 0x40);
    let into_header = FakeFunction::endpoint(4).with_capability(0x40, 1, 0x10);
    let unaligned = FakeFunction::endpoint(5)
        .with_capability(0xFC, 1, 0x43)
        .with_capability(0x40, capability::MSIX, 0xFF);
    let mut silent = good.clone();
    silent.bytes[usize::from(offset::STATUS)] = 0;
    for (function, expected) in [
        (good, Some(0x50)),
        (looping, None),
        (itself, None),
        (into_header, None),
        (unaligned, Some(0x40)),
        (silent, None),
    ] {
        let mut bus = FakeBus::new(vec![((1, 0), function)]);
        assert_eq!(
            find_capability(&mut bus, id(0, 1), capability::MSIX),
            expected
        );
    }
    let mut empty = FakeBus::new(vec![]);
    assert_eq!(
        find_capability(&mut empty, id(0, 1), capability::MSIX),
        None
    );
}

#[test]
fn bars_that_cannot_be_are_passed_over() {
    let mut odd = FakeFunction::endpoint(1);
    // A 64-bit BAR in the last register, and a mask with holes.
    odd.bars[5] = (0xFFFF_F000, 0x4);
    odd.bars[0] = (0xF0F0_4000, 0);
    let bus = bring_up(vec![((1, 0), odd)]);
    let devices = bus.devices();
    assert_eq!(devices[0].bars.len(), 1);
    assert_eq!(devices[0].bars[0].len_bytes, 0x4000);
}

fn endpoints() -> impl Strategy<Value = FakeFunction> {
    let bar = prop_oneof![
        3 => (4u32..25).prop_map(|shift| (false, shift)),
        1 => (12u32..32).prop_map(|shift| (true, shift)),
    ];
    prop::collection::vec(bar, 0..3).prop_map(|bars| {
        let mut function = FakeFunction::endpoint(1);
        for (slot, (is_64, shift)) in bars.into_iter().enumerate() {
            function = if is_64 {
                function.with_memory_64(slot * 2, 1 << shift)
            } else {
                function.with_memory_32(slot * 2, 1 << shift)
            };
        }
        function
    })
}

fn trees() -> impl Strategy<Value = FakeFunction> {
    endpoints().prop_recursive(3, 24, 4, |inner| {
        prop::collection::vec(inner, 0..4).prop_map(|children| {
            let numbered = (0u8..).map(|device| (device, 0)).zip(children);
            FakeFunction::bridge(numbered.collect()).with_memory_32(0, 0x1000)
        })
    })
}

/// Checks a bus: everything assigned lies in `window`, aligned and apart from its neighbors.
fn check_level(
    functions: &std::collections::BTreeMap<(u8, u8), FakeFunction>,
    window: &Range<u64>,
) -> Result<(), TestCaseError> {
    let mut taken: Vec<Range<u64>> = Vec::new();
    for function in functions.values() {
        let is_bridge = function.bytes[usize::from(offset::HEADER_TYPE)] == 1;
        let behind = bridge_window(function);
        if is_bridge {
            check_level(&function.children, &behind)?;
            if behind.start < behind.end {
                taken.push(behind);
            }
        }
        for index in [0u8, 2, 4].into_iter().take(if is_bridge { 1 } else { 3 }) {
            let (mask, fixed) = function.bars[usize::from(index)];
            let is_64 = fixed == 0xC;
            let upper = function.bars[usize::from(index) + 1].0;
            let mask = u64::from(mask) | if is_64 { u64::from(upper) << 32 } else { 0 };
            if mask == 0 {
                continue;
            }
            let len_bytes = 1 << mask.trailing_zeros();
            let is_prefetchable = is_64;
            let kind = if is_64 {
                BarKind::Memory64 { is_prefetchable }
            } else {
                BarKind::Memory32 { is_prefetchable }
            };
            let range = bar_range(
                function,
                &Bar {
                    index,
                    kind,
                    address: None,
                    len_bytes,
                },
            );
            if range.start != 0 {
                prop_assert_eq!(range.start % len_bytes, 0);
                taken.push(range);
            }
        }
    }
    taken.sort_by_key(|range| range.start);
    for range in &taken {
        prop_assert!(window.start <= range.start && range.end <= window.end);
    }
    for pair in taken.windows(2) {
        prop_assert!(pair[0].end <= pair[1].start);
    }
    Ok(())
}

proptest! {
    #[test]
    fn assigned_ranges_are_aligned_disjoint_and_inside_their_bridges(
        roots in prop::collection::vec(trees(), 1..6),
    ) {
        let numbered = (1u8..).map(|device| (device, 0)).zip(roots);
        let bus = bring_up(numbered.collect());
        check_level(&bus.config.root, &MEMORY)?;
    }
}
