/* SPDX-License-Identifier: Apache-2.0 */
/* The log is used if it holds the snapshot's last entry. Else a crash came between the install of a
 * snapshot and the restart of the log: nothing in it is needed, and the first step restarts it. */
#include "raft/boot.h"

#include "base/check.h"
#include "raft/raft_state.h"

static void load_log(struct raft *raft, const struct raft_recovered *recovered);
static void load_entries(struct raft *raft, const struct raft_recovered *recovered);

void boot_load(struct raft *raft, const struct raft_recovered *recovered)
{
    CHECK(recovered->applied_index >= recovered->snapshot_index);
    raft->term = recovered->hard_state.term;
    raft->vote = recovered->hard_state.vote;
    load_log(raft, recovered);
    uint64_t last = log_view_last_index(&raft->log);
    CHECK(recovered->applied_index <= last);
    if (log_view_last_term(&raft->log) > raft->term) {
        /* The snapshot was durable before the term that its leader told; no vote left in it. */
        CHECK(raft->log.restart_index != 0);
        raft->term = log_view_last_term(&raft->log);
        raft->vote = (struct member_id){0};
        raft->hard_state_dirty = true;
    }
    /* What recovery found, it has also made durable. */
    raft->log.unwritten_from = last + 1;
    durable_init(&raft->durable, last, recovered->hard_state);

    raft->applied = recovered->applied_index;
    raft->commit = recovered->applied_index;
    raft->commit_out = raft->commit;
    if (recovered->snapshot_size > 0) {
        raft->snapshot = (struct raft_snapshot){
            .index = recovered->snapshot_index,
            .term = recovered->snapshot_term,
            .size = recovered->snapshot_size,
        };
    }
    if (recovered->partial_index > raft->commit) {
        raft->receiving = (struct snapshot_receive){
            .index = recovered->partial_index,
            .term = recovered->partial_term,
            .held = recovered->partial_bytes,
            .given = recovered->partial_bytes,
            .written = recovered->partial_bytes,
        };
    }
}

bool raft_log_goes_through(const struct raft_log_span *log, uint64_t index, uint64_t term)
{
    if (index < log->first_index) {
        return index + 1 == log->first_index;
    }
    uint64_t at = index - log->first_index;
    return at < log->entries_count && log->entries[at].term == term;
}

static void load_log(struct raft *raft, const struct raft_recovered *recovered)
{
    struct log_view *log = &raft->log;
    uint64_t index = recovered->snapshot_index;
    const struct raft_log_span span = {
        .first_index = recovered->entries_count > 0 ? recovered->entries[0].index : 1,
        .entries = recovered->entries,
        .entries_count = recovered->entries_count,
    };
    CHECK(span.first_index >= 1 && span.first_index <= index + 1);
    if (raft_log_goes_through(&span, index, recovered->snapshot_term)) {
        load_entries(raft, recovered);
        return;
    }
    log_view_init(log, index, recovered->snapshot_term);
    log_view_set_base(log, index, &recovered->configuration);
    log_view_restart(log, index, recovered->snapshot_term, &recovered->configuration);
}

static void load_entries(struct raft *raft, const struct raft_recovered *recovered)
{
    struct log_view *log = &raft->log;
    const struct raft_entry *entries = recovered->entries;
    uint64_t skipped = 0;
    if (recovered->entries_count == 0 || entries[0].index == recovered->snapshot_index + 1) {
        log_view_init(log, recovered->snapshot_index, recovered->snapshot_term);
    } else if (entries[0].index == 1) {
        log_view_init(log, 0, 0);
    } else {
        /* What lies before the first entry is unknown: the entry itself is the base. */
        log_view_init(log, entries[0].index, entries[0].term);
        skipped = 1;
    }
    log_view_set_base(log, recovered->snapshot_index, &recovered->configuration);
    for (uint64_t i = skipped; i < recovered->entries_count; i++) {
        log_view_append(log, &entries[i]);
    }
}
