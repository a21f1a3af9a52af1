//! One libFuzzer binary for all targets; `DMARIG_FUZZ_TARGET` names the one to run.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

static BODY: OnceLock<fn(&[u8])> = OnceLock::new();

fuzz_target!(|data: &[u8]| {
    let body = BODY.get_or_init(|| {
        let name = std::env::var("DMARIG_FUZZ_TARGET").expect("scripts/fuzz sets it");
        fuzz_targets::find(&name).expect("scripts/fuzz has checked the name")
    });
    body(data);
});
