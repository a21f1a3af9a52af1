/*
 * The driver's own state and the faces of its parts.
 *
 * Two drivers are built from these files: one lives in WDM (wdm/), the other in KMDF (kmdf/). What
 * either of them does for the shared part is in front.h.
 *
 * One struct device for both functions, which lies at the start of the front's own; the driver as a
 * whole has one lock, one slot table and the stored programs (struct driver).
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
    uint32_t vectors;      /* granted; 1 for a line */
    volatile LONG64 pending; /* bits of the channels that the DPC has to handle; bit 0 without any */
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

/* What is kept of a channel. */
struct channel {
    KEVENT event; /* set by the DPC */
    volatile LONG interrupts;
    struct slot_reference ring;
};

/* The part of a device under test. */
struct dut {
    uint32_t number;
    struct bar registers;
    /* As many as the device says that it has; none while the registers are not mapped. */
    uint32_t channels;
    struct channel *channel;
};

struct device {
    enum device_role role;
    enum pnp_state state;
    PDEVICE_OBJECT self;
    PDEVICE_OBJECT pdo;
    bool hardware; /* resources are mapped; changed under the driver's lock */
    bool in_d0;
    DEVICE_POWER_STATE power_state;
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

/* Mistakes made on purpose. */
enum sabotage {
    SABOTAGE_NONE = 0,
    SABOTAGE_FALSE_SUCCESS, /* each refused CreateCommonBufferFromMdl is reported as success */
    SABOTAGE_LEAK_MEMORY,   /* the first of each of these is not given back */
    SABOTAGE_LEAK_MDL,
    SABOTAGE_LEAK_ADAPTER,
    SABOTAGE_LEAK_BUFFER, /* and its adapter, which could not be put */
    SABOTAGE_SKIP_FLUSH,       /* flush and PutScatterGatherList come only when all is released */
    SABOTAGE_TRUNCATE_ADDRESS, /* the device gets the low half of each logical address */
    SABOTAGE_NO_RECOVERY,      /* a request that does not end well is neither reset nor tried again */
    SABOTAGE_DMA_IN_D3,        /* the engine is not stopped on the way out of D0 */
    SABOTAGE_KEEP_DEVICE,      /* QUERY_REMOVE is refused */
    SABOTAGE_LEAK_REGISTERS,   /* the first mapping of a device under test stays */
    SABOTAGE_TRUST_INTERRUPT,  /* a request has not ended as long as its interrupt has not come */
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
    enum sabotage sabotage;
    bool sabotage_struck;
};

extern struct driver g_driver;

/* One line to the debugger. */
#define LOG(...) DbgPrintEx(DPFLTR_IHVDRIVER_ID, DPFLTR_ERROR_LEVEL, "dmarig: " __VA_ARGS__)

/* driver.c */
/* Makes the slot table and reads the service's Parameters key. */
NTSTATUS driver_initialize(PUNICODE_STRING service_path);
/* The last device has released the objects before. */
void driver_uninitialize(void);
void driver_lock(void);
void driver_lock_soon(void); /* the same, and asks the control thread's program to end */
void driver_unlock(void);

/* The first time if it is that sabotage. */
bool sabotage_strikes(enum sabotage sabotage);

/* registry.c */
void registry_read_parameters(PUNICODE_STRING service_path);

/* device.c */
/* What the hardware IDs of the physical device object say. */
enum device_role device_role_of(PDEVICE_OBJECT pdo);
/* For a device of zeros, once. */
void device_initialize(struct device *device, enum device_role role, PDEVICE_OBJECT self,
                       PDEVICE_OBJECT pdo);
/* Gives the device its place in the driver; false when there is none left. */
bool device_enlist(struct device *device);
/* Takes the device out of the driver; the last one releases every object. The caller holds the lock. */
void device_delist(struct device *device);

/* Resource descriptors of a device that are looked at: a vector for each channel, and its BARs. */
#define MAX_DESCRIPTORS (DMARIG_DUT_MAX_CHANNELS + 8u)

/* hardware.c: resources and registers of either function. The front calls these one at a time. */
/* Maps the BARs, reads the ID registers and how many channels there are; `resources` are what
 * front_resource takes. */
NTSTATUS hardware_map(struct device *device, void *resources);
void hardware_unmap(struct device *device);
/* From here on programs may use registers. */
void hardware_show(struct device *device);
/* Releases what lies on the device and hides from programs all that goes now: its registers and
 * interrupts, or, in PNP_REMOVED, the whole device. `state` is its next state. True when there is
 * hardware for the caller to let go of. */
bool hardware_hide(struct device *device, enum pnp_state state);
/* The engine of a device under test from a reset on; from here on transfers are possible. */
void hardware_enable(struct device *device);
/* No transfers from here on; the engine is reset. */
void hardware_disable(struct device *device);
/* Interrupts of an engine that has been reset, as far as any are connected. */
void hardware_enable_interrupts(struct device *device);
void hardware_disable_interrupts(struct device *device);
/* Resets the engine of a device under test: nothing of it accesses memory any more. Rings and
 * interrupts are off afterwards. The caller holds the lock. */
void quiesce_device(struct device *device);
/* Does that to each started device with a request under way, and turns rings and interrupts on
 * again. For who is about to free the memory of any program. */
void end_given_up_requests(void);
/* Resets the engine in the middle of its work and sets it up anew: by its register, and where that has no
 * effect, the whole function by the bus driver. False when the device is gone, or cannot be stopped. At
 * PASSIVE_LEVEL. */
bool hardware_recover(struct device *device);

/* ops_ring.c */
void ring_restart_all(struct device *device);

/* interrupt.c: what either front's routines do */
/* A bit for each channel of the device. */
uint64_t interrupt_all_channels(const struct dut *dut);
/* Lets these channels interrupt, and no others. */
void interrupt_enable(const struct dut *dut, uint64_t channels);
/* In the service routine: takes the cause of `vector`; true when there is work for the DPC. */
bool interrupt_service(struct device *device, uint32_t vector);
/* In the DPC: wakes who waits for it. */
void interrupt_finish(struct device *device);

/* control.c */
NTSTATUS control_start(struct device *device);
void control_stop(struct device *device);

/* contexts.c */
/* The request that the control thread has sent itself; the caller completes it. */
NTSTATUS context_run_dispatched(PIRP irp);
uint32_t context_run(struct device *control, const uint8_t *program, uint32_t length_bytes,
                     uint8_t *response);
void context_run_stored(uint16_t context);
bool context_store(uint16_t context, const uint8_t *program, uint32_t length_bytes);
void context_free_all(void);

/* release.c */
uint32_t release_all(void);
/* Releases what lies on the device's adapters; objects of the framework stay. */
void release_dut(uint32_t number);
/* Empties the slots of framework objects below the device, which the framework has deleted. */
void release_forget_dut(uint32_t number);

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
