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
    {DMARIG_OP_KMDF_DEFERRED_CREATE, IRQL_PASSIVE, op_kmdf_deferred_create},
    {DMARIG_OP_KMDF_DEFERRED_START, IRQL_DISPATCH, op_kmdf_deferred_start},
    {DMARIG_OP_KMDF_DEFERRED_STOP, IRQL_PASSIVE, op_kmdf_deferred_stop},
    {DMARIG_OP_KMDF_LOCK_CREATE, IRQL_DISPATCH, op_kmdf_lock_create},
    {DMARIG_OP_KMDF_SPIN_LOCK_TRY, IRQL_DISPATCH, op_kmdf_spin_lock_try},
    {DMARIG_OP_KMDF_WAIT_LOCK_ACQUIRE, IRQL_PASSIVE, op_kmdf_wait_lock_acquire},
    {DMARIG_OP_KMDF_WAIT_LOCK_RELEASE, IRQL_PASSIVE, op_kmdf_wait_lock_release},
    {DMARIG_OP_KMDF_OBJECT_LOCK_TRY, IRQL_DISPATCH, op_kmdf_object_lock_try},
    {DMARIG_OP_KMDF_QUEUE_CREATE, IRQL_PASSIVE, op_kmdf_queue_create},
    {DMARIG_OP_KMDF_QUEUE_CONTROL, IRQL_DISPATCH, op_kmdf_queue_control},
    {DMARIG_OP_KMDF_REQUEST_SEND, IRQL_PASSIVE, op_kmdf_request_send},
    {DMARIG_OP_KMDF_REQUEST_WAIT, IRQL_PASSIVE, op_kmdf_request_wait},
    {DMARIG_OP_KMDF_REQUEST_CANCEL, IRQL_DISPATCH, op_kmdf_request_cancel},
    {DMARIG_OP_KMDF_REQUEST_TAKE, IRQL_DISPATCH, op_kmdf_request_take},
    {DMARIG_OP_KMDF_REQUEST_QUERY, IRQL_DISPATCH, op_kmdf_request_query},
    {DMARIG_OP_KMDF_REQUEST_COMPLETE, IRQL_DISPATCH, op_kmdf_request_complete},
    {DMARIG_OP_KMDF_REQUEST_FORWARD, IRQL_DISPATCH, op_kmdf_request_forward},
    {DMARIG_OP_KMDF_REQUEST_CANCELABLE, IRQL_DISPATCH, op_kmdf_request_cancelable},
    {DMARIG_OP_KMDF_TRANSACTION_CREATE, IRQL_DISPATCH, op_kmdf_transaction_create},
    {DMARIG_OP_KMDF_TRANSACTION_INITIALIZE, IRQL_DISPATCH, op_kmdf_transaction_initialize},
    {DMARIG_OP_KMDF_TRANSACTION_EXECUTE, IRQL_DISPATCH, op_kmdf_transaction_execute},
    {DMARIG_OP_KMDF_TRANSACTION_ELEMENTS, IRQL_DISPATCH, op_kmdf_transaction_elements},
    {DMARIG_OP_KMDF_TRANSACTION_COMPLETED, IRQL_DISPATCH, op_kmdf_transaction_completed},
    {DMARIG_OP_KMDF_TRANSACTION_RELEASE, IRQL_DISPATCH, op_kmdf_transaction_release},
    {DMARIG_OP_KMDF_TRANSACTION_SET_MAXIMUM_LENGTH, IRQL_DISPATCH,
     op_kmdf_transaction_set_maximum_length},
    {DMARIG_OP_KMDF_RESOURCES, IRQL_HIGH, op_kmdf_resources},
    {DMARIG_OP_KMDF_REGISTRY, IRQL_PASSIVE, op_kmdf_registry},
    {DMARIG_OP_KMDF_INTERFACE, IRQL_PASSIVE, op_kmdf_interface},
    {DMARIG_OP_KMDF_BUS_DATA, IRQL_PASSIVE, op_kmdf_bus_data},
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
