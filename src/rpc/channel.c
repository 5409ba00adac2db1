/* SPDX-License-Identifier: Apache-2.0 */
/* The client's connection: dial, backoff, keepalive, goodbye. Calls are in channel_call.c.
 *
 *   CONNECTING --open--> READY --lost--> BACKOFF --timer--> CONNECTING
 *        \--------------failed-----------^
 */
#include "rpc/channel.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "rpc/channel_internal.h"

#include <stdio.h>
#include <string.h>

static void channel_default(struct channel_options *options);
static void channel_dial(struct channel *channel);
static void channel_enter(struct channel *channel, enum channel_state state);
static void on_open(struct stream *stream, void *ctx);
static void on_read(struct stream *stream, struct slice bytes, void *ctx);
static void on_stream_drain(struct stream *stream, void *ctx);
static void
on_stream_close(struct stream *stream, enum stream_reason reason, const char *detail, void *ctx);
static void channel_lost(struct channel *channel, const char *detail);
static void on_redial(uv_timer_t *timer);
static void on_keepalive(uv_timer_t *timer);
static void on_later(uv_timer_t *timer);
static void on_handle_closed(uv_handle_t *handle);
static void
on_orphan_close(struct stream *stream, enum stream_reason reason, const char *detail, void *ctx);

static const struct stream_handlers stream_handlers = {
    .on_open = on_open,
    .on_read = on_read,
    .on_drain = on_stream_drain,
    .on_close = on_stream_close,
};

/* For a connection that its channel has let go: only its memory is left to free. */
static const struct stream_handlers orphan_handlers = {
    .on_close = on_orphan_close,
};

enum error channel_new(struct net *net,
                       const struct channel_options *options,
                       channel_state_fn on_state,
                       void *ctx,
                       struct channel **channel_out)
{
    TRY(net_check_address(options->address));
    struct channel *channel = mem_new(sizeof(*channel));
    channel->net = net;
    channel->options = *options;
    channel->options.address = mem_dup_string(options->address);
    if (options->peer_path_prefix != NULL) {
        channel->options.peer_path_prefix = mem_dup_string(options->peer_path_prefix);
    }
    channel_default(&channel->options);
    channel->on_state = on_state;
    channel->ctx = ctx;
    channel->last_reason = STREAM_CLOSED_HERE;
    prng_init(&channel->prng, clock_boottime_ns() ^ (uint64_t)(uintptr_t)channel);
    CHECK(uv_timer_init(net_loop(net), &channel->timer) == 0);
    CHECK(uv_timer_init(net_loop(net), &channel->later) == 0);
    channel->timer.data = channel;
    channel->later.data = channel;
    channel->handles_open = 2;
    channel_dial(channel);
    *channel_out = channel;
    return ERR_OK;
}

void channel_free(struct channel *channel)
{
    if (channel == NULL) {
        return;
    }
    CHECK(channel->state != CHANNEL_CLOSED);
    channel->state = CHANNEL_CLOSED;
    channel->on_state = NULL;
    channel_calls_fail(channel, false, "the channel was closed");
    if (channel->stream != NULL) {
        stream_set_handlers(channel->stream, &orphan_handlers, channel->h2);
        stream_close(channel->stream);
        channel->stream = NULL;
        channel->h2 = NULL;
    }
    uv_close((uv_handle_t *)&channel->timer, on_handle_closed);
    uv_close((uv_handle_t *)&channel->later, on_handle_closed);
}

enum channel_state channel_state(const struct channel *channel)
{
    return channel->state;
}

const char *channel_state_name(enum channel_state state)
{
    switch (state) {
    case CHANNEL_CONNECTING:
        return "connecting";
    case CHANNEL_READY:
        return "ready";
    case CHANNEL_BACKOFF:
        return "backoff";
    case CHANNEL_CLOSED:
        return "closed";
    }
    return "unknown";
}

enum stream_reason channel_last_reason(const struct channel *channel)
{
    return channel->last_reason;
}

const char *channel_last_detail(const struct channel *channel)
{
    return channel->last_detail;
}

const char *channel_address(const struct channel *channel)
{
    return channel->options.address;
}

const char *channel_peer(const struct channel *channel)
{
    return channel->h2 == NULL ? "" : stream_peer(channel->stream);
}

void channel_redial(struct channel *channel)
{
    if (channel->state == CHANNEL_BACKOFF) {
        uv_timer_start(&channel->timer, on_redial, 0, 0);
    }
}

void channel_reset(struct channel *channel)
{
    channel->backoff_ms = 0;
    if (channel->stream != NULL) {
        stream_close(channel->stream);
    } else {
        channel_redial(channel);
    }
}

void channel_heard(struct channel *channel)
{
    channel->heard_since_ping = true;
}

void channel_leave(struct channel *channel)
{
    channel->is_leaving = true;
    channel->backoff_ms = 0; /* a planned goodbye is no failure */
}

void channel_check_done(struct channel *channel)
{
    if (channel->h2 != NULL &&
        (h2_is_done(channel->h2) || (channel->is_leaving && h2_streams_count(channel->h2) == 0))) {
        stream_close(channel->stream);
    }
}

void channel_tell_later(struct channel *channel)
{
    uv_timer_start(&channel->later, on_later, 0, 0);
}

static void channel_default(struct channel_options *options)
{
    uint32_t *const fields[] = {
        &options->connect_timeout_ms,
        &options->backoff_min_ms,
        &options->backoff_max_ms,
        &options->keepalive_ms,
        &options->keepalive_timeout_ms,
        &options->message_bytes_max,
        &options->calls_max,
    };
    static const uint32_t defaults[] = {
        5000,
        50,
        2000,
        10000,
        5000,
        GRPC_MESSAGE_BYTES_MAX,
        1024,
    };
    _Static_assert(ARRAY_LEN(fields) == ARRAY_LEN(defaults), "one default for each");
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        if (*fields[i] == 0) {
            *fields[i] = defaults[i];
        }
    }
    if (options->call_queue_bytes_max == 0) {
        options->call_queue_bytes_max = 8 << 20;
    }
}

static void channel_dial(struct channel *channel)
{
    struct stream_options options = {
        .tls = channel->options.tls,
        .tls_role = TLS_CLIENT,
        .alpn = channel->options.tls == NULL ? NULL : "h2",
        .peer_path_prefix = channel->options.peer_path_prefix,
        .handshake_timeout_ms = channel->options.connect_timeout_ms,
        .write_queue_bytes_max = H2_WRITE_QUEUE_BYTES_MAX,
    };
    channel->is_leaving = false;
    CHECK(stream_connect(channel->net, channel->options.address, &options, &channel->stream) ==
          ERR_OK);
    stream_set_handlers(channel->stream, &stream_handlers, channel);
    channel->state = CHANNEL_CONNECTING;
}

static void channel_enter(struct channel *channel, enum channel_state state)
{
    channel->state = state;
    if (channel->on_state != NULL) {
        channel->on_state(channel, state, channel->last_reason, channel->last_detail, channel->ctx);
    }
}

static void on_open(struct stream *stream, void *ctx)
{
    struct channel *channel = ctx;
    struct h2_options options = {.is_server = false, .header_list_bytes_max = 16384};
    channel->h2 = h2_new(stream, &options, &channel_h2_handlers, channel);
    channel->ping_unanswered = false;
    channel->heard_since_ping = true;
    uv_timer_start(&channel->timer, on_keepalive, channel->options.keepalive_ms, 0);
    channel_calls_begin(channel);
    channel_enter(channel, CHANNEL_READY);
}

static void on_read(struct stream *stream, struct slice bytes, void *ctx)
{
    struct channel *channel = ctx;
    channel_heard(channel);
    enum error error = h2_receive(channel->h2, bytes);
    /* A handler may have freed the channel; the stream then has other handlers. */
    if (stream_ctx(stream) != channel || !stream_is_open(stream)) {
        return;
    }
    if (error != ERR_OK) {
        stream_close(stream);
        return;
    }
    /* The first answer shows that the server works: the next failure starts from the bottom. */
    channel->backoff_ms = 0;
    channel_check_done(channel);
}

static void on_stream_drain(struct stream *stream, void *ctx)
{
    (void)stream;
    struct channel *channel = ctx;
    h2_flush(channel->h2);
}

static void
on_stream_close(struct stream *stream, enum stream_reason reason, const char *detail, void *ctx)
{
    (void)stream;
    struct channel *channel = ctx;
    struct h2 *h2 = channel->h2;
    channel->stream = NULL;
    channel->h2 = NULL;
    char text[NET_ERRMSG_SIZE];
    bool has_reason = h2 != NULL && h2_errmsg(h2)[0] != '\0';
    (void)snprintf(text, sizeof(text), "%s", has_reason ? h2_errmsg(h2) : detail);
    /* Calls that have begun learn of it here, by their stream's end. */
    (void)snprintf(channel->last_detail, sizeof(channel->last_detail), "%s", text);
    channel->last_reason = reason;
    h2_free(h2);
    /* A handler may have freed the channel; its memory stays until its timers are closed. */
    if (channel->state != CHANNEL_CLOSED) {
        channel_lost(channel, text);
    }
}

static void channel_lost(struct channel *channel, const char *detail)
{
    const struct channel_options *options = &channel->options;
    uint32_t wait_ms = channel->backoff_ms;
    if (!channel->is_leaving) {
        wait_ms = wait_ms == 0 ? options->backoff_min_ms : wait_ms * 2;
        wait_ms = wait_ms > options->backoff_max_ms ? options->backoff_max_ms : wait_ms;
        channel->backoff_ms = wait_ms;
    }
    /* Half of it fixed, half by lot. */
    uint64_t delay_ms =
        wait_ms == 0 ? 0 : wait_ms / 2 + prng_below(&channel->prng, wait_ms / 2 + 1);
    uv_timer_start(&channel->timer, on_redial, delay_ms, 0);
    channel_enter(channel, CHANNEL_BACKOFF);
    if (channel->state != CHANNEL_CLOSED) {
        channel_calls_fail(channel, true, detail);
    }
}

static void on_redial(uv_timer_t *timer)
{
    struct channel *channel = timer->data;
    channel_dial(channel);
    channel_enter(channel, CHANNEL_CONNECTING);
}

/* One ping when nothing was heard for keepalive_ms; without an answer the connection is dead. */
static void on_keepalive(uv_timer_t *timer)
{
    struct channel *channel = timer->data;
    if (channel->h2 == NULL) {
        return;
    }
    if (channel->heard_since_ping) {
        channel->heard_since_ping = false;
        channel->ping_unanswered = false;
        uv_timer_start(timer, on_keepalive, channel->options.keepalive_ms, 0);
    } else if (!channel->ping_unanswered) {
        channel->ping_unanswered = true;
        h2_ping(channel->h2);
        uv_timer_start(timer, on_keepalive, channel->options.keepalive_timeout_ms, 0);
    } else {
        stream_close_as(channel->stream, STREAM_TIMEOUT, "the server does not answer pings");
    }
}

static void on_later(uv_timer_t *timer)
{
    channel_calls_tell_early(timer->data);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct channel *channel = handle->data;
    channel->handles_open--;
    if (channel->handles_open == 0) {
        mem_free((void *)(uintptr_t)channel->options.address);
        mem_free((void *)(uintptr_t)channel->options.peer_path_prefix);
        mem_free(channel);
    }
}

static void
on_orphan_close(struct stream *stream, enum stream_reason reason, const char *detail, void *ctx)
{
    (void)stream;
    (void)reason;
    (void)detail;
    h2_free(ctx);
}
