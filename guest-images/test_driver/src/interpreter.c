/* Runs programs; nothing here calls Windows. */
#include "interpreter.h"

#include "program.h"

/* Most turns of a loop. */
#define LOOP_MAX_TURNS 1000000u

/* A run under way. */
struct run {
    const struct run_environment *environment;
    const DMARIG_Operation *next;
    uint32_t remaining; /* operations from `next` on */
    uint8_t *response;
    uint32_t capacity;
    uint32_t used;
    uint32_t n_results;
    bool skipping; /* an operation that ends the program has failed */
    bool full;     /* a result did not fit */
    bool ended;    /* must_end said so */
};

uint8_t *operation_reply(struct operation_call *call, uint32_t length)
{
    if (length > call->reply_capacity || padded_length(length) > call->reply_capacity) {
        call->reply_overflow = true;
        return NULL;
    }
    memset(call->reply, 0, padded_length(length));
    call->result->data_length_bytes = length;
    return call->reply;
}

uint32_t interpreter_respond(uint8_t *response, uint16_t outcome, uint32_t error_offset,
                             uint8_t irql)
{
    DMARIG_ResponseHeader *header = (DMARIG_ResponseHeader *)response;
    header->magic = DMARIG_RESPONSE_MAGIC;
    header->version = DMARIG_MAILBOX_VERSION;
    header->outcome = outcome;
    header->n_results = 0;
    header->total_length_bytes = sizeof(*header);
    header->error_offset = error_offset;
    header->irql = irql;
    return sizeof(*header);
}

static bool result_failed(const DMARIG_OperationResult *result)
{
    return result->outcome != DMARIG_OUTCOME_DONE || status_failed(result->status);
}

/* A zeroed result at the end of the response, or NULL when it does not fit. */
static DMARIG_OperationResult *new_result(struct run *run, uint16_t opcode)
{
    if (run->capacity - run->used < sizeof(DMARIG_OperationResult)) {
        run->full = true;
        return NULL;
    }
    DMARIG_OperationResult *result = (DMARIG_OperationResult *)(run->response + run->used);
    memset(result, 0, sizeof(*result));
    result->opcode = opcode;
    result->logical_address = UINT64_MAX;
    return result;
}

static void keep_result(struct run *run, const DMARIG_OperationResult *result)
{
    run->used += sizeof(*result) + padded_length(result->data_length_bytes);
    run->n_results++;
}

/* The IRQL that the operation asks for, or 0. */
static uint8_t wanted_irql(const struct run *run, const DMARIG_Operation *operation)
{
    if (run->environment->raise_irql == NULL) {
        return 0;
    }
    if ((operation->flags & DMARIG_OP_FLAG_AT_DEVICE) != 0) {
        return IRQL_DEVICE;
    }
    return (operation->flags & DMARIG_OP_FLAG_AT_DISPATCH) != 0 ? IRQL_DISPATCH : 0;
}

/* Looks the operation up and calls its handler. */
static void execute(struct run *run, const DMARIG_Operation *operation,
                    DMARIG_OperationResult *result)
{
    const struct operation_entry *entry = run->environment->find(operation->opcode);
    if (entry == NULL) {
        result->outcome = DMARIG_OUTCOME_UNKNOWN;
        return;
    }
    uint8_t wanted = wanted_irql(run, operation);
    uint8_t irql = run->environment->irql;
    if (wanted == 0 ? irql > entry->max_irql : irql > wanted) {
        result->outcome = DMARIG_OUTCOME_WRONG_IRQL;
        return;
    }
    struct operation_call call = {
        .environment = run->environment,
        .operation = operation,
        .data = (const uint8_t *)(operation + 1),
        .result = result,
        .reply = (uint8_t *)(result + 1),
        .reply_capacity = run->capacity - run->used - (uint32_t)sizeof(*result),
    };
    if (wanted == 0) {
        result->outcome = entry->handler(&call);
    } else {
        uint8_t old = run->environment->raise_irql(wanted);
        result->outcome = entry->handler(&call);
        run->environment->lower_irql(old);
    }
    run->full = call.reply_overflow;
}

static const DMARIG_Operation *take_operation(struct run *run)
{
    const DMARIG_Operation *operation = run->next;
    run->next = program_next(operation);
    run->remaining--;
    return operation;
}

/* Runs or skips the next operation, which is no loop; false when it has failed. */
static bool step(struct run *run, bool skip)
{
    const DMARIG_Operation *operation = take_operation(run);
    DMARIG_OperationResult *result = new_result(run, operation->opcode);
    if (result == NULL) {
        return false;
    }
    if (!run->ended && run->environment->must_end(run->environment)) {
        run->ended = true;
    }
    if (skip || run->ended) {
        result->outcome = DMARIG_OUTCOME_SKIPPED;
    } else if (operation->opcode == DMARIG_OP_LOOP) {
        /* Only reached inside a loop: nesting would multiply the turns. */
        result->outcome = DMARIG_OUTCOME_BAD_ARGUMENT;
    } else {
        execute(run, operation, result);
    }
    if (run->full) {
        return false;
    }
    keep_result(run, result);
    bool failed = result_failed(result);
    if (failed && (operation->flags & DMARIG_OP_FLAG_STOP_ON_FAILURE) != 0) {
        run->skipping = true;
    }
    return !failed;
}

/* One turn over the body; operations after the first failure are skipped. Gives the first result
 * that failed, or NULL. */
static const DMARIG_OperationResult *turn(struct run *run, uint32_t body, bool skip)
{
    const DMARIG_OperationResult *failure = NULL;
    for (uint32_t i = 0; i < body && !run->full; i++) {
        const uint8_t *at = run->response + run->used;
        bool succeeded = step(run, skip || failure != NULL);
        if (!succeeded && failure == NULL && !run->full) {
            failure = (const DMARIG_OperationResult *)at;
        }
    }
    return failure;
}

/* Runs the loop at `run->next`; only the results of its last turn stay. */
static void run_loop(struct run *run)
{
    const DMARIG_Operation *loop = take_operation(run);
    DMARIG_OperationResult *result = new_result(run, loop->opcode);
    if (result == NULL) {
        return;
    }
    keep_result(run, result);
    bool refused = loop->arg[0] > LOOP_MAX_TURNS || loop->arg[1] > run->remaining;
    uint32_t body = loop->arg[1] > run->remaining ? run->remaining : (uint32_t)loop->arg[1];
    if (run->skipping || refused || loop->arg[0] == 0) {
        result->outcome = run->skipping ? DMARIG_OUTCOME_SKIPPED
                          : refused     ? DMARIG_OUTCOME_BAD_ARGUMENT
                                        : DMARIG_OUTCOME_DONE;
        (void)turn(run, body, true);
    } else {
        const struct run start = *run;
        const DMARIG_OperationResult *failure = NULL;
        while (result->value[0] < loop->arg[0] && failure == NULL && !run->full) {
            run->next = start.next;
            run->remaining = start.remaining;
            run->used = start.used;
            run->n_results = start.n_results;
            result->value[0]++;
            failure = turn(run, body, false);
        }
        if (failure != NULL) {
            result->outcome = failure->outcome;
            result->status = failure->status;
        }
    }
    if (result_failed(result) && (loop->flags & DMARIG_OP_FLAG_STOP_ON_FAILURE) != 0) {
        run->skipping = true;
    }
}

uint32_t interpreter_run(const uint8_t *program, uint32_t length_bytes, uint8_t *response,
                         uint32_t capacity, const struct run_environment *environment)
{
    uint32_t error_offset;
    if (!program_validate(program, length_bytes, &error_offset)) {
        return interpreter_respond(response, DMARIG_RESPONSE_MALFORMED, error_offset,
                                   environment->irql);
    }
    struct run run = {
        .environment = environment,
        .next = program_first(program),
        .remaining = ((const DMARIG_ProgramHeader *)program)->n_operations,
        .response = response,
        .capacity = capacity & ~7u,
        .used = sizeof(DMARIG_ResponseHeader),
    };
    while (run.remaining > 0 && !run.full) {
        if (run.next->opcode == DMARIG_OP_LOOP) {
            run_loop(&run);
        } else {
            (void)step(&run, run.skipping);
        }
    }
    uint16_t outcome = run.full    ? DMARIG_RESPONSE_OVERFLOW
                       : run.ended ? DMARIG_RESPONSE_TIMEOUT
                                   : DMARIG_RESPONSE_OK;
    (void)interpreter_respond(response, outcome, 0, environment->irql);
    DMARIG_ResponseHeader *header = (DMARIG_ResponseHeader *)response;
    header->n_results = run.n_results;
    header->total_length_bytes = run.used;
    return run.used;
}
