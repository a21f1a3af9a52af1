//! [`Verdict`]: what is to happen to one access, from the rules for it and for its request.

use dmarig_abi::Iova;
use endpoint::Direction;
use fault_injection::Effect;

use crate::channel::RequestContext;

/// The effects on an access: at most one on its translation, one on the access itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub translation: Option<Effect>,
    pub access: Option<Effect>,
}

/// Where an effect on a whole request makes accesses end, as an offset in the request.
pub(crate) fn cut(effect: Effect) -> Option<u64> {
    match effect {
        Effect::Short { bytes } => Some(bytes.into()),
        _ => None,
    }
}

/// What an effect on a whole request means for one of its accesses.
pub(crate) fn of_request(
    request: &mut RequestContext,
    direction: Direction,
    iova: Iova,
    len_bytes: u64,
) -> Option<Effect> {
    let effect = request.effect?;
    let offset = request.offset(direction, iova)?;
    let writes = request.start.destination.is_some();
    // Where bytes change, a copy changes what it writes.
    let is_changed_side = (direction == Direction::Write) == writes;
    match effect {
        Effect::FlipBit { bit } => {
            let byte = u64::from(bit / 8) % request.start.len_bytes.max(1);
            let inside = byte.checked_sub(offset).filter(|at| *at < len_bytes)?;
            let bit_number = u32::try_from(inside * 8).ok()? + bit % 8;
            is_changed_side.then_some(Effect::FlipBit { bit: bit_number })
        }
        Effect::Short { bytes } if offset >= u64::from(bytes) => Some(match direction {
            Direction::Read => Effect::CompletionTimeout,
            Direction::Write => Effect::Drop,
        }),
        Effect::Short { .. } => None,
        Effect::Drop | Effect::Duplicate => (direction == Direction::Write).then_some(effect),
        Effect::CompletionTimeout | Effect::Poison if direction == Direction::Write => None,
        Effect::Reorder | Effect::Torn { .. } | Effect::Mutate { .. }
            if direction == Direction::Read =>
        {
            None
        }
        Effect::SpuriousInterrupt { .. } => None,
        // Nothing moves any more on a link that is down.
        Effect::LinkDown { .. } | Effect::SurpriseRemoval | Effect::Hang => Some(Effect::Hang),
        _ => (!std::mem::replace(&mut request.has_struck, true)).then_some(effect),
    }
}

/// Flips a bit of `data`, counted from the lowest of the first byte, modulo the length.
pub(crate) fn flip(data: &mut [u8], bit: u32) {
    if data.is_empty() {
        return;
    }
    let byte = usize::try_from(bit / 8).unwrap_or(0) % data.len();
    data[byte] ^= 1 << (bit % 8);
}
