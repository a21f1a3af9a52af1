//! [`Rule`]: one numbered statement of the documents, in our words; [`FAMILIES`]: all of them.

mod adapter;
mod common_buffer;
mod domain;
mod engine;
mod framework;
mod from_mdl;
mod mdl;
mod own_iommu;
mod plug;
mod several;
mod survive;
mod transfer;
mod verifier;

use crate::rig::Remapping;
use crate::severity::Severity;

const ON: &[Remapping] = &[Remapping::On];
const BOTH: &[Remapping] = &[Remapping::On, Remapping::Off];

/// How well a rule is founded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certainty {
    /// Stated by the named page.
    Documented,
    /// Follows from documented layouts or from published source.
    Derived,
    /// Not documented: observed and reported, never asserted.
    Unknown,
}

impl Certainty {
    /// The word in lists and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Documented => "documented",
            Self::Derived => "derived",
            Self::Unknown => "unknown",
        }
    }
}

/// One rule.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Number, such as `CM-9`.
    pub id: &'static str,
    /// The statement.
    pub sentence: &'static str,
    /// The documentation page's file name; of a derived rule, also a published source file.
    pub source: &'static str,
    /// How well it is founded.
    pub certainty: Certainty,
    /// Modes of remapping in which it says something.
    pub modes: &'static [Remapping],
    /// What real Windows makes of a driver that breaks it.
    pub breach: Severity,
}

/// The rules about one routine or subject.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// What its rules' numbers begin with, such as `CM`.
    pub prefix: &'static str,
    /// What it is about.
    pub title: &'static str,
    /// Its rules in order.
    pub rules: &'static [Rule],
}

/// All rules, in the order of the documents.
#[rustfmt::skip]
pub const FAMILIES: &[Family] = &[
    Family { prefix: "GA", title: "IoGetDmaAdapter", rules: adapter::GET },
    Family { prefix: "PA", title: "PutDmaAdapter", rules: adapter::PUT },
    Family { prefix: "AC", title: "AllocateCommonBuffer", rules: common_buffer::ALLOCATE },
    Family { prefix: "AX", title: "AllocateCommonBufferEx", rules: common_buffer::ALLOCATE_EX },
    Family { prefix: "AB", title: "AllocateCommonBufferWithBounds", rules: common_buffer::ALLOCATE_WITH_BOUNDS },
    Family { prefix: "CM", title: "CreateCommonBufferFromMdl", rules: from_mdl::RULES },
    Family { prefix: "FC", title: "FreeCommonBuffer", rules: common_buffer::FREE },
    Family { prefix: "FO", title: "FreeAdapterObject", rules: adapter::FREE_OBJECT },
    Family { prefix: "AI", title: "GetDmaAdapterInfo", rules: adapter::INFO },
    Family { prefix: "TI", title: "GetDmaTransferInfo", rules: adapter::TRANSFER_INFO },
    Family { prefix: "TC", title: "InitializeDmaTransferContext", rules: adapter::TRANSFER_CONTEXT },
    Family { prefix: "AL", title: "GetDmaAlignment", rules: adapter::ALIGNMENT },
    Family { prefix: "SG", title: "scatter/gather lists and channels, versions 1 and 2", rules: transfer::LISTS },
    Family { prefix: "SX", title: "scatter/gather lists, version 3", rules: transfer::LISTS_EX },
    Family { prefix: "MX", title: "MapTransferEx", rules: transfer::MAP },
    Family { prefix: "FL", title: "FlushAdapterBuffersEx", rules: transfer::FLUSH },
    Family { prefix: "CX", title: "cancelling channels and transfers", rules: transfer::CANCEL },
    Family { prefix: "DD", title: "DMA domains and the rest of the table", rules: domain::RULES },
    Family { prefix: "VF", title: "bug checks of Driver Verifier", rules: verifier::RULES },
    Family { prefix: "MD", title: "MDLs and memory as sources of buffers", rules: mdl::RULES },
    Family { prefix: "SV", title: "surviving a device that misbehaves", rules: survive::RULES },
    Family { prefix: "PL", title: "a device that comes and goes", rules: plug::RULES },
    Family { prefix: "KD", title: "DMA by the driver framework (KMDF)", rules: framework::RULES },
    Family { prefix: "EN", title: "the engine of the device", rules: engine::RULES },
    Family { prefix: "DV", title: "several devices at once", rules: several::RULES },
    Family { prefix: "RU", title: "the device's own remapping unit", rules: own_iommu::RULES },
];

/// The rules of all families.
pub fn rules() -> impl Iterator<Item = &'static Rule> {
    FAMILIES.iter().flat_map(|family| family.rules)
}

/// Finds a rule by its number.
#[must_use]
pub fn rule(id: &str) -> Option<&'static Rule> {
    rules().find(|rule| rule.id == id)
}

const fn documented(id: &'static str, source: &'static str, sentence: &'static str) -> Rule {
    Rule {
        id,
        sentence,
        source,
        certainty: Certainty::Documented,
        modes: BOTH,
        breach: Severity::Defined,
    }
}

const fn derived(id: &'static str, source: &'static str, sentence: &'static str) -> Rule {
    Rule {
        certainty: Certainty::Derived,
        ..documented(id, source, sentence)
    }
}

const fn unknown(id: &'static str, source: &'static str, sentence: &'static str) -> Rule {
    Rule {
        certainty: Certainty::Unknown,
        ..documented(id, source, sentence)
    }
}

impl Rule {
    /// Breaking it has an outcome that the documents leave open.
    const fn undefined(self) -> Self {
        Self {
            breach: Severity::Undefined,
            ..self
        }
    }

    /// Breaking it may stop real Windows, or loses memory.
    const fn fatal(self) -> Self {
        Self {
            breach: Severity::Fatal,
            ..self
        }
    }

    /// It says something in these modes only.
    const fn only(self, modes: &'static [Remapping]) -> Self {
        Self { modes, ..self }
    }
}

#[cfg(test)]
mod tests;
