//! [`InterruptUnit`]: causes, enables, and when a vector is raised.

use dmarig_abi::registers::DUT_MAX_CHANNELS;

use crate::channel_id::{ChannelId, MsixVector};

const _: () = assert!(DUT_MAX_CHANNELS == u64::BITS, "a bit for each channel");

/// Cause and enable registers, both halves. A cause bit is set whenever a channel ends a request; a
/// vector is raised only if the request asked for it and the channel's enable bit is set. Enabling a
/// channel whose asked-for cause still stands raises its vector then, so none is lost to the order of
/// writes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct InterruptUnit {
    cause: u64,
    enable: u64,
    /// Cause bits whose request asked for an interrupt.
    asked: u64,
}

impl InterruptUnit {
    pub(crate) fn cause(&self) -> u64 {
        self.cause
    }

    pub(crate) fn enable(&self) -> u64 {
        self.enable
    }

    /// Whether the level-triggered line is to be asserted.
    pub(crate) fn is_asserted(&self) -> bool {
        self.cause & self.enable & self.asked != 0
    }

    /// A channel has ended a request: the vector to raise, if any. The host's channel, which has no
    /// bit, has none.
    pub(crate) fn request_ended(
        &mut self,
        channel: ChannelId,
        is_asked: bool,
    ) -> Option<MsixVector> {
        let bit = 1_u64.checked_shl(channel.number().into())?;
        self.cause |= bit;
        if !is_asked {
            return None;
        }
        self.asked |= bit;
        (self.enable & bit != 0).then(|| MsixVector::new(channel.number().into()))
    }

    /// Takes the enable registers: the vectors to raise.
    pub(crate) fn set_enable(&mut self, enable: u64) -> impl Iterator<Item = MsixVector> + use<> {
        let raised = self.cause & self.asked & enable & !self.enable;
        self.enable = enable;
        (0..64_u16)
            .filter(move |number| raised >> number & 1 == 1)
            .map(MsixVector::new)
    }

    /// Clears the causes whose bits are 1.
    pub(crate) fn clear(&mut self, bits: u64) {
        self.cause &= !bits;
        self.asked &= !bits;
    }
}
