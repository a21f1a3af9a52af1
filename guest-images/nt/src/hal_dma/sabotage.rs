//! Mistakes that the HAL makes on purpose, as negative controls of the harness (`sabotage=` on the command
//! line).

use core::sync::atomic::{AtomicU8, Ordering};

const NONE: u8 = 0;
const LEAVE_MAPPING: u8 = 1;
const SPLIT_LOGICAL: u8 = 2;
const SHARED_DOMAIN: u8 = 3;
const LEAK_ON_FAILURE: u8 = 16;

static CHOSEN: AtomicU8 = AtomicU8::new(NONE);

/// Chooses a sabotage by its name; `false` if it is none of the HAL's.
pub(crate) fn choose(name: &str) -> bool {
    let chosen = match name {
        "nt-leave-mapping" => LEAVE_MAPPING,
        "nt-split-logical" => SPLIT_LOGICAL,
        "nt-shared-domain" => SHARED_DOMAIN,
        "nt-leak-on-failure" => LEAK_ON_FAILURE,
        _ => return false,
    };
    CHOSEN.store(chosen, Ordering::Relaxed);
    true
}

/// FreeCommonBuffer leaves the mapping behind.
pub(super) fn is_leave_mapping() -> bool {
    CHOSEN.load(Ordering::Relaxed) == LEAVE_MAPPING
}

/// CreateCommonBufferFromMdl gives a range that is not contiguous. With remapping only: without it, the device
/// would write to memory of others.
pub(super) fn is_split_logical() -> bool {
    CHOSEN.load(Ordering::Relaxed) == SPLIT_LOGICAL
}

/// What is mapped for one device is mapped for all, as if they had one domain.
pub(super) fn is_shared_domain() -> bool {
    CHOSEN.load(Ordering::Relaxed) == SHARED_DOMAIN
}

/// A call that fails behind its mapping leaves that mapping.
pub(super) fn is_leak_on_failure() -> bool {
    CHOSEN.load(Ordering::Relaxed) == LEAK_ON_FAILURE
}
