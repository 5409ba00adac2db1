/* SPDX-License-Identifier: Apache-2.0 */
/* See wal_replay.h. */
#include "storage/wal_replay.h"

#include "base/check.h"
#include "base/mem.h"

static enum error replay_entry(struct wal_recovered *recovered, const struct wal_record *record);
static enum error replay_hard_state(struct wal_recovered *recovered,
                                    const struct wal_record *record);
static void drop_entries_after(struct wal_recovered *recovered, uint64_t count);

enum error wal_replay(struct wal_recovered *recovered, const struct wal_record *record)
{
    CHECK(recovered->first_index > 0);
    switch (record->type) {
    case WAL_ENTRY:
        return replay_entry(recovered, record);
    case WAL_HARD_STATE:
        return replay_hard_state(recovered, record);
    }
    UNREACHABLE("a parsed record has one of these types");
}

enum error wal_replay_truncate(struct wal_recovered *recovered, uint64_t index)
{
    if (index > wal_replay_next_index(recovered)) {
        return ERR_CORRUPT;
    }
    if (index < recovered->first_index) {
        /* Its predecessors went with a cut that was interrupted between two removals. */
        recovered->first_index = index;
    }
    drop_entries_after(recovered, index - recovered->first_index);
    return ERR_OK;
}

uint64_t wal_replay_next_index(const struct wal_recovered *recovered)
{
    return recovered->first_index + recovered->entries_count;
}

void wal_recovered_deinit(struct wal_recovered *recovered)
{
    drop_entries_after(recovered, 0);
    mem_free(recovered->entries);
    *recovered = (struct wal_recovered){0};
}

static enum error replay_entry(struct wal_recovered *recovered, const struct wal_record *record)
{
    uint64_t count = recovered->entries_count;
    if (record->index != wal_replay_next_index(recovered)) {
        return ERR_CORRUPT;
    }
    if (count > 0 && record->term < recovered->entries[count - 1].term) {
        return ERR_CORRUPT;
    }
    if (count == recovered->entries_cap) {
        uint64_t cap = count == 0 ? 64 : count * 2;
        recovered->entries = mem_resize(recovered->entries, cap * sizeof(struct raft_entry));
        recovered->entries_cap = cap;
    }
    recovered->entries[count] = (struct raft_entry){
        .term = record->term,
        .index = record->index,
        .kind = (enum raft_entry_kind)record->kind,
        .payload = blob_new(record->payload),
    };
    recovered->entries_count = count + 1;
    return ERR_OK;
}

static enum error replay_hard_state(struct wal_recovered *recovered,
                                    const struct wal_record *record)
{
    if (record->term < recovered->hard_state.term) {
        return ERR_CORRUPT;
    }
    recovered->hard_state.term = record->term;
    recovered->hard_state.vote = wal_vote_decode(record->payload);
    return ERR_OK;
}

static void drop_entries_after(struct wal_recovered *recovered, uint64_t count)
{
    CHECK(count <= recovered->entries_count);
    for (uint64_t i = count; i < recovered->entries_count; i++) {
        blob_unref(recovered->entries[i].payload);
    }
    recovered->entries_count = count;
}
