//! [`Toolchain`]: the tools that make a driver image of C files and lists of imports.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use clap::ValueEnum;

use crate::driver::{Front, run_tool};
use crate::{header, paths};

/// Flags of clang that do not depend on paths.
const CLANG_COMPILE_FLAGS: [&str; 18] = [
    "--target=x86_64-pc-windows-msvc",
    // Without it the mingw headers think that this is Microsoft's compiler.
    "-fgnuc-version=4.2.1",
    "-fms-extensions",
    "-std=gnu11",
    "-O2",
    "-ffreestanding",
    // -ffreestanding drops the unwind data otherwise.
    "-fasynchronous-unwind-tables",
    "-mno-red-zone",
    "-mno-implicit-float",
    "-fno-stack-protector",
    // Messages are copied as 64-bit words and read as structures.
    "-fno-strict-aliasing",
    "-fno-ident",
    "-D_WIN32_WINNT=0x0A00",
    "-DNTDDI_VERSION=0x0A000000",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Werror=implicit-function-declaration",
];

/// Flags of lld-link that do not depend on paths.
const LLD_LINK_FLAGS: [&str; 10] = [
    "/driver:wdm",
    "/subsystem:native,10.00",
    "/machine:x64",
    "/nodefaultlib",
    "/base:0x140000000",
    "/dynamicbase",
    "/nxcompat",
    "/opt:ref",
    "/timestamp:0",
    "/nologo",
];

/// Flags of GCC that do not depend on paths.
const GCC_COMPILE_FLAGS: [&str; 17] = [
    "-std=gnu11",
    "-O2",
    "-ffreestanding",
    "-fasynchronous-unwind-tables",
    "-mno-red-zone",
    "-mgeneral-regs-only",
    // Its name for the stack probe is no export of Windows; no frame here is large.
    "-mno-stack-arg-probe",
    "-fno-stack-protector",
    "-fno-strict-aliasing",
    "-fno-ident",
    "-D_WIN32_WINNT=0x0A00",
    "-DNTDDI_VERSION=0x0A000000",
    "-Wall",
    "-Wextra",
    // Pool tags are such constants.
    "-Wno-multichar",
    "-Werror",
    "-Werror=implicit-function-declaration",
];

/// Flags of GCC as the linker's front that do not depend on paths.
const GCC_LINK_FLAGS: [&str; 11] = [
    "-nostdlib",
    "-s",
    "-shared",
    "-Wl,--subsystem,native:10.0",
    "-Wl,--image-base,0x140000000",
    "-Wl,--dynamicbase",
    "-Wl,--nxcompat",
    "-Wl,--high-entropy-va",
    "-Wl,--exclude-all-symbols",
    "-Wl,--no-insert-timestamp",
    "-Wl,--gc-sections",
];

const GCC_PACKAGE: &str = "gcc-mingw-w64-x86-64-win32";

/// Which tools build the driver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Toolchain {
    /// clang, llvm-dlltool and lld-link
    #[default]
    Clang,
    /// GCC and the binutils of mingw-w64
    Gcc,
}

impl Toolchain {
    /// Compiles one file into `objects`.
    pub(crate) fn compile(self, source: &Path, objects: &Path, headers: &Path) -> Result<PathBuf> {
        let name = source.file_name().context("a source file has a name")?;
        let object = objects.join(name).with_extension("obj");
        let include = header::path();
        let (mut compiler, package) = match self {
            Self::Clang => {
                let mut clang = Command::new("clang");
                clang.args(CLANG_COMPILE_FLAGS).arg("-isystem").arg(headers);
                (clang, "clang")
            }
            Self::Gcc => {
                let mut gcc = Command::new("x86_64-w64-mingw32-gcc");
                gcc.args(GCC_COMPILE_FLAGS);
                (gcc, GCC_PACKAGE)
            }
        };
        compiler
            .arg("-I")
            .arg(include.parent().context("the header lies in a folder")?)
            .arg("-isystem")
            .arg(headers.join("ddk"))
            .arg("-c")
            .arg(source)
            .arg("-o")
            .arg(&object);
        run_tool(&mut compiler, package)?;
        Ok(object)
    }

    /// Makes an import library of one of the driver's `.def` files.
    pub(crate) fn import_library(self, list: &str, objects: &Path) -> Result<PathBuf> {
        let definition = paths::test_driver().join(list).with_extension("def");
        let library = objects.join(list).with_extension("lib");
        let (program, package) = match self {
            Self::Clang => ("llvm-dlltool", "llvm"),
            Self::Gcc => ("x86_64-w64-mingw32-dlltool", GCC_PACKAGE),
        };
        let mut dlltool = Command::new(program);
        dlltool
            .args(["-m", "i386:x86-64", "-d"])
            .arg(&definition)
            .arg("-l")
            .arg(&library);
        run_tool(&mut dlltool, package)?;
        Ok(library)
    }

    /// Links the image, without its checksum.
    pub(crate) fn link(self, front: Front, inputs: &[PathBuf], objects: &Path) -> Result<PathBuf> {
        let image = objects.join("unfinished.sys");
        let entry = front.entry();
        let (mut linker, package) = match self {
            Self::Clang => {
                let mut lld = Command::new("lld-link");
                lld.args(LLD_LINK_FLAGS)
                    .arg(format!("/entry:{entry}"))
                    .arg(format!("/out:{}", image.display()))
                    .arg(format!("/map:{}", image.with_extension("map").display()))
                    .args(inputs);
                (lld, "lld")
            }
            Self::Gcc => {
                let mut gcc = Command::new("x86_64-w64-mingw32-gcc");
                gcc.args(GCC_LINK_FLAGS)
                    .arg(format!("-Wl,--entry,{entry}"))
                    .arg("-o")
                    .arg(&image)
                    .args(inputs);
                (gcc, GCC_PACKAGE)
            }
        };
        run_tool(&mut linker, package)?;
        Ok(image)
    }
}
