/* The operation table: opcode, the highest IRQL at which the DDI behind it may be called, handler. */
#include "front.h"

static const struct operation_entry operation_table[] = {
    {DMARIG_OP_PING, IRQL_HIGH, op_ping},
    {DMARIG_OP_QUERY_DRIVER, IRQL_HIGH, op_query_driver},
    {DMARIG_OP_RELEASE_ALL, IRQL_PASSIVE, op_release_all},
    {DMARIG_OP_DELAY, IRQL_HIGH, op_delay},
    {DMARIG_OP_FETCH_STORED, IRQL_HIGH, op_fetch_stored},
    {DMARIG_OP_FORGET, IRQL_HIGH, op_forget},
    {DMARIG_OP_ADAPTER_OPEN, IRQL_PASSIVE, op_adapter_open},
    {DMARIG_OP_ADAPTER_PUT, IRQL_DISPATCH, op_adapter_put},
    {DMARIG_OP_ADAPTER_ALIGNMENT, IRQL_PASSIVE, op_adapter_alignment},
    {DMARIG_OP_ADAPTER_INFO, IRQL_DISPATCH, op_adapter_info},
    {DMARIG_OP_DOMAIN_GET, IRQL_PASSIVE, op_domain_get},
    {DMARIG_OP_DOMAIN_JOIN, IRQL_PASSIVE, op_domain_join},
    {DMARIG_OP_DOMAIN_LEAVE, IRQL_PASSIVE, op_domain_leave},
    {DMARIG_OP_FLUSH_DMA_BUFFER, IRQL_DISPATCH, op_flush_dma_buffer},
    {DMARIG_OP_BUFFER_ALLOCATE, IRQL_PASSIVE, op_buffer_allocate},
    {DMARIG_OP_BUFFER_ALLOCATE_EX, IRQL_PASSIVE, op_buffer_allocate_ex},
    {DMARIG_OP_BUFFER_ALLOCATE_WITH_BOUNDS, IRQL_PASSIVE, op_buffer_allocate_with_bounds},
    {DMARIG_OP_BUFFER_CREATE_FROM_MDL, IRQL_PASSIVE, op_buffer_create_from_mdl},
    {DMARIG_OP_BUFFER_FREE, IRQL_PASSIVE, op_buffer_free},
    {DMARIG_OP_BUFFER_ALLOCATE_DOMAIN, IRQL_PASSIVE, op_buffer_allocate_domain},
    {DMARIG_OP_VECTOR_ALLOCATE, IRQL_PASSIVE, op_vector_allocate},
    {DMARIG_OP_VECTOR_GET, IRQL_PASSIVE, op_vector_get},
    {DMARIG_OP_VECTOR_FREE_ELEMENT, IRQL_PASSIVE, op_vector_free_element},
    {DMARIG_OP_VECTOR_FREE, IRQL_PASSIVE, op_vector_free},
    {DMARIG_OP_MEMORY_ALLOCATE, IRQL_DISPATCH, op_memory_allocate},
    {DMARIG_OP_MEMORY_FREE, IRQL_DISPATCH, op_memory_free},
    {DMARIG_OP_MDL_ALLOCATE, IRQL_DISPATCH, op_mdl_allocate},
    {DMARIG_OP_MDL_FREE, IRQL_DISPATCH, op_mdl_free},
    {DMARIG_OP_MDL_BUILD_NONPAGED, IRQL_DISPATCH, op_mdl_build_nonpaged},
    {DMARIG_OP_MDL_PROBE_AND_LOCK, IRQL_DISPATCH, op_mdl_probe_and_lock},
    {DMARIG_OP_MDL_UNLOCK, IRQL_DISPATCH, op_mdl_unlock},
    {DMARIG_OP_MDL_MAP, IRQL_DISPATCH, op_mdl_map},
    {DMARIG_OP_MDL_UNMAP, IRQL_DISPATCH, op_mdl_unmap},
    {DMARIG_OP_MDL_ALLOCATE_PAGES, IRQL_DISPATCH, op_mdl_allocate_pages},
    {DMARIG_OP_MDL_FREE_PAGES, IRQL_DISPATCH, op_mdl_free_pages},
    {DMARIG_OP_MDL_CHAIN, IRQL_DISPATCH, op_mdl_chain},
    {DMARIG_OP_MDL_QUERY, IRQL_HIGH, op_mdl_query},
    {DMARIG_OP_MDL_BUILD_PARTIAL, IRQL_DISPATCH, op_mdl_build_partial},
    {DMARIG_OP_TRANSFER_CONTEXT_INITIALIZE, IRQL_DISPATCH, op_transfer_context_initialize},
    {DMARIG_OP_TRANSFER_CONTEXT_RAW, IRQL_DISPATCH, op_transfer_context_raw},
    {DMARIG_OP_TRANSFER_INFO, IRQL_DISPATCH, op_transfer_info},
    {DMARIG_OP_LIST_CALCULATE, IRQL_DISPATCH, op_list_calculate},
    {DMARIG_OP_LIST_GET, IRQL_DISPATCH, op_list_get},
    {DMARIG_OP_LIST_BUILD, IRQL_DISPATCH, op_list_build},
    {DMARIG_OP_LIST_GET_EX, IRQL_DISPATCH, op_list_get_ex},
    {DMARIG_OP_LIST_BUILD_EX, IRQL_DISPATCH, op_list_build_ex},
    {DMARIG_OP_LIST_PUT, IRQL_DISPATCH, op_list_put},
    {DMARIG_OP_REQUEST_QUERY, IRQL_DISPATCH, op_request_query},
    {DMARIG_OP_LIST_MDL, IRQL_DISPATCH, op_list_mdl},
    {DMARIG_OP_CHANNEL_ALLOCATE, IRQL_DISPATCH, op_channel_allocate},
    {DMARIG_OP_CHANNEL_ALLOCATE_EX, IRQL_DISPATCH, op_channel_allocate_ex},
    {DMARIG_OP_CHANNEL_FREE, IRQL_DISPATCH, op_channel_free},
    {DMARIG_OP_CHANNEL_FREE_REGISTERS, IRQL_DISPATCH, op_channel_free_registers},
    {DMARIG_OP_ADAPTER_OBJECT_FREE, IRQL_DISPATCH, op_adapter_object_free},
    {DMARIG_OP_CHANNEL_CANCEL, IRQL_DISPATCH, op_channel_cancel},
    {DMARIG_OP_TRANSFER_CANCEL, IRQL_DISPATCH, op_transfer_cancel},
    {DMARIG_OP_TRANSFER_MAP, IRQL_DISPATCH, op_transfer_map},
    {DMARIG_OP_TRANSFER_MAP_EX, IRQL_DISPATCH, op_transfer_map_ex},
    {DMARIG_OP_TRANSFER_FLUSH, IRQL_DISPATCH, op_transfer_flush},
    {DMARIG_OP_TRANSFER_FLUSH_EX, IRQL_DISPATCH, op_transfer_flush_ex},
    {DMARIG_OP_CPU_FILL, IRQL_HIGH, op_cpu_fill},
    {DMARIG_OP_CPU_CHECK, IRQL_HIGH, op_cpu_check},
    {DMARIG_OP_CPU_READ, IRQL_HIGH, op_cpu_read},
    {DMARIG_OP_CPU_WRITE, IRQL_HIGH, op_cpu_write},
    {DMARIG_OP_CPU_TOUCH, IRQL_HIGH, op_cpu_touch},
    {DMARIG_OP_DEVICE_TRANSFER, IRQL_DISPATCH, op_device_transfer},
    {DMARIG_OP_DEVICE_READ_REGISTER, IRQL_HIGH, op_device_read_register},
    {DMARIG_OP_DEVICE_WRITE_REGISTER, IRQL_HIGH, op_device_write_register},
    {DMARIG_OP_RING_OPEN, IRQL_PASSIVE, op_ring_open},
    {DMARIG_OP_RING_CLOSE, IRQL_PASSIVE, op_ring_close},
    {DMARIG_OP_INTERRUPT_STATE, IRQL_HIGH, op_interrupt_state},
};

const struct operation_entry *operation_find(uint16_t opcode)
{
    for (size_t i = 0; i < sizeof(operation_table) / sizeof(operation_table[0]); i++) {
        if (operation_table[i].opcode == opcode) {
            return &operation_table[i];
        }
    }
    return front_operation_find(opcode);
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
