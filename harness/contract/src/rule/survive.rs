//! What a driver owes a device that misbehaves (SV). The documents say it in many places and seldom in one
//! sentence; where a rule is put together from several, it is derived.

use super::{Rule, derived, documented};

const SURPRISE: &str = "kernel/handling-an-irp-mn-surprise-removal-request";
const POWER: &str = "kernel/handling-irp-mn-set-power-for-device-power-states";
const ISR: &str = "kernel/writing-an-isr";
const TIMEOUT: &str = "kernel/using-an-iotimer-routine";
const RESET: &str = "kernel/resetting-and-recovering-a-device";

#[rustfmt::skip]
pub(super) const RULES: &[Rule] = &[
    derived("SV-1", ISR, "an interrupt that does not come is noticed: the device's own state decides whether the request has ended"),
    derived("SV-2", TIMEOUT, "a request that does not end is given up after a bounded time, the device is reset, and the request tried again"),
    derived("SV-3", TIMEOUT, "an error that may pass is answered by another attempt, one that lasts is reported after a bounded number of them"),
    derived("SV-4", SURPRISE, "a device that answers with all ones is gone: the request fails at once, and nothing hangs"),
    documented("SV-5", POWER, "a device that leaves D0 is quiet: its DMA is stopped before, and it works again afterwards"),
    documented("SV-6", RESET, "a device that its driver cannot stop or reset is reset by the function-level reset of the bus driver, and set up anew"),
];
