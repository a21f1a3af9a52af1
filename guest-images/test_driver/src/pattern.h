/* The test pattern that CPU and device both make: see device/dmarig_abi/src/pattern.rs. */
#pragma once

#include "platform.h"

/* No difference was found. */
#define PATTERN_NO_MISMATCH UINT64_MAX

/* What a comparison found. */
struct pattern_check {
    uint32_t crc32c;          /* of the bytes read */
    uint64_t mismatch_offset; /* of the first difference, or PATTERN_NO_MISMATCH */
    uint8_t expected;
    uint8_t seen;
};

/* The 8 pattern bytes at position 8 * index, as a little-endian word. */
uint64_t pattern_word(uint64_t seed, uint64_t index);

/* Writes the pattern from position 0 and gives its CRC-32C. */
uint32_t pattern_fill(uint64_t seed, volatile uint8_t *bytes, uint64_t length);

/* Reads each byte once and compares with the pattern from position 0. */
struct pattern_check pattern_compare(uint64_t seed, const volatile uint8_t *bytes, uint64_t length);
