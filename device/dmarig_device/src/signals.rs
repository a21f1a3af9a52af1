//! SIGTERM and SIGINT as bytes in a socket, so that the event loop takes them like everything else.

use std::io;
use std::os::unix::net::UnixStream;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::pipe;

/// Catches the signals that ask to stop; the socket returned becomes readable when one comes.
///
/// # Errors
/// If the process has no descriptors left.
pub fn catch() -> io::Result<UnixStream> {
    let (reader, writer) = UnixStream::pair()?;
    reader.set_nonblocking(true)?;
    for signal in [SIGTERM, SIGINT] {
        pipe::register(signal, writer.try_clone()?)?;
    }
    Ok(reader)
}
