//! A device that comes and goes (PL). The documents tell what each request asks of a driver; what holds over removal and
//! return together is derived.

use super::{Rule, derived, documented};

const QUERY_REMOVE: &str = "kernel/handling-an-irp-mn-query-remove-device-request";
const REMOVE: &str = "kernel/handling-an-irp-mn-remove-device-request";
const SURPRISE: &str = "kernel/handling-an-irp-mn-surprise-removal-request";
const START: &str = "kernel/starting-a-device-in-a-function-driver";

#[rustfmt::skip]
pub(super) const RULES: &[Rule] = &[
    documented("PL-1", REMOVE, "with REMOVE_DEVICE the driver gives back all that it has of the device: buffers, adapters, mappings of registers, interrupts, the device object"),
    derived("PL-2", QUERY_REMOVE, "a driver that can stop its device agrees to QUERY_REMOVE_DEVICE, also while it holds buffers: they go with REMOVE_DEVICE"),
    derived("PL-3", START, "a device that comes back is a new device: AddDevice and START_DEVICE bring it into work, and nothing of the one before is left in its translation"),
    documented("PL-4", SURPRISE, "after a surprise the driver fails the requests under way, and SURPRISE_REMOVAL and REMOVE_DEVICE leave nothing behind"),
];
