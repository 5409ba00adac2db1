/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by agent.c (life, keeper's turn), agent_keep.c (what is durable), agent_session.c (the
 * session with the leader), agent_speakers.c (who may be one) and agent_weigh.c (what is said of
 * it). */
#ifndef INDABA_REPLICATION_AGENT_INTERNAL_H
#define INDABA_REPLICATION_AGENT_INTERNAL_H

#include "base/reason.h"
#include "replication/agent.h"
#include "replication/keeper_turn.h"
#include "replication/kept_formats.h"
#include "replication/patience.h"
#include "replication/speakers.h"
#include "wire/wire_sidecar.h"

#include <uv.h>

enum {
    AGENT_PATH_SIZE = 512,
    AGENT_KEPT_FILES = 4,
    AGENT_REFUSALS_KEPT = 4,
};

struct agent {
    struct agent_options options;
    char state_path[AGENT_PATH_SIZE];
    char members_path[AGENT_PATH_SIZE];
    uv_timer_t tick;

    /* Kept on disk, each by a thread of its own. */
    struct kept_file *state_file;
    struct kept_file *marks_file;
    struct kept_file *speakers_file;
    struct kept_file *identity_file;
    uint64_t state_begun_ms; /* the state that is being written … */
    bool state_failed;       /* … or could not be, the last time */
    struct kept_marks marks_kept;
    struct kept_marks marks_next;
    uint64_t marks_begun_ms; /* 0: not yet */
    struct speakers speakers_next;
    struct cluster_id cluster_next;

    struct keeper_turn turn;
    bool has_goal;
    struct goal goal;
    struct keeper_action action; /* the last one the keeper chose */
    uint64_t fresh_incarnation;
    struct marks marks;           /* of the shard's folders: seen here, and heard from the leader */
    struct lineage_anchor anchor; /* of our own folder … */
    struct epoch led_epoch;       /* … and what was promised when it last ran as a standby */
    uint64_t report_number;
    uint32_t parts_open;
    bool stepping;
    enum keeper_action_kind failed_kind; /* not tried again before failed_until_ms */
    uint64_t failed_until_ms;
    uint32_t failures;
    char trouble[TEXT_SIZE];   /* why the last action failed; "" if it did not */
    char put_aside[TEXT_SIZE]; /* why the folder before was, until the next one has started */

    struct client_session *session;
    bool welcomed;
    struct instance_id instance;
    char leader[NAME_SIZE];
    uint64_t refused_since_ms; /* no member welcomes us since then; 0: not so */

    /* What was last logged of that as a warning, and when: members refuse for reasons of their own.
     */
    struct {
        uint64_t hash;
        uint64_t told_ms; /* 0: free */
    } refused[AGENT_REFUSALS_KEPT];

    uint64_t left_behind_told_ms; /* when one of an older cluster epoch was last logged */
    uint64_t heard_ms;            /* when the leader last answered */
    uint64_t report_ms;           /* when the last report left */
    struct report reported;
    struct lease_holder lease;
    struct patience patience;

    struct speakers speakers; /* as on disk */
    struct speakers_round round;
    uint64_t round_number;
    uint32_t questions;  /* of any round, not answered yet */
    uint32_t candidates; /* named in the last round, and not heard themselves */
    uint64_t ask_ms;     /* the next round is not before */
    bool learned;        /* who is on record differs from what was told */
    uint64_t doubt_told_ms;
    uint32_t doubts;          /* rounds that did not bear the waiting goal out */
    bool has_waiting_welcome; /* of a leader, until somebody confirms it … */
    bool welcome_heard;       /* … and then until what it asks of us is durable */
    struct wire_welcome waiting_welcome;
    bool has_waiting_goal; /* likewise */
    struct goal waiting_goal;
    bool closing;
};

/* agent.c */
/* The goal is the newest there is. */
void agent_take_goal(struct agent *agent, const struct goal *goal);
/* Facts with what only the agent knows. */
void agent_facts(const struct agent *agent, struct keeper_facts *facts_out);
/* The state was written: what it was written for may be done. */
void agent_state_saved(struct agent *agent, enum error error);

/* agent_keep.c: reads all that is kept. Errors as agent_new. */
MUST_CHECK enum error agent_keep_load(struct agent *agent, struct reason *reason);
void agent_keep_start(struct agent *agent);
/* `closed` comes once for each of the AGENT_KEPT_FILES. */
void agent_keep_stop(struct agent *agent, void (*closed)(void *ctx));
/* Begins to write, unless that goes on already. */
void agent_keep_state(struct agent *agent);
void agent_keep_marks(struct agent *agent);
void agent_keep_speakers(struct agent *agent, const struct speakers *next);
void agent_keep_cluster(struct agent *agent, struct cluster_id cluster);
/* For how long the state has been waiting for its disk; 0: it is not. */
uint64_t agent_keep_waits_ms(const struct agent *agent);

/* agent_weigh.c */
/* An answer came, and others may; the round is over; what waits is weighed anew. */
void agent_weigh_early(struct agent *agent);
void agent_weigh_round(struct agent *agent);
void agent_weigh(struct agent *agent);
/* Whether the goal follows from what was obeyed, so that nobody else need bear it out. */
bool agent_goes_alone(const struct agent *agent, const struct goal *goal);
/* The record of the coordinators was written, or not. */
void agent_speakers_saved(struct agent *agent, enum error error);

/* agent_speakers.c */
/* Whether who welcomes us is heard at once; else agent_welcome may follow. */
bool agent_hears(struct agent *agent, const struct wire_welcome *welcome);
/* Whether a goal is taken at once; else agent_take_goal may follow. */
bool agent_heeds(struct agent *agent, const struct goal *goal);
/* The session has ended. */
void agent_speakers_lost(struct agent *agent);
/* Asks, when it is time. */
void agent_speakers_turn(struct agent *agent);

/* agent_session.c */
/* The leader is one that is heard: it is obeyed once what it asks of us is durable. */
void agent_welcome(struct agent *agent, const struct wire_welcome *welcome);
/* Something became durable. */
void agent_welcome_turn(struct agent *agent);
void agent_session_start(struct agent *agent);
void agent_session_stop(struct agent *agent);
/* Renews what is due, reports what changed or is old, gives up on a silent leader. */
void agent_session_turn(struct agent *agent);

#endif
