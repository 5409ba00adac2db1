/* SPDX-License-Identifier: Apache-2.0 */
/* What the driver's files share. Everything here is of the loop thread, except what a job works on
 * while it runs: `probe_job` while the engine looks, `action` while it acts, `write_conn` while it
 * writes (driver.h says when that is). Nobody else includes this. */
#ifndef INDABA_REPLICATION_POSTGRES_PG_DRIVER_INTERNAL_H
#define INDABA_REPLICATION_POSTGRES_PG_DRIVER_INTERNAL_H

#include "replication/postgres/pg_driver.h"
#include "replication/postgres/pg_lineage.h"
#include "replication/postgres/pg_loads.h"
#include "replication/postgres/pg_probe.h"
#include "replication/postgres/pg_written.h"

/* What the probe thread works on. */
struct pg_probe_job {
    struct pg_prober prober;
    struct pg_watch_wants wants;
    struct pg_look look;
};

/* What is known of settings that somebody else may have changed (pg_driver_watch.c). */
struct pg_watch_state {
    struct pg_watch_wants wants;
    struct pg_loads loads;  /* when settings were loaded, by us or noticed */
    uint64_t settled_ms;    /* looks begun before judge nothing: an action changed settings */
    bool put_back;          /* they have to be written anew … */
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
    char locked[WORK_MESSAGE_SIZE];  /* … but who was in before */
    struct epoch undone_epoch;       /* a cut of this epoch did not last */
};

/* What a folder has been seen to hold, of the database process that runs. */
struct pg_held {
    struct sync_member folder;
    uint64_t sample_lsn;  /* end of a record … */
    uint64_t reached_lsn; /* … and of the one before, which its flush has reached; 0 none */
};

/* The one action under way, or the last one. */
struct pg_action {
    bool running;
    struct driver_request request;
    struct pg_settings settings;
    const struct pg_place *place;
    struct fork fork;          /* PROMOTE */
    struct pg_lineage lineage; /* PROVE finds it; START: what was found … */
    bool lineage_known;        /* … if anything was */
    uint32_t start_failures;   /* START: so many have failed in a row */
    struct position final;     /* CUT, FINAL_POSITION */
    bool final_known;
    char gate_why[WORK_MESSAGE_SIZE]; /* START: why the gate is not loaded, "" it is */
    int64_t load_us;                  /* of an action that had settings loaded; 0 none */
    int64_t begun_wall_us;
    bool heals; /* it puts back what somebody else changed */
    /* Before it overwrites settings, what it finds in their place: it may be a change that no look
     * has seen yet. */
    struct pg_watch_wants before;
    struct pg_loads loads_before;
    struct pg_watch_look found;
    bool reloaded;
    bool was_final; /* when it began, a final position was known */
    enum error error;
    uint64_t begun_ms;
    uint64_t ended_ms;
};

struct pg_driver {
    struct driver base; /* first */
    struct pg_place place;
    char program[PG_PATH_SIZE * 2];
    struct goal goal;
    bool has_goal;

    struct pg_probe_job probe_job;
    uint64_t probe_begun_ms; /* of the newest look */
    struct pg_look look;     /* newest that answered */
    bool received_before;    /* a receiver ran in the look before */
    uint64_t wal_lost_ms;    /* since then looks say that the upstream has not what it needs … */
    uint64_t wal_lost_seen_ms; /* … the last of them; 0 none */
    char note[TEXT_SIZE];      /* for people */
    /* What PROVE found of the folder, after the guardian's so manieth start. */
    struct pg_lineage lineage;
    bool lineage_known;
    uint64_t lineage_starts;
    uint32_t lineage_of; /* the newest timeline of the record that it was compared with */
    bool met_stranger;   /* what runs received from somebody else's server */

    struct pg_action action;
    struct pg_conn *write_conn;

    /* What actions found; of the database process that runs, void after another start. */
    bool final_known;
    struct position final;
    uint64_t sync_set_version;
    uint64_t sync_confirmed_version;
    struct epoch slots_epoch;
    uint64_t slots_index;
    struct epoch canary_epoch;
    struct pg_held held[MARKS_MAX];
    uint32_t held_count;
    uint64_t acked_lsn;
    uint64_t
        acked_sample_lsn; /* end of a record; acknowledged once the W-th flush has reached it */

    char gate_why[WORK_MESSAGE_SIZE]; /* of the newest start; "" it was loaded, or not our doing */
    struct pg_watch_state watch;
    struct pg_written written;
};

/* pg_driver_facts.c */
void pg_driver_facts(const struct driver *base,
                     const struct driver_now *now,
                     struct keeper_facts *facts);
void pg_driver_looked(struct driver *base, const struct driver_seen *seen);

/* pg_driver_marks.c: after each look that answered; into the facts. */
void pg_driver_marks_reset(struct pg_driver *driver);
void pg_driver_marks_follow(struct pg_driver *driver);
void pg_driver_marks_facts(const struct pg_driver *driver, struct keeper_facts *facts);

/* pg_driver_action.c */
void pg_driver_begin(struct driver *base,
                     const struct driver_request *request,
                     const struct driver_now *now);
enum error pg_driver_act(struct work *work, struct driver *base, struct guard_start *start_out);
void pg_driver_acted(struct driver *base, enum error error, uint64_t ended_ms);

/* pg_driver_request.c */
void pg_driver_fill_settings(struct pg_settings *settings, const struct driver_request *request);

/* pg_driver_lineage.c: an action begins, PROVE has found; a look came; into the facts. */
void pg_driver_lineage_begin(struct pg_driver *driver, const struct driver_now *now);
void pg_driver_lineage_found(struct pg_driver *driver);
void pg_driver_lineage_looked(struct pg_driver *driver);
void pg_driver_lineage_facts(const struct pg_driver *driver,
                             const struct driver_now *now,
                             struct keeper_facts *facts);

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

/* pg_driver_write.c: on the write thread. */
enum error pg_driver_write(struct work *work, struct driver *base);

#endif
