/*
 * The portable files as a program of the host, for the tests of xtask:
 *
 *   crc32c                        CRC-32C of stdin, in hex
 *   pattern SEED LENGTH           the pattern's bytes
 *   compare SEED                  what pattern_compare finds in stdin
 *   interpret IRQL CAPACITY STEPS runs the program on stdin, writes the response; the run must end
 *                                 after STEPS operations
 *   fuzz SEED COUNT               runs COUNT random programs, writes how many were well-formed
 *   slots SEED COUNT              COUNT random steps of the slot table against a naive model
 *   recovery OUTCOME STATUS N     what recovery_after says after attempt N
 *
 * Buffers have exactly the size that is said, so that a sanitizer sees one byte too many.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "../src/crc32c.h"
#include "../src/interpreter.h"
#include "../src/pattern.h"
#include "../src/program.h"
#include "../src/recovery.h"
#include "../src/slots.h"

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

/* Longest input. */
#define INPUT_MAX 0x10000u

static uint64_t random_state;

static uint64_t next_random(void)
{
    return pattern_word(random_state++, 0);
}

static void *allocate(size_t length)
{
    void *memory = malloc(length != 0 ? length : 1);
    CHECK(memory != NULL);
    return memory;
}

static uint8_t *read_input(uint32_t *length)
{
    uint8_t *buffer = allocate(INPUT_MAX);
    *length = (uint32_t)fread(buffer, 1, INPUT_MAX, stdin);
    uint8_t *exact = allocate(*length);
    memcpy(exact, buffer, *length);
    free(buffer);
    return exact;
}

/* Stand-ins for operations: echo, data of arg[1] bytes, status of arg[0], passive only. */
static uint16_t ping(struct operation_call *call)
{
    call->result->value[0] = call->operation->arg[0];
    return DMARIG_OUTCOME_DONE;
}

static uint16_t reply(struct operation_call *call)
{
    uint64_t length = call->operation->arg[1];
    if (length > UINT32_MAX) {
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
    uint8_t *data = operation_reply(call, (uint32_t)length);
    if (data != NULL) {
        memset(data, 0xa5, (size_t)length);
    }
    return DMARIG_OUTCOME_DONE;
}

static uint16_t status(struct operation_call *call)
{
    call->result->status = (uint32_t)call->operation->arg[0];
    return (uint16_t)call->operation->arg[1];
}

/* Reads its data to the end, as handlers may. */
static uint16_t checksum(struct operation_call *call)
{
    uint32_t length = call->operation->data_length_bytes;
    call->result->value[0] = crc32c_update(CRC32C_START, call->data, length);
    return DMARIG_OUTCOME_DONE;
}

static const struct operation_entry table[] = {
    {DMARIG_OP_PING, IRQL_HIGH, ping},
    {DMARIG_OP_CPU_READ, IRQL_HIGH, reply},
    {DMARIG_OP_CPU_WRITE, IRQL_HIGH, checksum},
    {DMARIG_OP_MEMORY_FREE, IRQL_DISPATCH, status},
    {DMARIG_OP_BUFFER_FREE, IRQL_PASSIVE, status},
};

static const struct operation_entry *find(uint16_t opcode)
{
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (table[i].opcode == opcode) {
            return &table[i];
        }
    }
    return NULL;
}

static uint64_t steps_left;

static bool must_end(const struct run_environment *environment)
{
    (void)environment;
    return steps_left-- == 0;
}

static uint32_t run(const uint8_t *program, uint32_t length, uint8_t *response, uint32_t capacity,
                    uint8_t irql, uint64_t steps)
{
    struct run_environment environment = {.irql = irql, .find = find, .must_end = must_end};
    steps_left = steps;
    uint32_t used = interpreter_run(program, length, response, capacity, &environment);
    CHECK(used <= capacity);
    const DMARIG_ResponseHeader *header = (const DMARIG_ResponseHeader *)response;
    CHECK(header->total_length_bytes == used);
    return used;
}

static void interpret(uint8_t irql, uint32_t capacity, uint64_t steps)
{
    uint32_t length;
    uint8_t *program = read_input(&length);
    uint8_t *response = allocate(capacity);
    uint32_t used = run(program, length, response, capacity, irql, steps);
    fwrite(response, 1, used, stdout);
    free(program);
    free(response);
}

/* Random bytes, with more and more of the fields made right by the bits of `care`. */
static uint32_t random_program(uint8_t *program, uint32_t length, uint64_t care)
{
    for (uint32_t i = 0; i < length; i++) {
        program[i] = (uint8_t)next_random();
    }
    if (length < sizeof(DMARIG_ProgramHeader) || (care & 1) == 0) {
        return length;
    }
    DMARIG_ProgramHeader *header = (DMARIG_ProgramHeader *)program;
    header->magic = DMARIG_PROGRAM_MAGIC;
    header->version = DMARIG_MAILBOX_VERSION;
    header->context %= DMARIG_CONTEXT_COUNT;
    header->n_operations = 0;
    uint32_t offset = sizeof(*header);
    while (length - offset >= sizeof(DMARIG_Operation) && header->n_operations < 256) {
        DMARIG_Operation *operation = (DMARIG_Operation *)(program + offset);
        uint32_t room = length - offset - (uint32_t)sizeof(*operation);
        operation->data_length_bytes = (uint32_t)(next_random() % 40);
        if (operation->data_length_bytes > room || (care & 6) == 6) {
            operation->data_length_bytes = (uint32_t)(next_random() >> (next_random() % 64));
        }
        uint64_t choice = next_random() % 8;
        operation->opcode = choice < 5    ? table[choice].opcode
                            : choice == 5 ? DMARIG_OP_LOOP
                                          : (uint16_t)next_random();
        operation->flags = (uint16_t)(next_random() & 1);
        operation->arg[0] = next_random() >> (next_random() % 64);
        operation->arg[1] = next_random() >> (next_random() % 64);
        header->n_operations++;
        if (padded_length(operation->data_length_bytes) > room) {
            break;
        }
        offset += (uint32_t)sizeof(*operation) + padded_length(operation->data_length_bytes);
    }
    header->total_length_bytes = (care & 8) != 0 ? length : offset;
    return header->total_length_bytes;
}

static void fuzz(uint64_t count)
{
    uint64_t well_formed = 0;
    for (uint64_t i = 0; i < count; i++) {
        uint32_t length = (uint32_t)(next_random() % 1200);
        uint32_t capacity = 24 + (uint32_t)(next_random() % 3000);
        uint8_t *scratch = allocate(length);
        uint32_t used = random_program(scratch, length, next_random());
        uint8_t *program = allocate(used);
        memcpy(program, scratch, used);
        uint8_t *response = allocate(capacity);
        (void)run(program, used, response, capacity, (uint8_t)(next_random() % 16), 5000);
        well_formed +=
            ((const DMARIG_ResponseHeader *)response)->outcome != DMARIG_RESPONSE_MALFORMED;
        free(scratch);
        free(program);
        free(response);
    }
    printf("%" PRIu64 "\n", well_formed);
}

/* The model: objects in the order of creation. */
#define MODEL_MAX 64
struct model_object {
    uint32_t index;
    enum slot_kind kind;
    struct slot_reference reference;
};
static struct model_object model[MODEL_MAX];
static uint32_t model_count;

static uint32_t model_position(uint32_t index)
{
    uint32_t position = 0;
    while (position < model_count && model[position].index != index) {
        position++;
    }
    return position;
}

static void compare_with_model(struct slot_table *slots)
{
    CHECK(slots->count == model_count);
    struct slot *slot = slot_newest(slots);
    for (uint32_t i = model_count; i > 0; i--) {
        const struct model_object *object = &model[i - 1];
        CHECK(slot != NULL && slot == &slots->slots[object->index]);
        CHECK(slot->kind == object->kind);
        CHECK(slot_resolve(slots, object->reference, object->kind) == slot);
        struct slot *older = slot_older(slots, slot);
        CHECK(older == NULL || slot_newer(slots, older) == slot);
        slot = older;
    }
    CHECK(slot == NULL);
}

static void slot_step(struct slot_table *slots)
{
    static struct slot_reference gone;
    uint32_t index = (uint32_t)(next_random() % 100);
    index = index < 90 ? index : DMARIG_SLOT_COUNT - 1 + index % 4;
    enum slot_kind kind = (enum slot_kind)(1 + next_random() % 6);
    uint32_t position = model_position(index);
    bool taken = position < model_count;
    CHECK(slot_is_free(slots, index) == (!taken && index < DMARIG_SLOT_COUNT));
    CHECK((slot_find(slots, index, kind) != NULL) == (taken && model[position].kind == kind));
    if (taken) {
        gone = model[position].reference;
        slot_drop(slots, &slots->slots[index]);
        memmove(&model[position], &model[position + 1],
                (model_count - position - 1) * sizeof(model[0]));
        model_count--;
        for (int any = SLOT_ADAPTER; any <= SLOT_RING; any++) {
            CHECK(slot_resolve(slots, gone, (enum slot_kind)any) == NULL);
        }
    } else if (index < DMARIG_SLOT_COUNT && model_count < MODEL_MAX) {
        struct slot *slot = slot_take(slots, index, kind);
        model[model_count++] =
            (struct model_object){index, kind, slot_reference_to(slots, slot)};
        CHECK(slot_resolve(slots, gone, kind) == NULL);
    }
    compare_with_model(slots);
}

static void slots_test(uint64_t count)
{
    struct slot_table slots;
    void *storage = calloc(1, SLOT_TABLE_BYTES);
    CHECK(storage != NULL);
    slot_table_initialize(&slots, storage);
    compare_with_model(&slots);
    while (count-- > 0) {
        slot_step(&slots);
    }
    free(storage);
}

static void pattern(uint64_t seed, uint32_t length)
{
    uint8_t *bytes = allocate(length);
    uint32_t crc = pattern_fill(seed, bytes, length);
    CHECK(crc == crc32c_update(CRC32C_START, bytes, length));
    fwrite(bytes, 1, length, stdout);
    free(bytes);
}

static void compare(uint64_t seed)
{
    uint32_t length;
    uint8_t *bytes = read_input(&length);
    struct pattern_check check = pattern_compare(seed, bytes, length);
    printf("%08" PRIx32 " %" PRIx64 " %02x %02x\n", check.crc32c, check.mismatch_offset,
           check.expected, check.seen);
    free(bytes);
}

int main(int argc, char **argv)
{
    uint64_t number[3] = {0, 0, 0};
    for (int i = 2; i < argc && i < 5; i++) {
        number[i - 2] = strtoull(argv[i], NULL, 0);
    }
    CHECK(argc >= 2);
    random_state = number[0];
    if (strcmp(argv[1], "crc32c") == 0) {
        uint32_t length;
        uint8_t *bytes = read_input(&length);
        printf("%08" PRIx32 "\n", crc32c_update(CRC32C_START, bytes, length));
        free(bytes);
    } else if (strcmp(argv[1], "pattern") == 0) {
        pattern(number[0], (uint32_t)number[1]);
    } else if (strcmp(argv[1], "compare") == 0) {
        compare(number[0]);
    } else if (strcmp(argv[1], "interpret") == 0) {
        interpret((uint8_t)number[0], (uint32_t)number[1], number[2]);
    } else if (strcmp(argv[1], "fuzz") == 0) {
        fuzz(number[1]);
    } else if (strcmp(argv[1], "slots") == 0) {
        slots_test(number[1]);
    } else if (strcmp(argv[1], "recovery") == 0) {
        printf("%d\n", (int)recovery_after((uint16_t)number[0], (uint32_t)number[1],
                                           (uint32_t)number[2]));
    } else {
        CHECK(!"a known command");
    }
    return 0;
}
