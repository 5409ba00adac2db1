/* SPDX-License-Identifier: Apache-2.0 */
/* Roles. The edges are the paper's figure 4, with the pre-candidate of the thesis (9.6) before the
 * candidate; a follower jumps over it when its leader hands over (3.10). */
#include "raft/become.h"

#include "base/check.h"
#include "raft/abdicate.h"
#include "raft/election.h"
#include "raft/raft_state.h"
#include "raft/read_index.h"
#include "raft/replicate.h"
#include "raft/trace.h"
#include "raft/transfer.h"

#include <inttypes.h>

enum {
    TO_FOLLOWER = 1U << RAFT_FOLLOWER,
    TO_PRE_CANDIDATE = 1U << RAFT_PRE_CANDIDATE,
    TO_CANDIDATE = 1U << RAFT_CANDIDATE,
    TO_LEADER = 1U << RAFT_LEADER,
};

static const char *const role_names[] = {
    [RAFT_FOLLOWER] = "follower",
    [RAFT_PRE_CANDIDATE] = "pre-candidate",
    [RAFT_CANDIDATE] = "candidate",
    [RAFT_LEADER] = "leader",
};

static const uint32_t role_edges[] = {
    [RAFT_FOLLOWER] = TO_FOLLOWER | TO_PRE_CANDIDATE | TO_CANDIDATE,
    [RAFT_PRE_CANDIDATE] = TO_FOLLOWER | TO_CANDIDATE,
    [RAFT_CANDIDATE] = TO_FOLLOWER | TO_PRE_CANDIDATE | TO_LEADER,
    [RAFT_LEADER] = TO_FOLLOWER,
};

const struct fsm become_roles = {
    .name = "raft_role",
    .states_count = ARRAY_LEN(role_names),
    .state_names = role_names,
    .allowed = role_edges,
};

static void enter(struct raft *raft, enum raft_role role);
static void enter_term(struct raft *raft, uint64_t term, struct member_id vote);
static void leave_office(struct raft *raft);

void become_follower(struct raft *raft, uint64_t term)
{
    CHECK(term >= raft->term);
    enum raft_role was = raft->role;
    if (was == RAFT_LEADER) {
        leave_office(raft);
    }
    if (was != RAFT_FOLLOWER) {
        enter(raft, RAFT_FOLLOWER);
    }
    if (term > raft->term) {
        enter_term(raft, term, (struct member_id){0});
    }
    /* A follower keeps its running timer: a stale candidate must not postpone its own election. */
    if (was != RAFT_FOLLOWER) {
        election_restart_timer(raft);
    }
    CHECK(raft->role == RAFT_FOLLOWER);
}

void become_pre_candidate(struct raft *raft)
{
    CHECK(raft->role != RAFT_LEADER);
    if (raft->role != RAFT_PRE_CANDIDATE) {
        enter(raft, RAFT_PRE_CANDIDATE);
    }
    raft->leader = (struct member_id){0};
    CHECK(raft->role == RAFT_PRE_CANDIDATE);
}

void become_candidate(struct raft *raft)
{
    CHECK(raft->role == RAFT_PRE_CANDIDATE || raft->role == RAFT_FOLLOWER);
    CHECK(raft->term < UINT64_MAX);
    enter_term(raft, raft->term + 1, raft->options.self);
    enter(raft, RAFT_CANDIDATE);
}

void become_leader(struct raft *raft)
{
    /* Without its own durable vote a leader that crashed could lead the same term twice, with two
     * different logs: its voters would vote for it again. */
    CHECK(durable_has_vote(&raft->durable, raft->term, raft->options.self));
    CHECK(member_id_equal(raft->vote, raft->options.self));
    enter(raft, RAFT_LEADER);
    raft->leader = raft->options.self;
    raft->term_leader = raft->options.self;
    raft->challenge = false;
    raft->vote_owed = (struct member_id){0};
}

void become_voter_of(struct raft *raft, struct member_id candidate)
{
    CHECK(member_id_is_none(raft->vote) || member_id_equal(raft->vote, candidate));
    CHECK(!member_id_is_none(candidate));
    if (member_id_is_none(raft->vote)) {
        raft->vote = candidate;
        raft->hard_state_dirty = true;
    }
}

static void enter(struct raft *raft, enum raft_role role)
{
    int state = (int)raft->role;
    fsm_move(&become_roles, &state, (int)role);
    trace_line(
        raft, "term %" PRIu64 ": %s -> %s", raft->term, role_names[raft->role], role_names[role]);
    raft->role = role;
}

static void enter_term(struct raft *raft, uint64_t term, struct member_id vote)
{
    CHECK(term > raft->term);
    CHECK(raft->role != RAFT_LEADER);
    trace_line(raft, "term %" PRIu64 " -> %" PRIu64, raft->term, term);
    raft->term = term;
    raft->vote = vote;
    raft->hard_state_dirty = true;
    raft->leader = (struct member_id){0};
    raft->term_leader = (struct member_id){0};
    raft->vote_owed = (struct member_id){0};
    raft->heard_leader_ms = 0;
    raft->matched = 0;
    raft->leader_commit = 0;
    raft->acked = 0;
}

static void leave_office(struct raft *raft)
{
    CHECK(raft->role == RAFT_LEADER);
    read_index_refuse_all(raft);
    transfer_clear(raft);
    abdicate_clear(raft);
    replicate_stop(raft);
    raft->leader = (struct member_id){0};
    raft->term_leader = (struct member_id){0};
}
