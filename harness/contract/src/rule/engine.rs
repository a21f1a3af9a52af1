//! The device's own engine (EN): what docs/engine.md promises a driver. No rule of Windows.

use super::{Rule, derived};

const PAGE: &str = "docs/engine.md";

#[rustfmt::skip]
pub(super) const RULES: &[Rule] = &[
    derived("EN-1", PAGE, "scatter-gather lists on both sides move the bytes that their elements name, in order"),
    derived("EN-2", PAGE, "a chain of descriptors is done in order with one completion entry; one that leads in a circle is ended and found"),
    derived("EN-3", PAGE, "a ring in index mode writes its producer index behind the completion entry"),
    derived("EN-4", PAGE, "a fence ends when all earlier work has ended"),
    derived("EN-5", PAGE, "a polled ring takes what its owner bit gives it, and finds a descriptor that changes while it is the device's"),
    derived("EN-6", PAGE, "each of up to 64 channels works by itself and tells of its end in its own cause bit, whether it has a vector of its own, shares one, or has the pin"),
];
