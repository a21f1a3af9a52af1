//! [`SabotagePlan`]: which [`Sabotage`] is set, and what it has done.
//!
//! The engine asks its [`SabotagePlan`] at a few named points: payload writes, interrupts asked for, fences,
//! chains, the producer index and changed descriptors. With no sabotage set that is one comparison. What is
//! in descriptors and completion entries is never sabotaged.

use dmarig_abi::Iova;

use endpoint::{ChannelId, DmaBus, Sabotage};

/// What is to be done with one payload write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriteAction {
    /// As asked.
    Make,
    /// With one bit flipped.
    Flip,
    /// Not at all.
    Skip,
    /// With one more byte behind it.
    Extend,
    /// Later.
    Hold,
}

/// A write that [`Sabotage::CompleteEarly`] keeps back.
#[derive(Debug)]
struct HeldWrite {
    channel: ChannelId,
    destination: Iova,
    data: Vec<u8>,
}

/// The sabotage that is set, and what it has done.
#[derive(Debug, Default)]
pub(crate) struct SabotagePlan {
    kind: Option<Sabotage>,
    remaining: u32,
    fired: u32,
    /// At most one for each channel.
    held: Vec<HeldWrite>,
}

impl SabotagePlan {
    pub(crate) fn set(&mut self, kind: Option<Sabotage>, times: u32) {
        self.kind = kind;
        self.remaining = times;
        self.fired = 0;
    }

    pub(crate) fn fired(&self) -> u32 {
        self.fired
    }

    /// The named point: what to do with a payload write. `is_last`: it ends its request.
    pub(crate) fn action(&self, is_last: bool) -> WriteAction {
        match self.kind {
            Some(_) if self.remaining == 0 => WriteAction::Make,
            Some(Sabotage::FlipBit) => WriteAction::Flip,
            Some(Sabotage::SkipWrite) => WriteAction::Skip,
            Some(Sabotage::WritePastEnd) if is_last => WriteAction::Extend,
            Some(Sabotage::CompleteEarly) if is_last => WriteAction::Hold,
            _ => WriteAction::Make,
        }
    }

    /// The named point: whether the interrupt that a request asked for is lost. If so, that is noted.
    pub(crate) fn takes_interrupt(&mut self) -> bool {
        self.strikes(Sabotage::LoseInterrupt)
    }

    /// The named point of a sabotage that is done by being asked: whether it is done now. If so, that is
    /// noted.
    pub(crate) fn strikes(&mut self, kind: Sabotage) -> bool {
        let strikes = self.kind == Some(kind) && self.remaining > 0;
        if strikes {
            self.note_fired();
        }
        strikes
    }

    /// Notes that an action other than `Make` has been carried out.
    pub(crate) fn note_fired(&mut self) {
        self.remaining = self.remaining.saturating_sub(1);
        self.fired += 1;
    }

    pub(crate) fn hold(&mut self, channel: ChannelId, destination: Iova, data: &[u8]) {
        self.held.push(HeldWrite {
            channel,
            destination,
            data: data.to_vec(),
        });
    }

    /// Makes the writes held back for a channel; nobody looks at their outcome.
    pub(crate) fn release(&mut self, channel: ChannelId, bus: &mut impl DmaBus) {
        for write in self.held.extract_if(.., |write| write.channel == channel) {
            if bus.write(write.destination, &write.data).is_err() {
                let _ = bus.submit_write(write.destination, &write.data);
            }
        }
    }

    /// Forgets the writes held back, as a reset does.
    pub(crate) fn forget_held(&mut self) {
        self.held.clear();
    }
}

/// Flips one bit in the middle of `data`; doing it twice restores it.
pub(crate) fn flip_bit(data: &mut [u8]) {
    let middle = data.len() / 2;
    if let Some(byte) = data.get_mut(middle) {
        *byte ^= 1;
    }
}

/// Changes the byte at `iova`, if a mapping permits.
pub(crate) fn change_byte(bus: &mut impl DmaBus, iova: Option<Iova>) {
    let Some(iova) = iova else { return };
    let mut byte = [0];
    let _ = bus.read(iova, &mut byte);
    let _ = bus.write(iova, &[!byte[0]]);
}
