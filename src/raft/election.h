/* SPDX-License-Identifier: Apache-2.0 */
/* Elections: timers, pre-vote, votes. Pre-vote and stickiness are always on: a server that cannot
 * win does not raise anybody's term, and who hears a leader does not help to depose it. Only a
 * hand-over by the leader itself (transfer.h) passes both. */
#ifndef INDABA_RAFT_ELECTION_H
#define INDABA_RAFT_ELECTION_H

#include "raft/types.h"

struct raft;

/* Arms the first timer of a fresh core. A sole voter has nobody to wait for. */
void election_init(struct raft *raft);
/* A new random timeout from now on. */
void election_restart_timer(struct raft *raft);
/* Starts a round if the timer has run out; not for leaders. */
void election_tick(struct raft *raft);
/* Campaigns at once, without pre-vote, because the leader said so. */
void election_take_over(struct raft *raft);

/* True if the request must be refused without even looking at its term, because a living leader is
 * heard (thesis, 4.2.3 and 9.6). */
bool election_is_sticky(const struct raft *raft, const struct raft_message *request);
void election_on_request(struct raft *raft, const struct raft_message *request);
void election_refuse(struct raft *raft, const struct raft_message *request);
void election_on_result(struct raft *raft, const struct raft_message *result);
/* Something became durable: our own vote may count now, and an owed one may be told. */
void election_on_durable(struct raft *raft);

/* The leader of the current term spoke. False if that cannot be, and the message must be dropped.
 */
MUST_CHECK bool election_heard_leader(struct raft *raft, struct member_id leader);

#endif
