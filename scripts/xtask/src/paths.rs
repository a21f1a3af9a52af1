//! Where things lie: the repository, its test driver and the folder of built guest images.

use std::env;
use std::path::{Path, PathBuf};

/// The root of the repository.
#[must_use]
pub fn repository() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest
        .ancestors()
        .nth(2)
        .expect("the crate lies two levels below the root")
        .to_path_buf()
}

/// The folder of the test driver's sources.
#[must_use]
pub fn test_driver() -> PathBuf {
    repository().join("guest-images/test_driver")
}

/// The folder that built guest images go to: `guest` in Cargo's target folder.
#[must_use]
pub fn guest_output() -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    // A relative CARGO_TARGET_DIR counts from the folder Cargo was called in; Cargo's own default
    // is the root of the workspace.
    if env::var_os("CARGO_TARGET_DIR").is_some() {
        target.join("guest")
    } else {
        repository().join(target).join("guest")
    }
}
