/* SPDX-License-Identifier: Apache-2.0 */
/* One entry is under way at most, however often it is asked for: while a disk hangs the log does
 * not grow. */
#include "raft/proof.h"

#include "base/check.h"
#include "base/log.h"
#include "raft/membership.h"
#include "raft/quorum.h"
#include "raft/raft_state.h"
#include "raft/replicate.h"
#include "raft/timers.h"
#include "raft/trace.h"

#include <inttypes.h>

enum {
    /* Election timeouts: what was proven before is not known any more. */
    PATIENCE_TIMEOUTS = 2,
    PATIENCE_TIMEOUTS_MAX = 20, /* however slow the disks were */
    PATIENCE_MS_MIN = 250,      /* whoever asks again does so a few times within it */
};

static bool changes_votes(const struct raft *raft, const struct raft_configuration *first);
static bool reached(const struct raft *raft,
                    const struct raft_configuration *first,
                    struct member_id *lacks_out);
static uint64_t durable_at(const struct raft *raft, struct member_id id);
static void begin(struct raft *raft, uint64_t took_ms);
static uint64_t patience_ms(const struct raft *raft, uint64_t took_ms);

enum raft_change_refusal proof_check(struct raft *raft,
                                     const struct raft_configuration *first,
                                     struct member_id *refused_out)
{
    CHECK(raft->role == RAFT_LEADER);
    if (!changes_votes(raft, first)) {
        return RAFT_CHANGE_OK;
    }
    struct member_id lacks = {0};
    bool fresh = raft->now_ms - raft->proof_ms <= raft->proof_patience_ms;
    if (raft->proof_index == 0) {
        begin(raft, 0);
        return RAFT_CHANGE_PROVING;
    }
    if (reached(raft, first, &lacks)) {
        if (fresh) {
            return RAFT_CHANGE_OK;
        }
        MARK("raft.disks_asked_again");
        begin(raft, raft->proof_missed_ms);
        return RAFT_CHANGE_PROVING;
    }
    raft->proof_missed_ms = raft->now_ms - raft->proof_ms;
    *refused_out = lacks;
    return fresh ? RAFT_CHANGE_PROVING : RAFT_CHANGE_UNPROVEN;
}

void proof_forget(struct raft *raft)
{
    raft->proof_index = 0;
}

/* Learners that come or go, and timers, make nothing harder to commit. */
static bool changes_votes(const struct raft *raft, const struct raft_configuration *first)
{
    const struct raft_configuration *now = log_view_configuration(&raft->log);
    return membership_is_joint(first) ||
           first->rules.commit_regions_min > now->rules.commit_regions_min;
}

static bool reached(const struct raft *raft,
                    const struct raft_configuration *first,
                    struct member_id *lacks_out)
{
    uint64_t values[RAFT_SERVERS_MAX] = {0};
    for (uint32_t i = 0; i < first->count; i++) {
        const struct raft_server *server = &first->servers[i];
        values[i] = durable_at(raft, server->id);
        if (values[i] < raft->proof_index && (server->voter || server->voter_old)) {
            *lacks_out = server->id;
        }
    }
    return quorum_commit(first, values) >= raft->proof_index;
}

static uint64_t durable_at(const struct raft *raft, struct member_id id)
{
    if (member_id_equal(id, raft->options.self)) {
        return raft->durable.index;
    }
    for (uint32_t i = 0; i < raft->peers_count; i++) {
        if (member_id_equal(raft->peers[i].id, id)) {
            return raft->peers[i].match;
        }
    }
    return 0;
}

static void begin(struct raft *raft, uint64_t took_ms)
{
    struct blob *nothing = blob_new(slice_of("", 0));
    replicate_append(raft, RAFT_ENTRY_NOOP, nothing);
    blob_unref(nothing);
    raft->proof_index = log_view_last_index(&raft->log);
    raft->proof_ms = raft->now_ms;
    raft->proof_missed_ms = 0;
    raft->proof_patience_ms = patience_ms(raft, took_ms);
    MARK("raft.disks_asked");
    trace_line(raft, "asks the disks for %" PRIu64, raft->proof_index);
    replicate_send_to_all(raft);
}

/* A disk that is slow and follows all the same, as it did a moment ago, may take so long again: by
 * a fixed time its cluster could never change. */
static uint64_t patience_ms(const struct raft *raft, uint64_t took_ms)
{
    uint64_t election_ms = timers_election_ms(raft);
    uint64_t least = election_ms * PATIENCE_TIMEOUTS;
    uint64_t most = election_ms * PATIENCE_TIMEOUTS_MAX;
    uint64_t wanted = took_ms * 2 < most ? took_ms * 2 : most;
    least = least > PATIENCE_MS_MIN ? least : PATIENCE_MS_MIN;
    return wanted > least ? wanted : least;
}
