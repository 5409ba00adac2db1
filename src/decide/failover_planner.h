/* SPDX-License-Identifier: Apache-2.0 */
/* The next order for one shard's failover: replicated record + what the leader heard + what its
 * clock says -> at most one command, or the text of what is being waited for. Idempotent: asked
 * again with the same inputs it gives the same answer, so the next leader carries on where the last
 * one died. `state` re-validates every order at apply. Pure. */
#ifndef INDABA_DECIDE_FAILOVER_PLANNER_H
#define INDABA_DECIDE_FAILOVER_PLANNER_H

#include "decide/candidate.h"
#include "state/command.h"

enum {
    PLANNER_STUCK_MS = 10000,   /* a step that lasts so long may be replaced by a new attempt */
    PLANNER_FLAP_MS = 10000,    /* no second automatic failover so soon after the last */
    PLANNER_RETURNED_MS = 3000, /* … sooner by the old primary, back and fenced, in place */
    PLANNER_DRAIN_MS = 4000,    /* a primary that is to stop in order; its guardian waits less */
    PLANNER_WANTED_MS = 2000,   /* complete: … for whom an operator named */
    PLANNER_OWN_MS = 1000,      /* complete: … for the end of the old primary's own folder */
    PLANNER_GATHER_MS = 150,    /* complete: wait so long for reports beyond the quorum */
    PLANNER_REDO_BYTES_MAX = 64 * 1024 * 1024, /* restart in place only below this much redo */
};

struct plan_input {
    const struct shard_view *view;
    const struct observations *observations;
    struct region_list regions;
    uint64_t now_ms;
    uint32_t cluster_epoch;
    bool lease_ended; /* of (shard.primary, shard.primary_epoch), by this member's reckoning */

    /* An operator asked for a failover; wanted: whom (none: anybody). Kept in the leader's memory
     * until the shard's epoch has grown. */
    bool requested;
    struct instance_id wanted;
    char request_reason[TEXT_SIZE];
};

struct plan {
    bool has_command;
    struct command command;  /* kind and body; term, wall clock and actor are the controller's */
    uint64_t detected_ms;    /* failover.begin: first evidence, on the clock of now_ms */
    char waiting[TEXT_SIZE]; /* without a command: for what; "" when nothing is under way */
};

void failover_plan(const struct plan_input *input, struct plan *plan_out);

#endif
