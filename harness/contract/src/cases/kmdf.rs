//! The driver framework: enablers, common buffers, and the order of its callbacks (KD).

mod common_buffer;
mod common_buffer_checks;
mod early;
mod enabler;
mod from_mdl;
mod misuse;
mod objects;
mod power;
mod transaction;

use crate::case::Case;
use crate::profile::{DriverKind, Profile};

/// The KMDF driver, else as usual.
pub(super) static KMDF: Profile = Profile {
    name: "kmdf",
    driver: DriverKind::Kmdf,
    ..Profile::DEFAULT
};

/// The suite's lists, in order.
pub(super) const LISTS: &[&[Case]] = &[
    enabler::CASES,
    common_buffer::CASES,
    common_buffer_checks::CASES,
    from_mdl::CASES,
    transaction::CASES,
    power::CASES,
    objects::CASES,
    early::CASES,
    misuse::CASES,
];
