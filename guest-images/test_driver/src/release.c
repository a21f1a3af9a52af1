#include "driver.h"
uint32_t release_all(void){return 0;}
void release_dut(uint32_t number){(void)number;}
void ring_restart_all(struct device *device){(void)device;}
void ring_stop_all(struct device *device){(void)device;}
