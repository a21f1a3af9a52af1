/* Validation of programs. Bytes come from a shared window: the caller has copied them first. */
#include "program.h"

static bool header_is_valid(const DMARIG_ProgramHeader *header, uint32_t length_bytes,
                            uint32_t *error_offset)
{
    if (header->magic != DMARIG_PROGRAM_MAGIC) {
        *error_offset = offsetof(DMARIG_ProgramHeader, magic);
    } else if (header->version != DMARIG_MAILBOX_VERSION) {
        *error_offset = offsetof(DMARIG_ProgramHeader, version);
    } else if (header->context >= DMARIG_CONTEXT_COUNT) {
        *error_offset = offsetof(DMARIG_ProgramHeader, context);
    } else if (header->n_operations > DMARIG_PROGRAM_MAX_OPERATIONS) {
        *error_offset = offsetof(DMARIG_ProgramHeader, n_operations);
    } else if (header->total_length_bytes != length_bytes) {
        *error_offset = offsetof(DMARIG_ProgramHeader, total_length_bytes);
    } else {
        return true;
    }
    return false;
}

bool program_validate(const uint8_t *program, uint32_t length_bytes, uint32_t *error_offset)
{
    *error_offset = 0;
    if (length_bytes < sizeof(DMARIG_ProgramHeader) ||
        length_bytes > DMARIG_PROGRAM_MAX_SIZE_BYTES) {
        return false;
    }
    const DMARIG_ProgramHeader *header = (const DMARIG_ProgramHeader *)program;
    if (!header_is_valid(header, length_bytes, error_offset)) {
        return false;
    }
    uint32_t offset = sizeof(DMARIG_ProgramHeader);
    for (uint32_t i = 0; i < header->n_operations; i++) {
        *error_offset = offset;
        uint32_t room = length_bytes - offset;
        if (room < sizeof(DMARIG_Operation)) {
            return false;
        }
        room -= sizeof(DMARIG_Operation);
        const DMARIG_Operation *operation = (const DMARIG_Operation *)(program + offset);
        /* Unpadded first: the sum of padding must not wrap. */
        if (operation->data_length_bytes > room ||
            padded_length(operation->data_length_bytes) > room) {
            return false;
        }
        offset += sizeof(DMARIG_Operation) + padded_length(operation->data_length_bytes);
    }
    *error_offset = offset;
    return offset == length_bytes;
}

const DMARIG_Operation *program_next(const DMARIG_Operation *operation)
{
    const uint8_t *end = (const uint8_t *)(operation + 1);
    return (const DMARIG_Operation *)(end + padded_length(operation->data_length_bytes));
}

const DMARIG_Operation *program_first(const uint8_t *program)
{
    return (const DMARIG_Operation *)(program + sizeof(DMARIG_ProgramHeader));
}
