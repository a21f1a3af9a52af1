//! [`LedgerHash`]: the SHA-256 of a whole canonical trace.

use std::fmt;
use std::str::FromStr;

/// SHA-256 of the lines of a trace with their newlines: what `sha256sum` says of a trace file that
/// is whole.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct LedgerHash(pub [u8; 32]);

/// Why a text is no hash.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a ledger hash has 64 hexadecimal digits")]
pub struct NoHash;

impl fmt::Display for LedgerHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for LedgerHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for LedgerHash {
    type Err = NoHash;

    fn from_str(text: &str) -> Result<Self, NoHash> {
        let digits = text.as_bytes();
        if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(NoHash);
        }
        let mut hash = [0; 32];
        for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| NoHash)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| NoHash)?;
        }
        Ok(Self(hash))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_survives_its_text() {
        let hash = LedgerHash(std::array::from_fn(|at| {
            u8::try_from(at * 7 % 256).expect("byte")
        }));
        assert_eq!(hash.to_string().parse(), Ok(hash));
        for bad in ["", "00", &"g".repeat(64), &"0".repeat(63)] {
            assert_eq!(bad.parse::<LedgerHash>(), Err(NoHash), "{bad}");
        }
    }
}
