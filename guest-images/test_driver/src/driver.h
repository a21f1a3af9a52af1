/*
 * The driver's own state and the faces of its parts.
 *
 * One device extension (struct device) for both functions; the driver as a whole has one lock, one
 * slot table and the stored programs (struct driver).
 */
#pragma once

#include "platform.h"
#include "interpreter.h"
#include "program.h"
#include "slots.h"

/* Pool tag, shown as "Dmrg". */
#define POOL_TAG 'grmD'
/* Devices under test that one driver serves. */
#define MAX_DUTS 8
/* Longest response: what the mailbox holds. */
#define RESPONSE_CAPACITY ((uint32_t)DMARIG_MAILBOX_RESPONSE_SIZE_BYTES)
/* Longest stored response: it must fit into a response as data of one result. */
#define STORED_RESPONSE_CAPACITY 0x7c00u

/* Time given to a program by its IRQL. */
#define PASSIVE_BUDGET_US 60000000ull
#define DPC_BUDGET_US 200000ull
#define ISR_BUDGET_US 50000ull

/* ExAllocatePool2 is newer than the headers: (POOL_FLAG_*, bytes, tag), zeroed. */
#define POOL_NON_PAGED 0x40ull
NTKERNELAPI PVOID NTAPI ExAllocatePool2(ULONGLONG flags, SIZE_T bytes, ULONG tag);
NTKERNELAPI PVOID NTAPI MmMapIoSpaceEx(PHYSICAL_ADDRESS address, SIZE_T bytes, ULONG protect);
/* PAGE_READWRITE | PAGE_NOCACHE. */
#define MAP_REGISTERS 0x204

/* What a function is. */
enum device_role { ROLE_UNKNOWN, ROLE_CONTROL, ROLE_DUT };

/* PnP states, as far as the driver acts on them. */
enum pnp_state {
    PNP_ADDED,
    PNP_STARTED,
    PNP_STOP_PENDING,
    PNP_STOPPED,
    PNP_REMOVE_PENDING,
    PNP_SURPRISE_REMOVED,
    PNP_REMOVED,
};

/* How a device interrupts. */
enum interrupt_mode { INTERRUPT_NONE, INTERRUPT_LINE, INTERRUPT_MESSAGE };

struct interrupt {
    enum interrupt_mode mode;
    uint32_t vectors; /* granted; 1 for a line */
    PVOID connection; /* IO_INTERRUPT_MESSAGE_INFO or KINTERRUPT */
    PKINTERRUPT object;
    KDPC dpc;
    volatile LONG pending; /* bits of vectors or channels that the DPC has to handle */
    volatile LONG serviced;
};

/* A BAR as START_DEVICE gave it. */
struct bar {
    PHYSICAL_ADDRESS address;
    uint64_t length;
    volatile uint8_t *base; /* NULL when not mapped */
};

/* The control function's part. */
struct control {
    struct bar mailbox;
    struct bar registers;
    PVOID thread; /* referenced PETHREAD, NULL when not running */
    KEVENT wake;
    volatile LONG stopping;
    uint8_t *request;  /* private copy, PROGRAM_MAX_SIZE_BYTES */
    uint8_t *response; /* RESPONSE_CAPACITY */
};

/* The part of a device under test. */
struct dut {
    uint32_t number;
    struct bar registers;
    KEVENT channel_event[DMARIG_DUT_CHANNELS];
    volatile LONG channel_interrupts[DMARIG_DUT_CHANNELS];
    struct slot_reference ring[DMARIG_DUT_CHANNELS];
};

struct device {
    enum device_role role;
    enum pnp_state state;
    enum pnp_state state_before_query;
    PDEVICE_OBJECT self;
    PDEVICE_OBJECT pdo;
    PDEVICE_OBJECT lower;
    IO_REMOVE_LOCK remove_lock;
    /* Synchronization event, signaled when free: held from step to step by who starts or stops the
     * hardware or takes it into or out of D0, since power requests come beside those of PnP. Taken
     * before the driver's lock; programs never take it. */
    KEVENT transition;
    bool hardware; /* resources are mapped, interrupts connected; changed under the driver's lock */
    bool in_d0;
    DEVICE_POWER_STATE power_state;
    PIO_WORKITEM power_work;
    struct interrupt interrupt;
    struct control control;
    struct dut dut;
};

/* A program waiting for its context, and what the last one left. */
struct stored_program {
    uint8_t *program;
    uint32_t program_length;
    uint8_t *response;
    uint32_t response_length;
};

struct driver {
    /* Synchronization event, signaled when free: held while a program runs or objects are released.
     * An event rather than a mutex: its holder stays at PASSIVE_LEVEL with APCs on. */
    KEVENT lock;
    /* Callers that want a running program of the control thread to end soon. */
    volatile LONG hurry;
    struct slot_table slots;
    struct device *duts[MAX_DUTS];
    struct device *control;
    struct stored_program stored[DMARIG_CONTEXT_COUNT];
    bool false_success; /* sabotage: refused CreateCommonBufferFromMdl is reported as success */
};

extern struct driver g_driver;

/* One line to the debugger. */
#define LOG(...) DbgPrintEx(DPFLTR_IHVDRIVER_ID, DPFLTR_ERROR_LEVEL, "dmarig: " __VA_ARGS__)

/* entry.c */
void driver_lock(void);
void driver_lock_soon(void); /* the same, and asks the control thread's program to end */
void driver_unlock(void);
NTSTATUS NTAPI dispatch_pass_down(PDEVICE_OBJECT object, PIRP irp);

/* registry.c */
void registry_read_parameters(PUNICODE_STRING service_path);

/* pnp.c, power.c */
NTSTATUS NTAPI dispatch_pnp(PDEVICE_OBJECT object, PIRP irp);
NTSTATUS NTAPI dispatch_power(PDEVICE_OBJECT object, PIRP irp);
NTSTATUS NTAPI add_device(PDRIVER_OBJECT driver, PDEVICE_OBJECT pdo);
/* Takes the device out of the driver; the last one releases every object. The caller holds the lock. */
void device_delist(struct device *device);
void power_initialize(struct device *device);
void power_uninitialize(struct device *device);
void power_note(struct device *device, DEVICE_POWER_STATE state);

/* hardware.c: resources, interrupts and registers of either function */
void transition_begin(struct device *device);
void transition_end(struct device *device);
NTSTATUS hardware_start(struct device *device, PCM_RESOURCE_LIST translated);
/* The way to PNP_STOPPED, PNP_SURPRISE_REMOVED or PNP_REMOVED, in which the device then is. */
void hardware_stop(struct device *device, enum pnp_state state);
/* These two within a transition. */
void hardware_enter_d0(struct device *device);
void hardware_leave_d0(struct device *device);
/* Resets the engine of a device under test: nothing of it accesses memory any more. Rings and
 * interrupts are off afterwards. The caller holds the lock. */
void quiesce_device(struct device *device);
/* Does that to each started device with a request under way, and turns rings and interrupts on
 * again. For who is about to free the memory of any program. */
void end_given_up_requests(void);

/* ops_ring.c */
void ring_restart_all(struct device *device);

/* interrupt.c */
void interrupt_connect(struct device *device);
void interrupt_disconnect(struct device *device);

/* control.c */
NTSTATUS control_start(struct device *device);
void control_stop(struct device *device);

/* contexts.c */
NTSTATUS context_run_dispatched(struct device *control, PIRP irp);
uint32_t context_run(struct device *control, const uint8_t *program, uint32_t length_bytes,
                     uint8_t *response);
void context_run_stored(uint16_t context);
bool context_store(uint16_t context, const uint8_t *program, uint32_t length_bytes);
void context_free_all(void);

/* release.c */
uint32_t release_all(void);
void release_dut(uint32_t number);

/* clock.c */
/* Up to this a wait is a stall, above PASSIVE_LEVEL it is never longer: that is the most that may be
 * asked of KeStallExecutionProcessor, and a thread delay takes a whole clock tick. */
#define STALL_MAX_US 50u
uint64_t clock_us(void);
void delay_us(uint64_t microseconds);

/* operations.c */
/* The started device under test of that number, or NULL. */
struct device *dut_started(uint32_t number);
/* Also one that only AddDevice has seen. */
struct device *dut_present(uint32_t number);
const struct operation_entry *operation_find(uint16_t opcode);

/* Register access: one load or store of that width. The caller knows that the offset is inside. */
static inline uint32_t read_u32(const struct bar *bar, uint64_t offset)
{
    return *(volatile uint32_t *)(bar->base + offset);
}
static inline void write_u32(const struct bar *bar, uint64_t offset, uint32_t value)
{
    *(volatile uint32_t *)(bar->base + offset) = value;
}
static inline uint64_t read_u64(const struct bar *bar, uint64_t offset)
{
    return *(volatile uint64_t *)(bar->base + offset);
}
static inline void write_u64(const struct bar *bar, uint64_t offset, uint64_t value)
{
    *(volatile uint64_t *)(bar->base + offset) = value;
}
