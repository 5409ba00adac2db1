/* SPDX-License-Identifier: Apache-2.0 */
/* How a cluster stands, its configurations, and messages in the trace. */
#include "base/check.h"
#include "raft/membership.h"
#include "tests/support/raft_cluster.h"
#include "tests/support/raft_cluster_internal.h"

#include <inttypes.h>

uint32_t raft_cluster_leader(const struct raft_cluster *cluster)
{
    uint32_t leader = 0;
    for (uint32_t node = 1; node <= cluster->options.nodes; node++) {
        const struct raft_cluster_node *host = &cluster->nodes[node];
        if (host->raft != NULL && host->update.role == RAFT_LEADER &&
            (leader == 0 || host->update.term > cluster->nodes[leader].update.term)) {
            leader = node;
        }
    }
    return leader;
}

bool raft_cluster_is_settled(struct raft_cluster *cluster)
{
    uint32_t leader = raft_cluster_leader(cluster);
    if (leader == 0) {
        return false;
    }
    struct raft_status status = raft_cluster_status(cluster, leader);
    if (!status.configuration_committed || membership_is_joint(&status.configuration) ||
        !membership_is_voter(&status.configuration, raft_cluster_member(leader))) {
        return false;
    }
    for (uint32_t node = 1; node <= cluster->options.nodes; node++) {
        const struct raft_cluster_node *host = &cluster->nodes[node];
        if (host->raft != NULL && raft_cluster_server(&status.configuration, node) != NULL &&
            (host->update.term != cluster->nodes[leader].update.term ||
             !member_id_equal(host->update.leader, raft_cluster_member(leader)))) {
            return false;
        }
    }
    return true;
}

bool raft_cluster_is_level(struct raft_cluster *cluster)
{
    if (!raft_cluster_is_settled(cluster)) {
        return false;
    }
    uint32_t leader = raft_cluster_leader(cluster);
    struct raft_status status = raft_cluster_status(cluster, leader);
    for (uint32_t node = 1; node <= cluster->options.nodes; node++) {
        if (raft_cluster_is_up(cluster, node) &&
            raft_cluster_server(&status.configuration, node) != NULL &&
            cluster->nodes[node].commit != status.last_index) {
            return false;
        }
    }
    return true;
}

enum raft_change_refusal raft_cluster_ask_change(struct raft_cluster *cluster,
                                                 uint32_t node,
                                                 const struct raft_configuration *target)
{
    raft_cluster_step_node(
        cluster, node, (struct raft_event){.type = RAFT_EVENT_CHANGE, .target = target});
    return cluster->nodes[node].update.change_refusal;
}

enum raft_change_refusal raft_cluster_change(struct raft_cluster *cluster,
                                             uint32_t node,
                                             const struct raft_configuration *target)
{
    enum raft_change_refusal refusal = raft_cluster_ask_change(cluster, node, target);
    while (refusal == RAFT_CHANGE_PROVING) {
        raft_cluster_run(cluster, 1);
        refusal = raft_cluster_ask_change(cluster, node, target);
    }
    return refusal;
}

struct raft_configuration raft_cluster_configuration(const struct raft_cluster *cluster)
{
    uint32_t leader = raft_cluster_leader(cluster);
    CHECK(leader != 0);
    return raft_cluster_status(cluster, leader).configuration;
}

struct raft_server *raft_cluster_server(struct raft_configuration *configuration, uint32_t node)
{
    for (uint32_t i = 0; i < configuration->count; i++) {
        if (configuration->servers[i].id.lo == node) {
            return &configuration->servers[i];
        }
    }
    return NULL;
}

void raft_cluster_add(const struct raft_cluster *cluster,
                      struct raft_configuration *configuration,
                      uint32_t node,
                      bool promote)
{
    CHECK(raft_cluster_server(configuration, node) == NULL);
    uint32_t regions = cluster->options.regions;
    uint32_t at = configuration->count++;
    while (at > 0 && configuration->servers[at - 1].id.lo > node) {
        configuration->servers[at] = configuration->servers[at - 1];
        at--;
    }
    configuration->servers[at] = (struct raft_server){
        .id = raft_cluster_member(node),
        .promote = promote,
        .region = regions == 0 ? 0 : (node - 1) % regions + 1,
    };
}

void raft_cluster_remove(struct raft_configuration *configuration, uint32_t node)
{
    struct raft_server *server = raft_cluster_server(configuration, node);
    CHECK(server != NULL);
    configuration->count--;
    for (uint32_t i = (uint32_t)(server - configuration->servers); i < configuration->count; i++) {
        configuration->servers[i] = configuration->servers[i + 1];
    }
}

void raft_cluster_trace_message(struct raft_cluster *cluster, const struct raft_message *message)
{
    if (!cluster->options.trace_messages || message->type == RAFT_HEARTBEAT ||
        message->type == RAFT_HEARTBEAT_RESULT) {
        return;
    }
    uint32_t from = (uint32_t)message->from.lo;
    uint32_t to = (uint32_t)message->to.lo;
    const struct raft_append *append = &message->append;
    const struct raft_append_result *result = &message->append_result;
    if (message->type == RAFT_APPEND) {
        raft_cluster_note(cluster,
                          "%u -> %u append after %" PRIu64 "/%" PRIu64
                          ", %u entries, commit %" PRIu64,
                          from,
                          to,
                          append->prev_index,
                          append->prev_term,
                          append->entries_count,
                          append->commit);
    } else if (message->type == RAFT_APPEND_RESULT) {
        raft_cluster_note(cluster,
                          "%u -> %u %s %" PRIu64,
                          from,
                          to,
                          result->success ? "has" : "refuses after",
                          result->index);
    } else if (message->type == RAFT_TIMEOUT_NOW) {
        raft_cluster_note(cluster, "%u -> %u take over now", from, to);
    } else if (message->type == RAFT_REQUEST_VOTE) {
        raft_cluster_note(cluster,
                          "%u -> %u asks for a %s, last %" PRIu64 "/%" PRIu64,
                          from,
                          to,
                          message->request_vote.pre_vote ? "pre-vote" : "vote",
                          message->request_vote.last_index,
                          message->request_vote.last_term);
    } else if (message->type == RAFT_INSTALL_SNAPSHOT) {
        const struct raft_install_snapshot *sent = &message->install_snapshot;
        raft_cluster_note(cluster,
                          "%u -> %u snapshot at %" PRIu64 ", bytes %" PRIu64 "..%" PRIu64
                          " of %" PRIu64,
                          from,
                          to,
                          sent->last_index,
                          sent->offset,
                          sent->offset + sent->chunk->len,
                          sent->size);
    } else if (message->type == RAFT_INSTALL_SNAPSHOT_RESULT) {
        const struct raft_install_snapshot_result *told = &message->install_snapshot_result;
        if (told->done) {
            raft_cluster_note(
                cluster, "%u -> %u needs no snapshot at %" PRIu64, from, to, told->last_index);
        } else {
            raft_cluster_note(cluster,
                              "%u -> %u has %" PRIu64 " bytes of the snapshot at %" PRIu64,
                              from,
                              to,
                              told->offset,
                              told->last_index);
        }
    }
}
