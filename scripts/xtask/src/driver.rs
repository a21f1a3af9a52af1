//! `cargo xtask driver`: builds `dmarig.sys` and `dmarig-kmdf.sys` from Debian's mingw headers, with the
//! tools of a [`Toolchain`].
//!
//! Both share the files of `src/`; what makes one a WDM and the other a KMDF driver lies in a folder
//! below, the [`Front`].
//!
//! Import libraries come from the committed `.def` files, so nothing of a Windows SDK is needed. The
//! linker's image gets a checksum and no time stamp: equal sources give equal bytes.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use clap::Args;

pub use crate::toolchain::Toolchain;
use crate::{paths, portable_executable};

/// Folders where the mingw DDK headers may lie.
const HEADER_FOLDERS: [&str; 2] = [
    "/usr/share/mingw-w64/include",
    "/usr/x86_64-w64-mingw32/include",
];

/// What turns the shared files into a driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Front {
    /// `dmarig.sys`.
    Wdm,
    /// `dmarig-kmdf.sys`.
    Kmdf,
}

impl Front {
    /// All drivers.
    pub const ALL: [Self; 2] = [Self::Wdm, Self::Kmdf];

    /// File name of the driver.
    #[must_use]
    pub const fn image(self) -> &'static str {
        match self {
            Self::Wdm => "dmarig.sys",
            Self::Kmdf => "dmarig-kmdf.sys",
        }
    }

    /// Its folder below `src/`.
    const fn folder(self) -> &'static str {
        match self {
            Self::Wdm => "wdm",
            Self::Kmdf => "kmdf",
        }
    }

    pub(crate) const fn entry(self) -> &'static str {
        match self {
            Self::Wdm => "DriverEntry",
            Self::Kmdf => "FxDriverEntry",
        }
    }

    /// The lists of imports, each of which becomes an import library.
    const fn import_lists(self) -> &'static [&'static str] {
        match self {
            Self::Wdm => &["ntoskrnl", "hal"],
            Self::Kmdf => &["ntoskrnl", "hal", "wdfldr"],
        }
    }
}

/// Arguments of `cargo xtask driver`.
#[derive(Args, Debug, Default)]
pub struct DriverArgs {
    /// Tools to build with.
    #[arg(long, value_enum, default_value_t)]
    pub toolchain: Toolchain,
}

/// Builds both drivers into the folder of guest images (those of GCC into a folder below) and prints
/// their paths.
///
/// # Errors
/// A tool or header is missing, or a tool reports an error.
pub fn run(args: &DriverArgs) -> Result<()> {
    let output = match args.toolchain {
        Toolchain::Clang => paths::guest_output(),
        Toolchain::Gcc => folder(&paths::guest_output(), "gcc")?,
    };
    let mut current = true;
    for front in Front::ALL {
        current &= is_current(&output.join(front.image()))?;
    }
    if !current {
        build(&output, args.toolchain)?;
    }
    for front in Front::ALL {
        println!("{}", output.join(front.image()).display());
    }
    Ok(())
}

/// Builds both drivers into `output`.
///
/// # Errors
/// As [`run`].
pub fn build(output: &Path, toolchain: Toolchain) -> Result<()> {
    let headers = header_folder()?;
    let compile_all = |sources: &[PathBuf], objects: &Path| {
        compile_all(sources, |source| {
            toolchain.compile(source, objects, &headers)
        })
    };
    let shared = compile_all(&sources("")?, &folder(output, "dmarig")?)?;
    for front in Front::ALL {
        let objects = folder(output, &format!("dmarig-{}", front.folder()))?;
        let mut inputs = compile_all(&sources(front.folder())?, &objects)?;
        inputs.extend(shared.iter().cloned());
        for list in front.import_lists() {
            inputs.push(toolchain.import_library(list, &objects)?);
        }
        let image = toolchain.link(front, &inputs, &objects)?;
        install(&image, &output.join(front.image()))?;
        install_map(&image, &output.join(front.image()))?;
    }
    Ok(())
}

/// A folder for what the build leaves on its way.
fn folder(output: &Path, name: &str) -> Result<PathBuf> {
    let folder = output.join(name);
    fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    Ok(folder)
}

/// The C files of a folder below the driver's `src/`, in the order of their names.
fn sources(below: &str) -> Result<Vec<PathBuf>> {
    let folder = paths::test_driver().join("src").join(below);
    let mut files = Vec::new();
    for entry in
        fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?
    {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "c") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Runs a tool; what it prints shows only when it fails.
///
/// # Errors
/// The tool is missing (with the package that has it), or ends with an error (with its words).
pub fn run_tool(command: &mut Command, package: &str) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = match command.output() {
        Ok(output) => output,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            bail!("{name} is missing\nhelp: apt-get install {package}")
        }
        Err(error) => return Err(error).with_context(|| format!("cannot start {name}")),
    };
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        let more = String::from_utf8_lossy(&output.stdout);
        bail!("{name} failed ({})\n{}{}", output.status, words, more);
    }
    Ok(())
}

/// True when the image is younger than all that it is made from: the driver's files, and this
/// program with the flags in it.
fn is_current(image: &Path) -> Result<bool> {
    let Ok(made) = image.metadata().and_then(|metadata| metadata.modified()) else {
        return Ok(false);
    };
    let driver = paths::test_driver();
    let program = std::env::current_exe().context("cannot find this program")?;
    let mut newest = program.metadata()?.modified()?;
    let sources = driver.join("src");
    let fronts = Front::ALL.map(|front| sources.join(front.folder()));
    let mut folders = vec![driver.join("include"), driver, sources];
    folders.extend(fronts);
    for folder in folders {
        newest = newest.max(newest_in(&folder)?);
    }
    Ok(made > newest)
}

/// When the folder or a file in it was last changed.
fn newest_in(folder: &Path) -> Result<SystemTime> {
    let mut newest = folder.metadata()?.modified()?;
    for entry in fs::read_dir(folder)? {
        newest = newest.max(entry?.metadata()?.modified()?);
    }
    Ok(newest)
}

fn header_folder() -> Result<PathBuf> {
    let found = HEADER_FOLDERS
        .iter()
        .map(Path::new)
        .find(|folder| folder.join("ddk/wdm.h").exists());
    found.map(Path::to_path_buf).with_context(|| {
        format!(
            "the DDK headers are missing: no ddk/wdm.h in {}\n\
             help: apt-get install mingw-w64-x86-64-dev",
            HEADER_FOLDERS.join(", ")
        )
    })
}

/// Compiles each source, with a thread for each processor.
fn compile_all(
    sources: &[PathBuf],
    compile: impl Fn(&Path) -> Result<PathBuf> + Sync,
) -> Result<Vec<PathBuf>> {
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let share = sources.len().div_ceil(workers).max(1);
    thread::scope(|scope| {
        let started: Vec<_> = sources
            .chunks(share)
            .map(|chunk| {
                scope.spawn(|| {
                    chunk
                        .iter()
                        .map(|source| compile(source))
                        .collect::<Result<Vec<_>>>()
                })
            })
            .collect();
        let mut compiled = Vec::new();
        for worker in started {
            compiled.extend(worker.join().expect("compiling does not panic")?);
        }
        Ok(compiled)
    })
}

/// Puts the map of symbols beside the image, where the linker wrote one: reports name call sites by it.
fn install_map(image: &Path, target: &Path) -> Result<()> {
    let (map, target) = (image.with_extension("map"), target.with_extension("map"));
    if map.exists() {
        fs::copy(&map, &target).with_context(|| format!("cannot write {}", target.display()))?;
    }
    Ok(())
}

/// Finishes the linked image and puts it in place in one step.
fn install(image: &Path, target: &Path) -> Result<()> {
    let mut bytes = fs::read(image).with_context(|| format!("cannot read {}", image.display()))?;
    portable_executable::finish(&mut bytes)?;
    fs::write(image, &bytes).with_context(|| format!("cannot write {}", image.display()))?;
    fs::rename(image, target).with_context(|| format!("cannot write {}", target.display()))
}
