/* SPDX-License-Identifier: Apache-2.0 */
/* One HTTP/2 connection, either side: the only user of nghttp2. It knows header lists, data,
 * windows and goodbyes, but not gRPC. nghttp2 is never entered again from inside one of its
 * callbacks except to submit; what a handler submits is sent when the outermost call returns.
 * Private to rpc/. */
#ifndef INDABA_RPC_H2_H
#define INDABA_RPC_H2_H

#include "base/buf.h"
#include "rpc/stream.h"

struct h2;
struct h2_stream;

enum {
    H2_STREAM_WINDOW_BYTES = 1 << 20,
    H2_CONNECTION_WINDOW_BYTES = 8 << 20,
    /* Use this as write_queue_bytes_max of the stream below: frames are made only while less than
     * half of it waits, so that data stays with its producer as long as possible. */
    H2_WRITE_QUEUE_BYTES_MAX = 256 * 1024,
    H2_TRAILERS_MAX = 24,
};

/* The error codes of RFC 9113 that we tell apart. */
enum {
    H2_NO_ERROR = 0,
    H2_REFUSED_STREAM = 7,
    H2_CANCEL = 8,
    H2_ENHANCE_YOUR_CALM = 11,
};

struct h2_header {
    const char *name;
    const char *value;
};

/* Every one must be given. The h2_stream is valid in each, and dead after on_close. */
struct h2_handlers {
    /* A header block is complete: a request's (server), a response's or its trailers (client). */
    void (*on_headers)(struct h2_stream *stream, void *ctx);
    /* The owner gives the credit back with h2_consume. */
    void (*on_data)(struct h2_stream *stream, struct slice bytes, void *ctx);
    /* The peer sends no more on this stream. */
    void (*on_end)(struct h2_stream *stream, void *ctx);
    /* Everything queued with h2_send has been taken, after it was not. */
    void (*on_drain)(struct h2_stream *stream, void *ctx);
    /* Ended, by either side or with the connection (then CANCEL). */
    void (*on_close)(struct h2_stream *stream, uint32_t error_code, void *ctx);
    /* The peer answered our ping. */
    void (*on_pong)(void *ctx);
    /* The peer takes no new streams. */
    void (*on_goaway)(void *ctx);
};

struct h2_options {
    bool is_server;
    uint32_t streams_max;
    uint32_t header_list_bytes_max;
    uint32_t ping_interval_min_ms; /* server: more frequent pings end the connection; 0: any */
};

/* Sends its preface and settings. The stream must be open; it stays the owner's. */
struct h2 *h2_new(struct stream *stream,
                  const struct h2_options *options,
                  const struct h2_handlers *handlers,
                  void *ctx);
/* on_close runs inside for every stream left. Not from inside a handler. */
void h2_free(struct h2 *h2);
/* The bytes that the stream read. ERR_PROTOCOL: the connection must be closed. */
MUST_CHECK enum error h2_receive(struct h2 *h2, struct slice bytes);
/* Sends what may be sent; to be called when the stream has drained. */
void h2_flush(struct h2 *h2);
/* True when neither side has anything to say any more: time for stream_finish. */
bool h2_is_done(const struct h2 *h2);
uint32_t h2_streams_count(const struct h2 *h2);
/* What went wrong last, for people; "" if nothing. */
const char *h2_errmsg(const struct h2 *h2);

void h2_ping(struct h2 *h2);
/* First step of a graceful end: the peer is asked for no new streams. */
void h2_shutdown_notice(struct h2 *h2);
/* Second step, a round trip later: streams that came until now are finished, later ones refused. */
void h2_goaway(struct h2 *h2);

/* Client: begins a stream; ERR_UNAVAILABLE if the peer takes no more, or ids have run out. */
MUST_CHECK enum error h2_request(struct h2 *h2,
                                 const struct h2_header *headers,
                                 size_t headers_count,
                                 void *user,
                                 struct h2_stream **stream_out);
/* Server: the response headers; then data and h2_end follow. */
void h2_respond(struct h2_stream *stream, const struct h2_header *headers, size_t headers_count);
/* Server: headers that are the whole response. */
void h2_respond_only(struct h2_stream *stream,
                     const struct h2_header *headers,
                     size_t headers_count);
/* Queues; not after h2_end. */
void h2_send(struct h2_stream *stream, const struct slice *parts, size_t parts_count);
/* We send no more; with trailers if there are some (at most H2_TRAILERS_MAX, copied). */
void h2_end(struct h2_stream *stream, const struct h2_header *trailers, size_t trailers_count);
void h2_reset(struct h2_stream *stream, uint32_t error_code);
size_t h2_queued_bytes(const struct h2_stream *stream);
/* Of all streams, those included whose owner let go of them. */
size_t h2_queued_total(const struct h2 *h2);

/* Bytes queued by several connections; each sum counts in its parent, too. */
struct h2_sum {
    size_t bytes;
    struct h2_sum *parent; /* NULL: none */
};

/* What is queued from now on also counts in `sum`, until NULL is given, or the h2 is freed. */
void h2_set_queue_sum(struct h2 *h2, struct h2_sum *sum);
/* Ends streams whose peer has not taken 64 KiB in `stall_ms`, or all that waits for it, however
 * small its window: to be called now and then. Returns how many. */
uint32_t h2_end_stalled(struct h2 *h2, uint64_t now_ms, uint32_t stall_ms);
/* Gives `len` bytes of credit back to the peer. */
void h2_consume(struct h2_stream *stream, size_t len);
/* The first value of that name; NULL if there is none. Until on_close. */
const char *h2_find_header(const struct h2_stream *stream, const char *name);
bool h2_headers_too_large(const struct h2_stream *stream);
/* What is kept of its headers; and none of it from now on. */
size_t h2_headers_bytes(const struct h2_stream *stream);
void h2_forget_headers(struct h2_stream *stream);
/* Client: the request's headers have left. */
bool h2_request_was_sent(const struct h2_stream *stream);
void h2_set_user(struct h2_stream *stream, void *user);
void *h2_user(const struct h2_stream *stream);

#endif
