//! The server's end of the control socket: lines in, answers out, nobody waited for.
//!
//! Bounded whatever clients do: their number, the length of a line, the answers that wait. A client
//! that takes no byte of its answers for [`SLOW_READER_LIMIT`] is disconnected. What a request means is
//! the business of [`crate::methods`]; answers may come later and in any order.

mod client;

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use control_api::RpcError;
use control_api::rpc;
use serde_json::Value;
use tracing::{debug, warn};
use vfio_user::{ListenError, Listener};

use crate::port::MAX_ACCEPTS_PER_STEP;
use client::Client;
pub use client::Incoming;

/// Most clients at a time.
pub const MAX_CLIENTS: usize = 8;
/// Requests of one client that may wait for their answer; further lines stay unread until then.
pub const MAX_OPEN_REQUESTS: usize = 64;
/// How long a client may take nothing while an answer waits.
pub const SLOW_READER_LIMIT: Duration = Duration::from_secs(5);

/// Names a client; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(u32);

impl ClientId {
    /// The number, for tables of file descriptors.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The inverse of [`Self::get`]; a number without client is harmless.
    #[must_use]
    pub const fn from_number(number: u32) -> Self {
        Self(number)
    }
}

/// Where an answer goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The client.
    pub client: ClientId,
    /// The request's id.
    pub request_id: u64,
}

/// The listening socket and its clients.
#[derive(Debug)]
pub struct ControlSocket {
    listener: Listener,
    clients: BTreeMap<ClientId, Client>,
    last_client: u32,
    slow_clients: u64,
    refused_clients: u64,
}

impl ControlSocket {
    /// Listens at `path`, owner-only.
    ///
    /// # Errors
    /// Those of [`Listener::bind`].
    pub fn bind(path: &Path) -> Result<Self, ListenError> {
        Ok(Self {
            listener: Listener::bind(path)?,
            clients: BTreeMap::new(),
            last_client: 0,
            slow_clients: 0,
            refused_clients: 0,
        })
    }

    /// Takes some waiting clients; those above [`MAX_CLIENTS`] are hung up on.
    ///
    /// # Errors
    /// When the process is out of descriptors or memory.
    pub fn accept(&mut self, now: Instant) -> Result<(), ListenError> {
        for _ in 0..MAX_ACCEPTS_PER_STEP {
            let Some(socket) = self.listener.accept_socket()? else {
                break;
            };
            if self.clients.len() >= MAX_CLIENTS {
                self.refused_clients += 1;
                if self.refused_clients.is_power_of_two() {
                    let n = self.refused_clients;
                    warn!(max = MAX_CLIENTS, n, "control client refused: too many");
                }
                continue;
            }
            self.last_client = self.last_client.wrapping_add(1);
            self.clients
                .insert(ClientId(self.last_client), Client::new(socket, now));
        }
        Ok(())
    }

    /// Reads once from a client and returns what it asks. Unreadable lines are answered here.
    pub fn on_readable(&mut self, id: ClientId, now: Instant) -> Vec<(Caller, Incoming)> {
        let Some(client) = self.clients.get_mut(&id) else {
            return Vec::new();
        };
        client.receive();
        self.take_requests(id, now)
    }

    /// The requests that a client has sent and that there was no room for until now.
    pub fn take_requests(&mut self, id: ClientId, now: Instant) -> Vec<(Caller, Incoming)> {
        let Some(client) = self.clients.get_mut(&id) else {
            return Vec::new();
        };
        let incoming = client.take_requests(now);
        self.drop_if_done(id);
        incoming
            .into_iter()
            .map(|(request_id, incoming)| {
                let caller = Caller {
                    client: id,
                    request_id,
                };
                (caller, incoming)
            })
            .collect()
    }

    /// The first client for which [`Self::take_requests`] has something.
    #[must_use]
    pub fn client_with_requests(&self) -> Option<ClientId> {
        let mut clients = self.clients.iter();
        clients.find_map(|(id, client)| client.has_requests().then_some(*id))
    }

    /// Sends what waits for a client.
    pub fn on_writable(&mut self, id: ClientId, now: Instant) {
        if let Some(client) = self.clients.get_mut(&id) {
            client.send(now);
        }
        self.drop_if_done(id);
    }

    /// The peer hung up both directions.
    pub fn on_hang_up(&mut self, id: ClientId) {
        self.clients.remove(&id);
    }

    /// Answers a request. A caller that is gone is no error.
    pub fn answer(&mut self, caller: Caller, outcome: Result<Value, RpcError>, now: Instant) {
        if let Some(client) = self.clients.get_mut(&caller.client) {
            let response = rpc::Response::new(Some(caller.request_id), outcome);
            client.answer(&response, now);
        }
        self.drop_if_done(caller.client);
    }

    /// Disconnects clients that have not read for too long.
    pub fn expire(&mut self, now: Instant) {
        let before = self.clients.len();
        self.clients.retain(|id, client| {
            let keep = client
                .stalled_since()
                .is_none_or(|since| now.saturating_duration_since(since) < SLOW_READER_LIMIT);
            if !keep {
                warn!(
                    client = id.0,
                    "control client disconnected: it does not read"
                );
            }
            keep
        });
        self.slow_clients += (before - self.clients.len()) as u64;
    }

    /// When to call [`Self::expire`] next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.clients
            .values()
            .filter_map(Client::stalled_since)
            .map(|since| since + SLOW_READER_LIMIT)
            .min()
    }

    /// Whether a client is still there.
    #[must_use]
    pub fn has_client(&self, id: ClientId) -> bool {
        self.clients.contains_key(&id)
    }

    /// The clients with what each waits for: (id, socket, wants to read, wants to write).
    pub fn interests(&self) -> impl Iterator<Item = (ClientId, BorrowedFd<'_>, bool, bool)> {
        self.clients.iter().map(|(id, client)| {
            (
                *id,
                client.as_fd(),
                client.wants_read(),
                client.wants_write(),
            )
        })
    }

    /// Clients disconnected because they did not read.
    #[must_use]
    pub fn slow_clients(&self) -> u64 {
        self.slow_clients
    }

    fn drop_if_done(&mut self, id: ClientId) {
        if self.clients.get(&id).is_some_and(Client::is_done) {
            debug!(client = id.0, "control client done");
            self.clients.remove(&id);
        }
    }
}

impl AsFd for ControlSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

#[cfg(test)]
mod tests;
