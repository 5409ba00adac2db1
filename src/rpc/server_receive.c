/* SPDX-License-Identifier: Apache-2.0 */
/* How calls come in: a request's headers are judged, its data is cut into messages, its deadline is
 * watched. The handlers of h2 for the server's side are here. */
#include "base/check.h"
#include "base/mem.h"
#include "rpc/server_internal.h"

#include <stdio.h>
#include <string.h>

static void on_headers(struct h2_stream *stream, void *ctx);
static void on_data(struct h2_stream *stream, struct slice bytes, void *ctx);
static void on_end(struct h2_stream *stream, void *ctx);
static void on_drain(struct h2_stream *stream, void *ctx);
static void on_close(struct h2_stream *stream, uint32_t error_code, void *ctx);
static void on_pong(void *ctx);
static void on_goaway(void *ctx);
static bool refuse_http(struct h2_stream *stream);
static void
refuse(struct h2_stream *stream, enum grpc_status status, const char *message, bool say_identity);
static bool content_type_is_grpc(const char *type);
static struct server_call *call_make(struct server_connection *connection,
                                     struct h2_stream *stream,
                                     const struct server_method *method);
static void call_start_deadline(struct server_call *call, uint64_t timeout_ms);
static void on_deadline(uv_timer_t *timer);
static void on_timer_closed(uv_handle_t *handle);
static bool on_message(struct slice message, void *ctx);
static void call_feed(struct server_call *call, struct slice bytes);
static bool call_has_room(struct server_call *call);
static uint64_t now_ms_of(const struct server_call *call);
static void call_leave(struct server_call *call);

const struct h2_handlers server_h2_handlers = {
    .on_headers = on_headers,
    .on_data = on_data,
    .on_end = on_end,
    .on_drain = on_drain,
    .on_close = on_close,
    .on_pong = on_pong,
    .on_goaway = on_goaway,
};

void server_call_begin(struct server_connection *connection, struct h2_stream *stream)
{
    if (refuse_http(stream)) {
        return;
    }
    if (h2_headers_too_large(stream)) {
        refuse(stream, GRPC_RESOURCE_EXHAUSTED, "the headers are too large", false);
        return;
    }
    const char *encoding = h2_find_header(stream, "grpc-encoding");
    if (encoding != NULL && strcmp(encoding, "identity") != 0) {
        refuse(stream, GRPC_UNIMPLEMENTED, "only the encoding identity is supported", true);
        return;
    }
    const struct server_options *options = &connection->server->options;
    const char *refusal = options->refuse == NULL ? NULL : options->refuse(options->ctx);
    if (refusal != NULL) {
        refuse(stream, GRPC_UNAVAILABLE, refusal, false);
        return;
    }
    const char *path = h2_find_header(stream, ":path");
    const struct server_method *method = server_find_method(connection->server, path);
    if (method == NULL) {
        char message[160];
        (void)snprintf(message, sizeof(message), "unknown method %.100s", path);
        refuse(stream, GRPC_UNIMPLEMENTED, message, false);
        return;
    }
    uint64_t timeout_ms = UINT64_MAX;
    const char *timeout = h2_find_header(stream, "grpc-timeout");
    if (timeout != NULL && grpc_timeout_parse(slice_of_string(timeout), &timeout_ms) != ERR_OK) {
        refuse(stream, GRPC_INTERNAL, "grpc-timeout is not valid", false);
        return;
    }
    struct server_call *call = call_make(connection, stream, method);
    if (!call_has_room(call)) {
        return;
    }
    call->began_ms = method->kind == SERVER_BIDI ? 0 : now_ms_of(call);
    if (timeout_ms != UINT64_MAX) {
        call_start_deadline(call, timeout_ms);
    }
    if (method->kind == SERVER_BIDI && method->on_start != NULL) {
        call->depth++;
        method->on_start(call, method->ctx);
        call_leave(call);
    }
}

void server_call_data(struct server_call *call, struct slice bytes)
{
    if (call->is_paused) {
        buf_append(&call->paused, bytes.data, bytes.len);
        (void)call_has_room(call);
        return; /* no credit: the window bounds what comes */
    }
    h2_consume(call->stream, bytes.len);
    call_feed(call, bytes);
}

void server_call_end(struct server_call *call)
{
    if (call->is_paused) {
        call->end_seen = true;
        return;
    }
    const struct server_method *method = call->method;
    if (grpc_deframer_is_partial(&call->deframer)) {
        server_call_abort(call, GRPC_INTERNAL, "the last message is cut off");
    } else if (method->kind != SERVER_BIDI) {
        if (!call->message_seen) {
            server_call_abort(call, GRPC_INTERNAL, "the request has no message");
        }
    } else if (method->on_end == NULL) {
        server_call_finish(call, GRPC_OK, NULL, slice_of(NULL, 0));
    } else {
        call->depth++;
        method->on_end(call, method->ctx);
        call_leave(call);
    }
}

void server_call_pause(struct server_call *call)
{
    call->is_paused = true;
}

void server_call_resume(struct server_call *call)
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
    if (!call->is_over && call_has_room(call) && !call->is_paused && call->end_seen) {
        call->end_seen = false;
        server_call_end(call);
    }
    call_leave(call);
}

void server_call_release(struct server_call *call)
{
    struct server_connection *connection = call->connection;
    CHECK(call->is_over && call->depth == 0);
    if (call->stream != NULL) {
        h2_set_user(call->stream, NULL);
    }
    if (call->previous != NULL) {
        call->previous->next = call->next;
    } else {
        connection->calls = call->next;
    }
    if (call->next != NULL) {
        call->next->previous = call->previous;
    }
    connection->server->calls_count--;
    server_intake_leave(call);
    if (call->timer != NULL) {
        uv_close((uv_handle_t *)call->timer, on_timer_closed);
    }
    for (uint32_t i = 0; i < call->trailers_count; i++) {
        mem_free(call->trailers[i].name);
        mem_free(call->trailers[i].value);
    }
    mem_free(call->trailers);
    grpc_deframer_deinit(&call->deframer);
    buf_deinit(&call->held);
    buf_deinit(&call->paused);
    mem_free(call);
}

static void on_headers(struct h2_stream *stream, void *ctx)
{
    server_call_begin(ctx, stream);
}

static void on_data(struct h2_stream *stream, struct slice bytes, void *ctx)
{
    (void)ctx;
    struct server_call *call = h2_user(stream);
    if (call == NULL || call->is_over) {
        h2_consume(stream, bytes.len);
        return;
    }
    server_call_data(call, bytes);
}

static void on_end(struct h2_stream *stream, void *ctx)
{
    (void)ctx;
    struct server_call *call = h2_user(stream);
    if (call != NULL && !call->is_over) {
        server_call_end(call);
    }
}

static void on_drain(struct h2_stream *stream, void *ctx)
{
    (void)ctx;
    struct server_call *call = h2_user(stream);
    if (call != NULL && !call->is_over && call->on_drain != NULL) {
        call->depth++;
        call->on_drain(call, call->drain_ctx);
        call_leave(call);
    }
}

static void on_close(struct h2_stream *stream, uint32_t error_code, void *ctx)
{
    (void)error_code;
    (void)ctx;
    struct server_call *call = h2_user(stream);
    if (call != NULL && !call->is_over) {
        server_call_drop(call);
    }
}

static void on_pong(void *ctx)
{
    (void)ctx;
}

static void on_goaway(void *ctx)
{
    (void)ctx;
}

/* What is not gRPC gets an answer that an HTTP client understands. */
static bool refuse_http(struct h2_stream *stream)
{
    const char *method = h2_find_header(stream, ":method");
    const char *type = h2_find_header(stream, "content-type");
    const char *path = h2_find_header(stream, ":path");
    const char *status = NULL;
    if (!h2_headers_too_large(stream) && (type == NULL || !content_type_is_grpc(type))) {
        status = "415";
    } else if (method != NULL && strcmp(method, "POST") != 0) {
        status = "405";
    } else if (path == NULL) {
        status = h2_headers_too_large(stream) ? "431" : "400";
    }
    if (status == NULL) {
        return false;
    }
    struct h2_header headers[] = {{":status", status}};
    h2_respond_only(stream, headers, ARRAY_LEN(headers));
    return true;
}

static void
refuse(struct h2_stream *stream, enum grpc_status status, const char *message, bool say_identity)
{
    char number[16];
    struct buf text = {0};
    (void)snprintf(number, sizeof(number), "%u", (unsigned)status);
    grpc_percent_encode(slice_of_string(message), &text);
    buf_put_u8(&text, 0);
    struct h2_header headers[] = {
        {":status", "200"},
        {"content-type", "application/grpc+proto"},
        {"grpc-status", number},
        {"grpc-message", (const char *)text.data},
        {"grpc-accept-encoding", "identity"},
    };
    h2_respond_only(stream, headers, ARRAY_LEN(headers) - (say_identity ? 0 : 1));
    buf_deinit(&text);
}

static bool content_type_is_grpc(const char *type)
{
    static const char grpc[] = "application/grpc";
    if (strncmp(type, grpc, sizeof(grpc) - 1) != 0) {
        return false;
    }
    const char *rest = type + sizeof(grpc) - 1;
    return rest[0] == '\0' || rest[0] == ';' || rest[0] == '+';
}

static struct server_call *call_make(struct server_connection *connection,
                                     struct h2_stream *stream,
                                     const struct server_method *method)
{
    static uint64_t last_id;
    struct server_call *call = mem_new(sizeof(*call));
    call->connection = connection;
    call->stream = stream;
    call->method = method;
    call->id = ++last_id;
    call->deadline_ms = UINT64_MAX;
    call->deframer.message_bytes_max = connection->server->options.message_bytes_max;
    call->next = connection->calls;
    if (connection->calls != NULL) {
        connection->calls->previous = call;
    }
    connection->calls = call;
    connection->server->calls_count++;
    h2_set_user(stream, call);
    return call;
}

static void call_start_deadline(struct server_call *call, uint64_t timeout_ms)
{
    uv_loop_t *loop = net_loop(call->connection->server->net);
    call->deadline_ms = uv_now(loop) + timeout_ms;
    call->timer = mem_new(sizeof(*call->timer));
    CHECK(uv_timer_init(loop, call->timer) == 0);
    call->timer->data = call;
    uv_timer_start(call->timer, on_deadline, timeout_ms, 0);
}

static void on_deadline(uv_timer_t *timer)
{
    server_call_abort(timer->data, GRPC_DEADLINE_EXCEEDED, "the deadline has passed");
}

static void on_timer_closed(uv_handle_t *handle)
{
    mem_free(handle);
}

static void call_feed(struct server_call *call, struct slice bytes)
{
    call->depth++;
    enum error error = grpc_deframer_feed(&call->deframer, bytes, on_message, call);
    if (!call->is_over && error == ERR_LIMIT) {
        server_call_abort(call, GRPC_RESOURCE_EXHAUSTED, "the message is too large");
    } else if (!call->is_over && error == ERR_PROTOCOL) {
        server_call_abort(call, GRPC_INTERNAL, "a compressed message without an encoding");
    } else if (!call->is_over && call_has_room(call) && call->began_ms == 0 &&
               grpc_deframer_is_partial(&call->deframer)) {
        call->began_ms = now_ms_of(call);
    }
    call_leave(call);
}

/* False if what is kept of its request became too much: it has ended. */
static bool call_has_room(struct server_call *call)
{
    if (server_intake_count(call)) {
        return true;
    }
    server_share_refused(call->connection, NET_REFUSED_UNFINISHED, call->method->path);
    server_call_abort(call, GRPC_RESOURCE_EXHAUSTED, "too much of requests that are not whole");
    return false;
}

static uint64_t now_ms_of(const struct server_call *call)
{
    return uv_now(net_loop(call->connection->server->net)) + 1;
}

static bool on_message(struct slice message, void *ctx)
{
    struct server_call *call = ctx;
    if (call->message_seen && call->method->kind != SERVER_BIDI) {
        server_call_abort(call, GRPC_INTERNAL, "more than one request message");
        return false;
    }
    call->message_seen = true;
    call->began_ms = 0;
    if (call->is_paused) {
        /* The handler paused in the middle of these bytes: keep the rest for later. */
        uint8_t prefix[GRPC_PREFIX_SIZE];
        grpc_prefix_put(prefix, (uint32_t)message.len);
        buf_append(&call->held, prefix, sizeof(prefix));
        buf_append(&call->held, message.data, message.len);
        return true;
    }
    call->method->on_message(call, message, call->method->ctx);
    return !call->is_over;
}

/* After a handler: the last one out frees a call that is over. */
static void call_leave(struct server_call *call)
{
    call->depth--;
    if (call->is_over && call->depth == 0) {
        server_call_release(call);
    }
}
