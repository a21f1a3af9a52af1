//! The registry, in memory: what drivers read by `Zw*Key` routines.
//!
//! Keys are named by their full path; names compare without case, as on Windows. The PnP side fills in
//! the service and device keys before a driver runs.

mod value_information;

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::arch::guarded::Guarded;

pub use value_information::{Fit, InformationClass, Query, value_information};

/// `REG_SZ`
pub const REG_SZ: u32 = 1;
/// `REG_BINARY`
pub const REG_BINARY: u32 = 3;
/// `REG_DWORD`
pub const REG_DWORD: u32 = 4;

/// Where the service keys lie.
pub const SERVICES: &str = r"\Registry\Machine\System\CurrentControlSet\Services";
/// Where the device (hardware) keys lie.
pub const ENUM: &str = r"\Registry\Machine\System\CurrentControlSet\Enum";

/// Longest path, in characters.
const MAX_PATH: usize = 1024;
/// Most bytes of one value.
pub const MAX_VALUE_BYTES: usize = 1 << 20;

/// A value with its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// Name as it was written.
    pub name: String,
    /// `REG_*`.
    pub kind: u32,
    /// Data.
    pub data: Vec<u8>,
}

impl Value {
    /// A REG_SZ value.
    #[must_use]
    pub fn text(name: &str, text: &str) -> Self {
        let units = text.encode_utf16().chain([0]);
        Self {
            name: name.to_string(),
            kind: REG_SZ,
            data: units.flat_map(u16::to_le_bytes).collect(),
        }
    }

    /// A REG_DWORD value.
    #[must_use]
    pub fn dword(name: &str, value: u32) -> Self {
        Self {
            name: name.to_string(),
            kind: REG_DWORD,
            data: value.to_le_bytes().to_vec(),
        }
    }

    /// A REG_BINARY value.
    #[must_use]
    pub fn binary(name: &str, data: &[u8]) -> Self {
        Self {
            name: name.to_string(),
            kind: REG_BINARY,
            data: data.to_vec(),
        }
    }
}

/// A tree of keys, kept flat by path.
#[derive(Debug, Default)]
pub struct Registry {
    keys: BTreeMap<String, BTreeMap<String, Value>>,
}

/// Why a path names no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathError {
    /// No key of that name.
    NotFound,
    /// Not an absolute path, or too long.
    BadSyntax,
}

impl Registry {
    /// An empty registry.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            keys: BTreeMap::new(),
        }
    }

    /// Creates a key and those above it; answers its identity.
    ///
    /// # Errors
    /// [`PathError::BadSyntax`].
    pub fn create(&mut self, path: &str) -> Result<String, PathError> {
        let identity = identity_of(path)?;
        for (end, _) in identity.match_indices('\\').skip(1) {
            self.keys.entry(identity[..end].to_string()).or_default();
        }
        self.keys.entry(identity.clone()).or_default();
        Ok(identity)
    }

    /// Finds a key.
    ///
    /// # Errors
    /// [`PathError`].
    pub fn open(&self, path: &str) -> Result<String, PathError> {
        let identity = identity_of(path)?;
        if self.keys.contains_key(&identity) {
            Ok(identity)
        } else {
            Err(PathError::NotFound)
        }
    }

    /// Writes a value of an existing key.
    pub fn set(&mut self, identity: &str, value: Value) {
        if let Some(values) = self.keys.get_mut(identity) {
            values.insert(value.name.to_lowercase(), value);
        }
    }

    /// A value by its name.
    #[must_use]
    pub fn value(&self, identity: &str, name: &str) -> Option<&Value> {
        self.keys.get(identity)?.get(&name.to_lowercase())
    }

    /// A value by its number.
    #[must_use]
    pub fn value_at(&self, identity: &str, index: usize) -> Option<&Value> {
        self.keys.get(identity)?.values().nth(index)
    }

    /// Deletes a value; `false` if there is none.
    pub fn remove_value(&mut self, identity: &str, name: &str) -> bool {
        self.keys
            .get_mut(identity)
            .is_some_and(|values| values.remove(&name.to_lowercase()).is_some())
    }
}

/// The registry of the running system.
pub static REGISTRY: Guarded<Registry> = Guarded::new(Registry::new());

fn identity_of(path: &str) -> Result<String, PathError> {
    let path = path.trim_end_matches('\\');
    let is_sound = path.starts_with('\\')
        && path.len() <= MAX_PATH
        && !path[1..].split('\\').any(str::is_empty);
    if is_sound {
        Ok(path.to_lowercase())
    } else {
        Err(PathError::BadSyntax)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_and_value_names_compare_without_case() {
        let mut registry = Registry::new();
        let key = registry
            .create(r"\Registry\Machine\Services\Dmarig")
            .expect("a path");
        registry.set(&key, Value::dword("Start", 3));

        assert_eq!(
            registry.open(r"\REGISTRY\machine\services\DMARIG\"),
            Ok(key.clone())
        );
        assert_eq!(
            registry.value(&key, "START").map(|value| value.kind),
            Some(REG_DWORD)
        );
        assert!(
            registry.open(r"\Registry\Machine\Services").is_ok(),
            "keys above exist"
        );
        assert!(registry.remove_value(&key, "sTart"));
        assert_eq!(registry.value_at(&key, 0), None);
    }

    #[test]
    fn bad_paths_and_missing_keys_are_told_apart() {
        let registry = Registry::new();
        let check = |path: &str, expected| assert_eq!(registry.open(path), Err(expected), "{path}");
        check(r"\Registry\Nowhere", PathError::NotFound);
        check("Registry", PathError::BadSyntax);
        check("", PathError::BadSyntax);
        check(r"\Registry\\x", PathError::BadSyntax);
        check(
            &std::format!("\\{}", "x".repeat(2000)),
            PathError::BadSyntax,
        );
    }

    #[test]
    fn text_is_stored_as_utf16_with_its_zero() {
        assert_eq!(Value::text("a", "Hi").data, [b'H', 0, b'i', 0, 0, 0]);
    }
}
