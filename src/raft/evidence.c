/* SPDX-License-Identifier: Apache-2.0 */
/* The set of peers that are dead by evidence, and the challenge to a dead leader. */
#include "raft/evidence.h"

#include "base/check.h"
#include "base/log.h"
#include "raft/become.h"
#include "raft/election.h"
#include "raft/raft_state.h"
#include "raft/replicate.h"
#include "raft/trace.h"

enum {
    RANK_STEP_MS = 10, /* so that the survivors do not all ask at once */
    RETRY_MS_MIN = 20,
    RETRY_MS_MAX = 50,
};

static bool find(const struct raft *raft, struct member_id peer, uint32_t *at_out);

void evidence_on_dead(struct raft *raft, struct member_id peer)
{
    CHECK(!member_id_is_none(peer));
    CHECK(!member_id_equal(peer, raft->options.self));
    uint32_t at = 0;
    if (!find(raft, peer, &at)) {
        if (raft->dead_count == RAFT_SERVERS_MAX) {
            return;
        }
        at = raft->dead_count;
        raft->dead_count++;
    }
    raft->dead[at] = (struct raft_dead_peer){.id = peer, .term = raft->term};
    struct progress *progress = replicate_peer(raft, peer);
    if (progress != NULL) {
        progress->lost = true;
    }

    if (raft->role == RAFT_LEADER || !member_id_equal(raft->term_leader, peer) || raft->challenge) {
        return;
    }
    MARK("raft.leader_dead_by_evidence");
    trace_line(raft, "leader %s is dead by evidence", trace_id(peer).text);
    raft->leader = (struct member_id){0};
    raft->challenge = true;
    raft->challenged = peer;
    uint64_t wait_ms =
        (uint64_t)raft->options.rank * RANK_STEP_MS + prng_below(&raft->prng, RANK_STEP_MS);
    if (raft->election_deadline_ms > raft->now_ms + wait_ms) {
        raft->election_deadline_ms = raft->now_ms + wait_ms;
    }
}

void evidence_on_alive(struct raft *raft, struct member_id peer)
{
    uint32_t at = 0;
    if (!find(raft, peer, &at)) {
        return;
    }
    CHECK(raft->dead_count > 0);
    raft->dead_count--;
    raft->dead[at] = raft->dead[raft->dead_count];
    if (!raft->challenge || !member_id_equal(raft->challenged, peer)) {
        return;
    }
    MARK("raft.evidence_withdrawn");
    trace_line(raft, "evidence against %s is withdrawn", trace_id(peer).text);
    raft->challenge = false;
    if (raft->role == RAFT_PRE_CANDIDATE) {
        become_follower(raft, raft->term);
    } else if (raft->role == RAFT_FOLLOWER) {
        election_restart_timer(raft);
    }
    CHECK(raft->role != RAFT_PRE_CANDIDATE);
}

void evidence_on_message(struct raft *raft, const struct raft_message *message)
{
    uint32_t at = 0;
    if (find(raft, message->from, &at) && message->term > raft->dead[at].term) {
        evidence_on_alive(raft, message->from);
    }
    CHECK(raft->dead_count <= RAFT_SERVERS_MAX);
}

bool evidence_against(const struct raft *raft, struct member_id peer)
{
    uint32_t at = 0;
    return find(raft, peer, &at);
}

uint64_t evidence_retry_ms(struct raft *raft)
{
    CHECK(raft->challenge);
    return prng_between(&raft->prng, RETRY_MS_MIN, RETRY_MS_MAX);
}

static bool find(const struct raft *raft, struct member_id peer, uint32_t *at_out)
{
    for (uint32_t i = 0; i < raft->dead_count; i++) {
        if (member_id_equal(raft->dead[i].id, peer)) {
            *at_out = i;
            return true;
        }
    }
    return false;
}
