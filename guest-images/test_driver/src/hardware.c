/* Resources and registers of both functions. */
#include "front.h"

/* The first memory range of that length, or else the first longer one: the BARs of our own functions
 * all differ in length, and another card may have more behind the registers. */
static bool find_bar(void *resources, uint64_t length, struct bar *bar)
{
    bool found = false;
    for (ULONG i = 0; i < MAX_DESCRIPTORS; i++) {
        const CM_PARTIAL_RESOURCE_DESCRIPTOR *descriptor = front_resource(resources, i);
        if (descriptor == NULL) {
            return found;
        }
        if (descriptor->Type != CmResourceTypeMemory || descriptor->u.Memory.Length < length) {
            continue;
        }
        bool is_exact = descriptor->u.Memory.Length == length;
        if (is_exact || !found) {
            bar->address = descriptor->u.Memory.Start;
            bar->length = length;
            found = true;
        }
        if (is_exact) {
            return true;
        }
    }
    return found;
}

static NTSTATUS map_bar(void *resources, uint64_t length, struct bar *bar)
{
    if (!find_bar(resources, length, bar)) {
        return STATUS_DEVICE_CONFIGURATION_ERROR;
    }
    bar->base = MmMapIoSpaceEx(bar->address, (SIZE_T)length, MAP_REGISTERS);
    return bar->base != NULL ? STATUS_SUCCESS : STATUS_INSUFFICIENT_RESOURCES;
}

static void unmap_bar(struct bar *bar)
{
    if (bar->base != NULL) {
        MmUnmapIoSpace((PVOID)bar->base, (SIZE_T)bar->length);
        bar->base = NULL;
    }
}

static void free_channels(struct dut *dut)
{
    if (dut->channel != NULL) {
        ExFreePoolWithTag(dut->channel, POOL_TAG);
        dut->channel = NULL;
    }
    dut->channels = 0;
}

void hardware_unmap(struct device *device)
{
    free_channels(&device->dut);
    if (device->dut.registers.base != NULL && sabotage_strikes(SABOTAGE_LEAK_REGISTERS)) {
        device->dut.registers.base = NULL;
    }
    unmap_bar(&device->dut.registers);
    unmap_bar(&device->control.registers);
    unmap_bar(&device->control.mailbox);
}

/* Room for what is kept of each channel. The count comes from the device, which may say anything. */
static NTSTATUS allocate_channels(struct dut *dut)
{
    uint32_t channels = read_u32(&dut->registers, DMARIG_REG_CAPABILITIES) &
                        DMARIG_CAPABILITIES_CHANNELS_MASK;
    if (channels == 0 || channels > DMARIG_DUT_MAX_CHANNELS) {
        LOG("register REG_CAPABILITIES tells of %u channels, not of 1 to %u\n", channels,
            (uint32_t)DMARIG_DUT_MAX_CHANNELS);
        return STATUS_DEVICE_CONFIGURATION_ERROR;
    }
    dut->channel = ExAllocatePool2(POOL_NON_PAGED, channels * sizeof(*dut->channel), POOL_TAG);
    if (dut->channel == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    dut->channels = channels;
    for (uint32_t channel = 0; channel < channels; channel++) {
        KeInitializeEvent(&dut->channel[channel].event, SynchronizationEvent, FALSE);
    }
    return STATUS_SUCCESS;
}

static NTSTATUS map_dut(struct device *device, void *resources)
{
    struct dut *dut = &device->dut;
    NTSTATUS status = map_bar(resources, DMARIG_DUT_REGISTER_BAR_SIZE_BYTES, &dut->registers);
    if (NT_SUCCESS(status) && read_u32(&dut->registers, DMARIG_REG_ID) != DMARIG_DUT_ID_VALUE) {
        LOG("register REG_ID does not read DMRG\n");
        status = STATUS_DEVICE_CONFIGURATION_ERROR;
    }
    if (NT_SUCCESS(status)) {
        status = allocate_channels(dut);
    }
    return status;
}

static NTSTATUS map_control(struct device *device, void *resources)
{
    struct control *control = &device->control;
    NTSTATUS status = map_bar(resources, DMARIG_MAILBOX_SIZE_BYTES, &control->mailbox);
    if (NT_SUCCESS(status)) {
        status =
            map_bar(resources, DMARIG_CONTROL_REGISTER_BAR_SIZE_BYTES, &control->registers);
    }
    if (NT_SUCCESS(status) &&
        read_u32(&control->registers, DMARIG_CONTROL_REG_ID) != DMARIG_CONTROL_ID_VALUE) {
        LOG("register CONTROL_REG_ID does not read DMRC\n");
        status = STATUS_DEVICE_CONFIGURATION_ERROR;
    }
    return status;
}

NTSTATUS hardware_map(struct device *device, void *resources)
{
    NTSTATUS status = device->role == ROLE_DUT ? map_dut(device, resources)
                                               : map_control(device, resources);
    if (!NT_SUCCESS(status)) {
        hardware_unmap(device);
    }
    return status;
}

void hardware_show(struct device *device)
{
    driver_lock();
    device->hardware = true;
    driver_unlock();
}

bool hardware_hide(struct device *device, enum pnp_state state)
{
    driver_lock_soon();
    device->state = state;
    if (device->role == ROLE_DUT) {
        if (device->hardware && device->power_state == PowerDeviceD0) {
            /* Programs of this context may have written registers by themselves. */
            quiesce_device(device);
        }
        /* Also without hardware: programs of AddDevice may have opened adapters. */
        release_dut(device->dut.number);
    }
    bool had_hardware = device->hardware;
    device->hardware = false;
    if (state == PNP_REMOVED) {
        device_delist(device);
    }
    driver_unlock();
    return had_hardware;
}

void quiesce_device(struct device *device)
{
    const struct bar *registers = &device->dut.registers;
    write_u32(registers, DMARIG_REG_CONTROL, DMARIG_CONTROL_RESET);
    /* The answer comes after the reset, and after every write that the device has sent before. */
    (void)read_u32(registers, DMARIG_REG_CONTROL);
}

/* Rings and interrupts of an engine that has been reset. */
static void set_up_engine(struct device *device)
{
    ring_restart_all(device);
    hardware_enable_interrupts(device);
}

void hardware_enable_interrupts(struct device *device)
{
    const struct dut *dut = &device->dut;
    if (device->interrupt.mode != INTERRUPT_NONE) {
        interrupt_enable(dut, interrupt_all_channels(dut));
    }
}

void hardware_disable_interrupts(struct device *device)
{
    interrupt_enable(&device->dut, 0);
}

/* A request that was given up keeps its channel busy, and its memory in use. */
static bool is_busy(const struct device *device)
{
    uint32_t busy = 0;
    for (uint32_t channel = 0; channel < device->dut.channels; channel++) {
        busy |= read_u32(&device->dut.registers, DMARIG_CHANNEL_BASE +
                                                     channel * DMARIG_CHANNEL_STRIDE +
                                                     DMARIG_CH_STATUS) &
                DMARIG_CH_STATUS_BUSY;
    }
    return busy != 0;
}

void end_given_up_requests(void)
{
    for (uint32_t number = 0; number < MAX_DUTS; number++) {
        struct device *device = dut_started(number);
        if (device != NULL && is_busy(device)) {
            quiesce_device(device);
            set_up_engine(device);
        }
    }
}

/* What a reset clears. */
#define RESET_MARK 0x52455354u
/* Resets by register before the function is reset as a whole. */
#define REGISTER_RESETS 3

enum reset { RESET_DONE, RESET_LOST, RESET_GONE };

static enum reset after_reset(const struct bar *registers)
{
    if (read_u32(registers, DMARIG_REG_ID) != DMARIG_DUT_ID_VALUE) {
        /* All ones, or not our device any more: it is gone, or still in its reset. */
        return RESET_GONE;
    }
    return read_u32(registers, DMARIG_REG_SCRATCH) == RESET_MARK ? RESET_LOST : RESET_DONE;
}

/* A write is posted: whether the device has taken it is seen by what it must have changed. */
static enum reset reset_by_register(struct device *device)
{
    const struct bar *registers = &device->dut.registers;
    enum reset reset = RESET_LOST;
    for (uint32_t i = 0; i < REGISTER_RESETS && reset == RESET_LOST; i++) {
        write_u32(registers, DMARIG_REG_SCRATCH, RESET_MARK);
        quiesce_device(device);
        reset = after_reset(registers);
    }
    return reset;
}

bool hardware_recover(struct device *device)
{
    enum reset reset = reset_by_register(device);
    if (reset == RESET_LOST) {
        LOG("the engine takes no reset: the function is reset\n");
        NTSTATUS status = front_reset_function(device);
        reset = NT_SUCCESS(status) ? after_reset(&device->dut.registers) : RESET_LOST;
    }
    if (reset != RESET_DONE) {
        return false;
    }
    set_up_engine(device);
    return true;
}

void hardware_enable(struct device *device)
{
    driver_lock();
    device->in_d0 = true;
    /* The engine may still have work of an earlier driver. */
    quiesce_device(device);
    set_up_engine(device);
    driver_unlock();
}

void hardware_disable(struct device *device)
{
    driver_lock_soon();
    device->in_d0 = false;
    if (g_driver.sabotage != SABOTAGE_DMA_IN_D3) {
        quiesce_device(device);
    }
    driver_unlock();
}
