/* The operation table: opcode, the highest IRQL at which the DDI behind it may be called, handler. */
#include "operations.h"

static const struct operation_entry operation_table[] = {
    {DMARIG_OP_PING, IRQL_HIGH, op_ping},
    {DMARIG_OP_QUERY_DRIVER, IRQL_HIGH, op_query_driver},
    {DMARIG_OP_RELEASE_ALL, IRQL_PASSIVE, op_release_all},
    {DMARIG_OP_DELAY, IRQL_HIGH, op_delay},
    {DMARIG_OP_FETCH_STORED, IRQL_HIGH, op_fetch_stored},
};

const struct operation_entry *operation_find(uint16_t opcode)
{
    for (size_t i = 0; i < sizeof(operation_table) / sizeof(operation_table[0]); i++) {
        if (operation_table[i].opcode == opcode) {
            return &operation_table[i];
        }
    }
    return NULL;
}

struct device *dut_present(uint32_t number)
{
    return number < MAX_DUTS ? g_driver.duts[number] : NULL;
}

struct device *dut_started(uint32_t number)
{
    struct device *device = dut_present(number);
    return device != NULL && device->hardware && device->in_d0 ? device : NULL;
}
