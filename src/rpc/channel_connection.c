/* SPDX-License-Identifier: Apache-2.0 */
/* One connection of a channel: dial, read, keepalive, goodbye. A connection whose server has said
 * goodbye steps aside: the calls on it go on, while new ones begin on its successor. */
#include "base/check.h"
#include "base/mem.h"
#include "rpc/channel_internal.h"

#include <stdio.h>
#include <string.h>

static void on_open(struct stream *stream, void *ctx);
static void on_read(struct stream *stream, struct slice bytes, void *ctx);
static void on_drain(struct stream *stream, void *ctx);
static void
on_close(struct stream *stream, enum stream_reason reason, const char *detail, void *ctx);
static void connection_step_aside(struct channel_connection *connection);
static void connection_unlink(struct channel_connection *connection);

static const struct stream_handlers stream_handlers = {
    .on_open = on_open,
    .on_read = on_read,
    .on_drain = on_drain,
    .on_close = on_close,
};

void channel_dial(struct channel *channel)
{
    CHECK(channel->current == NULL);
    struct stream_options options = {
        .tls = channel->options.tls,
        .tls_role = TLS_CLIENT,
        .alpn = channel->options.tls == NULL ? NULL : "h2",
        .peer_path_prefix = channel->options.peer_path_prefix,
        .handshake_timeout_ms = channel->options.connect_timeout_ms,
        .write_queue_bytes_max = H2_WRITE_QUEUE_BYTES_MAX,
    };
    struct channel_connection *connection = mem_new(sizeof(*connection));
    connection->channel = channel;
    CHECK(stream_connect(channel->net, channel->options.address, &options, &connection->stream) ==
          ERR_OK);
    stream_set_handlers(connection->stream, &stream_handlers, connection);
    channel->current = connection;
    channel->state = CHANNEL_CONNECTING;
}

void channel_connection_orphan(struct channel_connection *connection)
{
    connection->channel = NULL;
    stream_close(connection->stream);
}

/* One ping when nothing was heard for keepalive_ms; without an answer the connection is dead. */
void channel_connection_keepalive(struct channel_connection *connection)
{
    struct channel *channel = connection->channel;
    if (connection->heard_since_ping) {
        connection->heard_since_ping = false;
        connection->ping_unanswered = false;
        channel_wake_in(channel, channel->options.keepalive_ms);
    } else if (!connection->ping_unanswered) {
        connection->ping_unanswered = true;
        h2_ping(connection->h2);
        channel_wake_in(channel, channel->options.keepalive_timeout_ms);
    } else {
        stream_close_as(connection->stream, STREAM_TIMEOUT, "the server does not answer pings");
    }
}

static void on_open(struct stream *stream, void *ctx)
{
    struct channel_connection *connection = ctx;
    struct channel *channel = connection->channel;
    struct h2_options options = {.is_server = false, .header_list_bytes_max = 16384};
    connection->h2 = h2_new(stream, &options, &channel_h2_handlers, connection);
    connection->heard_since_ping = true;
    channel_wake_in(channel, channel->options.keepalive_ms);
    channel_calls_begin(channel);
    channel_enter(channel, CHANNEL_READY);
}

static void on_read(struct stream *stream, struct slice bytes, void *ctx)
{
    struct channel_connection *connection = ctx;
    connection->heard_since_ping = true;
    enum error error = h2_receive(connection->h2, bytes);
    if (connection->channel == NULL || !stream_is_open(stream)) {
        return; /* a handler has freed the channel, or reset it */
    }
    if (error != ERR_OK) {
        stream_close(stream);
        return;
    }
    /* The first answer shows that the server works: the next failure starts from the bottom. */
    connection->channel->backoff_ms = 0;
    bool is_idle = h2_streams_count(connection->h2) == 0;
    if (connection->is_leaving && connection->channel->current == connection) {
        connection_step_aside(connection);
    }
    if (h2_is_done(connection->h2) || (connection->is_leaving && is_idle)) {
        stream_close(stream);
    }
}

static void on_drain(struct stream *stream, void *ctx)
{
    (void)stream;
    h2_flush(((struct channel_connection *)ctx)->h2);
}

static void
on_close(struct stream *stream, enum stream_reason reason, const char *detail, void *ctx)
{
    (void)stream;
    struct channel_connection *connection = ctx;
    struct channel *channel = connection->channel;
    char text[NET_DETAIL_SIZE];
    bool has_reason = connection->h2 != NULL && h2_errmsg(connection->h2)[0] != '\0';
    (void)snprintf(text, sizeof(text), "%s", has_reason ? h2_errmsg(connection->h2) : detail);
    bool was_current = channel != NULL && channel->current == connection;
    if (was_current) {
        channel->last_reason = reason;
        (void)snprintf(channel->last_detail, sizeof(channel->last_detail), "%s", text);
    }
    /* Calls that have begun learn of it here, by their stream's end. What their owners ask for at
     * once must not begin on it. */
    connection->is_leaving = true;
    connection->lost_detail = text;
    h2_free(connection->h2);
    connection->h2 = NULL;
    /* One of their owners may have freed the channel meanwhile. */
    if (connection->channel != NULL) {
        connection_unlink(connection);
    } else {
        was_current = false;
    }
    mem_free(connection);
    if (was_current) {
        channel_lost(channel);
    }
}

static void connection_step_aside(struct channel_connection *connection)
{
    struct channel *channel = connection->channel;
    channel->current = NULL;
    connection->next = channel->leaving;
    channel->leaving = connection;
    channel_dial(channel);
    channel_enter(channel, CHANNEL_CONNECTING);
}

static void connection_unlink(struct channel_connection *connection)
{
    struct channel *channel = connection->channel;
    if (channel->current == connection) {
        channel->current = NULL;
        return;
    }
    struct channel_connection **link = &channel->leaving;
    while (*link != connection) {
        CHECK(*link != NULL);
        link = &(*link)->next;
    }
    *link = connection->next;
}
