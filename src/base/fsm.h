/* SPDX-License-Identifier: Apache-2.0 */
/* A table of allowed edges and the one way to move along them. A state is a small enum; each module
 * that has one keeps a `const struct fsm`, so that the table can be checked, printed and drawn. */
#ifndef INDABA_BASE_FSM_H
#define INDABA_BASE_FSM_H

#include "base/buf.h"

#include <stdbool.h>

enum {
    FSM_STATES_MAX = 32
};

struct fsm {
    const char *name;
    int states_count;
    const char *const *state_names;
    /* allowed[from] has bit `to` set for each edge. */
    const uint32_t *allowed;
};

bool fsm_allows(const struct fsm *fsm, int from, int to);
/* Sets *state to `to`; a CHECK fails on an edge that is not in the table. */
void fsm_move(const struct fsm *fsm, int *state, int to);

#endif
