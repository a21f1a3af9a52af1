//! Bodies of the fuzz targets: plain functions from bytes to nothing, which panic at a finding.
//!
//! [`TARGETS`] lists them by name. `tests/corpus.rs` replays the committed inputs of `corpus/NAME` on
//! every run; `scripts/fuzz NAME` lets libFuzzer look for more. Four drive the whole device process by
//! its sockets, without event loop and sandbox ([`script`], [`engine`], [`faults`], [`bed`]); the others read one kind of file,
//! or walk an IOMMU's tables. docs/security.md has the figures.
#![forbid(unsafe_code)]

mod bed;
mod boards;
mod engine;
mod event_log;
mod faults;
mod files;
mod pe;
mod response;
mod rig;
mod script;
mod vtd;
mod vtd_registers;

/// A target: its name, and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 13] = [
    ("wire", rig::wire),
    ("device", rig::device),
    ("mailbox", rig::mailbox),
    ("control", rig::control),
    ("board", boards::board),
    ("edu", boards::edu),
    ("vtd", vtd::vtd),
    ("vtd_registers", vtd_registers::vtd_registers),
    ("rule_file", files::rule_file),
    ("device_file", files::device_file),
    ("event_log", event_log::event_log),
    ("response", response::response),
    ("pe", pe::pe),
];

/// The target of a name.
#[must_use]
pub fn find(name: &str) -> Option<fn(&[u8])> {
    TARGETS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, body)| *body)
}
