/* Programs as bytes: checking them before anything runs, and stepping over their operations. */
#pragma once

#include "platform.h"

/* Checks the private copy of a program. The copy is 8-byte aligned. Gives true when every operation
 * lies inside; else *error_offset is where the first mistake is. */
bool program_validate(const uint8_t *program, uint32_t length_bytes, uint32_t *error_offset);

/* The operation after `operation` in a validated program. */
const DMARIG_Operation *program_next(const DMARIG_Operation *operation);

/* The first operation of a validated program. */
const DMARIG_Operation *program_first(const uint8_t *program);
