/* SPDX-License-Identifier: Apache-2.0 */
/* What the driver's files share. Everything here is of the loop thread, except what a job's own
 * struct holds while the job runs. Nobody else includes this. */
#ifndef INDABA_REPLICATION_POSTGRES_PG_DRIVER_INTERNAL_H
#define INDABA_REPLICATION_POSTGRES_PG_DRIVER_INTERNAL_H

#include "replication/postgres/pg_driver.h"
#include "replication/postgres/pg_probe.h"
#include "replication/postgres/pg_reach.h"
#include "replication/postgres/pg_written.h"

#include <uv.h>

/* What the probe thread works on; the loop touches it only between looks. */
struct pg_probe_job {
    struct pg_prober prober;
    bool running;
    uint64_t starts;
    uint64_t begun_ms;
    struct pg_watch_wants wants;
    struct pg_look look;
    bool ask_words; /* a start failed: why? */
    char words[WORK_MESSAGE_SIZE];
};

/* What the write thread works on; the loop touches it only when it is idle. */
struct pg_write_job {
    const struct pg_place *place;
    struct pg_conn *conn;
    uint64_t begun_ms;
};

/* What is known of settings that somebody else may have changed (pg_driver_watch.c). */
struct pg_watch_state {
    struct pg_watch_wants wants;
    int64_t load_us;     /* when settings were last loaded, by us or noticed; 0 since the start */
    uint64_t settled_ms; /* looks begun before judge nothing: an action changed settings */
    bool put_back;       /* they have to be written anew … */
    uint64_t not_before_ms; /* … then; later each time that it does not help */
    uint32_t in_vain;
    uint64_t foul_ms; /* begin of the newest look that found something, 0 none */
    bool clean;       /* a look found all right … */
    uint64_t clean_ms;
    uint64_t clean_lsn; /* … when the primary had flushed up to here */
    char lapse[TEXT_SIZE];
    char found[PG_ROLES_TEXT_SIZE]; /* what was put back last, and when */
    uint64_t found_ms;
    char refused[WORK_MESSAGE_SIZE]; /* nobody is let in, by the newest look */
    struct epoch undone_epoch;       /* a cut of this epoch did not last */
};

enum pg_phase {
    PG_PHASE_IDLE,
    PG_PHASE_GUARD_BEFORE, /* the guardian stops it, or hears that it becomes writable */
    PG_PHASE_WORK,
    PG_PHASE_GUARD_AFTER, /* the guardian starts it */
    PG_PHASE_LOOK,        /* done; a look begun after that is waited for, so that facts fit */
};

/* What a folder has been seen to hold, of the database process that runs. */
struct pg_held {
    struct sync_member folder; /* none: our own */
    uint64_t sample_lsn;       /* end of a record … */
    uint64_t reached_lsn;      /* … and of the one before, which its flush has reached; 0 none */
};

/* The one action under way. */
struct pg_action {
    enum pg_phase phase;
    struct driver_request request;
    struct pg_settings settings;
    driver_done *done;
    void *ctx;
    const struct pg_place *place;
    struct fork fork;         /* PROMOTE */
    struct guard_start start; /* START */
    struct position final;    /* CUT, FINAL_POSITION */
    bool final_known;
    int64_t load_us; /* of an action that had settings loaded; 0 none */
    bool heals;      /* it puts back what somebody else changed */
    /* Before it overwrites settings, what it finds in their place: it may be a change that no look
     * has seen yet. */
    struct pg_watch_wants before;
    int64_t load_before_us;
    struct pg_watch_look found;
    bool reloaded;
    bool was_final; /* when it began, a final position was known */
    enum error error;
    char message[WORK_MESSAGE_SIZE];
    uint64_t begun_ms;
    uint64_t ended_ms;
};

struct pg_driver {
    struct driver base; /* first */
    struct uv_loop_s *loop;
    struct pg_place place;
    struct guard_link *guard;
    struct worker *actions;
    struct worker *probes;
    struct pg_reach *reach;
    uv_timer_t timer;
    void (*on_change)(void *ctx);
    void *ctx;
    struct goal goal;
    bool has_goal;

    struct pg_probe_job probe_job;
    bool probe_again;    /* something happened: look again at once */
    struct pg_look look; /* newest that answered, of the start `look_starts` */
    uint64_t look_starts;
    uint64_t look_ms; /* when it answered */
    bool looked;      /* at the folder at least once */
    bool folder;
    struct guard_folder left; /* the folder as it was left by the last process … */
    uint64_t left_starts;     /* … that was the guardian's so manieth */
    enum error look_error;    /* of the newest look */
    bool look_starting;       /* … it says that it starts */
    uint64_t look_begun_ms;   /* of the newest look, answered or not */
    uint64_t alive_ms;        /* newest sign of life, 0 none since the start */
    bool still;               /* the guardian says that nothing runs … */
    uint64_t still_ms;        /* … since then */
    uint64_t seen_starts;     /* newest start by the guardian … */
    uint64_t seen_starts_ms;  /* … and when it was seen */
    bool received_before;     /* a receiver ran in the look before */

    /* Starts that ended before the database answered (pg_driver_start.c). */
    uint32_t start_failures;  /* in a row */
    uint64_t start_failed_of; /* the newest: which of `seen_starts` */
    uint64_t start_again_ms;  /* not before */
    bool words_wanted;        /* … its last words are still to be read */
    char words[WORK_MESSAGE_SIZE];
    char note[TEXT_SIZE]; /* for people */

    struct pg_action action;
    bool fencing;
    driver_done *fence_done;
    void *fence_ctx;

    /* What actions found; of the database process `found_starts`, void after another start. */
    uint64_t found_starts;
    bool final_known;
    struct position final;
    uint64_t sync_set_version;
    uint64_t sync_confirmed_version;
    struct epoch slots_epoch;
    uint64_t slots_index;
    struct epoch canary_epoch;
    struct pg_held held_self;
    struct pg_held held[MARKS_MAX];
    uint32_t held_count;
    uint64_t acked_lsn;
    uint64_t
        acked_sample_lsn; /* end of a record; acknowledged once the W-th flush has reached it */

    struct pg_watch_state watch;
    struct worker *writes;
    struct pg_write_job write_job;
    struct pg_written written;

    bool closing;
    uint32_t parts_open;
    void (*closed)(void *ctx);
    void *closed_ctx;
};

/* pg_driver_facts.c */
void pg_driver_facts(const struct driver *base, struct keeper_facts *facts_out);
void pg_driver_take_look(struct pg_driver *driver);

/* pg_driver_marks.c: after each look that answered; into the facts. */
void pg_driver_marks_reset(struct pg_driver *driver);
void pg_driver_marks_follow(struct pg_driver *driver);
void pg_driver_marks_facts(const struct pg_driver *driver, struct keeper_facts *facts);

/* pg_driver_action.c */
enum error pg_driver_run(struct driver *base,
                         const struct driver_request *request,
                         driver_done *done,
                         void *ctx);
/* A look came, or the guardian's status: an action may be complete. */
void pg_driver_advance(struct pg_driver *driver);

/* pg_driver_fence.c: ERR_BUSY while one is under way; it cancels whatever else runs. */
enum error
pg_driver_fence(struct pg_driver *driver, struct epoch epoch, driver_done *done, void *ctx);

/* pg_driver_request.c */
bool pg_driver_needs_work(enum keeper_action_kind kind);
void pg_driver_fill_settings(struct pg_settings *settings, const struct driver_request *request);

/* pg_driver_start.c */
/* The guardian's status or a look is new. */
void pg_driver_note_start(struct pg_driver *driver);
/* True while a start would only fail again. */
bool pg_driver_start_waits(const struct pg_driver *driver);
/* Another goal: nothing is waited for in a failover. */
void pg_driver_start_at_once(struct pg_driver *driver);
void pg_driver_start_facts(const struct pg_driver *driver, struct keeper_facts *facts);

/* pg_driver_watch.c: a look came; an action that may change settings begins, and ended; what of it
 * is told. */
void pg_driver_watch_looked(struct pg_driver *driver);
void pg_driver_watch_begin(struct pg_driver *driver);
void pg_driver_watch_acted(struct pg_driver *driver);
/* What settings are taken to be now, by what was written last or else by the goal. */
struct pg_watch_wants pg_driver_watch_wants(const struct pg_driver *driver);
/* On the action thread: a look at the settings that are about to be replaced; and that, with the
 * new ones. */
void pg_driver_watch_before(struct work *work, struct pg_action *action);
enum error pg_driver_watch_apply(struct work *work, struct pg_action *action);
void pg_driver_watch_facts(const struct pg_driver *driver, struct keeper_facts *facts);

/* pg_driver_write.c */
void pg_driver_write_if_due(struct pg_driver *driver);
/* For how long a write has hung; 0: none does. */
uint32_t pg_driver_write_stalled_ms(const struct pg_driver *driver);
void pg_driver_write_close(struct pg_driver *driver);

/* pg_driver.c */
void pg_driver_probe_now(struct pg_driver *driver);

#endif
