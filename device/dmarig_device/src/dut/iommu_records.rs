//! Turns what becomes of the DUT's own remapping unit into records of the canonical trace, and its words
//! into those of the control socket.

use control_api::iommu::{IommuFault, IommuOrder};
use dmarig_abi::{GuestPhysAddr, RequesterId};
use iommu::Access;
use iommu::vtd::{FaultFate, FaultRecord, Invalidation, RegisterEffect};
use recording::trace::{RemappingFate, RemappingRecord, TraceRecord};

/// A fault that was to be recorded.
pub(super) fn fault(record: &FaultRecord, fate: FaultFate) -> TraceRecord {
    TraceRecord::Remapping(RemappingRecord::Fault {
        fault: to_api(record),
        fate: match fate {
            FaultFate::Recorded => RemappingFate::Recorded,
            FaultFate::Compressed => RemappingFate::Compressed,
            FaultFate::Lost => RemappingFate::Lost,
            FaultFate::Suppressed => RemappingFate::Suppressed,
        },
    })
}

/// What a write to the unit's registers set off.
pub(super) fn effect(effect: RegisterEffect, requester: RequesterId) -> TraceRecord {
    TraceRecord::Remapping(match effect {
        RegisterEffect::Enabled(root) => return enabled(root, requester),
        RegisterEffect::Disabled => RemappingRecord::Disabled,
        RegisterEffect::RootTable(root) => RemappingRecord::RootTable { root: root.raw() },
        RegisterEffect::Ordered(order) => RemappingRecord::Ordered {
            order: order_to_api(order),
        },
        RegisterEffect::OrderIgnored => RemappingRecord::OrderIgnored,
    })
}

/// The unit translates from now on.
pub(super) fn enabled(root: GuestPhysAddr, requester: RequesterId) -> TraceRecord {
    TraceRecord::Remapping(RemappingRecord::Enabled {
        root: root.raw(),
        requester: requester.to_string(),
    })
}

/// A fault record in the words of the control socket.
pub(super) fn to_api(record: &FaultRecord) -> IommuFault {
    IommuFault {
        requester: record.requester,
        iova: record.iova,
        write: record.access == Access::Write,
        reason: record.reason.code().into(),
        text: record.reason.to_string(),
        domain: record.domain,
    }
}

const fn order_to_api(order: Invalidation) -> IommuOrder {
    match order {
        Invalidation::ContextGlobal => IommuOrder::ContextGlobal,
        Invalidation::ContextDomain { domain } => IommuOrder::ContextDomain { domain },
        Invalidation::ContextDevice {
            requester,
            masked_bits,
        } => IommuOrder::ContextDevice {
            requester,
            masked_bits,
        },
        Invalidation::IotlbGlobal => IommuOrder::IotlbGlobal,
        Invalidation::IotlbDomain { domain } => IommuOrder::IotlbDomain { domain },
        Invalidation::IotlbPages {
            domain,
            iova,
            address_mask,
        } => IommuOrder::IotlbPages {
            domain,
            iova,
            address_mask,
        },
    }
}
