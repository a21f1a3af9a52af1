//! [`Fence`]: a request that waits for the other channels.
//!
//! A fence is done when all that was rung on any channel before the fence had its turn has ended. Two
//! fences could then wait for each other, so a channel that stands at a later fence counts as far enough:
//! what it did before that fence has ended, and what comes after it comes after the earlier fence, too.

use endpoint::Sabotage;

use crate::channel::Channel;
use crate::engine::Engine;

/// How far a fence is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fence {
    /// The channel has come to it.
    Reached,
    /// It waits until each channel has ended so many requests.
    Waiting { number: u64, targets: Vec<u64> },
}

impl Engine {
    /// Whether a channel stands at a fence that is still closed.
    pub(crate) fn waits_at_fence(&mut self, turn: usize) -> bool {
        let n_own = usize::from(self.config.channels);
        let Some(channel) = self.channels.get(turn) else {
            return false;
        };
        match &channel.fence {
            None => return false,
            Some(Fence::Waiting { .. }) => {}
            Some(Fence::Reached) => {
                if self.sabotage.strikes(Sabotage::PassFence) {
                    if let Some(channel) = self.channels.get_mut(turn) {
                        channel.fence = None;
                    }
                    return false;
                }
                self.last_fence += 1;
                let own = self.channels.iter().take(n_own);
                let fence = Fence::Waiting {
                    number: self.last_fence,
                    targets: own
                        .map(|channel| channel.ended + channel.backlog())
                        .collect(),
                };
                if let Some(channel) = self.channels.get_mut(turn) {
                    channel.fence = Some(fence);
                }
            }
        }
        let is_open = self.is_open(turn);
        if is_open && let Some(channel) = self.channels.get_mut(turn) {
            channel.fence = None;
        }
        !is_open
    }

    fn is_open(&self, turn: usize) -> bool {
        let fence = self
            .channels
            .get(turn)
            .and_then(|channel| channel.fence.as_ref());
        let Some(Fence::Waiting { number, targets }) = fence else {
            return true;
        };
        let is_far_enough = |channel: &Channel, target: u64| {
            let stands_later = match &channel.fence {
                Some(Fence::Waiting { number: other, .. }) => other > number,
                Some(Fence::Reached) => true,
                None => false,
            };
            channel.ended >= target || channel.backlog() == 0 || stands_later
        };
        let others = self.channels.iter().zip(targets).enumerate();
        others
            .filter(|(index, _)| *index != turn)
            .all(|(_, (channel, target))| is_far_enough(channel, *target))
    }
}
