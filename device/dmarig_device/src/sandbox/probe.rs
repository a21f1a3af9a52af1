//! The negative control of the sandbox: things that must not work in it, tried out on demand.
//!
//! `dmarig doctor` and the tests start the process with the hidden option `--sandbox-probe`; it goes
//! through its whole start, tries the thing instead of serving, and tells what came of it.

use std::fs::{self, File};
use std::io;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::thread;

use clap::ValueEnum;

/// What is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Probe {
    /// Opens `/dev/null` to read: is denied.
    OpenFile,
    /// Makes a file beside the first socket: is denied.
    MakeFile,
    /// Removes a file named `probe` in the parent of the sockets' folder: is denied by Landlock.
    RemoveOutside,
    /// Starts a thread: ends the process.
    StartThread,
    /// Starts a program: ends the process.
    StartProgram,
    /// Makes a network socket: ends the process.
    MakeSocket,
    /// Panics: ends as a panic does, with exit code 101.
    Panic,
}

/// Tries it. `socket` is the path of the first socket.
///
/// # Errors
/// What the system answers; where the call ends the process, nobody returns.
///
/// # Panics
/// When asked to.
pub fn probe(what: Probe, socket: &Path) -> io::Result<()> {
    match what {
        Probe::OpenFile => File::open("/dev/null").map(drop),
        Probe::MakeFile => File::create(socket.with_extension("probe")).map(drop),
        Probe::RemoveOutside => {
            let folder = socket.parent().and_then(Path::parent);
            fs::remove_file(folder.unwrap_or(Path::new("..")).join("probe"))
        }
        Probe::StartThread => thread::Builder::new().spawn(|| ()).map(drop),
        Probe::StartProgram => Command::new("/bin/true").status().map(drop),
        Probe::MakeSocket => TcpListener::bind(("127.0.0.1", 0)).map(drop),
        Probe::Panic => panic!("asked for by --sandbox-probe"),
    }
}
