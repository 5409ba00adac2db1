/* SPDX-License-Identifier: Apache-2.0 */
/* How long a sidecar waits for the answer to a renewal before it looks for another leader. Too
 * short, and it throws away the session of a leader that answers slowly, for ever if no answer can
 * come in that time; too long, and the lease ends while a dead one is waited for. So it follows
 * from how long answers take, and grows while none comes at all. Pure. */
#ifndef INDABA_REPLICATION_PATIENCE_H
#define INDABA_REPLICATION_PATIENCE_H

#include <stdint.h>

enum {
    PATIENCE_MIN_MS = 1200, /* of which a lease of 3 s has enough left to find another leader */
    PATIENCE_MAX_MS = 10000,
    PATIENCE_ANSWERS = 3, /* as many times as the slowest answer of late took */
};

struct patience {
    uint64_t slowest_ms; /* of the answers; forgotten by an eighth with each that was faster */
    uint32_t given_up;   /* sessions left in a row, each without a single answer */
};

/* A renewal was answered after `waited_ms`. */
void patience_answered(struct patience *patience, uint64_t waited_ms);
/* It was over: the session is left. */
void patience_exhausted(struct patience *patience);
uint64_t patience_ms(const struct patience *patience);

#endif
