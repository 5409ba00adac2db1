/* SPDX-License-Identifier: Apache-2.0 */
/* One connection: see stream.h. The way of a byte out: stream_write copies it to `pending`; the
 * flush before the loop sleeps encrypts all of `pending` into `writing` and offers that to the
 * kernel at once; what it does not take waits in one uv_write. So `pending` grows only while a
 * write waits, and an idle stream holds no buffer. */
#include "rpc/stream.h"

#include "base/check.h"
#include "base/mem.h"
#include "rpc/net_internal.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>

enum {
    STREAM_FINISH_MS = 5000
};

static void stream_after_write(struct stream *stream);
static void stream_on_write(uv_write_t *request, int status);
static void stream_on_shutdown(uv_shutdown_t *request, int status);
static void stream_write_failed(struct stream *stream, int uv_error);
static void stream_on_finish_timeout(uv_timer_t *timer);
static void stream_on_handle_closed(uv_handle_t *handle);

void stream_set_handlers(struct stream *stream, const struct stream_handlers *handlers, void *ctx)
{
    stream->handlers = handlers;
    stream->ctx = ctx;
}

enum error stream_write(struct stream *stream, struct slice bytes)
{
    return stream_write_parts(stream, &bytes, 1);
}

enum error stream_write_parts(struct stream *stream, const struct slice *parts, size_t parts_count)
{
    if (stream->state == STREAM_STATE_FINISHING || stream->state == STREAM_STATE_CLOSING ||
        stream->write_failed) {
        return ERR_CLOSED;
    }
    if (stream->state != STREAM_STATE_OPEN) {
        return ERR_PRECONDITION;
    }
    size_t len = 0;
    for (size_t i = 0; i < parts_count; i++) {
        len += parts[i].len;
    }
    size_t queued = stream_queued_bytes(stream);
    if (len > stream->queue_bytes_max || queued > stream->queue_bytes_max - len) {
        return ERR_EXHAUSTED;
    }
    buf_reserve(&stream->pending, len);
    for (size_t i = 0; i < parts_count; i++) {
        buf_append(&stream->pending, parts[i].data, parts[i].len);
    }
    if (queued + len > stream->queue_bytes_max / 2) {
        stream->wants_drain = true;
    }
    stream->wants_sent = true;
    net_mark_dirty(stream->net, stream);
    return ERR_OK;
}

void stream_flush(struct stream *stream)
{
    if (stream->is_writing || stream->write_failed || stream->state == STREAM_STATE_CONNECTING ||
        stream->state == STREAM_STATE_CLOSING) {
        return;
    }
    CHECK(stream->writing.len == 0);
    if (stream->tls == NULL) {
        struct buf empty = stream->writing;
        stream->writing = stream->pending;
        stream->pending = empty;
    } else {
        if (stream->pending.len > 0 && tls_session_established(stream->tls)) {
            if (tls_session_write(stream->tls, buf_view(&stream->pending)) != ERR_OK) {
                stream_close_as(stream, STREAM_TLS_FAILED, tls_session_errmsg(stream->tls));
                return;
            }
            buf_deinit(&stream->pending);
        }
        tls_session_output(stream->tls, &stream->writing);
    }
    if (stream->writing.len > 0) {
        uv_buf_t bytes = uv_buf_init((char *)stream->writing.data, (unsigned)stream->writing.len);
        int sent = uv_try_write((uv_stream_t *)&stream->tcp, &bytes, 1);
        if (sent < 0 && sent != UV_EAGAIN) {
            stream_write_failed(stream, sent);
            return;
        }
        if (sent > 0) {
            buf_consume(&stream->writing, (size_t)sent);
        }
    }
    if (stream->writing.len > 0) {
        uv_buf_t bytes = uv_buf_init((char *)stream->writing.data, (unsigned)stream->writing.len);
        int status = uv_write(
            &stream->write_request, (uv_stream_t *)&stream->tcp, &bytes, 1, stream_on_write);
        if (status != 0) {
            stream_write_failed(stream, status);
            return;
        }
        stream->is_writing = true;
        return;
    }
    stream_after_write(stream);
}

size_t stream_queued_bytes(const struct stream *stream)
{
    return stream->pending.len + stream->writing.len;
}

void stream_close(struct stream *stream)
{
    stream_close_as(stream, STREAM_CLOSED_HERE, NULL);
}

void stream_finish(struct stream *stream)
{
    if (stream->state == STREAM_STATE_FINISHING || stream->state == STREAM_STATE_CLOSING) {
        return;
    }
    if (stream->state != STREAM_STATE_OPEN || stream->write_failed) {
        stream_close(stream);
        return;
    }
    stream->state = STREAM_STATE_FINISHING;
    stream_resume(stream);
    uv_timer_start(&stream->timer, stream_on_finish_timeout, STREAM_FINISH_MS, 0);
    net_mark_dirty(stream->net, stream);
}

void stream_forget(struct stream *stream)
{
    stream->handlers = NULL;
    stream->ctx = NULL;
    stream_close(stream);
}

bool stream_is_open(const struct stream *stream)
{
    return stream->state == STREAM_STATE_OPEN;
}

const char *stream_peer(const struct stream *stream)
{
    return stream->tls == NULL ? "" : tls_session_peer(stream->tls);
}

const char *stream_peer_address(const struct stream *stream)
{
    return stream->peer_address;
}

struct net *stream_net(const struct stream *stream)
{
    return stream->net;
}

struct stream *stream_make(struct net *net, const struct stream_options *options)
{
    struct stream *stream = mem_new(sizeof(*stream));
    stream->net = net;
    stream->state = STREAM_STATE_CONNECTING;
    stream->queue_bytes_max =
        options->write_queue_bytes_max == 0 ? 8 << 20 : options->write_queue_bytes_max;
    stream->user_timeout_ms = options->user_timeout_ms == 0 ? 10000 : options->user_timeout_ms;
    stream->is_urgent = options->is_urgent;
    stream->send_buffer_bytes = options->send_buffer_bytes;
    stream->keepalive_s = options->keepalive_s == 0 ? 10 : options->keepalive_s;
    stream->peer_path_prefix =
        options->peer_path_prefix == NULL ? NULL : mem_dup_string(options->peer_path_prefix);
    CHECK(uv_tcp_init(net->loop, &stream->tcp) == 0);
    CHECK(uv_timer_init(net->loop, &stream->timer) == 0);
    stream->handles_open = 2;
    stream->tcp.data = stream;
    stream->timer.data = stream;
    stream->next = net->streams;
    if (net->streams != NULL) {
        net->streams->previous = stream;
    }
    net->streams = stream;
    net->streams_count++;
    return stream;
}

void stream_close_as(struct stream *stream, enum stream_reason reason, const char *detail)
{
    if (stream->state == STREAM_STATE_CLOSING) {
        return;
    }
    /* A goodbye on our own close, if the kernel takes it at once. */
    if (reason == STREAM_CLOSED_HERE && stream->tls != NULL && !stream->is_writing &&
        stream->state == STREAM_STATE_OPEN && !stream->write_failed) {
        struct buf goodbye = {0};
        tls_session_shutdown(stream->tls);
        tls_session_output(stream->tls, &goodbye);
        if (goodbye.len > 0) {
            uv_buf_t bytes = uv_buf_init((char *)goodbye.data, (unsigned)goodbye.len);
            (void)uv_try_write((uv_stream_t *)&stream->tcp, &bytes, 1);
        }
        buf_deinit(&goodbye);
    }
    stream->state = STREAM_STATE_CLOSING;
    stream->reason = reason;
    stream->detail = detail == NULL ? NULL : mem_dup_string(detail);
    net_unmark_dirty(stream->net, stream);
    if (stream->is_half_open) {
        stream_handshake_failed(stream, reason);
    }
    if (stream->listener != NULL) {
        stream_source_leave(stream); /* its descriptor is free from here on */
    }
    uv_close((uv_handle_t *)&stream->tcp, stream_on_handle_closed);
    uv_close((uv_handle_t *)&stream->timer, stream_on_handle_closed);
}

void stream_fail_uv(struct stream *stream, int uv_error, const char *doing)
{
    enum stream_reason reason = STREAM_FAILED;
    if (uv_error == UV_EOF) {
        reason = STREAM_EOF;
    } else if (uv_error == UV_ECONNREFUSED) {
        reason = STREAM_REFUSED;
    } else if (uv_error == UV_ECONNRESET || uv_error == UV_EPIPE || uv_error == UV_ECONNABORTED) {
        reason = STREAM_RESET;
    } else if (uv_error == UV_ETIMEDOUT) {
        reason = STREAM_TIMEOUT;
    } else if (uv_error == UV_EHOSTUNREACH || uv_error == UV_ENETUNREACH ||
               uv_error == UV_ENETDOWN || uv_error == UV_EHOSTDOWN) {
        reason = STREAM_UNREACHABLE;
    }
    char detail[NET_DETAIL_SIZE];
    (void)snprintf(detail,
                   sizeof(detail),
                   "%s %s: %s",
                   doing,
                   stream->peer_address,
                   uv_error == UV_EOF ? "the peer closed the connection" : uv_strerror(uv_error));
    stream_close_as(stream, reason, detail);
}

static void stream_after_write(struct stream *stream)
{
    if (stream->pending.len == 0) {
        buf_deinit(&stream->pending);
        buf_deinit(&stream->writing);
    }
    if (stream->state == STREAM_STATE_FINISHING && stream_queued_bytes(stream) == 0) {
        if (stream->tls != NULL) {
            tls_session_shutdown(stream->tls);
            struct buf goodbye = {0};
            tls_session_output(stream->tls, &goodbye);
            if (goodbye.len > 0) {
                stream->writing = goodbye;
                uv_buf_t bytes = uv_buf_init((char *)goodbye.data, (unsigned)goodbye.len);
                (void)uv_try_write((uv_stream_t *)&stream->tcp, &bytes, 1);
                buf_deinit(&stream->writing);
            }
        }
        stream->write_failed = true; /* nothing may follow */
        if (uv_shutdown(
                &stream->shutdown_request, (uv_stream_t *)&stream->tcp, stream_on_shutdown) != 0) {
            stream_close(stream);
        }
        return;
    }
    if (stream->wants_drain && stream_queued_bytes(stream) <= stream->queue_bytes_max / 2) {
        stream->wants_drain = false;
        if (stream->handlers != NULL && stream->handlers->on_drain != NULL) {
            stream->handlers->on_drain(stream, stream->ctx);
        }
    }
    if (stream->wants_sent && stream->state == STREAM_STATE_OPEN &&
        stream_queued_bytes(stream) == 0) {
        stream->wants_sent = false;
        if (stream->handlers != NULL && stream->handlers->on_sent != NULL) {
            stream->handlers->on_sent(stream, stream->ctx);
        }
    }
}

static void stream_on_write(uv_write_t *request, int status)
{
    struct stream *stream = request->handle->data;
    stream->is_writing = false;
    if (stream->state == STREAM_STATE_CLOSING) {
        return;
    }
    if (status != 0) {
        stream_write_failed(stream, status);
        return;
    }
    buf_clear(&stream->writing);
    if (stream->pending.len > 0 || stream->tls != NULL) {
        net_mark_dirty(stream->net, stream);
    }
    stream_after_write(stream);
}

static void stream_on_shutdown(uv_shutdown_t *request, int status)
{
    struct stream *stream = request->handle->data;
    if (status != 0) {
        stream_close(stream);
    }
}

/* The peer may have said why before it closed (a TLS alert): its bytes are still to be read, and
 * the end that follows them gives the reason. */
static void stream_write_failed(struct stream *stream, int uv_error)
{
    stream->write_failed = true;
    buf_deinit(&stream->pending);
    if (!stream->is_writing) {
        buf_deinit(&stream->writing);
    }
    bool peer_ended = uv_error == UV_EPIPE || uv_error == UV_ECONNRESET;
    if (!peer_ended || stream->is_paused) {
        stream_fail_uv(stream, uv_error, "writing to");
    }
}

static void stream_on_finish_timeout(uv_timer_t *timer)
{
    stream_close(timer->data);
}

static void stream_on_handle_closed(uv_handle_t *handle)
{
    struct stream *stream = handle->data;
    stream->handles_open--;
    if (stream->handles_open > 0) {
        return;
    }
    if (stream->handlers != NULL && stream->handlers->on_close != NULL) {
        const char *detail = stream->detail == NULL ? "closed by us" : stream->detail;
        stream->handlers->on_close(stream, stream->reason, detail, stream->ctx);
    }
    struct net *net = stream->net;
    if (stream->previous != NULL) {
        stream->previous->next = stream->next;
    } else {
        net->streams = stream->next;
    }
    if (stream->next != NULL) {
        stream->next->previous = stream->previous;
    }
    net->streams_count--;
    tls_session_free(stream->tls);
    buf_deinit(&stream->pending);
    buf_deinit(&stream->writing);
    mem_free(stream->peer_path_prefix);
    mem_free(stream->detail);
    mem_free(stream);
}
