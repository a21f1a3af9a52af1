//! [`GuestEvent`]: a machine line of the `nt` guest, decoded; what is unknown is kept as it came.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// A machine line: the JSON as it came, and what we make of it.
#[derive(Clone, Debug, PartialEq)]
pub struct GuestEvent {
    /// The whole object.
    pub raw: Value,
    /// Its meaning.
    pub kind: GuestEventKind,
}

/// The events that the harness acts on.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum GuestEventKind {
    /// The kernel runs.
    Boot {
        /// `on` or `off`.
        remapping: String,
    },
    /// An image was loaded.
    Image {
        /// Its name.
        name: String,
        /// Its base address.
        base: Hex,
        /// Its size in bytes.
        size: Hex,
    },
    /// An image imports what the kernel lacks.
    MissingImport {
        /// The importing image.
        image: String,
        /// The library it imports from.
        dll: String,
        /// The routine.
        name: String,
    },
    /// A plug-and-play request ended.
    Pnp {
        /// The device, `control` or `dut0`.
        device: String,
        /// The request.
        irp: String,
        /// Its NTSTATUS.
        status: Hex,
    },
    /// The guest stopped with a bug check.
    Bugcheck {
        /// The code.
        code: Hex,
        /// Its four parameters.
        parameters: [Hex; 4],
        /// `module+0xrva`.
        #[serde(default)]
        location: String,
    },
    /// The remapping unit recorded a fault.
    VtdFault {
        /// The fault reason of the VT-d specification.
        reason: Hex,
        /// Who asked, `bb:dd.f` or a number.
        requester: Value,
        /// The page.
        iova: Hex,
        /// `read` or `write`.
        access: String,
    },
    /// The kernel itself failed.
    Panic {
        /// The message.
        message: String,
        /// File and line.
        #[serde(default)]
        location: String,
    },
    /// The kernel found something that no bug check code stands for.
    Finding {
        /// The finding's id.
        id: String,
        /// What was seen.
        #[serde(default)]
        detail: Value,
        /// The driver's call, as `module+0xrva`, if one led to it.
        #[serde(default)]
        location: String,
    },
    /// The driver has made a call that may fail, for the first time at that call site.
    CallSite {
        /// The routine.
        routine: String,
        /// `import`, `dma-operation` or `framework`.
        door: String,
        /// The return address, as `module+0xrva`.
        location: String,
        /// What the guest asks of the driver just then, or `running`.
        phase: String,
    },
    /// A call failed as it was told to.
    CallFailed {
        /// The routine.
        routine: String,
        /// The return address, as `module+0xrva`.
        location: String,
    },
    /// What was still allocated at the end.
    Leaks(Leaks),
    /// A console command ended.
    Command {
        /// The command.
        line: String,
        /// Its NTSTATUS or word.
        #[serde(default)]
        status: Value,
    },
    /// The guest ends on purpose.
    Goodbye {
        /// Why.
        #[serde(default)]
        reason: Value,
    },
    /// A line that starts with `@` and is no JSON object with the fields its name demands.
    #[serde(skip_deserializing)]
    Malformed {
        /// What is wrong with it.
        problem: String,
    },
    /// An event of a name that we do not know.
    #[serde(other)]
    Unknown,
}

/// What was still allocated when the driver had been unloaded: a count for each kind of object that the
/// guest keeps books of, by the name it has there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Leaks {
    #[serde(flatten)]
    counts: BTreeMap<String, Hex>,
}

impl Leaks {
    /// The counts that are not zero, by name.
    #[must_use]
    pub fn found(&self) -> Vec<(String, u64)> {
        self.counts
            .iter()
            .filter(|(_, count)| count.0 != 0)
            .map(|(name, count)| (name.replace('_', " "), count.0))
            .collect()
    }
}

impl GuestEvent {
    /// Decodes what follows the `@`.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let raw = match serde_json::from_str::<Value>(text) {
            Ok(raw) if raw.is_object() => raw,
            Ok(raw) => return Self::malformed(raw, "not a JSON object".into()),
            Err(error) => return Self::malformed(Value::String(text.into()), error.to_string()),
        };
        match GuestEventKind::deserialize(&raw) {
            Ok(kind) => Self { raw, kind },
            Err(error) => Self::malformed(raw, error.to_string()),
        }
    }

    fn malformed(raw: Value, problem: String) -> Self {
        let kind = GuestEventKind::Malformed { problem };
        Self { raw, kind }
    }
}

/// A number that travels as a hex string `"0x.."`; a plain JSON number is taken, too.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Hex(pub u64);

impl fmt::Debug for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(HexVisitor)
    }
}

struct HexVisitor;

impl Visitor<'_> for HexVisitor {
    type Value = Hex;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a hex string like \"0x1f\"")
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Hex, E> {
        Ok(Hex(number))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Hex, E> {
        text.strip_prefix("0x")
            .and_then(|digits| u64::from_str_radix(digits, 16).ok())
            .map(Hex)
            .ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bug_check_is_decoded() {
        let event = GuestEvent::parse(
            r#"{"event":"bugcheck","code":"0xe6","parameters":["0x1","0x2","0x0","0x0"],"location":"dmarig.sys+0x1234"}"#,
        );
        let GuestEventKind::Bugcheck {
            code,
            parameters,
            location,
        } = event.kind
        else {
            panic!("{:?}", event.kind)
        };
        assert_eq!((code, parameters[1]), (Hex(0xe6), Hex(2)));
        assert_eq!(location, "dmarig.sys+0x1234");
    }

    #[test]
    fn unknown_event_is_kept_as_it_came() {
        let event = GuestEvent::parse(r#"{"event":"dance","steps":3}"#);
        assert_eq!(event.kind, GuestEventKind::Unknown);
        assert_eq!(event.raw["steps"], 3);
    }

    #[test]
    fn malformed_lines_are_data() {
        for text in [
            "",
            "{",
            "[]",
            "{}",
            r#"{"event":"bugcheck"}"#,
            r#"{"event":"bugcheck","code":"12","parameters":[]}"#,
            r#"{"event":"image","name":"a","base":"0x1ffffffffffffffff","size":"0x0"}"#,
        ] {
            let event = GuestEvent::parse(text);
            assert!(
                matches!(event.kind, GuestEventKind::Malformed { .. }),
                "{text}: {event:?}"
            );
        }
    }

    #[test]
    fn leaks_names_what_is_left() {
        let event = GuestEvent::parse(
            r#"{"event":"leaks","mdls":"0x2","threads":0,"kinds_to_come":"0x3"}"#,
        );
        let GuestEventKind::Leaks(leaks) = event.kind else {
            panic!("{:?}", event.kind)
        };
        let found = [("kinds to come".to_owned(), 3), ("mdls".to_owned(), 2)];
        assert_eq!(leaks.found(), found);
    }
}
