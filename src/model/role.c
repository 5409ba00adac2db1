/* SPDX-License-Identifier: Apache-2.0 */
/* See model/role.h. */
#include "model/role.h"

#include "base/check.h"

static const char *const GOAL_NAMES[] = {
#define X(name, text) text,
    GOAL_ROLE_TABLE(X)
#undef X
};
static const char *const STATE_NAMES[] = {
#define X(name, text) text,
    INSTANCE_STATE_TABLE(X)
#undef X
};

_Static_assert(ARRAY_LEN(GOAL_NAMES) == GOAL_ROLE_COUNT, "one name per goal role");
_Static_assert(ARRAY_LEN(STATE_NAMES) == INSTANCE_STATE_COUNT, "one name per instance state");

const char *goal_role_name(enum goal_role role)
{
    return (unsigned)role < GOAL_ROLE_COUNT ? GOAL_NAMES[role] : "?";
}

const char *instance_state_name(enum instance_state state)
{
    return (unsigned)state < INSTANCE_STATE_COUNT ? STATE_NAMES[state] : "?";
}
