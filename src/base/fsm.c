/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of allowed edges. */
#include "base/fsm.h"

#include "base/check.h"

static bool is_state(const struct fsm *fsm, int state);

bool fsm_allows(const struct fsm *fsm, int from, int to)
{
    CHECK(is_state(fsm, from));
    CHECK(is_state(fsm, to));
    return (fsm->allowed[from] >> (unsigned)to & 1) != 0;
}

void fsm_move(const struct fsm *fsm, int *state, int to)
{
    CHECK(fsm_allows(fsm, *state, to));
    *state = to;
}

static bool is_state(const struct fsm *fsm, int state)
{
    CHECK(fsm->states_count > 0 && fsm->states_count <= FSM_STATES_MAX);
    return state >= 0 && state < fsm->states_count;
}
