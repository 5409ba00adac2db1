/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP/1.1 server: connections, one request at a time on each, replies. See http1.h. */
#include "rpc/http1.h"

#include "base/check.h"
#include "base/mem.h"
#include "rpc/http1_internal.h"
#include "rpc/net_internal.h"

#include <inttypes.h>
#include <string.h>

enum {
    SWEEP_MS = 1000,
    SEND_BUFFER_BYTES = 64 * 1024
};

static void on_accept(struct stream *stream, void *ctx);
static void on_read(struct stream *stream, struct slice bytes, void *ctx);
static void
on_close(struct stream *stream, enum stream_reason reason, const char *detail, void *ctx);
static void on_sent(struct stream *stream, void *ctx);
static void on_full(const struct stream *newcomer, void *ctx);
static void turn_enter(struct http1_exchange *exchange);
static void turn_leave(struct http1_exchange *exchange);
static void on_turn(uv_idle_t *idle);
static void exchange_advance(struct http1_exchange *exchange);
static void exchange_handle(struct http1_exchange *exchange);
static void exchange_refuse(struct http1_exchange *exchange);
static void exchange_abort(struct http1_exchange *exchange);
static void exchange_wait(struct http1_exchange *exchange, uint64_t wait_ms);
static const char *status_text(uint32_t status);
static void on_sweep(uv_timer_t *timer);
static void on_handle_closed(uv_handle_t *handle);

static const struct stream_handlers stream_handlers = {
    .on_read = on_read,
    .on_sent = on_sent,
    .on_close = on_close,
};

enum error http1_new(struct net *net,
                     const struct http1_options *options,
                     struct reason *reason,
                     struct http1 **http1_out)
{
    struct http1 *http1 = mem_new(sizeof(*http1));
    http1->net = net;
    http1->handler = options->handler;
    http1->ctx = options->ctx;
    struct stream_listen_options listen = {
        .address = options->address,
        .stream = {.tls = options->tls,
                   .tls_role = options->tls_role,
                   .send_buffer_bytes = SEND_BUFFER_BYTES},
        .connections_max = HTTP1_CONNECTIONS_MAX,
    };
    struct stream_acceptor acceptor = {.on_accept = on_accept, .on_full = on_full, .ctx = http1};
    enum error error = stream_listen(net, &listen, acceptor, reason, &http1->listener);
    if (error != ERR_OK) {
        mem_free(http1);
        return error;
    }
    http1->port = stream_listener_port(http1->listener);
    CHECK(uv_timer_init(net_loop(net), &http1->sweep) == 0);
    CHECK(uv_idle_init(net_loop(net), &http1->turn) == 0);
    http1->handles_open = 2;
    http1->sweep.data = http1;
    http1->turn.data = http1;
    uv_timer_start(&http1->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
    uv_unref((uv_handle_t *)&http1->sweep);
    *http1_out = http1;
    return ERR_OK;
}

uint16_t http1_port(const struct http1 *http1)
{
    return http1->port;
}

void http1_free(struct http1 *http1)
{
    if (http1 == NULL) {
        return;
    }
    stream_listener_close(http1->listener);
    for (struct http1_exchange *exchange = http1->connections; exchange != NULL;
         exchange = exchange->next) {
        CHECK(!exchange->in_handler);
        exchange_abort(exchange);
        turn_leave(exchange);
        exchange->http1 = NULL;
        stream_close(exchange->stream);
    }
    uv_close((uv_handle_t *)&http1->sweep, on_handle_closed);
    uv_close((uv_handle_t *)&http1->turn, on_handle_closed);
}

void http1_reply(struct http1_exchange *exchange, const struct http1_response *response)
{
    CHECK(exchange->is_waiting);
    exchange->is_waiting = false;
    exchange->on_abort = NULL;
    struct buf head = {0};
    const char *type = response->content_type;
    buf_printf(&head,
               "HTTP/1.1 %" PRIu32 " %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
               "X-Content-Type-Options: nosniff\r\n%s%s\r\n",
               response->status,
               status_text(response->status),
               type == NULL ? "text/plain; charset=utf-8" : type,
               response->body.len,
               exchange->keep_alive ? "" : "Connection: close\r\n",
               response->extra_headers == NULL ? "" : response->extra_headers);
    struct slice parts[] = {buf_view(&head), response->body};
    size_t parts_count = exchange->method == HTTP1_HEAD ? 1 : 2;
    enum error error = stream_write_parts(exchange->stream, parts, parts_count);
    buf_deinit(&head);
    if (error == ERR_EXHAUSTED) {
        stream_close(exchange->stream);
    } else if (!exchange->keep_alive) {
        stream_finish(exchange->stream);
    } else {
        /* It stays paused: the next request is looked at when this answer is with the kernel. */
        exchange->is_sending = true;
        exchange_wait(exchange, HTTP1_SEND_MS);
        http1_request_reset(exchange);
    }
}

void http1_set_abort(struct http1_exchange *exchange,
                     void (*on_abort)(struct http1_exchange *exchange, void *ctx),
                     void *ctx)
{
    exchange->on_abort = on_abort;
    exchange->abort_ctx = ctx;
}

static void on_accept(struct stream *stream, void *ctx)
{
    struct http1 *http1 = ctx;
    struct http1_exchange *exchange = mem_new(sizeof(*exchange));
    exchange->http1 = http1;
    exchange->stream = stream;
    http_parser_init(&exchange->parser, HTTP_REQUEST);
    exchange->parser.data = exchange;
    http1_enter(exchange);
    exchange_wait(exchange, HTTP1_READ_MS);
    stream_set_handlers(stream, &stream_handlers, exchange);
    if (stream_source_connections(stream) > HTTP1_SOURCE_MAX) {
        http1_make_room(http1, stream, true);
    }
}

static void on_read(struct stream *stream, struct slice bytes, void *ctx)
{
    struct http1_exchange *exchange = ctx;
    buf_append(&exchange->rest, bytes.data, bytes.len);
    stream_pause(stream);
    if (!exchange->is_waiting && !exchange->is_sending) {
        turn_enter(exchange);
    }
}

static void on_sent(struct stream *stream, void *ctx)
{
    struct http1_exchange *exchange = ctx;
    if (!exchange->is_sending) {
        return;
    }
    exchange->is_sending = false;
    exchange->answered = true;
    exchange_wait(exchange, HTTP1_IDLE_MS);
    if (exchange->rest.len > 0) {
        turn_enter(exchange);
    } else {
        stream_resume(stream);
    }
}

static void on_full(const struct stream *newcomer, void *ctx)
{
    http1_make_room(ctx, newcomer, false);
}

static void
on_close(struct stream *stream, enum stream_reason reason, const char *detail, void *ctx)
{
    (void)stream;
    (void)reason;
    (void)detail;
    struct http1_exchange *exchange = ctx;
    struct http1 *http1 = exchange->http1;
    exchange_abort(exchange);
    if (http1 != NULL) {
        turn_leave(exchange);
        http1_leave(exchange);
    }
    http1_request_reset(exchange);
    buf_deinit(&exchange->rest);
    mem_free(exchange);
}

static void turn_enter(struct http1_exchange *exchange)
{
    struct http1 *http1 = exchange->http1;
    if (exchange->is_in_turn) {
        return;
    }
    exchange->is_in_turn = true;
    exchange->turn_next = NULL;
    exchange->turn_previous = http1->turn_last;
    if (http1->turn_last != NULL) {
        http1->turn_last->turn_next = exchange;
    } else {
        http1->turn_first = exchange;
        uv_idle_start(&http1->turn, on_turn);
    }
    http1->turn_last = exchange;
}

static void turn_leave(struct http1_exchange *exchange)
{
    struct http1 *http1 = exchange->http1;
    if (!exchange->is_in_turn) {
        return;
    }
    exchange->is_in_turn = false;
    if (exchange->turn_previous != NULL) {
        exchange->turn_previous->turn_next = exchange->turn_next;
    } else {
        http1->turn_first = exchange->turn_next;
    }
    if (exchange->turn_next != NULL) {
        exchange->turn_next->turn_previous = exchange->turn_previous;
    } else {
        http1->turn_last = exchange->turn_previous;
    }
    if (http1->turn_first == NULL) {
        uv_idle_stop(&http1->turn);
    }
}

/* Once in each turn of the loop. */
static void on_turn(uv_idle_t *idle)
{
    struct http1 *http1 = idle->data;
    for (uint32_t i = 0; i < HTTP1_TURN_REQUESTS && http1->turn_first != NULL; i++) {
        struct http1_exchange *exchange = http1->turn_first;
        turn_leave(exchange);
        exchange_advance(exchange);
    }
}

/* Takes from what waits, up to one whole request, which goes to the handler. */
static void exchange_advance(struct http1_exchange *exchange)
{
    if (!stream_is_open(exchange->stream)) {
        return;
    }
    if (exchange->header_bytes == 0) {
        exchange_wait(exchange, HTTP1_READ_MS);
    }
    size_t taken = http1_request_parse(exchange, buf_view(&exchange->rest));
    buf_consume(&exchange->rest, taken);
    if (exchange->rest.len == 0) {
        buf_deinit(&exchange->rest);
    }
    if (exchange->refusal == 0 && exchange->is_complete) {
        exchange_handle(exchange);
    }
    if (exchange->refusal != 0) {
        exchange_refuse(exchange);
    } else if (!exchange->is_waiting && !exchange->is_sending) {
        stream_resume(exchange->stream); /* the rest of it has not come yet */
    }
}

static void exchange_handle(struct http1_exchange *exchange)
{
    struct http1_request request = {
        .method = exchange->method,
        .peer = stream_peer(exchange->stream),
        .peer_address = stream_peer_address(exchange->stream),
        .body = buf_view(&exchange->body),
    };
    http1_request_target(exchange, &request.query);
    if (exchange->refusal != 0) {
        return;
    }
    request.path = exchange->path;
    exchange->deadline_ms = UINT64_MAX; /* the time is the handler's now */
    exchange->is_waiting = true;
    exchange->in_handler = true;
    exchange->http1->handler(exchange, &request, exchange->http1->ctx);
    exchange->in_handler = false;
}

/* What cannot be understood ends the connection: where the next request begins is not known. */
static void exchange_refuse(struct http1_exchange *exchange)
{
    uint32_t status = exchange->refusal;
    const char *text = status_text(status);
    exchange->is_waiting = true;
    exchange->keep_alive = false;
    struct buf body = {0};
    buf_printf(&body, "%" PRIu32 " %s\n", status, text);
    http1_reply(exchange,
                &(struct http1_response){
                    .status = status,
                    .body = buf_view(&body),
                    .extra_headers = status == 405 ? "Allow: GET, HEAD, OPTIONS, POST\r\n" : NULL,
                });
    buf_deinit(&body);
}

static void exchange_abort(struct http1_exchange *exchange)
{
    if (exchange->is_waiting) {
        exchange->is_waiting = false;
        if (exchange->on_abort != NULL) {
            exchange->on_abort(exchange, exchange->abort_ctx);
        }
    }
}

static void exchange_wait(struct http1_exchange *exchange, uint64_t wait_ms)
{
    exchange->since_ms = uv_now(net_loop(exchange->http1->net));
    exchange->deadline_ms = exchange->since_ms + wait_ms;
    http1_leave(exchange);
    http1_enter(exchange);
}

static const char *status_text(uint32_t status)
{
    switch (status) {
#define XX(number, name, text) \
    case number:               \
        return #text;
        HTTP_STATUS_MAP(XX)
#undef XX
    default:
        return "Unknown";
    }
}

static void on_sweep(uv_timer_t *timer)
{
    struct http1 *http1 = timer->data;
    uint64_t now_ms = uv_now(net_loop(http1->net));
    for (struct http1_exchange *exchange = http1->connections; exchange != NULL;
         exchange = exchange->next) {
        if (now_ms >= exchange->deadline_ms) {
            if (exchange->is_sending && stream_is_open(exchange->stream)) {
                stream_refused(exchange->stream, NET_REFUSED_UNREAD);
            }
            stream_close(exchange->stream);
        }
    }
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct http1 *http1 = handle->data;
    http1->handles_open--;
    if (http1->handles_open == 0) {
        mem_free(http1);
    }
}
