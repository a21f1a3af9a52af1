/* CRC-32C (Castagnoli, reflected), as the device computes it. */
#pragma once

#include "platform.h"

/* CRC-32C of nothing; the start value of crc32c_update. */
#define CRC32C_START 0u

/* Continues `crc` over `length` bytes. Memory is read by single volatile loads: the device may write
 * to it meanwhile. */
uint32_t crc32c_update(uint32_t crc, const volatile uint8_t *bytes, uint64_t length);
