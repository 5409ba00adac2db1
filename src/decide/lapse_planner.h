/* SPDX-License-Identifier: Apache-2.0 */
/* Puts on record that what makes commits wait for standbys was not in force for a while
 * (safety.md 3), and that this is over: two orders for each time, however long it lasts. Pure. */
#ifndef INDABA_DECIDE_LAPSE_PLANNER_H
#define INDABA_DECIDE_LAPSE_PLANNER_H

#include "decide/failover_planner.h"

enum {
    LAPSE_QUIET_MS = 5000, /* so long nothing new: whoever plays with settings fills no ledger */
};

/* Sets a command only if one is due; leaves the rest of `plan_out` alone. */
void lapse_plan(const struct plan_input *input, struct plan *plan_out);

/* What is known of the primary in office, also from reports of a while ago: for the record of the
 * failover that replaces it. "" if nothing. `text` of TEXT_SIZE bytes. */
void lapse_known(const struct plan_input *input, char *text);

#endif
