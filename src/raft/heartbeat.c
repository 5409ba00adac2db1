/* SPDX-License-Identifier: Apache-2.0 */
/* Heartbeats, who answered them, and what follows from silence. */
#include "raft/heartbeat.h"

#include "base/check.h"
#include "base/log.h"
#include "raft/become.h"
#include "raft/quorum.h"
#include "raft/raft_state.h"
#include "raft/read_index.h"
#include "raft/replicate.h"
#include "raft/timers.h"
#include "raft/trace.h"

#include <inttypes.h>

enum {
    /* So long a commit waits for an append that says it: under load one always comes in time, and
     * no message more is sent. */
    COMMIT_TELL_MS = 2,
    /* And so long after the last one that was told by itself: many small commits cost little more
     * than what heartbeats cost anyway. */
    COMMIT_TELL_REST_MS = 20
};

static void send(struct raft *raft, struct progress *peer);
static bool all_are_told(const struct raft *raft);
static void tell_commit(struct raft *raft);
static uint64_t heard_ms_of(const struct progress *peer);
static uint64_t quorum_lost_ms(const struct raft *raft);

void heartbeat_broadcast(struct raft *raft)
{
    CHECK(raft->role == RAFT_LEADER);
    for (uint32_t i = 0; i < raft->peers_count; i++) {
        send(raft, &raft->peers[i]);
    }
    raft->tell_deadline_ms = 0;
    raft->heartbeat_deadline_ms = raft->now_ms + timers_heartbeat_ms(raft);
    CHECK(raft->heartbeat_deadline_ms > raft->now_ms);
}

void heartbeat_commit_grows(struct raft *raft)
{
    CHECK(raft->role == RAFT_LEADER);
    if (raft->tell_deadline_ms == 0 || all_are_told(raft)) {
        uint64_t soon_ms = raft->now_ms + COMMIT_TELL_MS;
        uint64_t rested_ms = raft->told_ms + COMMIT_TELL_REST_MS;
        raft->tell_deadline_ms = soon_ms > rested_ms ? soon_ms : rested_ms;
    }
}

void heartbeat_on_result(struct raft *raft, const struct raft_message *result)
{
    CHECK(result->term == raft->term);
    struct progress *peer = raft->role == RAFT_LEADER ? replicate_peer(raft, result->from) : NULL;
    const struct raft_heartbeat_result *answer = &result->heartbeat_result;
    if (peer == NULL || answer->probe > raft->probe) {
        return;
    }
    progress_heard(peer, raft->now_ms);
    progress_round(peer, log_view_last_index(&raft->log), raft->now_ms);
    if (answer->applied_index >= peer->applied_index) {
        peer->applied_index = answer->applied_index;
        peer->state_hash = answer->state_hash;
    }
    if (answer->probe > peer->probe_acked) {
        peer->probe_acked = answer->probe;
        read_index_confirm(raft);
    }
    CHECK(peer->probe_acked <= raft->probe);
}

void heartbeat_tick(struct raft *raft)
{
    CHECK(raft->role == RAFT_LEADER);
    if (raft->now_ms >= quorum_lost_ms(raft)) {
        MARK("raft.no_quorum_steps_down");
        trace_line(raft, "no quorum answers, steps down from term %" PRIu64, raft->term);
        become_follower(raft, raft->term);
        return;
    }
    if (raft->now_ms >= raft->heartbeat_deadline_ms) {
        heartbeat_broadcast(raft);
    } else if (raft->tell_deadline_ms != 0 && raft->now_ms >= raft->tell_deadline_ms) {
        tell_commit(raft);
    }
}

uint64_t heartbeat_deadline_ms(const struct raft *raft)
{
    CHECK(raft->role == RAFT_LEADER);
    uint64_t deadline = quorum_lost_ms(raft);
    deadline = raft->heartbeat_deadline_ms < deadline ? raft->heartbeat_deadline_ms : deadline;
    bool tells = raft->tell_deadline_ms != 0 && raft->tell_deadline_ms < deadline;
    return tells ? raft->tell_deadline_ms : deadline;
}

uint64_t heartbeat_quorum_heard_ms(const struct raft *raft)
{
    CHECK(raft->role == RAFT_LEADER);
    uint64_t values[RAFT_SERVERS_MAX] = {0};
    replicate_values(raft, raft->now_ms, heard_ms_of, values);
    return quorum_value(log_view_configuration(&raft->log), values);
}

/* All that is committed, also beyond what the peer has acknowledged: it takes what it knows to be
 * ours of that, now or when it comes (append.c). So one whose entries are still on their way need
 * not acknowledge them, and hear of the commit a round trip later. */
static void send(struct raft *raft, struct progress *peer)
{
    struct raft_message *message = outbox_add(raft, RAFT_HEARTBEAT, peer->id);
    message->heartbeat = (struct raft_heartbeat){.commit = raft->commit, .probe = raft->probe};
    peer->told = raft->commit;
}

static bool all_are_told(const struct raft *raft)
{
    for (uint32_t i = 0; i < raft->peers_count; i++) {
        if (raft->peers[i].told < raft->commit) {
            return false;
        }
    }
    return true;
}

static void tell_commit(struct raft *raft)
{
    raft->tell_deadline_ms = 0;
    for (uint32_t i = 0; i < raft->peers_count; i++) {
        const struct progress *peer = &raft->peers[i];
        if (peer->told < raft->commit && replicate_is_active(raft, peer)) {
            MARK("raft.commit_told");
            raft->told_ms = raft->now_ms;
            send(raft, &raft->peers[i]);
        }
    }
}

static uint64_t heard_ms_of(const struct progress *peer)
{
    return peer->heard_ms;
}

/* When the last answer of the quorum's slowest member will have been an election timeout ago. */
static uint64_t quorum_lost_ms(const struct raft *raft)
{
    return heartbeat_quorum_heard_ms(raft) + timers_election_ms(raft);
}
