/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps the sync record true to life while a primary is open: adds standbys that caught up, removes
 * those that have not streamed for T_shrink (what remains must still be able to acknowledge), and
 * finishes a joint change that the primary confirmed. At most one order; never during a failover.
 * docs/safety.md, section 3: the record changes first, the setting after. Pure. */
#ifndef INDABA_DECIDE_SYNC_PLANNER_H
#define INDABA_DECIDE_SYNC_PLANNER_H

#include "decide/failover_planner.h"

enum {
    SYNC_SHRINK_MS = 10000, /* T_shrink */
    SYNC_FRESH_MS = 2000,   /* reports of the primary older than this decide nothing */
};

void sync_plan(const struct plan_input *input, struct plan *plan_out);

#endif
