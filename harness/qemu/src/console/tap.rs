//! [`Tap`]: whether all that QEMU has written so far was read *and handled*, without asking the guest.
//!
//! QEMU writes a byte of the debug console before its CPU goes on, so what the guest said before it
//! answered in the mailbox lies in the socket by the time the answer is here. The reader marks itself
//! as waiting before it looks for input, and unmarks itself before it takes any. Hence an empty socket,
//! and after that a waiting reader, prove that every line was handed on.

use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, ioctl_fionread};

/// How often a wait looks again.
const INTERVAL: Duration = Duration::from_micros(50);

/// The reader's side: the stream itself.
#[derive(Debug)]
pub struct TappedStream {
    stream: UnixStream,
    is_waiting: Arc<AtomicBool>,
}

/// The observer's side.
#[derive(Debug)]
pub struct Tap {
    stream: UnixStream,
    is_waiting: Arc<AtomicBool>,
}

/// Taps a stream. Whoever reads it must have handled all it was given before it reads again.
///
/// # Errors
/// The system gives no second handle.
pub fn tap(stream: UnixStream) -> io::Result<(TappedStream, Tap)> {
    let is_waiting = Arc::new(AtomicBool::new(false));
    let observer = Tap {
        stream: stream.try_clone()?,
        is_waiting: Arc::clone(&is_waiting),
    };
    Ok((TappedStream { stream, is_waiting }, observer))
}

impl Read for TappedStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.is_waiting.store(true, Ordering::SeqCst);
        let mut fds = [PollFd::new(&self.stream, PollFlags::IN)];
        loop {
            match poll(&mut fds, None) {
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
                Ok(_) => break,
            }
        }
        self.is_waiting.store(false, Ordering::SeqCst);
        let length = self.stream.read(buffer)?;
        if length == 0 {
            // Nothing will come any more.
            self.is_waiting.store(true, Ordering::SeqCst);
        }
        Ok(length)
    }
}

impl Tap {
    /// Waits until everything written before the call was handled; whether it was within `limit`.
    #[must_use]
    pub fn await_handled(&self, limit: Duration) -> bool {
        let start = Instant::now();
        while !self.is_handled() {
            if start.elapsed() >= limit {
                return false;
            }
            thread::sleep(INTERVAL);
        }
        true
    }

    /// In this order: bytes leave the socket only while the reader does not wait.
    fn is_handled(&self) -> bool {
        ioctl_fionread(&self.stream).is_ok_and(|unread| unread == 0)
            && self.is_waiting.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::sync::mpsc::{Receiver, sync_channel};

    use super::*;

    const LONG: Duration = Duration::from_secs(10);
    const SHORT: Duration = Duration::from_millis(20);

    /// A reader that handles a line only once it has a permit for it.
    fn slow_reader(stream: TappedStream, permits: Receiver<()>) -> Receiver<String> {
        let (lines, handled) = sync_channel(16);
        thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                if permits.recv().is_err() || lines.send(line).is_err() {
                    return;
                }
            }
        });
        handled
    }

    #[test]
    fn line_in_the_readers_hands_is_not_handled_yet() {
        let (mut guest, ours) = UnixStream::pair().expect("a pair");
        let (stream, tap) = tap(ours).expect("tapped");
        let (permit, permits) = sync_channel(16);
        let handled = slow_reader(stream, permits);
        assert!(tap.await_handled(LONG), "nothing was written");
        guest.write_all(b"one\ntwo\n").expect("written");
        assert!(!tap.await_handled(SHORT), "the reader holds the first line");
        permit.send(()).expect("there");
        assert!(!tap.await_handled(SHORT), "and now the second");
        permit.send(()).expect("there");
        assert!(tap.await_handled(LONG));
        assert_eq!(handled.try_iter().collect::<Vec<_>>(), ["one", "two"]);
    }

    #[test]
    fn ended_stream_is_handled() {
        let (guest, ours) = UnixStream::pair().expect("a pair");
        let (stream, tap) = tap(ours).expect("tapped");
        let (_permit, permits) = sync_channel(1);
        let _handled = slow_reader(stream, permits);
        drop(guest);
        assert!(tap.await_handled(LONG));
    }
}
