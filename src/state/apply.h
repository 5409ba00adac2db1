/* SPDX-License-Identifier: Apache-2.0 */
/* The replicated state machine: one committed entry in, table changes, one ledger leaf and a result
 * out, all through the tables of one open transaction. Deterministic: no clock, randomness, locale
 * or pointer order; the same entries give the same bytes on every member. */
#ifndef INDABA_STATE_APPLY_H
#define INDABA_STATE_APPLY_H

#include "state/command.h"
#include "state/tables.h"

struct sha256;

/* One committed entry. `command` is NULL for entries that are not commands (no-op, configuration)
 * and for payloads that could not be decoded (`undecodable`: recorded as a leaf, changes nothing).
 */
struct apply_entry {
    uint64_t index;
    uint64_t term;
    uint8_t raft_kind; /* enum raft_entry_kind, as a number */
    bool undecodable;
    const struct command *command;
    struct slice payload; /* the entry's exact bytes, hashed into the leaf */
    struct buf *replies;  /* of a COMMAND_KV: appended to (state/kv_reply.h); NULL: nobody asks */
};

/* Applies it. entry->index must be the applied index + 1. `changed_out` is the shard whose view
 * changed, 0 if none. */
void apply_entry(const struct tables *tables,
                 const struct apply_entry *entry,
                 struct command_result *result_out,
                 struct shard_id *changed_out);

struct apply_position {
    uint64_t index; /* applied index; 0: empty state */
    uint64_t term;
    uint64_t state_hash; /* rolling: hash of the one before and of every change of this entry */
};

/* Where the state stands. Zeros if nothing was ever applied. */
void apply_position(const struct tables *tables, struct apply_position *position_out);

#endif
