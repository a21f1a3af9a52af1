//! Commands that are not offered, and numbers that are none.

mod support;

use std::os::fd::AsFd;
use support::{Rig, memfd};
use vfio_user::Errno;
use vfio_user::message::Command;

#[test]
fn known_commands_that_are_not_offered_say_so() {
    let mut rig = Rig::new();
    for command in [
        Command::DEVICE_GET_REGION_IO_FDS,
        Command::REGION_WRITE_MULTI,
        Command::DEVICE_FEATURE,
        Command::MIG_DATA_READ,
        Command::MIG_DATA_WRITE,
    ] {
        assert_eq!(
            rig.call(command, &[0xff; 40]),
            Err(Errno::EOPNOTSUPP),
            "{command:?}"
        );
    }
    rig.assert_in_step();
}

#[test]
fn unknown_commands_and_those_of_the_server_are_refused_and_skipped_whole() {
    let mut rig = Rig::new();
    for number in [0, 11, 12, 14, 19, 0x7fff, 0xffff] {
        for len in [0, 1, 17, 5000] {
            let reply = rig.call(Command(number), &vec![0x11; len]);
            assert_eq!(reply, Err(Errno::ENOSYS), "command {number}, {len} bytes");
        }
    }
    rig.assert_in_step();
}

#[test]
fn descriptors_with_a_command_that_takes_none_are_refused() {
    let mut rig = Rig::new();
    let file = memfd(16);

    let payload = vfio_user::client::read_payload(0, 0, 4);
    let reply = rig.call_with_fds(Command::REGION_READ, &payload, &[file.as_fd()]);

    assert_eq!(reply, Err(Errno::EINVAL));
    rig.assert_in_step();
}
