/* SPDX-License-Identifier: Apache-2.0 */
/* What server.c (listening, connections, drain) and server_call.c (calls) share. */
#ifndef INDABA_RPC_SERVER_INTERNAL_H
#define INDABA_RPC_SERVER_INTERNAL_H

#include "rpc/h2.h"
#include "rpc/net_internal.h"
#include "rpc/server.h"

#include <uv.h>

enum {
    SERVER_TABLES_MAX = 16
};

struct server_table {
    const struct server_method *methods;
    size_t count;
};

/* Those with one certificate's name, while some are connected. */
struct server_identity {
    struct server_identity *next;
    char *name;
    enum server_class class;
    uint32_t connections;
    struct h2_sum queued; /* counts in its class's */
    size_t intake;        /* bytes of its requests that are not handed on yet */
};

struct server {
    struct net *net;
    struct stream_listener *listener; /* NULL once draining */
    struct server_connection *connections;
    struct server_options options;
    struct server_table tables[SERVER_TABLES_MAX];
    uint32_t tables_count;
    uint32_t connections_count;
    uint32_t calls_count;
    struct server_identity *identities;
    struct h2_sum queued; /* of all connections */
    struct h2_sum class_queued[SERVER_CLASSES];
    size_t class_intake[SERVER_CLASSES];
    uint32_t class_connections[SERVER_CLASSES];
    uint16_t port;
    uv_timer_t sweep; /* ages connections; once a second */
    uv_timer_t drain; /* the steps of a drain */
    uint32_t handles_open;
    uint32_t drain_grace_ms;
    bool is_draining;
    bool is_goaway_sent;
    void (*on_drained)(struct server *server, void *ctx);
    void *drained_ctx;
};

enum connection_phase {
    CONNECTION_SERVING,
    CONNECTION_NOTICED, /* told that no new calls are wanted */
    CONNECTION_LEAVING, /* goaway with the last call it will serve */
};

struct server_connection {
    struct server *server; /* NULL once the server was freed */
    struct server_connection *next;
    struct server_connection *previous;
    struct stream *stream;
    struct h2 *h2;
    struct server_identity *identity; /* NULL once the server was freed */
    struct server_call *calls;
    uint64_t retire_ms; /* loop time of the next step of its ageing */
    enum connection_phase phase;
};

struct server_trailer {
    char *name;
    char *value;
};

enum {
    SERVER_TRAILERS_MAX = 16
};

struct server_call {
    struct server_connection *connection;
    struct server_call *next;
    struct server_call *previous;
    struct h2_stream *stream;
    const struct server_method *method;
    uint64_t id;
    uint64_t deadline_ms; /* loop time; UINT64_MAX: none */
    uv_timer_t *timer;    /* NULL: no deadline */
    void (*on_cancel)(struct server_call *call, void *ctx);
    void *cancel_ctx;
    void (*on_drain)(struct server_call *call, void *ctx);
    void *drain_ctx;
    void *user;
    struct grpc_deframer deframer;
    struct buf held;   /* whole messages left when the handler paused */
    struct buf paused; /* data that came while paused, its credit not given back */
    struct server_trailer *trailers;
    uint32_t trailers_count;
    size_t intake;       /* counted in its identity's and class's */
    uint64_t began_ms;   /* loop time; of the request, or message, that is not whole; 0: none is */
    size_t exempt_bytes; /* what went into the empty queue, if it was above the bound */
    uint32_t depth;      /* handlers running; memory stays until they return */
    bool headers_sent;
    bool message_seen;
    bool message_sent;
    bool is_paused;
    bool end_seen; /* the client's end, not yet told because paused */
    bool is_over;  /* finished or cancelled: the owner's pointer is dead */
};

/* server.c */
const struct server_method *server_find_method(const struct server *server, const char *path);

/* server_share.c */
void server_share_init(struct server *server);
/* Counts the connection; false if its class or identity has its share (it is not counted). */
bool server_share_enter(struct server_connection *connection);
void server_share_leave(struct server_connection *connection);

/* net_refused for a connection's identity; `why` may be empty. */
void server_share_refused(const struct server_connection *connection,
                          enum net_refusal cause,
                          const char *why);
/* What a class has of a bound on bytes. */
size_t server_share_bytes(size_t most, enum server_class class);

/* server_intake.c: what is kept of requests until it is handed on has a bound, too. */
/* Counts anew what the call keeps; false if that is more than there is room for. */
MUST_CHECK bool server_intake_count(struct server_call *call);
/* It keeps nothing any more. */
void server_intake_leave(struct server_call *call);
/* Ends calls whose request, or message, does not become whole: once a second. */
void server_intake_end_stalled(struct server_connection *connection, uint64_t now_ms);

/* server_call.c: the handlers of h2. `ctx` is the connection. */
extern const struct h2_handlers server_h2_handlers;
/* Ends a call that is not over: trailers for the client, on_cancel for the owner. */
void server_call_abort(struct server_call *call, enum grpc_status status, const char *message);
/* The same without a word to the client: the connection is gone. */
void server_call_drop(struct server_call *call);

/* server_receive.c */
void server_call_begin(struct server_connection *connection, struct h2_stream *stream);
void server_call_data(struct server_call *call, struct slice bytes);
void server_call_end(struct server_call *call);
void server_call_release(struct server_call *call);

#endif
