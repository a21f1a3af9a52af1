//! DMA_UNMAP.

mod support;

use support::Rig;
use vfio_user::client::unmap_payload;
use vfio_user::message::Command;
use vfio_user::{DmaUnmap, Errno};

#[test]
fn every_unmap_that_qemu_sends_reaches_the_device_and_is_echoed() {
    for (flags, address, size) in [
        (0, 0x1000, 0x1000),
        (0, 0x20_0000, 0x20_0000),
        (0, 0, 1 << 47),
        (0, 0xfef0_0000, 0xffff_ffff_0110_0000),
        (2, 0, 0),
    ] {
        let mut rig = Rig::new();
        let request = unmap_payload(flags, address, size);

        assert_eq!(rig.call(Command::DMA_UNMAP, &request), Ok(request));

        let expected = match flags {
            0 => DmaUnmap::Range {
                iova: address,
                size,
            },
            _ => DmaUnmap::All,
        };
        assert_eq!(rig.device.unmaps, [expected]);
    }
}

#[test]
fn bad_unmaps_are_refused_and_do_not_reach_the_device() {
    let mut rig = Rig::new();
    let good = unmap_payload(0, 0x1000, 0x1000);
    let mut small_argsz = good.clone();
    small_argsz[0] = 23;
    for payload in [
        vec![],
        good[..23].to_vec(),
        [good, vec![0; 16]].concat(),
        small_argsz,
        unmap_payload(0, 0x1000, 0),
        unmap_payload(0, 0xffff_ffff_ffff_f000, 0x1001),
        unmap_payload(1, 0x1000, 0x1000),
        unmap_payload(2, 0x1000, 0x1000),
        unmap_payload(3, 0, 0),
        unmap_payload(u32::MAX, 0, 0),
    ] {
        assert_eq!(
            rig.call(Command::DMA_UNMAP, &payload),
            Err(Errno::EINVAL),
            "{payload:02x?}"
        );
    }
    assert_eq!(rig.device.unmaps, []);
    rig.assert_in_step();
}

#[test]
fn error_of_the_device_reaches_the_client() {
    let mut rig = Rig::new();
    rig.device.refuse = Some(Errno::EIO);

    assert_eq!(
        rig.call(Command::DMA_UNMAP, &unmap_payload(2, 0, 0)),
        Err(Errno::EIO)
    );
}
