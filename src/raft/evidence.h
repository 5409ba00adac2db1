/* SPDX-License-Identifier: Apache-2.0 */
/* Evidence of death (safety.md, section 6): a refused redial or a new incarnation of a peer. A
 * follower whose leader is dead by evidence forgets it, and it alone, and challenges within tens of
 * milliseconds instead of an election timeout. */
#ifndef INDABA_RAFT_EVIDENCE_H
#define INDABA_RAFT_EVIDENCE_H

#include "raft/types.h"

struct raft;

void evidence_on_dead(struct raft *raft, struct member_id peer);
/* Withdraws it; the normal timeout applies again. */
void evidence_on_alive(struct raft *raft, struct member_id peer);
/* A message that must have been sent after the evidence came withdraws it as well. */
void evidence_on_message(struct raft *raft, const struct raft_message *message);
bool evidence_against(const struct raft *raft, struct member_id peer);
/* How long a challenger waits before it asks again: 20 to 50 ms. */
uint64_t evidence_retry_ms(struct raft *raft);

#endif
