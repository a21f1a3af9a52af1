/*
 * The slot table: every object that programs have made, by the number that the program chose.
 *
 * The table is allocated once. It keeps the order of creation, so that what is left over can be
 * released newest first, and a generation for each object, so that a reference to an object that is
 * gone is noticed.
 */
#pragma once

#include "platform.h"

enum slot_kind {
    SLOT_EMPTY = 0,
    SLOT_ADAPTER,
    SLOT_BUFFER,
    SLOT_MEMORY,
    SLOT_MDL,
    SLOT_RING,
    SLOT_OBJECT,
    SLOT_REQUEST, /* of the framework, in the driver's hands */
    SLOT_TRANSACTION,
    SLOT_SENT,    /* a request that the driver has sent itself */
    SLOT_CONTEXT, /* a DMA transfer context */
    SLOT_CHANNEL,
    SLOT_LIST,
    SLOT_VECTOR,
};

/* What a framework object is; KMDF only. */
enum framework_kind {
    FRAMEWORK_ANY = 0,
    FRAMEWORK_GENERAL,
    FRAMEWORK_ENABLER,
    FRAMEWORK_WORK_ITEM,
    FRAMEWORK_TIMER,
    FRAMEWORK_DPC,
    FRAMEWORK_SPIN_LOCK,
    FRAMEWORK_WAIT_LOCK,
    FRAMEWORK_QUEUE,
};

/* Names an object as long as it lives; generation 0 names nothing. */
struct slot_reference {
    uint32_t index;
    uint64_t generation;
};

struct adapter_object {
    struct _DMA_ADAPTER *adapter;
    uint32_t dut;
    uint32_t requested_version; /* DEVICE_DESCRIPTION.Version */
    struct slot_reference enabler; /* the framework object that owns it, else nothing */
};

struct buffer_object {
    struct slot_reference adapter; /* nothing for a common buffer of the framework */
    struct slot_reference enabler; /* of a common buffer of the framework */
    void *framework;               /* its handle, else NULL */
    struct slot_reference backing; /* the MDL of CreateCommonBufferFromMdl, else nothing */
    void *virtual_address;
    uint64_t logical_address;
    uint32_t length;
    bool cache_enabled;
    bool imaginary; /* a sabotage reported it, the system never made it */
    struct slot_reference vector; /* whose element it is, else nothing */
    uint32_t index;               /* in that vector */
};

struct memory_object {
    void *virtual_address;
    uint64_t length;
    bool contiguous; /* else pool */
};

struct mdl_object {
    struct _MDL *mdl;
    struct slot_reference backing; /* memory or source MDL, else nothing */
    struct slot_reference next;    /* the MDL that mdl->Next points to */
    bool pages_allocated;          /* by MmAllocatePagesForMdlEx */
    bool partial;
    bool built; /* by MmBuildMdlForNonPagedPool */
    bool locked;
    bool mapped;
};

struct ring_object {
    struct slot_reference adapter;
    void *descriptors;
    void *completions;
    uint64_t descriptor_address;
    uint64_t completion_address;
    uint32_t dut;
    uint32_t channel;
    uint32_t entries;
    uint32_t tail;       /* next descriptor to fill */
    uint32_t head;       /* next completion entry to read */
    uint32_t phase;      /* its expected phase bit */
    uint64_t next_tag;
};

/* A vector of common buffers. */
struct vector_object {
    struct slot_reference adapter;
    void *vector;
    uint64_t live; /* a bit for each element that is not freed */
    uint32_t element_length;
    uint32_t elements;
};

/* An object of the framework, a request of it, or one that was sent to it. */
struct framework_object {
    void *handle;
    enum framework_kind kind;
    uint32_t dut;
    struct slot_reference parent; /* the slot of its parent, nothing when that is the device */
    uint32_t references;          /* taken by programs */
    bool deleted;                 /* and still there because of them */
    bool cancelable;              /* a request that was marked so */
};

/* Memory of a DMA transfer context. */
struct context_object {
    void *memory;
};

/* A request for the adapter object: an adapter channel or a scatter/gather list. */
struct request_object {
    struct slot_reference adapter;
    struct slot_reference context; /* transfer context, nothing for versions 1 and 2 */
    struct execution *execution;   /* what its routine notes; ops_transfer.h */
    void *buffer;                  /* of a list that was built in memory of the driver */
    uint32_t registers;            /* asked for; of a channel */
    bool write_to_device;          /* of a list */
    bool held;                     /* it may still have the adapter object */
    bool over;                     /* freed or put; the slot was kept */
    bool cancelled;                /* before its turn: the routine must not run */
};

struct slot {
    enum slot_kind kind;
    uint32_t older; /* neighbours in order of creation, or DMARIG_SLOT_NONE */
    uint32_t newer;
    uint64_t generation;
    union {
        struct adapter_object adapter;
        struct buffer_object buffer;
        struct memory_object memory;
        struct mdl_object mdl;
        struct ring_object ring;
        struct framework_object framework;
        struct context_object context;
        struct request_object request;
        struct vector_object vector;
    } object;
};

struct slot_table {
    struct slot *slots; /* DMARIG_SLOT_COUNT of them */
    uint32_t newest;
    uint32_t count;
    uint64_t last_generation;
};

/* Bytes that slot_table_initialize needs. */
#define SLOT_TABLE_BYTES (sizeof(struct slot) * DMARIG_SLOT_COUNT)

/* Makes an empty table in `storage`, SLOT_TABLE_BYTES of zeros. */
void slot_table_initialize(struct slot_table *table, void *storage);

/* True when an object may be put at `index`. */
bool slot_is_free(const struct slot_table *table, uint32_t index);

/* Takes a free slot for a new object, all of whose fields are zero. */
struct slot *slot_take(struct slot_table *table, uint32_t index, enum slot_kind kind);

/* The object at `index` if it is of that kind, else NULL. */
struct slot *slot_find(struct slot_table *table, uint32_t index, enum slot_kind kind);

/* Empties a slot. */
void slot_drop(struct slot_table *table, struct slot *slot);

/* A reference to a living object. */
struct slot_reference slot_reference_to(const struct slot_table *table, const struct slot *slot);

/* The object that `reference` names if it still lives and is of that kind, else NULL. */
struct slot *slot_resolve(struct slot_table *table, struct slot_reference reference,
                          enum slot_kind kind);

/* The newest object, or NULL; then the next older and the next newer one. */
struct slot *slot_newest(struct slot_table *table);
struct slot *slot_older(struct slot_table *table, const struct slot *slot);
struct slot *slot_newer(struct slot_table *table, const struct slot *slot);
