/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by agent.c (life, keeper's turn), agent_session.c (the session with the leader) and
 * agent_speakers.c (who may be one). */
#ifndef INDABA_REPLICATION_AGENT_INTERNAL_H
#define INDABA_REPLICATION_AGENT_INTERNAL_H

#include "replication/agent.h"
#include "replication/marks_file.h"
#include "replication/patience.h"
#include "replication/speakers.h"
#include "wire/wire_sidecar.h"

#include <uv.h>

enum {
    AGENT_PATH_SIZE = 512
};

struct agent {
    struct agent_options options;
    char state_path[AGENT_PATH_SIZE];
    uv_timer_t tick;

    struct keeper_state state; /* as on disk */
    bool has_goal;
    struct goal goal;
    struct keeper_action action; /* the last one the keeper chose */
    uint64_t fresh_incarnation;
    struct marks marks; /* of the shard's folders: seen here, and heard from the leader */
    struct marks_keeper *marks_keeper;
    uint64_t report_number;
    uint32_t parts_open;
    bool stepping;
    enum keeper_action_kind failed_kind; /* not tried again before failed_until_ms */
    uint64_t failed_until_ms;
    uint32_t failures;
    char trouble[TEXT_SIZE]; /* why the last action failed; "" if it did not */

    struct client_session *session;
    bool welcomed;
    struct instance_id instance;
    char leader[NAME_SIZE];
    uint64_t refused_since_ms;    /* no member welcomes us since then; 0: not so */
    uint64_t refused_told_ms;     /* when that was last logged as a warning */
    uint64_t left_behind_told_ms; /* when one of an older cluster epoch was last logged */
    uint64_t heard_ms;            /* when the leader last answered */
    uint64_t report_ms;           /* when the last report left */
    struct report reported;
    struct lease_holder lease;
    struct patience patience;

    char members_path[AGENT_PATH_SIZE];
    struct speakers speakers; /* as on disk */
    struct speakers_round round;
    uint64_t round_number;
    uint32_t questions;  /* of any round, not answered yet */
    uint32_t candidates; /* named in the last round, and not heard themselves */
    uint64_t ask_ms;     /* the next round is not before */
    uint64_t doubt_told_ms;
    uint32_t doubts;          /* rounds that did not bear the waiting goal out */
    bool has_waiting_welcome; /* of a leader, until somebody confirms it */
    struct wire_welcome waiting_welcome;
    bool has_waiting_goal; /* likewise */
    struct goal waiting_goal;
    bool closing;
};

/* agent.c: a leader of this cluster epoch welcomes us. False: nothing of it may be obeyed. */
bool agent_take_cluster_epoch(struct agent *agent, uint32_t cluster_epoch);
/* The goal is the newest there is. */
void agent_take_goal(struct agent *agent, const struct goal *goal);
/* agent.c: facts with what only the agent knows. */
void agent_facts(const struct agent *agent, struct keeper_facts *facts_out);

/* agent_speakers.c: reads the record of the coordinators. Errors as agent_new. */
MUST_CHECK enum error agent_speakers_load(struct agent *agent, const char *path, char *errmsg);
/* Whether who welcomes us is heard at once; else agent_welcome may follow. */
bool agent_hears(struct agent *agent, const struct wire_welcome *welcome);
/* Whether a goal is taken at once; else agent_take_goal may follow. */
bool agent_heeds(struct agent *agent, const struct goal *goal);
/* The session has ended. */
void agent_speakers_lost(struct agent *agent);
/* Asks, when it is time. */
void agent_speakers_turn(struct agent *agent);

/* agent_session.c */
/* The leader is one that is heard. */
void agent_welcome(struct agent *agent, const struct wire_welcome *welcome);
void agent_session_start(struct agent *agent);
void agent_session_stop(struct agent *agent);
/* Renews what is due, reports what changed or is old, gives up on a silent leader. */
void agent_session_turn(struct agent *agent);

#endif
