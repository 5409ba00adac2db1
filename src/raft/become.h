/* SPDX-License-Identifier: Apache-2.0 */
/* The only place where a role, a term or a vote changes. Leaving a role cleans up after it: waiting
 * reads are refused, a transfer ends. */
#ifndef INDABA_RAFT_BECOME_H
#define INDABA_RAFT_BECOME_H

#include "base/fsm.h"
#include "base/ids.h"

struct raft;

/* The roles and the edges between them, for tests and diagrams. */
extern const struct fsm become_roles;

/* Follower at `term` (>= the current one). A new term forgets vote and leader. */
void become_follower(struct raft *raft, uint64_t term);
void become_pre_candidate(struct raft *raft);
/* The next term, with the vote for ourselves. */
void become_candidate(struct raft *raft);
/* The caller starts replication (replicate.h). */
void become_leader(struct raft *raft);
/* Gives this term's vote, which must not be given to another already. */
void become_voter_of(struct raft *raft, struct member_id candidate);

#endif
