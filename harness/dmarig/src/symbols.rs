//! [`Symbols`]: names for offsets in a driver's image, from the linker's map beside it (`dmarig.map` for
//! `dmarig.sys`), where there is one.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Largest map that is read, in bytes.
const MAP_MAX_BYTES: u64 = 64 << 20;
/// Farthest from a symbol that an offset is named by it.
const FUNCTION_MAX_BYTES: u64 = 1 << 16;

/// Symbols by their offset in the image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Symbols(BTreeMap<u64, String>);

impl Symbols {
    /// Those of a driver; none where there is no map, or one of another linker.
    #[must_use]
    pub fn beside(driver: &Path) -> Self {
        let mut text = String::new();
        let read = File::open(driver.with_extension("map"))
            .and_then(|map| map.take(MAP_MAX_BYTES).read_to_string(&mut text));
        match read {
            Ok(_) => Self::parse(&text),
            Err(_) => Self::default(),
        }
    }

    /// Reads the map that link.exe and lld-link write.
    fn parse(text: &str) -> Self {
        const BASE: &str = "Preferred load address is ";
        let hex = |digits: &str| u64::from_str_radix(digits, 16).ok();
        let mut base = 0;
        let mut symbols = BTreeMap::new();
        for line in text.lines() {
            if let Some(digits) = line.trim().strip_prefix(BASE) {
                base = hex(digits).unwrap_or(0);
            }
            let mut words = line.split_whitespace();
            let (Some(place), Some(name), Some(address)) =
                (words.next(), words.next(), words.next())
            else {
                continue;
            };
            let is_place = place
                .split_once(':')
                .is_some_and(|(section, offset)| hex(section).is_some() && hex(offset).is_some());
            let rva = hex(address).and_then(|address| address.checked_sub(base));
            if let (true, 16, Some(rva)) = (is_place, address.len(), rva) {
                symbols.entry(rva).or_insert_with(|| name.to_owned());
            }
        }
        Self(symbols)
    }

    /// An offset as `function+0x12`.
    #[must_use]
    pub fn name(&self, rva: u64) -> Option<String> {
        let (start, name) = self.0.range(..=rva).next_back()?;
        let offset = rva - start;
        (offset < FUNCTION_MAX_BYTES).then(|| format!("{name}+{offset:#x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAP: &str = " x

 Timestamp is 00000000 (Thu Jan  1 00:00:00 1970)

 Preferred load address is 0000000140000000

 Start         Length     Name                   Class
 0001:00000000 0000abeeH .text                   CODE

  Address         Publics by Value              Rva+Base               Lib:Object

 0001:00000000       DriverEntry                0000000140001000     entry.obj
 0001:00000150       dispatch_pass_down         0000000140001150     entry.obj
";

    #[test]
    fn offset_is_named_by_the_symbol_before_it() {
        let symbols = Symbols::parse(MAP);
        assert_eq!(
            symbols.name(0x1151).as_deref(),
            Some("dispatch_pass_down+0x1")
        );
        assert_eq!(symbols.name(0x114f).as_deref(), Some("DriverEntry+0x14f"));
        assert_eq!(symbols.name(0xfff), None, "before all");
        assert_eq!(symbols.name(0x9_0000), None, "far behind all");
    }

    #[test]
    fn other_files_have_no_symbols() {
        assert_eq!(
            Symbols::parse("0001:0 name 12\n\u{0} Archive member"),
            Symbols::default()
        );
        assert_eq!(
            Symbols::beside(Path::new("/nonexistent/d.sys")),
            Symbols::default()
        );
    }
}
