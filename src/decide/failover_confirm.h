/* SPDX-License-Identifier: Apache-2.0 */
/* When the outage of a failover is over: not when the shard is open, but when a write can be
 * acknowledged. Pure. */
#ifndef INDABA_DECIDE_FAILOVER_CONFIRM_H
#define INDABA_DECIDE_FAILOVER_CONFIRM_H

#include "decide/failover_planner.h"

/* Steady state, without a command: plans failover.confirmed once the primary has seen W members of
 * the record flush what it wrote on its new timeline; until then plan->waiting says, unless it says
 * something else, that no write can be acknowledged. */
void failover_confirm_if_held(const struct plan_input *input, struct plan *plan);

#endif
