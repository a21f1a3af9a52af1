//! The device's own remapping unit (RU): what docs/iommu.md promises a driver. No rule of Windows.

use super::{Rule, derived};

const PAGE: &str = "docs/iommu.md";

#[rustfmt::skip]
pub(super) const RULES: &[Rule] = &[
    derived("RU-1", PAGE, "turned on by its registers, the unit leads the device where the tables in memory say, by both paths"),
    derived("RU-2", PAGE, "what the tables refuse moves nothing, and a fault recording register tells function, page, access and reason until it is freed"),
    derived("RU-3", PAGE, "a translation that was used stays until an invalidation that names it has been seen done, and no longer"),
];
