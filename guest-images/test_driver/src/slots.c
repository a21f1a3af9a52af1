/* The slot table as an array with a list through it. */
#include "slots.h"

/* As an unsigned 32-bit number, which slot numbers are. */
#define NONE ((uint32_t)DMARIG_SLOT_NONE)

static uint32_t index_of(const struct slot_table *table, const struct slot *slot)
{
    return (uint32_t)(slot - table->slots);
}

static struct slot *at(struct slot_table *table, uint32_t index)
{
    return index == NONE ? NULL : &table->slots[index];
}

void slot_table_initialize(struct slot_table *table, void *storage)
{
    table->slots = storage;
    table->newest = NONE;
    table->count = 0;
    table->last_generation = 0;
}

bool slot_is_free(const struct slot_table *table, uint32_t index)
{
    return index < DMARIG_SLOT_COUNT && table->slots[index].kind == SLOT_EMPTY;
}

struct slot *slot_take(struct slot_table *table, uint32_t index, enum slot_kind kind)
{
    struct slot *slot = &table->slots[index];
    memset(slot, 0, sizeof(*slot));
    slot->kind = kind;
    slot->generation = ++table->last_generation;
    slot->older = table->newest;
    slot->newer = NONE;
    if (table->newest != NONE) {
        table->slots[table->newest].newer = index;
    }
    table->newest = index;
    table->count++;
    return slot;
}

struct slot *slot_find(struct slot_table *table, uint32_t index, enum slot_kind kind)
{
    if (index >= DMARIG_SLOT_COUNT || table->slots[index].kind != kind) {
        return NULL;
    }
    return &table->slots[index];
}

void slot_drop(struct slot_table *table, struct slot *slot)
{
    struct slot *older = at(table, slot->older);
    struct slot *newer = at(table, slot->newer);
    if (older != NULL) {
        older->newer = slot->newer;
    }
    if (newer != NULL) {
        newer->older = slot->older;
    } else {
        table->newest = slot->older;
    }
    memset(slot, 0, sizeof(*slot));
    table->count--;
}

struct slot_reference slot_reference_to(const struct slot_table *table, const struct slot *slot)
{
    return (struct slot_reference){index_of(table, slot), slot->generation};
}

struct slot *slot_resolve(struct slot_table *table, struct slot_reference reference,
                          enum slot_kind kind)
{
    struct slot *slot = slot_find(table, reference.index, kind);
    return slot != NULL && slot->generation == reference.generation ? slot : NULL;
}

struct slot *slot_newest(struct slot_table *table)
{
    return at(table, table->newest);
}

struct slot *slot_older(struct slot_table *table, const struct slot *slot)
{
    return at(table, slot->older);
}

struct slot *slot_newer(struct slot_table *table, const struct slot *slot)
{
    return at(table, slot->newer);
}
