//! The driver serves as many channels as the device has, by as many vectors as there are.

use contract::{DriverKind, Step, TransferMode};
use dmarig_abi::operation as op;
use dmarig_abi::registers::{DUT_MAX_CHANNELS, REG_CAPABILITIES};
use libtest_mimic::Failed;

use crate::rig::{Rig, Setup};
use crate::{INTERRUPT_SEEN, expect_moved, expect_outcomes, open_adapter, prepare, verify};

/// STATUS_DEVICE_CONFIGURATION_ERROR
const CONFIGURATION_ERROR: &str = "0xc0000182";

pub fn interrupts(driver: DriverKind) -> Result<(), Failed> {
    for (channels, vectors, kind) in [(4, 2_u64, 1), (4, 0, 2), (33, 8, 1), (64, 0, 2)] {
        let device_file =
            format!("[interrupts]\nmsix_vectors = {vectors}\n\n[dma]\nchannels = {channels}\n");
        let mut rig = Rig::boot(Setup {
            device_file: Some(&device_file),
            ..Setup::of(driver)
        });
        prepare(&mut rig);
        for channel in 0..channels {
            let ran = rig.run(&[
                verify(channel, TransferMode::RegisterInterrupt),
                Step::interrupt_state(0, channel),
            ]);
            let seen = expect_moved(&ran, 0) & INTERRUPT_SEEN != 0;
            assert!(seen, "{vectors} vectors, channel {channel} of {channels}");
            let state = ran.results[1].result;
            let served = u64::from(channels) << op::INTERRUPT_STATE_CHANNELS_SHIFT;
            assert_eq!(
                (state.value[0], state.value[2]),
                (vectors.max(1), kind | served)
            );
            assert_eq!(state.length, 1, "interrupts of channel {channel}");
        }
        let beyond = [
            verify(channels, TransferMode::RegisterPoll),
            Step::interrupt_state(0, channels),
        ];
        expect_outcomes(&rig.run(&beyond), &[op::OUTCOME_BAD_ARGUMENT; 2]);
        rig.finish();
    }
    Ok(())
}

/// A count that no device has is not believed: START_DEVICE fails, and leaves nothing.
pub fn impossible_count(driver: DriverKind) -> Result<(), Failed> {
    for count in [0, DUT_MAX_CHANNELS + 1, 255] {
        let mut rig = Rig::boot(Setup::of(driver));
        rig.command("pnp query-stop dut0");
        rig.command("pnp stop dut0");
        rig.load_faults(&format!(
            "[[rule]]\nname = \"count\"\nevent = \"mmio-read\"\nmatch.bar = 0\n\
             match.offset = {REG_CAPABILITIES}\neffect.set.value = {count}\n"
        ));
        assert_eq!(
            rig.command_status("pnp start dut0"),
            CONFIGURATION_ERROR,
            "{count} channels"
        );
        expect_outcomes(&rig.run(&[open_adapter()]), &[op::OUTCOME_NO_DEVICE]);
        rig.finish();
    }
    Ok(())
}
