//! The command line. Only parses; touches no file and no socket.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::sandbox::Probe;

/// A PCI device for tests of DMA drivers, served to QEMU over vfio-user.
///
/// Start it first, then QEMU 11.1 or newer, with these two for each socket:
///   -device pcie-root-port,id=rp1,chassis=1,slot=1
///   -device '{"driver":"vfio-user-pci","bus":"rp1","socket":{"type":"unix","path":"PATH"}}'
#[derive(Clone, Debug, Parser)]
#[command(
    name = "dmarig-device",
    version,
    verbatim_doc_comment,
    subcommand_negates_reqs = true,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    after_help = "Exit codes: 0 stopped by the control socket, SIGTERM or SIGINT, or replayed \
                  identically; 1 replayed with a difference; 2 wrong usage, device file or \
                  recording; 3 the environment lacks something (a socket path is taken, no \
                  memory); 101 a bug of ours."
)]
pub struct CommandLine {
    /// What to do in place of serving QEMU.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// How to serve QEMU.
    #[command(flatten)]
    pub options: Option<Options>,
}

/// What the program does without QEMU.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Run what `--record` has recorded again, without QEMU, and compare
    Replay(ReplayOptions),
}

/// How to replay.
#[derive(Clone, Debug, Args)]
pub struct ReplayOptions {
    /// The folder that --record wrote.
    pub folder: PathBuf,

    /// Inject the faults of this rule file (docs/faults.md), in place of all that were recorded.
    #[arg(long, value_name = "FILE")]
    pub faults: Option<PathBuf>,

    /// Print one JSON object for each device under test.
    #[arg(long)]
    pub json: bool,
}

/// How to serve QEMU.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Socket of a device under test; QEMU connects to it. Once for each device, at most 8 times: the
    /// first is dut0, the next dut1.
    #[arg(long, value_name = "PATH", required = true)]
    pub socket: Vec<PathBuf>,

    /// Socket of the control function, which carries the mailbox; QEMU connects to it.
    #[arg(long, value_name = "PATH")]
    pub control_function: Option<PathBuf>,

    /// Socket of the control protocol (docs/control-socket.md); the harness connects to it.
    #[arg(long, value_name = "PATH")]
    pub control: Option<PathBuf>,

    /// Device file (docs/device-file.md). The first is for the first --socket, and so on; a socket
    /// without one gets the built-in device.
    #[arg(long, value_name = "FILE")]
    pub device: Vec<PathBuf>,

    /// Write what each device under test is told, and what it does, into this folder, which is made:
    /// docs/replay.md.
    #[arg(long, value_name = "FOLDER")]
    pub record: Option<PathBuf>,

    /// Most MiB of each event log and of each trace; what comes later is not recorded.
    #[arg(long, value_name = "MIB", default_value_t = 64)]
    pub record_limit: u32,

    /// Never send DMA messages, for QEMU before 11.1: a miss is reported as unmapped at once.
    #[arg(long)]
    pub no_message_dma: bool,

    /// End when the parent process ends, even when that is killed. Strictly: when the parent's thread
    /// that started us ends. With PID: do not start if the parent is not PID (any more).
    #[arg(long, value_name = "PID", num_args = 0..=1, require_equals = true, overrides_with = "die_with_parent")]
    pub die_with_parent: Option<Option<u32>>,

    /// Keep the rights to open files, start programs and the like (docs/security.md). For debugging.
    #[arg(long)]
    pub no_sandbox: bool,

    /// Try in the sandbox what must not work, and say what came of it.
    #[arg(long, value_name = "WHAT", hide = true)]
    pub sandbox_probe: Option<Probe>,

    /// What to log to stderr: a level (error, warn, info, debug, trace) or a tracing filter.
    #[arg(long, value_name = "FILTER", default_value = "warn")]
    pub log: String,
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::CommandLine;

    #[test]
    fn command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn qemu_is_served_unless_a_recording_is_replayed() {
        let parse = |arguments: &[&str]| {
            CommandLine::try_parse_from([&["dmarig-device"], arguments].concat())
        };
        let served = parse(&["--socket", "dut"]).expect("serves");
        assert!(served.options.is_some() && served.command.is_none());
        let replayed = parse(&["replay", "folder"]).expect("replays");
        assert!(replayed.options.is_none() && replayed.command.is_some());
        assert!(parse(&[]).is_err());
        assert!(parse(&["--socket", "dut", "replay", "folder"]).is_err());
    }

    #[test]
    fn help_reads_as_committed() {
        let help = CommandLine::command().term_width(100).render_long_help();
        insta::assert_snapshot!(help);
    }
}
