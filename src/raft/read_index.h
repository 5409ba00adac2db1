/* SPDX-License-Identifier: Apache-2.0 */
/* Linearizable reads without the log (section 8; thesis, 6.4): take the commit index, confirm that
 * we still lead, answer from a state at least that new. Confirmations are counted rounds, carried
 * by heartbeats, so one round serves every read that arrived before it began. No clock is
 * involved. */
#ifndef INDABA_RAFT_READ_INDEX_H
#define INDABA_RAFT_READ_INDEX_H

#include "raft/types.h"

struct raft;

/* A new office: nothing is confirmed. */
void read_index_start(struct raft *raft);
/* A read wants an index; it is refused at once if we do not lead. */
void read_index_add(struct raft *raft, uint64_t read_id);
/* Begins a round for the waiting reads, unless one is under way or nothing of this term is
 * committed yet (without that, the commit index may lag behind what a former leader told). */
void read_index_begin(struct raft *raft);
/* A peer answered a newer round. */
void read_index_confirm(struct raft *raft);
/* Leadership is lost. */
void read_index_refuse_all(struct raft *raft);

void read_index_clear_ready(struct raft *raft);
void read_index_deinit(struct raft *raft);

#endif
