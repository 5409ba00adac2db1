/* SPDX-License-Identifier: Apache-2.0 */
/* When to begin a failover, and when to begin again because the attempt under way cannot get
 * through. The rule of both: never begin what cannot be finished with the instances that can be
 * reached, since beginning closes the lease of a primary that may be well. Pure. */
#ifndef INDABA_DECIDE_FAILOVER_RESTART_H
#define INDABA_DECIDE_FAILOVER_RESTART_H

#include "decide/failover_planner.h"

/* Whose folder goes on. */
enum failover_way {
    WAY_SUCCESSION, /* another's */
    WAY_IN_PLACE,   /* the primary's, which its guardian never lost sight of */
    WAY_WITNESSED,  /* the highest, that of the primary among them */
};

/* Steady state: plans failover.begin if the primary is dead or an operator asked, else says in
 * plan->waiting what speaks against it. */
void failover_begin_if_needed(const struct plan_input *input, struct plan *plan);

/* A step is not getting on: plans a new failover.begin and returns true if that would help. */
bool failover_restart(const struct plan_input *input, struct plan *plan);

/* How many instances other than the primary could be cut and report now; `enough_out` (NULL: not
 * asked) tells whether that satisfies the sync record, or in async mode gives a candidate. */
uint32_t failover_reachable(const struct plan_input *input, bool *enough_out);

/* Sync: would those satisfy the sync record in every pair, whether one of them may lead or not? */
bool failover_reachable_quorum(const struct plan_input *input);

/* Could it be cut and report now? Not the primary; its own folder, heard within a moment. */
bool failover_can_report(const struct plan_input *input, const struct instance *instance);

/* Can what an operator asks for (input->wanted, none: anybody) be done with what is heard now?
 * Asked before the wish is taken up, so that it is refused while nothing has happened, and again
 * before the primary is touched. False with what speaks against it in `why_out` (TEXT_SIZE bytes).
 */
bool failover_wish_is_possible(const struct plan_input *input, char *why_out);

/* Somebody who was cut received again: what it told as final does not count, and neither does what
 * rests on it. True: a new attempt begins, or waits for its turn (`waiting`). */
bool failover_cut_undone(const struct plan_input *input, struct plan *plan);

/* A new attempt. */
void failover_begin(const struct plan_input *input,
                    enum failover_cause cause,
                    enum failover_way way,
                    struct plan *plan);
/* So long a step may last before another attempt is made. */
uint64_t failover_stuck_ms(const struct plan_input *input);

/* The primary by record is fenced, and its folder may go on: in place, or witnessed. With much redo
 * the standbys are faster, where there are any to take over (`enough`). False: neither. */
bool failover_way_of_fenced(const struct plan_input *input,
                            bool enough,
                            enum failover_way *way_out);

#endif
