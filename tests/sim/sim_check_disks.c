/* SPDX-License-Identifier: Apache-2.0 */
/* No leader begins a change of the voters that needs somebody whose disk hangs and hung before it
 * could be asked: it would answer all the while, and the change might never commit. */
#include "tests/sim/sim_world.h"

#include "node/node_internal.h"
#include "raft/membership.h"
#include "raft/quorum.h"
#include "raft/raft_state.h"

#include <inttypes.h>

enum {
    /* So long what a disk has shown counts; more where an entry took longer before, but not more
     * than the last of these (raft/proof.c). */
    ELECTIONS = 2,
    ELECTIONS_MAX = 20,
    ON_THE_WAY_US =
        2000 * SIM_MS, /* a last acknowledgement, and a leader that looks now and then */
};

void sim_check_disks(struct sim *sim, struct sim_member *member)
{
    const struct raft *raft = node_raft(member->core);
    if (member->role != RAFT_LEADER) {
        member->change_seen = 0;
        return;
    }
    uint64_t index = log_view_configuration_index(&raft->log);
    uint64_t seen = member->change_seen;
    const struct raft_configuration *now = log_view_configuration(&raft->log);
    member->change_seen = index;
    if (seen == 0 || index <= seen || !membership_is_joint(now)) {
        return;
    }
    uint64_t least_ms = (uint64_t)now->rules.election_ms * ELECTIONS;
    uint64_t most_ms = (uint64_t)now->rules.election_ms * ELECTIONS_MAX;
    uint64_t known_ms = raft->proof_patience_ms < most_ms ? raft->proof_patience_ms : most_ms;
    known_ms = known_ms > least_ms ? known_ms : least_ms;
    uint64_t known_us = known_ms * SIM_MS + ON_THE_WAY_US;
    bool follows[RAFT_SERVERS_MAX] = {false};
    for (uint32_t i = 0; i < now->count; i++) {
        const struct sim_member *one = &sim->members[sim_node_of(now->servers[i].id)];
        follows[i] = sim->now_us >= one->disk_hangs_until_us ||
                     sim->now_us < one->disk_hangs_since_us + known_us;
    }
    if (!quorum_has(now, follows)) {
        sim_fail(sim,
                 "member %u begins a change at %" PRIu64 " that needs a disk that hangs",
                 member->node,
                 index);
    }
}
