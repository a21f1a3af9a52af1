//! The host's end of the mailbox: a window of shared memory, one request at a time.
//!
//! Order is everything: the request and its length are written before its sequence number is
//! stored with release ordering; the response's number is loaded with acquire ordering before its
//! length and bytes are copied, once each. Sequence numbers are never used twice in a process, so an
//! answer that comes too late matches nothing.

use std::mem::offset_of;

use control_api::response::GuestState;
use dmarig_abi::mailbox::{
    GUEST_STATE_ABSENT, GUEST_STATE_ATTACHED, GUEST_STATE_DETACHED, MAILBOX_MAGIC,
    MAILBOX_REQUEST_OFFSET, MAILBOX_REQUEST_SIZE_BYTES, MAILBOX_RESPONSE_OFFSET,
    MAILBOX_RESPONSE_SIZE_BYTES, MAILBOX_SIZE_BYTES, MAILBOX_VERSION, MailboxHeader,
};
use guest_memory::{MappedRange, SharedMemory, SharedMemoryError};
use thiserror::Error;

/// Why there is no mailbox.
#[derive(Debug, Error)]
#[error(transparent)]
pub struct MailboxError(#[from] SharedMemoryError);

/// Why a call is not begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CallError {
    /// No driver would answer.
    #[error("no driver reads the mailbox (its state is {state:?}); await mailbox.wait_attached")]
    NotAttached {
        /// What the guest wrote.
        state: GuestState,
    },
    /// A call is under way.
    #[error("a mailbox call is under way; there is one at a time")]
    Busy,
    /// An abandoned call is still the guest's.
    #[error(
        "the guest has not yet answered the abandoned call {sequence}; await it or reset the machine"
    )]
    Unanswered {
        /// Sequence number of that call.
        sequence: u32,
    },
    /// The program does not fit.
    #[error("the program has {length} bytes; the window takes 1 to {MAILBOX_REQUEST_SIZE_BYTES}")]
    Length {
        /// Length in bytes.
        length: usize,
    },
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallEnd {
    /// The guest answered with these bytes, which nobody has looked into.
    Response(Vec<u8>),
    /// The guest claims a length that the window does not have.
    Malformed {
        /// The length claimed.
        length_bytes: u32,
    },
    /// The driver left without an answer.
    Detached,
    /// The function was reset, or QEMU left.
    Reset,
}

/// What became of the last request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing is asked.
    Idle,
    /// Somebody awaits the response to the last sequence number.
    Called,
    /// Nobody awaits it any more, but the guest may still be at it.
    Abandoned,
    /// It was cut short by a reset, which somebody has yet to be told.
    Reset,
}

/// The mailbox.
#[derive(Debug)]
pub struct Mailbox {
    memory: SharedMemory,
    sequence: u32,
    state: State,
}

impl Mailbox {
    /// Size of the response window.
    pub const RESPONSE_SIZE_BYTES: u32 = MAILBOX_RESPONSE_SIZE_BYTES;

    /// Makes an empty mailbox.
    ///
    /// # Errors
    /// If the system has no memory or descriptors left.
    pub fn new() -> Result<Self, MailboxError> {
        let size = usize::try_from(MAILBOX_SIZE_BYTES).expect("64 KiB fit any usize");
        let mailbox = Self {
            memory: SharedMemory::create_sealed("dmarig-mailbox", size)?,
            sequence: 0,
            state: State::Idle,
        };
        mailbox.write_header();
        Ok(mailbox)
    }

    /// The memory, for the BAR.
    #[must_use]
    pub const fn memory(&self) -> &SharedMemory {
        &self.memory
    }

    /// What the guest says of itself.
    #[must_use]
    pub fn guest_state(&self) -> GuestState {
        match self.load(offset_of!(MailboxHeader, guest_state)) {
            GUEST_STATE_ABSENT => GuestState::Absent,
            GUEST_STATE_ATTACHED => GuestState::Attached,
            GUEST_STATE_DETACHED => GuestState::Detached,
            _ => GuestState::Unknown,
        }
    }

    /// Gives the guest a program. The caller raises the vector.
    ///
    /// # Errors
    /// [`CallError`]; the mailbox is unchanged then.
    pub fn begin_call(&mut self, program: &[u8]) -> Result<(), CallError> {
        let window = usize::try_from(MAILBOX_REQUEST_SIZE_BYTES).expect("28 KiB fit any usize");
        if !(1..=window).contains(&program.len()) {
            return Err(CallError::Length {
                length: program.len(),
            });
        }
        let state = self.guest_state();
        if state != GuestState::Attached {
            return Err(CallError::NotAttached { state });
        }
        match self.state {
            State::Called | State::Reset => return Err(CallError::Busy),
            State::Abandoned if self.response_sequence() != self.sequence => {
                return Err(CallError::Unanswered {
                    sequence: self.sequence,
                });
            }
            State::Abandoned | State::Idle => {}
        }
        self.write_request(program);
        self.state = State::Called;
        Ok(())
    }

    /// Looks whether the call under way has ended.
    pub fn poll(&mut self) -> Option<CallEnd> {
        match self.state {
            State::Idle => return None,
            State::Abandoned => {
                // The next driver does not know of this call.
                if self.guest_state() != GuestState::Attached {
                    self.state = State::Idle;
                }
                return None;
            }
            State::Reset => {
                self.state = State::Idle;
                return Some(CallEnd::Reset);
            }
            State::Called => {}
        }
        // The state first: a driver that answers and then detaches has answered.
        let guest_state = self.guest_state();
        if self.response_sequence() == self.sequence {
            self.state = State::Idle;
            return Some(self.copy_response());
        }
        if guest_state == GuestState::Attached {
            return None;
        }
        self.state = State::Idle;
        Some(CallEnd::Detached)
    }

    /// Gives the call up. The next one waits until the guest is through with this one.
    pub fn abandon_call(&mut self) {
        self.state = match self.state {
            State::Called => State::Abandoned,
            State::Reset => State::Idle,
            other => other,
        };
    }

    /// Brings the mailbox to its state before any driver came.
    pub fn reset(&mut self) {
        self.write_header();
        self.state = match self.state {
            State::Called | State::Reset => State::Reset,
            State::Idle | State::Abandoned => State::Idle,
        };
    }

    /// Writes the header as it is before any driver came, and no request.
    fn write_header(&self) {
        self.store(offset_of!(MailboxHeader, guest_state), GUEST_STATE_ABSENT);
        self.store(offset_of!(MailboxHeader, request_sequence), 0);
        self.store(offset_of!(MailboxHeader, request_length_bytes), 0);
        self.store(offset_of!(MailboxHeader, response_sequence), 0);
        self.store(offset_of!(MailboxHeader, response_length_bytes), 0);
        self.store(offset_of!(MailboxHeader, version), MAILBOX_VERSION);
        self.store(offset_of!(MailboxHeader, magic), MAILBOX_MAGIC);
    }

    fn write_request(&mut self, program: &[u8]) {
        // 0 means "no request", so it is left out when the number wraps.
        self.sequence = self.sequence.checked_add(1).unwrap_or(1);
        self.window(MAILBOX_REQUEST_OFFSET, MAILBOX_REQUEST_SIZE_BYTES)
            .write_from(program);
        let length = u32::try_from(program.len()).expect("the window is 28 KiB");
        self.store(offset_of!(MailboxHeader, request_length_bytes), length);
        self.store(offset_of!(MailboxHeader, request_sequence), self.sequence);
    }

    fn response_sequence(&self) -> u32 {
        self.load(offset_of!(MailboxHeader, response_sequence))
    }

    fn copy_response(&self) -> CallEnd {
        // Loaded once: the guest may change it between a check and a use.
        let length_bytes = self.load(offset_of!(MailboxHeader, response_length_bytes));
        if length_bytes > MAILBOX_RESPONSE_SIZE_BYTES {
            return CallEnd::Malformed { length_bytes };
        }
        let length = usize::try_from(length_bytes).expect("32 KiB fit any usize");
        let mut response = vec![0; length];
        self.window(MAILBOX_RESPONSE_OFFSET, MAILBOX_RESPONSE_SIZE_BYTES)
            .read_into(&mut response);
        CallEnd::Response(response)
    }

    fn window(&self, offset: u64, size: u32) -> MappedRange<'_> {
        let size = usize::try_from(size).expect("a window is 32 KiB at most");
        self.memory
            .range(offset, size)
            .expect("both windows lie in the mailbox")
    }

    fn load(&self, offset: usize) -> u32 {
        self.memory
            .whole()
            .load_u32(offset)
            .expect("the header's words are aligned and in the mailbox")
    }

    fn store(&self, offset: usize, word: u32) {
        self.memory
            .whole()
            .store_u32(offset, word)
            .expect("the header's words are aligned and in the mailbox");
    }
}

#[cfg(test)]
mod tests;
