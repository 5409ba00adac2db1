/* SPDX-License-Identifier: Apache-2.0 */
/* The leader's side of replication: appends proposals, streams entries to each peer as its window
 * allows, and advances the commit index. Heartbeats and check-quorum are in heartbeat.h. */
#ifndef INDABA_RAFT_REPLICATE_H
#define INDABA_RAFT_REPLICATE_H

#include "raft/progress.h"
#include "raft/types.h"

struct raft;

/* A new office: forget what was known of peers, append this term's no-op, speak to everybody. */
void replicate_start(struct raft *raft);
void replicate_stop(struct raft *raft);

/* Appends the payloads; the result is in raft->propose_error and propose_first_index. */
void replicate_propose(struct raft *raft, const struct raft_proposal *proposals, uint32_t count);
void replicate_on_result(struct raft *raft, const struct raft_message *result);
/* Our own disk has followed. */
void replicate_on_durable(struct raft *raft);
/* The link to a peer stands again, or its process has died and another one may answer: what was
 * under way may be lost, and a new process does not know how far its log is ours. */
void replicate_again(struct raft *raft, struct member_id id);
/* Probes again the peers that have not answered for too long. */
void replicate_tick(struct raft *raft);
/* When the next such peer is due; UINT64_MAX if none waits. */
uint64_t replicate_deadline_ms(const struct raft *raft);

/* NULL if it is no peer of this office. */
struct progress *replicate_peer(struct raft *raft, struct member_id id);
/* Heard within an election timeout. */
bool replicate_is_active(const struct raft *raft, const struct progress *peer);
/* It has answered this leader, within an election timeout, and nothing said since that it is dead.
 */
bool replicate_is_heard(const struct raft *raft, const struct progress *peer);
/* Heard, and for longer than an election timeout nothing of what the log holds became durable there
 * that was not before: its disk hangs, say. Never while it needs a snapshot, nor while it has all.
 */
bool replicate_is_stalled(const struct raft *raft, const struct progress *peer);
/* Close enough behind, and answering, to become a voter. */
bool replicate_is_caught_up(const struct raft *raft, const struct progress *peer);
/* Appends one entry of any kind and sends it to nobody. */
void replicate_append(struct raft *raft, enum raft_entry_kind kind, struct blob *payload);
void replicate_send_to_all(struct raft *raft);
/* Sends to one peer what its state and window allow. */
void replicate_send(struct raft *raft, struct progress *peer);
/* One value per server of the configuration in force, for quorum.h: `own` for ourselves, 0 for
 * strangers, else what `of` says of the peer. */
void replicate_values(const struct raft *raft,
                      uint64_t own,
                      uint64_t (*of)(const struct progress *peer),
                      uint64_t *values_out);

#endif
