/* SPDX-License-Identifier: Apache-2.0 */
/* How a stream opens and reads: connect, handshake, the way of a byte in. Bytes arrive in the
 * buffer that the loop's streams share, are decrypted into a second one, and are handed out from
 * there. */
#include "base/check.h"
#include "base/mem.h"
#include "rpc/net_internal.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>

static void stream_on_connect(uv_connect_t *request, int status);
static void stream_set_socket_options(struct stream *stream);
static void stream_start_reading(struct stream *stream);
static void stream_on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf);
static void stream_on_read(uv_stream_t *tcp, ssize_t nread, const uv_buf_t *buf);
static void stream_take(struct stream *stream, ssize_t nread, const uv_buf_t *buf);
static void stream_read_tls(struct stream *stream, struct slice cipher);
static void stream_deliver(struct stream *stream, struct slice plain);
static void stream_enter_open(struct stream *stream);
static void stream_on_handshake_timeout(uv_timer_t *timer);

const char *stream_reason_name(enum stream_reason reason)
{
    switch (reason) {
    case STREAM_CLOSED_HERE:
        return "closed_here";
    case STREAM_REFUSED:
        return "refused";
    case STREAM_UNREACHABLE:
        return "unreachable";
    case STREAM_TIMEOUT:
        return "timeout";
    case STREAM_EOF:
        return "eof";
    case STREAM_RESET:
        return "reset";
    case STREAM_TLS_FAILED:
        return "tls_failed";
    case STREAM_IDENTITY:
        return "identity";
    case STREAM_FAILED:
        return "failed";
    }
    return "unknown";
}

enum error stream_connect(struct net *net,
                          const char *address,
                          const struct stream_options *options,
                          struct stream **stream_out)
{
    struct sockaddr_storage parsed;
    TRY(net_parse_address(address, &parsed));
    struct stream *stream = stream_make(net, options);
    (void)snprintf(stream->peer_address, sizeof(stream->peer_address), "%s", address);
    if (options->tls != NULL) {
        stream->tls = tls_session_new(options->tls, TLS_CLIENT, options->alpn);
    }
    stream_watch_handshake(stream, options->handshake_timeout_ms);
    uv_connect_t *request = mem_new(sizeof(*request));
    int status =
        uv_tcp_connect(request, &stream->tcp, (const struct sockaddr *)&parsed, stream_on_connect);
    if (status != 0) {
        mem_free(request);
        stream_fail_uv(stream, status, "connecting to");
    }
    *stream_out = stream;
    return ERR_OK;
}

void stream_watch_handshake(struct stream *stream, uint32_t timeout_ms)
{
    uv_timer_start(
        &stream->timer, stream_on_handshake_timeout, timeout_ms == 0 ? 5000 : timeout_ms, 0);
}

void stream_begin(struct stream *stream)
{
    stream_set_socket_options(stream);
    if (stream->tls == NULL && !stream->wants_tls) {
        stream_enter_open(stream);
    } else {
        stream->state = STREAM_STATE_HANDSHAKE;
    }
    if (stream->tls != NULL) {
        stream_read_tls(stream, slice_of(NULL, 0)); /* a client speaks first */
    }
    if (stream->state != STREAM_STATE_CLOSING) {
        stream_start_reading(stream);
    }
}

void stream_pause(struct stream *stream)
{
    if (stream->state == STREAM_STATE_OPEN && !stream->is_paused) {
        stream->is_paused = true;
        uv_read_stop((uv_stream_t *)&stream->tcp);
    }
}

void stream_resume(struct stream *stream)
{
    if (stream->is_paused && stream->state != STREAM_STATE_CLOSING) {
        stream->is_paused = false;
        stream_start_reading(stream);
    }
}

static void stream_on_connect(uv_connect_t *request, int status)
{
    struct stream *stream = request->handle->data;
    mem_free(request);
    if (stream->state == STREAM_STATE_CLOSING) {
        return;
    }
    if (status != 0) {
        stream_fail_uv(stream, status, "connecting to");
        return;
    }
    stream_begin(stream);
}

/* The options only make failures visible sooner, so a kernel that refuses one is no reason to fail.
 */
static void stream_set_socket_options(struct stream *stream)
{
    uv_os_fd_t fd = -1;
    CHECK(uv_fileno((const uv_handle_t *)&stream->tcp, &fd) == 0);
    unsigned user_timeout_ms = stream->user_timeout_ms;
    (void)uv_tcp_nodelay(&stream->tcp, 1);
    (void)uv_tcp_keepalive(&stream->tcp, 1, stream->keepalive_s);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout_ms, sizeof(user_timeout_ms));
    if (stream->send_buffer_bytes > 0) {
        int bytes = stream->send_buffer_bytes;
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
    }
}

static void stream_start_reading(struct stream *stream)
{
    if (stream->is_paused) {
        return;
    }
    int status = uv_read_start((uv_stream_t *)&stream->tcp, stream_on_alloc, stream_on_read);
    if (status != 0 && status != UV_EALREADY) {
        stream_fail_uv(stream, status, "reading from");
    }
}

static void stream_on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)suggested;
    struct stream *stream = handle->data;
    if (!stream_may_read(stream)) {
        *buf = uv_buf_init(NULL, 0); /* left with the kernel, which tells of it again */
        return;
    }
    *buf = uv_buf_init((char *)stream->net->read_bytes, (unsigned)stream_read_bytes(stream));
}

static void stream_on_read(uv_stream_t *tcp, ssize_t nread, const uv_buf_t *buf)
{
    struct stream *stream = tcp->data;
    if (nread == 0 || nread == UV_ENOBUFS || stream->state == STREAM_STATE_CLOSING) {
        return;
    }
    bool is_open = stream->state != STREAM_STATE_HANDSHAKE;
    uint64_t began_ns = uv_hrtime();
    stream_take(stream, nread, buf);
    stream_has_read(stream, is_open, uv_hrtime() - began_ns); /* it is there until its callback */
}

static void stream_take(struct stream *stream, ssize_t nread, const uv_buf_t *buf)
{
    if (stream->state == STREAM_STATE_FINISHING) {
        /* Only the end matters now; closing before it would destroy what we sent last. */
        if (nread < 0) {
            stream_close(stream);
        }
        return;
    }
    if (nread < 0) {
        stream_fail_uv(stream, (int)nread, "reading from");
        return;
    }
    struct slice bytes = slice_of(buf->base, (size_t)nread);
    if (stream->state == STREAM_STATE_HANDSHAKE) {
        stream->has_spoken = true;
        if (stream->tls == NULL) {
            /* Only now: whoever connects and says nothing costs no more than a descriptor. */
            const struct stream_options *options = &stream->listener->options.stream;
            stream->tls = tls_session_new(options->tls, options->tls_role, options->alpn);
        }
        stream_read_tls(stream, bytes);
    } else if (stream->tls == NULL) {
        stream_deliver(stream, bytes);
    } else {
        stream_read_tls(stream, bytes);
    }
}

static void stream_read_tls(struct stream *stream, struct slice cipher)
{
    struct net *net = stream->net;
    tls_session_feed(stream->tls, cipher);
    for (;;) {
        size_t len = 0;
        enum error error =
            tls_session_read(stream->tls, net->plain_bytes, sizeof(net->plain_bytes), &len);
        if (stream->state == STREAM_STATE_HANDSHAKE && tls_session_established(stream->tls)) {
            stream_enter_open(stream);
        }
        if (stream->state == STREAM_STATE_CLOSING || stream->state == STREAM_STATE_FINISHING) {
            return;
        }
        if (error != ERR_OK) {
            stream_flush(stream); /* the alert that tells the peer why */
            enum stream_reason reason = error == ERR_CLOSED            ? STREAM_EOF
                                        : error == ERR_UNAUTHENTICATED ? STREAM_IDENTITY
                                                                       : STREAM_TLS_FAILED;
            stream_close_as(stream, reason, tls_session_errmsg(stream->tls));
            return;
        }
        if (len == 0) {
            net_mark_dirty(net, stream); /* the handshake may have something to say */
            return;
        }
        stream_deliver(stream, slice_of(net->plain_bytes, len));
        if (stream->state != STREAM_STATE_OPEN) {
            return;
        }
    }
}

static void stream_deliver(struct stream *stream, struct slice plain)
{
    if (stream->handlers != NULL && stream->handlers->on_read != NULL) {
        stream->handlers->on_read(stream, plain, stream->ctx);
    }
}

static void stream_enter_open(struct stream *stream)
{
    const char *path = tls_identity_path(stream_peer(stream));
    const char *prefix = stream->peer_path_prefix;
    if (prefix != NULL && strncmp(path, prefix, strlen(prefix)) != 0) {
        char detail[NET_DETAIL_SIZE];
        (void)snprintf(detail,
                       sizeof(detail),
                       "%s is \"%.80s\", but a certificate for \"%.60s…\" is demanded here",
                       stream->peer_address,
                       stream_peer(stream),
                       prefix);
        stream_close_as(stream, STREAM_IDENTITY, detail);
        return;
    }
    uv_timer_stop(&stream->timer);
    stream->state = STREAM_STATE_OPEN;
    if (stream->listener != NULL) {
        stream_listener_opened(stream);
    } else if (stream->handlers != NULL && stream->handlers->on_open != NULL) {
        stream->handlers->on_open(stream, stream->ctx);
    }
}

static void stream_on_handshake_timeout(uv_timer_t *timer)
{
    struct stream *stream = timer->data;
    char detail[NET_DETAIL_SIZE];
    (void)snprintf(detail,
                   sizeof(detail),
                   "no %s with %s in time",
                   stream->state == STREAM_STATE_CONNECTING ? "connection" : "TLS handshake",
                   stream->peer_address);
    stream_close_as(stream, STREAM_TIMEOUT, detail);
}
