/* SPDX-License-Identifier: Apache-2.0 */
/* A small HTTP/1.1 server for metrics, probes and JSON pages: bounded, keep-alive, plain or TLS. It
 * answers GET, HEAD, OPTIONS and POST; anything else is 405. Garbage gets 400 and the connection is
 * closed. Everything runs on the loop thread, which has promises to keep: so a turn of the loop
 * answers a bounded number of requests, one of a connection, and nothing more of a connection is
 * looked at while an answer to it is unsent. When all connections are taken, the one that was idle
 * longest gives way. */
#ifndef INDABA_RPC_HTTP1_H
#define INDABA_RPC_HTTP1_H

#include "base/buf.h"
#include "base/reason.h"
#include "rpc/net.h"
#include "rpc/tls.h"

struct http1;
struct http1_exchange;

enum {
    HTTP1_HEADER_BYTES_MAX = 16 * 1024,
    HTTP1_BODY_BYTES_MAX = 64 * 1024,
    HTTP1_CONNECTIONS_MAX = 1024,
    HTTP1_SOURCE_MAX = HTTP1_CONNECTIONS_MAX / 2, /* of one address */
    HTTP1_SOURCE_FEW = 16,                        /* no more than a balancer and some people have */
    HTTP1_GRACE_MS = 1000,                        /* until a new connection counts as idle */
    HTTP1_TURN_REQUESTS = 16,                     /* of all, in one turn of the loop */
    HTTP1_IDLE_MS = 60000,                        /* between requests */
    HTTP1_READ_MS = 10000,                        /* for one whole request */
    HTTP1_SEND_MS = 10000,                        /* for one whole answer */
    HTTP1_PAGE_MS = 1000,                         /* how old a page may be that is made for many */
};

enum http1_method {
    HTTP1_GET,
    HTTP1_HEAD,
    HTTP1_OPTIONS,
    HTTP1_POST,
};

/* Valid until the reply (or on_abort). */
struct http1_request {
    enum http1_method method;
    const char *path;  /* "/shards/orders"; percent-decoded, never with NUL or ".." */
    const char *query; /* "lag=10MB&x=1", as sent; "" if none */
    const char *peer;  /* SPIFFE identity, "" if anonymous */
    const char *peer_address;
    struct slice body;
};

struct http1_response {
    uint32_t status;           /* 200, 503 … */
    const char *content_type;  /* NULL: "text/plain; charset=utf-8" */
    struct slice body;         /* copied; not sent for HEAD */
    const char *extra_headers; /* "Cache-Control: no-store\r\n", or NULL */
};

/* Answers with http1_reply, now or later. */
typedef void (*http1_fn)(struct http1_exchange *exchange,
                         const struct http1_request *request,
                         void *ctx);

struct http1_options {
    const char *address;    /* numeric; port 0 picks one */
    struct tls *tls;        /* NULL: plain */
    enum tls_role tls_role; /* TLS_SERVER_PUBLIC: reading needs no certificate */
    http1_fn handler;
    void *ctx;
};

/* Errors as stream_listen. */
MUST_CHECK enum error http1_new(struct net *net,
                                const struct http1_options *options,
                                struct reason *reason,
                                struct http1 **http1_out);
uint16_t http1_port(const struct http1 *http1);
/* Closes all and lets go; open exchanges are aborted. Not from inside a handler. */
void http1_free(struct http1 *http1);

/* A page that costs more than a few lines: made at most once a second, however often it is asked
 * for. Zero at first; its owner frees the body. */
struct http1_page {
    struct buf body;
    uint64_t made_ms;
};

/* True if it is to be made anew now, into the body, which is then empty. */
bool http1_page_is_due(struct http1_page *page);

/* The exchange is dead after it. */
void http1_reply(struct http1_exchange *exchange, const struct http1_response *response);
/* Whoever answers later is told here that the client went away; the exchange is then dead. */
void http1_set_abort(struct http1_exchange *exchange,
                     void (*on_abort)(struct http1_exchange *exchange, void *ctx),
                     void *ctx);
/* The value of `name` in a query string, percent-decoded, into `value`. ERR_NOT_FOUND; ERR_LIMIT if
 * it does not fit. */
MUST_CHECK enum error
http1_query_value(const char *query, const char *name, char *value, size_t size);

#endif
