//! Bodies of the fuzz targets: plain functions from bytes to nothing, which panic at a finding.
//!
//! [`TARGETS`] lists them by name. `tests/corpus.rs` replays the committed inputs of `corpus/NAME` on
//! every run; `scripts/fuzz NAME` lets libFuzzer look for more. Four drive the whole device process by
//! its sockets, without event loop and sandbox ([`script`], [`engine`], [`faults`], [`bed`]); the others read one kind of file,
//! or walk an IOMMU's tables. docs/security.md has the figures.
#![forbid(unsafe_code)]

mod bed;
mod engine;
mod event_log;
mod faults;
mod files;
mod rig;
mod script;
mod vtd;

/// A target: its name, and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 8] = [
    ("wire", rig::wire),
    ("device", rig::device),
    ("mailbox", rig::mailbox),
    ("control", rig::control),
    ("vtd", vtd::vtd),
    ("rule_file", files::rule_file),
    ("device_file", files::device_file),
    ("event_log", event_log::event_log),
];

/// The target of a name.
#[must_use]
pub fn find(name: &str) -> Option<fn(&[u8])> {
    TARGETS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, body)| *body)
}
