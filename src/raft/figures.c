/* SPDX-License-Identifier: Apache-2.0 */
/* What a core tells of itself: figures for status pages, metrics and tests. */
#include "base/check.h"
#include "raft/compaction.h"
#include "raft/heartbeat.h"
#include "raft/membership.h"
#include "raft/raft_state.h"
#include "raft/replicate.h"
#include "raft/timers.h"

enum {
    TOUCH_MS_MIN = 1000,
    TOUCH_HEARTBEATS = 3,
};

static void report_peer(const struct raft *raft,
                        const struct progress *peer,
                        struct raft_peer_status *status_out);
static enum raft_peer_state state_of(const struct progress *peer);

void raft_status(const struct raft *raft, struct raft_status *status_out)
{
    const struct raft_configuration *configuration = log_view_configuration(&raft->log);
    uint64_t configuration_index = log_view_configuration_index(&raft->log);
    *status_out = (struct raft_status){
        .role = raft->role,
        .term = raft->term,
        .leader = raft->leader,
        .vote = raft->vote,
        .first_index = raft->log.base_index + 1,
        .last_index = log_view_last_index(&raft->log),
        .durable_index = raft->durable.index,
        .commit = raft->commit_out,
        .applied = raft->applied,
        .log_bytes = raft->log.bytes,
        .snapshot = raft->snapshot,
        .snapshot_held = compaction_is_held(raft),
        .receiving_index = raft->receiving.index,
        .receiving_bytes = raft->receiving.written,
        .configuration = *configuration,
        .configuration_index = configuration_index,
        .configuration_committed = configuration_index <= raft->commit,
        .member = membership_find(configuration, raft->options.self) != NULL,
        .transfer_to = raft->transfer_to,
        .heartbeat_ms = timers_heartbeat_ms(raft),
        .election_ms = timers_election_ms(raft),
        .peers_count = raft->peers_count,
    };
    for (uint32_t i = 0; i < raft->peers_count; i++) {
        report_peer(raft, &raft->peers[i], &status_out->peers[i]);
    }
}

bool raft_is_out_of_touch(const struct raft *raft, uint64_t now_ms)
{
    if (raft->role != RAFT_LEADER) {
        return false;
    }
    uint64_t late_ms = (uint64_t)timers_heartbeat_ms(raft) * TOUCH_HEARTBEATS;
    late_ms = late_ms > TOUCH_MS_MIN ? late_ms : TOUCH_MS_MIN;
    return now_ms >= heartbeat_quorum_heard_ms(raft) + late_ms;
}

static void report_peer(const struct raft *raft,
                        const struct progress *peer,
                        struct raft_peer_status *status_out)
{
    *status_out = (struct raft_peer_status){
        .id = peer->id,
        .match_index = peer->match,
        .next_index = peer->next,
        .voter = membership_is_voter(log_view_configuration(&raft->log), peer->id),
        .active = replicate_is_active(raft, peer),
        .heard = replicate_is_heard(raft, peer),
        .unknown = !peer->answered && !peer->lost && replicate_is_active(raft, peer),
        .heard_ms = peer->heard_ms,
        .applied_index = peer->applied_index,
        .state_hash = peer->state_hash,
        .state = state_of(peer),
        .stalled = replicate_is_stalled(raft, peer),
        .caught_up = replicate_is_caught_up(raft, peer),
        .regressed = peer->regressed,
        .snapshot_index = peer->snapshot.index,
        .snapshot_size = peer->snapshot.size,
        .snapshot_acked = peer->snapshot.acked,
    };
}

static enum raft_peer_state state_of(const struct progress *peer)
{
    switch (peer->state) {
    case PROGRESS_PROBE:
        return RAFT_PEER_PROBE;
    case PROGRESS_REPLICATE:
        return RAFT_PEER_REPLICATE;
    case PROGRESS_SNAPSHOT:
        return RAFT_PEER_SNAPSHOT;
    }
    UNREACHABLE("a progress state that is not in its enum");
}
