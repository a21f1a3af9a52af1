//! DEVICE_RESET.

mod support;

use support::{Rig, far};
use vfio_user::Errno;
use vfio_user::message::Command;

#[test]
fn reset_reaches_the_device() {
    let mut rig = Rig::new();

    assert_eq!(rig.call(Command::DEVICE_RESET, &[]), Ok(vec![]));

    assert_eq!(rig.device.n_resets, 1);
}

#[test]
fn reset_with_a_payload_is_refused() {
    let mut rig = Rig::new();

    assert_eq!(rig.call(Command::DEVICE_RESET, &[0]), Err(Errno::EINVAL));

    assert_eq!(rig.device.n_resets, 0);
    rig.assert_in_step();
}

#[test]
fn reset_while_dma_is_outstanding_is_answered_before_the_dma() {
    let mut rig = Rig::new();
    rig.server.submit_read(0x1000, 4, far()).expect("a place");
    rig.server.flush(&mut rig.device).expect("flush");
    let dma = rig.client.receive().expect("a DMA request");

    assert_eq!(rig.call(Command::DEVICE_RESET, &[]), Ok(vec![]));

    assert_eq!(rig.server.outstanding_dma(), 1);
    rig.client.reply_error(&dma.header, 19).expect("send");
    rig.pump();
    assert_eq!(rig.device.dma.len(), 1);
}
