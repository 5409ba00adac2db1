/* SPDX-License-Identifier: Apache-2.0 */
/* The leader's pulse: heartbeats on their own lane, and check-quorum: a leader that a quorum has
 * not answered for an election timeout ends its own office, so that at most one leader believes in
 * itself for long. */
#ifndef INDABA_RAFT_HEARTBEAT_H
#define INDABA_RAFT_HEARTBEAT_H

#include "raft/types.h"

struct raft;

/* To every peer, with the current read probe. */
void heartbeat_broadcast(struct raft *raft);
void heartbeat_on_result(struct raft *raft, const struct raft_message *result);
/* The commit index is about to grow: whoever no append tells of it soon is told by a heartbeat, so
 * that what waits there for the commit does not wait for the next beat. */
void heartbeat_commit_grows(struct raft *raft);
/* Beats when due; steps down when the quorum is gone. */
void heartbeat_tick(struct raft *raft);
uint64_t heartbeat_deadline_ms(const struct raft *raft);

/* Leader: when the last of those was heard that make a quorum with it; now, where it is one alone.
 */
uint64_t heartbeat_quorum_heard_ms(const struct raft *raft);

#endif
