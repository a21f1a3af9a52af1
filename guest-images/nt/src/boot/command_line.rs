//! The command line: words `key=value`, later ones win.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use crate::call_faults::{Order, OrderError};
use crate::memory::MemoryOrder;

/// Seconds until a PnP or power request counts as lost, unless the command line says otherwise.
const IRP_DEADLINE_SECONDS: u32 = 120;

/// Most words `fail-call=`.
const FAIL_CALLS_MAX: usize = 16;

/// What a run is asked to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// DMA remapping by VT-d.
    pub remapping: Switch,
    /// From which side of 4 GiB memory without limits comes.
    pub memory: MemoryOrder,
    /// Driver Verifier's checks, with its bug checks.
    pub verifier: Switch,
    /// An import we lack fails the load.
    pub strict_imports: Switch,
    /// File name of the driver in the archive's `drivers/`.
    pub driver: Option<String>,
    /// A mistake the kernel makes on purpose, as a negative control.
    pub sabotage: Option<String>,
    /// Vendor and device ID of a further PCI function to bind the driver to.
    pub bind: Option<(u16, u16)>,
    /// How the bus driver answers requests that take time.
    pub bus: BusAnswer,
    /// Seconds until a PnP or power request counts as lost.
    pub irp_deadline: u32,
    /// Which transfers go through memory of the HAL.
    pub bounce: Bounce,
    /// Most map registers that an adapter is granted; `None`: as many as its description asks for.
    pub map_registers: Option<u32>,
    /// When the HAL calls a driver's execution routines.
    pub sg_callback: ExecutionCallback,
    /// Whether the driver's calls that may fail are watched, and their call sites listed.
    pub call_faults: Switch,
    /// Calls that are to fail; they are watched then.
    pub fail_calls: Vec<Order>,
    /// Whether devices may come and go in slots.
    pub hot_plug: Switch,
    /// Names the test of the kernel itself to run in place of a driver (`all` for all).
    pub selftest: Option<String>,
}

/// How the bus driver answers START, the cancels and SET_POWER.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BusAnswer {
    /// Completed before its dispatch routine returns.
    AtOnce,
    /// Marked pending, and completed from a DPC.
    Pending,
    /// SET_POWER is marked pending and never completed: the control of what finds that.
    Never,
}

/// Which transfers the HAL double-buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bounce {
    /// All: the device never sees the driver's pages.
    Always,
    /// Those that the device could not reach, or that a device without scatter/gather could not take in one piece.
    AsNeeded,
}

/// When AdapterControl and AdapterListControl routines run, where the documents leave it open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExecutionCallback {
    /// Before the routine that was given them returns.
    Sync,
    /// From a DPC.
    Deferred,
    /// One or the other, drawn from this seed.
    Seeded(u64),
}

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// On.
    On,
    /// Off.
    Off,
}

/// A word that is not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OptionError {
    /// No such key.
    UnknownKey(String),
    /// The key takes `on` or `off`.
    NotASwitch(String),
    /// Not `low-first` or `high-first`.
    NotAMemoryOrder(String),
    /// Not `at-once`, `pending` or `never`.
    NotABusAnswer(String),
    /// Not `always` or `as-needed`.
    NotABounce(String),
    /// Not a number of map registers from 2 on (KMDF takes no fewer).
    NotMapRegisters(String),
    /// Not `sync`, `deferred` or `seeded:N`.
    NotACallback(String),
    /// Not a number of seconds from 1 on.
    NotSeconds(String),
    /// Not `vvvv:dddd`.
    NotPciIds(String),
    /// No call that can be made to fail.
    NotACall(OrderError),
    /// More `fail-call` words than are taken.
    TooManyCalls,
    /// A name that is empty.
    EmptyValue(String),
}

impl Default for Options {
    fn default() -> Self {
        Self {
            remapping: Switch::On,
            memory: MemoryOrder::LowFirst,
            verifier: Switch::On,
            strict_imports: Switch::Off,
            driver: None,
            sabotage: None,
            bind: None,
            bus: BusAnswer::AtOnce,
            irp_deadline: IRP_DEADLINE_SECONDS,
            bounce: Bounce::Always,
            map_registers: None,
            sg_callback: ExecutionCallback::Sync,
            call_faults: Switch::Off,
            fail_calls: Vec::new(),
            hot_plug: Switch::Off,
            selftest: None,
        }
    }
}

impl Options {
    /// Parses the command line.
    ///
    /// # Errors
    /// [`OptionError`] names the first word that is not understood.
    pub fn parse(line: &str) -> Result<Self, OptionError> {
        let mut options = Self::default();
        for word in line.split_ascii_whitespace() {
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            match key {
                "remapping" => options.remapping = switch(word, value)?,
                "memory" => options.memory = memory_order(word, value)?,
                "verifier" => options.verifier = switch(word, value)?,
                "strict-imports" => options.strict_imports = switch(word, value)?,
                "driver" => options.driver = Some(name(word, value)?),
                "sabotage" => options.sabotage = Some(name(word, value)?),
                "bus" => options.bus = bus_answer(word, value)?,
                "irp-deadline" => options.irp_deadline = seconds(word, value)?,
                "bounce" => options.bounce = bounce(word, value)?,
                "map-registers" => options.map_registers = Some(map_registers(word, value)?),
                "sg-callback" => options.sg_callback = execution_callback(word, value)?,
                "bind" => options.bind = Some(pci_ids(word, value)?),
                "call-faults" => options.call_faults = switch(word, value)?,
                "fail-call" => options.add_fail_call(value)?,
                "hot-plug" => options.hot_plug = switch(word, value)?,
                "selftest" => options.selftest = Some(name(word, value)?),
                _ => return Err(OptionError::UnknownKey(word.to_string())),
            }
        }
        Ok(options)
    }

    fn add_fail_call(&mut self, value: &str) -> Result<(), OptionError> {
        if self.fail_calls.len() >= FAIL_CALLS_MAX {
            return Err(OptionError::TooManyCalls);
        }
        let order = Order::parse(value).map_err(OptionError::NotACall)?;
        self.fail_calls.push(order);
        self.call_faults = Switch::On;
        Ok(())
    }
}

impl Switch {
    /// Whether it is on.
    #[must_use]
    pub fn is_on(self) -> bool {
        self == Self::On
    }
}

impl fmt::Display for Switch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_on() { "on" } else { "off" })
    }
}

impl fmt::Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownKey(word) => write!(f, "command line: unknown word `{word}`"),
            Self::NotASwitch(word) => write!(f, "command line: `{word}` takes on or off"),
            Self::NotAMemoryOrder(word) => {
                write!(f, "command line: `{word}` takes low-first or high-first")
            }
            Self::NotABusAnswer(word) => {
                write!(f, "command line: `{word}` takes at-once, pending or never")
            }
            Self::NotABounce(word) => {
                write!(f, "command line: `{word}` takes always or as-needed")
            }
            Self::NotMapRegisters(word) => {
                write!(f, "command line: `{word}` takes a number from 2 to 1048575")
            }
            Self::NotACallback(word) => {
                write!(f, "command line: `{word}` takes sync, deferred or seeded:N")
            }
            Self::NotSeconds(word) => {
                write!(f, "command line: `{word}` takes seconds, from 1 to 3600")
            }
            Self::NotPciIds(word) => write!(f, "command line: `{word}` takes vvvv:dddd"),
            Self::NotACall(error) => write!(f, "command line: fail-call: {error}"),
            Self::TooManyCalls => {
                write!(
                    f,
                    "command line: more than {FAIL_CALLS_MAX} words fail-call="
                )
            }
            Self::EmptyValue(word) => write!(f, "command line: `{word}` lacks its value"),
        }
    }
}

fn switch(word: &str, value: &str) -> Result<Switch, OptionError> {
    match value {
        "on" => Ok(Switch::On),
        "off" => Ok(Switch::Off),
        _ => Err(OptionError::NotASwitch(word.to_string())),
    }
}

fn memory_order(word: &str, value: &str) -> Result<MemoryOrder, OptionError> {
    match value {
        "low-first" => Ok(MemoryOrder::LowFirst),
        "high-first" => Ok(MemoryOrder::HighFirst),
        _ => Err(OptionError::NotAMemoryOrder(word.to_string())),
    }
}

fn bus_answer(word: &str, value: &str) -> Result<BusAnswer, OptionError> {
    match value {
        "at-once" => Ok(BusAnswer::AtOnce),
        "pending" => Ok(BusAnswer::Pending),
        "never" => Ok(BusAnswer::Never),
        _ => Err(OptionError::NotABusAnswer(word.to_string())),
    }
}

fn bounce(word: &str, value: &str) -> Result<Bounce, OptionError> {
    match value {
        "always" => Ok(Bounce::Always),
        "as-needed" => Ok(Bounce::AsNeeded),
        _ => Err(OptionError::NotABounce(word.to_string())),
    }
}

fn map_registers(word: &str, value: &str) -> Result<u32, OptionError> {
    match value.parse() {
        Ok(count @ 2..=0xF_FFFF) => Ok(count),
        _ => Err(OptionError::NotMapRegisters(word.to_string())),
    }
}

fn execution_callback(word: &str, value: &str) -> Result<ExecutionCallback, OptionError> {
    let seeded = || value.strip_prefix("seeded:")?.parse().ok();
    match value {
        "sync" => Ok(ExecutionCallback::Sync),
        "deferred" => Ok(ExecutionCallback::Deferred),
        _ => seeded()
            .map(ExecutionCallback::Seeded)
            .ok_or_else(|| OptionError::NotACallback(word.to_string())),
    }
}

fn seconds(word: &str, value: &str) -> Result<u32, OptionError> {
    match value.parse() {
        Ok(seconds @ 1..=3600) => Ok(seconds),
        _ => Err(OptionError::NotSeconds(word.to_string())),
    }
}

fn pci_ids(word: &str, value: &str) -> Result<(u16, u16), OptionError> {
    let id = |digits: &str| u16::from_str_radix(digits, 16).ok();
    value
        .split_once(':')
        .and_then(|(vendor, device)| Some((id(vendor)?, id(device)?)))
        .ok_or_else(|| OptionError::NotPciIds(word.to_string()))
}

fn name(word: &str, value: &str) -> Result<String, OptionError> {
    if value.is_empty() {
        return Err(OptionError::EmptyValue(word.to_string()));
    }
    Ok(value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_set_options_and_the_later_one_wins() {
        let options =
            Options::parse("  remapping=off driver=a.sys\tremapping=on strict-imports=on")
                .expect("understood");
        assert!(options.remapping.is_on() && options.strict_imports.is_on());
        assert_eq!(options.driver.as_deref(), Some("a.sys"));
        assert_eq!(Options::parse(""), Ok(Options::default()));
    }

    #[test]
    fn transfer_settings_are_understood() {
        let line = "bounce=as-needed map-registers=5 sg-callback=seeded:7";
        let options = Options::parse(line).expect("understood");
        assert_eq!(options.bounce, Bounce::AsNeeded);
        assert_eq!(options.map_registers, Some(5));
        assert_eq!(options.sg_callback, ExecutionCallback::Seeded(7));
    }

    #[test]
    fn calls_that_are_to_fail_are_watched_and_bounded() {
        let line = "fail-call=IoAllocateMdl@0x1a2b:1 fail-call=WdfObjectCreate@*:2";
        let options = Options::parse(line).expect("understood");
        assert!(options.call_faults.is_on());
        assert_eq!(options.fail_calls.len(), 2);
        let many = "fail-call=IoAllocateMdl@*:1 ".repeat(FAIL_CALLS_MAX + 1);
        assert_eq!(Options::parse(&many), Err(OptionError::TooManyCalls));
        let unknown = Options::parse("fail-call=KeSetEvent@*:1").expect_err("it cannot fail");
        assert!(std::format!("{unknown}").contains("`KeSetEvent` is no routine"));
    }

    #[test]
    fn word_that_is_not_understood_is_named() {
        let check = |line: &str, expected: OptionError| {
            assert_eq!(Options::parse(line), Err(expected), "{line}");
        };
        check(
            "remaping=on",
            OptionError::UnknownKey("remaping=on".to_string()),
        );
        check("quiet", OptionError::UnknownKey("quiet".to_string()));
        check(
            "verifier=1",
            OptionError::NotASwitch("verifier=1".to_string()),
        );
        check(
            "memory=high",
            OptionError::NotAMemoryOrder("memory=high".to_string()),
        );
        check(
            "bus=slow",
            OptionError::NotABusAnswer("bus=slow".to_string()),
        );
        check(
            "irp-deadline=0",
            OptionError::NotSeconds("irp-deadline=0".to_string()),
        );
        check(
            "bounce=yes",
            OptionError::NotABounce("bounce=yes".to_string()),
        );
        check(
            "map-registers=1",
            OptionError::NotMapRegisters("map-registers=1".to_string()),
        );
        check(
            "sg-callback=seeded",
            OptionError::NotACallback("sg-callback=seeded".to_string()),
        );
        check("driver", OptionError::EmptyValue("driver".to_string()));
        check(
            "sabotage=",
            OptionError::EmptyValue("sabotage=".to_string()),
        );
    }
}
