/* SPDX-License-Identifier: Apache-2.0 */
/* What the disks of a cluster must hold before a message leaves, or an entry counts as committed.
 */
#include "base/check.h"
#include "tests/support/raft_cluster.h"
#include "tests/support/raft_cluster_internal.h"

static bool is_held(const struct raft_cluster *cluster,
                    const struct raft_configuration *configuration,
                    const struct raft_entry *entry);

/* What leaves must be on the platter already. */
void raft_cluster_check_promises(struct raft_cluster *cluster,
                                 uint32_t from,
                                 const struct raft_message *message)
{
    const struct sim_disk *disk = &cluster->nodes[from].disk;
    const struct raft_append_result *result = &message->append_result;
    if (message->type == RAFT_REQUEST_VOTE_RESULT && message->request_vote_result.granted &&
        !message->request_vote_result.pre_vote) {
        CHECK(disk->hard_state.term == message->term);
        CHECK(member_id_equal(disk->hard_state.vote, message->to));
        raft_oracle_vote(&cluster->oracle, from, message->term, (uint32_t)message->to.lo);
    } else if (message->type == RAFT_APPEND_RESULT && result->success && result->index > 0) {
        const struct raft_entry *entry = raft_entry_at(cluster->nodes[from].raft, result->index);
        CHECK(result->index <= disk->snapshot.index ||
              (entry != NULL && sim_disk_has(disk, entry->index, entry->term)));
    } else if (message->type == RAFT_REQUEST_VOTE && message->request_vote.last_index > 0) {
        CHECK(
            sim_disk_has(disk, message->request_vote.last_index, message->request_vote.last_term));
    }
}

/* Whoever first takes an entry as committed, the leader of that term had the platters counted; if
 * it is still there, its configuration tells which; or the one before, for it may have gone on. */
void raft_cluster_check_holders(const struct raft_cluster *cluster,
                                uint64_t term,
                                const struct raft_entry *entry)
{
    for (uint32_t node = 1; node <= cluster->options.nodes; node++) {
        const struct raft_cluster_node *host = &cluster->nodes[node];
        if (host->raft == NULL) {
            continue;
        }
        struct raft_status status = raft_cluster_status(cluster, node);
        if (status.role == RAFT_LEADER && status.term == term) {
            CHECK(is_held(cluster, &host->configuration, entry) ||
                  is_held(cluster, &host->configuration_before, entry));
        }
    }
}

static bool is_held(const struct raft_cluster *cluster,
                    const struct raft_configuration *configuration,
                    const struct raft_entry *entry)
{
    bool holds[RAFT_SERVERS_MAX] = {false};
    for (uint32_t i = 0; i < configuration->count; i++) {
        uint64_t other = configuration->servers[i].id.lo;
        holds[i] = sim_disk_has(&cluster->nodes[other].disk, entry->index, entry->term);
    }
    return raft_oracle_is_held(configuration, holds);
}
