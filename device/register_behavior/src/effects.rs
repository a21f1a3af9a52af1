//! Effects: bits that change, and interrupts.

use board::{BoardIo, MsixVector};

use crate::layout::{Layout, RegisterIndex, ResolvedEffects, ResolvedRaise};
use crate::values::Values;

/// Carries effects out: bits cleared, bits set, then cause bits and vector.
pub(crate) fn apply(effects: &ResolvedEffects, values: &mut Values, io: &mut BoardIo<'_>) {
    for (register, bits) in &effects.clear {
        values.clear_bits(*register, *bits);
    }
    for (register, bits) in &effects.set {
        values.set_bits(*register, *bits);
    }
    if let Some(raise) = effects.interrupt {
        values.set_bits(raise.cause, raise.bits);
        if standing(raise, values) != 0 {
            io.raise(MsixVector::new(raise.vector));
        }
    }
}

/// Raises the vectors of causes that stand and that a write has just enabled.
pub(crate) fn enabled(
    layout: &Layout,
    register: RegisterIndex,
    before: u64,
    values: &Values,
    io: &mut BoardIo<'_>,
) {
    let raises = layout.raises.iter();
    for raise in raises.filter(|raise| raise.enable == Some(register)) {
        if standing(*raise, values) & !before != 0 {
            io.raise(MsixVector::new(raise.vector));
        }
    }
}

/// Whether the interrupt pin is to be asserted.
pub(crate) fn is_asserted(layout: &Layout, values: &Values) -> bool {
    layout
        .raises
        .iter()
        .any(|raise| standing(*raise, values) != 0)
}

/// The cause bits of an interrupt that stand and are enabled.
fn standing(raise: ResolvedRaise, values: &Values) -> u64 {
    let enabled = raise.enable.map_or(u64::MAX, |enable| values.get(enable));
    values.get(raise.cause) & raise.bits & enabled
}
