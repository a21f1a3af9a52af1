//! KEY_VALUE_*_INFORMATION as ZwQueryValueKey writes it.

use alloc::vec::Vec;

use super::Value;

/// KEY_VALUE_INFORMATION_CLASS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InformationClass {
    /// Type and name.
    Basic,
    /// Type, name and data.
    Full,
    /// Type and data.
    Partial,
}

impl TryFrom<u32> for InformationClass {
    type Error = ();

    fn try_from(value: u32) -> Result<Self, ()> {
        match value {
            0 => Ok(Self::Basic),
            1 => Ok(Self::Full),
            2 => Ok(Self::Partial),
            _ => Err(()),
        }
    }
}

/// What fits the caller's buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Bytes to write.
    pub bytes: Vec<u8>,
    /// Bytes that all of it needs.
    pub needed: u32,
    /// How much fits.
    pub fit: Fit,
}

/// How much of the information fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// All.
    Whole,
    /// The fixed part and some of the rest: STATUS_BUFFER_OVERFLOW.
    Cut,
    /// Not even the fixed part: STATUS_BUFFER_TOO_SMALL.
    Nothing,
}

/// Lays out the information on `value` for a buffer of `room` bytes.
#[must_use]
pub fn value_information(value: &Value, class: InformationClass, room: usize) -> Query {
    let name: Vec<u8> = value
        .name
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let len = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let mut words = alloc::vec![0, value.kind];
    let mut tail = Vec::new();
    match class {
        InformationClass::Basic => {
            words.push(len(&name));
            tail.extend(name);
        }
        InformationClass::Full => {
            // Data start 8-byte aligned behind the name.
            let data_offset = (20 + len(&name)).next_multiple_of(8);
            words.extend([data_offset, len(&value.data), len(&name)]);
            tail.extend(name);
            tail.resize(data_offset as usize - 20, 0);
            tail.extend(&value.data);
        }
        InformationClass::Partial => {
            words.push(len(&value.data));
            tail.extend(&value.data);
        }
    }
    let mut bytes: Vec<u8> = words
        .iter()
        .flat_map(|word: &u32| word.to_le_bytes())
        .collect();
    let fixed = bytes.len();
    bytes.extend(tail);
    let needed = len(&bytes);
    let fit = match room {
        room if room >= bytes.len() => Fit::Whole,
        room if room >= fixed => Fit::Cut,
        _ => Fit::Nothing,
    };
    bytes.truncate(if fit == Fit::Nothing { 0 } else { room });
    Query { bytes, needed, fit }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partial_information_is_type_length_and_data() {
        let value = Value::binary("A", &[7, 8, 9]);
        let query = value_information(&value, InformationClass::Partial, 100);
        assert_eq!(query.bytes, [0, 0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0, 7, 8, 9]);
        assert_eq!((query.needed, query.fit), (15, Fit::Whole));
    }

    #[test]
    fn short_buffer_gets_the_fixed_part_or_nothing() {
        let value = Value::binary("A", &[7, 8, 9]);
        let cut = value_information(&value, InformationClass::Partial, 13);
        assert_eq!((cut.bytes.len(), cut.needed, cut.fit), (13, 15, Fit::Cut));
        let nothing = value_information(&value, InformationClass::Partial, 11);
        assert_eq!((nothing.bytes.len(), nothing.fit), (0, Fit::Nothing));
    }

    #[test]
    fn full_information_aligns_the_data_behind_the_name() {
        let query = value_information(&Value::dword("Abc", 5), InformationClass::Full, 100);
        assert_eq!(query.bytes[8..12], 32u32.to_le_bytes());
        assert_eq!(query.bytes[32..36], 5u32.to_le_bytes());
    }
}
