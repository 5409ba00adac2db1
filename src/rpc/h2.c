/* SPDX-License-Identifier: Apache-2.0 */
/* The connection: settings, the way in, the way out, goodbyes. See h2.h. */
#include "rpc/h2.h"

#include "base/check.h"
#include "base/mem.h"
#include "rpc/h2_internal.h"
#include "rpc/net.h"

#include <stdio.h>

static void h2_make_session(struct h2 *h2);
static void h2_submit_settings(struct h2 *h2, const struct h2_options *options);

struct h2 *h2_new(struct stream *stream,
                  const struct h2_options *options,
                  const struct h2_handlers *handlers,
                  void *ctx)
{
    struct h2 *h2 = mem_new(sizeof(*h2));
    h2->stream = stream;
    h2->handlers = handlers;
    h2->ctx = ctx;
    h2->is_server = options->is_server;
    h2->header_list_bytes_max = options->header_list_bytes_max;
    h2->ping_interval_min_ms = options->ping_interval_min_ms;
    h2_memory_init(&h2->memory, net_h2_pool(stream_net(stream)));
    h2_make_session(h2);
    h2_submit_settings(h2, options);
    h2_flush(h2);
    return h2;
}

void h2_free(struct h2 *h2)
{
    if (h2 == NULL) {
        return;
    }
    CHECK(!h2->is_inside);
    h2->is_inside = true; /* nothing may be sent any more */
    while (h2->streams != NULL) {
        struct h2_stream *stream = h2->streams;
        h2->handlers->on_close(stream, H2_CANCEL, h2->ctx);
        h2_stream_destroy(stream);
    }
    nghttp2_session_del(h2->session);
    h2_memory_deinit(&h2->memory);
    mem_free(h2);
}

enum error h2_receive(struct h2 *h2, struct slice bytes)
{
    CHECK(!h2->is_inside);
    h2->is_inside = true;
    ssize_t taken = nghttp2_session_mem_recv(h2->session, bytes.data, bytes.len);
    h2->is_inside = false;
    if (taken < 0) {
        if (h2->errmsg[0] == '\0') {
            (void)snprintf(h2->errmsg, sizeof(h2->errmsg), "%s", nghttp2_strerror((int)taken));
        }
        return ERR_PROTOCOL;
    }
    h2_flush(h2);
    return h2->is_condemned ? ERR_PROTOCOL : ERR_OK;
}

void h2_flush(struct h2 *h2)
{
    if (h2->is_inside) {
        return; /* the outermost call does it */
    }
    h2->is_inside = true;
    while (stream_is_open(h2->stream) &&
           stream_queued_bytes(h2->stream) <= H2_WRITE_QUEUE_BYTES_MAX / 2) {
        const uint8_t *bytes = NULL;
        ssize_t len = nghttp2_session_mem_send(h2->session, &bytes);
        if (len <= 0) {
            break;
        }
        if (stream_write(h2->stream, slice_of(bytes, (size_t)len)) != ERR_OK) {
            break; /* the stream is closing, and its on_close ends this session */
        }
    }
    h2->is_inside = false;
}

bool h2_is_done(const struct h2 *h2)
{
    return nghttp2_session_want_read(h2->session) == 0 &&
           nghttp2_session_want_write(h2->session) == 0;
}

uint32_t h2_streams_count(const struct h2 *h2)
{
    return h2->streams_count;
}

const char *h2_errmsg(const struct h2 *h2)
{
    return h2->errmsg;
}

void h2_ping(struct h2 *h2)
{
    CHECK(nghttp2_submit_ping(h2->session, NGHTTP2_FLAG_NONE, NULL) == 0);
    h2_flush(h2);
}

void h2_shutdown_notice(struct h2 *h2)
{
    CHECK(h2->is_server);
    CHECK(nghttp2_submit_shutdown_notice(h2->session) == 0);
    h2_flush(h2);
}

void h2_goaway(struct h2 *h2)
{
    int32_t last = nghttp2_session_get_last_proc_stream_id(h2->session);
    (void)nghttp2_submit_goaway(h2->session, NGHTTP2_FLAG_NONE, last, NGHTTP2_NO_ERROR, NULL, 0);
    h2_flush(h2);
}

static void h2_make_session(struct h2 *h2)
{
    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_option *option = NULL;
    CHECK(nghttp2_session_callbacks_new(&callbacks) == 0);
    CHECK(nghttp2_option_new(&option) == 0);
    h2_set_callbacks(callbacks);
    /* Credit is given back when an owner takes bytes, not when they arrive. */
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_no_closed_streams(option, 1);
    nghttp2_mem *memory = &h2->memory.functions;
    int status = h2->is_server
                     ? nghttp2_session_server_new3(&h2->session, callbacks, h2, option, memory)
                     : nghttp2_session_client_new3(&h2->session, callbacks, h2, option, memory);
    CHECK(status == 0);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
}

static void h2_submit_settings(struct h2 *h2, const struct h2_options *options)
{
    nghttp2_settings_entry entries[] = {
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, H2_STREAM_WINDOW_BYTES},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, options->header_list_bytes_max},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
        {h2->is_server ? NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS : NGHTTP2_SETTINGS_ENABLE_PUSH,
         h2->is_server ? options->streams_max : 0},
    };
    CHECK(nghttp2_submit_settings(h2->session, NGHTTP2_FLAG_NONE, entries, ARRAY_LEN(entries)) ==
          0);
    CHECK(nghttp2_session_set_local_window_size(
              h2->session, NGHTTP2_FLAG_NONE, 0, H2_CONNECTION_WINDOW_BYTES) == 0);
}
