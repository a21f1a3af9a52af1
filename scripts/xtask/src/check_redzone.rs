//! `cargo xtask check-redzone`: looks through the disassembly of the nt kernel for accesses below the stack
//! pointer. Interrupts keep 128 bytes clear there, but nothing of ours should rely on it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::nt;

/// Functions that live there on purpose: the kernel's own test of its interrupt stub.
const ON_PURPOSE: [&str; 1] = ["live_in_the_red_zone"];

/// Arguments of `cargo xtask check-redzone`.
#[derive(Args, Debug, Default)]
pub struct CheckRedzoneArgs {
    /// The kernel to look through; it is built if none is given.
    pub elf: Option<PathBuf>,
}

/// Looks through the kernel.
///
/// # Errors
/// The kernel cannot be built or disassembled, or it accesses memory below its stack pointer.
pub fn run(args: &CheckRedzoneArgs) -> Result<()> {
    let elf = match &args.elf {
        Some(elf) => elf.clone(),
        None => nt::build(nt::Profile::default())?,
    };
    let accesses = below_stack_pointer(&disassemble(&elf)?);
    if !accesses.is_empty() {
        bail!("accesses below the stack pointer:\n{}", accesses.join("\n"));
    }
    println!("{}: no access below the stack pointer", elf.display());
    Ok(())
}

fn disassemble(elf: &Path) -> Result<String> {
    let output = Command::new("llvm-objdump")
        .args(["--disassemble", "--demangle", "--no-show-raw-insn"])
        .arg(elf)
        .output()
        .context("cannot run llvm-objdump (Debian package llvm)")?;
    if !output.status.success() {
        bail!("llvm-objdump: {}", String::from_utf8_lossy(&output.stderr));
    }
    String::from_utf8(output.stdout).context("llvm-objdump wrote something other than UTF-8")
}

/// Each such access with its function, but for [`ON_PURPOSE`].
fn below_stack_pointer(disassembly: &str) -> Vec<String> {
    let mut function = "";
    let mut accesses = Vec::new();
    for line in disassembly.lines() {
        if let Some(name) = line
            .strip_suffix(">:")
            .and_then(|line| line.split_once('<'))
        {
            function = name.1;
            continue;
        }
        let is_on_purpose = ON_PURPOSE.iter().any(|name| function.contains(name));
        if !is_on_purpose && is_below_stack_pointer(line) {
            accesses.push(format!("{function}: {}", line.trim()));
        }
    }
    accesses
}

/// AT&T syntax: a negative displacement from `%rsp`. `lea` computes an address and touches nothing.
fn is_below_stack_pointer(line: &str) -> bool {
    let Some((_, instruction)) = line.split_once(':') else {
        return false;
    };
    let instruction = instruction.trim();
    !instruction.starts_with("lea")
        && instruction.split([' ', '\t', ',']).any(|operand| {
            operand.starts_with('-') && (operand.ends_with("(%rsp)") || operand.ends_with("(%rsp"))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_below_the_stack_pointer_is_found_with_its_function() {
        let text = "\
ffffffff80100000 <nt::boot::start>:
ffffffff80100000: movq\t%rax, -0x8(%rsp)
ffffffff80100005: movq\t0x8(%rsp), %rax
ffffffff8010000a: leaq\t-0x28(%rsp), %rsp
ffffffff8010000f: movq\t-0x10(%rbp), %rax
ffffffff80100014: cmpq\t-0x10(%rsp,%rcx,8), %rax
ffffffff80100020 <nt::selftest::live_in_the_red_zone>:
ffffffff80100020: movq\t%rdi, -0x80(%rsp)
";
        assert_eq!(
            below_stack_pointer(text),
            [
                "nt::boot::start: ffffffff80100000: movq\t%rax, -0x8(%rsp)",
                "nt::boot::start: ffffffff80100014: cmpq\t-0x10(%rsp,%rcx,8), %rax",
            ]
        );
    }
}
