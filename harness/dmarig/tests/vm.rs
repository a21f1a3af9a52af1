//! Tests on the real rig.
fn main() {}
