//! How numbers and bytes look in JSON: 64-bit values as `"0x1f"`, bytes as Base64.
//!
//! A JSON number is a double for many readers, so 64-bit addresses and seeds travel as text. Bytes
//! are Base64 because the largest mailbox response (32 KiB) would not fit a 64 KiB line in hex.

use serde::{Deserialize, Deserializer, Serializer, de};

/// `u64` as a hexadecimal string; for `#[serde(with = "hex64")]`.
pub mod hex64 {
    use super::{Deserializer, Serializer, deserialize_text, parse_hex};

    /// Writes `0x1f`.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{value:#x}"))
    }

    /// Reads `0x1f`.
    ///
    /// # Errors
    /// If the text is not `0x` and 1 to 16 hexadecimal digits.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        deserialize_text(deserializer, parse_hex)
    }
}

/// `Option<u64>` as a hexadecimal string or null; for `#[serde(with = "hex64_option")]`.
pub mod hex64_option {
    use super::{Deserialize, Deserializer, Serializer, de, parse_hex};

    /// Writes `0x1f` or null.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(value: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => super::hex64::serialize(value, serializer),
            None => serializer.serialize_none(),
        }
    }

    /// Reads `0x1f` or null.
    ///
    /// # Errors
    /// If the text is not `0x` and 1 to 16 hexadecimal digits.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<u64>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| parse_hex(&text).map_err(de::Error::custom))
            .transpose()
    }
}

/// [`Iova`](dmarig_abi::Iova) as a hexadecimal string; for `#[serde(with = "iova")]`.
pub mod iova {
    use super::{Deserializer, Serializer};
    use dmarig_abi::Iova;

    /// Writes `0x1f`.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(value: &Iova, serializer: S) -> Result<S::Ok, S::Error> {
        super::hex64::serialize(&value.raw(), serializer)
    }

    /// Reads `0x1f`.
    ///
    /// # Errors
    /// If the text is not `0x` and 1 to 16 hexadecimal digits.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Iova, D::Error> {
        super::hex64::deserialize(deserializer).map(Iova::new)
    }
}

/// `Option<Iova>` as a hexadecimal string or null; for `#[serde(with = "iova_option")]`.
pub mod iova_option {
    use super::{Deserializer, Serializer};
    use dmarig_abi::Iova;

    /// Writes `0x1f` or null.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(
        value: &Option<Iova>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        super::hex64_option::serialize(&value.map(Iova::raw), serializer)
    }

    /// Reads `0x1f` or null.
    ///
    /// # Errors
    /// If the text is not `0x` and 1 to 16 hexadecimal digits.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Iova>, D::Error> {
        Ok(super::hex64_option::deserialize(deserializer)?.map(Iova::new))
    }
}

/// [`GuestPhysAddr`](dmarig_abi::GuestPhysAddr) as a hexadecimal string; for
/// `#[serde(with = "guest_phys")]`.
pub mod guest_phys {
    use super::{Deserializer, Serializer};
    use dmarig_abi::GuestPhysAddr;

    /// Writes `0x1f`.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(
        value: &GuestPhysAddr,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        super::hex64::serialize(&value.raw(), serializer)
    }

    /// Reads `0x1f`.
    ///
    /// # Errors
    /// If the text is not `0x` and 1 to 16 hexadecimal digits.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<GuestPhysAddr, D::Error> {
        super::hex64::deserialize(deserializer).map(GuestPhysAddr::new)
    }
}

/// [`RequesterId`](dmarig_abi::RequesterId) as `"01:00.0"`; for `#[serde(with = "requester_id")]`.
pub mod requester_id {
    use super::{Deserializer, Serializer, deserialize_text};
    use dmarig_abi::RequesterId;

    /// Writes `01:00.0`.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(value: &RequesterId, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    /// Reads `01:00.0`.
    ///
    /// # Errors
    /// If the text is not bus, device and function as `lspci` prints them.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<RequesterId, D::Error> {
        deserialize_text(deserializer, parse)
    }

    fn parse(text: &str) -> Result<RequesterId, String> {
        let number = |digits: &str, len: usize| {
            let is_plain = digits.len() == len && digits.bytes().all(|b| b.is_ascii_hexdigit());
            u8::from_str_radix(digits, 16).ok().filter(|_| is_plain)
        };
        text.split_once(':')
            .and_then(|(bus, rest)| Some((number(bus, 2)?, rest.split_once('.')?)))
            .and_then(|(bus, (device, function))| {
                RequesterId::try_new(bus, number(device, 2)?, number(function, 1)?)
            })
            .ok_or_else(|| {
                let shown: String = text.chars().take(32).collect();
                format!("expected a requester like \"01:00.0\", got {shown:?}")
            })
    }

    #[cfg(test)]
    mod tests {
        use super::parse;

        #[test]
        fn requester_parses_or_says_what_it_wants() {
            for text in ["00:00.0", "ff:1f.7", "01:0a.3"] {
                assert_eq!(parse(text).map(|id| id.to_string()).as_deref(), Ok(text));
            }
            for bad in [
                "", "01:00", "1:00.0", "01:20.0", "01:00.8", "01:00.00", "+1:00.0",
            ] {
                let message = parse(bad).expect_err(bad);
                assert!(message.contains("like \"01:00.0\""), "{message}");
            }
        }
    }
}

/// Bytes as Base64 (RFC 4648, section 4, padded); for `#[serde(with = "bytes")]`.
pub mod bytes {
    use super::{Deserializer, Serializer, deserialize_text};
    use base64::{Engine as _, engine::general_purpose::STANDARD};

    /// Writes Base64.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(value: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(value))
    }

    /// Reads Base64.
    ///
    /// # Errors
    /// If the text is not padded Base64.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        deserialize_text(deserializer, |text| {
            STANDARD
                .decode(text)
                .map_err(|error| format!("expected Base64: {error}"))
        })
    }
}

fn deserialize_text<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Result<T, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse(&text).map_err(de::Error::custom)
}

/// Reads `0x` and 1 to 16 hexadecimal digits. `from_str_radix` alone would take a sign as well.
fn parse_hex(text: &str) -> Result<u64, String> {
    text.strip_prefix("0x")
        .filter(|digits| (1..=16).contains(&digits.len()))
        .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .and_then(|digits| u64::from_str_radix(digits, 16).ok())
        .ok_or_else(|| {
            let shown: String = text.chars().take(32).collect();
            format!("expected a 64-bit number as a string like \"0x1000\", got {shown:?}")
        })
}

#[cfg(test)]
mod tests {
    use super::parse_hex;

    #[test]
    fn hex_text_parses_or_says_what_it_wants() {
        assert_eq!(parse_hex("0x0"), Ok(0));
        assert_eq!(parse_hex("0xffffffffffffffff"), Ok(u64::MAX));
        assert_eq!(parse_hex("0xAbC"), Ok(0xabc));
        for bad in ["", "0x", "10", "0x+1", "0x10000000000000000", "0xg", "-0x1"] {
            let message = parse_hex(bad).expect_err(bad);
            assert!(message.contains("like \"0x1000\""), "{message}");
        }
    }
}
