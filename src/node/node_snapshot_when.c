/* SPDX-License-Identifier: Apache-2.0 */
/* When a snapshot is taken, and whether there is room for one. A snapshot that is taken, received
 * or installed needs as much of the disk as the state again, or twice that, and all members need it
 * at about the same index: one that took the last of it would end the log and the store with it. So
 * each waits until there is room beside what the member needs in any case; the log grows meanwhile,
 * until growth is refused (storage/space.h). */
#include "node/node_internal.h"

#include "base/log.h"
#include "storage/space.h"

#include <inttypes.h>

enum {
    /* For so many times as long as one took, the next is not begun just because the log has grown.
     */
    RESTS = 9,
    /* But it is once the log, which is held in memory, has this part of the last one's size:
     * snapshots then write about so many times what the log does. */
    LOG_PART = 4,
    /* At least, after one that failed. */
    FAILED_REST_MS = 5000,
    /* More than a byte of the log leaves in the tables, in all of them together. */
    ROWS_OF_A_BYTE = 8
};

static bool has_what_made_it_due(struct node_snapshots *snapshots,
                                 const struct raft_status *status,
                                 uint64_t applied);
static uint64_t log_grown(const struct node *node, const struct raft_status *status);
static uint64_t room_to_take(const struct node *node, uint64_t grown_bytes);
static const char *kind_name(enum node_room kind);

bool node_snapshot_is_due(struct node *node, const struct raft_status *status)
{
    struct node_snapshots *snapshots = &node->snapshots;
    uint64_t grown = log_grown(node, status);
    uint64_t now_ms = node_now_ms(node);
    bool has_new = node->applied > snapshots->newest.index;
    if (now_ms < snapshots->failed_until_ms) {
        return false;
    }
    if (!has_new) {
        return snapshots->wanted && snapshots->newest.size > 0;
    }
    if (!snapshots->wanted) {
        if (grown < node->config->snapshot_bytes || status->snapshot_held) {
            snapshots->due_index = 0;
            return false;
        }
        if (!has_what_made_it_due(snapshots, status, node->applied)) {
            return false;
        }
        /* A large state is not written over and over. */
        if (grown < snapshots->newest.size / LOG_PART && now_ms < snapshots->rest_until_ms) {
            return false;
        }
    }
    return node_snapshot_has_room(node, NODE_ROOM_TAKE, room_to_take(node, grown));
}

uint64_t node_snapshot_log_grown(const struct node *node)
{
    struct raft_status status;
    raft_status(node->raft, &status);
    return log_grown(node, &status);
}

void node_snapshot_rest(struct node *node, uint64_t began_ms, bool failed)
{
    struct node_snapshots *snapshots = &node->snapshots;
    uint64_t now_ms = node_now_ms(node);
    snapshots->rest_until_ms = now_ms + RESTS * (now_ms - began_ms);
    if (failed) {
        snapshots->failed_until_ms = snapshots->rest_until_ms + FAILED_REST_MS;
    }
}

bool node_snapshot_has_room(struct node *node, enum node_room kind, uint64_t bytes)
{
    uint64_t *waits = &node->snapshots.needs[kind];
    uint64_t free_bytes = node_look_at_disk(node).free_bytes;
    bool has = free_bytes >= SPACE_LOW_BYTES && free_bytes - SPACE_LOW_BYTES >= bytes;
    if (!has && *waits == 0) {
        log_event(LOG_WARN,
                  "snapshot.waits_for_space",
                  "to=%s needs=%" PRIu64 " free=%" PRIu64 " kept_free=%d dir=%s",
                  kind_name(kind),
                  bytes,
                  free_bytes,
                  SPACE_LOW_BYTES,
                  log_quote(node->config->dir));
    } else if (has && *waits != 0) {
        log_event(
            LOG_INFO, "snapshot.has_space", "to=%s free=%" PRIu64, kind_name(kind), free_bytes);
    }
    *waits = has ? 0 : bytes + SPACE_LOW_BYTES;
    return has;
}

uint64_t node_snapshot_waits_for(const struct node *node)
{
    uint64_t most = 0;
    for (int kind = 0; kind < NODE_ROOM_KINDS; kind++) {
        uint64_t waits = node->snapshots.needs[kind];
        most = waits > most ? waits : most;
    }
    return most;
}

/* The log grows by what is appended, and a snapshot holds what is applied: one that lacks the entry
 * which made it due would leave a quiet log with that entry behind it for good. */
static bool has_what_made_it_due(struct node_snapshots *snapshots,
                                 const struct raft_status *status,
                                 uint64_t applied)
{
    if (snapshots->due_index == 0 || snapshots->due_index > status->last_index) {
        snapshots->due_index = status->last_index;
    }
    return applied >= snapshots->due_index;
}

/* The log is also cut, by the core, which says nothing of it. */
static uint64_t log_grown(const struct node *node, const struct raft_status *status)
{
    uint64_t base = node->snapshots.log_bytes_base;
    return status->log_bytes > base ? status->log_bytes - base : 0;
}

/* An estimate from above: all pages of the store, which it never gives back, or what the last one
 * had and what can have come since. */
static uint64_t room_to_take(const struct node *node, uint64_t grown_bytes)
{
    uint64_t last = node->snapshots.newest.size;
    uint64_t used = node->store_used_bytes;
    uint64_t grown = last + grown_bytes * ROWS_OF_A_BYTE;
    return last == 0 || used < grown ? used : grown;
}

static const char *kind_name(enum node_room kind)
{
    switch (kind) {
    case NODE_ROOM_TAKE:
        return "take";
    case NODE_ROOM_RECEIVE:
        return "receive";
    case NODE_ROOM_INSTALL:
        return "install";
    case NODE_ROOM_KINDS:
        break;
    }
    return "unknown";
}
