/* SPDX-License-Identifier: Apache-2.0 */
/* What the leader has heard of one shard in this office: sessions, the last report of each
 * instance, when the view last changed its step. Lives in the leader's memory only; the next leader
 * starts empty. Pure: all times are milliseconds of the owner's monotonic clock, passed in. Owned
 * by the controller, one per shard; one thread. */
#ifndef INDABA_DECIDE_OBSERVATION_H
#define INDABA_DECIDE_OBSERVATION_H

#include "model/report.h"

enum {
    OBSERVATION_FRESH_MS = 2000, /* what was last heard longer ago decides nothing */
};

struct observation {
    struct instance_id instance;
    uint64_t session;   /* 0: none open now */
    bool closed;        /* a session was open in this office and has ended */
    uint64_t closed_ms; /* when; valid with `closed` */
    uint64_t opened_ms; /* when the present session opened */
    bool heard;         /* `report` is of this office */
    uint64_t report_ms; /* when it arrived */
    uint64_t moved_ms;  /* when a report last told another position than the one before */
    struct report report;
    /* The start whose reports went back in their numbers: that machine was set back while it ran,
     * and is no witness of it. 0: none. */
    uint64_t set_back_nonce;
    /* As a standby, by the reports of the primary: which incarnation last streamed, and when. */
    struct incarnation streamed_inc;
    uint64_t streamed_ms;
};

struct observations {
    uint64_t elected_ms;
    struct observation items[SHARD_INSTANCES_MAX];
    uint32_t count;

    /* Of the view, as seen in this office. */
    struct epoch epoch;
    enum failover_step step;
    uint64_t step_since_ms; /* since when (epoch, step) stands, in this office */
    bool done_seen;         /* a failover got done in this office … */
    uint64_t done_ms;       /* … then */
    /* The primary by whose reports `streamed_ms` is kept, and since when. */
    struct instance_id primary_of;
    struct incarnation primary_inc;
    struct epoch primary_epoch;
    uint64_t primary_since_ms;
    uint64_t lapse_ms;         /* when a report last told of a lapse; else the election */
    uint64_t first_session_ms; /* first session of the office; 0: none yet */
    uint64_t out_of_touch_ms;  /* when this leader last found itself so; 0: never in this office */
    struct marks marks;        /* of the registered folders, from all who reported */
    struct sync_member folders[SHARD_INSTANCES_MAX]; /* as registered */
    uint32_t folders_count;
};

/* A new office: everything heard before is forgotten. */
void observe_elected(struct observations *observations, uint64_t now_ms);

/* The view was copied out of the state (again). Notes when the failover step changed. */
void observe_view(struct observations *observations,
                  const struct shard_view *view,
                  uint64_t now_ms);

/* No quorum of the members answers this leader now. */
void observe_out_of_touch(struct observations *observations, uint64_t now_ms);

/* A newer session of the same instance replaces the older one. ERR_LIMIT beyond
 * SHARD_INSTANCES_MAX. `session` is not 0. */
MUST_CHECK enum error observe_session_opened(struct observations *observations,
                                             struct instance_id instance,
                                             uint64_t session,
                                             uint64_t now_ms);

/* Does nothing unless `session` is the present one of that instance. */
void observe_session_closed(struct observations *observations,
                            struct instance_id instance,
                            uint64_t session,
                            uint64_t now_ms);

/* ERR_PRECONDITION if it did not come over the present session of that instance. */
MUST_CHECK enum error observe_report(struct observations *observations,
                                     const struct report *report,
                                     uint64_t session,
                                     uint64_t now_ms);

/* NULL if nothing of it was ever heard in this office. Borrowed until the next observe_*. */
const struct observation *observe_find(const struct observations *observations,
                                       struct instance_id instance);

/* True if its last report came over a session still open and at most `age_ms_max` ago. */
bool observation_is_fresh(const struct observation *observation,
                          uint64_t now_ms,
                          uint64_t age_ms_max);

#endif
