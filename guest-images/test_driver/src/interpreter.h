/*
 * The interpreter: runs a validated program, operation by operation, and writes the response.
 *
 * It knows loops, skipping, IRQL limits and room in the response; what an operation does is in the
 * operation table, which the caller hands in.
 */
#pragma once

#include "platform.h"

struct run_environment;

/* One operation under way: what its handler reads and fills. */
struct operation_call {
    const struct run_environment *environment;
    const DMARIG_Operation *operation;
    const uint8_t *data;            /* operation->data_length_bytes bytes */
    DMARIG_OperationResult *result; /* zeroed, logical_address all ones */
    uint8_t *reply;                 /* room for the result's data */
    uint32_t reply_capacity;
    bool reply_overflow;
};

/* Does the operation and gives one of DMARIG_OUTCOME_*. */
typedef uint16_t (*operation_handler)(struct operation_call *call);

/* A row of the operation table. */
struct operation_entry {
    uint16_t opcode;
    uint8_t max_irql; /* above it the outcome is WRONG_IRQL and nothing is called */
    operation_handler handler;
};

/* Where and how long a program runs. */
struct run_environment {
    uint16_t context; /* DMARIG_CONTEXT_* */
    uint8_t irql;     /* constant during the run */
    uint64_t deadline_us;
    /* The row of an opcode, or NULL. */
    const struct operation_entry *(*find)(uint16_t opcode);
    /* True when the run must end at the next operation: out of time, or its device goes away. */
    bool (*must_end)(const struct run_environment *environment);
    /* Raises the IRQL and gives the old one; lowers it to that. NULL where there is none to raise. */
    uint8_t (*raise_irql)(uint8_t irql);
    void (*lower_irql)(uint8_t irql);
};

/* Validates and runs `program` and writes a response of at most `capacity` bytes (at least the
 * header). Both buffers are 8-byte aligned. Gives the length of the response. */
uint32_t interpreter_run(const uint8_t *program, uint32_t length_bytes, uint8_t *response,
                         uint32_t capacity, const struct run_environment *environment);

/* Writes a response without results; gives its length. */
uint32_t interpreter_respond(uint8_t *response, uint16_t outcome, uint32_t error_offset,
                             uint8_t irql);

/* Reserves `length` bytes of data in the result, or gives NULL when the response is full. */
uint8_t *operation_reply(struct operation_call *call, uint32_t length);
