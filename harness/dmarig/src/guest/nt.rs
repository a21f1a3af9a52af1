//! The embedded `nt` guest: its boot archive, its command line, its farewell.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use contract::{Bounce, EarlyProgram, GuestMemory, Profile, Remapping, SgCallback};
use cpio::newc;
use dmarig_abi::mailbox::{CONTEXT_ADD_DEVICE, CONTEXT_START_DEVICE};
use qemu::CpuFeature;

use crate::faults::Faults;
use crate::mailbox::{self, ProgramError};
use crate::sabotage::{Place, Sabotage};

/// Guest memory in MiB.
#[must_use]
pub const fn memory_mib(memory: GuestMemory) -> u32 {
    match memory {
        GuestMemory::Low => 256,
        GuestMemory::BothSides | GuestMemory::HighFirst => 3072,
    }
}

/// Where a byte of the memory file lies in the guest. Up to 2815 MiB q35 has no hole, and the two are the
/// same; with more, 2 GiB lie at 0 and the rest at 4 GiB. It is what lets the device's mapping table be
/// compared with PFNs.
#[must_use]
pub const fn guest_phys(memory: GuestMemory, file_offset: u64) -> u64 {
    const LOW_BYTES: u64 = 2 << 30;
    const HIGH_START: u64 = 4 << 30;
    match memory {
        GuestMemory::Low => file_offset,
        GuestMemory::BothSides | GuestMemory::HighFirst if file_offset < LOW_BYTES => file_offset,
        GuestMemory::BothSides | GuestMemory::HighFirst => file_offset - LOW_BYTES + HIGH_START,
    }
}

/// What the kernel's boot code needs of its CPU.
pub const CPU_FEATURES: &[CpuFeature] = &[CpuFeature::GigabytePages];

/// Console command that removes the devices, unloads the driver, reports leaks and ends the guest.
pub const SHUTDOWN_COMMAND: &str = "shutdown\n";

/// Longest driver file name, as Windows' file systems have it.
const NAME_MAX_BYTES: usize = 255;
const FILE_MODE: u32 = 0o100_644;

/// Why there is no boot archive.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The driver cannot be read.
    #[error("cannot read the driver {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The driver's name cannot stand on the kernel's command line.
    #[error(
        "the driver's file name {name:?} is not usable\nhelp: name it like dmarig.sys: letters, digits, '-', '_' and '.'"
    )]
    Name {
        /// The name.
        name: String,
    },
    /// A program is too long.
    #[error("an early program")]
    Program(#[from] ProgramError),
    /// There is no such early event.
    #[error("context {context} is none that the guest hands a program to before it runs")]
    Context {
        /// The context.
        context: u16,
    },
    /// The archive cannot be written.
    #[error("cannot write the boot archive {}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Words of the kernel's command line: `key=value`, parted by blanks.
#[must_use]
pub fn command_line(
    remapping: Remapping,
    profile: &Profile,
    driver_name: &str,
    sabotage: Option<&Sabotage>,
    faults: &Faults,
) -> String {
    let mut line = format!(
        "remapping={} verifier={} strict-imports=off driver={driver_name}",
        remapping.as_str(),
        if profile.verifier { "on" } else { "off" },
    );
    if profile.memory == GuestMemory::HighFirst {
        line.push_str(" memory=high-first");
    }
    line.push_str(&transfer_words(profile));
    if profile.hot_plug {
        line.push_str(" hot-plug=on");
    }
    if let Some(sabotage) = sabotage.filter(|sabotage| sabotage.place == Place::Guest) {
        line.push_str(" sabotage=");
        line.push_str(sabotage.name);
    }
    line.push_str(&call_words(driver_name, faults));
    line
}

/// Calls that are watched, and those of this driver that are to fail.
fn call_words(driver_name: &str, faults: &Faults) -> String {
    let mut words = String::new();
    if faults.watch_calls {
        words.push_str(" call-faults=on");
    }
    for call in &faults.rules.calls {
        let rva = match &call.location {
            None => "*".to_owned(),
            Some(site) if site.module.eq_ignore_ascii_case(driver_name) => {
                format!("{:#x}", site.rva)
            }
            // A call site of another driver than this boot's.
            Some(_) => continue,
        };
        words.push_str(&format!(" fail-call={}@{rva}:{}", call.routine, call.nth));
    }
    words
}

/// How the HAL treats transfers, where it is not the default.
fn transfer_words(profile: &Profile) -> String {
    let mut words = String::new();
    match profile.bounce {
        Bounce::Always => {}
        Bounce::AsNeeded => words.push_str(" bounce=as-needed"),
    }
    if let Some(count) = profile.map_registers {
        words.push_str(&format!(" map-registers={count}"));
    }
    match profile.sg_callback {
        SgCallback::Sync => {}
        SgCallback::Deferred => words.push_str(" sg-callback=deferred"),
        SgCallback::Seeded(seed) => words.push_str(&format!(" sg-callback=seeded:{seed}")),
    }
    words
}

/// The driver's file name, if it can stand on the command line and in the archive.
///
/// # Errors
/// It cannot.
pub fn driver_name(driver: &Path) -> Result<&str, ArchiveError> {
    let name = driver.file_name().unwrap_or_default();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    match name.to_str() {
        Some(text)
            if !text.is_empty() && text.len() <= NAME_MAX_BYTES && text.chars().all(is_plain) =>
        {
            Ok(text)
        }
        _ => Err(ArchiveError::Name {
            name: name.to_string_lossy().into_owned(),
        }),
    }
}

/// Writes the boot module: a cpio archive with the driver and the programs for early events.
///
/// # Errors
/// The driver cannot be read, has an unusable name, a program is none, or the archive cannot be written.
pub fn write_archive(
    driver: &Path,
    programs: &[EarlyProgram],
    archive: &Path,
) -> Result<(), ArchiveError> {
    let name = driver_name(driver)?;
    let image = fs::read(driver).map_err(|source| ArchiveError::Read {
        path: driver.into(),
        source,
    })?;
    let mut files = vec![(format!("drivers/{name}"), image)];
    for program in programs {
        let name = program_name(program.context)?;
        let bytes = mailbox::encode(program.context, &(program.steps)())?;
        files.push((format!("programs/{name}.bin"), bytes));
    }
    build_archive(&files)
        .and_then(|bytes| fs::write(archive, bytes))
        .map_err(|source| ArchiveError::Write {
            path: archive.into(),
            source,
        })
}

/// The file that `nt` gives to the driver for an early context.
const fn program_name(context: u16) -> Result<&'static str, ArchiveError> {
    match context {
        CONTEXT_ADD_DEVICE => Ok("add-device"),
        CONTEXT_START_DEVICE => Ok("start-device"),
        _ => Err(ArchiveError::Context { context }),
    }
}

fn build_archive(files: &[(String, Vec<u8>)]) -> io::Result<Vec<u8>> {
    let mut archive = Vec::new();
    for (number, (name, content)) in (1..).zip(files) {
        let size = u32::try_from(content.len())
            .map_err(|_| io::Error::new(io::ErrorKind::FileTooLarge, "4 GiB or more"))?;
        let mut writer = newc::Builder::new(name)
            .ino(number)
            .mode(FILE_MODE)
            .nlink(1)
            .write(&mut archive, size);
        writer.write_all(content)?;
        writer.finish()?;
    }
    newc::trailer(&mut archive)?;
    Ok(archive)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sabotage;

    #[test]
    fn archive_holds_the_driver_under_its_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let driver = folder.path().join("my_driver.sys");
        fs::write(&driver, b"MZ image").expect("written");
        let archive = folder.path().join("boot.cpio");
        write_archive(&driver, &[], &archive).expect("archived");

        let bytes = fs::read(&archive).expect("there");
        let mut reader = newc::Reader::new(&bytes[..]).expect("an archive");
        assert_eq!(reader.entry().name(), "drivers/my_driver.sys");
        let mut content = Vec::new();
        io::copy(&mut reader, &mut content).expect("read");
        assert_eq!(content, b"MZ image");
        let rest = reader.finish().expect("finished");
        assert!(
            newc::Reader::new(rest)
                .expect("a trailer")
                .entry()
                .is_trailer()
        );
    }

    #[test]
    fn driver_name_that_would_break_the_command_line_is_refused() {
        for bad in ["/d/a b.sys", "/d/a=b.sys", "/d/ä.sys", "/", "/d/.."] {
            assert!(driver_name(Path::new(bad)).is_err(), "{bad}");
        }
        assert_eq!(
            driver_name(Path::new("/d/a-b_1.sys")).ok(),
            Some("a-b_1.sys")
        );
    }

    #[test]
    fn memory_above_the_hole_lies_at_4_gib() {
        let at = |memory, offset| guest_phys(memory, offset);
        assert_eq!(at(GuestMemory::Low, 0x1234), 0x1234);
        assert_eq!(at(GuestMemory::BothSides, 0x7fff_f000), 0x7fff_f000);
        assert_eq!(at(GuestMemory::BothSides, 0x8000_0000), 0x1_0000_0000);
        assert_eq!(at(GuestMemory::HighFirst, 0xbfff_f000), 0x1_3fff_f000);
    }

    #[test]
    fn calls_of_this_driver_are_told_to_fail() {
        let text = "[[call]]\nname = \"a\"\nroutine = \"IoAllocateMdl\"\nlocation = \"D.sys+0x12\"\nnth = 2\n\
                    [[call]]\nname = \"b\"\nroutine = \"IoAllocateMdl\"\nlocation = \"e.sys+0x12\"\n\
                    [[call]]\nname = \"c\"\nroutine = \"ExAllocatePool2\"";
        let rules = fault_injection::rule_file::parse_all(Path::new("x"), text).expect("rules");
        let faults = Faults {
            watch_calls: true,
            rules,
            ..Faults::default()
        };
        let line = command_line(Remapping::On, &Profile::DEFAULT, "d.sys", None, &faults);
        let expected =
            " call-faults=on fail-call=IoAllocateMdl@0x12:2 fail-call=ExAllocatePool2@*:1";
        assert!(line.ends_with(expected), "{line}");
    }

    #[test]
    fn only_sabotages_of_the_guest_stand_on_its_command_line() {
        let line = |name| {
            command_line(
                Remapping::On,
                &Profile::DEFAULT,
                "d.sys",
                sabotage::find(name),
                &Faults::default(),
            )
        };
        assert!(line("nt-leave-mapping").ends_with("sabotage=nt-leave-mapping"));
        assert!(!line("device-flip-bit").contains("sabotage"));
        assert!(line("").starts_with("remapping=on "));
    }
}
