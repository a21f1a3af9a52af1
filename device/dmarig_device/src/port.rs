//! [`Port`]: one function's vfio-user socket, the connection on it, and the model behind it.
//!
//! One QEMU at a time: a second is hung up on. When one leaves, the model drops what belonged to it
//! and the next may come.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::Instant;

use control_api::FunctionName;
use tracing::{info, warn};
use vfio_user::{Connection, ConnectionError, DeviceModel, ListenError, Listener, Progress};

use crate::readiness::Readiness;

/// Connections taken or refused in one step, so that a peer that connects without end cannot keep the
/// loop from the others. A listener with more in its backlog stays readable.
pub(crate) const MAX_ACCEPTS_PER_STEP: usize = 4;

/// Totals of a port since the start of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortCounters {
    /// Connections accepted.
    pub connections: u64,
    /// Connections refused because one was there.
    pub refused_connections: u64,
    /// Connections ended because the peer broke the protocol.
    pub protocol_errors: u64,
    /// Requests answered with an error, or failed without an answer.
    pub rejected_messages: u64,
    /// Replies to DMA messages that nobody awaited, or that did not fit.
    pub late_replies: u64,
}

/// A listening socket, at most one connection, and the model.
#[derive(Debug)]
pub struct Port<M> {
    name: FunctionName,
    listener: Listener,
    connection: Option<Connection>,
    generation: u32,
    ended: PortCounters,
    model: M,
}

impl<M: DeviceModel> Port<M> {
    /// Listens at `path` for the function `name`.
    ///
    /// # Errors
    /// Those of [`Listener::bind`].
    pub fn bind(path: &Path, name: FunctionName, model: M) -> Result<Self, ListenError> {
        Ok(Self {
            name,
            listener: Listener::bind(path)?,
            connection: None,
            generation: 0,
            ended: PortCounters::default(),
            model,
        })
    }

    /// Takes a waiting QEMU, or hangs up on it if one is there already; some of them in one call.
    ///
    /// # Errors
    /// When the process is out of descriptors or memory.
    pub fn accept(&mut self) -> Result<(), ListenError> {
        for _ in 0..MAX_ACCEPTS_PER_STEP {
            let Some(connection) = self.listener.accept()? else {
                break;
            };
            if self.connection.is_some() {
                self.ended.refused_connections += 1;
                let n = self.ended.refused_connections;
                if n.is_power_of_two() {
                    warn!(function = %self.name, n, "second connection refused: one QEMU a socket");
                }
                continue;
            }
            self.generation = self.generation.wrapping_add(1);
            self.ended.connections += 1;
            info!(function = %self.name, "connected");
            self.connection = Some(connection);
        }
        Ok(())
    }

    /// Serves the connection as far as it is ready.
    pub fn on_ready(&mut self, readiness: Readiness) {
        if readiness.writable {
            self.with_connection(|connection, model| connection.on_writable(model));
        }
        if readiness.readable || readiness.hung_up {
            self.with_connection(|connection, model| connection.on_readable(model));
        }
    }

    /// Sends what the model has submitted.
    pub fn flush(&mut self) {
        self.with_connection(|connection, model| connection.flush(model));
    }

    /// Hangs up on QEMU.
    pub fn close(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.ended = add(self.ended, &connection);
            connection.close(&mut self.model);
        }
    }

    /// Gives up on DMA messages whose deadline has passed.
    pub fn expire(&mut self, now: Instant) {
        if let Some(connection) = &mut self.connection {
            connection.expire_dma(now, &mut self.model);
        }
    }

    /// When to call [`Self::expire`] next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.connection.as_ref()?.next_dma_deadline()
    }

    /// The model and, if QEMU is there, its connection.
    pub fn parts(&mut self) -> (&mut M, Option<&mut Connection>) {
        (&mut self.model, self.connection.as_mut())
    }

    /// The function.
    #[must_use]
    pub const fn name(&self) -> FunctionName {
        self.name
    }

    /// The model.
    #[must_use]
    pub const fn model(&self) -> &M {
        &self.model
    }

    /// The model, to change it.
    pub const fn model_mut(&mut self) -> &mut M {
        &mut self.model
    }

    /// Whether QEMU is connected.
    #[must_use]
    pub const fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    /// The connection's number and what its socket waits for: (to read, to write).
    #[must_use]
    pub fn interest(&self) -> Option<(u32, BorrowedFd<'_>, bool, bool)> {
        let connection = self.connection.as_ref()?;
        Some((
            self.generation,
            connection.as_fd(),
            connection.wants_read(),
            connection.wants_write(),
        ))
    }

    /// The number of the connection that is there now, or was there last.
    #[must_use]
    pub const fn generation(&self) -> u32 {
        self.generation
    }

    /// Totals, the living connection's included.
    #[must_use]
    pub fn counters(&self) -> PortCounters {
        self.connection
            .as_ref()
            .map_or(self.ended, |connection| add(self.ended, connection))
    }

    fn with_connection(
        &mut self,
        serve: impl FnOnce(&mut Connection, &mut M) -> Result<Progress, ConnectionError>,
    ) {
        let Some(connection) = &mut self.connection else {
            return;
        };
        match serve(connection, &mut self.model) {
            Ok(Progress::Open) => return,
            Ok(Progress::Closed) => info!(function = %self.name, "disconnected"),
            Err(error) => {
                self.ended.protocol_errors += 1;
                warn!(function = %self.name, error = %chain(&error), "connection ended");
            }
        }
        self.ended = add(self.ended, connection);
        self.connection = None;
    }
}

impl<M> AsFd for Port<M> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

fn add(ended: PortCounters, connection: &Connection) -> PortCounters {
    let now = connection.counters();
    PortCounters {
        rejected_messages: ended.rejected_messages + now.refused + now.refused_silently,
        late_replies: ended.late_replies
            + now.late_replies
            + now.unknown_replies
            + now.malformed_replies,
        ..ended
    }
}

/// An error with its sources in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
