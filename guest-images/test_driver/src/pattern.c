/* Pattern bytes, made and compared word by word; buffers may be unaligned and end in a part word. */
#include "pattern.h"

#include "crc32c.h"

uint64_t pattern_word(uint64_t seed, uint64_t index)
{
    uint64_t word = seed + (index + 1) * DMARIG_PATTERN_INCREMENT;
    word = (word ^ (word >> 30)) * DMARIG_PATTERN_MULTIPLIER_1;
    word = (word ^ (word >> 27)) * DMARIG_PATTERN_MULTIPLIER_2;
    return word ^ (word >> 31);
}

/* Bytes of the word at `position` that lie below `length`. */
static unsigned word_bytes(uint64_t position, uint64_t length)
{
    return length - position < 8 ? (unsigned)(length - position) : 8;
}

uint32_t pattern_fill(uint64_t seed, volatile uint8_t *bytes, uint64_t length)
{
    uint32_t crc = CRC32C_START;
    for (uint64_t position = 0; position < length; position += 8) {
        uint64_t word = pattern_word(seed, position / 8);
        unsigned count = word_bytes(position, length);
        uint8_t chunk[8];
        for (unsigned i = 0; i < count; i++) {
            chunk[i] = (uint8_t)(word >> (8 * i));
            bytes[position + i] = chunk[i];
        }
        crc = crc32c_update(crc, chunk, count);
    }
    return crc;
}

struct pattern_check pattern_compare(uint64_t seed, const volatile uint8_t *bytes, uint64_t length)
{
    struct pattern_check check = {CRC32C_START, PATTERN_NO_MISMATCH, 0, 0};
    for (uint64_t position = 0; position < length; position += 8) {
        uint64_t word = pattern_word(seed, position / 8);
        unsigned count = word_bytes(position, length);
        uint8_t chunk[8];
        for (unsigned i = 0; i < count; i++) {
            uint8_t expected = (uint8_t)(word >> (8 * i));
            chunk[i] = bytes[position + i];
            if (chunk[i] != expected && check.mismatch_offset == PATTERN_NO_MISMATCH) {
                check.mismatch_offset = position + i;
                check.expected = expected;
                check.seen = chunk[i];
            }
        }
        check.crc32c = crc32c_update(check.crc32c, chunk, count);
    }
    return check;
}
