/* SPDX-License-Identifier: Apache-2.0 */
/* What comes back on a channel's calls, and how each of them ends: exactly once, by trailers, by a
 * reset, by its deadline, by the end of the connection, or by its owner's cancellation. */
#include "base/check.h"
#include "base/mem.h"
#include "rpc/channel_internal.h"

#include <stdlib.h>
#include <string.h>

static void on_headers(struct h2_stream *stream, void *ctx);
static void on_data(struct h2_stream *stream, struct slice bytes, void *ctx);
static void on_end(struct h2_stream *stream, void *ctx);
static void on_drain(struct h2_stream *stream, void *ctx);
static void on_close(struct h2_stream *stream, uint32_t error_code, void *ctx);
static void on_pong(void *ctx);
static void on_goaway(void *ctx);
static void call_feed(struct channel_call *call, struct slice bytes);
static bool on_message(struct slice message, void *ctx);
static void call_ended(struct channel_call *call);
static void call_protocol_error(struct channel_call *call, const char *message);
static void call_leave(struct channel_call *call);
static void on_timer_closed(uv_handle_t *handle);

const struct h2_handlers channel_h2_handlers = {
    .on_headers = on_headers,
    .on_data = on_data,
    .on_end = on_end,
    .on_drain = on_drain,
    .on_close = on_close,
    .on_pong = on_pong,
    .on_goaway = on_goaway,
};

void channel_call_pause(struct channel_call *call)
{
    call->is_paused = true;
}

void channel_call_resume(struct channel_call *call)
{
    if (!call->is_paused || call->is_over) {
        return;
    }
    call->is_paused = false;
    call->depth++;
    struct buf messages = call->held;
    call->held = (struct buf){0};
    struct grpc_deframer again = {.message_bytes_max = call->deframer.message_bytes_max};
    CHECK(grpc_deframer_feed(&again, buf_view(&messages), on_message, call) != ERR_LIMIT);
    grpc_deframer_deinit(&again);
    buf_deinit(&messages);
    if (!call->is_over && !call->is_paused && call->paused.len > 0) {
        struct buf raw = call->paused;
        call->paused = (struct buf){0};
        h2_consume(call->stream, raw.len);
        call_feed(call, buf_view(&raw));
        buf_deinit(&raw);
    }
    if (!call->is_over && !call->is_paused && call->end_seen) {
        call_ended(call);
    }
    call_leave(call);
}

void channel_call_done(struct channel_call *call, const struct channel_result *result, bool reset)
{
    CHECK(!call->is_over);
    channel_done_fn on_done = call->on_done;
    struct channel_result complete = *result;
    complete.message = result->message == NULL ? "" : result->message;
    channel_call_detach(call, reset);
    call->depth++;
    on_done(&complete, call->ctx);
    call_leave(call);
}

void channel_call_detach(struct channel_call *call, bool reset)
{
    struct channel *channel = call->channel;
    call->is_over = true;
    if (call->stream != NULL) {
        struct h2_stream *stream = call->stream;
        call->stream = NULL;
        h2_set_user(stream, NULL);
        if (reset) {
            h2_reset(stream, H2_CANCEL);
        }
    }
    if (call->previous != NULL) {
        call->previous->next = call->next;
    } else {
        channel->calls = call->next;
    }
    if (call->next != NULL) {
        call->next->previous = call->previous;
    }
    channel->calls_count--;
    if (call->timer != NULL) {
        uv_close((uv_handle_t *)call->timer, on_timer_closed);
        call->timer = NULL;
    }
}

void channel_call_release(struct channel_call *call)
{
    CHECK(call->is_over && call->depth == 0);
    mem_free(call->path);
    buf_deinit(&call->metadata);
    buf_deinit(&call->out);
    buf_deinit(&call->reply);
    buf_deinit(&call->held);
    buf_deinit(&call->paused);
    grpc_deframer_deinit(&call->deframer);
    mem_free(call);
}

static void on_headers(struct h2_stream *stream, void *ctx)
{
    (void)stream;
    (void)ctx;
}

static void on_data(struct h2_stream *stream, struct slice bytes, void *ctx)
{
    (void)ctx;
    struct channel_call *call = h2_user(stream);
    const char *status = h2_find_header(stream, ":status");
    if (call == NULL || status == NULL || strcmp(status, "200") != 0) {
        h2_consume(stream, bytes.len);
        return;
    }
    if (call->is_paused) {
        buf_append(&call->paused, bytes.data, bytes.len);
        return;
    }
    h2_consume(stream, bytes.len);
    call_feed(call, bytes);
}

static void on_end(struct h2_stream *stream, void *ctx)
{
    (void)ctx;
    struct channel_call *call = h2_user(stream);
    if (call == NULL) {
        return;
    }
    if (call->is_paused) {
        call->end_seen = true;
        return;
    }
    call_ended(call);
}

static void on_drain(struct h2_stream *stream, void *ctx)
{
    (void)ctx;
    struct channel_call *call = h2_user(stream);
    if (call != NULL && call->handlers != NULL && call->handlers->on_drain != NULL) {
        call->depth++;
        call->handlers->on_drain(call, call->ctx);
        call_leave(call);
    }
}

static void on_close(struct h2_stream *stream, uint32_t error_code, void *ctx)
{
    struct channel_call *call = h2_user(stream);
    if (call == NULL) {
        return;
    }
    const struct channel_connection *connection = ctx;
    if (call->depth > 0 && !call->end_seen) {
        call->stream = NULL; /* it is just beginning, and call_begin will see it */
        return;
    }
    if (call->end_seen) {
        /* All has come, but was not told because the owner has paused. It can wait no longer. */
        call->depth++;
        while (!call->is_over) {
            channel_call_resume(call);
        }
        call_leave(call);
        return;
    }
    struct channel_result result = {.status = GRPC_INTERNAL, .message = "the call was reset"};
    if (connection->lost_detail != NULL) {
        result.status = GRPC_UNAVAILABLE;
        result.message = connection->lost_detail;
        result.not_processed = !h2_request_was_sent(stream);
    } else if (error_code == H2_REFUSED_STREAM) {
        result.status = GRPC_UNAVAILABLE;
        result.message = "the server refused the call";
        result.not_processed = true;
    } else if (error_code == H2_ENHANCE_YOUR_CALM) {
        result.status = GRPC_RESOURCE_EXHAUSTED;
    } else if (error_code == H2_CANCEL) {
        result.status = GRPC_CANCELLED;
        result.message = "the server cancelled the call";
    }
    channel_call_done(call, &result, false);
}

static void on_pong(void *ctx)
{
    ((struct channel_connection *)ctx)->heard_since_ping = true;
}

static void on_goaway(void *ctx)
{
    ((struct channel_connection *)ctx)->is_leaving = true;
}

static void call_feed(struct channel_call *call, struct slice bytes)
{
    call->depth++;
    enum error error = grpc_deframer_feed(&call->deframer, bytes, on_message, call);
    if (!call->is_over && error == ERR_LIMIT) {
        struct channel_result result = {
            .status = GRPC_RESOURCE_EXHAUSTED,
            .message = "the reply is larger than this client takes",
        };
        channel_call_done(call, &result, true);
    } else if (!call->is_over && error == ERR_PROTOCOL) {
        call_protocol_error(call, "a compressed reply, which was not asked for");
    }
    call_leave(call);
}

static bool on_message(struct slice message, void *ctx)
{
    struct channel_call *call = ctx;
    if (call->handlers == NULL) {
        if (call->reply_seen) {
            call_protocol_error(call, "more than one reply");
            return false;
        }
        call->reply_seen = true;
        buf_append(&call->reply, message.data, message.len);
        return true;
    }
    if (call->is_paused) {
        uint8_t prefix[GRPC_PREFIX_SIZE];
        grpc_prefix_put(prefix, (uint32_t)message.len);
        buf_append(&call->held, prefix, sizeof(prefix));
        buf_append(&call->held, message.data, message.len);
        return true;
    }
    call->handlers->on_message(call, message, call->ctx);
    return !call->is_over;
}

/* The server has ended the call: its trailers say how. */
static void call_ended(struct channel_call *call)
{
    struct buf message = {0};
    struct buf details = {0};
    struct channel_result result = {.status = GRPC_UNKNOWN};
    const char *status = h2_find_header(call->stream, "grpc-status");
    const char *text = h2_find_header(call->stream, "grpc-message");
    const char *encoded = h2_find_header(call->stream, "grpc-status-details-bin");
    if (status != NULL) {
        result.status = grpc_status_from_number(strtoul(status, NULL, 10));
    } else {
        const char *http = h2_find_header(call->stream, ":status");
        result.status = grpc_status_from_http(http == NULL ? 0 : (uint32_t)strtoul(http, NULL, 10));
        buf_printf(&message,
                   "the answer has no gRPC status; its HTTP status is %.8s",
                   http == NULL ? "missing" : http);
    }
    if (text != NULL) {
        grpc_percent_decode(slice_of_string(text), &message);
    }
    if (encoded != NULL && grpc_base64_decode(slice_of_string(encoded), &details) != ERR_OK) {
        buf_deinit(&details);
    }
    if (result.status == GRPC_OK && grpc_deframer_is_partial(&call->deframer)) {
        result.status = GRPC_INTERNAL;
        buf_append_string(&message, "the last message is cut off");
    } else if (result.status == GRPC_OK && call->handlers == NULL && !call->reply_seen) {
        result.status = GRPC_INTERNAL;
        buf_append_string(&message, "the answer has no message");
    }
    buf_put_u8(&message, 0);
    struct buf reply = call->reply;
    call->reply = (struct buf){0};
    result.message = (const char *)message.data;
    result.details = buf_view(&details);
    result.reply = buf_view(&reply);
    /* A server may end a call before we have sent all. */
    bool unfinished = !call->is_ended || h2_queued_bytes(call->stream) > 0;
    channel_call_done(call, &result, unfinished);
    buf_deinit(&message);
    buf_deinit(&details);
    buf_deinit(&reply);
}

static void call_protocol_error(struct channel_call *call, const char *message)
{
    struct channel_result result = {.status = GRPC_INTERNAL, .message = message};
    channel_call_done(call, &result, true);
}

static void call_leave(struct channel_call *call)
{
    call->depth--;
    if (call->is_over && call->depth == 0) {
        channel_call_release(call);
    }
}

static void on_timer_closed(uv_handle_t *handle)
{
    mem_free(handle);
}
