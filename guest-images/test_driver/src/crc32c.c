/* CRC-32C with one table of 16 remainders, which the compiler computes from the polynomial. */
#include "crc32c.h"

/* The polynomial 0x1EDC6F41, bits reversed. */
#define POLYNOMIAL 0x82f63b78u

#define STEP(c) (((c) >> 1) ^ (((c) & 1u) ? POLYNOMIAL : 0u))
#define NIBBLE(n) STEP(STEP(STEP(STEP((uint32_t)(n)))))

/* Remainders of the 16 nibbles: small enough to write down, two look-ups a byte. */
static const uint32_t nibble_remainders[16] = {
    NIBBLE(0),  NIBBLE(1),  NIBBLE(2),  NIBBLE(3), NIBBLE(4),  NIBBLE(5),  NIBBLE(6),  NIBBLE(7),
    NIBBLE(8),  NIBBLE(9),  NIBBLE(10), NIBBLE(11), NIBBLE(12), NIBBLE(13), NIBBLE(14), NIBBLE(15),
};

uint32_t crc32c_update(uint32_t crc, const volatile uint8_t *bytes, uint64_t length)
{
    crc = ~crc;
    for (uint64_t i = 0; i < length; i++) {
        crc ^= bytes[i];
        crc = (crc >> 4) ^ nibble_remainders[crc & 15u];
        crc = (crc >> 4) ^ nibble_remainders[crc & 15u];
    }
    return ~crc;
}
