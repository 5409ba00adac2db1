/* SPDX-License-Identifier: Apache-2.0 */
/* What nghttp2 tells: each callback turns into at most one call of the owner's handlers. They may
 * submit, but neither send, receive nor delete: h2->is_inside sees to that. */
#include "base/check.h"
#include "rpc/h2_internal.h"

#include <stdio.h>
#include <string.h>
#include <uv.h>

enum {
    PING_STRIKES_MAX = 2,
    /* A byte that names an entry of HPACK's table stands for kilobytes that are looked at one by
     * one: who sends so many lists' worth beyond the bound means harm, and goes. */
    HEADER_EXCESS_LISTS = 8
};

/* nghttp2 has only types of pointers to these. */
typedef int header_fn(nghttp2_session *session,
                      const nghttp2_frame *frame,
                      const uint8_t *name,
                      size_t name_len,
                      const uint8_t *value,
                      size_t value_len,
                      uint8_t flags,
                      void *ctx);

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *ctx);
static header_fn on_header;
static header_fn on_invalid_header;
static int header_beyond(struct h2 *h2, size_t bytes);
static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *ctx);
static int on_data_chunk(nghttp2_session *session,
                         uint8_t flags,
                         int32_t id,
                         const uint8_t *data,
                         size_t len,
                         void *ctx);
static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *ctx);
static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *ctx);
static int on_error(nghttp2_session *session, int code, const char *message, size_t len, void *ctx);
static void ping_received(struct h2 *h2);
static struct h2_stream *stream_of(nghttp2_session *session, int32_t id);

void h2_set_callbacks(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback(callbacks, on_invalid_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data_chunk);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_sent);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_session_callbacks_set_error_callback2(callbacks, on_error);
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
    struct h2 *h2 = ctx;
    if (h2->is_server && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        struct h2_stream *stream = h2_stream_make(h2, NULL);
        stream->id = frame->hd.stream_id;
        stream->headers_sent = true;
        CHECK(nghttp2_session_set_stream_user_data(session, stream->id, stream) == 0);
    }
    return 0;
}

/* NOLINTNEXTLINE(readability-function-size): nghttp2's signature */
static int on_header(nghttp2_session *session,
                     const nghttp2_frame *frame,
                     const uint8_t *name,
                     size_t name_len,
                     const uint8_t *value,
                     size_t value_len,
                     uint8_t flags,
                     void *ctx)
{
    (void)flags;
    struct h2_stream *stream = stream_of(session, frame->hd.stream_id);
    if (stream == NULL ||
        h2_stream_add_header(stream, slice_of(name, name_len), slice_of(value, value_len))) {
        return 0;
    }
    return header_beyond(ctx, name_len + value_len);
}

/* It is ignored, but it was looked at. */
/* NOLINTNEXTLINE(readability-function-size): nghttp2's signature */
static int on_invalid_header(nghttp2_session *session,
                             const nghttp2_frame *frame,
                             const uint8_t *name,
                             size_t name_len,
                             const uint8_t *value,
                             size_t value_len,
                             uint8_t flags,
                             void *ctx)
{
    (void)session;
    (void)frame;
    (void)name;
    (void)value;
    (void)flags;
    return header_beyond(ctx, name_len + value_len);
}

/* Not 0: the connection ends. */
static int header_beyond(struct h2 *h2, size_t bytes)
{
    h2->header_excess += bytes;
    if (h2->header_excess <= (size_t)HEADER_EXCESS_LISTS * h2->header_list_bytes_max) {
        return 0;
    }
    (void)snprintf(h2->errmsg, sizeof(h2->errmsg), "header lists far above the bound");
    return NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
    struct h2 *h2 = ctx;
    if (frame->hd.type == NGHTTP2_PING) {
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0) {
            h2->handlers->on_pong(h2->ctx);
        } else {
            ping_received(h2);
        }
        return 0;
    }
    if (frame->hd.type == NGHTTP2_GOAWAY) {
        if (frame->goaway.error_code != NGHTTP2_NO_ERROR) {
            (void)snprintf(
                h2->errmsg,
                sizeof(h2->errmsg),
                "the peer ended the connection: %s %.*s",
                nghttp2_http2_strerror(frame->goaway.error_code),
                (int)(frame->goaway.opaque_data_len > 80 ? 80 : frame->goaway.opaque_data_len),
                (const char *)frame->goaway.opaque_data);
        }
        h2->handlers->on_goaway(h2->ctx);
        return 0;
    }
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) {
        return 0;
    }
    struct h2_stream *stream = stream_of(session, frame->hd.stream_id);
    if (stream == NULL) {
        return 0;
    }
    bool ended = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    stream->peer_ended = ended;
    bool is_request = frame->headers.cat == NGHTTP2_HCAT_REQUEST;
    if (frame->hd.type == NGHTTP2_HEADERS && (!h2->is_server || is_request)) {
        h2->handlers->on_headers(stream, h2->ctx);
    }
    /* The stream lives on until its close callback, whatever the handler did. */
    if (ended) {
        h2->handlers->on_end(stream, h2->ctx);
    }
    return 0;
}

/* NOLINTNEXTLINE(readability-function-size): nghttp2's signature */
static int on_data_chunk(
    nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t len, void *ctx)
{
    (void)flags;
    struct h2 *h2 = ctx;
    struct h2_stream *stream = stream_of(session, id);
    if (stream == NULL) {
        (void)nghttp2_session_consume_connection(session, len);
        return 0;
    }
    stream->unconsumed += len;
    h2->handlers->on_data(stream, slice_of(data, len), h2->ctx);
    return 0;
}

static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
    struct h2 *h2 = ctx;
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) {
        return 0;
    }
    h2->ping_strikes = 0;
    h2->ping_last_ms = 0;
    if (frame->hd.type == NGHTTP2_DATA) {
        return 0;
    }
    struct h2_stream *stream = stream_of(session, frame->hd.stream_id);
    if (stream == NULL) {
        return 0;
    }
    stream->headers_sent = true;
    /* The response is complete and the client still sends: only now may it be told to stop; a reset
     * submitted together with the response would make nghttp2 drop the response. */
    if (h2->is_server && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0 && !stream->peer_ended) {
        (void)nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, stream->id, NGHTTP2_NO_ERROR);
    }
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *ctx)
{
    struct h2 *h2 = ctx;
    struct h2_stream *stream = stream_of(session, id);
    if (stream != NULL) {
        if (stream->unconsumed > 0) {
            (void)nghttp2_session_consume_connection(session, stream->unconsumed);
            stream->unconsumed = 0;
        }
        h2->handlers->on_close(stream, code, h2->ctx);
        (void)nghttp2_session_set_stream_user_data(session, id, NULL);
        h2_stream_destroy(stream);
    }
    return 0;
}

static int on_error(nghttp2_session *session, int code, const char *message, size_t len, void *ctx)
{
    (void)session;
    struct h2 *h2 = ctx;
    (void)snprintf(h2->errmsg,
                   sizeof(h2->errmsg),
                   "%s: %.*s",
                   nghttp2_strerror(code),
                   (int)(len > 160 ? 160 : len),
                   message);
    return 0;
}

/* Keepalive policing as gRPC's servers do it (proposal A8). */
static void ping_received(struct h2 *h2)
{
    if (h2->ping_interval_min_ms == 0) {
        return;
    }
    uint64_t now_ms = uv_now(net_loop(stream_net(h2->stream))) + 1;
    if (h2->ping_last_ms != 0 && now_ms - h2->ping_last_ms < h2->ping_interval_min_ms) {
        h2->ping_strikes++;
        if (h2->ping_strikes > PING_STRIKES_MAX) {
            static const char reason[] = "too_many_pings";
            (void)snprintf(h2->errmsg, sizeof(h2->errmsg), "the peer pings too often");
            (void)nghttp2_submit_goaway(h2->session,
                                        NGHTTP2_FLAG_NONE,
                                        nghttp2_session_get_last_proc_stream_id(h2->session),
                                        NGHTTP2_ENHANCE_YOUR_CALM,
                                        (const uint8_t *)reason,
                                        sizeof(reason) - 1);
            h2->is_condemned = true;
        }
        return;
    }
    h2->ping_last_ms = now_ms;
}

static struct h2_stream *stream_of(nghttp2_session *session, int32_t id)
{
    return nghttp2_session_get_stream_user_data(session, id);
}
