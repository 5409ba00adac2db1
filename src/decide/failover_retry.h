/* SPDX-License-Identifier: Apache-2.0 */
/* What is remembered of attempts that did not get through: whom to try next, and after what pause.
 * The counts are in the replicated record, so a new leader knows them; the pauses are counted on
 * the leader's clock. Pure. */
#ifndef INDABA_DECIDE_FAILOVER_RETRY_H
#define INDABA_DECIDE_FAILOVER_RETRY_H

#include "decide/failover_restart.h"

enum {
    RETRY_PAUSE_MS = 1000, /* before whoever failed once is tried again; doubles each time */
    RETRY_PAUSE_MS_MAX = 60000,
    RETRY_FAILURES_MAX = 3, /* what failed so often in a row under one goal is not waited for */
    RETRY_ROW_MAX = 2,      /* restarts in place in a row; then another instance takes over */
    RETRY_ROW_MS = 30000,   /* a death so soon after a restart in place is of the same row */
};

/* Before an instance is tried that failed so often since the shard was last open. */
uint64_t retry_pause_ms(uint32_t failures);

/* Among the instances that could take over from the primary by record, judged by what they last
 * reported (reachable, in an allowed region, not below a floor): the fewest failures of any.
 * UINT32_MAX if there is none. */
uint32_t retry_fewest_failures(const struct plan_input *input);

/* Of the primary by record, since the shard was last open. */
uint32_t retry_failures(const struct plan_input *input);

/* True while the decided candidate says itself that it cannot get on. */
bool retry_candidate_cannot(const struct plan_input *input);

/* Of the row that a restart in place of the primary by record would be part of: which number. */
uint32_t retry_in_place_row(const struct plan_input *input);

/* Steps promote and open: plans a new attempt and returns true if the candidate does not get
 * through; also while a pause before it lasts, told in plan->waiting. */
bool retry_after_decision(const struct plan_input *input, struct plan *plan);

/* True until `pause_ms` have passed since the present step began, as this leader saw it; then
 * plan->waiting says `why`, and how long it still lasts. */
bool retry_pause_lasts(const struct plan_input *input,
                       uint64_t pause_ms,
                       const char *why,
                       struct plan *plan);

/* A primary that was restarted in place so often in a row moves, if another one can take over:
 * *way, in place until then, becomes succession. Else its restarts become rarer: true while that
 * pause lasts. */
bool retry_row_is_held(const struct plan_input *input,
                       bool enough,
                       const char *why,
                       enum failover_way *way,
                       struct plan *plan);

#endif
