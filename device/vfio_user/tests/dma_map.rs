//! DMA_MAP.

mod support;

use std::os::fd::AsFd;

use support::{Rig, SeenMap, inode, memfd};
use vfio_user::client::map_payload;
use vfio_user::message::Command;
use vfio_user::{DmaPermissions, Errno};

const READ_WRITE: DmaPermissions = DmaPermissions {
    read: true,
    write: true,
};
const READ_ONLY: DmaPermissions = DmaPermissions {
    read: true,
    write: false,
};

#[test]
fn map_with_a_descriptor_reaches_the_device() {
    let mut rig = Rig::new();
    let memory = memfd(0x10_0000);

    let reply = rig.call_with_fds(
        Command::DMA_MAP,
        &map_payload(3, 0x2000, 0x1_0000_0000, 0x4000),
        &[memory.as_fd()],
    );

    assert_eq!(reply, Ok(vec![]));
    let seen = SeenMap {
        iova: 0x1_0000_0000,
        size: 0x4000,
        permissions: READ_WRITE,
        inode: Some(inode(memory.as_fd())),
        file_offset: 0x2000,
    };
    assert_eq!(rig.device.maps, [seen]);
}

#[test]
fn map_without_a_descriptor_unknown_flags_and_end_at_2_64_are_accepted() {
    let mut rig = Rig::new();

    let reply = rig.call(
        Command::DMA_MAP,
        &map_payload(0xfff0_0001, 0, 0xffff_ffff_ffff_f000, 0x1000),
    );

    assert_eq!(reply, Ok(vec![]));
    assert_eq!(rig.device.maps[0].permissions, READ_ONLY);
    assert_eq!(rig.device.maps[0].inode, None);
}

#[test]
fn descriptor_goes_to_its_own_map_when_several_arrive_at_once() {
    let mut rig = Rig::new();
    let memories = [memfd(0x1000), memfd(0x1000)];
    let send = |rig: &mut Rig, iova, fd: Option<&std::os::fd::OwnedFd>| {
        let fds: Vec<_> = fd.iter().map(|fd| fd.as_fd()).collect();
        rig.client
            .send(Command::DMA_MAP, &map_payload(3, 0, iova, 0x1000), &fds)
            .expect("send");
    };

    send(&mut rig, 0x1000, None);
    send(&mut rig, 0x2000, Some(&memories[0]));
    send(&mut rig, 0x3000, None);
    send(&mut rig, 0x4000, None);
    send(&mut rig, 0x5000, Some(&memories[1]));
    send(&mut rig, 0x6000, None);
    rig.pump();

    let seen: Vec<_> = rig
        .device
        .maps
        .iter()
        .map(|map| (map.iova, map.inode))
        .collect();
    let inodes = memories
        .each_ref()
        .map(|memory| Some(inode(memory.as_fd())));
    assert_eq!(
        seen,
        [
            (0x1000, None),
            (0x2000, inodes[0]),
            (0x3000, None),
            (0x4000, None),
            (0x5000, inodes[1]),
            (0x6000, None),
        ]
    );
}

#[test]
fn bad_maps_are_refused_and_do_not_reach_the_device() {
    let mut rig = Rig::new();
    let good = map_payload(3, 0, 0x1000, 0x1000);
    let mut small_argsz = good.clone();
    small_argsz[0] = 31;
    for payload in [
        vec![],
        good[..31].to_vec(),
        [good, vec![0]].concat(),
        small_argsz,
        map_payload(3, 0, 0x1000, 0),
        map_payload(3, 0, 0xffff_ffff_ffff_f000, 0x1001),
        map_payload(3, 0, u64::MAX, u64::MAX),
        map_payload(3, u64::MAX, 0x1000, 0x1000),
    ] {
        assert_eq!(
            rig.call(Command::DMA_MAP, &payload),
            Err(Errno::EINVAL),
            "{payload:02x?}"
        );
    }
    assert_eq!(rig.device.maps, []);
    rig.assert_in_step();
}

#[test]
fn more_than_one_descriptor_is_refused() {
    let mut rig = Rig::new();
    let memory = memfd(0x1000);

    let reply = rig.call_with_fds(
        Command::DMA_MAP,
        &map_payload(3, 0, 0x1000, 0x1000),
        &[memory.as_fd(), memory.as_fd()],
    );

    assert_eq!(reply, Err(Errno::EINVAL));
    assert_eq!(rig.device.maps, []);
    rig.assert_in_step();
}

#[test]
fn error_of_the_device_reaches_the_client() {
    let mut rig = Rig::new();
    rig.device.refuse = Some(Errno::ENOMEM);

    let reply = rig.call(Command::DMA_MAP, &map_payload(3, 0, 0x1000, 0x1000));

    assert_eq!(reply, Err(Errno::ENOMEM));
}
