/* SPDX-License-Identifier: Apache-2.0 */
/* The gRPC server's connections: accepting, ageing, draining. Calls are in server_call.c (what
 * owners do with them) and server_receive.c (how they come in). */
#include "rpc/server.h"

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "rpc/net_internal.h"
#include "rpc/server_internal.h"

#include <stdio.h>
#include <string.h>

enum {
    SWEEP_MS = 1000,
    ROUND_TRIP_MS = 100,              /* between the two steps of a goodbye */
    CONNECTION_AGE_GRACE_MS = 300000, /* for streams open when a connection retires */
};

static void server_default(struct server_options *options);
static bool knows_source(const char *host, void *ctx);
static void on_accept(struct stream *stream, void *ctx);
static void on_read(struct stream *stream, struct slice bytes, void *ctx);
static void on_stream_drain(struct stream *stream, void *ctx);
static void
on_stream_close(struct stream *stream, enum stream_reason reason, const char *detail, void *ctx);
static void connection_check_done(struct server_connection *connection);
static void connection_abort_calls(struct server_connection *connection, const char *message);
static void on_sweep(uv_timer_t *timer);
static void end_stalled(struct server_connection *connection, uint64_t now_ms);
static void connection_retire(struct server_connection *connection, uint64_t now_ms);
static void on_drain_step(uv_timer_t *timer);
static void server_check_drained(struct server *server);
static void on_handle_closed(uv_handle_t *handle);

static const struct stream_handlers stream_handlers = {
    .on_read = on_read,
    .on_drain = on_stream_drain,
    .on_close = on_stream_close,
};

enum error server_new(struct net *net,
                      const struct server_options *options,
                      struct reason *reason,
                      struct server **server_out)
{
    struct server *server = mem_new(sizeof(*server));
    server->net = net;
    server->options = *options;
    server_default(&server->options);
    struct stream_listen_options listen = {
        .address = options->address,
        .stream =
            {
                .tls = options->tls,
                .tls_role = options->tls_role,
                .alpn = options->tls == NULL ? NULL : "h2",
                .write_queue_bytes_max = H2_WRITE_QUEUE_BYTES_MAX,
            },
        .connections_max = server->options.connections_max,
        .knows_source = options->knows_source == NULL ? NULL : knows_source,
    };
    struct stream_acceptor acceptor = {.on_accept = on_accept, .ctx = server};
    enum error error = stream_listen(net, &listen, acceptor, reason, &server->listener);
    if (error != ERR_OK) {
        mem_free(server);
        return error;
    }
    server->port = stream_listener_port(server->listener);
    server_share_init(server);
    server_add_methods(server, options->methods, options->methods_count);
    CHECK(uv_timer_init(net_loop(net), &server->sweep) == 0);
    CHECK(uv_timer_init(net_loop(net), &server->drain) == 0);
    server->handles_open = 2;
    server->sweep.data = server;
    server->drain.data = server;
    uv_timer_start(&server->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
    uv_unref((uv_handle_t *)&server->sweep);
    *server_out = server;
    return ERR_OK;
}

uint16_t server_port(const struct server *server)
{
    return server->port;
}

uint32_t server_connections_count(const struct server *server)
{
    return server->connections_count;
}

uint32_t server_calls_count(const struct server *server)
{
    return server->calls_count;
}

size_t server_queued_bytes(const struct server *server)
{
    return server->queued.bytes;
}

void server_add_methods(struct server *server, const struct server_method *methods, size_t count)
{
    CHECK(server->tables_count < SERVER_TABLES_MAX);
    server->tables[server->tables_count] = (struct server_table){methods, count};
    server->tables_count++;
}

void server_drain(struct server *server,
                  uint32_t grace_ms,
                  void (*on_drained)(struct server *server, void *ctx),
                  void *ctx)
{
    CHECK(!server->is_draining);
    server->is_draining = true;
    server->drain_grace_ms = grace_ms;
    server->on_drained = on_drained;
    server->drained_ctx = ctx;
    stream_listener_close(server->listener);
    server->listener = NULL;
    for (struct server_connection *connection = server->connections; connection != NULL;
         connection = connection->next) {
        if (connection->phase == CONNECTION_SERVING) {
            connection->phase = CONNECTION_NOTICED;
            h2_shutdown_notice(connection->h2);
        }
    }
    uint32_t wait_ms = server->connections == NULL ? 0 : ROUND_TRIP_MS;
    uv_timer_start(&server->drain, on_drain_step, wait_ms, 0);
}

void server_free(struct server *server)
{
    if (server == NULL) {
        return;
    }
    if (server->listener != NULL) {
        stream_listener_close(server->listener);
    }
    for (struct server_connection *connection = server->connections; connection != NULL;
         connection = connection->next) {
        connection_abort_calls(connection, "the server stops");
        h2_set_queue_sum(connection->h2, NULL);
        server_share_leave(connection);
        connection->server = NULL;
        stream_close(connection->stream);
    }
    uv_close((uv_handle_t *)&server->sweep, on_handle_closed);
    uv_close((uv_handle_t *)&server->drain, on_handle_closed);
}

const struct server_method *server_find_method(const struct server *server, const char *path)
{
    for (uint32_t t = 0; t < server->tables_count; t++) {
        for (size_t m = 0; m < server->tables[t].count; m++) {
            if (strcmp(server->tables[t].methods[m].path, path) == 0) {
                return &server->tables[t].methods[m];
            }
        }
    }
    return NULL;
}

static void server_default(struct server_options *options)
{
    options->streams_max = options->streams_max == 0 ? 128 : options->streams_max;
    if (options->message_bytes_max == 0) {
        options->message_bytes_max = GRPC_MESSAGE_BYTES_MAX;
    }
    if (options->reply_bytes_max == 0) {
        options->reply_bytes_max = GRPC_MESSAGE_BYTES_MAX;
    }
    if (options->header_list_bytes_max == 0) {
        options->header_list_bytes_max = 8192;
    }
    if (options->call_queue_bytes_max == 0) {
        options->call_queue_bytes_max = 8 << 20;
    }
    if (options->connection_queue_bytes_max == 0) {
        options->connection_queue_bytes_max = (size_t)64 << 20;
    }
    if (options->queue_bytes_max == 0) {
        options->queue_bytes_max = (size_t)512 << 20;
    }
    if (options->intake_bytes_max == 0) {
        options->intake_bytes_max = (size_t)256 << 20;
    }
    if (options->connection_age_max_ms == 0) {
        options->connection_age_max_ms = 3600 * 1000;
    }
    if (options->stall_ms == 0) {
        options->stall_ms = 20000;
    }
    if (options->ping_interval_min_ms == 0) {
        options->ping_interval_min_ms = 500;
    }
}

static bool knows_source(const char *host, void *ctx)
{
    const struct server *server = ctx;
    return server->options.knows_source(host, server->options.ctx);
}

static void on_accept(struct stream *stream, void *ctx)
{
    struct server *server = ctx;
    struct server_connection *connection = mem_new(sizeof(*connection));
    connection->server = server;
    connection->stream = stream;
    if (!server_share_enter(connection)) {
        mem_free(connection);
        stream_close(stream);
        return;
    }
    connection->next = server->connections;
    if (server->connections != NULL) {
        server->connections->previous = connection;
    }
    server->connections = connection;
    server->connections_count++;
    /* Spread by ±10 %, so that connections made together do not all retire together. */
    uint64_t now_ms = uv_now(net_loop(server->net));
    uint64_t age_ms = server->options.connection_age_max_ms;
    uint64_t spread = (now_ms * 2654435761U + (uint64_t)server->connections_count * 40503U) % 1000;
    connection->retire_ms = now_ms + age_ms * (900 + spread / 5) / 1000;
    stream_set_handlers(stream, &stream_handlers, connection);
    struct h2_options options = {
        .is_server = true,
        .streams_max = server->options.streams_max,
        .header_list_bytes_max = server->options.header_list_bytes_max,
        .ping_interval_min_ms = server->options.ping_interval_min_ms,
    };
    connection->h2 = h2_new(stream, &options, &server_h2_handlers, connection);
    h2_set_queue_sum(connection->h2, &connection->identity->queued);
}

static void on_read(struct stream *stream, struct slice bytes, void *ctx)
{
    struct server_connection *connection = ctx;
    if (h2_receive(connection->h2, bytes) != ERR_OK) {
        server_share_refused(connection, NET_REFUSED_PROTOCOL, h2_errmsg(connection->h2));
        stream_finish(stream);
        return;
    }
    connection_check_done(connection);
}

static void on_stream_drain(struct stream *stream, void *ctx)
{
    (void)stream;
    struct server_connection *connection = ctx;
    h2_flush(connection->h2);
    connection_check_done(connection);
}

static void
on_stream_close(struct stream *stream, enum stream_reason reason, const char *detail, void *ctx)
{
    (void)stream;
    (void)reason;
    (void)detail;
    struct server_connection *connection = ctx;
    struct server *server = connection->server;
    h2_free(connection->h2);
    CHECK(connection->calls == NULL);
    if (server != NULL) {
        server_share_leave(connection);
        if (connection->previous != NULL) {
            connection->previous->next = connection->next;
        } else {
            server->connections = connection->next;
        }
        if (connection->next != NULL) {
            connection->next->previous = connection->previous;
        }
        server->connections_count--;
    }
    mem_free(connection);
    if (server != NULL) {
        server_check_drained(server);
    }
}

static void connection_check_done(struct server_connection *connection)
{
    if (h2_is_done(connection->h2)) {
        stream_finish(connection->stream);
    }
}

static void connection_abort_calls(struct server_connection *connection, const char *message)
{
    while (connection->calls != NULL) {
        server_call_abort(connection->calls, GRPC_UNAVAILABLE, message);
    }
}

static void on_sweep(uv_timer_t *timer)
{
    struct server *server = timer->data;
    uint64_t now_ms = uv_now(net_loop(server->net));
    for (struct server_connection *connection = server->connections; connection != NULL;
         connection = connection->next) {
        end_stalled(connection, now_ms);
        server_intake_end_stalled(connection, now_ms);
        if (now_ms >= connection->retire_ms && !server->is_draining) {
            connection_retire(connection, now_ms);
        }
        connection_check_done(connection);
    }
}

/* Whoever asks and does not take the answers holds memory that others need. */
static void end_stalled(struct server_connection *connection, uint64_t now_ms)
{
    uint32_t ended = h2_end_stalled(connection->h2, now_ms, connection->server->options.stall_ms);
    for (; ended > 0; ended--) {
        server_share_refused(connection, NET_REFUSED_UNREAD, "");
    }
}

/* One step of ageing: notice, goaway a sweep later, the end after the grace. */
static void connection_retire(struct server_connection *connection, uint64_t now_ms)
{
    switch (connection->phase) {
    case CONNECTION_SERVING:
        connection->phase = CONNECTION_NOTICED;
        h2_shutdown_notice(connection->h2);
        break;
    case CONNECTION_NOTICED:
        connection->phase = CONNECTION_LEAVING;
        connection->retire_ms = now_ms + CONNECTION_AGE_GRACE_MS;
        h2_goaway(connection->h2);
        break;
    case CONNECTION_LEAVING:
        connection_abort_calls(connection, "the connection has reached its age");
        stream_finish(connection->stream);
        break;
    }
}

static void on_drain_step(uv_timer_t *timer)
{
    struct server *server = timer->data;
    bool is_last = server->is_goaway_sent;
    server->is_goaway_sent = true;
    for (struct server_connection *connection = server->connections; connection != NULL;
         connection = connection->next) {
        if (connection->phase != CONNECTION_LEAVING) {
            connection->phase = CONNECTION_LEAVING;
            h2_goaway(connection->h2);
        }
        if (is_last) {
            connection_abort_calls(connection, "the server stops");
            stream_finish(connection->stream);
        } else {
            connection_check_done(connection);
        }
    }
    if (!is_last) {
        uv_timer_start(&server->drain, on_drain_step, server->drain_grace_ms, 0);
    }
    server_check_drained(server);
}

static void server_check_drained(struct server *server)
{
    if (server->is_goaway_sent && server->connections == NULL && server->on_drained != NULL) {
        void (*on_drained)(struct server *, void *) = server->on_drained;
        server->on_drained = NULL;
        uv_timer_stop(&server->drain);
        on_drained(server, server->drained_ctx);
    }
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct server *server = handle->data;
    server->handles_open--;
    if (server->handles_open == 0) {
        mem_free(server);
    }
}
