/* SPDX-License-Identifier: Apache-2.0 */
/* What a test does to a cluster, what it asks of it, and the trace. */
#include "base/check.h"
#include "base/mem.h"
#include "tests/support/raft_cluster.h"
#include "tests/support/raft_cluster_internal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

void raft_cluster_crash(struct raft_cluster *cluster, uint32_t node)
{
    struct raft_cluster_node *host = &cluster->nodes[node];
    CHECK(host->raft != NULL);
    raft_cluster_note(cluster, "%u: crashes", node);
    raft_free(host->raft);
    host->raft = NULL;
    sim_disk_crash(&host->disk, cluster->options.torn_crashes);
    raft_cluster_snapshot_crash(cluster, node);
    for (uint32_t i = 0; i < cluster->reads_count;) {
        if (cluster->reads[i].node == node) {
            cluster->reads_count--;
            cluster->reads[i] = cluster->reads[cluster->reads_count];
        } else {
            i++;
        }
    }
    for (uint32_t other = 1; other <= cluster->options.nodes; other++) {
        if (other != node && cluster->options.evidence_ms > 0) {
            sim_queue_push(&cluster->queue,
                           (struct sim_item){
                               .time = cluster->now_ms + cluster->options.evidence_ms,
                               .kind = ITEM_DEAD,
                               .node = other,
                               .number = node,
                           });
        }
    }
}

void raft_cluster_start(struct raft_cluster *cluster, uint32_t node)
{
    raft_cluster_note(cluster, "%u: starts", node);
    raft_cluster_boot(cluster, node);
    for (uint32_t other = 1; other <= cluster->options.nodes; other++) {
        if (other != node && raft_cluster_is_up(cluster, other)) {
            raft_cluster_evidence(cluster, other, node, false);
        }
    }
}

void raft_cluster_pause(struct raft_cluster *cluster, uint32_t node, uint64_t ms)
{
    struct raft_cluster_node *host = &cluster->nodes[node];
    CHECK(host->raft != NULL);
    raft_cluster_note(cluster, "%u: stands still for %" PRIu64 " ms", node, ms);
    host->paused_until_ms = cluster->now_ms + ms;
    if (host->deadline_ms < host->paused_until_ms) {
        host->deadline_ms = host->paused_until_ms;
    }
}

void raft_cluster_isolate(struct raft_cluster *cluster, uint32_t node)
{
    raft_cluster_note(cluster, "%u: is cut off", node);
    for (uint32_t other = 1; other <= cluster->options.nodes; other++) {
        sim_net_set_cut(&cluster->net, node, other, true);
        sim_net_set_cut(&cluster->net, other, node, true);
    }
}

void raft_cluster_heal(struct raft_cluster *cluster)
{
    raft_cluster_note(cluster, "the network heals");
    sim_net_heal(&cluster->net);
}

void raft_cluster_step(struct raft_cluster *cluster, uint32_t node, struct raft_event event)
{
    raft_cluster_step_node(cluster, node, event);
}

enum error
raft_cluster_propose(struct raft_cluster *cluster, uint32_t node, const char *text, uint32_t count)
{
    enum {
        BATCH_MAX = 64
    };

    CHECK(count >= 1 && count <= BATCH_MAX);
    struct raft_proposal proposals[BATCH_MAX];
    for (uint32_t i = 0; i < count; i++) {
        char command[64];
        (void)snprintf(command, sizeof(command), "%s%s%.0u", text, i > 0 ? "+" : "", i);
        proposals[i] = (struct raft_proposal){
            .kind = RAFT_ENTRY_COMMAND,
            .payload = blob_new(slice_of_string(command)),
        };
    }
    raft_cluster_step_node(
        cluster,
        node,
        (struct raft_event){.type = RAFT_EVENT_PROPOSE,
                            .propose = {.proposals = proposals, .count = count}});
    for (uint32_t i = 0; i < count; i++) {
        blob_unref(proposals[i].payload);
    }
    return cluster->nodes[node].update.propose_error;
}

void raft_cluster_read(struct raft_cluster *cluster, uint32_t node)
{
    if (cluster->reads_count == cluster->reads_cap) {
        cluster->reads_cap = cluster->reads_cap == 0 ? 64 : cluster->reads_cap * 2;
        cluster->reads = mem_resize(cluster->reads, cluster->reads_cap * sizeof(*cluster->reads));
    }
    cluster->read_id_next++;
    cluster->reads[cluster->reads_count] = (struct raft_cluster_read){
        .id = cluster->read_id_next,
        .committed_before = cluster->oracle.committed_count,
        .node = node,
        .life = cluster->nodes[node].life,
    };
    cluster->reads_count++;
    raft_cluster_step_node(
        cluster,
        node,
        (struct raft_event){.type = RAFT_EVENT_READ, .read_id = cluster->read_id_next});
}

void raft_cluster_transfer(struct raft_cluster *cluster, uint32_t from, uint32_t to)
{
    struct member_id target = to == 0 ? (struct member_id){0} : raft_cluster_member(to);
    raft_cluster_step_node(
        cluster, from, (struct raft_event){.type = RAFT_EVENT_TRANSFER, .peer = target});
}

void raft_cluster_evidence(struct raft_cluster *cluster, uint32_t node, uint32_t dead, bool stands)
{
    raft_cluster_step_node(cluster,
                           node,
                           (struct raft_event){
                               .type = stands ? RAFT_EVENT_PEER_DEAD : RAFT_EVENT_PEER_ALIVE,
                               .peer = raft_cluster_member(dead),
                           });
}

struct raft_status raft_cluster_status(const struct raft_cluster *cluster, uint32_t node)
{
    struct raft_status status;
    CHECK(raft_cluster_is_up(cluster, node));
    raft_status(cluster->nodes[node].raft, &status);
    return status;
}

struct member_id raft_cluster_member(uint32_t node)
{
    return (struct member_id){.lo = node};
}

void raft_cluster_match_logs(const struct raft_cluster *cluster)
{
    for (uint32_t a = 1; a <= cluster->options.nodes; a++) {
        for (uint32_t b = a + 1; b <= cluster->options.nodes; b++) {
            if (raft_cluster_is_up(cluster, a) && raft_cluster_is_up(cluster, b)) {
                raft_oracle_match_logs(cluster->nodes[a].raft, cluster->nodes[b].raft);
            }
        }
    }
}

void raft_cluster_note(struct raft_cluster *cluster, const char *format, ...)
{
    if (!cluster->options.trace) {
        return;
    }
    char line[320];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    buf_printf(&cluster->trace, "[%5" PRIu64 "] %s\n", cluster->now_ms, line);
}
