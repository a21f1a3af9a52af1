/*
 * The platform below the portable files: the Windows kernel, or a host compiler for their tests.
 *
 * Portable files (program, interpreter, slots, crc32c, pattern) include this and nothing of Windows.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef DMARIG_HOST_TEST
#include <string.h>
#else
#ifdef __clang__
/* The mingw headers declare these two extern and define them in every file; declared static first,
 * they stay inside each file. */
static unsigned char InterlockedBitTestAndSet(long volatile *base, long bit);
static unsigned char InterlockedBitTestAndReset(long volatile *base, long bit);
#else
/* For GCC the mingw headers define these two twice: here the second pair has other names. */
#include <intrin.h>
#define InterlockedBitTestAndSet SecondInterlockedBitTestAndSet
#define InterlockedBitTestAndReset SecondInterlockedBitTestAndReset
#endif
#include <ntddk.h>
#ifndef __clang__
#undef InterlockedBitTestAndSet
#undef InterlockedBitTestAndReset
#endif
#endif

#include "dmarig_abi.h"

/* IRQLs that the operation table names; equal to Windows' on x64. */
#define IRQL_PASSIVE 0
#define IRQL_DISPATCH 2
#define IRQL_DEVICE 11
#define IRQL_HIGH 15

/* Accesses after it stay after it, those before it before: for the compiler and the processor. */
static inline void memory_barrier(void)
{
    __sync_synchronize();
}

/* NTSTATUS values with the sign bit are failures (warnings included). */
static inline bool status_failed(uint32_t status)
{
    return (status & 0x80000000u) != 0;
}

/* Length rounded up to the 8 bytes that data of operations and results is padded to. */
static inline uint32_t padded_length(uint32_t length_bytes)
{
    return (length_bytes + 7u) & ~7u;
}
