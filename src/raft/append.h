/* SPDX-License-Identifier: Apache-2.0 */
/* The follower's side of replication: takes entries, cuts what conflicts, acknowledges what is
 * durable, and follows the leader's commit no further than its log is known to match. */
#ifndef INDABA_RAFT_APPEND_H
#define INDABA_RAFT_APPEND_H

#include "raft/types.h"

struct raft;

void append_on_request(struct raft *raft, const struct raft_message *request);
void append_on_heartbeat(struct raft *raft, const struct raft_message *heartbeat);
/* Answers a leader of an older term, so that it learns of the new one and steps down. */
void append_refuse_stale(struct raft *raft, const struct raft_message *request);
/* Something became durable: acknowledge it. */
void append_on_durable(struct raft *raft);

#endif
