/* The rows of the operation table that only this front has; IRQLs as in ../operations.c. */
#include "kmdf.h"

static const struct operation_entry operation_table[] = {
    {DMARIG_OP_KMDF_ENABLER_CREATE, IRQL_PASSIVE, op_kmdf_enabler_create},
    {DMARIG_OP_KMDF_ENABLER_QUERY, IRQL_DISPATCH, op_kmdf_enabler_query},
    {DMARIG_OP_KMDF_ENABLER_SET_MAXIMUM_ELEMENTS, IRQL_DISPATCH,
     op_kmdf_enabler_set_maximum_elements},
    {DMARIG_OP_KMDF_ENABLER_ADAPTER, IRQL_DISPATCH, op_kmdf_enabler_adapter},
    {DMARIG_OP_KMDF_COMMON_BUFFER_CREATE, IRQL_PASSIVE, op_kmdf_common_buffer_create},
    {DMARIG_OP_KMDF_COMMON_BUFFER_CREATE_WITH_CONFIG, IRQL_PASSIVE,
     op_kmdf_common_buffer_create_with_config},
    {DMARIG_OP_KMDF_COMMON_BUFFER_QUERY, IRQL_DISPATCH, op_kmdf_common_buffer_query},
    {DMARIG_OP_KMDF_SET_ALIGNMENT, IRQL_PASSIVE, op_kmdf_set_alignment},
    {DMARIG_OP_KMDF_GET_ALIGNMENT, IRQL_DISPATCH, op_kmdf_get_alignment},
    {DMARIG_OP_KMDF_OBJECT_CREATE, IRQL_DISPATCH, op_kmdf_object_create},
    {DMARIG_OP_KMDF_OBJECT_DELETE, IRQL_PASSIVE, op_kmdf_object_delete},
    {DMARIG_OP_KMDF_CONTEXT_ALLOCATE, IRQL_DISPATCH, op_kmdf_context_allocate},
    {DMARIG_OP_KMDF_CONTEXT_READ, IRQL_DISPATCH, op_kmdf_context_read},
    {DMARIG_OP_KMDF_CONTEXT_WRITE, IRQL_DISPATCH, op_kmdf_context_write},
    {DMARIG_OP_KMDF_OBJECT_REFERENCE, IRQL_DISPATCH, op_kmdf_object_reference},
    {DMARIG_OP_KMDF_OBJECT_DEREFERENCE, IRQL_PASSIVE, op_kmdf_object_dereference},
    {DMARIG_OP_KMDF_LOG_READ, IRQL_HIGH, op_kmdf_log_read},
    {DMARIG_OP_KMDF_LOG_CLEAR, IRQL_HIGH, op_kmdf_log_clear},
    {DMARIG_OP_KMDF_BINDING, IRQL_HIGH, op_kmdf_binding},
};

const struct operation_entry *front_operation_find(uint16_t opcode)
{
    for (size_t i = 0; i < sizeof(operation_table) / sizeof(operation_table[0]); i++) {
        if (operation_table[i].opcode == opcode) {
            return &operation_table[i];
        }
    }
    return NULL;
}
