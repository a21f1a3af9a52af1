//! [`Client`]: a blocking client of the control socket with a deadline for every call.
//!
//! Answers are matched by id alone and may come in any order: [`Client::send`] gives a [`Pending`],
//! [`Client::wait`] takes its answer. An answer that nobody awaits any more (its call timed out) is
//! dropped and counted, so it never matches a later command.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::marker::PhantomData;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::request::Method;
use crate::rpc::{self, MAX_LINE_BYTES, RpcError};

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The device answered with an error.
    #[error("{method}: {source}")]
    Refused {
        /// The method called.
        method: &'static str,
        /// The device's answer.
        source: RpcError,
    },
    /// No answer came before the deadline.
    #[error("{method}: no answer of the device within {} ms", waited.as_millis())]
    Deadline {
        /// The method called.
        method: &'static str,
        /// How long it was awaited.
        waited: Duration,
    },
    /// The socket could not be reached.
    #[error("control socket {}: cannot connect", path.display())]
    Connect {
        /// Path of the socket.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The device closed the socket.
    #[error("{method}: the device closed the control socket")]
    Closed {
        /// The method called.
        method: &'static str,
    },
    /// Reading or writing failed.
    #[error("{method}: control socket")]
    Socket {
        /// The method called.
        method: &'static str,
        /// The cause.
        source: io::Error,
    },
    /// The device sent something that is not in the documentation.
    #[error("{method}: the device broke the protocol of the control socket: {detail}")]
    Protocol {
        /// The method called.
        method: &'static str,
        /// What was wrong.
        detail: String,
    },
}

impl ClientError {
    /// The code of the device's answer, if it answered with an error.
    #[must_use]
    pub fn code(&self) -> Option<i64> {
        match self {
            Self::Refused { source, .. } => Some(source.code),
            _ => None,
        }
    }
}

/// A request that is sent and not yet awaited. Dropping it forgets nothing: give it to
/// [`Client::wait`] or [`Client::forget`].
#[must_use]
#[derive(Debug)]
pub struct Pending<M> {
    id: u64,
    method: PhantomData<M>,
}

/// A connection to the control socket.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    received: Vec<u8>,
    next_id: u64,
    /// Requests sent and not yet awaited to the end, with the answer if it has come already.
    open: HashMap<u64, Option<rpc::Response>>,
    late_answers: u64,
}

/// Bytes asked of the socket at a time.
const READ_SIZE_BYTES: usize = 16 * 1024;

impl Client {
    /// Connects to the socket at `path`.
    ///
    /// # Errors
    /// [`ClientError::Connect`] if nobody listens there.
    pub fn connect(path: &Path) -> Result<Self, ClientError> {
        UnixStream::connect(path)
            .map(Self::from_stream)
            .map_err(|source| ClientError::Connect {
                path: path.to_owned(),
                source,
            })
    }

    /// Wraps a connected stream.
    #[must_use]
    pub fn from_stream(stream: UnixStream) -> Self {
        Self {
            stream,
            received: Vec::new(),
            next_id: 1,
            open: HashMap::new(),
            late_answers: 0,
        }
    }

    /// Answers that came after their call had been given up.
    #[must_use]
    pub fn late_answers(&self) -> u64 {
        self.late_answers
    }

    /// Calls a method and waits for its answer, `timeout` at most.
    ///
    /// # Errors
    /// Any [`ClientError`] but `Connect`.
    pub fn call<M: Method>(
        &mut self,
        params: &M,
        timeout: Duration,
    ) -> Result<M::Result, ClientError> {
        let pending = self.send(params, timeout)?;
        self.wait(pending, timeout)
    }

    /// Sends a request; its answer is taken by [`Client::wait`].
    ///
    /// # Errors
    /// `Socket` if the device does not take the request within `timeout`, `Protocol` if it would be
    /// longer than a line may be.
    pub fn send<M: Method>(
        &mut self,
        params: &M,
        timeout: Duration,
    ) -> Result<Pending<M>, ClientError> {
        let id = self.next_id;
        let line = request_line(id, params)?;
        self.next_id += 1;
        self.stream
            .set_write_timeout(Some(timeout.max(SHORTEST_TIMEOUT)))
            .and_then(|()| self.stream.write_all(&line))
            .map_err(|source| ClientError::Socket {
                method: M::NAME,
                source,
            })?;
        self.open.insert(id, None);
        Ok(Pending {
            id,
            method: PhantomData,
        })
    }

    /// Waits for the answer to `pending`, `timeout` at most. After an error the answer, should it
    /// still come, is dropped.
    ///
    /// # Errors
    /// Any [`ClientError`] but `Connect`.
    pub fn wait<M: Method>(
        &mut self,
        pending: Pending<M>,
        timeout: Duration,
    ) -> Result<M::Result, ClientError> {
        let answer = self.wait_for_id::<M>(pending.id, timeout);
        self.open.remove(&pending.id);
        let answer = answer?;
        match (answer.result, answer.error) {
            (Some(value), None) => {
                serde_json::from_value(value).map_err(|error| protocol::<M>(&error))
            }
            (None, Some(source)) => Err(ClientError::Refused {
                method: M::NAME,
                source,
            }),
            _ => Err(protocol::<M>(
                &"an answer with both or neither of result and error",
            )),
        }
    }

    /// Gives up a request; its answer will be dropped.
    pub fn forget<M>(&mut self, pending: Pending<M>) {
        self.open.remove(&pending.id);
    }

    fn wait_for_id<M: Method>(
        &mut self,
        id: u64,
        timeout: Duration,
    ) -> Result<rpc::Response, ClientError> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(answer) = self.open.get_mut(&id).and_then(Option::take) {
                return Ok(answer);
            }
            let line = self.read_line::<M>(deadline, timeout)?;
            let answer: rpc::Response =
                serde_json::from_slice(&line).map_err(|error| protocol::<M>(&error))?;
            self.file_answer::<M>(answer)?;
        }
    }

    /// Puts an answer where its call will find it, or drops it.
    fn file_answer<M: Method>(&mut self, answer: rpc::Response) -> Result<(), ClientError> {
        let Some(id) = answer.id else {
            let detail = answer.error.map_or_else(String::new, |error| error.message);
            return Err(protocol::<M>(&format_args!(
                "an answer without id: {detail}"
            )));
        };
        match self.open.get_mut(&id) {
            Some(slot) => *slot = Some(answer),
            None => self.late_answers += 1,
        }
        Ok(())
    }

    fn read_line<M: Method>(
        &mut self,
        deadline: Instant,
        waited: Duration,
    ) -> Result<Vec<u8>, ClientError> {
        let mut searched = 0;
        loop {
            if let Some(end) = self.received[searched..].iter().position(|&b| b == b'\n') {
                let rest = self.received.split_off(searched + end + 1);
                return Ok(std::mem::replace(&mut self.received, rest));
            }
            searched = self.received.len();
            if searched >= MAX_LINE_BYTES {
                return Err(protocol::<M>(&"a line longer than 64 KiB"));
            }
            self.read_some::<M>(deadline, waited)?;
        }
    }

    fn read_some<M: Method>(
        &mut self,
        deadline: Instant,
        waited: Duration,
    ) -> Result<(), ClientError> {
        let method = M::NAME;
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ClientError::Deadline { method, waited });
        }
        let mut chunk = [0; READ_SIZE_BYTES];
        let outcome = self
            .stream
            .set_read_timeout(Some(left.max(SHORTEST_TIMEOUT)))
            .and_then(|()| self.stream.read(&mut chunk));
        match outcome {
            Ok(0) => Err(ClientError::Closed { method }),
            Ok(n) => {
                self.received.extend_from_slice(&chunk[..n]);
                Ok(())
            }
            // The next turn of the caller's loop looks at the deadline.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock
                        | io::ErrorKind::TimedOut
                        | io::ErrorKind::Interrupted
                ) =>
            {
                Ok(())
            }
            Err(source) => Err(ClientError::Socket { method, source }),
        }
    }
}

/// A timeout of zero would mean "for ever" to the socket.
const SHORTEST_TIMEOUT: Duration = Duration::from_millis(1);

fn request_line<M: Method>(id: u64, params: &M) -> Result<Vec<u8>, ClientError> {
    let request = rpc::Request {
        jsonrpc: "2.0".into(),
        id,
        method: M::NAME.into(),
        params: serde_json::to_value(params).unwrap_or(Value::Null),
    };
    let mut line = serde_json::to_vec(&request).map_err(|error| protocol::<M>(&error))?;
    line.push(b'\n');
    if line.len() > MAX_LINE_BYTES {
        return Err(protocol::<M>(&format_args!(
            "the request takes {} bytes, a line holds {MAX_LINE_BYTES}; make the program shorter",
            line.len()
        )));
    }
    Ok(line)
}

fn protocol<M: Method>(detail: &dyn std::fmt::Display) -> ClientError {
    ClientError::Protocol {
        method: M::NAME,
        detail: detail.to_string(),
    }
}

#[cfg(test)]
mod tests;
