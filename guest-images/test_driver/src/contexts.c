/*
 * Where programs run: at once in the control thread, in a DPC, in the interrupt of a device under
 * test, in a dispatch routine; or stored until the context comes by itself.
 *
 * Who runs a program holds the driver's lock. DPC and interrupt run on behalf of the control thread,
 * which holds it and waits for them.
 */
#include "front.h"

/* Internal request of the control thread to itself: run the program of the context. */
#define IOCTL_RUN_PROGRAM CTL_CODE(FILE_DEVICE_UNKNOWN, 0x801, METHOD_NEITHER, FILE_ANY_ACCESS)
/* How long a DPC may take to come. */
#define DPC_ARRIVAL_MS 1000

/* A program on its way to another context. */
struct errand {
    const uint8_t *program;
    uint32_t program_length;
    uint8_t *response;
    uint32_t response_length;
    uint16_t context;
    KEVENT done;
};

static KDEFERRED_ROUTINE errand_dpc;

static bool must_end(const struct run_environment *environment)
{
    if (environment->context == DMARIG_CONTEXT_CONTROL_THREAD ||
        environment->context == DMARIG_CONTEXT_DISPATCH) {
        /* The thread that wants the lock or the join goes first. */
        struct device *control = g_driver.control;
        if (g_driver.hurry > 0 || (control != NULL && control->control.stopping != 0)) {
            return true;
        }
    }
    return clock_us() > environment->deadline_us;
}

static uint8_t raise_irql(uint8_t irql)
{
    KIRQL old;
    KeRaiseIrql(irql, &old);
    return old;
}

static void lower_irql(uint8_t irql)
{
    KeLowerIrql(irql);
}

static struct run_environment environment_of(uint16_t context, uint64_t budget_us)
{
    return (struct run_environment){
        .context = context,
        .irql = KeGetCurrentIrql(),
        .deadline_us = clock_us() + budget_us,
        .find = operation_find,
        .must_end = must_end,
        .raise_irql = raise_irql,
        .lower_irql = lower_irql,
    };
}

static uint32_t run_here(uint16_t context, uint64_t budget_us, const uint8_t *program,
                         uint32_t length_bytes, uint8_t *response, uint32_t capacity)
{
    struct run_environment environment = environment_of(context, budget_us);
    return interpreter_run(program, length_bytes, response, capacity, &environment);
}

static void run_errand(struct errand *errand, uint64_t budget_us)
{
    errand->response_length =
        run_here(errand->context, budget_us, errand->program, errand->program_length,
                 errand->response, RESPONSE_CAPACITY);
}

static VOID NTAPI errand_dpc(PKDPC dpc, PVOID context, PVOID argument1, PVOID argument2)
{
    struct errand *errand = context;
    UNREFERENCED_PARAMETER(dpc);
    UNREFERENCED_PARAMETER(argument1);
    UNREFERENCED_PARAMETER(argument2);
    run_errand(errand, DPC_BUDGET_US);
    (void)KeSetEvent(&errand->done, IO_NO_INCREMENT, FALSE);
}

static void run_in_dpc(struct errand *errand)
{
    KDPC dpc;
    KeInitializeDpc(&dpc, errand_dpc, errand);
    (void)KeInsertQueueDpc(&dpc, NULL, NULL);
    LARGE_INTEGER interval;
    interval.QuadPart = -(LONGLONG)DPC_ARRIVAL_MS * 10000;
    (void)KeWaitForSingleObject(&errand->done, Executive, KernelMode, FALSE, &interval);
    /* Taken back, or at its end: both are on this stack. Also after success, because the event is
     * set before the routine returns. */
    (void)KeRemoveQueueDpc(&dpc);
    KeFlushQueuedDpcs();
}

static void errand_in_interrupt(void *context)
{
    run_errand(context, ISR_BUDGET_US);
}

/* At the IRQL and under the lock of the first connected interrupt of a device under test. */
static void run_in_interrupt(struct errand *errand)
{
    for (uint32_t i = 0; i < MAX_DUTS; i++) {
        struct device *device = g_driver.duts[i];
        if (device != NULL && device->hardware &&
            front_run_in_interrupt(device, errand_in_interrupt, errand)) {
            return;
        }
    }
}

static void run_in_dispatch(struct device *control, struct errand *errand)
{
    KEVENT done;
    IO_STATUS_BLOCK io_status;
    KeInitializeEvent(&done, NotificationEvent, FALSE);
    PIRP irp = IoBuildDeviceIoControlRequest(IOCTL_RUN_PROGRAM, control->self, errand,
                                             sizeof(*errand), NULL, 0, TRUE, &done, &io_status);
    if (irp == NULL) {
        errand->response_length = interpreter_respond(errand->response,
                                                      DMARIG_RESPONSE_NO_MEMORY, 0, PASSIVE_LEVEL);
        return;
    }
    if (IoCallDriver(control->self, irp) == STATUS_PENDING) {
        (void)KeWaitForSingleObject(&done, Executive, KernelMode, FALSE, NULL);
    }
}

NTSTATUS context_run_dispatched(PIRP irp)
{
    PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(irp);
    if (stack->Parameters.DeviceIoControl.IoControlCode != IOCTL_RUN_PROGRAM ||
        stack->Parameters.DeviceIoControl.InputBufferLength != sizeof(struct errand) ||
        irp->RequestorMode != KernelMode) {
        return STATUS_INVALID_DEVICE_REQUEST;
    }
    run_errand(stack->Parameters.DeviceIoControl.Type3InputBuffer, PASSIVE_BUDGET_US);
    return STATUS_SUCCESS;
}

/* Runs a program that the control thread can take to its context by itself. */
static uint32_t run_now(struct device *control, uint16_t context, const uint8_t *program,
                        uint32_t length_bytes, uint8_t *response)
{
    struct errand errand = {
        .program = program,
        .program_length = length_bytes,
        .response = response,
        .context = context,
    };
    errand.response_length = interpreter_respond(response, DMARIG_RESPONSE_TIMEOUT, 0, 0);
    KeInitializeEvent(&errand.done, NotificationEvent, FALSE);
    driver_lock();
    switch (context) {
    case DMARIG_CONTEXT_DPC:
        run_in_dpc(&errand);
        break;
    case DMARIG_CONTEXT_ISR:
        run_in_interrupt(&errand);
        break;
    case DMARIG_CONTEXT_DISPATCH:
        run_in_dispatch(control, &errand);
        break;
    default:
        run_errand(&errand, PASSIVE_BUDGET_US);
        break;
    }
    driver_unlock();
    return errand.response_length;
}

uint32_t context_run(struct device *control, const uint8_t *program, uint32_t length_bytes,
                     uint8_t *response)
{
    uint32_t error_offset;
    if (!program_validate(program, length_bytes, &error_offset)) {
        return interpreter_respond(response, DMARIG_RESPONSE_MALFORMED, error_offset,
                                   PASSIVE_LEVEL);
    }
    uint16_t context = ((const DMARIG_ProgramHeader *)program)->context;
    switch (context) {
    case DMARIG_CONTEXT_CONTROL_THREAD:
    case DMARIG_CONTEXT_DPC:
    case DMARIG_CONTEXT_ISR:
    case DMARIG_CONTEXT_DISPATCH:
        return run_now(control, context, program, length_bytes, response);
    default: {
        driver_lock();
        bool stored = context_store(context, program, length_bytes);
        driver_unlock();
        uint16_t outcome = stored ? DMARIG_RESPONSE_STORED : DMARIG_RESPONSE_NO_MEMORY;
        return interpreter_respond(response, outcome, 0, PASSIVE_LEVEL);
    }
    }
}

static void free_pool(uint8_t **memory)
{
    if (*memory != NULL) {
        ExFreePoolWithTag(*memory, POOL_TAG);
        *memory = NULL;
    }
}

bool context_store(uint16_t context, const uint8_t *program, uint32_t length_bytes)
{
    struct stored_program *stored = &g_driver.stored[context];
    uint8_t *copy = ExAllocatePool2(POOL_NON_PAGED, length_bytes, POOL_TAG);
    if (copy == NULL) {
        return false;
    }
    memcpy(copy, program, length_bytes);
    free_pool(&stored->program);
    stored->program = copy;
    stored->program_length = length_bytes;
    return true;
}

/* A device that goes away does not wait for a long program; one that comes does. */
static void lock_for(uint16_t context)
{
    switch (context) {
    case DMARIG_CONTEXT_ADD_DEVICE:
    case DMARIG_CONTEXT_START_DEVICE:
    case DMARIG_CONTEXT_D0_ENTRY:
        driver_lock();
        break;
    default:
        driver_lock_soon();
        break;
    }
}

void context_run_stored(uint16_t context)
{
    struct stored_program *stored = &g_driver.stored[context];
    lock_for(context);
    if (stored->program != NULL) {
        free_pool(&stored->response);
        stored->response_length = 0;
        stored->response = ExAllocatePool2(POOL_NON_PAGED, STORED_RESPONSE_CAPACITY, POOL_TAG);
        if (stored->response != NULL) {
            stored->response_length =
                run_here(context, PASSIVE_BUDGET_US, stored->program, stored->program_length,
                         stored->response, STORED_RESPONSE_CAPACITY);
        }
        free_pool(&stored->program);
    }
    driver_unlock();
}

void context_free_all(void)
{
    for (uint16_t i = 0; i < DMARIG_CONTEXT_COUNT; i++) {
        free_pool(&g_driver.stored[i].program);
        free_pool(&g_driver.stored[i].response);
    }
}
