//! [`BusSettings`]: what software has set for the function's requests.

use std::time::Duration;

use crate::channel::ByDirection;

/// Where the function's TLPs end, and how long it waits for a Completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BusSettings {
    /// At which multiples of bytes a read's TLPs end: the least of read request size, 4 KiB and the
    /// device's boundary.
    pub read_granule_bytes: u64,
    /// A write's: the least of payload size, 4 KiB and the device's boundary.
    pub write_granule_bytes: u64,
    /// When the function gives up a read that is not answered; `None` if it never does.
    pub completion_timeout: Option<Duration>,
}

impl BusSettings {
    pub(crate) fn granules(&self) -> ByDirection<u64> {
        ByDirection::new(
            self.read_granule_bytes.max(1),
            self.write_granule_bytes.max(1),
        )
    }
}
