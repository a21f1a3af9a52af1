//! [`Faults`]: what goes wrong on purpose in a run, from a rule file.

use std::path::Path;

use fault_injection::rule_file::{self, RuleFile, RuleFileError};

/// What goes wrong on purpose. By default nothing does.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Whether the guest lists the driver's call sites.
    pub watch_calls: bool,
    /// Whether the device counts the points of fault injection that each case passes.
    pub record_points: bool,
    /// The rules, checked.
    pub rules: RuleFile,
    /// The file's text, as the device gets it.
    pub text: String,
}

impl Faults {
    /// The text that the device gets, if it has a rule.
    #[must_use]
    pub fn device_rules(&self) -> Option<String> {
        (!self.rules.plan.rules.is_empty()).then(|| self.text.clone())
    }

    /// Reads a rule file.
    ///
    /// # Errors
    /// It cannot be read, or something in it is wrong.
    pub fn read(path: &Path) -> Result<Self, RuleFileError> {
        let text = rule_file::read_text(path)?;
        let rules = rule_file::parse_all(path, &text)?;
        Ok(Self {
            watch_calls: false,
            record_points: false,
            rules,
            text,
        })
    }
}
