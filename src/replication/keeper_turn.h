/* SPDX-License-Identifier: Apache-2.0 */
/* One turn of the keeper after the other, over a disk that takes its time: what a promise is needed
 * for is done when the promise is durable, and only if it would still be chosen then. Meanwhile
 * nothing is done but a fence, which needs no promise. The owner writes `action.state_next`
 * whenever `saving` is true and nothing is being written, and says how that ended. Pure. */
#ifndef INDABA_REPLICATION_KEEPER_TURN_H
#define INDABA_REPLICATION_KEEPER_TURN_H

#include "replication/keeper.h"

struct keeper_turn {
    struct keeper_state state;   /* durable */
    bool saving;                 /* action.state_next is to become so … */
    struct keeper_action action; /* … and this is what it is written for */
};

enum keeper_hearing {
    KEEPER_LEFT_BEHIND, /* by a forced recovery: nothing that it says counts */
    KEEPER_HEARS,
    KEEPER_HEARS_LATER, /* ask again when something was saved */
};

/* The next action, as keeper_step; never one that waits for a promise: then it is WAIT or PERSIST,
 * and `saving` is true. */
void keeper_turn_next(struct keeper_turn *turn,
                      const struct keeper_facts *facts,
                      const struct goal *goal,
                      struct keeper_action *action_out);

/* The writing has ended. What is to be done now, if anything: PERSIST means nothing but another
 * turn, WAIT that it was not written. */
void keeper_turn_saved(struct keeper_turn *turn,
                       const struct keeper_facts *facts,
                       const struct goal *goal,
                       bool written,
                       struct keeper_action *action_out);

/* A leader of this cluster epoch speaks. It is heard once that epoch is durable. */
enum keeper_hearing keeper_turn_hear(struct keeper_turn *turn, uint32_t cluster_epoch);

/* The goal that a lease is asked for: a primary's only once its epoch is promised durably; one that
 * ends a lease at once. NULL: none. */
const struct goal *keeper_turn_lease(const struct keeper_turn *turn, const struct goal *goal);

#endif
