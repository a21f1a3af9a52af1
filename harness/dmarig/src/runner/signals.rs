//! [`Signals`]: Ctrl-C and SIGTERM, as a flag that the main loop looks at.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::exit_code::Exit;

/// The signal that asked us to end, if one did. A second one ends the program at once: the children
/// die with it, and the janitor tidies up.
#[derive(Clone, Debug, Default)]
pub struct Signals {
    received: Arc<AtomicUsize>,
}

impl Signals {
    /// Starts to listen.
    ///
    /// # Errors
    /// The system refuses the handlers.
    pub fn listen() -> io::Result<Self> {
        let signals = Self::default();
        let is_second = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
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
