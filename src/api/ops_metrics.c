/* SPDX-License-Identifier: Apache-2.0 */
/* The member's figures for Prometheus: gauges are looked up when they are asked for; peers, whose
 * names are labels, are printed straight. */
#include "api/ops_internal.h"

#include "base/check.h"
#include "base/metrics.h"

#include <inttypes.h>

/* clang-format off */
#define GAUGES(X)                                                                                  \
    X(term,           "indaba_raft_term",              "Current term of this member.")             \
    X(is_leader,      "indaba_raft_is_leader",         "1 on the leader, else 0.")                 \
    X(has_leader,     "indaba_raft_has_leader",        "1 if a leader is known, else 0.")          \
    X(first_index,    "indaba_raft_log_first_index",   "First log index still held here.")         \
    X(log_bytes,      "indaba_raft_log_bytes",         "Bytes of log entries held in memory.")     \
    X(snapshot_index, "indaba_snapshot_index",         "Index of the newest snapshot, 0: none.")   \
    X(snapshot_bytes, "indaba_snapshot_bytes",         "Size of the newest snapshot.")             \
    X(snapshot_grown, "indaba_snapshot_log_grown_bytes", "Bytes logged since the newest snapshot.") \
    X(last_index,     "indaba_raft_last_index",        "Last log index appended here.")            \
    X(durable_index,  "indaba_raft_durable_index",     "Last log index durable here.")             \
    X(commit_index,   "indaba_raft_commit_index",      "Last log index known committed here.")     \
    X(applied_index,  "indaba_raft_applied_index",     "Last log index applied here.")             \
    X(leader_age,     "indaba_leader_heard_age_ms",    "Milliseconds since the leader was heard.") \
    X(proposals,      "indaba_proposals_waiting",      "Proposals that wait for their entry.")     \
    X(wal_room,       "indaba_wal_has_room",           "1 while the log's queue is below half.")   \
    X(apply_backlog,  "indaba_apply_backlog",          "Committed entries not applied yet.")       \
    X(store_used,     "indaba_store_used_bytes",       "Bytes in use in the store.")               \
    X(store_map,      "indaba_store_map_bytes",        "Size of the store's map.")                 \
    X(disk_stalled,   "indaba_disk_stalled_ms",        "For so long no write came to an end.")     \
    X(space_free,     "indaba_disk_free_bytes",        "Bytes free beside the reserve.")           \
    X(space_low,      "indaba_disk_space_low",         "1 while growth is refused for space.")     \
    X(snapshot_waits, "indaba_snapshot_waits_for_bytes", "Disk space a snapshot waits for.")       \
    X(diverged,       "indaba_diverged_members",       "Members whose state is not the leader's.") \
    X(quarantined,    "indaba_quarantined",            "1 while our state is not the majority's.") \
    X(connections,    "indaba_api_connections",        "Open connections of the API port.")        \
    X(calls,          "indaba_api_calls",              "Calls under way.")                         \
    X(sessions,       "indaba_sidecar_sessions",       "Open sessions of sidecars.")               \
    X(shards,         "indaba_shards",                 "Shards known to this member.")

#define COUNTERS(X)                                                                                \
    X(wal_syncs,      "indaba_wal_batches_total",      "Batches made durable since the start.")    \
    X(requests,       "indaba_api_requests_total",     "Unary requests since the start.")          \
    X(denied,         "indaba_api_denied_total",       "Requests denied by role since the start.") \
    X(forwarded,      "indaba_api_forwarded_total",    "Requests passed on to the leader.")        \
    X(lease_granted,  "indaba_leases_granted_total",   "Lease renewals granted in this office.")   \
    X(lease_refused,  "indaba_leases_refused_total",   "Lease renewals refused in this office.")   \
    X(orders,         "indaba_orders_proposed_total",  "Orders proposed by the deciders here.")

/* clang-format on */

#define X(id, text, about) \
    static struct metric id##_gauge = {.name = (text), .help = (about), .kind = METRIC_GAUGE};
GAUGES(X)
#undef X
#define X(id, text, about) \
    static struct metric id##_counter = {.name = (text), .help = (about), .kind = METRIC_COUNTER};
COUNTERS(X)
#undef X

static void look_at_node(const struct node *node);
static void look_at_services(const struct ops *ops);
static void advance(struct metric *counter, uint64_t value);
static void print_peers(const struct ops *ops, struct buf *out);

void ops_metrics_register(void)
{
    node_register_metrics();
#define X(id, text, about) metric_register(&id##_gauge);
    GAUGES(X)
#undef X
#define X(id, text, about) metric_register(&id##_counter);
    COUNTERS(X)
#undef X
}

void ops_metrics_print(const struct ops *ops, struct buf *out)
{
    look_at_node(ops->options.node);
    look_at_services(ops);
    metrics_print(out);
    print_peers(ops, out);
}

static void look_at_node(const struct node *node)
{
    struct node_view view;
    struct raft_status raft;
    node_view(node, &view);
    raft_status(node_raft(node), &raft);
    metric_set(&term_gauge, (int64_t)view.term);
    metric_set(&is_leader_gauge, view.role == RAFT_LEADER);
    metric_set(&has_leader_gauge, view.leader != NULL);
    metric_set(&first_index_gauge, (int64_t)raft.first_index);
    metric_set(&log_bytes_gauge, (int64_t)raft.log_bytes);
    metric_set(&snapshot_index_gauge, (int64_t)raft.snapshot.index);
    metric_set(&snapshot_bytes_gauge, (int64_t)raft.snapshot.size);
    metric_set(&snapshot_grown_gauge, (int64_t)node_snapshot_log_grown(node));
    metric_set(&last_index_gauge, (int64_t)raft.last_index);
    metric_set(&durable_index_gauge, (int64_t)raft.durable_index);
    metric_set(&commit_index_gauge, (int64_t)view.commit);
    metric_set(&applied_index_gauge, (int64_t)view.applied);
    metric_set(&leader_age_gauge, (int64_t)view.leader_heard_age_ms);
    metric_set(&proposals_gauge, view.proposals_waiting);
    advance(&wal_syncs_counter, view.wal_batches);
    metric_set(&wal_room_gauge, view.wal_has_room);
    metric_set(&apply_backlog_gauge, (int64_t)view.apply_backlog);
    metric_set(&store_used_gauge, (int64_t)view.store_used_bytes);
    metric_set(&disk_stalled_gauge, (int64_t)view.disk_stalled_ms);
    metric_set(&space_free_gauge, (int64_t)view.space_free_bytes);
    metric_set(&space_low_gauge, view.space_is_low);
    metric_set(&snapshot_waits_gauge, (int64_t)view.snapshot_waits_for);
    metric_set(&diverged_gauge, view.diverged);
    metric_set(&quarantined_gauge, view.quarantined);
    metric_set(&store_map_gauge, (int64_t)view.store_map_bytes);
}

static void look_at_services(const struct ops *ops)
{
    const struct front_counts front = front_counts(ops->options.front);
    const struct controller_counts controller =
        controller_counts(node_controller(ops->options.node));
    metric_set(&connections_gauge, front.connections);
    metric_set(&calls_gauge, front.calls);
    advance(&requests_counter, front.requests);
    advance(&denied_counter, front.denied);
    advance(&forwarded_counter, front.forwarded);
    metric_set(&sessions_gauge, api_sessions_count(ops->options.api));
    metric_set(&shards_gauge, controller.shards);
    advance(&lease_granted_counter, controller.leases.granted);
    advance(&lease_refused_counter, controller.leases.refused);
    advance(&orders_counter, controller.proposals);
}

/* Counters live where they are counted; here they only follow. */
static void advance(struct metric *counter, uint64_t value)
{
    int64_t behind = (int64_t)value - counter->value;
    if (behind > 0) {
        metric_add(counter, behind);
    }
}

static void print_peers(const struct ops *ops, struct buf *out)
{
    struct raft_status raft;
    struct peer_status peers[PEERS_MAX];
    const struct member_config *config = node_config(ops->options.node);
    uint32_t count = peers_status(node_peers(ops->options.node), peers);
    raft_status(node_raft(ops->options.node), &raft);
    buf_append_string(out,
                      "# HELP indaba_peer_up 1 while the lanes of heartbeats and of the log to the "
                      "peer are open.\n"
                      "# TYPE indaba_peer_up gauge\n");
    for (uint32_t i = 0; i < count; i++) {
        bool up = peers[i].heartbeat_open && peers[i].bulk_open;
        buf_printf(out, "indaba_peer_up{peer=\"%s\"} %d\n", peers[i].name, up ? 1 : 0);
    }
    buf_append_string(out,
                      "# HELP indaba_peer_lag_entries Entries the peer is behind, seen by the "
                      "leader.\n# TYPE indaba_peer_lag_entries gauge\n");
    for (uint32_t i = 0; i < raft.peers_count; i++) {
        const struct member *member = node_member(ops->options.node, raft.peers[i].id);
        if (member == NULL || raft.role != RAFT_LEADER ||
            member_id_equal(member->id, config->member)) {
            continue;
        }
        CHECK(raft.peers[i].match_index <= raft.last_index);
        buf_printf(out,
                   "indaba_peer_lag_entries{peer=\"%s\"} %" PRIu64 "\n",
                   member->name,
                   raft.last_index - raft.peers[i].match_index);
    }
}
