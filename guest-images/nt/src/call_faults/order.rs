//! [`Order`]: which call is to fail, in words: `ROUTINE@RVA:HIT`.

use alloc::string::{String, ToString};
use core::fmt;

use super::fallible;

/// One call that is to fail, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    pub(super) routine: usize,
    /// Return address as an offset in the driver's image; `None` for any call site.
    pub(super) rva: Option<u64>,
    /// Which of the calls there, counted from 1.
    pub(super) hit: u64,
}

/// Words that are no order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrderError {
    /// Not of the form `ROUTINE@RVA:HIT`.
    Form(String),
    /// The documents know no failure of that routine, or nt lacks it.
    Routine(String),
}

impl Order {
    /// Parses `ROUTINE@RVA:HIT`: RVA in hexadecimal (`0x1a2b`) or `*`, HIT from 1 on.
    ///
    /// # Errors
    /// [`OrderError`] says what is wrong.
    pub fn parse(text: &str) -> Result<Self, OrderError> {
        let form = || OrderError::Form(text.to_string());
        let (name, place) = text.split_once('@').ok_or_else(form)?;
        let (rva, hit) = place.split_once(':').ok_or_else(form)?;
        let rva = match rva {
            "*" => None,
            rva => Some(hexadecimal(rva).ok_or_else(form)?),
        };
        let hit = hit.parse().ok().filter(|hit| *hit > 0).ok_or_else(form)?;
        let routine =
            fallible::by_name(name).ok_or_else(|| OrderError::Routine(name.to_string()))?;
        Ok(Self { routine, rva, hit })
    }
}

fn hexadecimal(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

impl fmt::Display for OrderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form(text) => write!(f, "`{text}` is not of the form ROUTINE@0xRVA:HIT"),
            Self::Routine(name) => write!(f, "`{name}` is no routine that can be made to fail"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_names_routine_call_site_and_hit() {
        let order = Order::parse("IoAllocateMdl@0x1a2b:3").expect("an order");
        assert_eq!(
            order.routine,
            fallible::by_name("IoAllocateMdl").expect("there")
        );
        assert_eq!((order.rva, order.hit), (Some(0x1a2b), 3));
        let order = Order::parse("CreateCommonBufferFromMdl@*:1").expect("an order");
        assert_eq!((order.rva, order.hit), (None, 1));
    }

    #[test]
    fn words_that_are_no_order_are_refused() {
        for bad in [
            "",
            "IoAllocateMdl",
            "IoAllocateMdl@0x1",
            "IoAllocateMdl@12:1",
            "IoAllocateMdl@0x1:0",
            "IoAllocateMdl@*:-1",
        ] {
            assert_eq!(
                Order::parse(bad),
                Err(OrderError::Form(bad.to_string())),
                "{bad}"
            );
        }
        for unknown in ["KeSetEvent", "Nonsense", ""] {
            let text = std::format!("{unknown}@*:1");
            assert_eq!(
                Order::parse(&text),
                Err(OrderError::Routine(unknown.to_string()))
            );
        }
    }
}
