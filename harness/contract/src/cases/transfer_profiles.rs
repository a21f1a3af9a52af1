//! Boots of packet DMA beside the strict default.

use crate::profile::{Bounce, GuestMemory, Profile, SgCallback};

/// Retail Windows: a misuse is a status, or silence.
pub(super) static VERIFIER_OFF: Profile = Profile {
    name: "transfer-verifier-off",
    verifier: false,
    ..Profile::DEFAULT
};

/// Memory that the device reaches is not bounced, and routines run from a DPC.
pub(super) static DIRECT_DEFERRED: Profile = Profile {
    name: "transfer-direct-deferred",
    bounce: Bounce::AsNeeded,
    sg_callback: SgCallback::Deferred,
    ..Profile::DEFAULT
};

/// Few map registers, and routines that run now or later.
pub(super) static FEW_REGISTERS: Profile = Profile {
    name: "transfer-few-registers",
    map_registers: Some(5),
    sg_callback: SgCallback::Seeded(7),
    ..Profile::DEFAULT
};

/// Memory comes from above 4 GiB, and is bounced where a device does not reach it.
pub(super) static HIGH_AS_NEEDED: Profile = Profile {
    name: "transfer-high-as-needed",
    memory: GuestMemory::HighFirst,
    bounce: Bounce::AsNeeded,
    ..Profile::DEFAULT
};
