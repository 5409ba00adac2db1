/* SPDX-License-Identifier: Apache-2.0 */
/* One file at a time to each peer. The budget is a bucket that fills with time; who finds it too
 * low is served by a later tick, each time beginning with another peer. */
#include "raft/snapshot_send.h"

#include "base/check.h"
#include "base/log.h"
#include "raft/raft_state.h"
#include "raft/replicate.h"
#include "raft/timers.h"
#include "raft/trace.h"

#include <inttypes.h>

enum {
    WINDOW_CHUNKS = 8, /* read or sent, and not answered */
    /* The bucket holds what comes in within that time. */
    BUCKET_MS = 100,
    PASSED_MS_MAX = 1000 * 1000,
};

static bool is_lost(const struct raft_event *event, uint64_t size);
static bool is_sendable(const struct raft *raft, uint64_t index);
static bool choose(struct raft *raft, struct progress *peer);
static bool spend(struct raft *raft, uint64_t bytes);
static void ask_read(struct raft *raft, const struct progress *peer, uint32_t length);
static void
send_chunk(struct raft *raft, const struct progress *peer, uint64_t offset, struct blob *chunk);
static bool is_waiting(const struct progress *peer);
static uint64_t retry_ms(const struct raft *raft);

void snapshot_send(struct raft *raft, struct progress *peer)
{
    CHECK(raft->role == RAFT_LEADER);
    if (peer->state != PROGRESS_SNAPSHOT || !replicate_is_active(raft, peer) ||
        !choose(raft, peer)) {
        return;
    }
    struct progress_snapshot *sent = &peer->snapshot;
    /* One that installs another snapshot, perhaps for as long as it waits for room, takes nothing:
     * it is not sent whole windows again and again. */
    uint64_t window =
        (uint64_t)raft->options.snapshot_chunk_bytes * (sent->alone ? 1 : WINDOW_CHUNKS);
    while (sent->next < sent->size && sent->next - sent->acked < window) {
        uint64_t rest = sent->size - sent->next;
        uint32_t length = rest < raft->options.snapshot_chunk_bytes
                              ? (uint32_t)rest
                              : raft->options.snapshot_chunk_bytes;
        if (!spend(raft, length)) {
            return;
        }
        if (sent->next == sent->acked) {
            peer->sent_ms = raft->now_ms;
        }
        ask_read(raft, peer, length);
        sent->next += length;
    }
}

void snapshot_send_on_read(struct raft *raft, const struct raft_event *event)
{
    struct progress *peer =
        raft->role == RAFT_LEADER ? replicate_peer(raft, event->snapshot_read.peer) : NULL;
    uint64_t index = event->snapshot_read.index;
    bool sends = peer != NULL && peer->snapshot.index == index;
    bool lost = is_lost(event, sends ? peer->snapshot.size : UINT64_MAX);
    if (lost && raft->snapshot.index == index) {
        MARK("raft.snapshot_not_readable");
        trace_line(raft, "cannot read its snapshot at %" PRIu64, index);
        raft->snapshot = (struct raft_snapshot){0};
    }
    if (!sends) {
        return;
    }
    bool failed = event->snapshot_read.error != ERR_OK;
    if (lost || (failed && raft->snapshot.index > index)) {
        peer->snapshot = (struct progress_snapshot){0};
        snapshot_send(raft, peer);
    } else if (failed) {
        /* The file may be sound, and what keeps it from being read may pass: it is asked for again
         * when the peer has said nothing for a while. */
        MARK("raft.snapshot_read_later");
        trace_line(raft, "cannot read its snapshot at %" PRIu64 " just now", index);
    } else {
        send_chunk(raft, peer, event->snapshot_read.offset, blob_ref(event->snapshot_read.chunk));
    }
}

void snapshot_send_on_result(struct raft *raft, const struct raft_message *result)
{
    CHECK(result->term == raft->term);
    struct progress *peer = raft->role == RAFT_LEADER ? replicate_peer(raft, result->from) : NULL;
    if (peer == NULL) {
        return;
    }
    progress_heard(peer, raft->now_ms);
    const struct raft_install_snapshot_result *answer = &result->install_snapshot_result;
    struct progress_snapshot *sent = &peer->snapshot;
    if (peer->state != PROGRESS_SNAPSHOT || sent->index == 0 || answer->last_index != sent->index ||
        answer->offset > sent->size) {
        return;
    }
    if (answer->done) {
        MARK("raft.snapshot_sent");
        trace_line(raft, "%s has the snapshot at %" PRIu64, trace_id(peer->id).text, sent->index);
        progress_left_snapshot(peer, sent->index);
        replicate_send(raft, peer);
        return;
    }
    sent->reported = answer->offset;
    if (answer->offset > sent->acked) {
        sent->acked = answer->offset;
        sent->alone = false;
        sent->next = sent->next > sent->acked ? sent->next : sent->acked;
        peer->sent_ms = raft->now_ms;
    }
    snapshot_send(raft, peer);
}

void snapshot_send_tick(struct raft *raft)
{
    CHECK(raft->role == RAFT_LEADER);
    raft->snapshot_wait_ms = UINT64_MAX;
    raft->snapshot_turn++;
    for (uint32_t i = 0; i < raft->peers_count; i++) {
        struct progress *peer = &raft->peers[(i + raft->snapshot_turn) % raft->peers_count];
        if (peer->state == PROGRESS_SNAPSHOT && is_waiting(peer) &&
            replicate_is_active(raft, peer) && raft->now_ms >= peer->sent_ms + retry_ms(raft)) {
            progress_restart(peer);
            peer->sent_ms = raft->now_ms;
            if (peer->snapshot.acked == peer->snapshot.size) {
                /* It has all and installs, or its answer was lost: ask. */
                send_chunk(raft, peer, peer->snapshot.size, blob_new(slice_of("", 0)));
            }
        }
        snapshot_send(raft, peer);
    }
}

uint64_t snapshot_send_deadline_ms(const struct raft *raft)
{
    uint64_t deadline = raft->snapshot_wait_ms;
    for (uint32_t i = 0; i < raft->peers_count; i++) {
        const struct progress *peer = &raft->peers[i];
        if (peer->state == PROGRESS_SNAPSHOT && is_waiting(peer) &&
            replicate_is_active(raft, peer) && peer->sent_ms + retry_ms(raft) < deadline) {
            deadline = peer->sent_ms + retry_ms(raft);
        }
    }
    return deadline;
}

bool snapshot_send_is_starved(const struct raft *raft)
{
    for (uint32_t i = 0; i < raft->peers_count; i++) {
        const struct progress *peer = &raft->peers[i];
        if (peer->state == PROGRESS_SNAPSHOT && replicate_is_active(raft, peer) &&
            peer->snapshot.index == 0 && !is_sendable(raft, raft->snapshot.index)) {
            return true;
        }
    }
    return false;
}

/* True if the file is gone or bad, or is not the one of `size` bytes that was taken. */
static bool is_lost(const struct raft_event *event, uint64_t size)
{
    const struct blob *chunk = event->snapshot_read.chunk;
    uint64_t offset = event->snapshot_read.offset;
    if (event->snapshot_read.error != ERR_OK) {
        return event->snapshot_read.error == ERR_NOT_FOUND ||
               event->snapshot_read.error == ERR_CORRUPT;
    }
    return chunk == NULL || chunk->len == 0 || chunk->len > RAFT_SNAPSHOT_CHUNK_MAX ||
           offset > size || chunk->len > size - offset;
}

/* The log must go on behind a snapshot that is sent. */
static bool is_sendable(const struct raft *raft, uint64_t index)
{
    return index > 0 && index >= raft->log.base_index;
}

static bool choose(struct raft *raft, struct progress *peer)
{
    if (is_sendable(raft, peer->snapshot.index)) {
        return true;
    }
    peer->snapshot = (struct progress_snapshot){0};
    if (!is_sendable(raft, raft->snapshot.index)) {
        return false;
    }
    trace_line(
        raft, "sends %s the snapshot at %" PRIu64, trace_id(peer->id).text, raft->snapshot.index);
    peer->snapshot = (struct progress_snapshot){
        .index = raft->snapshot.index,
        .term = raft->snapshot.term,
        .size = raft->snapshot.size,
    };
    return true;
}

static bool spend(struct raft *raft, uint64_t bytes)
{
    uint64_t rate = raft->options.snapshot_bytes_per_s;
    uint64_t most = rate * BUCKET_MS / 1000;
    most = most > raft->options.snapshot_chunk_bytes ? most : raft->options.snapshot_chunk_bytes;
    uint64_t passed_ms = raft->now_ms - raft->snapshot_budget_ms;
    passed_ms = passed_ms < PASSED_MS_MAX ? passed_ms : PASSED_MS_MAX;
    uint64_t earned = rate * passed_ms / 1000;
    if (earned > 0) {
        uint64_t room = most - raft->snapshot_budget;
        raft->snapshot_budget += earned < room ? earned : room;
        raft->snapshot_budget_ms = raft->now_ms;
    }
    if (raft->snapshot_budget >= bytes) {
        raft->snapshot_budget -= bytes;
        return true;
    }
    uint64_t wait_ms = (bytes - raft->snapshot_budget) * 1000 / rate + 1;
    if (raft->now_ms + wait_ms < raft->snapshot_wait_ms) {
        raft->snapshot_wait_ms = raft->now_ms + wait_ms;
    }
    return false;
}

static void ask_read(struct raft *raft, const struct progress *peer, uint32_t length)
{
    outbox_add_read(&raft->outbox,
                    (struct raft_snapshot_read){
                        .peer = peer->id,
                        .index = peer->snapshot.index,
                        .offset = peer->snapshot.next,
                        .length = length,
                    });
}

/* Takes over the reference to `chunk`. */
static void
send_chunk(struct raft *raft, const struct progress *peer, uint64_t offset, struct blob *chunk)
{
    const struct progress_snapshot *sent = &peer->snapshot;
    if (!is_sendable(raft, sent->index)) {
        blob_unref(chunk);
        return;
    }
    struct raft_message *message = outbox_add(raft, RAFT_INSTALL_SNAPSHOT, peer->id);
    message->install_snapshot = (struct raft_install_snapshot){
        .last_index = sent->index,
        .last_term = sent->term,
        .configuration = *log_view_configuration_at(&raft->log, sent->index),
        .size = sent->size,
        .offset = offset,
        .last = offset + chunk->len == sent->size,
        .chunk = chunk,
    };
}

/* True if an answer is due; without one for a while, what was sent is sent again. */
static bool is_waiting(const struct progress *peer)
{
    const struct progress_snapshot *sent = &peer->snapshot;
    return sent->index != 0 && (sent->next > sent->acked || sent->acked == sent->size);
}

static uint64_t retry_ms(const struct raft *raft)
{
    return timers_election_ms(raft);
}
