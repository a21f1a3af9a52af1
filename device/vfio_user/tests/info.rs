//! DEVICE_GET_INFO, DEVICE_GET_REGION_INFO, DEVICE_GET_IRQ_INFO.

mod support;

use std::os::fd::AsFd;

use support::{BAR0_SIZE, Rig, inode};
use vfio_user::client::{irq_info_payload, region_info_payload};
use vfio_user::message::{
    Command, DeviceInfoMessage, IRQ_FLAG_AUTOMASKED, IRQ_FLAG_EVENTFD, IRQ_FLAG_MASKABLE,
    IrqInfoMessage, REGION_FLAG_CAPS, REGION_FLAG_MMAP, REGION_FLAG_READ, REGION_FLAG_WRITE,
    RegionInfoMessage, SparseMmapCapability,
};
use vfio_user::{Errno, SparseArea};
use zerocopy::{FromBytes, IntoBytes};

#[test]
fn device_is_pci_with_reset_nine_regions_and_five_interrupt_kinds() {
    let mut rig = Rig::new();

    let reply = rig
        .call(Command::DEVICE_GET_INFO, [16_u32, 0, 0, 0].as_bytes())
        .expect("info");

    let info = DeviceInfoMessage::read_from_bytes(&reply).expect("a layout");
    assert_eq!(
        (info.argsz, info.flags, info.n_regions, info.n_irqs),
        (16, 3, 9, 5)
    );
}

#[test]
fn short_info_requests_are_refused() {
    let mut rig = Rig::new();
    for (command, payload) in [
        (Command::DEVICE_GET_INFO, vec![0; 15]),
        (
            Command::DEVICE_GET_INFO,
            [15_u32, 0, 0, 0].as_bytes().to_vec(),
        ),
        (Command::DEVICE_GET_INFO, vec![0; 17]),
        (Command::DEVICE_GET_REGION_INFO, vec![0; 31]),
        (Command::DEVICE_GET_REGION_INFO, region_info_payload(0, 31)),
        (Command::DEVICE_GET_REGION_INFO, region_info_payload(9, 32)),
        (
            Command::DEVICE_GET_REGION_INFO,
            region_info_payload(u32::MAX, 32),
        ),
        (Command::DEVICE_GET_IRQ_INFO, vec![0; 12]),
        (Command::DEVICE_GET_IRQ_INFO, irq_info_payload(5)),
        (Command::DEVICE_GET_IRQ_INFO, irq_info_payload(u32::MAX)),
    ] {
        assert_eq!(
            rig.call(command, &payload),
            Err(Errno::EINVAL),
            "{payload:02x?}"
        );
    }
    rig.assert_in_step();
}

#[test]
fn plain_region_is_described_in_32_bytes_without_a_descriptor() {
    let mut rig = Rig::new();

    let reply = rig.exchange(
        Command::DEVICE_GET_REGION_INFO,
        &region_info_payload(0, 32),
        &[],
    );

    let info = RegionInfoMessage::read_from_bytes(&reply.payload).expect("a layout");
    assert_eq!((info.argsz, info.index, info.cap_offset), (32, 0, 0));
    assert_eq!(info.flags, REGION_FLAG_READ | REGION_FLAG_WRITE);
    assert_eq!(info.size, BAR0_SIZE);
    assert!(reply.fds.is_empty());
}

#[test]
fn absent_region_has_size_zero_and_is_no_error() {
    let mut rig = Rig::new();

    let reply = rig.call(Command::DEVICE_GET_REGION_INFO, &region_info_payload(6, 32));

    let info = RegionInfoMessage::read_from_bytes(&reply.expect("a reply")).expect("a layout");
    assert_eq!((info.size, info.flags), (0, 0));
}

#[test]
fn wholly_mappable_region_comes_with_its_descriptor_at_once() {
    let mut rig = Rig::new();

    let reply = rig.exchange(
        Command::DEVICE_GET_REGION_INFO,
        &region_info_payload(4, 32),
        &[],
    );

    let info = RegionInfoMessage::read_from_bytes(&reply.payload).expect("a layout");
    assert_eq!(
        info.flags,
        REGION_FLAG_READ | REGION_FLAG_WRITE | REGION_FLAG_MMAP
    );
    assert_eq!(info.offset, 0x2000);
    assert_eq!(reply.fds.len(), 1);
    assert_eq!(inode(reply.fds[0].as_fd()), inode(rig.device.bar4.as_fd()));
}

#[test]
fn sparse_region_asks_for_room_first_and_then_tells_its_areas() {
    let mut rig = Rig::new();
    let areas = [(0, 0x1000), (0x2000, 0x2000)].map(|(offset, size)| SparseArea { offset, size });
    rig.device.bar4_areas = areas.to_vec();

    let first = rig.exchange(
        Command::DEVICE_GET_REGION_INFO,
        &region_info_payload(4, 32),
        &[],
    );
    let needed = RegionInfoMessage::read_from_bytes(&first.payload)
        .expect("a layout")
        .argsz;
    let second = rig.exchange(
        Command::DEVICE_GET_REGION_INFO,
        &region_info_payload(4, needed),
        &[],
    );

    assert_eq!(needed, 32 + 16 + 2 * 16);
    assert_eq!(first.payload.len(), 32);
    assert!(first.fds.is_empty());
    assert_eq!(second.payload.len(), 80);
    assert_eq!(second.fds.len(), 1);
    let (info, rest) = RegionInfoMessage::read_from_prefix(&second.payload).expect("a layout");
    assert_eq!(info.cap_offset, 32);
    assert_ne!(info.flags & REGION_FLAG_CAPS, 0);
    let (capability, rest) = SparseMmapCapability::read_from_prefix(rest).expect("a capability");
    assert_eq!(
        (capability.id, capability.version, capability.next),
        (1, 1, 0)
    );
    assert_eq!(capability.n_areas, 2);
    assert_eq!(rest, areas.as_bytes());
}

#[test]
fn interrupt_kinds_never_say_noresize() {
    let mut rig = Rig::new();
    for (index, count, flags) in [
        (
            0,
            1,
            IRQ_FLAG_EVENTFD | IRQ_FLAG_MASKABLE | IRQ_FLAG_AUTOMASKED,
        ),
        (1, 0, IRQ_FLAG_EVENTFD),
        (2, 4, IRQ_FLAG_EVENTFD),
        (3, 0, IRQ_FLAG_EVENTFD),
        (4, 0, IRQ_FLAG_EVENTFD),
    ] {
        let reply = rig.call(Command::DEVICE_GET_IRQ_INFO, &irq_info_payload(index));

        let info = IrqInfoMessage::read_from_bytes(&reply.expect("a reply")).expect("a layout");
        assert_eq!(
            (info.argsz, info.index, info.count, info.flags),
            (16, index, count, flags)
        );
    }
}
