//! What QEMU says on stderr, and what it means.
//!
//! QEMU tells most of its troubles nowhere else: a vfio-user connection that broke raises no QMP
//! event, it is only printed. [`classify`] knows the lines that matter; those of our own device process
//! are among them.

/// What a known line of QEMU means for the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Meaning {
    /// The device process closed a socket, or died.
    DeviceGone,
    /// QEMU could not reach the device process at its start.
    DeviceUnreachable,
    /// A reply came after QEMU had given up waiting, or was malformed: the connection is dead.
    ReplyBroken,
    /// The device process did not answer in time.
    ReplyTimeout,
    /// QEMU gives up because a DMA mapping could not be announced.
    MappingFailed,
    /// The IOMMU was enabled without `caching-mode=on`.
    CachingModeMissing,
    /// A file of QEMU's own is missing (a ROM), or the kernel could not be loaded.
    FileMissing,
    /// QEMU was asked to end by a signal.
    Signal,
    /// An option or device that this QEMU does not know.
    OptionRefused,
    /// A Rust program found a bug in itself; the next line says which.
    Panicked,
}

impl Meaning {
    /// One clause for a person.
    #[must_use]
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::DeviceGone => "the device process closed its socket or died",
            Self::DeviceUnreachable => "QEMU could not connect to the device process",
            Self::ReplyBroken => "a reply of the device process was late or malformed",
            Self::ReplyTimeout => "the device process did not answer in time",
            Self::MappingFailed => {
                "QEMU could not announce a DMA mapping to the device process and gave up"
            }
            Self::CachingModeMissing => "intel-iommu lacks caching-mode=on",
            Self::FileMissing => "QEMU lacks a file it was told to load",
            Self::Signal => "QEMU was ended by a signal",
            Self::OptionRefused => "this QEMU does not know an option or a device",
            Self::Panicked => "it found a bug in itself",
        }
    }
}

/// Pieces of text and their meaning; the first that occurs in a line wins.
const KNOWN: &[(&str, Meaning)] = &[
    (
        "DMA mapping failed, unable to continue",
        Meaning::MappingFailed,
    ),
    ("failed to read header: EOF", Meaning::DeviceGone),
    ("failed to read header", Meaning::DeviceGone),
    ("unexpected reply", Meaning::ReplyBroken),
    ("bad header size", Meaning::ReplyBroken),
    ("timed out", Meaning::ReplyTimeout),
    ("Failed to connect", Meaning::DeviceUnreachable),
    ("device IOTLB mode", Meaning::CachingModeMissing),
    ("caching-mode", Meaning::CachingModeMissing),
    ("Could not open", Meaning::FileMissing),
    ("could not load", Meaning::FileMissing),
    ("Error loading uncompressed kernel", Meaning::FileMissing),
    ("terminating on signal", Meaning::Signal),
    ("is not a valid device model name", Meaning::OptionRefused),
    ("' panicked at ", Meaning::Panicked),
    ("invalid option", Meaning::OptionRefused),
    ("Property '", Meaning::OptionRefused),
    ("Parameter '", Meaning::OptionRefused),
];

/// The meaning of one line, if it is a known one.
#[must_use]
pub fn classify(line: &str) -> Option<Meaning> {
    KNOWN
        .iter()
        .find(|(piece, _)| line.contains(piece))
        .map(|(_, meaning)| *meaning)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_lines_have_their_meaning() {
        let check = |line, expected| assert_eq!(classify(line), expected, "{line}");
        check(
            "vfio_user_recv_hdr: failed to read header: EOF",
            Some(Meaning::DeviceGone),
        );
        check(
            "qemu: vfio: DMA mapping failed, unable to continue",
            Some(Meaning::MappingFailed),
        );
        check(
            "qemu: -device {...}: Failed to connect to '/x': No such file or directory",
            Some(Meaning::DeviceUnreachable),
        );
        check("terminating on signal 15 from pid 4", Some(Meaning::Signal));
        check("warning: something new", None);
    }
}
