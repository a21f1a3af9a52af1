//! [`CallRule`]: a call of the driver that fails. The guest does it, not the device; it stands in rule files
//! beside the device's rules, so that one file tells all that is to go wrong.

use std::fmt;

/// One call of the driver that fails, once, as the documents allow it to fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallRule {
    /// Its name, unlike that of every other rule of the file.
    pub name: String,
    /// The routine: an import, a member of DMA_OPERATIONS or a function of the framework.
    pub routine: String,
    /// The call site; any, where there is none.
    pub location: Option<CallSite>,
    /// Which of the calls there, counted from 1 since the start of the guest.
    pub nth: u64,
    /// Whether a run is good in which it never struck.
    pub is_optional: bool,
}

/// The return address of a call, as an offset in the driver's image: `dmarig.sys+0x1a2b`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallSite {
    /// File name of the image.
    pub module: String,
    /// Offset in bytes.
    pub rva: u64,
}

impl CallSite {
    /// Reads `module+0xrva`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (module, rva) = text.rsplit_once("+0x")?;
        let is_hex = !rva.is_empty() && rva.bytes().all(|byte| byte.is_ascii_hexdigit());
        let rva = is_hex.then(|| u64::from_str_radix(rva, 16).ok())??;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        (!module.is_empty() && module.bytes().all(is_plain)).then(|| Self {
            module: module.to_owned(),
            rva,
        })
    }
}

impl fmt::Display for CallSite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{:#x}", self.module, self.rva)
    }
}

/// Whether a text can be the name of a routine.
pub(crate) fn is_routine(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    !text.is_empty() && text.len() <= 80 && text.bytes().all(is_word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn call_site_is_read_as_it_is_written() {
        let site = CallSite::parse("dmarig-kmdf.sys+0x1A2b").expect("a call site");
        assert_eq!(
            (site.module.as_str(), site.rva),
            ("dmarig-kmdf.sys", 0x1a2b)
        );
        assert_eq!(site.to_string(), "dmarig-kmdf.sys+0x1a2b");
        for bad in [
            "",
            "a.sys",
            "a.sys+12",
            "+0x12",
            "a.sys+0x",
            "a.sys+0x+1",
            "a b+0x1",
            "a+0x11111111111111111",
        ] {
            assert_eq!(CallSite::parse(bad), None, "{bad}");
        }
    }
}
