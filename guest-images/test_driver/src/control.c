/*
 * The control thread: takes programs out of the mailbox and puts responses in.
 *
 * The mailbox is memory that the host writes at any time. Sequence words are read and written once
 * each, with barriers against the data they speak for; a request is copied, then validated.
 */
#include "driver.h"

/* How long the thread sleeps without a message interrupt, and with one (should one get lost). */
#define POLL_INTERVAL_MS 5
#define SAFETY_INTERVAL_MS 1000
/* The thread's own steps are bounded, so it always ends; a line is logged each time this passes. */
#define JOIN_INTERVAL_MS 10000

/* Of ntifs.h. */
NTSYSAPI NTSTATUS NTAPI ZwWaitForSingleObject(HANDLE handle, BOOLEAN alertable,
                                              PLARGE_INTEGER timeout);

static KSTART_ROUTINE control_thread;

#define FIELD(name) offsetof(DMARIG_MailboxHeader, name)

static LARGE_INTEGER milliseconds(LONGLONG count)
{
    LARGE_INTEGER interval;
    interval.QuadPart = -count * 10000;
    return interval;
}

static void copy_from_mailbox(const struct bar *mailbox, uint64_t offset, uint8_t *to,
                              uint32_t length)
{
    const volatile uint64_t *from = (const volatile uint64_t *)(mailbox->base + offset);
    for (uint32_t i = 0; i < length / 8; i++) {
        ((uint64_t *)to)[i] = from[i];
    }
    for (uint32_t i = length & ~7u; i < length; i++) {
        to[i] = mailbox->base[offset + i];
    }
}

static void copy_to_mailbox(const struct bar *mailbox, uint64_t offset, const uint8_t *from,
                            uint32_t length)
{
    volatile uint64_t *to = (volatile uint64_t *)(mailbox->base + offset);
    for (uint32_t i = 0; i < length / 8; i++) {
        to[i] = ((const uint64_t *)from)[i];
    }
    for (uint32_t i = length & ~7u; i < length; i++) {
        mailbox->base[offset + i] = from[i];
    }
}

static void ring_doorbell(struct control *control)
{
    memory_barrier();
    write_u32(&control->registers, DMARIG_CONTROL_REG_DOORBELL, 1);
}

static void set_guest_state(struct control *control, uint32_t state)
{
    write_u32(&control->mailbox, FIELD(guest_state), state);
    ring_doorbell(control);
}

static bool mailbox_is_ours(const struct control *control)
{
    return read_u32(&control->mailbox, FIELD(magic)) == DMARIG_MAILBOX_MAGIC &&
           read_u32(&control->mailbox, FIELD(version)) == DMARIG_MAILBOX_VERSION;
}

/* Answers the request in the mailbox if there is a new one; true when there was. */
static bool serve_request(struct device *device)
{
    struct control *control = &device->control;
    if (!mailbox_is_ours(control)) {
        return false;
    }
    if (read_u32(&control->mailbox, FIELD(guest_state)) != DMARIG_GUEST_STATE_ATTACHED) {
        /* The host came late, or has reset its mailbox. */
        set_guest_state(control, DMARIG_GUEST_STATE_ATTACHED);
    }
    uint32_t sequence = read_u32(&control->mailbox, FIELD(request_sequence));
    if (sequence == 0 || sequence == read_u32(&control->mailbox, FIELD(response_sequence))) {
        return false;
    }
    memory_barrier();
    uint32_t length = read_u32(&control->mailbox, FIELD(request_length_bytes));
    uint32_t response_length;
    if (length > DMARIG_PROGRAM_MAX_SIZE_BYTES || length > DMARIG_MAILBOX_REQUEST_SIZE_BYTES) {
        response_length =
            interpreter_respond(control->response, DMARIG_RESPONSE_MALFORMED, 0, PASSIVE_LEVEL);
    } else {
        copy_from_mailbox(&control->mailbox, DMARIG_MAILBOX_REQUEST_OFFSET, control->request,
                          length);
        response_length = context_run(device, control->request, length, control->response);
    }
    copy_to_mailbox(&control->mailbox, DMARIG_MAILBOX_RESPONSE_OFFSET, control->response,
                    response_length);
    write_u32(&control->mailbox, FIELD(response_length_bytes), response_length);
    memory_barrier();
    write_u32(&control->mailbox, FIELD(response_sequence), sequence);
    ring_doorbell(control);
    return true;
}

static VOID NTAPI control_thread(PVOID context)
{
    struct device *device = context;
    struct control *control = &device->control;
    bool by_message = device->interrupt.mode == INTERRUPT_MESSAGE;
    LARGE_INTEGER interval = milliseconds(by_message ? SAFETY_INTERVAL_MS : POLL_INTERVAL_MS);
    if (!mailbox_is_ours(control)) {
        LOG("the mailbox has no host yet\n");
    }
    while (control->stopping == 0) {
        if (!serve_request(device)) {
            (void)KeWaitForSingleObject(&control->wake, Executive, KernelMode, FALSE, &interval);
        }
    }
    set_guest_state(control, DMARIG_GUEST_STATE_DETACHED);
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

static void ask_to_end(struct control *control)
{
    InterlockedExchange(&control->stopping, 1);
    (void)KeSetEvent(&control->wake, IO_NO_INCREMENT, FALSE);
}

static void free_buffers(struct control *control)
{
    if (control->request != NULL) {
        ExFreePoolWithTag(control->request, POOL_TAG);
        control->request = NULL;
    }
    if (control->response != NULL) {
        ExFreePoolWithTag(control->response, POOL_TAG);
        control->response = NULL;
    }
}

static NTSTATUS start_thread(struct device *device)
{
    OBJECT_ATTRIBUTES attributes;
    InitializeObjectAttributes(&attributes, NULL, OBJ_KERNEL_HANDLE, NULL, NULL);
    HANDLE handle;
    NTSTATUS status = PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, &attributes, NULL, NULL,
                                           control_thread, device);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    /* The object, not the handle, is what the join waits for. */
    status = ObReferenceObjectByHandle(handle, SYNCHRONIZE, NULL, KernelMode,
                                       &device->control.thread, NULL);
    if (!NT_SUCCESS(status)) {
        /* Nobody could join the thread later: it ends before its buffers do. */
        device->control.thread = NULL;
        ask_to_end(&device->control);
        (void)ZwWaitForSingleObject(handle, FALSE, NULL);
    }
    (void)ZwClose(handle);
    return status;
}

NTSTATUS control_start(struct device *device)
{
    struct control *control = &device->control;
    /* A message that came before is not lost: the thread looks before it waits. */
    KeClearEvent(&control->wake);
    control->stopping = 0;
    control->request = ExAllocatePool2(POOL_NON_PAGED, DMARIG_PROGRAM_MAX_SIZE_BYTES, POOL_TAG);
    control->response = ExAllocatePool2(POOL_NON_PAGED, RESPONSE_CAPACITY, POOL_TAG);
    NTSTATUS status = STATUS_INSUFFICIENT_RESOURCES;
    if (control->request != NULL && control->response != NULL) {
        status = start_thread(device);
    }
    if (!NT_SUCCESS(status)) {
        free_buffers(control);
        return status;
    }
    device->in_d0 = true;
    return STATUS_SUCCESS;
}

void control_stop(struct device *device)
{
    struct control *control = &device->control;
    device->in_d0 = false;
    if (control->thread == NULL) {
        return;
    }
    ask_to_end(control);
    LARGE_INTEGER interval = milliseconds(JOIN_INTERVAL_MS);
    while (KeWaitForSingleObject(control->thread, Executive, KernelMode, FALSE, &interval) ==
           STATUS_TIMEOUT) {
        LOG("waiting for the control thread\n");
    }
    ObDereferenceObject(control->thread);
    control->thread = NULL;
    free_buffers(control);
}
