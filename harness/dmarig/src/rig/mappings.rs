//! The mapping set of a device under test, page by page.

use contract::{Mapping, MappingView, RigError};
use control_api::request::MappingsList;
use control_api::response::{Backing, Permissions};
use dmarig_abi::Iova;

use super::MachineRig;
use crate::guest::nt;

/// Most runs that a mapping set may have.
const MAPPING_RUNS_MAX: usize = 1 << 16;
/// Runs asked for at a time; the device gives fewer if it likes.
const MAPPING_PAGE: u32 = 400;

impl MachineRig {
    /// `None` where they changed meanwhile.
    pub(super) fn list_mappings_once(&mut self) -> Result<Option<MappingView>, RigError> {
        let mut view = MappingView::default();
        let mut start = Iova::new(0);
        let mut is_first = true;
        loop {
            let page = self
                .call(&MappingsList {
                    function: self.function(),
                    start,
                    limit: MAPPING_PAGE,
                })
                .map_err(|error| self.client_trouble(&error))?;
            if is_first {
                view.epoch = page.epoch;
                is_first = false;
            } else if page.epoch != view.epoch {
                return Ok(None);
            }
            view.mappings
                .extend(page.mappings.iter().map(|run| Mapping {
                    iova: run.iova,
                    size_bytes: run.size,
                    writable: matches!(
                        run.permissions,
                        Permissions::ReadWrite | Permissions::Write
                    ),
                    guest_phys: match run.backing {
                        Backing::Memory { file_offset } => {
                            Some(nt::guest_phys(self.memory, file_offset))
                        }
                        Backing::Message => None,
                    },
                }));
            if view.mappings.len() > MAPPING_RUNS_MAX {
                let text = format!("the device lists more than {MAPPING_RUNS_MAX} mappings");
                return Err(RigError(text));
            }
            match page.next {
                Some(next) if next > start => start = next,
                Some(next) => {
                    let text = format!("the device lists mappings from {start} on and then {next}");
                    return Err(RigError(text));
                }
                None => return Ok(Some(view)),
            }
        }
    }
}
