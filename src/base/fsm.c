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

void fsm_print_dot(const struct fsm *fsm, struct buf *out)
{
    buf_printf(out, "digraph \"%s\" {\n", fsm->name);
    for (int state = 0; state < fsm->states_count; state++) {
        buf_printf(out, "    \"%s\";\n", fsm->state_names[state]);
    }
    for (int from = 0; from < fsm->states_count; from++) {
        for (int to = 0; to < fsm->states_count; to++) {
            if (fsm_allows(fsm, from, to)) {
                buf_printf(
                    out, "    \"%s\" -> \"%s\";\n", fsm->state_names[from], fsm->state_names[to]);
            }
        }
    }
    buf_append_string(out, "}\n");
}

static bool is_state(const struct fsm *fsm, int state)
{
    CHECK(fsm->states_count > 0 && fsm->states_count <= FSM_STATES_MAX);
    return state >= 0 && state < fsm->states_count;
}
