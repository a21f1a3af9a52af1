//! [`RegisterCoverage`]: what the drivers have touched of the device's registers, over all boots.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::Serialize;

/// Names and accesses that a person is shown at the end of a run; the rest is in the file.
const MAX_SHOWN: usize = 8;

/// What the drivers have touched, in all boots whose device could still be asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RegisterCoverage {
    /// The device under test, where a run had several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// The registers of the device; those that each channel has are one.
    pub registers: Vec<RegisterUse>,
    /// Accesses without behavior.
    pub odd_accesses: Vec<OddAccess>,
    /// Accesses without behavior that the device did not keep.
    pub dropped_odd_accesses: u64,
}

/// How often a register was touched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RegisterUse {
    /// Name.
    pub name: String,
    /// BAR.
    pub bar: u8,
    /// Offset, in hex.
    pub offset: String,
    /// Width in bits.
    pub width: u8,
    /// What a driver may do: `r`, `w` or `rw`.
    pub access: String,
    /// Reads.
    pub reads: u64,
    /// Writes.
    pub writes: u64,
    /// Named bits.
    pub fields: Vec<FieldUse>,
}

/// How often named bits were touched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FieldUse {
    /// Name.
    pub name: String,
    /// The bits, in hex.
    pub mask: String,
    /// Reads in which a bit was 1.
    pub reads_set: u64,
    /// Writes in which a bit was 1.
    pub writes_set: u64,
}

/// An access without behavior.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct OddAccess {
    /// BAR.
    pub bar: u8,
    /// Offset, in hex.
    pub offset: String,
    /// Width in bits.
    pub width: u32,
    /// `read` or `write`.
    pub direction: String,
    /// Why it means nothing.
    pub reason: String,
    /// How often it came.
    pub count: u64,
}

impl RegisterCoverage {
    /// Takes a page of the device's answer.
    pub fn add_page(&mut self, page: control_api::registers::RegisterCoverage) {
        self.registers
            .extend(page.registers.into_iter().map(register_use));
        self.odd_accesses
            .extend(page.odd_accesses.into_iter().map(odd_access));
        self.dropped_odd_accesses += page.dropped_odd_accesses;
    }

    /// Adds what another boot's driver has touched.
    pub fn merge(&mut self, other: Self) {
        for register in other.registers {
            let known = self.registers.iter_mut();
            match known.into_iter().find(|known| known.name == register.name) {
                Some(known) => known.merge(&register),
                None => self.registers.push(register),
            }
        }
        for odd in other.odd_accesses {
            let same = |known: &&mut OddAccess| {
                (known.bar, &known.offset, known.width, &known.direction)
                    == (odd.bar, &odd.offset, odd.width, &odd.direction)
            };
            match self.odd_accesses.iter_mut().find(same) {
                Some(known) => known.count += odd.count,
                None => self.odd_accesses.push(odd),
            }
        }
        self.dropped_odd_accesses += other.dropped_odd_accesses;
    }

    /// The short form, for the end of a run.
    #[must_use]
    pub fn summary(&self) -> String {
        let untouched: Vec<&str> = self
            .registers
            .iter()
            .filter(|register| !register.is_touched())
            .map(|register| register.name.as_str())
            .collect();
        let n_touched = self.registers.len() - untouched.len();
        let of_device = self.of_device();
        let mut text = format!(
            "registers{of_device}: {n_touched} of {} touched by the driver",
            self.registers.len()
        );
        if !untouched.is_empty() {
            let shown = untouched.iter().take(MAX_SHOWN).copied();
            let more = if untouched.len() > MAX_SHOWN {
                ", ..."
            } else {
                ""
            };
            let shown = shown.collect::<Vec<_>>().join(", ");
            let _ = write!(text, "; never: {shown}{more}");
        }
        for line in self.odd_lines().into_iter().take(MAX_SHOWN) {
            let _ = write!(text, "\n  access without behavior: {line}");
        }
        text
    }

    /// The whole table.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = self
            .device
            .as_ref()
            .map_or(String::new(), |device| format!("{device}\n\n"));
        text.push_str(
            "register                  BAR   offset width access      reads     writes\n",
        );
        for register in &self.registers {
            let never = if register.is_touched() {
                ""
            } else {
                "  never touched"
            };
            let _ = writeln!(
                text,
                "{:<25} {:>3} {:>8} {:>5} {:>6} {:>10} {:>10}{never}",
                register.name,
                register.bar,
                register.offset,
                register.width,
                register.access,
                register.reads,
                register.writes
            );
            for field in &register.fields {
                let _ = writeln!(
                    text,
                    "  .{:<22} {:>12} {:>12} {:>10} {:>10}  with a bit set",
                    field.name, field.mask, "", field.reads_set, field.writes_set
                );
            }
        }
        text.push_str("\naccesses without behavior\n");
        let lines = self.odd_lines();
        if lines.is_empty() {
            text.push_str("  none\n");
        }
        for line in lines {
            let _ = writeln!(text, "  {line}");
        }
        if self.dropped_odd_accesses > 0 {
            let _ = writeln!(
                text,
                "  and {} that were not kept",
                self.dropped_odd_accesses
            );
        }
        text
    }

    fn of_device(&self) -> String {
        let device = self.device.as_ref();
        device.map_or(String::new(), |device| format!(" of {device}"))
    }

    fn odd_lines(&self) -> Vec<String> {
        let odd = self.odd_accesses.iter();
        odd.map(|odd| {
            let OddAccess {
                bar,
                offset,
                width,
                direction,
                reason,
                count,
            } = odd;
            format!(
                "BAR {bar}, offset {offset}: {direction} of {width} bits, {count} times: {reason}"
            )
        })
        .collect()
    }
}

impl RegisterUse {
    const fn is_touched(&self) -> bool {
        self.reads > 0 || self.writes > 0
    }

    fn merge(&mut self, other: &Self) {
        self.reads += other.reads;
        self.writes += other.writes;
        for (mine, others) in self.fields.iter_mut().zip(&other.fields) {
            mine.reads_set += others.reads_set;
            mine.writes_set += others.writes_set;
        }
    }
}

fn register_use(register: control_api::registers::RegisterUse) -> RegisterUse {
    let field = |field: control_api::registers::FieldUse| FieldUse {
        name: field.name,
        mask: format!("{:#x}", field.mask),
        reads_set: field.reads_set,
        writes_set: field.writes_set,
    };
    RegisterUse {
        name: register.name,
        bar: register.bar,
        offset: format!("{:#x}", register.offset),
        width: register.width,
        access: register.access,
        reads: register.reads,
        writes: register.writes,
        fields: register.fields.into_iter().map(field).collect(),
    }
}

fn odd_access(odd: control_api::registers::OddAccess) -> OddAccess {
    OddAccess {
        bar: odd.bar,
        offset: format!("{:#x}", odd.offset),
        width: odd.width,
        direction: match odd.direction {
            control_api::ledger::AccessDirection::Read => "read".into(),
            control_api::ledger::AccessDirection::Write => "write".into(),
        },
        reason: odd.reason.words().into(),
        count: odd.count,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coverage(reads: u64, count: u64) -> RegisterCoverage {
        let register = |name: &str, reads| RegisterUse {
            name: name.into(),
            bar: 0,
            offset: "0x10".into(),
            width: 32,
            access: "rw".into(),
            reads,
            writes: 0,
            fields: Vec::new(),
        };
        RegisterCoverage {
            device: None,
            registers: vec![register("STATUS", reads), register("CONTROL", 0)],
            odd_accesses: vec![OddAccess {
                bar: 0,
                offset: "0x20".into(),
                width: 16,
                direction: "read".into(),
                reason: "no register there".into(),
                count,
            }],
            dropped_odd_accesses: 0,
        }
    }

    #[test]
    fn boots_add_up_and_what_was_never_touched_is_named() {
        let mut sum = RegisterCoverage::default();
        sum.merge(coverage(2, 1));
        sum.merge(coverage(3, 4));
        assert_eq!(sum.registers[0].reads, 5);
        assert_eq!(
            sum.summary(),
            "registers: 1 of 2 touched by the driver; never: CONTROL\n  \
             access without behavior: BAR 0, offset 0x20: read of 16 bits, 5 times: no register there"
        );
        assert!(sum.table().contains("never touched"), "{}", sum.table());
    }

    #[test]
    fn one_of_several_devices_is_named() {
        let second = RegisterCoverage {
            device: Some("dut1".into()),
            ..coverage(2, 1)
        };
        let summary = second.summary();
        assert!(
            summary.starts_with("registers of dut1: 1 of 2 "),
            "{summary}"
        );
        assert!(second.table().starts_with("dut1\n\nregister "));
    }
}
