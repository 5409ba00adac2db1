/* SPDX-License-Identifier: Apache-2.0 */
/* What http1.c (server, connections, replies), http1_request.c (parsing) and http1_room.c share. */
#ifndef INDABA_RPC_HTTP1_INTERNAL_H
#define INDABA_RPC_HTTP1_INTERNAL_H

#include "rpc/http1.h"
#include "rpc/stream.h"

#include <http_parser.h>
#include <uv.h>

struct http1 {
    struct net *net;
    struct stream_listener *listener;
    struct http1_exchange *connections; /* who did something last is first */
    struct http1_exchange *last;
    struct http1_exchange *turn_first; /* who has something to look at, in order */
    struct http1_exchange *turn_last;
    uv_idle_t turn; /* runs while there are some */
    uint32_t handles_open;
    http1_fn handler;
    void *ctx;
    uv_timer_t sweep;
    uint16_t port;
};

/* A connection and the one request it carries at a time. */
struct http1_exchange {
    struct http1 *http1; /* NULL once the server was freed */
    struct http1_exchange *next;
    struct http1_exchange *previous;
    struct http1_exchange *turn_next;
    struct http1_exchange *turn_previous;
    struct stream *stream;
    http_parser parser;
    struct buf url;
    struct buf body;
    struct buf rest; /* bytes not looked at yet */
    size_t header_bytes;
    uint64_t deadline_ms; /* loop time at which the connection is given up */
    uint64_t since_ms;    /* when it last had done something */
    uint32_t refusal;     /* HTTP status for what was wrong; 0: nothing */
    char *path;           /* decoded */
    void (*on_abort)(struct http1_exchange *exchange, void *ctx);
    void *abort_ctx;
    enum http1_method method;
    bool is_complete; /* a whole request is here */
    bool is_waiting;  /* with the handler, which has not replied */
    bool is_sending;  /* an answer is not with the kernel yet */
    bool is_in_turn;  /* a request of it, or a part of one, waits to be looked at */
    bool answered;    /* once at least */
    bool keep_alive;
    bool in_handler;
};

/* What a connection may say against giving way to another, in rising order. A request that waits
 * for its turn, or has not come yet though its connection has, is not known by what was done of
 * late: a busy machine does both late. */
enum http1_claim {
    HTTP1_CLAIM_NONE,    /* it was answered, or had time to ask, and is idle */
    HTTP1_CLAIM_OF_MANY, /* it may have asked, beside many others of its address */
    HTTP1_CLAIM_YOUNG,   /* it has just come, from an address that has few */
    HTTP1_CLAIM_ASKED,
};

struct http1_standing {
    bool asked;             /* a request of it waits for its turn */
    bool answered;          /* one was, once */
    uint64_t quiet_ms;      /* since it came, or was answered last */
    uint32_t of_its_source; /* connections of its address, with this one */
};

/* http1_room.c; pure. */
enum http1_claim http1_claim_by(const struct http1_standing *standing);
/* Into the list of connections, as its first, and out of it. */
void http1_enter(struct http1_exchange *exchange);
void http1_leave(struct http1_exchange *exchange);
/* One connection ends, if any may, so that `newcomer` has a place. */
void http1_make_room(struct http1 *http1, const struct stream *newcomer, bool of_its_source);

/* http1_request.c */
extern const http_parser_settings http1_parser_settings;
void http1_request_reset(struct http1_exchange *exchange);
/* Parses; returns how many bytes were taken. It stops after a whole request, and when
 * exchange->refusal tells that something is wrong. */
size_t http1_request_parse(struct http1_exchange *exchange, struct slice bytes);
/* Splits and decodes the target. Sets refusal if it is not acceptable. */
void http1_request_target(struct http1_exchange *exchange, const char **query_out);

#endif
