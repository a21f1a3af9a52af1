//! VERSION: the exchange that opens a connection.

mod support;

use support::Rig;
use vfio_user::Errno;
use vfio_user::client::{QEMU_PROPOSAL, read_payload, version_payload};
use vfio_user::message::Command;

fn answer_to(payload: &[u8]) -> Result<Vec<u8>, Errno> {
    Rig::unnegotiated().call(Command::VERSION, payload)
}

#[test]
fn proposal_of_qemu_gets_two_capabilities_within_214_bytes() {
    let reply = answer_to(&version_payload(0, 0, QEMU_PROPOSAL)).expect("accepted");

    assert!(16 + reply.len() <= vfio_user::MAX_VERSION_REPLY_SIZE);
    assert_eq!(&reply[..4], [0, 0, 0, 0], "version 0.0");
    let text = reply[4..].strip_suffix(b"\0").expect("a final NUL");
    let value: serde_json::Value = serde_json::from_slice(text).expect("JSON");
    let expected = serde_json::json!({
        "capabilities": {"max_msg_fds": 16, "max_data_xfer_size": 1_048_576}
    });
    assert_eq!(value, expected);
}

#[test]
fn proposals_that_the_document_allows_are_accepted() {
    for (minor, text) in [
        (0, ""),
        (0, "{}\0"),
        (0, "{\"capabilities\":{}}\0"),
        (7, "{\"capabilities\":{\"max_data_xfer_size\":4096}}\0"),
        (
            0,
            "{\"capabilities\":{\"twin_socket\":{\"supported\":true}},\"x\":[1]}\0",
        ),
    ] {
        let reply = answer_to(&version_payload(0, minor, text));
        assert_eq!(
            reply.map(|reply| reply[..4].to_vec()),
            Ok(vec![0; 4]),
            "{text}"
        );
    }
}

#[test]
fn bad_proposals_are_refused() {
    let too_long = format!(
        "{{\"x\":\"{}\"}}\0",
        "a".repeat(vfio_user::MAX_VERSION_TEXT)
    );
    let nested = format!("{}\0", "[".repeat(4000));
    for (payload, errno) in [
        (vec![], Errno::EINVAL),
        (vec![0; 3], Errno::EINVAL),
        (version_payload(1, 0, "{}\0"), Errno::EINVAL),
        (version_payload(0, 0, "{}"), Errno::EINVAL),
        (version_payload(0, 0, "\0"), Errno::EINVAL),
        (version_payload(0, 0, "{\0"), Errno::EINVAL),
        (version_payload(0, 0, "[1]\0"), Errno::EINVAL),
        (
            version_payload(0, 0, "{\"capabilities\":3}\0"),
            Errno::EINVAL,
        ),
        (
            version_payload(0, 0, "{\"capabilities\":{\"max_data_xfer_size\":\"x\"}}\0"),
            Errno::EINVAL,
        ),
        (
            version_payload(0, 0, "{\"capabilities\":{\"max_data_xfer_size\":0}}\0"),
            Errno::EINVAL,
        ),
        (version_payload(0, 0, &too_long), Errno::E2BIG),
        (version_payload(0, 0, &nested), Errno::EINVAL),
    ] {
        assert_eq!(answer_to(&payload), Err(errno), "{payload:02x?}");
    }
}

#[test]
fn anything_before_the_version_is_refused_and_the_exchange_still_works() {
    let mut rig = Rig::unnegotiated();
    for command in [2, 3, 4, 5, 7, 8, 9, 10, 13, 999].map(Command) {
        assert_eq!(
            rig.call(command, &read_payload(0, 0, 4)),
            Err(Errno::EPROTO)
        );
    }

    rig.call(Command::VERSION, &version_payload(0, 0, QEMU_PROPOSAL))
        .expect("accepted");

    rig.assert_in_step();
}

#[test]
fn failed_exchange_leaves_the_connection_closed_to_requests() {
    let mut rig = Rig::unnegotiated();
    rig.call(Command::VERSION, &version_payload(9, 0, ""))
        .expect_err("another major");

    assert_eq!(
        rig.call(Command::REGION_READ, &read_payload(0, 0, 4)),
        Err(Errno::EPROTO)
    );
}

#[test]
fn second_exchange_is_refused() {
    let mut rig = Rig::new();

    let reply = rig.call(Command::VERSION, &version_payload(0, 0, QEMU_PROPOSAL));

    assert_eq!(reply, Err(Errno::EPROTO));
    rig.assert_in_step();
}

#[test]
fn limit_of_the_peer_bounds_message_dma() {
    let mut rig = Rig::unnegotiated();
    assert_eq!(
        (rig.server.max_dma_read(), rig.server.max_dma_write()),
        (0, 0)
    );

    let text = "{\"capabilities\":{\"max_data_xfer_size\":4096}}\0";
    rig.call(Command::VERSION, &version_payload(0, 0, text))
        .expect("accepted");

    assert_eq!(
        (rig.server.max_dma_read(), rig.server.max_dma_write()),
        (4096, 4096)
    );
}
