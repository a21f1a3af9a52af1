//! The listening socket.

mod support;

use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use support::FakeDevice;
use tempfile::TempDir;
use vfio_user::client::{Client, QEMU_PROPOSAL, version_payload};
use vfio_user::message::Command;
use vfio_user::{ListenError, Listener, Progress};

fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("device.sock");
    (folder, path)
}

#[test]
fn socket_is_for_its_owner_only_and_removed_at_the_end() {
    let (_folder, path) = place();

    let listener = Listener::bind(&path).expect("a socket");

    let metadata = std::fs::symlink_metadata(&path).expect("metadata");
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    drop(listener);
    assert!(!path.exists());
}

#[test]
fn nobody_waiting_is_no_client() {
    let (_folder, path) = place();
    let listener = Listener::bind(&path).expect("a socket");

    assert!(listener.accept().expect("no error").is_none());
}

#[test]
fn client_after_client_is_accepted_and_served() {
    let (_folder, path) = place();
    let listener = Listener::bind(&path).expect("a socket");
    for _ in 0..3 {
        let mut device = FakeDevice::new();
        let mut client = Client::connect(&path).expect("connect");
        let mut server = listener.accept().expect("accept").expect("a client");
        client
            .send(Command::VERSION, &version_payload(0, 0, QEMU_PROPOSAL), &[])
            .expect("send");
        assert_eq!(
            server.on_readable(&mut device).expect("served"),
            Progress::Open
        );
        assert!(!client.receive().expect("reply").header.is_error());

        drop(client);

        assert_eq!(
            server.on_readable(&mut device).expect("over"),
            Progress::Closed
        );
        assert_eq!(device.n_disconnects, 1);
    }
}

#[test]
fn live_socket_is_not_replaced() {
    let (_folder, path) = place();
    let _first = Listener::bind(&path).expect("a socket");

    let error = Listener::bind(&path).expect_err("somebody listens");

    assert!(matches!(error, ListenError::Live { .. }), "{error}");
    Client::connect(&path).expect("the first still listens");
}

#[test]
fn stale_socket_is_replaced() {
    let (_folder, path) = place();
    drop(UnixListener::bind(&path).expect("a socket that std leaves behind"));
    assert!(path.exists());

    let listener = Listener::bind(&path).expect("a socket");

    Client::connect(&path).expect("connect");
    assert!(listener.accept().expect("accept").is_some());
}

#[test]
fn other_files_are_left_alone() {
    let (folder, path) = place();
    std::fs::write(&path, "precious").expect("a file");

    let error = Listener::bind(&path).expect_err("not a socket");

    assert!(matches!(error, ListenError::NotASocket { .. }), "{error}");
    assert_eq!(std::fs::read(&path).expect("the file"), b"precious");
    let error = Listener::bind(folder.path()).expect_err("a folder");
    assert!(matches!(error, ListenError::NotASocket { .. }), "{error}");
}

#[test]
fn path_that_is_too_long_or_has_no_folder_is_an_error_that_names_it() {
    let (folder, _) = place();

    let error = Listener::bind(folder.path().join("a".repeat(120))).expect_err("too long");
    assert!(
        matches!(error, ListenError::PathTooLong { max: 107, .. }),
        "{error}"
    );

    let error = Listener::bind(folder.path().join("none/x.sock")).expect_err("no folder");
    assert!(matches!(error, ListenError::System { .. }), "{error}");
}

#[test]
fn socket_of_another_is_not_removed_at_the_end() {
    let (_folder, path) = place();
    let first = Listener::bind(&path).expect("a socket");
    std::fs::remove_file(&path).expect("remove");
    let _second = Listener::bind(&path).expect("another socket");

    drop(first);

    assert!(path.exists());
}
