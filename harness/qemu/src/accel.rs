//! Whether KVM really runs code on this machine, and which accelerator QEMU gets.
//!
//! `/dev/kvm` may be there, open and even create virtual machines, and still run nothing (nested
//! virtualization that is half switched off). So [`probe_kvm`] runs three real-mode instructions.
#![expect(
    unsafe_code,
    reason = "KVM takes guest memory by raw address; the call stands in `run_instructions` alone"
)]

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use kvm_bindings::{KVM_MAX_CPUID_ENTRIES, kvm_userspace_memory_region};
use kvm_ioctls::{Kvm, VcpuExit, VcpuFd, VmFd};
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryMmap};

/// How long the probe's few instructions may take before KVM counts as unusable.
pub const PROBE_DEADLINE: Duration = Duration::from_secs(2);

const PAGE_SIZE_BYTES: usize = 0x1000;
const CODE_ADDRESS: u64 = 0x1000;
const PROBE_PORT: u16 = 0x80;
const PROBE_BYTE: u8 = 0x5a;
/// `mov al, 5ah; out 80h, al; hlt`
const CODE: [u8; 5] = [0xb0, PROBE_BYTE, 0xe6, 0x80, 0xf4];

/// What the user asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AccelChoice {
    /// KVM where it serves, else TCG.
    #[default]
    Auto,
    /// KVM or nothing.
    Kvm,
    /// TCG, without asking KVM.
    Tcg,
}

/// What QEMU gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accel {
    /// The kernel's hypervisor.
    Kvm,
    /// QEMU's own translator: slower, and everywhere.
    Tcg,
}

impl Accel {
    /// The word on QEMU's command line and in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg",
        }
    }
}

/// A feature that a guest needs of its CPU, and that QEMU's own translator always has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CpuFeature {
    /// Pages of 1 GiB.
    GigabytePages,
}

impl CpuFeature {
    /// CPUID function, and the bit of EDX.
    const fn place(self) -> (u32, u32) {
        match self {
            Self::GigabytePages => (0x8000_0001, 1 << 26),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::GigabytePages => "pages of 1 GiB",
        }
    }
}

/// Outcome of [`probe_kvm`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KvmProbe {
    /// The instructions ran and did what they say.
    Usable,
    /// They did not; `reason` is fit for a user's eyes.
    Unusable {
        /// Which step failed, and how.
        reason: String,
    },
}

/// Why no accelerator can be had.
#[derive(Debug, thiserror::Error)]
#[error(
    "KVM was asked for and does not serve: {reason}\nhelp: run with --accel tcg, or make /dev/kvm usable"
)]
pub struct KvmRefused {
    reason: String,
}

/// Settles the accelerator: what was asked for, against what the machine can do. The second part is
/// the line to show when TCG steps in for KVM. `needed` is what the guest needs of its CPU.
///
/// # Errors
/// KVM was demanded and does not serve.
pub fn choose(
    choice: AccelChoice,
    needed: &'static [CpuFeature],
) -> Result<(Accel, Option<String>), KvmRefused> {
    match choice {
        AccelChoice::Tcg => Ok((Accel::Tcg, None)),
        AccelChoice::Auto => Ok(match probe_kvm(needed) {
            KvmProbe::Usable => (Accel::Kvm, None),
            KvmProbe::Unusable { reason } => (
                Accel::Tcg,
                Some(format!("KVM does not serve here ({reason}), using TCG")),
            ),
        }),
        AccelChoice::Kvm => match probe_kvm(needed) {
            KvmProbe::Usable => Ok((Accel::Kvm, None)),
            KvmProbe::Unusable { reason } => Err(KvmRefused { reason }),
        },
    }
}

/// Creates a virtual machine with one vCPU, runs [`CODE`] in it, and sees that KVM can give a guest the
/// CPU features that it needs.
///
/// A vCPU that never comes back is given up after [`PROBE_DEADLINE`]; its thread ends with the
/// process.
#[must_use]
pub fn probe_kvm(needed: &'static [CpuFeature]) -> KvmProbe {
    let (sender, receiver) = mpsc::sync_channel(1);
    let spawned = thread::Builder::new()
        .name("kvm-probe".into())
        .spawn(move || {
            // Nobody listens any more once the deadline has passed; that is all right.
            let _ = sender.send(run_instructions(needed));
        });
    let outcome = match spawned {
        Ok(_) => receiver.recv_timeout(PROBE_DEADLINE).unwrap_or_else(|_| {
            Err(format!(
                "the probe's vCPU did not stop within {PROBE_DEADLINE:?}"
            ))
        }),
        Err(error) => Err(format!("no thread for the probe: {error}")),
    };
    match outcome {
        Ok(()) => KvmProbe::Usable,
        Err(reason) => KvmProbe::Unusable { reason },
    }
}

fn run_instructions(needed: &[CpuFeature]) -> Result<(), String> {
    let kvm = Kvm::new().map_err(|error| format!("/dev/kvm: {error}"))?;
    look_for_features(&kvm, needed)?;
    let vm = kvm
        .create_vm()
        .map_err(|error| format!("creating a virtual machine: {error}"))?;
    let memory: GuestMemoryMmap =
        GuestMemoryMmap::from_ranges(&[(GuestAddress(CODE_ADDRESS), PAGE_SIZE_BYTES)])
            .map_err(|error| format!("memory for the probe: {error}"))?;
    memory
        .write_slice(&CODE, GuestAddress(CODE_ADDRESS))
        .map_err(|error| format!("writing the probe's code: {error}"))?;
    give_memory(&vm, &memory)?;
    let mut vcpu = vm
        .create_vcpu(0)
        .map_err(|error| format!("creating a vCPU: {error}"))?;
    enter_real_mode(&vcpu).map_err(|error| format!("setting the vCPU's registers: {error}"))?;
    expect_out_then_halt(&mut vcpu)
}

fn look_for_features(kvm: &Kvm, needed: &[CpuFeature]) -> Result<(), String> {
    let supported = kvm
        .get_supported_cpuid(KVM_MAX_CPUID_ENTRIES)
        .map_err(|error| format!("asking for CPU features: {error}"))?;
    for feature in needed {
        let (function, bit) = feature.place();
        let has = |entry: &kvm_bindings::kvm_cpuid_entry2| {
            entry.function == function && entry.edx & bit != 0
        };
        if !supported.as_slice().iter().any(has) {
            let name = feature.name();
            return Err(format!("it gives guests no {name}, which this guest needs"));
        }
    }
    Ok(())
}

fn give_memory(vm: &VmFd, memory: &GuestMemoryMmap) -> Result<(), String> {
    let host_address = memory
        .get_host_address(GuestAddress(CODE_ADDRESS))
        .map_err(|error| format!("address of the probe's memory: {error}"))?;
    let region = kvm_userspace_memory_region {
        slot: 0,
        flags: 0,
        guest_phys_addr: CODE_ADDRESS,
        memory_size: PAGE_SIZE_BYTES as u64,
        userspace_addr: host_address as u64,
    };
    // SAFETY: the region is one whole page of a private mapping that `memory` owns. `memory` lives in
    // `run_instructions` until after the last `KVM_RUN`, is not shared with any other thread, and no
    // reference into it exists while the guest runs. Slot 0 is used once, so no overlap arises.
    unsafe { vm.set_user_memory_region(region) }
        .map_err(|error| format!("giving memory to the virtual machine: {error}"))
}

fn enter_real_mode(vcpu: &VcpuFd) -> Result<(), kvm_ioctls::Error> {
    let mut system_registers = vcpu.get_sregs()?;
    system_registers.cs.base = 0;
    system_registers.cs.selector = 0;
    vcpu.set_sregs(&system_registers)?;
    let mut registers = vcpu.get_regs()?;
    registers.rip = CODE_ADDRESS;
    registers.rflags = 2; // Bit 1 always reads as one.
    vcpu.set_regs(&registers)
}

fn expect_out_then_halt(vcpu: &mut VcpuFd) -> Result<(), String> {
    match vcpu.run() {
        Ok(VcpuExit::IoOut(PROBE_PORT, [PROBE_BYTE])) => {}
        other => return Err(format!("the first instructions ended with {other:?}")),
    }
    match vcpu.run() {
        Ok(VcpuExit::Hlt) => Ok(()),
        other => Err(format!("the halt instruction ended with {other:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tcg_is_granted_without_a_note() {
        let (accel, note) = choose(AccelChoice::Tcg, &[]).expect("TCG needs nothing");
        assert_eq!((accel, note), (Accel::Tcg, None));
    }

    #[test]
    fn auto_notes_the_reason_exactly_when_kvm_does_not_serve() {
        let (accel, note) = choose(AccelChoice::Auto, &[]).expect("auto always finds one");
        match probe_kvm(&[]) {
            KvmProbe::Usable => assert_eq!((accel, note), (Accel::Kvm, None)),
            KvmProbe::Unusable { reason } => {
                assert_eq!(accel, Accel::Tcg);
                assert!(note.is_some_and(|line| line.contains(&reason)));
            }
        }
    }

    #[test]
    fn feature_that_every_kvm_gives_is_found_and_a_missing_one_is_named() {
        let Ok(kvm) = Kvm::new() else {
            return; // No KVM here: nothing to ask.
        };
        assert_eq!(look_for_features(&kvm, &[]), Ok(()));
        if let Err(reason) = look_for_features(&kvm, &[CpuFeature::GigabytePages]) {
            assert!(reason.contains("1 GiB"), "{reason}");
        }
    }
}
