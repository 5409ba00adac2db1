/* SPDX-License-Identifier: Apache-2.0 */
/* See role_http.h. */
#include "replication/role_http.h"

#include "base/check.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/utf8.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LAG_VALUE_SIZE = 32
};

struct role_http {
    struct http1 *http1;
    const struct sidecar_config *config;
    const struct agent *agent;
    struct http1_page metrics;
};

static void
on_request(struct http1_exchange *exchange, const struct http1_request *request, void *ctx);
static bool is_primary(const struct agent_view *view);
static bool is_replica(const struct agent_view *view, const char *query);
static void reply_role(struct http1_exchange *exchange, const struct agent_view *view, bool yes);
static void reply_status(const struct role_http *role_http,
                         struct http1_exchange *exchange,
                         const struct agent_view *view);
static json_t *text_of(const char *text);
static void reply_metrics(struct role_http *role_http,
                          struct http1_exchange *exchange,
                          const struct agent_view *view);
static void print_metrics(struct buf *body, const struct agent_view *view);

enum error role_http_new(const struct role_http_options *options,
                         struct reason *reason,
                         struct role_http **role_http_out)
{
    const char *address = options->config->http_address;
    struct role_http *role_http = mem_new(sizeof(*role_http));
    role_http->config = options->config;
    role_http->agent = options->agent;
    struct http1_options http1_options = {
        .address = address,
        .tls = net_is_loopback(address) ? NULL : options->tls,
        .tls_role = TLS_SERVER_PUBLIC,
        .handler = on_request,
        .ctx = role_http,
    };
    enum error error = http1_new(options->net, &http1_options, reason, &role_http->http1);
    if (error != ERR_OK) {
        mem_free(role_http);
        return error;
    }
    *role_http_out = role_http;
    return ERR_OK;
}

void role_http_free(struct role_http *role_http)
{
    http1_free(role_http->http1);
    buf_deinit(&role_http->metrics.body);
    mem_free(role_http);
}

static void
on_request(struct http1_exchange *exchange, const struct http1_request *request, void *ctx)
{
    struct role_http *role_http = ctx;
    struct agent_view view;
    agent_view(role_http->agent, &view);
    const char *path = request->path;
    if (strcmp(path, "/primary") == 0 || strcmp(path, "/read-write") == 0) {
        reply_role(exchange, &view, is_primary(&view));
    } else if (strcmp(path, "/replica") == 0) {
        reply_role(exchange, &view, is_replica(&view, request->query));
    } else if (strcmp(path, "/read-only") == 0) {
        reply_role(exchange, &view, is_primary(&view) || is_replica(&view, request->query));
    } else if (strcmp(path, "/health") == 0) {
        bool answers = view.facts.state == INSTANCE_PRIMARY || view.facts.state == INSTANCE_STANDBY;
        reply_role(exchange, &view, answers);
    } else if (strcmp(path, "/liveness") == 0) {
        reply_role(exchange, &view, true);
    } else if (strcmp(path, "/status") == 0) {
        reply_status(role_http, exchange, &view);
    } else if (strcmp(path, "/metrics") == 0) {
        reply_metrics(role_http, exchange, &view);
    } else {
        struct http1_response response = {
            .status = 404,
            .body = slice_of_string("unknown path; try /primary /replica /read-only /health "
                                    "/liveness /status /metrics\n"),
        };
        http1_reply(exchange, &response);
    }
}

/* Verified promotion, canary seen, and a lease that runs at this instant. */
static bool is_primary(const struct agent_view *view)
{
    uint64_t epoch = view->goal.epoch.value;
    return view->has_goal && view->goal.role == GOAL_PRIMARY &&
           view->facts.state == INSTANCE_PRIMARY && view->lease_epoch.value == epoch &&
           view->state.promoted_fork.epoch == epoch && view->facts.canary_epoch.value == epoch;
}

static bool is_replica(const struct agent_view *view, const char *query)
{
    char lag[LAG_VALUE_SIZE];
    if (view->facts.state != INSTANCE_STANDBY || !view->facts.receiver_streaming) {
        return false;
    }
    if (http1_query_value(query, "lag", lag, sizeof(lag)) != ERR_OK) {
        return true;
    }
    char *unit = NULL;
    errno = 0;
    unsigned long long bytes = strtoull(lag, &unit, 10);
    if (errno != 0 || unit == lag) {
        return false;
    }
    if (strcmp(unit, "kB") == 0) {
        bytes *= 1024;
    } else if (strcmp(unit, "MB") == 0) {
        bytes *= 1024ULL * 1024;
    } else if (strcmp(unit, "GB") == 0) {
        bytes *= 1024ULL * 1024 * 1024;
    } else if (unit[0] != '\0') {
        return false;
    }
    return view->facts.replay_lag_bytes <= bytes;
}

static void reply_role(struct http1_exchange *exchange, const struct agent_view *view, bool yes)
{
    struct buf body = {0};
    buf_printf(&body,
               "%s goal=%s epoch=%" PRIu64 " lease_left_ms=%" PRIu64 "\n",
               instance_state_name(view->facts.state),
               view->has_goal ? goal_role_name(view->goal.role) : "none",
               view->goal.epoch.value,
               view->lease_left_ms);
    struct http1_response response = {
        .status = yes ? 200 : 503,
        .body = buf_view(&body),
        .extra_headers = "Cache-Control: no-store\r\n",
    };
    http1_reply(exchange, &response);
    buf_deinit(&body);
}

static void reply_status(const struct role_http *role_http,
                         struct http1_exchange *exchange,
                         const struct agent_view *view)
{
    char position[POSITION_TEXT_SIZE];
    json_t *object = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:s, s:I, s:s, s:s, s:o, s:o, s:o, s:b, "
        "s:s}",
        "shard",
        role_http->config->shard,
        "instance",
        role_http->config->name,
        "region",
        role_http->config->region,
        "state",
        instance_state_name(view->facts.state),
        "goal",
        view->has_goal ? goal_role_name(view->goal.role) : "none",
        "epoch",
        (json_int_t)view->goal.epoch.value,
        "lease_epoch",
        (json_int_t)view->lease_epoch.value,
        "lease_left_ms",
        (json_int_t)view->lease_left_ms,
        "fenced_epoch",
        (json_int_t)view->state.fenced_epoch.value,
        "position",
        position_format(view->facts.position, position),
        "replay_lag_bytes",
        (json_int_t)view->facts.replay_lag_bytes,
        "doing",
        view->action,
        "why",
        view->reason,
        "concern",
        text_of(view->facts.concern),
        "gate",
        text_of(view->facts.gate),
        "could_lose",
        text_of(view->facts.lapse),
        "connected",
        view->connected,
        "leader",
        view->leader);
    CHECK(object != NULL);
    char *text = json_dumps(object, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    CHECK(text != NULL);
    struct http1_response response = {
        .status = 200,
        .content_type = "application/json",
        .body = slice_of_string(text),
        .extra_headers = "Cache-Control: no-store\r\n",
    };
    http1_reply(exchange, &response);
    free(text);
    json_decref(object);
}

/* It may quote names of the database, in any bytes, and be cut inside a character. */
static json_t *text_of(const char *text)
{
    char whole[TEXT_SIZE];
    int len = snprintf(whole, sizeof(whole), "%s", text);
    CHECK(len >= 0 && (size_t)len < sizeof(whole));
    utf8_mend((uint8_t *)whole, (size_t)len);
    return json_string(whole);
}

static void reply_metrics(struct role_http *role_http,
                          struct http1_exchange *exchange,
                          const struct agent_view *view)
{
    if (http1_page_is_due(&role_http->metrics)) {
        print_metrics(&role_http->metrics.body, view);
    }
    struct http1_response response = {
        .status = 200,
        .content_type = "text/plain; version=0.0.4; charset=utf-8",
        .body = buf_view(&role_http->metrics.body),
    };
    http1_reply(exchange, &response);
}

static void print_metrics(struct buf *body, const struct agent_view *view)
{
    metrics_print(body);
    buf_printf(body,
               "# HELP indaba_sidecar_primary 1 while this instance is the open primary.\n"
               "# TYPE indaba_sidecar_primary gauge\n"
               "indaba_sidecar_primary %d\n"
               "# HELP indaba_sidecar_lease_left_ms Milliseconds until the lease ends.\n"
               "# TYPE indaba_sidecar_lease_left_ms gauge\n"
               "indaba_sidecar_lease_left_ms %" PRIu64 "\n"
               "# HELP indaba_sidecar_epoch Epoch of the goal obeyed.\n"
               "# TYPE indaba_sidecar_epoch gauge\n"
               "indaba_sidecar_epoch %" PRIu64 "\n"
               "# HELP indaba_sidecar_connected 1 while a leader answers.\n"
               "# TYPE indaba_sidecar_connected gauge\n"
               "indaba_sidecar_connected %d\n"
               "# HELP indaba_sidecar_replay_lag_bytes WAL received and not yet replayed.\n"
               "# TYPE indaba_sidecar_replay_lag_bytes gauge\n"
               "indaba_sidecar_replay_lag_bytes %" PRIu64 "\n",
               is_primary(view),
               view->lease_left_ms,
               view->state.epoch.value,
               view->connected,
               view->facts.replay_lag_bytes);
}
