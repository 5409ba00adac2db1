/* SPDX-License-Identifier: Apache-2.0 */
/* What owners do with calls on a channel: begin, send, end, cancel. What comes back is in
 * channel_receive.c. */
#include "base/check.h"
#include "base/mem.h"
#include "rpc/channel_internal.h"

#include <string.h>

enum {
    CALL_HEADERS_MAX = 32,
    CALL_HEADERS_OWN = 8
};

static struct channel_call *
call_make(struct channel *channel, const struct channel_request *request, channel_done_fn on_done);
static void call_start(struct channel_call *call);
static void call_begin(struct channel_call *call);
static size_t call_headers(const struct channel_call *call, char *timeout, struct h2_header *out);
static void call_end_early(struct channel_call *call, enum grpc_status status, const char *message);
static void call_frame(struct channel_call *call, struct slice message);
static void on_deadline(uv_timer_t *timer);

struct channel_call *channel_unary(struct channel *channel,
                                   const struct channel_request *request,
                                   struct slice message,
                                   channel_done_fn on_done,
                                   void *ctx)
{
    struct channel_call *call = call_make(channel, request, on_done);
    call->ctx = ctx;
    call_frame(call, message);
    call->is_ended = true;
    call_start(call);
    return call;
}

struct channel_call *channel_stream(struct channel *channel,
                                    const struct channel_request *request,
                                    const struct channel_stream_handlers *handlers,
                                    void *ctx)
{
    struct channel_call *call = call_make(channel, request, handlers->on_done);
    call->handlers = handlers;
    call->ctx = ctx;
    call_start(call);
    return call;
}

enum error channel_call_send(struct channel_call *call, struct slice message)
{
    CHECK(!call->is_over);
    if (call->is_ended) {
        return ERR_CLOSED;
    }
    size_t queued = channel_call_queued_bytes(call);
    if (message.len > call->channel->options.message_bytes_max ||
        (queued > 0 && queued + message.len > call->channel->options.call_queue_bytes_max)) {
        return ERR_EXHAUSTED;
    }
    if (call->stream == NULL) {
        call_frame(call, message);
        return ERR_OK;
    }
    uint8_t prefix[GRPC_PREFIX_SIZE];
    grpc_prefix_put(prefix, (uint32_t)message.len);
    struct slice parts[] = {slice_of(prefix, sizeof(prefix)), message};
    h2_send(call->stream, parts, ARRAY_LEN(parts));
    return ERR_OK;
}

void channel_call_end(struct channel_call *call)
{
    CHECK(!call->is_over);
    if (!call->is_ended) {
        call->is_ended = true;
        if (call->stream != NULL) {
            h2_end(call->stream, NULL, 0);
        }
    }
}

size_t channel_call_queued_bytes(const struct channel_call *call)
{
    return call->out.len + (call->stream == NULL ? 0 : h2_queued_bytes(call->stream));
}

void channel_call_cancel(struct channel_call *call)
{
    CHECK(!call->is_over);
    channel_call_detach(call, true);
    if (call->depth == 0) {
        channel_call_release(call);
    }
}

void channel_calls_begin(struct channel *channel)
{
    struct channel_call *next = NULL;
    for (struct channel_call *call = channel->calls; call != NULL; call = next) {
        next = call->next;
        if (call->stream == NULL && !call->ends_early) {
            call_begin(call);
        }
    }
}

void channel_calls_fail(struct channel *channel, bool only_waiting, const char *message)
{
    /* An owner told here may begin or cancel other calls: start over after each. */
    struct channel_call *call = channel->calls;
    while (call != NULL) {
        bool spared =
            only_waiting && (call->stream != NULL || call->wait_for_ready || call->ends_early);
        if (spared || call->is_over) {
            call = call->next;
            continue;
        }
        struct channel_result result = {
            .status = GRPC_UNAVAILABLE,
            .message = message,
            .not_processed = call->stream == NULL || !h2_request_was_sent(call->stream),
        };
        channel_call_done(call, &result, true);
        call = channel->calls;
    }
}

void channel_calls_tell_early(struct channel *channel)
{
    struct channel_call *call = channel->calls;
    while (call != NULL && channel->state != CHANNEL_CLOSED) {
        if (!call->ends_early) {
            call = call->next;
            continue;
        }
        struct channel_result result = {
            .status = call->early_status,
            .message = call->early_message,
            .not_processed = true,
        };
        channel_call_done(call, &result, false);
        call = channel->calls;
    }
}

static struct channel_call *
call_make(struct channel *channel, const struct channel_request *request, channel_done_fn on_done)
{
    CHECK(channel->state != CHANNEL_CLOSED);
    CHECK(request->metadata_count <= CALL_HEADERS_MAX - CALL_HEADERS_OWN);
    struct channel_call *call = mem_new(sizeof(*call));
    call->channel = channel;
    call->on_done = on_done;
    call->path = mem_dup_string(request->path);
    call->wait_for_ready = request->wait_for_ready;
    call->deframer.message_bytes_max = channel->options.message_bytes_max;
    for (size_t i = 0; i < request->metadata_count; i++) {
        const struct channel_metadata *pair = &request->metadata[i];
        buf_append(&call->metadata, pair->name, strlen(pair->name) + 1);
        buf_append(&call->metadata, pair->value, strlen(pair->value) + 1);
    }
    call->deadline_ms = UINT64_MAX;
    if (request->timeout_ms > 0) {
        uv_loop_t *loop = net_loop(channel->net);
        call->deadline_ms = uv_now(loop) + request->timeout_ms;
        call->timer = mem_new(sizeof(*call->timer));
        CHECK(uv_timer_init(loop, call->timer) == 0);
        call->timer->data = call;
        uv_timer_start(call->timer, on_deadline, request->timeout_ms, 0);
    }
    call->next = channel->calls;
    if (channel->calls != NULL) {
        channel->calls->previous = call;
    }
    channel->calls = call;
    channel->calls_count++;
    return call;
}

static void call_start(struct channel_call *call)
{
    struct channel *channel = call->channel;
    if (channel->calls_count > channel->options.calls_max) {
        call_end_early(call, GRPC_RESOURCE_EXHAUSTED, "too many calls are open on this channel");
    } else if (channel->state == CHANNEL_READY && !channel->current->is_leaving) {
        call_begin(call);
    } else if (channel->state == CHANNEL_BACKOFF && !call->wait_for_ready) {
        call_end_early(call, GRPC_UNAVAILABLE, channel->last_detail);
    }
}

static void call_begin(struct channel_call *call)
{
    struct h2_header headers[CALL_HEADERS_MAX];
    char timeout[GRPC_TIMEOUT_TEXT_SIZE];
    size_t count = call_headers(call, timeout, headers);
    call->depth++; /* its end must not be told from inside */
    enum error error = h2_request(call->channel->current->h2, headers, count, call, &call->stream);
    if (error == ERR_OK && call->stream != NULL) {
        struct slice out = buf_view(&call->out);
        if (out.len > 0) {
            h2_send(call->stream, &out, 1);
        }
        if (call->is_ended && call->stream != NULL) {
            h2_end(call->stream, NULL, 0);
        }
        buf_deinit(&call->out);
    }
    call->depth--;
    if (error != ERR_OK) {
        call_end_early(call, GRPC_UNAVAILABLE, "the server takes no new calls");
    } else if (call->stream == NULL) {
        call_end_early(call, GRPC_UNAVAILABLE, "the server refused the call");
    }
}

static size_t call_headers(const struct channel_call *call, char *timeout, struct h2_header *out)
{
    const struct channel *channel = call->channel;
    size_t count = 0;
    out[count++] = (struct h2_header){":method", "POST"};
    out[count++] = (struct h2_header){":scheme", channel->options.tls == NULL ? "http" : "https"};
    out[count++] = (struct h2_header){":path", call->path};
    out[count++] = (struct h2_header){":authority", channel->options.address};
    out[count++] = (struct h2_header){"te", "trailers"};
    out[count++] = (struct h2_header){"content-type", "application/grpc+proto"};
    out[count++] = (struct h2_header){"user-agent", "indaba"};
    if (call->deadline_ms != UINT64_MAX) {
        uint64_t now_ms = uv_now(net_loop(channel->net));
        uint64_t left_ms = call->deadline_ms > now_ms ? call->deadline_ms - now_ms : 1;
        out[count++] = (struct h2_header){"grpc-timeout", grpc_timeout_format(left_ms, timeout)};
    }
    CHECK(count <= CALL_HEADERS_OWN);
    const char *text = (const char *)call->metadata.data;
    const char *end = text + call->metadata.len;
    while (text < end) {
        const char *value = text + strlen(text) + 1;
        out[count++] = (struct h2_header){text, value};
        text = value + strlen(value) + 1;
    }
    return count;
}

static void call_end_early(struct channel_call *call, enum grpc_status status, const char *message)
{
    call->ends_early = true;
    call->early_status = status;
    call->early_message = message;
    channel_tell_later(call->channel);
}

static void call_frame(struct channel_call *call, struct slice message)
{
    uint8_t prefix[GRPC_PREFIX_SIZE];
    grpc_prefix_put(prefix, (uint32_t)message.len);
    buf_append(&call->out, prefix, sizeof(prefix));
    buf_append(&call->out, message.data, message.len);
}

static void on_deadline(uv_timer_t *timer)
{
    struct channel_call *call = timer->data;
    struct channel_result result = {
        .status = GRPC_DEADLINE_EXCEEDED,
        .message = "the deadline has passed",
        .not_processed = call->stream == NULL || !h2_request_was_sent(call->stream),
    };
    channel_call_done(call, &result, true);
}
