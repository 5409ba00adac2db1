/* SPDX-License-Identifier: Apache-2.0 */
/* What owners do with calls: send, finish, ask. A call that is over may still have bytes to
 * deliver; those are with its HTTP/2 stream, so that the call itself can go at once. */
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "rpc/server_internal.h"

#include <stdio.h>
#include <string.h>

/* What the trailers may take of the client's header list, which is bounded by 8 KiB. */
enum {
    DETAILS_BYTES_MAX = 4096,
    MESSAGE_BYTES_MAX = 1024
};

static void queue(struct server_call *call, const struct slice *messages, size_t count);
static void call_send_headers(struct server_call *call);
static void call_send_status(struct server_call *call,
                             enum grpc_status status,
                             const char *message,
                             struct slice details);
static void call_tell_cancelled(struct server_call *call);
static void call_leave_if_idle(struct server_call *call);

enum error server_call_send(struct server_call *call, struct slice message)
{
    return server_call_send_all(call, &message, 1);
}

enum error
server_call_send_all(struct server_call *call, const struct slice *messages, size_t count)
{
    CHECK(!call->is_over && count > 0);
    const struct server_options *options = &call->connection->server->options;
    size_t len = 0;
    for (size_t i = 0; i < count; i++) {
        if (messages[i].len > options->reply_bytes_max) {
            return ERR_LIMIT;
        }
        len += messages[i].len;
    }
    if (call->method->kind == SERVER_UNARY && (call->message_sent || count > 1)) {
        return ERR_PRECONDITION;
    }
    size_t queued = h2_queued_bytes(call->stream);
    if (queued == 0) {
        call->exempt_bytes = len > options->call_queue_bytes_max ? len : 0;
    } else if (queued + len > call->exempt_bytes + options->call_queue_bytes_max) {
        return ERR_EXHAUSTED;
    }
    if (len > server_call_room(call)) {
        MARK("rpc.no_room");
        return ERR_EXHAUSTED;
    }
    call->message_sent = true;
    call_send_headers(call);
    queue(call, messages, count);
    return ERR_OK;
}

size_t server_call_queued_bytes(const struct server_call *call)
{
    return h2_queued_bytes(call->stream);
}

void server_call_finish(struct server_call *call,
                        enum grpc_status status,
                        const char *message,
                        struct slice details)
{
    CHECK(!call->is_over);
    call->is_over = true;
    call_send_status(call, status, message, details);
    call_leave_if_idle(call);
}

void server_call_reply(struct server_call *call, struct slice message)
{
    enum error error = server_call_send(call, message);
    if (error != ERR_OK) {
        server_call_fail(call,
                         ERR_EXHAUSTED,
                         error == ERR_EXHAUSTED ? "too many replies wait to be read"
                                                : "the reply is too large");
        return;
    }
    server_call_finish(call, GRPC_OK, NULL, slice_of(NULL, 0));
}

void server_call_fail(struct server_call *call, enum error error, const char *message)
{
    server_call_finish(call, grpc_status_from_error(error), message, slice_of(NULL, 0));
}

void server_call_set_cancel(struct server_call *call,
                            void (*on_cancel)(struct server_call *call, void *ctx),
                            void *ctx)
{
    call->on_cancel = on_cancel;
    call->cancel_ctx = ctx;
}

void server_call_set_drain(struct server_call *call,
                           void (*on_drain)(struct server_call *call, void *ctx),
                           void *ctx)
{
    call->on_drain = on_drain;
    call->drain_ctx = ctx;
}

void server_call_set_trailer(struct server_call *call, const char *name, const char *value)
{
    CHECK(call->trailers_count < SERVER_TRAILERS_MAX);
    if (call->trailers == NULL) {
        call->trailers = mem_new_array(SERVER_TRAILERS_MAX, sizeof(*call->trailers));
    }
    call->trailers[call->trailers_count].name = mem_dup_string(name);
    call->trailers[call->trailers_count].value = mem_dup_string(value);
    call->trailers_count++;
}

void server_call_set_user(struct server_call *call, void *user)
{
    call->user = user;
}

void *server_call_user(const struct server_call *call)
{
    return call->user;
}

const char *server_call_peer(const struct server_call *call)
{
    return stream_peer(call->connection->stream);
}

const char *server_call_peer_address(const struct server_call *call)
{
    return stream_peer_address(call->connection->stream);
}

const char *server_call_path(const struct server_call *call)
{
    return call->method->path;
}

const char *server_call_metadata(const struct server_call *call, const char *name)
{
    return h2_find_header(call->stream, name);
}

uint64_t server_call_remaining_ms(const struct server_call *call)
{
    if (call->deadline_ms == UINT64_MAX) {
        return UINT64_MAX;
    }
    uint64_t now_ms = uv_now(net_loop(call->connection->server->net));
    return call->deadline_ms > now_ms ? call->deadline_ms - now_ms : 0;
}

struct server *server_call_server(const struct server_call *call)
{
    return call->connection->server;
}

void server_call_abort(struct server_call *call, enum grpc_status status, const char *message)
{
    CHECK(!call->is_over);
    call_tell_cancelled(call);
    call_send_status(call, status, message, slice_of(NULL, 0));
    call_leave_if_idle(call);
}

void server_call_drop(struct server_call *call)
{
    CHECK(!call->is_over);
    call_tell_cancelled(call);
    call->stream = NULL; /* it goes away by itself */
    call_leave_if_idle(call);
}

/* In one piece: the call may end while its bytes go out. */
static void queue(struct server_call *call, const struct slice *messages, size_t count)
{
    struct slice two[2];
    uint8_t one[GRPC_PREFIX_SIZE];
    struct slice *parts = count == 1 ? two : mem_new_array(2 * count, sizeof(*parts));
    uint8_t *prefixes = count == 1 ? one : mem_new_array(count, GRPC_PREFIX_SIZE);
    for (size_t i = 0; i < count; i++) {
        uint8_t *prefix = prefixes + i * GRPC_PREFIX_SIZE;
        grpc_prefix_put(prefix, (uint32_t)messages[i].len);
        parts[2 * i] = slice_of(prefix, GRPC_PREFIX_SIZE);
        parts[2 * i + 1] = messages[i];
    }
    h2_send(call->stream, parts, 2 * count);
    if (count > 1) {
        mem_free(prefixes);
        mem_free(parts);
    }
}

static void call_send_headers(struct server_call *call)
{
    if (!call->headers_sent) {
        static const struct h2_header headers[] = {
            {":status", "200"},
            {"content-type", "application/grpc+proto"},
        };
        call->headers_sent = true;
        h2_respond(call->stream, headers, ARRAY_LEN(headers));
    }
}

static void call_send_status(struct server_call *call,
                             enum grpc_status status,
                             const char *message,
                             struct slice details)
{
    struct h2_header headers[H2_TRAILERS_MAX];
    size_t count = 0;
    char number[16];
    struct buf text = {0};
    struct buf encoded = {0};
    /* Let go first: sending may end the stream, and its close must find no call. */
    struct h2_stream *stream = call->stream;
    call->stream = NULL;
    h2_set_user(stream, NULL);
    h2_forget_headers(stream);
    if (!call->headers_sent) {
        headers[count++] = (struct h2_header){":status", "200"};
        headers[count++] = (struct h2_header){"content-type", "application/grpc+proto"};
    }
    (void)snprintf(number, sizeof(number), "%u", (unsigned)status);
    headers[count++] = (struct h2_header){"grpc-status", number};
    if (message != NULL && message[0] != '\0') {
        size_t len = strnlen(message, MESSAGE_BYTES_MAX);
        grpc_percent_encode(slice_of(message, len), &text);
        buf_put_u8(&text, 0);
        headers[count++] = (struct h2_header){"grpc-message", (const char *)text.data};
    }
    if (details.len > 0 && details.len <= DETAILS_BYTES_MAX) {
        grpc_base64_encode(details, &encoded);
        buf_put_u8(&encoded, 0);
        headers[count++] =
            (struct h2_header){"grpc-status-details-bin", (const char *)encoded.data};
    }
    for (uint32_t i = 0; i < call->trailers_count; i++) {
        headers[count++] = (struct h2_header){call->trailers[i].name, call->trailers[i].value};
    }
    if (call->headers_sent) {
        h2_end(stream, headers, count);
    } else {
        call->headers_sent = true;
        h2_respond_only(stream, headers, count);
    }
    buf_deinit(&text);
    buf_deinit(&encoded);
}

/* The owner may still look at the call, but not end it: it is over. */
static void call_tell_cancelled(struct server_call *call)
{
    call->is_over = true;
    if (call->on_cancel != NULL) {
        call->depth++;
        call->on_cancel(call, call->cancel_ctx);
        call->depth--;
    }
}

static void call_leave_if_idle(struct server_call *call)
{
    if (call->depth == 0) {
        server_call_release(call);
    }
}
