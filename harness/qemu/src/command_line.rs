//! [`CommandLine`]: QEMU's arguments as typed data.
//!
//! Two facts decide the order. `-device` in key=value form is created before all in JSON form, and
//! `intel-iommu` must be created before our devices, or they stay on identity maps for ever; so the
//! IOMMU is key=value. `vfio-user-pci` takes its socket only in JSON form.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::accel::Accel;

/// I/O port of `isa-debug-exit`: a 32-bit write of `v` ends QEMU with status `2 * v + 1`.
pub const DEBUG_EXIT_PORT: u16 = 0xf4;

/// Most bytes of a UNIX socket's path, with its terminating zero (`sun_path`).
pub const SOCKET_PATH_MAX_BYTES: usize = 108;

/// One of our functions behind its own PCIe root port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VfioUserFunction {
    /// The QEMU id of the device.
    pub id: String,
    /// The socket on which the device process listens.
    pub socket: PathBuf,
}

impl VfioUserFunction {
    /// The device behind a root port, as `-device` and `device_add` take it.
    ///
    /// # Errors
    /// The socket's path is not UTF-8 or too long.
    pub fn device(
        &self,
        port: &str,
        reply_timeout_ms: Option<u32>,
    ) -> Result<Value, CommandLineError> {
        let mut device = json!({
            "driver": "vfio-user-pci",
            "id": self.id,
            "bus": port,
            "socket": { "type": "unix", "path": socket_path(&self.socket)? },
        });
        if let Some(timeout_ms) = reply_timeout_ms {
            device["x-msg-timeout"] = timeout_ms.into();
        }
        Ok(device)
    }
}

/// The QEMU id of the root port of the function of this index.
#[must_use]
pub fn root_port(index: usize) -> String {
    format!("port{index}")
}

/// A q35 machine that boots a PVH kernel, with an emulated VT-d and our functions.
///
/// Consoles and QMP are sockets on which the *harness* listens: QEMU connects before the guest runs,
/// so that no byte is lost and nobody waits for a file to appear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine {
    /// KVM or TCG.
    pub accel: Accel,
    /// Guest memory, one shared memfd.
    pub memory_mib: u32,
    /// PVH kernel (ELF64).
    pub kernel: PathBuf,
    /// First boot module.
    pub initrd: Option<PathBuf>,
    /// The kernel's command line.
    pub append: String,
    /// Our functions, in bus order.
    pub functions: Vec<VfioUserFunction>,
    /// Whether the guest may see its root ports' slots, so that functions come and go by PCI Express hot plug.
    pub hot_plug: bool,
    /// How long QEMU waits for a reply of the device process.
    pub reply_timeout_ms: Option<u32>,
    /// Socket that receives what the guest writes to port 0xE9.
    pub debugcon: PathBuf,
    /// Socket that is COM1.
    pub com1: PathBuf,
    /// Socket for QMP.
    pub qmp: PathBuf,
}

/// Why a command line cannot be had.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CommandLineError {
    /// QEMU takes device options as JSON, which is text.
    #[error("socket path {} is not UTF-8\nhelp: set TMPDIR to a folder with a plain name", .path.display())]
    NotUtf8 {
        /// The path.
        path: PathBuf,
    },
    /// The kernel would cut the path.
    #[error("socket path {} has {length} bytes, at most {max} fit\nhelp: set TMPDIR to a folder with a short name", .path.display(), max = SOCKET_PATH_MAX_BYTES - 1)]
    TooLong {
        /// The path.
        path: PathBuf,
        /// Its length in bytes.
        length: usize,
    },
}

impl CommandLine {
    /// The arguments, without the program's name.
    ///
    /// # Errors
    /// A socket path is not UTF-8 or too long.
    pub fn arguments(&self) -> Result<Vec<OsString>, CommandLineError> {
        let mut arguments = Arguments::default();
        self.push_machine(&mut arguments);
        self.push_channels(&mut arguments)?;
        arguments.pair(
            "-device",
            format!("isa-debug-exit,iobase={DEBUG_EXIT_PORT:#x}"),
        );
        arguments.pair("-device", "intel-iommu,caching-mode=on,intremap=off");
        if self.hot_plug {
            // Otherwise q35 plugs by ACPI, and hides the slots' capability.
            arguments.pair(
                "-global",
                "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off",
            );
        }
        for (index, function) in self.functions.iter().enumerate() {
            self.push_function(&mut arguments, index, function)?;
        }
        self.push_kernel(&mut arguments);
        Ok(arguments.0)
    }

    fn push_machine(&self, arguments: &mut Arguments) {
        let mut machine = String::from(
            "q35,memory-backend=ram,sata=off,smbus=off,hpet=off,i8042=off,vmport=off,usb=off",
        );
        if self.accel == Accel::Kvm {
            machine.push_str(",kernel-irqchip=split");
        }
        arguments.pair("-machine", machine);
        arguments.pair("-accel", self.accel.name());
        let cpu = match self.accel {
            Accel::Kvm => "host",
            Accel::Tcg => "max",
        };
        arguments.pair("-cpu", cpu);
        arguments.pair("-smp", "1");
        arguments.pair("-m", format!("{}M", self.memory_mib));
        // With share=off QEMU would still send a descriptor, and our writes would go nowhere.
        let size = self.memory_mib;
        arguments.pair(
            "-object",
            format!("memory-backend-memfd,id=ram,size={size}M,share=on"),
        );
        arguments.pair("-bios", "qboot.rom");
        for flag in ["-nodefaults", "-no-user-config", "-no-reboot"] {
            arguments.0.push(flag.into());
        }
        arguments.pair("-display", "none");
        arguments.pair(
            "-sandbox",
            "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
        );
    }

    fn push_channels(&self, arguments: &mut Arguments) -> Result<(), CommandLineError> {
        for (id, path) in [
            ("debugcon", &self.debugcon),
            ("com1", &self.com1),
            ("qmp", &self.qmp),
        ] {
            let path = escape_commas(socket_path(path)?);
            arguments.pair("-chardev", format!("socket,id={id},path={path},server=off"));
        }
        arguments.pair("-device", "isa-debugcon,iobase=0xe9,chardev=debugcon");
        arguments.pair("-device", "isa-serial,iobase=0x3f8,irq=4,chardev=com1");
        // `-mon` and `-qmp` are deprecated since 11.1.
        arguments.pair("-object", "monitor-qmp,id=monitor,chardev=qmp");
        Ok(())
    }

    fn push_function(
        &self,
        arguments: &mut Arguments,
        index: usize,
        function: &VfioUserFunction,
    ) -> Result<(), CommandLineError> {
        let port = root_port(index);
        let slot = index + 1;
        arguments.pair(
            "-device",
            format!("pcie-root-port,id={port},bus=pcie.0,chassis={slot},slot={slot}"),
        );
        let device = function.device(&port, self.reply_timeout_ms)?;
        arguments.pair("-device", device.to_string());
        Ok(())
    }

    fn push_kernel(&self, arguments: &mut Arguments) {
        arguments.pair("-kernel", &self.kernel);
        if let Some(initrd) = &self.initrd {
            arguments.pair("-initrd", initrd);
        }
        arguments.pair("-append", &self.append);
    }
}

#[derive(Default)]
struct Arguments(Vec<OsString>);

impl Arguments {
    fn pair(&mut self, option: &str, value: impl Into<OsString>) {
        self.0.push(option.into());
        self.0.push(value.into());
    }
}

/// Checks that a UNIX socket can have this path, and QEMU can be told it.
fn socket_path(path: &Path) -> Result<&str, CommandLineError> {
    let length = path.as_os_str().len();
    if length >= SOCKET_PATH_MAX_BYTES {
        return Err(CommandLineError::TooLong {
            path: path.into(),
            length,
        });
    }
    path.to_str()
        .ok_or_else(|| CommandLineError::NotUtf8 { path: path.into() })
}

/// In key=value options a comma ends the value, and two stand for one.
fn escape_commas(text: &str) -> String {
    text.replace(',', ",,")
}

#[cfg(test)]
mod tests;
