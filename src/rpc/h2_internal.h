/* SPDX-License-Identifier: Apache-2.0 */
/* What h2.c (the connection), h2_events.c (nghttp2's callbacks) and h2_stream.c share. */
#ifndef INDABA_RPC_H2_INTERNAL_H
#define INDABA_RPC_H2_INTERNAL_H

#include "rpc/h2.h"
#include "rpc/h2_memory.h"

#include <nghttp2/nghttp2.h>

struct h2_slab;

/* What one session has in its slot. Must not move while a session uses it. */
struct h2_memory {
    struct h2_pool *pool;
    struct h2_slab *slab;
    uint8_t *slot;
    size_t session_bytes; /* at the slot's start; 0: not asked for yet */
    size_t frame_bytes;   /* behind it; 0: not asked for, or given back */
    nghttp2_mem functions;
};

struct h2 {
    struct h2_memory memory;
    nghttp2_session *session;
    struct stream *stream;
    const struct h2_handlers *handlers;
    void *ctx;
    struct h2_stream *streams; /* all: nghttp2 forgets to tell of them when a session is deleted */
    uint32_t streams_count;
    size_t queued_bytes;      /* of all streams */
    struct h2_sum *queue_sum; /* NULL: nobody counts */
    uint32_t header_list_bytes_max;
    size_t header_excess; /* bytes of headers beyond that bound, since the beginning */
    uint32_t ping_interval_min_ms;
    uint32_t ping_strikes;
    uint64_t ping_last_ms; /* 0: none since we last sent headers or data */
    bool is_server;
    bool is_inside;    /* in a call of nghttp2, whose callbacks may not enter it again */
    bool is_condemned; /* the goodbye is on its way, and the connection ends after it */
    char errmsg[NET_DETAIL_SIZE];
};

struct h2_stream {
    struct h2 *h2;
    struct h2_stream *next;
    struct h2_stream *previous;
    void *user;
    int32_t id;
    uint32_t header_bytes;
    struct buf headers; /* name NUL value NUL … */
    struct buf out;     /* queued data; sent up to out_offset */
    size_t out_offset;
    struct buf trailers; /* as headers */
    size_t unconsumed;
    size_t taken;      /* of what was queued, since waits_ms */
    uint64_t waits_ms; /* since when something waits; 0: nothing seen to wait */
    bool is_deferred;  /* nghttp2 waits for nghttp2_session_resume_data */
    bool is_ending;    /* h2_end was called */
    bool headers_sent;
    bool headers_too_large;
    bool peer_ended;
    bool is_stalled; /* it was reset for that */
};

/* h2_stream.c */
struct h2_stream *h2_stream_make(struct h2 *h2, void *user);
void h2_stream_destroy(struct h2_stream *stream);
/* False if it is beyond the bound: it is not kept. */
bool h2_stream_add_header(struct h2_stream *stream, struct slice name, struct slice value);
nghttp2_data_provider h2_stream_provider(struct h2_stream *stream);

/* h2_memory.c */
/* For pages of this size: at least the system's, and a multiple of it. */
struct h2_pool *h2_pool_new_for(size_t page_bytes);
/* Takes a slot; `functions` are then for nghttp2. */
void h2_memory_init(struct h2_memory *memory, struct h2_pool *pool);
/* After the session is deleted: its pages go back to the kernel. */
void h2_memory_deinit(struct h2_memory *memory);

/* h2_events.c */
void h2_set_callbacks(nghttp2_session_callbacks *callbacks);

#endif
