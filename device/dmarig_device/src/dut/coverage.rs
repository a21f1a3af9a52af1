//! What the driver touches of the endpoint's registers.

use endpoint::Direction;
use register_coverage::{Access, Coverage};
use vfio_user::RegionIndex;

use super::Dut;

impl Dut {
    /// What the driver has touched of the registers since the start of the process.
    #[must_use]
    pub const fn coverage(&self) -> &Coverage {
        &self.coverage
    }

    /// Notes an access, if it is the endpoint's; the remapping unit's registers are not.
    pub(super) fn cover(
        &mut self,
        region: RegionIndex,
        offset: u64,
        direction: Direction,
        data: &[u8],
    ) {
        if let Some(bar) = self.front.endpoint_bar(region, offset)
            && self.unit_register(bar, offset).is_none()
        {
            self.coverage.note(Access {
                bar,
                offset,
                direction,
                data,
            });
        }
    }
}
