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

static uint64_t heard_ms_of(const struct progress *peer);
static uint64_t quorum_lost_ms(const struct raft *raft);

void heartbeat_broadcast(struct raft *raft)
{
    CHECK(raft->role == RAFT_LEADER);
    for (uint32_t i = 0; i < raft->peers_count; i++) {
        const struct progress *peer = &raft->peers[i];
        struct raft_message *message = outbox_add(raft, RAFT_HEARTBEAT, peer->id);
        message->heartbeat = (struct raft_heartbeat){
            .commit = raft->commit < peer->match ? raft->commit : peer->match,
            .probe = raft->probe,
        };
    }
    raft->heartbeat_deadline_ms = raft->now_ms + timers_heartbeat_ms(raft);
    CHECK(raft->heartbeat_deadline_ms > raft->now_ms);
}

void heartbeat_on_result(struct raft *raft, const struct raft_message *result)
{
    CHECK(result->term == raft->term);
    struct progress *peer = raft->role == RAFT_LEADER ? replicate_peer(raft, result->from) : NULL;
    const struct raft_heartbeat_result *answer = &result->heartbeat_result;
    if (peer == NULL || answer->probe > raft->probe) {
        return;
    }
    peer->heard_ms = raft->now_ms;
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
    }
}

uint64_t heartbeat_deadline_ms(const struct raft *raft)
{
    CHECK(raft->role == RAFT_LEADER);
    uint64_t lost = quorum_lost_ms(raft);
    return lost < raft->heartbeat_deadline_ms ? lost : raft->heartbeat_deadline_ms;
}

static uint64_t heard_ms_of(const struct progress *peer)
{
    return peer->heard_ms;
}

/* When the last answer of the quorum's slowest member will have been an election timeout ago. */
static uint64_t quorum_lost_ms(const struct raft *raft)
{
    uint64_t values[RAFT_SERVERS_MAX] = {0};
    replicate_values(raft, raft->now_ms, heard_ms_of, values);
    return quorum_value(log_view_configuration(&raft->log), values) + timers_election_ms(raft);
}
