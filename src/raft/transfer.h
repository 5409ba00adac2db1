/* SPDX-License-Identifier: Apache-2.0 */
/* Hand-over of leadership (thesis, 3.10): stop taking proposals, let the target catch up, tell it
 * to campaign at once. If it does not take office within an election timeout, we carry on. */
#ifndef INDABA_RAFT_TRANSFER_H
#define INDABA_RAFT_TRANSFER_H

#include "raft/progress.h"
#include "raft/types.h"

struct raft;

/* To `target`, or to the voter that is best caught up if it is none. Ignored, with a trace, if we
 * do not lead or the target is no other voter that lives and has no need of a snapshot. */
void transfer_start(struct raft *raft, struct member_id target);
bool transfer_is_under_way(const struct raft *raft);
/* A peer has caught up further. */
void transfer_on_match(struct raft *raft, const struct progress *peer);
/* The leader of our term wants us to take over. */
void transfer_on_timeout_now(struct raft *raft, const struct raft_message *message);
/* Gives up when its time has passed. */
void transfer_tick(struct raft *raft);
void transfer_clear(struct raft *raft);
/* UINT64_MAX if none is under way. */
uint64_t transfer_deadline_ms(const struct raft *raft);

#endif
