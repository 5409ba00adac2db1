/* SPDX-License-Identifier: Apache-2.0 */
/* How far the disk has followed. Writes are issued in order and complete in order; each is
 * remembered until its completion comes back under its own number, so that a late completion never
 * stands for an entry that was since rewritten (the ABA trap), and a truncation takes back at once
 * what earlier writes would have promised. */
#ifndef INDABA_RAFT_DURABLE_H
#define INDABA_RAFT_DURABLE_H

#include "raft/types.h"

struct durable_write {
    uint64_t seq;
    uint64_t last_index; /* durable log end once this write is done */
    bool has_hard_state;
    struct raft_hard_state hard_state;
};

struct durable {
    uint64_t index; /* the log is on disk up to here */
    struct raft_hard_state hard_state;
    uint64_t seq_issued;
    uint64_t seq_done;
    struct durable_write *writes; /* ring of those under way */
    uint32_t head;
    uint32_t count;
    uint32_t cap;
};

void durable_init(struct durable *durable, uint64_t index, struct raft_hard_state hard_state);
void durable_deinit(struct durable *durable);
/* Numbers a write that leaves the log ending at `last_index` and remembers it. */
void durable_issue(struct durable *durable, struct raft_write *write, uint64_t last_index);
/* Entries at or above `index` are no longer what the disk has or will have. */
void durable_cut(struct durable *durable, uint64_t index);
/* The state up to `index` is durable without the log, which begins anew after it: what writes under
 * way would have promised beyond is void. */
void durable_restart(struct durable *durable, uint64_t index);
/* The write `seq` and all before it are on disk. */
void durable_complete(struct durable *durable, uint64_t seq);
/* True if exactly this vote in exactly this term is on disk. */
bool durable_has_vote(const struct durable *durable, uint64_t term, struct member_id vote);

#endif
