//! The version exchange that opens a connection.
//!
//! Our reply is the same for every peer: version 0.0 and two capabilities. QEMU 11.1 reads it
//! into a buffer of 214 bytes, refuses what does not fit, and warns about keys it does not know.

use serde::Deserialize;
use zerocopy::FromBytes;

use crate::error::Errno;
use crate::message::{HEADER_SIZE, MAX_DATA_XFER_SIZE, MAX_MESSAGE_FDS, Version};

/// Longest version reply that QEMU 11.1 takes, header included.
pub const MAX_VERSION_REPLY_SIZE: usize = 214;
/// Longest capability text we parse.
pub const MAX_VERSION_TEXT: usize = 4096;

/// The capabilities we announce, with the final NUL that QEMU insists on.
const REPLY_TEXT: &[u8] =
    b"{\"capabilities\":{\"max_msg_fds\":16,\"max_data_xfer_size\":1048576}}\0";
const _: () = assert!(MAX_MESSAGE_FDS == 16 && MAX_DATA_XFER_SIZE == 1_048_576);
const _: () =
    assert!(HEADER_SIZE + size_of::<Version>() + REPLY_TEXT.len() <= MAX_VERSION_REPLY_SIZE);

/// The one major version there is.
const MAJOR: u16 = 0;

/// What a peer said about itself, as far as it binds us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerLimits {
    /// Most data bytes of one message towards the peer.
    pub max_data_xfer_size: usize,
}

#[derive(Default, Deserialize)]
struct Proposal {
    #[serde(default)]
    capabilities: Capabilities,
}

#[derive(Default, Deserialize)]
struct Capabilities {
    max_data_xfer_size: Option<u64>,
}

/// Judges a peer's proposal.
///
/// # Errors
/// `EINVAL` for a payload that is cut short, another major version, or a text that is not the
/// JSON object the document describes; `E2BIG` for a text above [`MAX_VERSION_TEXT`].
pub(crate) fn judge_proposal(payload: &[u8]) -> Result<PeerLimits, Errno> {
    let (version, text) = Version::read_from_prefix(payload).map_err(|_| Errno::EINVAL)?;
    // A higher minor version is met by our lower answer; a higher major version is another
    // protocol.
    if version.major != MAJOR {
        return Err(Errno::EINVAL);
    }
    let capabilities = parse_capabilities(text)?;
    let max_data_xfer_size = match capabilities.max_data_xfer_size {
        None => MAX_DATA_XFER_SIZE,
        Some(0) => return Err(Errno::EINVAL),
        Some(size) => usize::try_from(size)
            .unwrap_or(usize::MAX)
            .min(MAX_DATA_XFER_SIZE),
    };
    Ok(PeerLimits { max_data_xfer_size })
}

fn parse_capabilities(text: &[u8]) -> Result<Capabilities, Errno> {
    if text.is_empty() {
        return Ok(Capabilities::default());
    }
    if text.len() > MAX_VERSION_TEXT {
        return Err(Errno::E2BIG);
    }
    let text = text.strip_suffix(b"\0").ok_or(Errno::EINVAL)?;
    serde_json::from_slice::<Proposal>(text)
        .map(|proposal| proposal.capabilities)
        .map_err(|_| Errno::EINVAL)
}

/// Returns the fixed part and the text of our reply.
pub(crate) fn reply() -> (Version, &'static [u8]) {
    let version = Version {
        major: MAJOR,
        minor: 0,
    };
    (version, REPLY_TEXT)
}
