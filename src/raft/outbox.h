/* SPDX-License-Identifier: Apache-2.0 */
/* What one step has produced: messages and the write. Entries in an append are not copied: the
 * message remembers where they begin and gets its pointer into the log when the step is over and
 * the log no longer moves. */
#ifndef INDABA_RAFT_OUTBOX_H
#define INDABA_RAFT_OUTBOX_H

#include "raft/types.h"

struct raft;

struct outbox {
    struct raft_message *messages;
    uint32_t count;
    uint32_t cap;
    struct raft_snapshot_read *reads;
    uint32_t reads_count;
    uint32_t reads_cap;
};

void outbox_deinit(struct outbox *outbox);
/* Empties it for a new step. */
void outbox_clear(struct outbox *outbox);
/* A message from this member in its term, to be filled in; borrowed until the next call. The chunk
 * of a snapshot is a reference that the outbox then holds. */
struct raft_message *
outbox_add(struct raft *raft, enum raft_message_type type, struct member_id to);
void outbox_add_read(struct outbox *outbox, struct raft_snapshot_read read);
/* Ends the step: issues the write if there is anything to write and points appends into the log. */
void outbox_finish(struct raft *raft, struct raft_write *write_out);

#endif
