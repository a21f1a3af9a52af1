//! Sabotages of the control socket: the endpoint's own, and stale mappings.

use control_api::request::Sabotage;
use control_api::response::SabotageState;

use super::Dut;
use super::control_change::ControlChange;
use super::stale::StaleTranslations;

impl Dut {
    /// Sets a sabotage. One of the endpoint's own replaces the other.
    pub fn set_sabotage(&mut self, sabotage: Sabotage, times: Option<u32>) {
        self.note_change(|| ControlChange::SetSabotage(sabotage, times));
        let endpoint_sabotage = match sabotage {
            Sabotage::DeviceStaleMapping => {
                self.memory.set_stale(Some(StaleTranslations::new(times)));
                return;
            }
            Sabotage::DeviceFlipBit => endpoint::Sabotage::FlipBit,
            Sabotage::DeviceSkipWrite => endpoint::Sabotage::SkipWrite,
            Sabotage::DeviceWritePastEnd => endpoint::Sabotage::WritePastEnd,
            Sabotage::DeviceCompleteEarly => endpoint::Sabotage::CompleteEarly,
            Sabotage::DeviceLoseInterrupt => endpoint::Sabotage::LoseInterrupt,
            Sabotage::DevicePassFence => endpoint::Sabotage::PassFence,
            Sabotage::DeviceIgnoreChain => endpoint::Sabotage::IgnoreChain,
            Sabotage::DeviceStaleIndex => endpoint::Sabotage::StaleIndex,
            Sabotage::DeviceOverlookChange => endpoint::Sabotage::OverlookChange,
        };
        self.sabotage = Some((sabotage, times));
        let times = times.unwrap_or(u32::MAX);
        self.endpoint.set_sabotage(Some(endpoint_sabotage), times);
    }

    /// Ends every sabotage.
    pub fn clear_sabotages(&mut self) {
        self.note_change(|| ControlChange::ClearSabotages);
        self.sabotage = None;
        self.endpoint.set_sabotage(None, 0);
        self.memory.set_stale(None);
    }

    /// The sabotages that are set, and how often each has struck.
    #[must_use]
    pub fn sabotages(&self) -> Vec<SabotageState> {
        let struck = self.endpoint.sabotage_fired();
        let own = self.sabotage.map(|(name, times)| SabotageState {
            name,
            times_left: times.map(|times| times.saturating_sub(struck)),
            struck: struck.into(),
        });
        let stale = self.memory.stale().filter(|stale| !stale.is_passive());
        let stale = stale.map(|stale| SabotageState {
            name: Sabotage::DeviceStaleMapping,
            times_left: stale.times_left(),
            struck: stale.struck(),
        });
        own.into_iter().chain(stale).collect()
    }
}
