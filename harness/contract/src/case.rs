//! [`Case`]: one executable statement about a rule; [`CaseReport`]: how it ended.

use std::fmt;

use crate::bench::Bench;
use crate::finding::{CaseEnd, Finding};
use crate::profile::{DEFAULT_PROFILE, Profile, Stop};
use crate::rig::{Remapping, Rig, RigError};
use crate::severity::Severity;

/// What a reader or a guest must know of a case before it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tag {
    /// Does what the documents leave open; real Windows may answer otherwise.
    Undefined,
    /// May stop real Windows: a true IOMMU fault is bug check 0xE6/0x26 there.
    Fatal,
}

impl Tag {
    /// The tag as lists and filters spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Undefined => "undefined",
            Self::Fatal => "fatal",
        }
    }
}

/// The body of a case.
pub type Body = fn(&mut Bench<'_>) -> Result<(), CaseEnd>;

/// One case: a rule, one way to try it, the modes in which it applies.
///
/// Written as `Case::new(id, title, modes, body)`, followed by what is special about it.
#[derive(Clone, Copy)]
pub struct Case {
    /// `RULE/variant`, unique.
    pub id: &'static str,
    /// What it does and expects, in one line.
    pub title: &'static str,
    /// Modes in which it runs.
    pub modes: &'static [Remapping],
    /// Further rules that it shows, beside the one in its id.
    pub also: &'static [&'static str],
    /// Marks.
    pub tags: &'static [Tag],
    /// What it needs of its boot.
    pub profile: &'static Profile,
    /// The stop of the guest in which it must end, if it must not go on. It has a boot of its own then.
    pub stop: Option<Stop>,
    /// Findings of the guest that it must cause, by id; any other is red.
    pub findings: &'static [&'static str],
    /// What runs.
    pub body: Body,
}

impl Case {
    /// A case of the default profile that leaves the guest running.
    #[must_use]
    pub const fn new(
        id: &'static str,
        title: &'static str,
        modes: &'static [Remapping],
        body: Body,
    ) -> Self {
        Self {
            id,
            title,
            modes,
            also: &[],
            tags: &[],
            profile: &DEFAULT_PROFILE,
            stop: None,
            findings: &[],
            body,
        }
    }

    /// Names further rules that it shows.
    #[must_use]
    pub const fn showing(self, also: &'static [&'static str]) -> Self {
        Self { also, ..self }
    }

    /// Marks it.
    #[must_use]
    pub const fn tagged(self, tags: &'static [Tag]) -> Self {
        Self { tags, ..self }
    }

    /// Demands that the guest finds these, and goes on.
    #[must_use]
    pub const fn finds(self, findings: &'static [&'static str]) -> Self {
        Self { findings, ..self }
    }

    /// Gives it a boot of another kind.
    #[must_use]
    pub const fn under(self, profile: &'static Profile) -> Self {
        Self { profile, ..self }
    }

    /// Demands that it stops the guest.
    #[must_use]
    pub const fn stops(self, stop: Stop) -> Self {
        Self {
            stop: Some(stop),
            ..self
        }
    }

    /// The rule's id: the part before the slash.
    #[must_use]
    pub fn rule(&self) -> &'static str {
        self.id.split_once('/').map_or(self.id, |(rule, _)| rule)
    }

    /// All rules that it shows.
    pub fn rules(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.rule()).chain(self.also.iter().copied())
    }

    /// What real Windows makes of what it does.
    #[must_use]
    pub fn severity(&self) -> Severity {
        if self.stop.is_some() || self.tags.contains(&Tag::Fatal) {
            Severity::Fatal
        } else if self.tags.contains(&Tag::Undefined) {
            Severity::Undefined
        } else {
            Severity::Defined
        }
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// How a case ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CaseOutcome {
    /// Every view agreed with the contract.
    Passed,
    /// At least one did not.
    Failed(Vec<Finding>),
    /// It does not apply, with the reason.
    Skipped(String),
}

/// A case's outcome and what was observed on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseReport {
    /// The verdict.
    pub outcome: CaseOutcome,
    /// Facts for the record, such as status codes that the documents leave open.
    pub observations: Vec<String>,
}

impl Case {
    /// Runs the case; leaves no object behind in the driver whatever happens.
    ///
    /// # Errors
    /// The rig broke; nothing can be said about the contract.
    pub fn run(&self, rig: &mut dyn Rig) -> Result<CaseReport, RigError> {
        let mut bench = Bench::new(rig, self.id, self.findings)?;
        let ended = (self.body)(&mut bench);
        let mut findings = Vec::new();
        match ended {
            Ok(()) => {}
            Err(CaseEnd::Failed(finding)) => findings.push(bench.at_this_dut(*finding)),
            Err(CaseEnd::Skipped(reason)) => {
                let (_, observations) = bench.finish()?;
                return Ok(CaseReport {
                    outcome: CaseOutcome::Skipped(reason),
                    observations,
                });
            }
            Err(CaseEnd::Rig(error)) => return Err(error),
        }
        let (late, observations) = bench.finish()?;
        findings.extend(late);
        let outcome = if findings.is_empty() {
            CaseOutcome::Passed
        } else {
            CaseOutcome::Failed(findings)
        };
        Ok(CaseReport {
            outcome,
            observations,
        })
    }
}
