//! [`InterruptUnit`]: causes, enables, and when a vector is raised.

use crate::channel_id::{ChannelId, MsixVector};

/// Cause and enable registers. A cause bit is set whenever a channel ends a request; a vector is
/// raised only if the request asked for it and the channel's enable bit is set. Enabling a channel
/// whose asked-for cause still stands raises its vector then, so none is lost to the order of writes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct InterruptUnit {
    cause: u32,
    enable: u32,
    /// Cause bits whose request asked for an interrupt.
    asked: u32,
}

impl InterruptUnit {
    pub(crate) fn cause(&self) -> u32 {
        self.cause
    }

    pub(crate) fn enable(&self) -> u32 {
        self.enable
    }

    /// Whether the level-triggered line is to be asserted.
    pub(crate) fn is_asserted(&self) -> bool {
        self.cause & self.enable & self.asked != 0
    }

    /// A channel has ended a request: the vector to raise, if any.
    pub(crate) fn request_ended(
        &mut self,
        channel: ChannelId,
        is_asked: bool,
    ) -> Option<MsixVector> {
        let bit = 1 << channel.number();
        self.cause |= bit;
        if !is_asked {
            return None;
        }
        self.asked |= bit;
        (self.enable & bit != 0).then(|| vector(u16::from(channel.number())))
    }

    /// Takes the enable register: the vectors to raise.
    pub(crate) fn set_enable(&mut self, enable: u32) -> impl Iterator<Item = MsixVector> + use<> {
        let raised = self.cause & self.asked & enable & !self.enable;
        self.enable = enable;
        (0..16_u16)
            .filter(move |number| raised >> number & 1 == 1)
            .map(vector)
    }

    /// Clears the causes whose bits are 1.
    pub(crate) fn clear(&mut self, bits: u32) {
        self.cause &= !bits;
        self.asked &= !bits;
    }
}

fn vector(number: u16) -> MsixVector {
    MsixVector::new(number)
}
