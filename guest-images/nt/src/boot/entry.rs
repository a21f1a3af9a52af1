//! The PVH note and the way from 32-bit protected mode to `kernel_start` in the upper half.
//!
//! State at entry (PVH boot protocol): paging off, `ebx` = physical address of the start info. The boot
//! tables map the first 512 GiB one to one, again at the direct map, and the first GiB at the kernel's
//! base; `memory` replaces them by tables that map what exists and nothing else.

#![expect(unsafe_code, reason = "the first instructions of the kernel")]

use core::arch::global_asm;

use crate::memory::{Protection, Section, VirtAddr};

// Each block ends in `.text`: all of them share one section state.
global_asm!(
    r#"
    .section .note.pvh, "a", @note
    .align 4
    .long 4
    .long 8
    .long 18                      # XEN_ELFNOTE_PHYS32_ENTRY
    .asciz "Xen"
    .long pvh_entry
    .long 0

    .section .boot.text, "ax"
    .code32
    .global pvh_entry
    pvh_entry:
        cli
        cld
        # Identity: 512 pages of 1 GiB.
        mov edi, offset boot_identity
        mov eax, 0x83
        xor edx, edx
        mov ecx, 512
    2:
        mov [edi], eax
        mov [edi + 4], edx
        add eax, 0x40000000
        adc edx, 0
        add edi, 8
        loop 2b
        mov dword ptr [boot_kernel + 510 * 8], 0x83
        mov eax, offset boot_identity
        or eax, 3
        mov [boot_root], eax
        mov [boot_root + 256 * 8], eax
        mov eax, offset boot_kernel
        or eax, 3
        mov [boot_root + 511 * 8], eax
        mov eax, offset boot_root
        mov cr3, eax
        # PAE, OSFXSR, OSXMMEXCPT
        mov eax, 0x620
        mov cr4, eax
        # EFER: LME, NXE
        mov ecx, 0xC0000080
        rdmsr
        or eax, 0x900
        wrmsr
        # PG, WP, NE, ET, MP, PE; EM clear
        mov eax, 0x80010033
        mov cr0, eax
        lgdt [boot_gdt_pointer]
        mov esp, offset boot_scratch_end
        push 0x10
        mov eax, offset boot_long_mode
        push eax
        retf

    .code64
    boot_long_mode:
        mov eax, 0x18
        mov ss, eax
        xor eax, eax
        mov ds, eax
        mov es, eax
        mov fs, eax
        mov gs, eax
        movabs rsp, offset boot_stack_end
        mov edi, ebx
        movabs rax, offset kernel_start
        xor ebp, ebp
        call rax
        ud2

    .section .boot.data, "aw"
    .align 8
    boot_gdt:
        .quad 0, 0
        .quad 0x00AF9A000000FFFF
        .quad 0x00CF92000000FFFF
    boot_gdt_pointer:
        .word 31
        .long boot_gdt
    .align 4096
    boot_root:     .fill 4096, 1, 0
    boot_identity: .fill 4096, 1, 0
    boot_kernel:   .fill 4096, 1, 0
    boot_scratch:  .fill 64, 1, 0
    boot_scratch_end:

    .section .bss
    .align 4096
    .global boot_stack
    boot_stack:     .skip 65536
    boot_stack_end:
    .text
    "#
);

unsafe extern "C" {
    static __kernel_start: u8;
    static __text_end: u8;
    static __rodata_end: u8;
    static __kernel_end: u8;
}

/// The sections of the running kernel, as the linker script lays them out.
#[must_use]
pub fn kernel_sections() -> [Section; 3] {
    let [start, text_end, rodata_end, end] = [
        &raw const __kernel_start,
        &raw const __text_end,
        &raw const __rodata_end,
        &raw const __kernel_end,
    ]
    .map(|symbol| VirtAddr::from_ptr(symbol).as_u64());
    [
        (start..text_end, Protection::Execute),
        (text_end..rodata_end, Protection::ReadOnly),
        (rodata_end..end, Protection::ReadWrite),
    ]
}
