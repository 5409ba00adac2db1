/* SPDX-License-Identifier: Apache-2.0 */
/* The member's figures for Prometheus: gauges are looked up when they are asked for; peers, whose
 * names are labels, are printed straight. */
#include "api/ops_internal.h"

#include "base/check.h"
#include "base/metrics.h"

#include <inttypes.h>

/* clang-format off */
/* Name, value, and what it is. Values are of what `look` has at hand; a row is all that a figure
 * needs that node, consensus core, controller or front hold already. */
#define GAUGES(X)                                                                                                                    \
    X("indaba_raft_term",                   view.term,                                   "Current term of this member.")             \
    X("indaba_raft_is_leader",              view.role == RAFT_LEADER,                    "1 on the leader, else 0.")                 \
    X("indaba_raft_has_leader",             view.leader != NULL,                         "1 if a leader is known, else 0.")          \
    X("indaba_raft_log_first_index",        raft.first_index,                            "First log index still held here.")         \
    X("indaba_raft_log_bytes",              raft.log_bytes,                              "Bytes of log entries held in memory.")     \
    X("indaba_snapshot_index",              raft.snapshot.index,                         "Index of the newest snapshot, 0: none.")   \
    X("indaba_snapshot_bytes",              raft.snapshot.size,                          "Size of the newest snapshot.")             \
    X("indaba_snapshot_log_grown_bytes",    node_snapshot_log_grown(node),               "Bytes logged since the newest snapshot.")  \
    X("indaba_raft_last_index",             raft.last_index,                             "Last log index appended here.")            \
    X("indaba_raft_durable_index",          raft.durable_index,                          "Last log index durable here.")             \
    X("indaba_raft_commit_index",           view.commit,                                 "Last log index known committed here.")     \
    X("indaba_raft_applied_index",          view.applied,                                "Last log index applied here.")             \
    X("indaba_leader_heard_age_ms",         view.leader_heard_age_ms,                    "Milliseconds since the leader was heard.") \
    X("indaba_proposals_waiting",           view.proposals_waiting,                      "Proposals that wait for their entry.")     \
    X("indaba_wal_has_room",                view.wal_has_room,                           "1 while the log's queue is below half.")   \
    X("indaba_apply_backlog",               view.apply_backlog,                          "Committed entries not applied yet.")       \
    X("indaba_store_used_bytes",            view.store_used_bytes,                       "Bytes in use in the store.")               \
    X("indaba_store_map_bytes",             view.store_map_bytes,                        "Size of the store's map.")                 \
    X("indaba_disk_stalled_ms",             view.disk_stalled_ms,                        "For so long no write came to an end.")     \
    X("indaba_disk_free_bytes",             view.space_free_bytes,                       "Bytes free beside the reserve.")           \
    X("indaba_disk_space_low",              view.space_is_low,                           "1 while growth is refused for space.")     \
    X("indaba_snapshot_waits_for_bytes",    view.snapshot_waits_for,                     "Disk space a snapshot waits for.")         \
    X("indaba_diverged_members",            view.diverged,                               "Members whose state is not the leader's.") \
    X("indaba_quarantined",                 view.quarantined,                            "1 while our state is not the majority's.") \
    X("indaba_api_connections",             front.connections,                           "Open connections of the API port.")        \
    X("indaba_api_calls",                   front.calls,                                 "Calls under way.")                         \
    X("indaba_sidecar_sessions",            api_sessions_count(ops->options.api),        "Open sessions of sidecars.")               \
    X("indaba_shards",                      controller.shards,                           "Shards known to this member.")

#define COUNTERS(X)                                                                                                                  \
    X("indaba_wal_batches_total",           view.wal_batches,                            "Batches made durable since the start.")    \
    X("indaba_api_requests_total",          front.requests,                              "Unary requests since the start.")          \
    X("indaba_api_denied_total",            front.denied,                                "Requests denied by role since the start.") \
    X("indaba_api_forwarded_total",         front.forwarded,                             "Requests passed on to the leader.")        \
    X("indaba_leases_granted_total",        controller.leases.granted,                   "Lease renewals granted in this office.")   \
    X("indaba_leases_refused_total",        controller.leases.refused,                   "Lease renewals refused in this office.")   \
    X("indaba_orders_proposed_total",       controller.proposals,                        "Orders proposed by the deciders here.")

/* clang-format on */

#define X(text, value, about) {.name = (text), .help = (about), .kind = METRIC_GAUGE},
static struct metric gauges[] = {GAUGES(X)};
#undef X
#define X(text, value, about) {.name = (text), .help = (about), .kind = METRIC_COUNTER},
static struct metric counters[] = {COUNTERS(X)};
#undef X

static void look(const struct ops *ops);
static void advance(struct metric *counter, uint64_t value);
static void print_peers(const struct ops *ops, struct buf *out);

void ops_metrics_register(void)
{
    node_register_metrics();
    for (size_t i = 0; i < ARRAY_LEN(gauges); i++) {
        metric_register(&gauges[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(counters); i++) {
        metric_register(&counters[i]);
    }
}

void ops_metrics_print(const struct ops *ops, struct buf *out)
{
    look(ops);
    metrics_print(out);
    print_peers(ops, out);
}

static void look(const struct ops *ops)
{
    struct node *node = ops->options.node;
    const struct front_counts front = front_counts(ops->options.front);
    const struct controller_counts controller = controller_counts(node_controller(node));
    struct node_view view;
    struct raft_status raft;
    size_t at = 0;

    node_view(node, &view);
    raft_status(node_raft(node), &raft);
#define X(text, value, about) metric_set(&gauges[at++], (int64_t)(value));
    GAUGES(X)
#undef X
    CHECK(at == ARRAY_LEN(gauges));
    at = 0;
#define X(text, value, about) advance(&counters[at++], (value));
    COUNTERS(X)
#undef X
    CHECK(at == ARRAY_LEN(counters));
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
