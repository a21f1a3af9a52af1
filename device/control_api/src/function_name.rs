//! [`FunctionName`]: how the control socket names a PCI function of the device process.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// `dut0`, `dut1`, … for devices under test, `control` for the control function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum FunctionName {
    /// A device under test.
    Dut(u16),
    /// The control function with the mailbox.
    Control,
}

/// Where a request names no function, the first device under test is meant.
impl Default for FunctionName {
    fn default() -> Self {
        Self::DUT0
    }
}

impl FunctionName {
    /// The first device under test.
    pub const DUT0: Self = Self::Dut(0);
}

impl fmt::Display for FunctionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dut(number) => write!(f, "dut{number}"),
            Self::Control => f.write_str("control"),
        }
    }
}

impl FromStr for FunctionName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name = match text.strip_prefix("dut") {
            Some(number) => number.parse().ok().map(Self::Dut),
            None => (text == "control").then_some(Self::Control),
        };
        // One spelling only: "dut00" would be a second name of the same function.
        name.filter(|name| name.to_string() == text).ok_or_else(|| {
            let shown: String = text.chars().take(32).collect();
            format!("expected a function like \"dut0\" or \"control\", got {shown:?}")
        })
    }
}

impl TryFrom<String> for FunctionName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<FunctionName> for String {
    fn from(name: FunctionName) -> Self {
        name.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::FunctionName;

    #[test]
    fn names_round_trip_and_other_spellings_are_refused() {
        for name in [
            FunctionName::DUT0,
            FunctionName::Dut(65535),
            FunctionName::Control,
        ] {
            assert_eq!(name.to_string().parse(), Ok(name));
        }
        for bad in ["dut", "dut00", "dut+1", "dut65536", "DUT0", "controls", ""] {
            assert!(bad.parse::<FunctionName>().is_err(), "{bad}");
        }
    }
}
