//! DEVICE_SET_IRQS and the interrupt lines behind it.

mod support;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use support::{Rig, event_fd, memfd, take_count};
use vfio_user::client::set_irqs_payload;
use vfio_user::message::Command;
use vfio_user::{Errno, Signalled};

const INTX: u32 = 0;
const MSIX: u32 = 2;
/// Eventfd data with the trigger action.
const BIND: u32 = 0x24;
/// No data with the trigger action.
const TRIGGER: u32 = 0x21;
const MASK: u32 = 0x09;
const UNMASK: u32 = 0x11;

fn set(rig: &mut Rig, flags: u32, index: u32, start: u32, count: u32) -> Result<Vec<u8>, Errno> {
    set_with(rig, flags, index, start, count, &[])
}

fn set_with(
    rig: &mut Rig,
    flags: u32,
    index: u32,
    start: u32,
    count: u32,
    fds: &[&OwnedFd],
) -> Result<Vec<u8>, Errno> {
    let fds: Vec<BorrowedFd<'_>> = fds.iter().map(|fd| fd.as_fd()).collect();
    let payload = set_irqs_payload(flags, index, start, count, &[]);
    rig.call_with_fds(Command::DEVICE_SET_IRQS, &payload, &fds)
}

#[test]
fn bound_vectors_signal_their_own_eventfd() {
    let mut rig = Rig::new();
    let events = [event_fd(), event_fd(), event_fd()];

    let reply = set_with(
        &mut rig,
        BIND,
        MSIX,
        1,
        3,
        &[&events[0], &events[1], &events[2]],
    );

    assert_eq!(reply, Ok(vec![]));
    assert_eq!(rig.device.lines.signal_msix(2), Signalled::Delivered);
    assert_eq!(events.each_ref().map(take_count), [0, 1, 0]);
}

#[test]
fn vectors_without_eventfd_or_beyond_the_table_are_unbound() {
    let mut rig = Rig::new();

    // MSI-X enabled, no vector unmasked yet.
    assert_eq!(set(&mut rig, BIND, MSIX, 0, 1), Ok(vec![]));

    assert_eq!(rig.device.lines.signal_msix(0), Signalled::Unbound);
    assert_eq!(rig.device.lines.signal_msix(4), Signalled::Unbound);
    assert_eq!(rig.device.lines.signal_msix(u16::MAX), Signalled::Unbound);
    assert_eq!(rig.device.lines.counters().unbound, 3);
}

#[test]
fn eventfd_is_replaced_unbound_and_turned_off() {
    let mut rig = Rig::new();
    let (old, new) = (event_fd(), event_fd());
    set_with(&mut rig, BIND, MSIX, 0, 1, &[&old]).expect("bind");

    set_with(&mut rig, BIND, MSIX, 0, 1, &[&new]).expect("replace");
    rig.device.lines.signal_msix(0);
    assert_eq!((take_count(&old), take_count(&new)), (0, 1));

    set(&mut rig, BIND, MSIX, 0, 1).expect("unbind");
    assert_eq!(rig.device.lines.signal_msix(0), Signalled::Unbound);

    set_with(&mut rig, BIND, MSIX, 0, 1, &[&new]).expect("bind again");
    set(&mut rig, TRIGGER, MSIX, 0, 0).expect("turn off");
    assert_eq!(rig.device.lines.signal_msix(0), Signalled::Unbound);
    assert_eq!(take_count(&new), 0);
}

#[test]
fn five_signals_before_a_look_are_one_count_of_five() {
    let mut rig = Rig::new();
    let event = event_fd();
    set_with(&mut rig, BIND, MSIX, 0, 1, &[&event]).expect("bind");

    for _ in 0..5 {
        rig.device.lines.signal_msix(0);
    }

    assert_eq!(take_count(&event), 5);
}

#[test]
fn masked_vector_is_held_and_delivered_at_unmask() {
    let mut rig = Rig::new();
    let event = event_fd();
    set_with(&mut rig, BIND, MSIX, 3, 1, &[&event]).expect("bind");
    set(&mut rig, MASK, MSIX, 3, 1).expect("mask");

    assert_eq!(rig.device.lines.signal_msix(3), Signalled::Pending);
    assert_eq!(take_count(&event), 0);
    set(&mut rig, UNMASK, MSIX, 3, 1).expect("unmask");

    assert_eq!(take_count(&event), 1);
    set(&mut rig, UNMASK, MSIX, 3, 1).expect("unmask again");
    assert_eq!(take_count(&event), 0);
}

#[test]
fn flags_choose_vectors_and_trigger_fires_them() {
    let mut rig = Rig::new();
    let events = [event_fd(), event_fd()];
    set_with(&mut rig, BIND, MSIX, 0, 2, &[&events[0], &events[1]]).expect("bind");

    let payload = set_irqs_payload(0x22, MSIX, 0, 2, &[0, 7]);
    assert_eq!(rig.call(Command::DEVICE_SET_IRQS, &payload), Ok(vec![]));
    assert_eq!(events.each_ref().map(take_count), [0, 1]);

    set(&mut rig, TRIGGER, MSIX, 0, 2).expect("trigger all");
    assert_eq!(events.each_ref().map(take_count), [1, 1]);
}

#[test]
fn raised_pin_is_signalled_again_at_unmask_until_it_is_lowered() {
    let mut rig = Rig::new();
    let event = event_fd();
    set_with(&mut rig, BIND, INTX, 0, 1, &[&event]).expect("bind");

    assert_eq!(rig.device.lines.assert_intx(), Signalled::Delivered);
    assert_eq!(
        rig.device.lines.assert_intx(),
        Signalled::Pending,
        "masked by itself"
    );
    assert_eq!(take_count(&event), 1);

    set(&mut rig, UNMASK, INTX, 0, 1).expect("end of interrupt");
    assert_eq!(take_count(&event), 1);

    rig.device.lines.deassert_intx();
    set(&mut rig, UNMASK, INTX, 0, 1).expect("end of interrupt");
    assert_eq!(take_count(&event), 0);
    assert_eq!(rig.device.lines.assert_intx(), Signalled::Delivered);
}

#[test]
fn raised_pin_is_signalled_when_it_is_bound() {
    let mut rig = Rig::new();
    let event = event_fd();
    assert_eq!(rig.device.lines.assert_intx(), Signalled::Unbound);

    set_with(&mut rig, BIND, INTX, 0, 1, &[&event]).expect("bind");

    assert_eq!(take_count(&event), 1);
}

#[test]
fn bad_settings_are_refused_and_change_nothing() {
    let mut rig = Rig::new();
    let event = event_fd();
    set_with(&mut rig, BIND, MSIX, 0, 1, &[&event]).expect("bind");
    let good = set_irqs_payload(TRIGGER, MSIX, 0, 0, &[]);
    let mut small_argsz = good.clone();
    small_argsz[0] = 19;
    for payload in [
        vec![],
        good[..19].to_vec(),
        small_argsz,
        set_irqs_payload(TRIGGER, 5, 0, 0, &[]),
        set_irqs_payload(TRIGGER, u32::MAX, 0, 0, &[]),
        set_irqs_payload(TRIGGER, MSIX, 0, 5, &[]),
        set_irqs_payload(TRIGGER, MSIX, 4, 1, &[]),
        set_irqs_payload(TRIGGER, MSIX, u32::MAX, 2, &[]),
        set_irqs_payload(TRIGGER, 1, 0, 1, &[]),
        set_irqs_payload(0, MSIX, 0, 0, &[]),
        set_irqs_payload(0x20, MSIX, 0, 0, &[]),
        set_irqs_payload(0x01, MSIX, 0, 0, &[]),
        set_irqs_payload(0x23, MSIX, 0, 1, &[1]),
        set_irqs_payload(0x31, MSIX, 0, 0, &[]),
        set_irqs_payload(0x61, MSIX, 0, 0, &[]),
        set_irqs_payload(TRIGGER, MSIX, 0, 1, &[1]),
        set_irqs_payload(0x22, MSIX, 0, 2, &[1]),
        set_irqs_payload(0x22, MSIX, 0, 1, &[1, 1]),
        set_irqs_payload(BIND, MSIX, 0, 1, &[1]),
    ] {
        let reply = rig.call(Command::DEVICE_SET_IRQS, &payload);
        assert_eq!(reply, Err(Errno::EINVAL), "{payload:02x?}");
    }
    assert_eq!(rig.device.lines.signal_msix(0), Signalled::Delivered);
    assert_eq!(take_count(&event), 1);
    rig.assert_in_step();
}

#[test]
fn descriptors_that_do_not_fit_are_refused() {
    let mut rig = Rig::new();
    let event = event_fd();
    let (pipe, _other_end) = rustix::pipe::pipe().expect("pipe");
    let file = memfd(16);
    for (flags, count, fds) in [
        (BIND, 2, vec![&event]),
        (BIND, 1, vec![&event, &event]),
        (BIND, 0, vec![&event]),
        (TRIGGER, 1, vec![&event]),
        (0x0c, 1, vec![&event]),
        (0x14, 1, vec![&event]),
        (BIND, 1, vec![&pipe]),
        (BIND, 1, vec![&file]),
        (BIND, 2, vec![&event, &file]),
        (BIND, 4, vec![&event; 17]),
    ] {
        let reply = set_with(&mut rig, flags, MSIX, 0, count, &fds);
        assert_eq!(
            reply,
            Err(Errno::EINVAL),
            "flags {flags:#x}, {} descriptors",
            fds.len()
        );
    }
    assert_eq!(rig.device.lines.signal_msix(0), Signalled::Unbound);
    rig.assert_in_step();
}

#[test]
fn full_eventfd_that_would_block_does_not_hold_us() {
    let mut rig = Rig::new();
    let event = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC).expect("eventfd");
    rustix::io::write(&event, &(u64::MAX - 1).to_ne_bytes()).expect("fill");
    set_with(&mut rig, BIND, MSIX, 0, 1, &[&event]).expect("bind");

    assert_eq!(rig.device.lines.signal_msix(0), Signalled::Delivered);
}

#[test]
fn eventfds_are_closed_when_the_client_leaves() {
    let mut rig = Rig::new();
    let event = event_fd();
    set_with(&mut rig, BIND, MSIX, 0, 1, &[&event]).expect("bind");
    rig.client
        .stream()
        .shutdown(std::net::Shutdown::Both)
        .expect("shutdown");

    rig.try_pump().expect("an orderly end");

    assert_eq!(rig.device.lines.signal_msix(0), Signalled::Unbound);
}
