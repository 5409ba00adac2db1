/* SPDX-License-Identifier: Apache-2.0 */
/* One HTTP/2 stream: its headers, its queue of data, its end. Data is handed to nghttp2 lazily,
 * when window and connection allow, so that what is queued stays countable per stream. */
#include "base/check.h"
#include "base/mem.h"
#include "rpc/h2_internal.h"

#include <string.h>

enum {
    H2_HEADERS_MAX = 40,
    H2_STALL_BYTES = 64 * 1024
};

static size_t make_nv(const struct h2_header *headers, size_t count, nghttp2_nv *nv);
static ssize_t read_data(nghttp2_session *session,
                         int32_t id,
                         uint8_t *data,
                         size_t size,
                         uint32_t *flags,
                         nghttp2_data_source *source,
                         void *ctx);
static size_t take_queued(struct h2_stream *stream, uint8_t *data, size_t size);
static void submit_trailers(struct h2_stream *stream);
static void count_queued(struct h2 *h2, size_t len, bool more);
static bool is_stalled(struct h2_stream *stream, uint64_t now_ms, uint32_t stall_ms);
static void resume(struct h2_stream *stream);

enum error h2_request(struct h2 *h2,
                      const struct h2_header *headers,
                      size_t headers_count,
                      void *user,
                      struct h2_stream **stream_out)
{
    nghttp2_nv nv[H2_HEADERS_MAX];
    CHECK(!h2->is_server && headers_count <= H2_HEADERS_MAX);
    size_t count = make_nv(headers, headers_count, nv);
    struct h2_stream *stream = h2_stream_make(h2, user);
    nghttp2_data_provider provider = h2_stream_provider(stream);
    int32_t id = nghttp2_submit_request(h2->session, NULL, nv, count, &provider, stream);
    if (id < 0) {
        h2_stream_destroy(stream);
        return ERR_UNAVAILABLE;
    }
    stream->id = id;
    *stream_out = stream;
    h2_flush(h2);
    return ERR_OK;
}

void h2_respond(struct h2_stream *stream, const struct h2_header *headers, size_t headers_count)
{
    nghttp2_nv nv[H2_HEADERS_MAX];
    CHECK(stream->h2->is_server && headers_count <= H2_HEADERS_MAX);
    size_t count = make_nv(headers, headers_count, nv);
    nghttp2_data_provider provider = h2_stream_provider(stream);
    (void)nghttp2_submit_response(stream->h2->session, stream->id, nv, count, &provider);
    h2_flush(stream->h2);
}

void h2_respond_only(struct h2_stream *stream,
                     const struct h2_header *headers,
                     size_t headers_count)
{
    nghttp2_nv nv[H2_HEADERS_MAX];
    CHECK(stream->h2->is_server && headers_count <= H2_HEADERS_MAX);
    size_t count = make_nv(headers, headers_count, nv);
    stream->is_ending = true;
    (void)nghttp2_submit_response(stream->h2->session, stream->id, nv, count, NULL);
    h2_flush(stream->h2);
}

void h2_send(struct h2_stream *stream, const struct slice *parts, size_t parts_count)
{
    CHECK(!stream->is_ending);
    if (stream->out_offset > 0 && stream->out_offset >= stream->out.len / 2) {
        buf_consume(&stream->out, stream->out_offset);
        stream->out_offset = 0;
    }
    for (size_t i = 0; i < parts_count; i++) {
        buf_append(&stream->out, parts[i].data, parts[i].len);
        count_queued(stream->h2, parts[i].len, true);
    }
    resume(stream);
}

void h2_end(struct h2_stream *stream, const struct h2_header *trailers, size_t trailers_count)
{
    CHECK(!stream->is_ending);
    CHECK(trailers_count <= H2_TRAILERS_MAX);
    for (size_t i = 0; i < trailers_count; i++) {
        buf_append(&stream->trailers, trailers[i].name, strlen(trailers[i].name) + 1);
        buf_append(&stream->trailers, trailers[i].value, strlen(trailers[i].value) + 1);
    }
    stream->is_ending = true;
    resume(stream);
}

void h2_reset(struct h2_stream *stream, uint32_t error_code)
{
    (void)nghttp2_submit_rst_stream(stream->h2->session, NGHTTP2_FLAG_NONE, stream->id, error_code);
    h2_flush(stream->h2);
}

size_t h2_queued_bytes(const struct h2_stream *stream)
{
    return stream->out.len - stream->out_offset;
}

size_t h2_queued_total(const struct h2 *h2)
{
    return h2->queued_bytes;
}

void h2_set_queue_sum(struct h2 *h2, struct h2_sum *sum)
{
    for (struct h2_sum *one = h2->queue_sum; one != NULL; one = one->parent) {
        CHECK(one->bytes >= h2->queued_bytes);
        one->bytes -= h2->queued_bytes;
    }
    h2->queue_sum = sum;
    for (struct h2_sum *one = sum; one != NULL; one = one->parent) {
        one->bytes += h2->queued_bytes;
    }
}

uint32_t h2_end_stalled(struct h2 *h2, uint64_t now_ms, uint32_t stall_ms)
{
    uint32_t ended = 0;
    for (struct h2_stream *stream = h2->streams; stream != NULL && h2->queued_bytes > 0;) {
        if (!is_stalled(stream, now_ms, stall_ms)) {
            stream = stream->next;
            continue;
        }
        stream->is_stalled = true;
        ended++;
        h2_reset(stream, H2_ENHANCE_YOUR_CALM);
        stream = h2->streams; /* it is gone, and others may be */
    }
    return ended;
}

void h2_consume(struct h2_stream *stream, size_t len)
{
    /* A stream that has ended gave all of its credit back at once. */
    len = len < stream->unconsumed ? len : stream->unconsumed;
    if (len == 0) {
        return;
    }
    stream->unconsumed -= len;
    (void)nghttp2_session_consume(stream->h2->session, stream->id, len);
    h2_flush(stream->h2);
}

const char *h2_find_header(const struct h2_stream *stream, const char *name)
{
    const char *text = (const char *)stream->headers.data;
    const char *end = text + stream->headers.len;
    while (text < end) {
        const char *value = text + strlen(text) + 1;
        if (strcmp(text, name) == 0) {
            return value;
        }
        text = value + strlen(value) + 1;
    }
    return NULL;
}

size_t h2_headers_bytes(const struct h2_stream *stream)
{
    return stream->headers.len;
}

void h2_forget_headers(struct h2_stream *stream)
{
    buf_deinit(&stream->headers);
}

bool h2_headers_too_large(const struct h2_stream *stream)
{
    return stream->headers_too_large;
}

bool h2_request_was_sent(const struct h2_stream *stream)
{
    return stream->headers_sent;
}

void h2_set_user(struct h2_stream *stream, void *user)
{
    stream->user = user;
}

void *h2_user(const struct h2_stream *stream)
{
    return stream->user;
}

struct h2_stream *h2_stream_make(struct h2 *h2, void *user)
{
    struct h2_stream *stream = mem_new(sizeof(*stream));
    stream->h2 = h2;
    stream->user = user;
    stream->next = h2->streams;
    if (h2->streams != NULL) {
        h2->streams->previous = stream;
    }
    h2->streams = stream;
    h2->streams_count++;
    return stream;
}

void h2_stream_destroy(struct h2_stream *stream)
{
    struct h2 *h2 = stream->h2;
    if (stream->previous != NULL) {
        stream->previous->next = stream->next;
    } else {
        h2->streams = stream->next;
    }
    if (stream->next != NULL) {
        stream->next->previous = stream->previous;
    }
    h2->streams_count--;
    count_queued(h2, h2_queued_bytes(stream), false);
    buf_deinit(&stream->headers);
    buf_deinit(&stream->out);
    buf_deinit(&stream->trailers);
    mem_free(stream);
}

bool h2_stream_add_header(struct h2_stream *stream, struct slice name, struct slice value)
{
    /* The size that RFC 9113, section 6.5.2, counts. The bound that we announce is only advice to
     * the peer, so it is held here. */
    size_t bytes = name.len + value.len + 32;
    if (stream->headers_too_large ||
        bytes > stream->h2->header_list_bytes_max - stream->header_bytes) {
        stream->headers_too_large = true;
        return false;
    }
    stream->header_bytes += (uint32_t)bytes;
    buf_append(&stream->headers, name.data, name.len);
    buf_put_u8(&stream->headers, 0);
    buf_append(&stream->headers, value.data, value.len);
    buf_put_u8(&stream->headers, 0);
    return true;
}

nghttp2_data_provider h2_stream_provider(struct h2_stream *stream)
{
    return (nghttp2_data_provider){.source = {.ptr = stream}, .read_callback = read_data};
}

/* nghttp2 copies both, and only reads them. */
static size_t make_nv(const struct h2_header *headers, size_t count, nghttp2_nv *nv)
{
    for (size_t i = 0; i < count; i++) {
        nv[i] = (nghttp2_nv){
            .name = (uint8_t *)(uintptr_t)headers[i].name,
            .namelen = strlen(headers[i].name),
            .value = (uint8_t *)(uintptr_t)headers[i].value,
            .valuelen = strlen(headers[i].value),
            .flags = NGHTTP2_NV_FLAG_NONE,
        };
    }
    return count;
}

/* NOLINTNEXTLINE(readability-function-size): nghttp2's signature */
static ssize_t read_data(nghttp2_session *session,
                         int32_t id,
                         uint8_t *data,
                         size_t size,
                         uint32_t *flags,
                         nghttp2_data_source *source,
                         void *ctx)
{
    (void)session;
    (void)id;
    struct h2 *h2 = ctx;
    struct h2_stream *stream = source->ptr;
    size_t len = take_queued(stream, data, size);
    if (len > 0 && h2_queued_bytes(stream) == 0 && !stream->is_ending) {
        h2->handlers->on_drain(stream, h2->ctx);
    }
    if (stream->is_ending && h2_queued_bytes(stream) == 0) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (stream->trailers.len > 0) {
            /* END_STREAM goes on the trailers, which may only be submitted here. */
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            submit_trailers(stream);
        }
    } else if (len == 0) {
        stream->is_deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    return (ssize_t)len;
}

static size_t take_queued(struct h2_stream *stream, uint8_t *data, size_t size)
{
    size_t queued = h2_queued_bytes(stream);
    size_t len = queued < size ? queued : size;
    if (len > 0) {
        memcpy(data, stream->out.data + stream->out_offset, len);
        stream->out_offset += len;
        count_queued(stream->h2, len, false);
    }
    stream->taken += len;
    if (len == queued) {
        stream->waits_ms = 0;
        buf_deinit(&stream->out);
        stream->out_offset = 0;
    }
    return len;
}

static void submit_trailers(struct h2_stream *stream)
{
    struct h2_header headers[H2_TRAILERS_MAX];
    size_t count = 0;
    const char *text = (const char *)stream->trailers.data;
    const char *end = text + stream->trailers.len;
    while (text < end) {
        CHECK(count < H2_TRAILERS_MAX);
        headers[count].name = text;
        headers[count].value = text + strlen(text) + 1;
        text = headers[count].value + strlen(headers[count].value) + 1;
        count++;
    }
    nghttp2_nv nv[H2_TRAILERS_MAX];
    count = make_nv(headers, count, nv);
    (void)nghttp2_submit_trailer(stream->h2->session, stream->id, nv, count);
}

static void count_queued(struct h2 *h2, size_t len, bool more)
{
    CHECK(more || len <= h2->queued_bytes);
    h2->queued_bytes = more ? h2->queued_bytes + len : h2->queued_bytes - len;
    for (struct h2_sum *sum = h2->queue_sum; sum != NULL; sum = sum->parent) {
        sum->bytes = more ? sum->bytes + len : sum->bytes - len;
    }
}

/* A window that opens by a few bytes now and then is as good as closed. */
static bool is_stalled(struct h2_stream *stream, uint64_t now_ms, uint32_t stall_ms)
{
    if (h2_queued_bytes(stream) == 0 || stream->is_stalled) {
        return false;
    }
    if (stream->waits_ms == 0 || stream->taken >= H2_STALL_BYTES) {
        stream->waits_ms = now_ms;
        stream->taken = 0;
    }
    return now_ms - stream->waits_ms >= stall_ms;
}

static void resume(struct h2_stream *stream)
{
    if (stream->is_deferred) {
        stream->is_deferred = false;
        (void)nghttp2_session_resume_data(stream->h2->session, stream->id);
    }
    h2_flush(stream->h2);
}
