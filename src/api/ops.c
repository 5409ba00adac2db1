/* SPDX-License-Identifier: Apache-2.0 */
/* See ops.h: the HTTP server and its small pages. Figures are in ops_metrics.c. */
#include "api/ops_internal.h"

#include "base/mem.h"
#include "rpc/http1.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    READY_BACKLOG_MAX = 10000,      /* entries not yet applied */
    READY_LEADER_AGE_MS_MAX = 3000, /* since the leader was heard */
    READY_STALL_MS_MAX = 3000,
};

static void
on_request(struct http1_exchange *exchange, const struct http1_request *request, void *ctx);
static void reply(struct http1_exchange *exchange,
                  uint32_t status,
                  const char *content_type,
                  const struct buf *body);
static uint32_t print_ready(const struct ops *ops, struct buf *out);
static void print_status(const struct ops *ops, struct buf *out);
static void print_peers(const struct ops *ops, struct buf *out);

enum error ops_new(const struct ops_options *options, struct reason *reason, struct ops **ops_out)
{
    struct ops *ops = mem_new(sizeof(*ops));
    ops->options = *options;
    const char *address = node_config(options->node)->listen_ops;
    const struct http1_options http = {
        .address = address,
        .tls = net_is_loopback(address) ? NULL : options->tls,
        .tls_role = TLS_SERVER_PUBLIC,
        .handler = on_request,
        .ctx = ops,
    };
    enum error error = http1_new(options->net, &http, reason, &ops->http);
    if (error != ERR_OK) {
        reason_say(reason, "listen.ops %s: %s", address, reason->text);
        mem_free(ops);
        return error;
    }
    ops_metrics_register();
    *ops_out = ops;
    return ERR_OK;
}

void ops_set_draining(struct ops *ops)
{
    ops->draining = true;
}

void ops_free(struct ops *ops)
{
    http1_free(ops->http);
    buf_deinit(&ops->metrics.body);
    mem_free(ops);
}

static void
on_request(struct http1_exchange *exchange, const struct http1_request *request, void *ctx)
{
    struct ops *ops = ctx;
    if (request->method != HTTP1_POST && strcmp(request->path, "/metrics") == 0) {
        if (http1_page_is_due(&ops->metrics)) {
            ops_metrics_print(ops, &ops->metrics.body);
        }
        reply(exchange, 200, "text/plain; version=0.0.4; charset=utf-8", &ops->metrics.body);
        return;
    }
    struct buf body = {0};
    uint32_t status = 200;
    const char *content_type = NULL;
    if (request->method == HTTP1_POST) {
        status = 405;
        buf_append_string(&body, "this port is for reading\n");
    } else if (strcmp(request->path, "/healthz") == 0) {
        buf_append_string(&body, "ok\n");
    } else if (strcmp(request->path, "/readyz") == 0) {
        status = print_ready(ops, &body);
    } else if (strcmp(request->path, "/status.json") == 0) {
        print_status(ops, &body);
        content_type = "application/json";
    } else {
        status = 404;
        buf_append_string(&body, "there are /metrics, /healthz, /readyz and /status.json\n");
    }
    reply(exchange, status, content_type, &body);
    buf_deinit(&body);
}

static void reply(struct http1_exchange *exchange,
                  uint32_t status,
                  const char *content_type,
                  const struct buf *body)
{
    const struct http1_response response = {
        .status = status,
        .content_type = content_type,
        .body = buf_view(body),
        .extra_headers = "Cache-Control: no-store\r\n",
    };
    http1_reply(exchange, &response);
}

/* One line per reason against; "ready" if there is none. */
static uint32_t print_ready(const struct ops *ops, struct buf *out)
{
    struct node_view view;
    struct raft_status raft;
    node_view(ops->options.node, &view);
    raft_status(node_raft(ops->options.node), &raft);
    if (ops->draining) {
        buf_append_string(out, "draining: this member is about to stop\n");
    }
    if (view.quarantined) {
        char text[NODE_QUARANTINE_TEXT_SIZE];
        buf_printf(out, "quarantined: %s\n", node_quarantine_text(ops->options.node, text));
    }
    if (!view.loaded) {
        buf_append_string(out, "loading: the stored state is still being read\n");
    }
    if (view.leader == NULL) {
        buf_append_string(out, "no leader: fewer than a majority of members reach each other\n");
    } else if (view.leader_heard_age_ms > READY_LEADER_AGE_MS_MAX) {
        buf_printf(out,
                   "leader silent: %s was last heard %" PRIu64 " ms ago\n",
                   view.leader->name,
                   view.leader_heard_age_ms);
    }
    if (!view.initialized) {
        buf_append_string(out, "not initialized: the cluster has no applied configuration yet\n");
    }
    if (view.initialized && !raft.member) {
        buf_append_string(
            out,
            "not a member: it was removed; take its folder away, or add it again with "
            "a new id and a new folder\n");
    }
    if (view.apply_backlog > READY_BACKLOG_MAX) {
        buf_printf(
            out, "behind: %" PRIu64 " committed entries are not applied\n", view.apply_backlog);
    }
    if (view.disk_stalled_ms > READY_STALL_MS_MAX) {
        buf_printf(out,
                   "disk stalled: no write came to an end for %" PRIu64 " ms\n",
                   view.disk_stalled_ms);
    }
    if (!view.wal_has_room) {
        buf_append_string(out, "disk slow: the log's queue is more than half full\n");
    }
    if (out->len > 0) {
        return 503;
    }
    buf_append_string(out, "ready\n");
    return 200;
}

static void print_status(const struct ops *ops, struct buf *out)
{
    struct node_view view;
    struct raft_status raft;
    const struct member_config *config = node_config(ops->options.node);
    const struct front_counts counts = front_counts(ops->options.front);
    node_view(ops->options.node, &view);
    raft_status(node_raft(ops->options.node), &raft);
    char cluster[ID128_TEXT_SIZE];
    /* Names are [a-z0-9._-] and addresses numeric: nothing here needs escaping. */
    buf_printf(out,
               "{\"cluster\":\"%s\",\"cluster_name\":\"%s\",\"member\":\"%s\",\"region\":\"%s\","
               "\"role\":\"%s\",\"term\":%" PRIu64 ",\"leader\":\"%s\",\"leader_age_ms\":%" PRIu64,
               id128_format(config->cluster.hi, config->cluster.lo, cluster),
               config->cluster_name,
               config->name,
               config->region,
               node_role_name(view.role),
               view.term,
               view.leader == NULL ? "" : view.leader->name,
               view.leader_heard_age_ms);
    buf_printf(out,
               ",\"last_index\":%" PRIu64 ",\"durable_index\":%" PRIu64 ",\"commit\":%" PRIu64
               ",\"applied\":%" PRIu64 ",\"state_hash\":\"%016" PRIx64 "\",\"snapshot\":%" PRIu64
               ",\"snapshot_log_grown_bytes\":%" PRIu64,
               raft.last_index,
               raft.durable_index,
               view.commit,
               view.applied,
               view.state_hash,
               raft.snapshot.index,
               node_snapshot_log_grown(ops->options.node));
    buf_printf(out,
               ",\"initialized\":%s,\"connections\":%" PRIu32 ",\"sessions\":%" PRIu32
               ",\"requests\":%" PRIu64 ",\"store_used_bytes\":%" PRIu64
               ",\"disk_stalled_ms\":%" PRIu64 ",\"disk_free_bytes\":%" PRIu64
               ",\"disk_space_low\":%s,\"quarantined\":%s,\"peers\":[",
               view.initialized ? "true" : "false",
               counts.connections,
               api_sessions_count(ops->options.api),
               counts.requests,
               view.store_used_bytes,
               view.disk_stalled_ms,
               view.space_free_bytes,
               view.space_is_low ? "true" : "false",
               view.quarantined ? "true" : "false");
    print_peers(ops, out);
    buf_append_string(out, "]}\n");
}

static void print_peers(const struct ops *ops, struct buf *out)
{
    struct peer_status peers[PEERS_MAX];
    uint32_t count = peers_status(node_peers(ops->options.node), peers);
    for (uint32_t i = 0; i < count; i++) {
        buf_printf(out,
                   "%s{\"name\":\"%s\",\"heartbeat_open\":%s,\"bulk_open\":%s,\"dead\":%s,"
                   "\"rtt_us\":%" PRIu32 ",\"queued_bytes\":%zu,\"dropped\":%" PRIu64 "}",
                   i == 0 ? "" : ",",
                   peers[i].name,
                   peers[i].heartbeat_open ? "true" : "false",
                   peers[i].bulk_open ? "true" : "false",
                   peers[i].dead ? "true" : "false",
                   peers[i].rtt_us,
                   peers[i].queued_bytes,
                   peers[i].dropped);
    }
}
