//! One control client: its unfinished line, its waiting answers, how many requests are open.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use control_api::RpcError;
use control_api::rpc::{self, CODE_INVALID_REQUEST, CODE_PARSE, MAX_LINE_BYTES};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use serde_json::Value;

use super::MAX_OPEN_REQUESTS;

/// Bytes taken from a socket at a time, so that one client cannot keep the loop from the others.
const READ_SIZE_BYTES: usize = 16 * 1024;
/// With so many bytes waiting to be read by a client, no further request of it is taken.
const OUTPUT_HIGH_WATER_BYTES: usize = 64 * 1024;

/// A readable request.
#[derive(Clone, Debug, PartialEq)]
pub struct Incoming {
    /// Name of the method.
    pub method: String,
    /// Its parameters, not yet checked.
    pub params: Value,
}

#[derive(Debug)]
pub(super) struct Client {
    socket: OwnedFd,
    input: Vec<u8>,
    output: Vec<u8>,
    /// Bytes of `output` that are sent already.
    sent: usize,
    open_requests: usize,
    /// The peer sends no more, or we take no more from it.
    input_ended: bool,
    broken: bool,
    last_progress: Instant,
}

impl Client {
    pub(super) fn new(socket: OwnedFd, now: Instant) -> Self {
        Self {
            socket,
            input: Vec::new(),
            output: Vec::new(),
            sent: 0,
            open_requests: 0,
            input_ended: false,
            broken: false,
            last_progress: now,
        }
    }

    /// Reads once, if there is room for what may come.
    pub(super) fn receive(&mut self) {
        if !self.wants_read() {
            return;
        }
        let mut chunk = [0; READ_SIZE_BYTES];
        match recv(&self.socket, &mut chunk[..], RecvFlags::empty()) {
            Ok((0, _)) => self.input_ended = true,
            Ok((n, _)) => self.input.extend_from_slice(&chunk[..n]),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => self.broken = true,
        }
    }

    /// Takes the lines that are whole, as many as there is room for; the others stay in the input,
    /// and no more is read until they are taken.
    pub(super) fn take_requests(&mut self, now: Instant) -> Vec<(u64, Incoming)> {
        let input = std::mem::take(&mut self.input);
        let mut rest = input.as_slice();
        let mut requests = Vec::new();
        while self.has_room() {
            let end = rest.iter().position(|&byte| byte == b'\n');
            if end.unwrap_or(rest.len()) >= MAX_LINE_BYTES {
                self.refuse_long_line(now);
                return requests;
            }
            let Some(end) = end else { break };
            let line = &rest[..end];
            rest = &rest[end + 1..];
            if !line.iter().all(u8::is_ascii_whitespace) {
                requests.extend(self.take_request(line, now));
            }
        }
        self.input = rest.to_vec();
        requests
    }

    /// Whether [`Self::take_requests`] would take a line.
    pub(super) fn has_requests(&self) -> bool {
        self.has_room() && self.input.contains(&b'\n')
    }

    pub(super) fn answer(&mut self, response: &rpc::Response, now: Instant) {
        self.open_requests = self.open_requests.saturating_sub(1);
        self.queue(response, now);
    }

    pub(super) fn send(&mut self, now: Instant) {
        while self.sent < self.output.len() {
            let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
            match send(&self.socket, &self.output[self.sent..], flags) {
                Ok(n) => {
                    self.sent += n;
                    self.last_progress = now;
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Err(_) => {
                    self.broken = true;
                    return;
                }
            }
        }
        self.output.clear();
        self.sent = 0;
    }

    pub(super) fn wants_read(&self) -> bool {
        !self.input_ended && self.has_room() && !self.input.contains(&b'\n')
    }

    pub(super) fn wants_write(&self) -> bool {
        !self.output.is_empty()
    }

    /// Since when the peer takes nothing of what waits for it.
    pub(super) fn stalled_since(&self) -> Option<Instant> {
        self.wants_write().then_some(self.last_progress)
    }

    /// Whether nothing can be said any more in either direction.
    pub(super) fn is_done(&self) -> bool {
        let is_silent = self.output.is_empty() && self.open_requests == 0;
        self.broken || (self.input_ended && is_silent && !self.input.contains(&b'\n'))
    }

    /// Whether one more request may be open, and one more answer wait.
    fn has_room(&self) -> bool {
        self.output.len() < OUTPUT_HIGH_WATER_BYTES && self.open_requests < MAX_OPEN_REQUESTS
    }

    fn refuse_long_line(&mut self, now: Instant) {
        let message =
            format!("the line is longer than {MAX_LINE_BYTES} bytes; the connection ends");
        self.refuse(None, CODE_INVALID_REQUEST, message, now);
        self.input_ended = true;
    }

    fn take_request(&mut self, line: &[u8], now: Instant) -> Option<(u64, Incoming)> {
        let value: Value = match serde_json::from_slice(line) {
            Ok(value) => value,
            Err(error) => {
                self.refuse(
                    None,
                    CODE_PARSE,
                    format!("the line is no JSON: {error}"),
                    now,
                );
                return None;
            }
        };
        // Read the id on its own: an error answer should carry it even when the rest is wrong.
        let id = value.get("id").and_then(Value::as_u64);
        let request: rpc::Request = match serde_json::from_value(value) {
            Ok(request) => request,
            Err(error) => {
                let message = format!(
                    "not a JSON-RPC request object with jsonrpc, id (a number), method: {error}"
                );
                self.refuse(id, CODE_INVALID_REQUEST, message, now);
                return None;
            }
        };
        if request.jsonrpc != "2.0" {
            self.refuse(
                id,
                CODE_INVALID_REQUEST,
                "jsonrpc must be \"2.0\"".into(),
                now,
            );
            return None;
        }
        self.open_requests += 1;
        let incoming = Incoming {
            method: request.method,
            params: request.params,
        };
        Some((request.id, incoming))
    }

    fn refuse(&mut self, id: Option<u64>, code: i64, message: String, now: Instant) {
        self.queue(
            &rpc::Response::new(id, Err(RpcError::new(code, message))),
            now,
        );
    }

    fn queue(&mut self, response: &rpc::Response, now: Instant) {
        if self.output.is_empty() {
            self.last_progress = now;
        }
        let line = serde_json::to_vec(response)
            .expect("an answer is made of maps with string keys, so it has a JSON form");
        debug_assert!(line.len() < MAX_LINE_BYTES, "answers are paged");
        self.output.extend_from_slice(&line);
        self.output.push(b'\n');
        self.send(now);
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
