//! Several devices at once (DV): what one device's DMA may never have to do with another's. The documents
//! speak of one device throughout; that its translations are its own follows from what they say of domains.

use super::{ON, Rule, derived};

const REMAPPING: &str = "kernel/enabling-dma-remapping-for-device-drivers";
const ADAPTER: &str = "nf-wdm-iogetdmaadapter";
const FREE: &str = "nc-wdm-pfree_common_buffer";
const POWER: &str = "kernel/handling-irp-mn-set-power-for-device-power-states";

#[rustfmt::skip]
pub(super) const RULES: &[Rule] = &[
    derived("DV-1", REMAPPING, "a logical address is its device's own: at another device it leads nowhere, and the fault names the one that asked").only(ON).fatal(),
    derived("DV-2", ADAPTER, "devices move the bytes of their own buffers, in turn and at once, and touch nothing else"),
    derived("DV-3", FREE, "freeing a buffer of one device leaves the mappings of the other's"),
    derived("DV-4", POWER, "a device that is reset, stopped, put into D3 or gone leaves the other at work"),
];
