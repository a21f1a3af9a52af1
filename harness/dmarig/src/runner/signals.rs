//! [`Signals`]: Ctrl-C, SIGTERM and the loss of the terminal (SIGHUP), as a flag that the main loop looks at.

use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

use crate::exit_code::Exit;

/// The signal that asked us to end, if one did. A second one ends the program at once: the children
/// die with it, and the janitor tidies up.
#[derive(Clone, Debug, Default)]
pub struct Signals {
    received: Arc<AtomicUsize>,
}

/// Whether whoever started us has had this signal ignored.
fn is_ignored(signal: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    mask_has(&status, signal)
}

/// Looks into the line `SigIgn:` of `/proc/PID/status`, where bit 0 is signal 1.
fn mask_has(status: &str, signal: i32) -> bool {
    status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

impl Signals {
    /// Starts to listen.
    ///
    /// # Errors
    /// The system refuses the handlers.
    pub fn listen() -> io::Result<Self> {
        let signals = Self::default();
        let is_second = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            // Started by nohup, we are to outlive the terminal.
            if signal == SIGHUP && is_ignored(SIGHUP) {
                continue;
            }
            let exit = i32::from(Exit::from_signal(signal).code());
            let number = usize::try_from(signal).expect("signal numbers are positive");
            // In this order: the first signal finds the flag unset, sets it, and is only noted.
            flag::register_conditional_shutdown(signal, exit, Arc::clone(&is_second))?;
            flag::register(signal, Arc::clone(&is_second))?;
            flag::register_usize(signal, Arc::clone(&signals.received), number)?;
        }
        Ok(signals)
    }

    /// The exit that the signal asks for.
    #[must_use]
    pub fn exit(&self) -> Option<Exit> {
        match self.received.load(Ordering::Relaxed) {
            0 => None,
            signal => Some(Exit::from_signal(i32::try_from(signal).unwrap_or(SIGTERM))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signal_is_seen_in_the_mask() {
        let status = "SigBlk:\t0000000000000001\nSigIgn:\t0000000000001001\n";
        assert!(mask_has(status, SIGHUP));
        assert!(!mask_has(status, SIGINT));
        assert!(!mask_has("Name:\tx\n", SIGHUP));
    }
}
