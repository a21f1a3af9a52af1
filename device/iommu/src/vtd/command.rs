//! [`ContextCommand`], [`IotlbCommand`]: orders as the registers have them (sections 11.4.6.1 and 11.4.6.3).

use dmarig_abi::{Iova, RequesterId};

use super::invalidation::Invalidation;
use super::register_layout::COMMAND_BUSY;

/// Granularities, in requests and in answers.
const GLOBAL: u64 = 1;
const DOMAIN: u64 = 2;
/// A device of the context cache, pages of the IOTLB.
const NARROWEST: u64 = 3;

/// CCMD.
#[derive(Clone, Copy, Debug)]
pub(super) struct ContextCommand(pub(super) u64);

/// The IOTLB invalidation register.
#[derive(Clone, Copy, Debug)]
pub(super) struct IotlbCommand(pub(super) u64);

impl ContextCommand {
    /// ICC.
    pub(super) const fn is_order(self) -> bool {
        self.0 & COMMAND_BUSY != 0
    }

    /// What is to be forgotten; `None` for a granularity that does not exist.
    pub(super) fn order(self) -> Option<Invalidation> {
        match self.0 >> 61 & 3 {
            GLOBAL => Some(Invalidation::ContextGlobal),
            DOMAIN => Some(Invalidation::ContextDomain {
                domain: low_16(self.0),
            }),
            NARROWEST => Some(Invalidation::ContextDevice {
                requester: RequesterId::from_raw(low_16(self.0 >> 16)),
                masked_bits: u8::try_from(self.0 >> 32 & 3).unwrap_or(0),
            }),
            _ => None,
        }
    }

    /// With CAIG: what was asked for, or 0 and an end at once for what cannot be.
    pub(super) const fn answered(self, is_taken: bool) -> Self {
        Self(answer(self.0, 61, 59, is_taken))
    }
}

impl IotlbCommand {
    /// IVT.
    pub(super) const fn is_order(self) -> bool {
        self.0 & COMMAND_BUSY != 0
    }

    /// What is to be forgotten, with the address register; `None` for a granularity that does not exist.
    pub(super) fn order(self, address: u64) -> Option<Invalidation> {
        let domain = low_16(self.0 >> 32);
        match self.0 >> 60 & 3 {
            GLOBAL => Some(Invalidation::IotlbGlobal),
            DOMAIN => Some(Invalidation::IotlbDomain { domain }),
            NARROWEST => Some(Invalidation::IotlbPages {
                domain,
                iova: Iova::new(address & !0xfff),
                address_mask: u8::try_from(address & 0x3f).unwrap_or(0),
            }),
            _ => None,
        }
    }

    /// With IAIG: what was asked for, or 0 and an end at once for what cannot be.
    pub(super) const fn answered(self, is_taken: bool) -> Self {
        Self(answer(self.0, 60, 57, is_taken))
    }
}

const fn answer(command: u64, asked_at: u32, answered_at: u32, is_taken: bool) -> u64 {
    let cleared = command & !(3 << answered_at);
    if is_taken {
        cleared | (command >> asked_at & 3) << answered_at
    } else {
        cleared & !COMMAND_BUSY
    }
}

fn low_16(value: u64) -> u16 {
    u16::try_from(value & 0xffff).unwrap_or(0)
}
