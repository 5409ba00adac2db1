/* SPDX-License-Identifier: Apache-2.0 */
/* What sidecar and guardian say to each other: fixed-size messages over a SOCK_SEQPACKET socket in
 * the run folder, same machine, same byte order. Every request gets one answer with its sequence
 * number, START, STOP, KILL and EXIT when they are complete; a change of state that nobody asked
 * for is pushed with sequence 0. Every answer carries the whole status. */
#ifndef INDABA_REPLICATION_GUARD_PROTOCOL_H
#define INDABA_REPLICATION_GUARD_PROTOCOL_H

#include <stdint.h>

enum {
    GUARD_PROTOCOL_VERSION = 2,
    GUARD_CLIENTS_MAX = 4,
    GUARD_PENDING_MAX = 16,
    GUARD_MEMBERS_MAX = 8,
    GUARD_NAME_SIZE = 64,
};

#define GUARD_SOCKET_NAME "guardian.sock"
#define GUARD_LOCK_NAME   "guardian.lock"
#define GUARD_STATE_NAME  "guardian.state"

enum guard_kind {
    GUARD_STATUS = 1, /* also the kind of a pushed change */
    GUARD_START,      /* spawn the database; refused while anything of it is left */
    GUARD_ARM,        /* the lease of `epoch` runs until `deadline_ns` (CLOCK_BOOTTIME) */
    GUARD_WRITABLE,   /* from now on the database may take writes: the deadline kills */
    GUARD_KILL,       /* fence: `epoch` and all below are over */
    GUARD_STOP,       /* SIGINT, after bound_ms SIGKILL; of a writable database a fence */
    GUARD_EXIT,       /* fence or stop as SIGTERM does, then leave */
    GUARD_MEMBERS,    /* who must hold a commit under `epoch`: a struct guard_members */
};

enum guard_verdict {
    GUARD_OK = 0,
    GUARD_STALE = 1,       /* the epoch is over, or lower than one already seen */
    GUARD_NOT_NOW = 2,     /* running, not running, writable, not armed: the state forbids it */
    GUARD_FAILED = 3,      /* spawn or persistence failed; system_error tells */
    GUARD_BAD_REQUEST = 4, /* unknown kind or version */
    GUARD_BUSY = 5,        /* too many requests under way */
};

/* The data folder that a start was made on. Each start puts a fresh nonce into it. */
struct guard_folder {
    uint64_t nonce; /* 0: none */
    uint64_t device;
    uint64_t inode;
};

struct guard_request {
    uint32_t version;
    uint32_t kind;
    uint64_t sequence; /* > 0 */
    uint64_t epoch;
    uint64_t deadline_ns;
    uint64_t bound_ms;
    struct guard_folder folder; /* START: as it is from this start on … */
    uint64_t nonce_before;      /* … and the nonce that was found in it; 0 none */
};

/* GUARD_MEMBERS: what the database's gate goes by from this answer on (gate/gate_page.h). Only to a
 * guardian with GUARD_FLAG_PAGE. */
struct guard_members {
    struct guard_request request;
    uint32_t sync;     /* 0: a commit waits for nobody */
    uint32_t required; /* 0: nobody is on record yet, and nothing is answered */
    uint32_t count;
    uint32_t unused;
    char names[GUARD_MEMBERS_MAX][GUARD_NAME_SIZE];
};

enum guard_flag {
    GUARD_FLAG_RUNNING = 1,  /* the process that was spawned lives */
    GUARD_FLAG_WRITABLE = 2, /* it may take writes, under `epoch` */
    GUARD_FLAG_KILLING = 4,  /* a kill or stop is under way */
    GUARD_FLAG_LEFTOVER = 8, /* processes that cannot die yet (D state, kill pending): exclusion
                                holds, a start is not possible */
    GUARD_FLAG_PAGE = 16,    /* what it starts gets a page for a gate */
};

struct guard_answer {
    uint32_t version;
    uint32_t kind;
    uint64_t sequence;
    uint32_t verdict;
    uint32_t system_error; /* errno, with GUARD_FAILED */
    uint32_t flags;
    uint32_t leftovers; /* processes still there during a kill */
    int32_t pid;        /* 0 none */
    int32_t last_exit;  /* wait status of the last database process, 0 before */
    uint64_t starts;    /* databases spawned by this guardian */
    uint64_t epoch;     /* highest armed or fenced */
    uint64_t deadline_ns;
    uint64_t fenced_epoch; /* this and all below are over; durable */
    /* In memory alone: who was not there cannot say that nobody else was at the folder. */
    struct guard_folder folder; /* of the last start; nonce 0: this guardian made none */
    uint64_t office_nonce; /* of the last start that became writable, if no other hand was at the
                              folder since: each later start found what the one before had left */
};

_Static_assert(sizeof(struct guard_request) == 72, "same layout for both sides");
_Static_assert(sizeof(struct guard_answer) == 104, "same layout for both sides");
_Static_assert(sizeof(struct guard_members) == 600, "same layout for both sides");

#endif
