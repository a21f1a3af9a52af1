//! The JSON-RPC 2.0 envelope, its limits and its error codes. One object a line, no batches.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Longest line in bytes, the newline included; both directions.
pub const MAX_LINE_BYTES: usize = 64 * 1024;

/// The line is no JSON.
pub const CODE_PARSE: i64 = -32700;
/// The JSON is no request object.
pub const CODE_INVALID_REQUEST: i64 = -32600;
/// There is no such method.
pub const CODE_UNKNOWN_METHOD: i64 = -32601;
/// The parameters do not fit the method.
pub const CODE_BAD_PARAMS: i64 = -32602;
/// What was awaited did not come in time.
pub const CODE_TIMEOUT: i64 = -32010;
/// No driver reads the mailbox.
pub const CODE_NOT_ATTACHED: i64 = -32011;
/// Another call of this kind is under way, or too many are.
pub const CODE_BUSY: i64 = -32012;
/// The guest's response is malformed.
pub const CODE_BAD_RESPONSE: i64 = -32013;
/// QEMU is not connected to the function's socket.
pub const CODE_NOT_CONNECTED: i64 = -32014;
/// The function was reset, disconnected or stopped while the request was under way.
pub const CODE_ABORTED: i64 = -32015;
/// A bound of the device process is reached.
pub const CODE_LIMIT: i64 = -32016;

/// A request line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Always `2.0`.
    pub jsonrpc: String,
    /// Chosen by the client, unique among its open requests; echoed in the answer.
    pub id: u64,
    /// Name of the method.
    pub method: String,
    /// An object; may be left out when the method needs nothing.
    #[serde(default = "empty_object")]
    pub params: Value,
}

/// An answer line: exactly one of `result` and `error`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Response {
    /// Always `2.0`.
    pub jsonrpc: String,
    /// The request's id; null when the request was not readable.
    pub id: Option<u64>,
    /// What the method returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<RpcError>,
}

/// Why a method failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message} (code {code})")]
pub struct RpcError {
    /// One of the `CODE_*` constants.
    pub code: i64,
    /// What, where, and how to mend it.
    pub message: String,
}

impl RpcError {
    /// Puts code and message together.
    pub fn new(code: i64, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

impl Response {
    /// Answers the request `id`, or an unreadable one.
    #[must_use]
    pub fn new(id: Option<u64>, outcome: Result<Value, RpcError>) -> Self {
        let (result, error) = match outcome {
            Ok(result) => (Some(result), None),
            Err(error) => (None, Some(error)),
        };
        Self {
            jsonrpc: "2.0".into(),
            id,
            result,
            error,
        }
    }
}

fn empty_object() -> Value {
    Value::Object(serde_json::Map::new())
}
