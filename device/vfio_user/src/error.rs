//! What can go wrong, sorted: [`Errno`] goes to the peer as an answer, [`ConnectionError`] ends
//! one connection, [`ListenError`] keeps the server from starting.

use std::fmt;
use std::io;
use std::num::NonZeroU32;
use std::path::PathBuf;

use thiserror::Error;

/// An error number as it travels in an error reply; never zero.
///
/// QEMU 11.1 takes an error reply with errno 0 for success, and dies of it for one command, so
/// the type cannot hold it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(NonZeroU32);

macro_rules! errnos {
    ($($(#[$doc:meta])* $name:ident = $value:literal;)*) => {
        impl Errno {
            $($(#[$doc])* pub const $name: Self = Self(NonZeroU32::new($value).expect("errno is not zero"));)*

            fn name(self) -> Option<&'static str> {
                match self.get() {
                    $($value => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        }
    };
}

errnos! {
    /// Input or output failed.
    EIO = 5;
    /// A length or count is above its bound.
    E2BIG = 7;
    /// No room now; a bound of ours is reached.
    ENOMEM = 12;
    /// The access is not permitted.
    EACCES = 13;
    /// The range is taken.
    EEXIST = 17;
    /// No such device, or nothing at that address.
    ENODEV = 19;
    /// The request is malformed.
    EINVAL = 22;
    /// No room in a table.
    ENOSPC = 28;
    /// The command is unknown.
    ENOSYS = 38;
    /// The request breaks the protocol's order.
    EPROTO = 71;
    /// The command is known but not offered.
    EOPNOTSUPP = 95;
}

impl Errno {
    /// Takes a raw error number; `None` for zero.
    pub const fn new(raw: u32) -> Option<Self> {
        match NonZeroU32::new(raw) {
            Some(raw) => Some(Self(raw)),
            None => None,
        }
    }

    /// Returns the number, which is not zero.
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "errno {}", self.get()),
        }
    }
}

/// Why a connection cannot go on. The listener stays good; accept the next peer.
#[derive(Debug, Error)]
pub enum ConnectionError {
    /// The length field leaves the stream without a next message.
    #[error(
        "message {message_id:#x}, command {command}: length {size:#x} is outside {min:#x}..={max:#x}"
    )]
    MessageSize {
        /// Message id as sent.
        message_id: u16,
        /// Command number as sent.
        command: u16,
        /// Length as sent.
        size: u32,
        /// Least length of a message.
        min: usize,
        /// Greatest length we take.
        max: usize,
    },
    /// The type bits name neither a command nor a reply.
    #[error("message {message_id:#x}, command {command}: message type in flags {flags:#x}")]
    MessageType {
        /// Message id as sent.
        message_id: u16,
        /// Command number as sent.
        command: u16,
        /// Flags as sent.
        flags: u32,
    },
    /// The peer closed the socket inside a message.
    #[error("the peer left {received} bytes into a message")]
    PeerVanished {
        /// Bytes of the unfinished message that had arrived.
        received: usize,
    },
    /// Reading or writing the socket failed.
    #[error("vfio-user socket")]
    Socket(#[from] io::Error),
}

/// Why a [`Listener`](crate::Listener) could not be set up or used.
#[derive(Debug, Error)]
pub enum ListenError {
    /// Somebody listens there.
    #[error("socket {path}: another process is listening\nhelp: stop it or choose another path")]
    Live {
        /// The path asked for.
        path: PathBuf,
    },
    /// Something that is not a socket has that name.
    #[error("{path}: exists and is not a socket\nhelp: remove it or choose another path")]
    NotASocket {
        /// The path asked for.
        path: PathBuf,
    },
    /// The path does not fit into a socket address.
    #[error("socket {path}: path is longer than {max} bytes")]
    PathTooLong {
        /// The path asked for.
        path: PathBuf,
        /// Most bytes a path may have.
        max: usize,
    },
    /// A system call failed.
    #[error("socket {path}: {action} failed")]
    System {
        /// The path asked for.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// The cause.
        #[source]
        source: io::Error,
    },
}
