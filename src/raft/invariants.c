/* SPDX-License-Identifier: Apache-2.0 */
/* What holds between any two steps, whatever came in. Constant work, save for a walk over peers, so
 * that production checks it too. */
#include "base/check.h"
#include "raft/membership.h"
#include "raft/raft_state.h"
#include "raft/transfer.h"

static void check_snapshots(const struct raft *raft);
static void check_leader(const struct raft *raft);
static void check_not_leader(const struct raft *raft);

void raft_check_invariants(const struct raft *raft)
{
    uint64_t last = log_view_last_index(&raft->log);
    log_view_check_invariants(&raft->log);
    CHECK(log_view_last_term(&raft->log) <= raft->term);

    /* applied <= what left as committed <= committed, and that within the log and the disk. */
    CHECK(raft->applied <= raft->commit_out);
    CHECK(raft->commit_out <= raft->commit);
    CHECK(raft->commit_out <= raft->durable.index);
    CHECK(raft->commit <= last);
    CHECK(raft->commit >= raft->log.base_index);
    CHECK(raft->durable.index <= last);

    /* The disk never runs ahead of memory, and between steps every change is in a write. */
    CHECK(raft->durable.hard_state.term <= raft->term);
    CHECK(raft->durable.seq_done <= raft->durable.seq_issued);
    CHECK(raft->log.unwritten_from == last + 1 && raft->log.truncate_from == 0);
    if (raft->log.restart_index != 0) {
        /* Only a fresh core still owes that write: to its first step (boot.c). */
        CHECK(raft->durable.seq_issued == 0);
    } else {
        CHECK(!raft->hard_state_dirty);
        if (raft->durable.count == 0) {
            CHECK(raft->durable.index == last);
            CHECK(durable_has_vote(&raft->durable, raft->term, raft->vote));
        }
    }
    check_snapshots(raft);

    if (raft->role == RAFT_LEADER) {
        check_leader(raft);
    } else {
        check_not_leader(raft);
    }
}

static void check_snapshots(const struct raft *raft)
{
    const struct snapshot_receive *receiving = &raft->receiving;
    CHECK(raft->log.base_index <= raft->applied);
    CHECK(raft->snapshot.index <= raft->applied);
    CHECK(receiving->written <= receiving->given);
    CHECK(receiving->given <= receiving->held);
    CHECK(receiving->waiting_count <= SNAPSHOT_WAITING_MAX);
    CHECK(receiving->waiting_count > 0 || receiving->given == receiving->held);
    CHECK(receiving->size == 0 || receiving->held <= receiving->size);
    if (receiving->installing) {
        CHECK(raft->role != RAFT_LEADER);
        CHECK(receiving->index > raft->commit);
        CHECK(receiving->written == receiving->size);
    }
}

static void check_leader(const struct raft *raft)
{
    CHECK(member_id_equal(raft->leader, raft->options.self));
    CHECK(member_id_equal(raft->term_leader, raft->options.self));
    CHECK(member_id_equal(raft->vote, raft->options.self));
    CHECK(durable_has_vote(&raft->durable, raft->term, raft->options.self));
    CHECK(log_view_last_term(&raft->log) == raft->term);
    CHECK(raft->term_start_index <= raft->log.base_index ||
          log_view_term(&raft->log, raft->term_start_index) == raft->term);
    CHECK(!raft->may_not_lead);
    CHECK(raft->probe_confirmed <= raft->probe);
    CHECK(raft->proof_index <= log_view_last_index(&raft->log));
    CHECK(raft->reads.begun <= raft->reads.count);
    for (uint32_t i = 0; i < raft->peers_count; i++) {
        const struct progress *peer = &raft->peers[i];
        progress_check_invariants(peer);
        CHECK(peer->match <= log_view_last_index(&raft->log));
        CHECK(peer->next <= log_view_last_index(&raft->log) + 1);
        CHECK(peer->probe_acked <= raft->probe);
        CHECK(!member_id_equal(peer->id, raft->options.self));
    }
}

static void check_not_leader(const struct raft *raft)
{
    CHECK(!member_id_equal(raft->leader, raft->options.self));
    CHECK(raft->peers_count == 0);
    CHECK(raft->reads.count == 0);
    CHECK(!transfer_is_under_way(raft));
    CHECK(raft->matched <= log_view_last_index(&raft->log));
    CHECK(raft->acked <= raft->matched);
    switch (raft->role) {
    case RAFT_FOLLOWER:
        CHECK(member_id_is_none(raft->leader) || member_id_equal(raft->leader, raft->term_leader));
        break;
    case RAFT_PRE_CANDIDATE:
        CHECK(member_id_is_none(raft->leader));
        break;
    case RAFT_CANDIDATE:
        CHECK(member_id_equal(raft->vote, raft->options.self));
        CHECK(member_id_is_none(raft->term_leader));
        break;
    case RAFT_LEADER:
        UNREACHABLE("a leader is checked elsewhere");
    }
}
