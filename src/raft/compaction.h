/* SPDX-License-Identifier: Apache-2.0 */
/* What of the log a snapshot has made superfluous: all up to it, save a tail for peers that lag a
 * little, and what peers will need that are being sent a snapshot, or have just installed one. */
#ifndef INDABA_RAFT_COMPACTION_H
#define INDABA_RAFT_COMPACTION_H

#include "raft/types.h"

struct raft;

/* The shell has a durable snapshot file: forgets what may be forgotten now. */
void compaction_on_taken(struct raft *raft, const struct raft_snapshot *taken);
/* True if another snapshot would let nothing be forgotten now: raft_status.snapshot_held. */
bool compaction_is_held(const struct raft *raft);

#endif
