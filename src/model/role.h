/* SPDX-License-Identifier: Apache-2.0 */
/* What an instance can be asked to be (goal role) and what it can be (instance state). Which goal
 * is given when is model/goal.c; what a sidecar does about each goal in each state is the table of
 * replication/keeper_table.c, of which a test proves that no pair is without a row. */
#ifndef INDABA_MODEL_ROLE_H
#define INDABA_MODEL_ROLE_H

#include "base/buf.h"

/* clang-format off */
#define GOAL_ROLE_TABLE(X)                                                                         \
    X(GOAL_WAIT,    "wait")    /* nothing assigned yet; keep what is, never writable */            \
    X(GOAL_PRIMARY, "primary") /* be, or become, the primary of this epoch */                      \
    X(GOAL_STANDBY, "standby") /* follow the upstream; rebuild if it cannot be followed */         \
    X(GOAL_CUT,     "cut")     /* receive nothing from the upstream named, report final position */ \
    X(GOAL_FENCED,  "fenced")  /* nothing of the database may run writable; stop if it was primary */

#define INSTANCE_STATE_TABLE(X)                                                                    \
    X(INSTANCE_UNKNOWN,  "unknown")  /* not looked at yet, or the look failed */                   \
    X(INSTANCE_EMPTY,    "empty")    /* no data folder */                                          \
    X(INSTANCE_STOPPED,  "stopped")  /* data folder, no process of it runs (verified) */           \
    X(INSTANCE_STARTING, "starting") /* started as a standby, does not answer yet */               \
    X(INSTANCE_STANDBY,  "standby")  /* answers, in recovery */                                    \
    X(INSTANCE_PRIMARY,  "primary")  /* answers, writable */                                       \
    X(INSTANCE_HUNG,     "hung")     /* runs but does not answer within the probe's deadline */    \
    X(INSTANCE_BUILDING, "building") /* initdb or base backup under way */

/* clang-format on */

enum goal_role {
#define X(name, text) name,
    GOAL_ROLE_TABLE(X)
#undef X
    GOAL_ROLE_COUNT
};

enum instance_state {
#define X(name, text) name,
    INSTANCE_STATE_TABLE(X)
#undef X
    INSTANCE_STATE_COUNT
};

const char *goal_role_name(enum goal_role role);
const char *instance_state_name(enum instance_state state);

#endif
