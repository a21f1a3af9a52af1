/*
 * Calls that raise exceptions, each in a function that ends with the exception's code.
 *
 * clang has __try. GCC has none: there the function, its unwind data and its scope table (one scope
 * whose filter is the constant 1, EXCEPTION_EXECUTE_HANDLER) are written out. Both forms use the
 * same __C_specific_handler of the kernel.
 */
#include "operations.h"

#ifdef __clang__

/* clang guards calls only: what may raise is in a function of its own. */
static __attribute__((noinline)) void lock_pages(PMDL mdl, LOCK_OPERATION operation)
{
    MmProbeAndLockPages(mdl, KernelMode, operation);
}

__attribute__((noinline)) NTSTATUS guarded_lock_pages(PMDL mdl, LOCK_OPERATION operation)
{
    NTSTATUS status = STATUS_SUCCESS;
    __try {
        lock_pages(mdl, operation);
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        status = (NTSTATUS)_exception_code();
    }
    return status;
}

#else

/* RAX is the exception's code where the unwinder resumes, at guarded_lock_pages_end. */
__asm__(".text\n"
        ".globl guarded_lock_pages\n"
        ".def guarded_lock_pages; .scl 2; .type 32; .endef\n"
        ".seh_proc guarded_lock_pages\n"
        "guarded_lock_pages:\n"
        "subq $0x28, %rsp\n"
        ".seh_stackalloc 0x28\n"
        ".seh_endprologue\n"
        "movl %edx, %r8d\n" /* operation */
        "xorl %edx, %edx\n" /* KernelMode */
        "guarded_lock_pages_begin:\n"
        "call MmProbeAndLockPages\n"
        "nop\n"
        "xorl %eax, %eax\n"
        "guarded_lock_pages_end:\n"
        "addq $0x28, %rsp\n"
        "ret\n"
        ".seh_handler __C_specific_handler, @except\n"
        ".seh_handlerdata\n"
        ".long 1\n"
        ".rva guarded_lock_pages_begin, guarded_lock_pages_end\n"
        ".long 1\n"
        ".rva guarded_lock_pages_end\n"
        ".text\n"
        ".seh_endproc\n");

#endif
