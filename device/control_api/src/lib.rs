//! The control socket of `dmarig-device`: what the harness may say and ask.
//!
//! JSON-RPC 2.0, one object a line over a UNIX socket; docs/control-socket.md shows every method.
//! [`request`] holds the parameters, [`response`] the results, [`ledger`] the records of accesses and
//! violations, [`registers`] what a driver touched, [`iommu`] what the DUT's own remapping unit is told and tells, [`rpc`] the envelope, [`client`] a blocking client. The server lives in
//! `dmarig_device`.
#![forbid(unsafe_code)]

pub mod client;
pub mod encoding;
pub mod function_name;
pub mod iommu;
pub mod ledger;
pub mod registers;
pub mod request;
pub mod response;
pub mod rpc;

pub use client::{Client, ClientError, Pending};
pub use function_name::FunctionName;
pub use request::Method;
pub use rpc::{MAX_LINE_BYTES, RpcError};
