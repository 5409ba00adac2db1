/* SPDX-License-Identifier: Apache-2.0 */
/* The leader sends its latest snapshot to a peer whose next entry is gone: chunk by chunk, several
 * ahead of the answers, within a budget of bytes per second for all peers together, and again from
 * where the receiver is when answers fail to come. The core sees no file: it asks for a read, the
 * bytes come back as an event. */
#ifndef INDABA_RAFT_SNAPSHOT_SEND_H
#define INDABA_RAFT_SNAPSHOT_SEND_H

#include "raft/progress.h"
#include "raft/types.h"

struct raft;

/* Asks for the reads that may be made now; chooses a snapshot first if there is none. */
void snapshot_send(struct raft *raft, struct progress *peer);
void snapshot_send_on_read(struct raft *raft, const struct raft_event *event);
void snapshot_send_on_result(struct raft *raft, const struct raft_message *result);
/* Repeats what was not answered, and spends the budget that has come in. */
void snapshot_send_tick(struct raft *raft);
/* UINT64_MAX if nothing waits for time. */
uint64_t snapshot_send_deadline_ms(const struct raft *raft);
/* True if a living peer waits and there is no snapshot to send. */
bool snapshot_send_is_starved(const struct raft *raft);

#endif
