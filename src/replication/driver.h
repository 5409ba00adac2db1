/* SPDX-License-Identifier: Apache-2.0 */
/* What a kind of database is to the engine (engine.h): a table of functions, constants about it,
 * and an object of its own. No loop, no guardian, no lease: those are the engine's. Two kinds of
 * functions, and nothing else is called:
 *
 *   on a thread    look, act, write, words: they may block, on files, programs, statements. Each
 *                  has a thread of its own, so that `look` runs beside `act`; what they share they
 *                  guard themselves, or it is constant. Every wait is also one for cancellation
 *                  (work.h).
 *   on the loop    begin_look, looked, begin, acted, goal, facts: they reckon, and never wait.
 *                  begin_look comes before each look and `looked` after it, begin and acted around
 *                  each act: so what a job works on is the loop's outside of that.
 *
 * What a driver promises (docs/safety.md): a start is a start as standby; nothing it starts serves
 * writes before PROMOTE; a cut is true when it is said, and a position final when it is said so;
 * whatever cannot be done in bounded time is an error, and may be asked for again. */
#ifndef INDABA_REPLICATION_DRIVER_H
#define INDABA_REPLICATION_DRIVER_H

#include "replication/guard_link.h"
#include "replication/keeper.h"
#include "replication/work.h"

struct driver_request {
    enum keeper_action_kind kind; /* any but NONE, WAIT, REFUSE, PERSIST */
    struct instance_id upstream;  /* of the keeper's action: START, FOLLOW, CLONE; 0 nobody */
    char upstream_address[ADDRESS_SIZE];
    struct epoch fence_epoch;       /* FENCE */
    struct incarnation incarnation; /* of keeper_state: names the standby and the folder aside */
    struct goal goal;               /* by which the action was chosen */
    /* PROVE: what the sidecar knows of the folder `incarnation`. */
    struct lineage_anchor anchor;
    struct epoch led_epoch;      /* up to which it may have been led to new timelines */
    struct epoch writable_epoch; /* under which it was last made writable … */
    struct fork office;          /* … its timeline, and the fork once it was read back */
};

struct driver_result {
    enum keeper_action_kind kind;
    enum error error; /* ERR_CANCELLED: a fence came in between */
    const char
        *message; /* for people: what, where, what to do; "" on success; for this call only */
};

typedef void driver_done(const struct driver_result *result, void *ctx);

/* What this kind of database can do. The actions of what it cannot are never asked of it: they
 * count as done, and its shards are async (model/shard_kind.h). */
struct driver_caps {
    bool sync_quorum; /* commits wait for W of S: SET_SYNC, CANARY, CONFIRM_SYNC */
    bool slots;       /* it keeps what each standby still needs: SLOTS */
};

enum driver_answer {
    DRIVER_SILENT,   /* no answer */
    DRIVER_STARTING, /* … because it starts or stops, it says */
    DRIVER_REFUSES,  /* it lives, and tells us nothing */
    DRIVER_ANSWERS,
};

/* What every look says; the rest is the driver's own. */
struct driver_look {
    bool folder;              /* there is a complete data folder */
    struct guard_folder left; /* only if nothing runs: the folder, with the nonce in it */
    enum driver_answer answer;
    bool writable; /* ANSWERS: it is no standby */
};

/* After a look, what the engine knows of it. */
struct driver_seen {
    uint64_t begun_ms;
    bool current;    /* it was of the process that runs; else nothing follows from it … */
    bool first;      /* … the first one: what was found before says nothing any more */
    bool was_of_now; /* and the look before it was of the same process */
};

/* What the engine knows, for who reckons. */
struct driver_now {
    enum instance_state state;
    bool of_now;             /* the newest look that answered is of the process that runs */
    int32_t pid;             /* of the database's first process */
    uint64_t starts;         /* by the guardian that is there */
    uint64_t looked_ms;      /* when that look came */
    uint64_t stalled_ms;     /* for how long a write has hung; 0: none does */
    uint32_t start_failures; /* so many starts in a row ended before they answered */
    bool gate_page;          /* the guardian gives what it starts a page for a gate */
};

struct driver;

struct driver_kind {
    const char *name; /* "postgres": instance.kind */
    struct driver_caps caps;
    int stop_signal; /* on which it ends in order, whoever is connected */
    /* What any server of this kind answers at its port, whoever asks. */
    const uint8_t *greeting;
    size_t greeting_len;

    /* Of the process to start, NULL-terminated, the first an absolute path; at most
     * GUARD_ARGUMENTS_MAX. Once, before anything else; borrowed from the driver. */
    void (*argv)(const struct driver *driver, const char **argv_out);

    /* `running`: the guardian says that it runs; otherwise only the folder is looked at. */
    void (*look)(struct work *work,
                 struct driver *driver,
                 bool running,
                 struct driver_look *look_out);
    /* START fills `start_out` (start_nonce.h); the guardian starts it then. */
    enum error (*act)(struct work *work, struct driver *driver, struct guard_start *start_out);
    /* A small write of its own becomes durable; waits for its disk without a bound. NULL: none. */
    enum error (*write)(struct work *work, struct driver *driver);
    /* Why its last start failed, as it said, into WORK_MESSAGE_SIZE bytes. NULL: it never says. */
    void (*words)(const struct driver *driver, char *words);

    void (*goal)(struct driver *driver, const struct goal *goal);
    void (*begin_look)(struct driver *driver);
    void (*looked)(struct driver *driver, const struct driver_seen *seen);
    /* `request` is what act will do. */
    void (*begin)(struct driver *driver,
                  const struct driver_request *request,
                  const struct driver_now *now);
    void (*acted)(struct driver *driver, enum error error, uint64_t ended_ms);
    /* Adds to what the engine has filled in. */
    void (*facts)(const struct driver *driver,
                  const struct driver_now *now,
                  struct keeper_facts *facts);
    void (*free)(struct driver *driver);
};

/* The first member of every driver. */
struct driver {
    const struct driver_kind *kind;
};

#endif
