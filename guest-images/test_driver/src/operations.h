/* Handlers of all operations, by file; the table is in operations.c. */
#pragma once

#include "driver.h"

/* The started device under test of that number, or NULL. */
struct device *dut_started(uint32_t number);
/* Also one that only AddDevice has seen. */
struct device *dut_present(uint32_t number);

/* ops_driver.c */
uint16_t op_ping(struct operation_call *call);
uint16_t op_query_driver(struct operation_call *call);
uint16_t op_release_all(struct operation_call *call);
uint16_t op_delay(struct operation_call *call);
uint16_t op_fetch_stored(struct operation_call *call);
