/* SPDX-License-Identifier: Apache-2.0 */
/* Whether the log, the newest snapshot and the store of a member's folder tell one story, so that
 * the core can start from them. Pure. What it lets through raft_new takes. */
#ifndef INDABA_NODE_RECOVERY_CHECK_H
#define INDABA_NODE_RECOVERY_CHECK_H

#include "base/reason.h"
#include "raft/raft.h"

struct recovery_facts {
    struct raft_log_span log;
    uint64_t snapshot_index; /* of the newest one; 0: there is none */
    uint64_t snapshot_term;
    uint64_t stored_index; /* the store's; at or above the snapshot's */
    uint64_t stored_term;
    const char *dir;        /* the member's folder, for the reason */
    const char *store_path; /* likewise */
};

/* ERR_CORRUPT, and the reason says what does not fit and what to do. A log that does not go through
 * the snapshot is no error if the store stands at the snapshot: an install was cut short before the
 * log was begun anew, and the core does that now. */
MUST_CHECK enum error recovery_check(const struct recovery_facts *facts, struct reason *reason);

#endif
