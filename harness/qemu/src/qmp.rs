//! [`Qmp`]: the few commands of QEMU's machine protocol that the harness needs, each with a deadline.

mod hot_plug;

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::binary::{MINIMUM_VERSION, Version};
use crate::command_line::CommandLineError;

pub use hot_plug::Plugged;

/// How long QEMU may take over one command. A vCPU that waits for the device process blocks QMP for
/// up to five seconds.
pub const COMMAND_DEADLINE: Duration = Duration::from_secs(10);
/// Longest answer that is taken.
const MESSAGE_MAX_BYTES: usize = 1 << 20;
/// Events kept; older ones go.
const EVENTS_MAX: usize = 256;
const READ_CHUNK_BYTES: usize = 4096;

/// A QMP session past its greeting.
#[derive(Debug)]
pub struct Qmp {
    stream: UnixStream,
    buffer: Vec<u8>,
    events: VecDeque<Value>,
    version: Version,
}

/// Why QMP did not serve.
#[derive(Debug, thiserror::Error)]
pub enum QmpError {
    /// The time is over.
    #[error("waited {} ms for QEMU to answer {awaited}", .waited.as_millis())]
    Timeout {
        /// The command, or `its greeting`.
        awaited: String,
        /// How long.
        waited: Duration,
    },
    /// QEMU closed the connection.
    #[error("QEMU closed QMP while {awaited} was awaited")]
    Closed {
        /// The command, or `its greeting`.
        awaited: String,
    },
    /// The socket failed.
    #[error("talking to QEMU over QMP ({awaited})")]
    Socket {
        /// The command, or `its greeting`.
        awaited: String,
        /// What the system said.
        source: io::Error,
    },
    /// QEMU's answer is none.
    #[error("QEMU's answer to {awaited} is malformed: {problem}")]
    Malformed {
        /// The command, or `its greeting`.
        awaited: String,
        /// What is wrong.
        problem: String,
    },
    /// QEMU refused the command.
    #[error("QEMU refused {command}: {description}")]
    Refused {
        /// The command.
        command: String,
        /// QEMU's words.
        description: String,
    },
    /// QEMU is too old.
    #[error(
        "this QEMU is {version}, dmarig needs {MINIMUM_VERSION} or newer\nhelp: run scripts/setup, or name a newer one with --qemu"
    )]
    TooOld {
        /// Its version.
        version: Version,
    },
    /// Guest memory is private to QEMU: what the device writes would never reach the guest.
    #[error(
        "guest memory {id} is not shared with the device process\nhelp: memory-backend-memfd needs share=on"
    )]
    MemoryNotShared {
        /// The memory backend.
        id: String,
    },
    /// Taking the device out would end QEMU.
    #[error(
        "{id} has MSI-X: QEMU 11.1 aborts when such a device is taken out\nhelp: give it `msix_vectors = 0` in its device file, and a pin or MSI"
    )]
    HasMsix {
        /// The QEMU id of the device.
        id: String,
    },
    /// The device cannot be named to QEMU.
    #[error(transparent)]
    Device(#[from] CommandLineError),
    /// QEMU still has the device.
    #[error("waited {} ms for QEMU to let go of {id}", .waited.as_millis())]
    StillThere {
        /// The QEMU id of the device.
        id: String,
        /// How long.
        waited: Duration,
    },
}

impl Qmp {
    /// Reads the greeting, refuses a QEMU that is too old, and enters command mode.
    ///
    /// # Errors
    /// QEMU does not answer, answers nonsense, or is too old.
    pub fn start(stream: UnixStream, limit: Duration) -> Result<Self, QmpError> {
        let mut qmp = Self {
            stream,
            buffer: Vec::new(),
            events: VecDeque::new(),
            version: MINIMUM_VERSION,
        };
        let awaited = "its greeting";
        let greeting = qmp.receive(awaited, Instant::now(), limit)?;
        qmp.version = greeting_version(&greeting).ok_or_else(|| QmpError::Malformed {
            awaited: awaited.into(),
            problem: "no version in it".into(),
        })?;
        if qmp.version < MINIMUM_VERSION {
            return Err(QmpError::TooOld {
                version: qmp.version,
            });
        }
        qmp.execute("qmp_capabilities", json!({}))?;
        Ok(qmp)
    }

    /// QEMU's version.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// Runs one command; answers with what it returned. Events that come meanwhile are kept.
    ///
    /// # Errors
    /// QEMU does not answer in time, is gone, or refuses.
    pub fn execute(&mut self, command: &str, arguments: Value) -> Result<Value, QmpError> {
        let start = Instant::now();
        let mut line = json!({ "execute": command, "arguments": arguments }).to_string();
        line.push('\n');
        self.stream
            .write_all(line.as_bytes())
            .map_err(|source| QmpError::Socket {
                awaited: command.into(),
                source,
            })?;
        loop {
            let mut message = self.receive(command, start, COMMAND_DEADLINE)?;
            if let Some(value) = message.get_mut("return") {
                return Ok(value.take());
            }
            if let Some(error) = message.get("error") {
                let description = error.get("desc").and_then(Value::as_str).unwrap_or("?");
                return Err(QmpError::Refused {
                    command: command.into(),
                    description: description.into(),
                });
            }
            self.keep_event(message);
        }
    }

    /// Makes sure that guest memory is shared with the device process.
    ///
    /// # Errors
    /// It is not, or QEMU does not say.
    pub fn check_memory_is_shared(&mut self) -> Result<(), QmpError> {
        let command = "query-memdev";
        let backends = self.execute(command, json!({}))?;
        let Some(backends) = backends.as_array() else {
            return Err(QmpError::Malformed {
                awaited: command.into(),
                problem: "no list".into(),
            });
        };
        for backend in backends {
            if backend.get("share").and_then(Value::as_bool) != Some(true) {
                let id = backend.get("id").and_then(Value::as_str).unwrap_or("?");
                return Err(QmpError::MemoryNotShared { id: id.into() });
            }
        }
        Ok(())
    }

    /// Asks QEMU to end. That it closes the connection instead of answering is no error.
    ///
    /// # Errors
    /// QEMU does not answer in time or refuses.
    pub fn quit(&mut self) -> Result<(), QmpError> {
        match self.execute("quit", json!({})) {
            Ok(_) | Err(QmpError::Closed { .. } | QmpError::Socket { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Takes the events that came while commands were answered, oldest first.
    pub fn take_events(&mut self) -> Vec<Value> {
        self.events.drain(..).collect()
    }

    fn keep_event(&mut self, message: Value) {
        if self.events.len() == EVENTS_MAX {
            self.events.pop_front();
        }
        self.events.push_back(message);
    }

    fn receive(
        &mut self,
        awaited: &str,
        start: Instant,
        limit: Duration,
    ) -> Result<Value, QmpError> {
        let malformed = |problem: String| QmpError::Malformed {
            awaited: awaited.into(),
            problem,
        };
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return serde_json::from_slice(&line).map_err(|error| malformed(error.to_string()));
            }
            if self.buffer.len() > MESSAGE_MAX_BYTES {
                return Err(malformed(format!("longer than {MESSAGE_MAX_BYTES} bytes")));
            }
            self.read_some(awaited, start, limit)?;
        }
    }

    fn read_some(
        &mut self,
        awaited: &str,
        start: Instant,
        limit: Duration,
    ) -> Result<(), QmpError> {
        let timeout = || QmpError::Timeout {
            awaited: awaited.into(),
            waited: limit,
        };
        let left = limit
            .checked_sub(start.elapsed())
            .filter(|left| !left.is_zero())
            .ok_or_else(timeout)?;
        let socket = |source| QmpError::Socket {
            awaited: awaited.into(),
            source,
        };
        self.stream.set_read_timeout(Some(left)).map_err(socket)?;
        let mut chunk = [0; READ_CHUNK_BYTES];
        match self.stream.read(&mut chunk) {
            Ok(0) => Err(QmpError::Closed {
                awaited: awaited.into(),
            }),
            Ok(length) => {
                self.buffer.extend_from_slice(&chunk[..length]);
                Ok(())
            }
            Err(error) => match error.kind() {
                io::ErrorKind::Interrupted => Ok(()),
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Err(timeout()),
                _ => Err(socket(error)),
            },
        }
    }
}

fn greeting_version(greeting: &Value) -> Option<Version> {
    let version = greeting.pointer("/QMP/version/qemu")?;
    let number = |name| u32::try_from(version.get(name)?.as_u64()?).ok();
    Some(Version {
        major: number("major")?,
        minor: number("minor")?,
        micro: number("micro")?,
    })
}

#[cfg(test)]
mod tests;
