/* SPDX-License-Identifier: Apache-2.0 */
/* The client's side: states and backoff. Its connections are in channel_connection.c, what owners
 * do with calls in channel_call.c, what comes back in channel_receive.c.
 *
 *   CONNECTING --open--> READY --lost--> BACKOFF --timer--> CONNECTING
 *        \--------------failed-----------^
 * A goodbye of the server leads from READY to CONNECTING; the old connection keeps its calls.
 */
#include "rpc/channel.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "rpc/channel_internal.h"

#include <stdio.h>
#include <string.h>

static void channel_default(struct channel_options *options);
static void on_timer(uv_timer_t *timer);
static void on_later(uv_timer_t *timer);
static void on_handle_closed(uv_handle_t *handle);

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
    if (channel->current != NULL) {
        channel_connection_orphan(channel->current);
    }
    while (channel->leaving != NULL) {
        struct channel_connection *connection = channel->leaving;
        channel->leaving = connection->next;
        channel_connection_orphan(connection);
    }
    uv_close((uv_handle_t *)&channel->timer, on_handle_closed);
    uv_close((uv_handle_t *)&channel->later, on_handle_closed);
}

enum channel_state channel_state(const struct channel *channel)
{
    return channel->state;
}

enum stream_reason channel_last_reason(const struct channel *channel)
{
    return channel->last_reason;
}

const char *channel_peer(const struct channel *channel)
{
    return channel->state != CHANNEL_READY ? "" : stream_peer(channel->current->stream);
}

void channel_redial(struct channel *channel)
{
    if (channel->state == CHANNEL_BACKOFF) {
        channel_wake_in(channel, 0);
    }
}

void channel_reset(struct channel *channel)
{
    channel->backoff_ms = 0;
    for (struct channel_connection *connection = channel->leaving; connection != NULL;
         connection = connection->next) {
        stream_close(connection->stream);
    }
    if (channel->current != NULL) {
        stream_close(channel->current->stream);
    } else {
        channel_redial(channel);
    }
}

void channel_wake_in(struct channel *channel, uint64_t wait_ms)
{
    uv_timer_start(&channel->timer, on_timer, wait_ms, 0);
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

void channel_enter(struct channel *channel, enum channel_state state)
{
    channel->state = state;
    if (channel->on_state != NULL) {
        channel->on_state(channel, state, channel->last_reason, channel->last_detail, channel->ctx);
    }
}

void channel_lost(struct channel *channel)
{
    const struct channel_options *options = &channel->options;
    uint32_t wait_ms = channel->backoff_ms;
    wait_ms = wait_ms == 0 ? options->backoff_min_ms : wait_ms * 2;
    wait_ms = wait_ms > options->backoff_max_ms ? options->backoff_max_ms : wait_ms;
    channel->backoff_ms = wait_ms;
    /* Half of it fixed, half by lot. */
    channel_wake_in(channel, wait_ms / 2 + prng_below(&channel->prng, wait_ms / 2 + 1));
    channel_enter(channel, CHANNEL_BACKOFF);
    if (channel->state != CHANNEL_CLOSED) {
        channel_calls_fail(channel, true, channel->last_detail);
    }
}

/* In backoff it is time to dial, when ready to see whether the server is still there. */
static void on_timer(uv_timer_t *timer)
{
    struct channel *channel = timer->data;
    if (channel->state == CHANNEL_BACKOFF) {
        channel_dial(channel);
        channel_enter(channel, CHANNEL_CONNECTING);
    } else if (channel->state == CHANNEL_READY) {
        channel_connection_keepalive(channel->current);
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
