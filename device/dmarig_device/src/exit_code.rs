//! Exit codes of `dmarig-device`, stable and documented in `--help`.

/// Stopped by `stop`, SIGTERM or SIGINT.
pub const STOPPED: u8 = 0;
/// A replay came to something else than the recording.
pub const DIFFERENT: u8 = 1;
/// The command line, a recording or the device file is wrong (clap uses the same number).
pub const USAGE: u8 = 2;
/// The environment lacks something: a socket path is taken, no descriptors, no memory.
pub const ENVIRONMENT: u8 = 3;
/// What `--sandbox-probe` tried was denied, as it should be.
pub const PROBE_DENIED: u8 = 4;
