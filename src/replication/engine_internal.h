/* SPDX-License-Identifier: Apache-2.0 */
/* What the engine's files share. Everything here is of the loop thread, except what a job's own
 * struct holds while the job runs. Nobody else includes this. */
#ifndef INDABA_REPLICATION_ENGINE_INTERNAL_H
#define INDABA_REPLICATION_ENGINE_INTERNAL_H

#include "replication/engine.h"
#include "replication/port_look.h"

#include <uv.h>

/* What the probe thread works on; the loop touches it only between looks. */
struct engine_look {
    bool running;
    uint64_t starts;
    uint64_t begun_ms;
    struct driver_look look;
    bool ask_words; /* a start failed: why? */
    char words[WORK_MESSAGE_SIZE];
};

enum engine_phase {
    ENGINE_IDLE,
    ENGINE_GUARD_BEFORE, /* the guardian stops it, or hears that it becomes writable */
    ENGINE_WORK,
    ENGINE_GUARD_AFTER, /* the guardian starts it */
    ENGINE_LOOK,        /* done; a look begun after that is waited for, so that facts fit */
};

/* The one action under way. */
struct engine_action {
    enum engine_phase phase;
    struct driver_request request;
    struct guard_start start; /* START */
    driver_done *done;
    void *ctx;
    enum error error;
    char message[WORK_MESSAGE_SIZE];
    uint64_t begun_ms;
    uint64_t ended_ms;
};

struct engine {
    struct driver *driver;
    struct uv_loop_s *loop;
    struct guard_link *guard;
    struct worker *actions;
    struct worker *probes;
    struct worker *writes;
    struct port_look *port_look;
    uv_timer_t timer;
    uint32_t probe_ms;
    void (*on_change)(void *ctx);
    void *ctx;
    struct goal goal;
    bool has_goal;

    struct engine_look look_job;
    bool look_again;      /* something happened: look again at once */
    uint64_t look_starts; /* of which process the newest look is that answered … */
    uint64_t look_ms;     /* … when it did … */
    bool writable;        /* … and whether it was no standby */
    bool looked;          /* at the folder at least once */
    bool folder;
    struct guard_folder left; /* the folder as it was left by the last process … */
    uint64_t left_starts;     /* … that was the guardian's so manieth */
    bool look_starting;       /* the newest look: it says that it starts */
    uint64_t look_begun_ms;   /* of the newest look, answered or not */
    uint64_t found_starts;    /* the process that was looked at first … */
    uint64_t alive_ms;        /* newest sign of life, 0 none since the start */
    bool still;               /* the guardian says that nothing runs … */
    uint64_t still_ms;        /* … since then */
    uint64_t seen_starts;     /* newest start by the guardian … */
    uint64_t seen_starts_ms;  /* … and when it was seen */

    /* Starts that ended before the database answered (engine_start.c). */
    uint32_t start_failures;  /* in a row */
    uint64_t start_failed_of; /* the newest: which of `seen_starts` */
    uint64_t start_again_ms;  /* not before */
    bool words_wanted;        /* … its last words are still to be read */
    char words[WORK_MESSAGE_SIZE];
    char note[TEXT_SIZE]; /* for people */

    struct engine_action action;
    bool fencing;
    driver_done *fence_done;
    void *fence_ctx;

    uint64_t write_begun_ms; /* the newest */

    bool closing;
    uint32_t parts_open;
    void (*closed)(void *ctx);
    void *closed_ctx;
};

/* engine.c */
void engine_look_now(struct engine *engine);

/* engine_facts.c */
void engine_take_look(struct engine *engine);
struct driver_now engine_now(const struct engine *engine);

/* engine_action.c: a look came, or the guardian's status: an action may be complete. */
void engine_advance(struct engine *engine);

/* engine_fence.c: ERR_BUSY while one is under way; it cancels whatever else runs. */
enum error engine_fence(struct engine *engine, struct epoch epoch, driver_done *done, void *ctx);

/* engine_start.c */
/* The guardian's status or a look is new. */
void engine_note_start(struct engine *engine);
/* True while a start would only fail again. */
bool engine_start_waits(const struct engine *engine);
/* Another goal: nothing is waited for in a failover. */
void engine_start_at_once(struct engine *engine);
void engine_start_facts(const struct engine *engine, struct keeper_facts *facts);

/* engine_write.c */
void engine_write_if_due(struct engine *engine);
/* For how long a write has hung; 0: none does. */
uint64_t engine_write_stalled_ms(const struct engine *engine);

#endif
