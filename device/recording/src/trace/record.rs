//! [`TraceRecord`]: one line of the canonical trace.
//!
//! A record depends on the inputs of the device alone. There is no wall time, file descriptor,
//! process or message number in it, and a request is one record however many TLPs or messages it
//! took. Addresses and 64-bit values are `"0x1f"`, as on the control socket.

use control_api::iommu::{IommuFault, IommuOrder};
use control_api::ledger::{AccessDirection, AccessPath, ViolationKind};
use control_api::response::DmaStatus;
use serde::{Serialize, Serializer};

/// One thing that the device saw or did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "record", rename_all = "kebab-case")]
pub enum TraceRecord {
    /// The guest accessed configuration space or a BAR.
    Access {
        /// Region of vfio-user: 0 to 5 are BARs, 7 is configuration space.
        region: u32,
        /// First byte in the region.
        #[serde(serialize_with = "hex")]
        offset: u64,
        /// Seen from the guest.
        direction: AccessDirection,
        /// Length in bytes.
        length: u32,
        /// What was read or written, little-endian, where it has 8 bytes or fewer.
        #[serde(serialize_with = "hex_option", skip_serializing_if = "Option::is_none")]
        value: Option<u64>,
        /// CRC-32C of what was read or written, where it is longer.
        #[serde(skip_serializing_if = "Option::is_none")]
        crc32c: Option<u32>,
    },
    /// A request of the engine has ended.
    Request(RequestRecord),
    /// The device raised a vector. Whether an eventfd was bound is QEMU's matter.
    Interrupt {
        /// The vector.
        vector: u32,
    },
    /// The device changed the level that it wants on its interrupt pin.
    Pin {
        /// Whether it is up now.
        asserted: bool,
    },
    /// A rule of fault injection acted.
    Fault(FaultRecord),
    /// Something that must not happen.
    Violation(ViolationRecord),
    /// The function was reset.
    Reset {
        /// By what.
        kind: ResetKind,
    },
    /// The function changed its power state.
    Power {
        /// 0 for D0 to 3 for D3hot.
        state: u8,
    },
    /// The function's link went down or came up.
    Link {
        /// Whether it is up now.
        up: bool,
    },
    /// The device's own remapping unit was programmed, or refused a request.
    Remapping(RemappingRecord),
    /// The platform went away.
    Disconnected,
    /// Something else that the endpoint told.
    Event {
        /// What, in kebab case.
        what: String,
        /// With its numbers.
        detail: String,
    },
}

/// What became of the device's own remapping unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum RemappingRecord {
    /// It translates from now on.
    Enabled {
        /// Where its root table lies in guest physical memory.
        #[serde(serialize_with = "hex")]
        root: u64,
        /// Under which number its tables have the function.
        requester: String,
    },
    /// It translates no longer.
    Disabled,
    /// It has taken the address of another root table.
    RootTable {
        /// The address in guest physical memory.
        #[serde(serialize_with = "hex")]
        root: u64,
    },
    /// An invalidation was ordered.
    Ordered {
        /// Which.
        order: IommuOrder,
    },
    /// An invalidation was ordered that cannot be.
    OrderIgnored,
    /// Every order given so far was carried out.
    Waited {
        /// How many there were.
        orders: usize,
    },
    /// It refused a request.
    Fault {
        /// Whose, where and why.
        fault: IommuFault,
        /// What became of the record.
        fate: RemappingFate,
    },
}

/// What became of a fault of the device's own remapping unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RemappingFate {
    /// It is in a fault recording register.
    Recorded,
    /// It was dropped because its requester had a record pending.
    Compressed,
    /// It was lost because the registers were full.
    Lost,
    /// The context entry kept it from being recorded.
    Suppressed,
}

/// By what a function was reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResetKind {
    /// A reset of the bus, or `function.reset` of the control socket.
    Conventional,
    /// The function's own reset, in configuration space.
    FunctionLevel,
    /// The way back from D3hot of a function that keeps no registers then.
    PowerManagement,
}

/// Who asked for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RequestOrigin {
    /// The channel's registers.
    Register,
    /// A descriptor of the channel's ring, by its position.
    Ring(u32),
    /// The engine itself, which fetched the descriptor at that position.
    DescriptorFetch(u32),
    /// The engine itself, which fetched a list of the descriptor at that position.
    ListFetch(u32),
    /// The engine itself, which gave the descriptor at that position back.
    DescriptorRelease(u32),
    /// The engine itself, which wrote its producer index.
    ProducerIndex(u32),
    /// The engine itself, which wrote the completion entry at that position.
    CompletionEntry(u32),
    /// `dma.submit`, by its number.
    Host(u64),
    /// The endpoint itself, for something named in the record's `what`.
    Endpoint,
}

/// A request that has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RequestRecord {
    /// The channel; null for the control socket's own.
    pub channel: Option<u32>,
    /// Who asked.
    pub origin: RequestOrigin,
    /// `DMA_OP_*`.
    pub op: u16,
    /// `DESCRIPTOR_FLAG_*`.
    pub flags: u16,
    /// First byte read, if the operation reads.
    #[serde(serialize_with = "hex_option", skip_serializing_if = "Option::is_none")]
    pub source: Option<u64>,
    /// First byte written, if the operation writes.
    #[serde(serialize_with = "hex_option", skip_serializing_if = "Option::is_none")]
    pub destination: Option<u64>,
    /// Bytes asked for.
    #[serde(serialize_with = "hex")]
    pub length: u64,
    /// Bytes moved.
    #[serde(serialize_with = "hex")]
    pub done: u64,
    /// How it ended.
    pub status: DmaStatus,
    /// How the bytes travelled.
    pub path: AccessPath,
    /// CRC-32C of the bytes moved.
    pub crc32c: u32,
    /// Offset of the first byte that differs from the pattern.
    #[serde(serialize_with = "hex_option", skip_serializing_if = "Option::is_none")]
    pub mismatch: Option<u64>,
    /// The byte at which the request was refused.
    #[serde(serialize_with = "hex_option", skip_serializing_if = "Option::is_none")]
    pub fault_iova: Option<u64>,
    /// The first byte that fell back to a message and was served.
    #[serde(serialize_with = "hex_option", skip_serializing_if = "Option::is_none")]
    pub fallback_iova: Option<u64>,
    /// Mapping epochs when it was issued and when it ended.
    pub epochs: [u64; 2],
}

/// A rule that acted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FaultRecord {
    /// Its name.
    pub rule: String,
    /// Where it acted.
    pub point: String,
    /// On which channel; null where there is none.
    pub channel: Option<u32>,
    /// The how manieth hit of the rule on that channel this was, from 1.
    pub hit: u64,
    /// What it did.
    pub effect: String,
}

/// What the ledger found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ViolationRecord {
    /// What happened.
    pub kind: ViolationKind,
    /// The channel; null for the control socket's own requests.
    pub channel: Option<u32>,
    /// First byte concerned.
    #[serde(serialize_with = "hex")]
    pub iova: u64,
    /// Length in bytes.
    #[serde(serialize_with = "hex")]
    pub length: u64,
    /// Mapping epoch.
    pub epoch: u64,
    /// One sentence for people.
    pub detail: String,
}

impl TraceRecord {
    /// The record of an access to a region; `data` is what was read or written.
    #[must_use]
    pub fn access(region: u32, offset: u64, direction: AccessDirection, data: &[u8]) -> Self {
        let is_short = data.len() <= 8;
        let value = || {
            let mut bytes = [0; 8];
            bytes[..data.len()].copy_from_slice(data);
            u64::from_le_bytes(bytes)
        };
        Self::Access {
            region,
            offset,
            direction,
            length: u32::try_from(data.len()).unwrap_or(u32::MAX),
            value: is_short.then(value),
            crc32c: (!is_short).then(|| crc32c::crc32c(data)),
        }
    }

    /// Appends the record's line, with its newline.
    pub fn write_line(&self, line: &mut Vec<u8>) {
        serde_json::to_writer(&mut *line, self).expect("a record is numbers and text");
        line.push(b'\n');
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde wants this signature"
)]
fn hex<S: Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{value:#x}"))
}

fn hex_option<S: Serializer>(value: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => hex(value, serializer),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(record: &TraceRecord) -> String {
        let mut line = Vec::new();
        record.write_line(&mut line);
        String::from_utf8(line).expect("text")
    }

    #[test]
    fn lines_read_as_documented() {
        let access = TraceRecord::access(0, 0x40, AccessDirection::Write, &[1, 0, 0, 0]);
        assert_eq!(
            line(&access),
            "{\"record\":\"access\",\"region\":0,\"offset\":\"0x40\",\"direction\":\"write\",\
             \"length\":4,\"value\":\"0x1\"}\n"
        );
        let long = TraceRecord::access(7, 0, AccessDirection::Read, &[0; 9]);
        assert!(
            line(&long).contains("\"length\":9,\"crc32c\":"),
            "{}",
            line(&long)
        );
        let interrupt = TraceRecord::Interrupt { vector: 3 };
        assert_eq!(
            line(&interrupt),
            "{\"record\":\"interrupt\",\"vector\":3}\n"
        );
        assert_eq!(
            line(&TraceRecord::Disconnected),
            "{\"record\":\"disconnected\"}\n"
        );
    }

    #[test]
    fn a_request_names_its_origin_and_leaves_out_what_it_has_not() {
        let record = TraceRecord::Request(RequestRecord {
            channel: Some(1),
            origin: RequestOrigin::Ring(7),
            op: 2,
            flags: 1,
            source: None,
            destination: Some(0x1000),
            length: 64,
            done: 64,
            status: DmaStatus::Success,
            path: AccessPath::Mapped,
            crc32c: 5,
            mismatch: None,
            fault_iova: None,
            fallback_iova: None,
            epochs: [3, 4],
        });
        assert_eq!(
            line(&record),
            "{\"record\":\"request\",\"channel\":1,\"origin\":{\"ring\":7},\"op\":2,\"flags\":1,\
             \"destination\":\"0x1000\",\"length\":\"0x40\",\"done\":\"0x40\",\
             \"status\":\"success\",\"path\":\"mapped\",\"crc32c\":5,\"epochs\":[3,4]}\n"
        );
    }
}
