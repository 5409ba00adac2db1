/* SPDX-License-Identifier: Apache-2.0 */
/* Where to cut. */
#include "raft/compaction.h"

#include "base/check.h"
#include "base/log.h"
#include "raft/raft_state.h"
#include "raft/replicate.h"
#include "raft/trace.h"

#include <inttypes.h>

enum {
    /* A peer that installs holds back the entries behind its snapshot, as many bytes as the
     * snapshot has but within so many tails, and so does one that has installed until it has caught
     * up. More than that comes meanwhile only if the log grows faster than snapshots are sent, or
     * the snapshot is larger than the most that is held back; then it is sent a newer one. */
    PIN_TAILS_MIN = 4,
    PIN_TAILS_MAX = 16,
};

static uint64_t tail_start(const struct raft *raft, uint64_t entries_max, uint64_t bytes_max);
static uint64_t pin_bytes_max(const struct raft *raft);
static void run(struct raft *raft);
static uint64_t lowest_pin(const struct raft *raft, uint64_t cut);
static uint64_t pin_of(const struct raft *raft, const struct progress *peer);

void compaction_on_taken(struct raft *raft, const struct raft_snapshot *taken)
{
    CHECK(taken->index <= raft->applied);
    CHECK(taken->index > 0 && taken->size > 0);
    if (taken->index < raft->snapshot.index || taken->index < raft->log.base_index ||
        taken->index < raft->log.configurations[0].index) {
        /* It was begun before another one was installed. */
        MARK("raft.snapshot_older_than_ours");
        trace_line(raft, "has a newer snapshot than that at %" PRIu64, taken->index);
        return;
    }
    CHECK(log_view_term(&raft->log, taken->index) == taken->term);
    raft->snapshot = *taken;
    run(raft);
}

bool compaction_is_held(const struct raft *raft)
{
    for (uint32_t i = 0; i < raft->peers_count; i++) {
        const struct progress *peer = &raft->peers[i];
        if (peer->snapshot.index != 0 && peer->snapshot.index < raft->snapshot.index &&
            replicate_is_active(raft, peer) && raft->log.bytes < pin_bytes_max(raft)) {
            return true;
        }
    }
    return false;
}

static void run(struct raft *raft)
{
    const struct raft_options *options = &raft->options;
    if (raft->snapshot.index <= raft->log.base_index) {
        return;
    }
    uint64_t cut =
        lowest_pin(raft, tail_start(raft, options->log_tail_entries, options->log_tail_bytes));
    uint64_t least = tail_start(raft, UINT64_MAX, pin_bytes_max(raft));
    cut = cut > least ? cut : least;
    CHECK(cut <= raft->applied);
    if (cut > raft->log.base_index) {
        MARK("raft.log_cut");
        trace_line(raft, "forgets entries up to %" PRIu64, cut);
        log_view_compact(&raft->log, cut);
    }
}

/* The index before the longest run of entries that ends at the snapshot and is within bounds. */
static uint64_t tail_start(const struct raft *raft, uint64_t entries_max, uint64_t bytes_max)
{
    uint64_t index = raft->snapshot.index;
    uint64_t bytes = 0;
    while (index > raft->log.base_index && raft->snapshot.index - index < entries_max) {
        bytes += log_view_entry_bytes(log_view_at(&raft->log, index));
        if (bytes > bytes_max) {
            break;
        }
        index--;
    }
    return index;
}

static uint64_t pin_bytes_max(const struct raft *raft)
{
    uint64_t tail = raft->options.log_tail_bytes;
    uint64_t size = raft->snapshot.size;
    if (size < tail * PIN_TAILS_MIN) {
        return tail * PIN_TAILS_MIN;
    }
    return size < tail * PIN_TAILS_MAX ? size : tail * PIN_TAILS_MAX;
}

static uint64_t lowest_pin(const struct raft *raft, uint64_t cut)
{
    for (uint32_t i = 0; i < raft->peers_count; i++) {
        uint64_t pin = pin_of(raft, &raft->peers[i]);
        cut = pin < cut ? pin : cut;
    }
    return cut;
}

/* The index behind which the log is kept for the peer; UINT64_MAX if nothing is. */
static uint64_t pin_of(const struct raft *raft, const struct progress *peer)
{
    if (peer->snapshot.index != 0) {
        return peer->snapshot.index;
    }
    if (peer->kept_from != 0 && replicate_is_active(raft, peer)) {
        return peer->match > peer->kept_from ? peer->match : peer->kept_from;
    }
    return UINT64_MAX;
}
