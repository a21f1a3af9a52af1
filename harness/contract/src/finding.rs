//! [`Finding`]: what a red case says, and [`CaseEnd`]: the ways a case can end early.

use std::fmt;

use dmarig_abi::Iova;

use crate::rig::RigError;

/// One disagreement with the contract: what was done, to which buffer, what the contract expects and
/// what was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The view that disagrees: `driver`, `device`, `iommu` or `ledger`.
    pub view: &'static str,
    /// What was checked, in words.
    pub what: String,
    /// Name of the buffer, where there is one.
    pub buffer: Option<String>,
    /// Logical address of the buffer or of the first wrong byte.
    pub logical_address: Option<Iova>,
    /// What the contract expects.
    pub expected: String,
    /// What was seen.
    pub seen: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} view: {}", self.view, self.what)?;
        if let Some(buffer) = &self.buffer {
            write!(f, ", buffer {buffer}")?;
        }
        if let Some(address) = self.logical_address {
            write!(f, ", logical address {address}")?;
        }
        write!(f, ": expected {}, seen {}", self.expected, self.seen)
    }
}

/// Why a case ended before its last step.
#[derive(Debug)]
pub enum CaseEnd {
    /// The contract is broken.
    Failed(Box<Finding>),
    /// The case does not apply here, with the reason.
    Skipped(String),
    /// The rig itself broke; says nothing about the contract.
    Rig(RigError),
}

impl From<RigError> for CaseEnd {
    fn from(error: RigError) -> Self {
        Self::Rig(error)
    }
}

impl From<Finding> for CaseEnd {
    fn from(finding: Finding) -> Self {
        Self::Failed(Box::new(finding))
    }
}
