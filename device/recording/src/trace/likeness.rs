//! [`compare`]: two runs of the same cases with a guest, of which neither is a replay of the other.
//!
//! A guest polls as often as it likes and gets other addresses, so the traces are never the same. What
//! must be the same is what each channel was asked and what became of it, and each fault at its place
//! among the requests of its channel. What the guest did to the registers is compared, too, with
//! repeated polls taken as one: it tells where the runs have parted first.

use std::collections::BTreeMap;
use std::io::BufRead;

use serde_json::Value;

/// Longest line that is looked at.
const MAX_LINE_BYTES: usize = 64 << 10;

/// A stream of things whose order matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stream {
    /// Requests and faults of a channel; `None` for those without one.
    Channel(Option<u64>),
    /// Accesses of the guest to configuration space and BARs.
    Registers,
}

/// One thing in a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The record of its trace, from 1.
    pub record: u64,
    /// What it was, without what may differ.
    pub text: String,
}

/// The first place where a stream differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parting {
    /// The stream.
    pub stream: Stream,
    /// The how manieth of the stream, from 1.
    pub position: usize,
    /// What the recording has there; nothing if the stream ends.
    pub expected: Option<Item>,
    /// What the new run has there; nothing if the stream ends.
    pub seen: Option<Item>,
}

/// How alike two runs are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Likeness {
    /// Faults that acted in the recording.
    pub n_faults: usize,
    /// Requests that ended in the recording.
    pub n_requests: usize,
    /// Where each channel that differs has parted.
    pub channels: Vec<Parting>,
    /// Where the accesses to registers have parted.
    pub registers: Option<Parting>,
}

impl Likeness {
    /// Whether each channel was asked the same with the same end and the same faults.
    #[must_use]
    pub fn is_same(&self) -> bool {
        self.channels.is_empty()
    }

    /// What differs first in the recording's order.
    #[must_use]
    pub fn first(&self) -> Option<&Parting> {
        let record = |parting: &&Parting| {
            let item = parting.expected.as_ref().or(parting.seen.as_ref());
            item.map_or(u64::MAX, |item| item.record)
        };
        self.channels
            .iter()
            .chain(&self.registers)
            .min_by_key(record)
    }
}

/// The streams of a trace.
#[derive(Debug, Default)]
struct Streams {
    items: BTreeMap<Stream, Vec<Item>>,
    n_faults: usize,
    n_requests: usize,
}

/// Compares a new run's trace with a recorded one.
///
/// # Errors
/// Which line of which trace is none, from 1.
pub fn compare(recorded: impl BufRead, new: impl BufRead) -> Result<Likeness, String> {
    let recorded = read(recorded).map_err(|problem| format!("the recorded trace, {problem}"))?;
    let new = read(new).map_err(|problem| format!("the new trace, {problem}"))?;
    let mut likeness = Likeness {
        n_faults: recorded.n_faults,
        n_requests: recorded.n_requests,
        ..Likeness::default()
    };
    let mut names: Vec<Stream> = recorded
        .items
        .keys()
        .chain(new.items.keys())
        .copied()
        .collect();
    names.sort_unstable();
    names.dedup();
    for stream in names {
        let items = |streams: &Streams| streams.items.get(&stream).cloned().unwrap_or_default();
        let Some(parting) = part(stream, &items(&recorded), &items(&new)) else {
            continue;
        };
        match stream {
            Stream::Channel(_) => likeness.channels.push(parting),
            Stream::Registers => likeness.registers = Some(parting),
        }
    }
    Ok(likeness)
}

fn part(stream: Stream, recorded: &[Item], new: &[Item]) -> Option<Parting> {
    let n_max = recorded.len().max(new.len());
    let text = |items: &[Item], at: usize| items.get(at).map(|item| item.text.clone());
    let at = (0..n_max).find(|at| text(recorded, *at) != text(new, *at))?;
    Some(Parting {
        stream,
        position: at + 1,
        expected: recorded.get(at).cloned(),
        seen: new.get(at).cloned(),
    })
}

fn read(mut trace: impl BufRead) -> Result<Streams, String> {
    let mut streams = Streams::default();
    let mut line = Vec::new();
    for record in 1.. {
        line.clear();
        let count = trace.read_until(b'\n', &mut line);
        let count = count.map_err(|error| format!("line {record}: {error}"))?;
        // A last line without its end was cut off by a kill.
        if count == 0 || !line.ends_with(b"\n") {
            break;
        }
        if line.len() > MAX_LINE_BYTES {
            return Err(format!("line {record} is longer than any of ours"));
        }
        let value: Value =
            serde_json::from_slice(&line).map_err(|error| format!("line {record}: {error}"))?;
        streams.add(record, &value);
    }
    Ok(streams)
}

impl Streams {
    fn add(&mut self, record: u64, value: &Value) {
        let field = |name: &str| value.get(name).map_or(String::new(), Value::to_string);
        let channel = || Stream::Channel(value.get("channel").and_then(Value::as_u64));
        let (stream, text) = match value.get("record").and_then(Value::as_str) {
            Some("request") => {
                self.n_requests += 1;
                (
                    channel(),
                    format!(
                        "request op {} flags {} by {}: {} of {} bytes, {}",
                        field("op"),
                        field("flags"),
                        origin(value.get("origin")),
                        field("done"),
                        field("length"),
                        field("status")
                    ),
                )
            }
            Some("fault") => {
                self.n_faults += 1;
                (
                    channel(),
                    format!(
                        "fault {} at {}, hit {}: {}",
                        field("rule"),
                        field("point"),
                        field("hit"),
                        field("effect")
                    ),
                )
            }
            Some("access") => (
                Stream::Registers,
                format!(
                    "{} of {} bytes at {} of region {}",
                    field("direction"),
                    field("length"),
                    field("offset"),
                    field("region")
                ),
            ),
            Some("reset" | "power" | "disconnected") => (
                Stream::Registers,
                format!("{} {}{}", field("record"), field("kind"), field("state")),
            ),
            _ => return,
        };
        let text = text.replace('"', "");
        let items = self.items.entry(stream).or_default();
        let is_poll =
            text.starts_with("read") && items.last().is_some_and(|last| last.text == text);
        if !is_poll {
            items.push(Item { record, text });
        }
    }
}

/// Who asked; a position in a ring is the guest's matter.
fn origin(origin: Option<&Value>) -> String {
    match origin {
        Some(Value::String(name)) => name.clone(),
        Some(Value::Object(fields)) => fields.keys().next().cloned().unwrap_or_default(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(channel: u32, status: &str) -> String {
        format!(
            "{{\"record\":\"request\",\"channel\":{channel},\"origin\":{{\"ring\":3}},\"op\":2,\
             \"flags\":0,\"length\":\"0x40\",\"done\":\"0x40\",\"status\":\"{status}\",\
             \"crc32c\":1}}\n"
        )
    }

    fn access(direction: &str, offset: &str) -> String {
        format!(
            "{{\"record\":\"access\",\"region\":0,\"offset\":\"{offset}\",\
             \"direction\":\"{direction}\",\"length\":4,\"value\":\"0x0\"}}\n"
        )
    }

    fn fault(channel: u32, hit: u32) -> String {
        format!(
            "{{\"record\":\"fault\",\"rule\":\"short\",\"point\":\"dma-read\",\
             \"channel\":{channel},\"hit\":{hit},\"effect\":\"short\"}}\n"
        )
    }

    fn likeness(recorded: &[String], new: &[String]) -> Likeness {
        compare(recorded.concat().as_bytes(), new.concat().as_bytes()).expect("traces")
    }

    #[test]
    fn polls_and_the_order_between_channels_make_no_difference() {
        let poll = access("read", "0x100");
        let recorded = [request(0, "success"), poll.clone(), request(1, "success")];
        let new = [
            request(1, "success"),
            poll.clone(),
            poll.clone(),
            poll,
            request(0, "success"),
        ];
        let likeness = likeness(&recorded, &new);
        assert!(
            likeness.is_same() && likeness.registers.is_none(),
            "{likeness:?}"
        );
        assert_eq!(likeness.n_requests, 2);
    }

    #[test]
    fn fault_at_another_place_of_its_channel_is_named() {
        let recorded = [request(0, "success"), fault(0, 1), request(0, "aborted")];
        let new = [fault(0, 1), request(0, "success"), request(0, "aborted")];
        let likeness = likeness(&recorded, &new);
        assert!(!likeness.is_same());
        let first = likeness.first().expect("a parting");
        assert_eq!(first.stream, Stream::Channel(Some(0)));
        assert_eq!(first.position, 1);
        let seen = first.seen.as_ref().expect("seen");
        assert_eq!(seen.text, "fault short at dma-read, hit 1: short");
    }

    #[test]
    fn other_accesses_are_told_although_the_requests_are_the_same() {
        let recorded = [access("write", "0x8"), request(0, "success")];
        let new = [access("write", "0xc"), request(0, "success")];
        let likeness = likeness(&recorded, &new);
        assert!(likeness.is_same());
        let parting = likeness.registers.expect("a parting");
        assert_eq!(
            parting.expected.expect("item").text,
            "write of 4 bytes at 0x8 of region 0"
        );
    }

    #[test]
    fn missing_request_at_the_end_is_named() {
        let likeness = likeness(&[request(0, "success")], &[]);
        assert_eq!(likeness.channels.len(), 1);
        assert_eq!(likeness.channels[0].seen, None);
    }

    #[test]
    fn line_that_is_none_is_named() {
        let error = compare(&b"{}\nnonsense\n"[..], &b""[..]).expect_err("nonsense");
        assert!(error.starts_with("the recorded trace, line 2: "), "{error}");
    }
}
