/* SPDX-License-Identifier: Apache-2.0 */
/* Both ends of a hand-over. */
#include "raft/transfer.h"

#include "base/check.h"
#include "base/log.h"
#include "raft/election.h"
#include "raft/membership.h"
#include "raft/raft_state.h"
#include "raft/replicate.h"
#include "raft/timers.h"
#include "raft/trace.h"

static bool is_fit(const struct raft *raft, const struct progress *peer);
static struct member_id best_target(const struct raft *raft);

void transfer_start(struct raft *raft, struct member_id target)
{
    if (raft->role != RAFT_LEADER || transfer_is_under_way(raft)) {
        MARK("raft.transfer_not_now");
        trace_line(raft, "cannot hand over now");
        return;
    }
    CHECK(raft->peers_count < RAFT_SERVERS_MAX);
    if (member_id_is_none(target)) {
        target = best_target(raft);
    }
    const struct progress *peer = replicate_peer(raft, target);
    if (peer == NULL || !is_fit(raft, peer)) {
        MARK("raft.transfer_refused");
        trace_line(raft, "cannot hand over to %s", trace_id(target).text);
        return;
    }
    MARK("raft.transfer_begun");
    trace_line(raft, "hands over to %s", trace_id(target).text);
    raft->transfer_to = target;
    raft->transfer_deadline_ms = raft->now_ms + timers_election_ms(raft);
    transfer_on_match(raft, peer);
    CHECK(transfer_is_under_way(raft));
}

bool transfer_is_under_way(const struct raft *raft)
{
    return !member_id_is_none(raft->transfer_to);
}

void transfer_on_match(struct raft *raft, const struct progress *peer)
{
    CHECK(raft->role == RAFT_LEADER);
    if (transfer_is_under_way(raft) && member_id_equal(raft->transfer_to, peer->id) &&
        peer->match == log_view_last_index(&raft->log)) {
        CHECK(peer->match > 0);
        (void)outbox_add(raft, RAFT_TIMEOUT_NOW, peer->id);
    }
}

void transfer_on_timeout_now(struct raft *raft, const struct raft_message *message)
{
    CHECK(message->term == raft->term);
    if (raft->role != RAFT_FOLLOWER || !member_id_equal(message->from, raft->term_leader)) {
        return;
    }
    CHECK(raft->role == RAFT_FOLLOWER);
    MARK("raft.transfer_taken");
    trace_line(raft, "takes over from %s", trace_id(message->from).text);
    election_take_over(raft);
}

void transfer_tick(struct raft *raft)
{
    CHECK(raft->role == RAFT_LEADER);
    if (transfer_is_under_way(raft) && raft->now_ms >= raft->transfer_deadline_ms) {
        MARK("raft.transfer_failed");
        trace_line(raft, "hand-over to %s failed", trace_id(raft->transfer_to).text);
        transfer_clear(raft);
    }
}

void transfer_clear(struct raft *raft)
{
    raft->transfer_to = (struct member_id){0};
    raft->transfer_deadline_ms = UINT64_MAX;
}

uint64_t transfer_deadline_ms(const struct raft *raft)
{
    return transfer_is_under_way(raft) ? raft->transfer_deadline_ms : UINT64_MAX;
}

/* A voter that stays one, lives, and does not first need a whole snapshot. */
static bool is_fit(const struct raft *raft, const struct progress *peer)
{
    const struct raft_server *server =
        membership_find(log_view_configuration(&raft->log), peer->id);
    return server != NULL && server->voter && replicate_is_active(raft, peer) &&
           peer->state != PROGRESS_SNAPSHOT;
}

static struct member_id best_target(const struct raft *raft)
{
    struct member_id best = {0};
    uint64_t best_match = 0;
    for (uint32_t i = 0; i < raft->peers_count; i++) {
        const struct progress *peer = &raft->peers[i];
        if (is_fit(raft, peer) && (member_id_is_none(best) || peer->match > best_match)) {
            best = peer->id;
            best_match = peer->match;
        }
    }
    return best;
}
