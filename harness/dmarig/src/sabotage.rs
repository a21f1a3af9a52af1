//! The sabotages: ways to make a part misbehave, so that an oracle can be seen to turn red.

use control_api::request::Sabotage as DeviceSabotage;

/// Who misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The device process, told over the control socket.
    Device(DeviceSabotage),
    /// The `nt` guest or its driver, told on the kernel's command line.
    Guest,
}

/// One sabotage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sabotage {
    /// The name for `--sabotage`.
    pub name: &'static str,
    /// What happens, in one line.
    pub title: &'static str,
    /// Who does it.
    pub place: Place,
}

/// All of them.
pub const SABOTAGES: &[Sabotage] = &[
    Sabotage {
        name: "device-flip-bit",
        title: "the device flips one bit of the payload it writes",
        place: Place::Device(DeviceSabotage::DeviceFlipBit),
    },
    Sabotage {
        name: "device-skip-write",
        title: "the device leaves out a payload write and reports it as done",
        place: Place::Device(DeviceSabotage::DeviceSkipWrite),
    },
    Sabotage {
        name: "device-write-past-end",
        title: "the device writes one byte past the end",
        place: Place::Device(DeviceSabotage::DeviceWritePastEnd),
    },
    Sabotage {
        name: "device-complete-early",
        title: "the device reports completion before its writes are done",
        place: Place::Device(DeviceSabotage::DeviceCompleteEarly),
    },
    Sabotage {
        name: "device-lose-interrupt",
        title: "the device never raises the interrupt that a request asked for",
        place: Place::Device(DeviceSabotage::DeviceLoseInterrupt),
    },
    Sabotage {
        name: "device-stale-mapping",
        title: "the device goes on using a translation that was removed",
        place: Place::Device(DeviceSabotage::DeviceStaleMapping),
    },
    Sabotage {
        name: "device-pass-fence",
        title: "a fence of all channels passes without waiting for any",
        place: Place::Device(DeviceSabotage::DevicePassFence),
    },
    Sabotage {
        name: "device-ignore-chain",
        title: "the device ends a chain of descriptors with the first one",
        place: Place::Device(DeviceSabotage::DeviceIgnoreChain),
    },
    Sabotage {
        name: "device-stale-index",
        title: "the device tells the producer index of a completion ring one entry behind",
        place: Place::Device(DeviceSabotage::DeviceStaleIndex),
    },
    Sabotage {
        name: "device-overlook-change",
        title: "the device does not find a descriptor that changes while it is its own",
        place: Place::Device(DeviceSabotage::DeviceOverlookChange),
    },
    Sabotage {
        name: "nt-leave-mapping",
        title: "nt leaves a mapping behind when a common buffer is freed",
        place: Place::Guest,
    },
    Sabotage {
        name: "nt-split-logical",
        title: "nt returns a logical range that is not contiguous",
        place: Place::Guest,
    },
    Sabotage {
        name: "nt-shared-domain",
        title: "nt maps for every device what it maps for one",
        place: Place::Guest,
    },
    Sabotage {
        name: "nt-leak-on-failure",
        title: "nt leaves the mapping of a call that runs out of memory behind it",
        place: Place::Guest,
    },
    Sabotage {
        name: "driver-false-success",
        title: "the driver reports success for a call that was refused",
        place: Place::Guest,
    },
    Sabotage {
        name: "driver-leak-memory",
        title: "the driver does not free the first memory that it should",
        place: Place::Guest,
    },
    Sabotage {
        name: "driver-leak-mdl",
        title: "the driver does not free the first MDL that it should",
        place: Place::Guest,
    },
    Sabotage {
        name: "driver-leak-adapter",
        title: "the driver does not put the first adapter that it should",
        place: Place::Guest,
    },
    Sabotage {
        name: "driver-leak-buffer",
        title: "the driver does not free the first common buffer that it should, nor put its adapter",
        place: Place::Guest,
    },
    Sabotage {
        name: "driver-skip-flush",
        title: "the driver looks at the data of a transfer without flush or PutScatterGatherList",
        place: Place::Guest,
    },
    Sabotage {
        name: "driver-truncate-address",
        title: "the driver cuts a logical address to 32 bits before it gives it to the device",
        place: Place::Guest,
    },
    Sabotage {
        name: "driver-no-recovery",
        title: "the driver neither resets a device that hangs nor tries again",
        place: Place::Guest,
    },
    Sabotage {
        name: "driver-dma-in-d3",
        title: "the driver does not stop the device's DMA before D3",
        place: Place::Guest,
    },
    Sabotage {
        name: "driver-keep-device",
        title: "the driver refuses to let its device go",
        place: Place::Guest,
    },
    Sabotage {
        name: "driver-leak-registers",
        title: "the driver leaves the first mapping of its device's registers",
        place: Place::Guest,
    },
    Sabotage {
        name: "driver-trust-interrupt",
        title: "the driver takes no request for ended whose interrupt has not come",
        place: Place::Guest,
    },
];

/// Finds a sabotage by name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Sabotage> {
    SABOTAGES.iter().find(|sabotage| sabotage.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_sabotages_bear_their_name_on_the_control_socket() {
        for sabotage in SABOTAGES {
            if let Place::Device(wire) = sabotage.place {
                let wire_name = serde_json::to_value(wire).expect("a plain name");
                assert_eq!(wire_name, sabotage.name);
            }
        }
        let n_device = SABOTAGES
            .iter()
            .filter(|sabotage| matches!(sabotage.place, Place::Device(_)))
            .count();
        assert_eq!(n_device, DeviceSabotage::ALL.len());
    }
}
